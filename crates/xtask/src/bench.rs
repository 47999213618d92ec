//! `cargo xtask bench`: what the server costs, how it grows, and what others do on this machine.
//!
//! Four parts, each of which makes one section of Markdown: [`micro`] by criterion, and the others
//! with the real program and clients that anyone has: [`compare`] measures waft against other
//! servers and against itself with plugins, [`growth`] counts sessions and entries up. Servers take
//! turns within every round, so that whatever else the machine does hits all of them. Everything
//! listens on the loopback interface and lives in one directory, which is gone in the end.
//!
//! Not here: a verdict. CI runs one short round to see that all of this works, and reads no numbers.

mod account;
mod client;
mod compare;
mod growth;
mod limits;
mod machine;
mod micro;
mod options;
mod peers;
mod ports;
mod report;
mod server;
mod site;
mod waft;
mod workloads;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use waft_plugin_tools::process;

use crate::workspace::{self, Workspace};
use crate::{clients, plugins};

pub(crate) use options::Options;
use options::Part;
use site::{Site, Sizes};

/// Runs the parts that are asked for, one after the other.
///
/// # Errors
/// Something does not build, waft does not serve, or the result cannot be written.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    limits::raise_open_files();
    let with_plugins = options.parts.iter().any(|part| matches!(part, Part::Micro | Part::Plugins));
    if with_plugins && !options.is_smoke {
        plugins::build(workspace, &plugins::Options::default())?;
    }
    for &part in &options.parts {
        let began = Instant::now();
        eprintln!("bench: {}", part.name());
        let tables = match part {
            Part::Micro => micro::run(workspace)?,
            Part::Plugins => on_site(workspace, options, compare::with_itself)?,
            Part::Macro => on_site(workspace, options, compare::with_others)?,
            Part::Growth => on_site(workspace, options, growth::run)?,
        };
        let text = format!("{}\n\n{tables}", machine::line(part, options));
        report::put(options.out.as_deref(), part.name(), &text)?;
        eprintln!("bench: {}: {:.0} s", part.name(), began.elapsed().as_secs_f64());
    }
    Ok(())
}

/// One short round against waft alone, with the program that CI has just built.
///
/// # Errors
/// It does not serve, or does not return what it was given.
pub(crate) fn smoke(workspace: &Workspace) -> Result<()> {
    if !clients::is_on_path("curl") {
        // In CI it was provided; elsewhere it was told to be missing.
        return Ok(());
    }
    let waft = Some(workspace.target.join("debug/waft"));
    run(workspace, &Options { waft, ..Options::smoke() })
}

/// Runs a part that needs files to serve and a server.
fn on_site(
    workspace: &Workspace,
    options: &Options,
    part: fn(&Workspace, &Site, &Options) -> Result<String>,
) -> Result<String> {
    let sizes = if options.is_smoke { Sizes::SMOKE } else { Sizes::FULL };
    let site = Site::new(options.directory.as_deref(), &program(workspace, options)?, sizes)?;
    part(workspace, &site, options)
}

/// The server to measure: the one that is named, or else this repository's, built for release.
fn program(workspace: &Workspace, options: &Options) -> Result<PathBuf> {
    if let Some(program) = &options.waft {
        return Ok(program.clone());
    }
    let mut build = workspace::cargo();
    build.args(["build", "--release", "--package", "waft"]).current_dir(&workspace.root);
    process::run(&mut build)?;
    Ok(workspace.target.join("release/waft"))
}
