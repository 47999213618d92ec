//! What plays transcripts: a reader of their form, a runner, and the two networks.

pub mod chance;
pub mod connection;
pub mod disk;
pub mod filters;
pub mod fixture;
pub mod network;
pub mod parts;
pub mod replies;
pub mod runner;
pub mod script;
pub mod settings;
pub mod text;
