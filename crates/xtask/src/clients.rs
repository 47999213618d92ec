//! The client programs that tests run against the server.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// A program and the Debian package that has it.
const PROGRAMS: [(&str, &str); 5] = [
    ("curl", "curl"),
    ("lftp", "lftp"),
    ("tnftp", "tnftp"),
    ("ncftpget", "ncftp"),
    ("python3", "python3"),
];

/// Installs the client programs that are missing, where that can be done.
///
/// Elsewhere it says which tests will be skipped; in CI nothing may be.
///
/// # Errors
/// In CI, a program is missing and cannot be installed.
pub(crate) fn provide() -> Result<()> {
    if !missing().is_empty() && is_root() && process::exists("apt-get") {
        install(&missing());
    }
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let names = names.join(", ");
    if std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false") {
        bail!("client programs are missing, and in CI no test is skipped: {names}");
    }
    eprintln!("!! tests with these programs are SKIPPED, because they are not installed: {names}");
    Ok(())
}

fn missing() -> Vec<(&'static str, &'static str)> {
    PROGRAMS.into_iter().filter(|(program, _)| !is_on_path(program)).collect()
}

/// Whether a program is there; it is not run, for not all of them know `--version`.
fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn is_root() -> bool {
    process::capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// Asks for the packages, after a fresh look at the archive where they are not known.
fn install(missing: &[(&str, &str)]) {
    let packages = missing.iter().map(|(_, package)| *package);
    let mut install = apt_get(&["install", "--yes", "--quiet", "--no-install-recommends"]);
    install.args(packages);
    if process::run(&mut install).is_err() {
        // Some archive may be out of reach that has none of them.
        let _ = process::run(&mut apt_get(&["update", "--quiet"]));
        // Whether they are there now is looked at next.
        let _ = process::run(&mut install);
    }
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_on_the_path() {
        assert!(is_on_path("sh"));
        assert!(!is_on_path("no-such-ftp-client"));
    }
}
