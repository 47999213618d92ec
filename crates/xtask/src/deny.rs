//! `cargo xtask deny`: whether everything that is compiled in may be: licences, sources, crates that
//! are not wanted, and known security advisories. What is allowed stands in `deny.toml`.
//!
//! The tool is installed under the target directory, in the version below, and once. Advisories are
//! looked up in a database that lies elsewhere than all other things that a build fetches: where it
//! cannot be had, that is said, and nothing fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use waft_plugin_tools::process;

use crate::workspace::{self, Workspace};

const VERSION: &str = "0.20.2";

/// What needs nothing but the crates themselves.
const LOCAL: [&str; 3] = ["bans", "licenses", "sources"];

/// Who brings a crate in, cargo tree tells: here it would be thousands of lines.
const CHECK: [&str; 2] = ["check", "--hide-inclusion-graph"];

/// How long the database of advisories may take to come, some 10 MB.
const FETCH_TIME_MAX: Duration = Duration::from_secs(120);

/// Checks everything that can be.
///
/// # Errors
/// Something is not allowed, or an advisory is known, or the tool cannot be installed.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let tool = installed(workspace)?;
    check_what_is_here(workspace, &tool)?;
    check_advisories(workspace, &tool)
}

/// The same for whoever changes something else: an advisory of this morning is told, and does not
/// make yesterday's tests fail.
///
/// # Errors
/// Something is not allowed, or the tool cannot be installed.
pub(crate) fn check_for_tests(workspace: &Workspace) -> Result<()> {
    let tool = installed(workspace)?;
    check_what_is_here(workspace, &tool)?;
    if let Err(error) = check_advisories(workspace, &tool) {
        eprintln!("!! advisories: {error:#}");
    }
    Ok(())
}

fn check_what_is_here(workspace: &Workspace, tool: &Path) -> Result<()> {
    process::run(deny(workspace, tool).args(CHECK).args(LOCAL))
}

fn check_advisories(workspace: &Workspace, tool: &Path) -> Result<()> {
    let mut fetch = deny(workspace, tool);
    if process::succeeds_within(fetch.args(["fetch", "db"]), FETCH_TIME_MAX) {
        return process::run(deny(workspace, tool).arg("--offline").args(CHECK).arg("advisories"));
    }
    let fetch = process::show(&fetch);
    eprintln!("!! advisories were NOT looked at: no database of them; to see why: {fetch}");
    Ok(())
}

fn deny(workspace: &Workspace, tool: &Path) -> Command {
    let mut command = Command::new(tool);
    command.current_dir(&workspace.root).arg("--locked");
    command
}

/// The tool, which is installed first where it is not there yet.
fn installed(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.target.join("tools").join(format!("cargo-deny-{VERSION}"));
    let tool = root.join("bin/cargo-deny");
    if !tool.is_file() {
        let mut command = workspace::cargo();
        // Compiled in a third of the time that its own profile takes, it is quick enough.
        command.args(["install", "--quiet", "--locked", "--debug", "--no-track", "cargo-deny"]);
        command.args(["--version", VERSION, "--root"]).arg(&root);
        command.env_remove("CARGO_TARGET_DIR").current_dir(&workspace.root);
        process::run(&mut command).context("cargo-deny cannot be installed")?;
    }
    Ok(tool)
}
