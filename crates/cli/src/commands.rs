//! The subcommands, each of which is one function.

mod cert;
mod check;
mod operate;
mod plugin;
mod serve;
mod user;

use std::future::Future;
use std::time::Duration;

use clap::CommandFactory;
use tokio::runtime::{Builder, Runtime};

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

/// Threads for work off the reactor: more than the passwords that may be verified at a time
/// (`verifications` in `[login]`), which are not to keep other work waiting.
const POOL_THREADS_MAX: usize = 2048;

/// How long work off the reactor, such as verifying a password, may take at the end.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Runs a server's command in a runtime, and does not wait for ever for what it leaves behind.
fn serve_in(
    runtime: Runtime,
    server: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let result = runtime.block_on(server);
    runtime.shutdown_timeout(LAST_WORK);
    result
}

/// Makes the runtime that a command's asynchronous part runs in.
fn runtime(threads: Option<u32>) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = threads.and_then(|threads| usize::try_from(threads).ok()) {
        builder.worker_threads(threads);
    }
    builder.max_blocking_threads(POOL_THREADS_MAX);
    builder.thread_name("waft").enable_all().build()
}
