//! Programs of others: the clients that tests run against the server, and what builds examples.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use waft_plugin_tools::process;

/// A program, or the absolute path of a file, and the Debian package that has it.
type Program = (&'static str, &'static str);

/// The client programs that tests run against the server.
pub(crate) const CLIENTS: &[Program] = &[
    ("curl", "curl"),
    ("lftp", "lftp"),
    ("tnftp", "tnftp"),
    ("ncftpget", "ncftp"),
    ("python3", "python3"),
];

/// What builds the examples that are not in Rust; the rest comes from the languages' registries.
pub(crate) const BUILDERS: &[Program] = &[
    ("clang", "clang"),
    ("wasm-ld", "lld"),
    ("/usr/lib/wasm32-wasi/libc.a", "wasi-libc"),
    ("python3", "python3"),
    (ENSUREPIP, "python3-venv"),
];

/// What Debian leaves out of Python, and new environments begin with.
const ENSUREPIP: &str = "ensurepip";

/// Installs the programs that are missing, where that can be done.
///
/// Elsewhere it says which tests will be skipped; in CI nothing may be.
///
/// # Errors
/// In CI, a program is missing and cannot be installed.
pub(crate) fn provide(programs: &[Program]) -> Result<()> {
    if !missing(programs).is_empty() && is_root() && process::exists("apt-get") {
        install(&missing(programs));
    }
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let names = names.join(", ");
    if std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false") {
        bail!("programs are missing, and in CI no test is skipped: {names}");
    }
    eprintln!("!! tests with these programs are SKIPPED, because they are not installed: {names}");
    Ok(())
}

fn missing(programs: &[Program]) -> Vec<Program> {
    programs.iter().copied().filter(|(program, _)| !is_there(program)).collect()
}

fn is_there(program: &str) -> bool {
    match program {
        ENSUREPIP => {
            process::capture(Command::new("python3").args(["-c", "import ensurepip"])).is_ok()
        }
        path if path.starts_with('/') => Path::new(path).is_file(),
        _ => is_on_path(program),
    }
}

/// Whether a program is there; it is not run, for not all of them know `--version`.
pub(crate) fn is_on_path(program: &str) -> bool {
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
