//! What cargo knows about this repository.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use waft_plugin_tools::process;

/// The repository as `cargo metadata` describes it.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    /// Where the root `Cargo.toml` lies.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// Where cargo builds, by whatever way that was chosen (`CARGO_TARGET_DIR`, configuration).
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    /// Every crate of the repository.
    pub(crate) packages: Vec<Package>,
}

/// One crate of the repository.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) rust_version: Option<String>,
    pub(crate) targets: Vec<Target>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// What a crate's manifest says it depends on.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev` or `build`; none for what the crate itself uses.
    pub(crate) kind: Option<String>,
}

/// One thing cargo builds from a crate: a library, a program, a test.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    /// The file it begins with.
    pub(crate) src_path: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// Cargo cannot read the workspace.
    pub(crate) fn load() -> Result<Self> {
        let mut command = cargo();
        command.args(["metadata", "--format-version", "1", "--no-deps"]);
        let text = process::capture(&mut command)?;
        serde_json::from_str(&text).context("cargo metadata is not what was expected")
    }

    /// The bundled plugins, the test guests and the examples in Rust: all crates under `plugins/`,
    /// `tests/guests/` and `examples/rust/`.
    pub(crate) fn guests(&self) -> Vec<Guest<'_>> {
        let mut guests: Vec<_> = self.packages.iter().filter_map(|p| self.guest(p)).collect();
        guests.sort_by_key(|guest| &guest.package.name);
        guests
    }

    fn guest<'a>(&self, package: &'a Package) -> Option<Guest<'a>> {
        let folder = package.manifest_path.parent()?.strip_prefix(&self.root).ok()?;
        let role = match folder.parent()? {
            parent if parent == Path::new("plugins") => Role::Bundled,
            parent if parent == Path::new("tests/guests") => Role::Test,
            parent if parent == Path::new("examples/rust") => Role::Example,
            _ => return None,
        };
        let library = package
            .targets
            .iter()
            .find(|target| target.kind.iter().any(|kind| kind == "cdylib"))?;
        Some(Guest { package, library: &library.name, role })
    }
}

/// A crate that becomes a component.
#[derive(Debug)]
pub(crate) struct Guest<'a> {
    pub(crate) package: &'a Package,
    /// The library's name, which is the module's file name.
    pub(crate) library: &'a str,
    pub(crate) role: Role,
}

/// Whom a guest is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Shipped with the server.
    Bundled,
    /// Made for the host's tests.
    Test,
    /// Made to be read.
    Example,
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// The compiler that cargo would use.
pub(crate) fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc")))
}
