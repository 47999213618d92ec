//! Puts the parts of waft together: the only crate that sees them all.
//!
//! [`run`] is the program: it reads the command line and runs one subcommand. `waft serve` turns a
//! configuration into the parts of a server (`assemble`), binds the listeners and keeps them in
//! step with the configuration ([`Running`]), and listens to signals and to changed files. `waft
//! check` goes the same way and stops before the server would accept anybody.
//!
//! What an operator reads goes to stderr, what another program may read to stdout. The exit code
//! is 0 when all went well, 1 for what failed at run time, 2 for a wrong command line or
//! configuration.
//!
//! What is *not* here: protocol, storage, accounts, plugins, and what may be configured. This crate
//! translates between the crates that know, and decides nothing that one of them could.
#![forbid(unsafe_code)]

mod args;
mod assemble;
mod commands;
mod control;
mod failure;
mod findings;
mod lent;
mod logging;
mod metrics;
mod output;
mod process;
mod running;
mod source;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

pub use running::{BindError, Running, StartError};

/// Runs the program: reads its arguments, the first of which is its own name, and does what they
/// say.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    process::is_program();
    match args::Arguments::try_parse_from(arguments) {
        Ok(arguments) => failure::exit_code(commands::run(arguments.command)),
        Err(error) => failure::exit_code_of_clap(&error),
    }
}
