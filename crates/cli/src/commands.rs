//! The subcommands, each of which is one function.

mod cert;
mod check;
mod operate;
mod plugin;
mod serve;
mod user;

use clap::CommandFactory;

use crate::args::{Arguments, Cert, Command, Config};
use crate::failure::Failure;
use crate::output;

pub(crate) use plugin::self_tester;

/// Does what the command line says.
///
/// # Errors
///
/// It was not done.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::User(command) => user::run(command),
        Command::Status(reach) => operate::status(&reach),
        Command::Plugin(command) => plugin::run(&command),
        Command::Cert(Cert::SelfSigned(arguments)) => cert::self_signed(&arguments),
        Command::Config(Config::Reference) => {
            Ok(output::print(&waft_config::reference_markdown())?)
        }
        Command::Completions { shell } => completions(shell),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "waft", &mut script);
    Ok(output::print(&String::from_utf8_lossy(&script))?)
}

/// Makes the runtime that a command's asynchronous part runs in.
fn runtime(threads: Option<u32>) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads.and_then(|threads| usize::try_from(threads).ok()) {
        builder.worker_threads(threads);
    }
    builder.thread_name("waft").enable_all().build()
}
