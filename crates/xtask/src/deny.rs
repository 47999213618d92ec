//! `cargo xtask deny`: whether everything that is compiled in may be: licences, sources, crates that
//! are not wanted, and known security advisories. What is allowed stands in `deny.toml`.
//!
//! The tool is installed under the target directory, in the version below, and once. Advisories are
//! looked up in a database that lies elsewhere than all other things that a build fetches: where it
//! cannot be had, that is said, and nothing fails.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use waft_plugin_tools::process;

use crate::workspace::{self, Workspace};

const VERSION: &str = "0.20.2";

/// What needs nothing but the crates themselves.
const LOCAL: [&str; 3] = ["bans", "licenses", "sources"];

/// How long the database of advisories may take to come, some 10 MB.
const FETCH_TIME_MAX: Duration = Duration::from_secs(120);

/// Checks everything that can be.
///
/// # Errors
/// Something is not allowed, or the tool cannot be installed.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let tool = installed(workspace)?;
    let deny = || {
        let mut command = Command::new(&tool);
        command.current_dir(&workspace.root).arg("--locked");
        command
    };
    // Who brings a crate in, cargo tree tells: here it would be thousands of lines.
    let check = ["check", "--hide-inclusion-graph"];
    process::run(deny().args(check).args(LOCAL))?;
    let mut fetch = deny();
    if process::succeeds_within(fetch.args(["fetch", "db"]), FETCH_TIME_MAX) {
        return process::run(deny().arg("--offline").args(check).arg("advisories"));
    }
    let fetch = process::show(&fetch);
    eprintln!("!! advisories were NOT looked at: no database of them; to see why: {fetch}");
    Ok(())
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
