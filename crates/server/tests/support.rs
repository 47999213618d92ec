//! What plays transcripts: a reader of their form, a runner, and the two networks.

pub mod connection;
pub mod disk;
pub mod network;
pub mod parts;
pub mod runner;
pub mod script;
pub mod settings;
pub mod text;
