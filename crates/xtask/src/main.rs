//! The repository's own commands: `cargo xtask plugins | examples | serve | test | bench |
//! check-structure | deny`.
//!
//! Each command is one module, and each needs nothing but a Rust toolchain and a package
//! registry: what else it wants, it makes or fetches under the target directory. Nothing here is
//! part of the product, and no crate of the product knows of it.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    reason = "these are commands for a person at a terminal, who reads stderr"
)]

mod bench;
mod clients;
mod deny;
mod examples;
mod files;
mod plugins;
mod serve;
mod structure;
mod test;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask <command>

commands:
  serve [--release] [-- ARGUMENTS]
                    build server and plugins, and serve a demonstration on 127.0.0.1:2121
                    ARGUMENTS: for the server
  test              everything that CI runs
  plugins [--target TRIPLE] [--via WAY]
                    build the bundled plugins and the test guests into target/plugins/
                    TRIPLE: wasm32-unknown-unknown (default) or wasm32-wasip2
                    WAY: installed, rustup, rust-src or debian; default: the first that works
  examples          build the examples in C, JavaScript and Python into target/plugins/examples/
  bench [micro] [plugins] [macro] [growth] [--rounds N] [--out FILE] [--peers PREFIX]
        [--waft FILE] [--max N] [--directory DIRECTORY] [--smoke]
                    measure; all parts unless some are named (docs/performance.md)
                    FILE of --out: for the tables, between its marks; default: stdout
                    PREFIX: where other servers are installed, beside the search path
                    FILE of --waft: the server; default: built for release
                    --max: sessions and entries of growth, at most
                    DIRECTORY: for the files that are served; default: /dev/shm
                    --smoke: as short as can be, and with waft and curl alone
  check-structure   look for dependencies, unsafe code and files that must not be
  deny              look at licences, sources and advisories of all dependencies (deny.toml)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Usage>() => {
            eprintln!("xtask: {error}\n\n{USAGE}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A command line that says nothing sensible.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn run(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        bail!(Usage("no command given".to_owned()));
    };
    match command.as_str() {
        "plugins" => {
            let options = plugins::Options::parse(rest).map_err(Usage)?;
            plugins::build(&Workspace::load()?, &options)
        }
        "examples" => {
            clients::provide(clients::BUILDERS)?;
            examples::build(&Workspace::load()?)
        }
        "serve" => {
            let options = serve::Options::parse(rest).map_err(Usage)?;
            serve::serve(&Workspace::load()?, &options)
        }
        "test" => test::run(&Workspace::load()?),
        "bench" => {
            let options = bench::Options::parse(rest).map_err(Usage)?;
            bench::run(&Workspace::load()?, &options)
        }
        "check-structure" => structure::check(&Workspace::load()?),
        "deny" => deny::check(&Workspace::load()?),
        "help" | "--help" | "-h" => {
            eprintln!("{USAGE}");
            Ok(())
        }
        other => bail!(Usage(format!("unknown command: {other}"))),
    }
}
