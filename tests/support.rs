//! Drives the real program from outside: its process, its files, its log, its sockets, and the
//! clients that people use. Nothing of the server's own code is called here.
//!
//! Nothing waits for a while and hopes: whoever waits, waits for a line of the log, for octets on a
//! socket or for the end of a process, and gives up with everything that was seen after
//! [`PATIENCE`].
#![allow(dead_code, reason = "each test program uses another part of this")]

pub(crate) mod client;
pub(crate) mod content;
pub(crate) mod control;
pub(crate) mod crowd;
pub(crate) mod folder;
pub(crate) mod ftp;
pub(crate) mod ftps;
pub(crate) mod handmade;
pub(crate) mod log;
pub(crate) mod misdeeds;
pub(crate) mod plugin;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod site;
pub(crate) mod tls;
pub(crate) mod waft;
pub(crate) mod web;

use std::time::Duration;

/// How long anything may take before a test gives up. Nothing takes a hundredth of it, but the
/// machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
