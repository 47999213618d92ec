//! Finding a compiler that builds for WebAssembly.
//!
//! A stock Rust toolchain has no standard library for wasm, and not every machine may download
//! one. So five ways are tried, the cheapest first, and the one taken is named on stderr:
//!
//! 1. the target is installed for the active toolchain;
//! 2. `rustup target add` works;
//! 3. the active toolchain has the library's source, and cargo builds the library from it;
//! 4. on Debian, a compiler with that source is fetched as packages and unpacked under the target
//!    directory ([`debian`]), then as 3;
//! 5. none: the error says what to run.
//!
//! What 4 has unpacked is preferred to asking rustup again, which may take long to fail.

mod debian;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::workspace::{self, Workspace};
use waft_plugin_tools::process;

/// How long `rustup` may take to download a target's library, about 20 MB.
const RUSTUP_TIME_MAX: Duration = Duration::from_secs(120);

/// Settings of the caller's that are about the host, and wrong for a guest.
const HOST_SETTINGS: [&str; 4] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WORKSPACE_WRAPPER"];

/// One of the ways to a compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The target is there.
    Installed,
    /// Rustup fetches the target.
    Rustup,
    /// Cargo builds the library from the active toolchain's source.
    RustSrc,
    /// Cargo builds the library with Debian's compiler and source.
    Debian,
}

impl Way {
    const ALL: [(&'static str, Self); 4] = [
        ("installed", Self::Installed),
        ("rustup", Self::Rustup),
        ("rust-src", Self::RustSrc),
        ("debian", Self::Debian),
    ];

    /// Reads a way's name.
    ///
    /// # Errors
    /// A sentence that lists the names.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        let names = Self::ALL.map(|(name, _)| name).join(", ");
        found.map(|&(_, way)| way).ok_or_else(|| format!("a way is one of {names}, not: {text}"))
    }
}

/// A compiler for wasm, and how cargo must be called to use it.
#[derive(Debug)]
pub(crate) struct Toolchain {
    name: String,
    std: Std,
    environment: Vec<(&'static str, OsString)>,
}

/// Where the standard library for wasm comes from.
#[derive(Debug)]
enum Std {
    /// It came compiled.
    Compiled,
    /// Cargo compiles it from this directory.
    Source(PathBuf),
}

impl Toolchain {
    /// What it is, for the person who waits for it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether cargo must be told to build the standard library.
    pub(crate) fn builds_std(&self) -> bool {
        matches!(self.std, Std::Source(_))
    }

    /// A cargo that compiles with this.
    ///
    /// Panic messages name source files; they are made relative here, so that a component is the
    /// same wherever it was built, and tells nothing about the place.
    pub(crate) fn cargo(&self, workspace: &Workspace) -> Command {
        let mut command = workspace::cargo();
        for name in HOST_SETTINGS {
            command.env_remove(name);
        }
        let mut flags = OsString::new();
        // The last that matches counts: the library's source may lie within the repository.
        remap(&mut flags, &cargo_home(), "cargo");
        remap(&mut flags, &workspace.root, "waft");
        if let Std::Source(library) = &self.std {
            remap(&mut flags, library, "library");
            // Cargo builds the library only for the compiler's own developers, officially.
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", flags).current_dir(&workspace.root);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Finds a compiler for the target, by the given way or by the first that works.
///
/// # Errors
/// There is none; the message says what to run.
pub(crate) fn find(workspace: &Workspace, target: &str, via: Option<Way>) -> Result<Toolchain> {
    if let Some(way) = via {
        return attempt(workspace, target, way);
    }
    if let Ok(toolchain) = installed(target) {
        return Ok(toolchain);
    }
    // Only this target needs nothing but the library's source; others want a C library, too.
    let from_source = target == "wasm32-unknown-unknown";
    if from_source && let Some(toolchain) = debian::unpacked(workspace) {
        return Ok(toolchain);
    }
    let ways: &[Way] =
        if from_source { &[Way::Rustup, Way::RustSrc, Way::Debian] } else { &[Way::Rustup] };
    let mut reasons = String::new();
    for &way in ways {
        match attempt(workspace, target, way) {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => reasons.push_str(&format!("\n  {error:#}")),
        }
    }
    bail!(
        "no way to build for {target} here; where rustup can download, run: \
         rustup target add {target}\ntried:{reasons}"
    )
}

fn attempt(workspace: &Workspace, target: &str, way: Way) -> Result<Toolchain> {
    match way {
        Way::Installed => installed(target),
        Way::Rustup => rustup(target),
        Way::RustSrc => rust_src(),
        Way::Debian => debian::find(workspace),
    }
}

fn installed(target: &str) -> Result<Toolchain> {
    let mut command = workspace::rustc();
    command.args(["--print", "target-libdir", "--target", target]);
    let library = PathBuf::from(process::capture(&mut command)?.trim_end());
    if !contains_core(&library) {
        bail!("the target is not installed for the active toolchain: {target}");
    }
    Ok(Toolchain {
        name: "the active toolchain, which has the target".to_owned(),
        std: Std::Compiled,
        environment: Vec::new(),
    })
}

fn contains_core(library: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(library) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

fn rustup(target: &str) -> Result<Toolchain> {
    if !process::exists("rustup") {
        bail!("the active toolchain is not one of rustup's");
    }
    eprintln!("plugins: trying: rustup target add {target}");
    let mut command = Command::new("rustup");
    command.args(["target", "add", target]);
    if !process::succeeds_within(&mut command, RUSTUP_TIME_MAX) {
        bail!("rustup cannot download the target: {target}");
    }
    installed(target)
}

fn rust_src() -> Result<Toolchain> {
    let library = sysroot(&mut workspace::rustc())?.join("lib/rustlib/src/rust/library");
    if !library.join("Cargo.lock").is_file() {
        bail!("the active toolchain has no rust-src component");
    }
    Ok(Toolchain {
        name: "the active toolchain, building std from its rust-src".to_owned(),
        std: Std::Source(library),
        environment: Vec::new(),
    })
}

fn sysroot(rustc: &mut Command) -> Result<PathBuf> {
    let text = process::capture(rustc.args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(text.trim_end()))
}

/// Where cargo keeps the sources of dependencies.
fn cargo_home() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from)
}

/// Adds a flag that shortens a path prefix in what the compiler writes.
fn remap(flags: &mut OsString, from: &Path, to: &str) {
    if !flags.is_empty() {
        flags.push("\x1f");
    }
    flags.push("--remap-path-prefix=");
    flags.push(from);
    flags.push("=");
    flags.push(to);
}

/// A search path with some directories before those of a variable.
fn before(directories: &[PathBuf], variable: &str) -> Result<OsString> {
    let present = std::env::var_os(variable).unwrap_or_default();
    let rest = std::env::split_paths(&present).filter(|path| path.as_os_str() != OsStr::new(""));
    std::env::join_paths(directories.iter().cloned().chain(rest))
        .with_context(|| format!("a directory cannot be part of {variable}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_can_be_named() {
        for (name, way) in Way::ALL {
            assert_eq!(Way::parse(name), Ok(way));
        }
        assert!(Way::parse("luck").unwrap_err().contains("rust-src"));
    }

    #[test]
    fn path_prefixes_are_separated_as_cargo_wants() {
        let mut flags = OsString::new();
        remap(&mut flags, Path::new("/a b"), "x");
        remap(&mut flags, Path::new("/c"), "y");
        assert_eq!(flags, "--remap-path-prefix=/a b=x\x1f--remap-path-prefix=/c=y");
    }
}
