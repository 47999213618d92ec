//! The FTP server: listeners, control sessions, data connections, transfers, limits, drain.
//!
//! A [`Server`] is put together from [`Parts`] that implement the traits of `waft-core`; it knows
//! no storage, no accounts and no wasmtime. Each control connection is one task that owns all it
//! touches (`session`), runs every command through one pipeline (`pipeline`), and executes it
//! (`commands`); a transfer (`transfer`) opens its data connection and moves octets (`data`).
#![forbid(unsafe_code)]

mod admission;
mod commands;
mod control;
mod counters;
mod data;
mod gatehouse;
mod glob;
pub mod net;
mod pipeline;
mod security;
mod server;
mod session;
pub mod settings;
mod shared;
mod time;
pub mod tls;
mod transfer;
mod workers;

pub use counters::Counts;
pub use server::{Gauges, Listener, Listening, Parts, PassivePorts, Refused, Server};
pub use workers::Workers;
