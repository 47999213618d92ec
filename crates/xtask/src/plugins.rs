//! `cargo xtask plugins`: every guest crate becomes a component in `target/plugins/`.
//!
//! All guests are built by one call of cargo, with its own target directory: the compiler may be
//! another than the one that builds the server (see [`crate::toolchain`]), and two compilers in
//! one directory throw each other's work away. A component is written only when it differs, and
//! renamed into place, so that a server watching the directory sees whole files, and no changes
//! that are none.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::toolchain::{self, Toolchain, Way};
use crate::workspace::{Guest, Role, Workspace};
use crate::{examples, files};
use waft_plugin_tools::process;
use waft_plugin_tools::{Interfaces, Language};

/// The target whose modules import nothing but what their world names.
const DEFAULT_TARGET: &str = "wasm32-unknown-unknown";

/// What to build, and how.
#[derive(Debug)]
pub(crate) struct Options {
    target: String,
    via: Option<Way>,
}

impl Default for Options {
    fn default() -> Self {
        Self { target: DEFAULT_TARGET.to_owned(), via: None }
    }
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// A sentence for the person who typed it.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("a value must follow: {word}"));
            match word.as_str() {
                "--target" => options.target.clone_from(value()?),
                "--via" => options.via = Some(Way::parse(value()?)?),
                _ => return Err(format!("unknown argument: {word}")),
            }
        }
        Ok(options)
    }
}

/// Where the components are put.
pub(crate) fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("plugins")
}

/// Builds all guests.
///
/// # Errors
/// There is no way to build for wasm here, or a guest does not build.
pub(crate) fn build(workspace: &Workspace, options: &Options) -> Result<()> {
    let guests = workspace.guests();
    if guests.is_empty() {
        bail!("no guests in plugins/ and tests/guests/");
    }
    let started = Instant::now();
    let toolchain = toolchain::find(workspace, &options.target, options.via)?;
    eprintln!("plugins: building for {} with {}", options.target, toolchain.name());
    let modules = compile(workspace, &toolchain, &guests, &options.target)?;
    for guest in &guests {
        let module = modules.join(guest.library).with_extension("wasm");
        let place = place(workspace, guest);
        write(&module, &place, packages(guest.role, &options.target))
            .with_context(|| format!("cannot make {}", place.display()))?;
    }
    eprintln!("plugins: {} components, {:.1} s", guests.len(), started.elapsed().as_secs_f64());
    Ok(())
}

/// Compiles the guests and returns the directory of their modules.
fn compile(
    workspace: &Workspace,
    toolchain: &Toolchain,
    guests: &[Guest<'_>],
    target: &str,
) -> Result<PathBuf> {
    let built = workspace.target.join("guests");
    let mut command = toolchain.cargo(workspace);
    command.args(["build", "--profile", "guest", "--target", target, "--target-dir"]).arg(&built);
    if toolchain.builds_std() {
        command.arg("-Zbuild-std=std,panic_abort");
    }
    for guest in guests {
        command.args(["--package", &guest.package.name]);
    }
    process::run(&mut command)?;
    Ok(built.join(target).join("guest"))
}

fn place(workspace: &Workspace, guest: &Guest<'_>) -> PathBuf {
    let directory = directory(workspace);
    let name = format!("{}.wasm", guest.package.name);
    match guest.role {
        Role::Bundled => directory.join(name),
        Role::Test => directory.join("tests").join(name),
        Role::Example => examples::place(workspace, &guest.package.name, Language::Rust),
    }
}

/// The packages that a guest may import from: a test is about WASI, and the other target's standard
/// library speaks to a system that the host keeps empty.
fn packages(role: Role, target: &str) -> &'static [&'static str] {
    match role {
        Role::Bundled | Role::Example if target == DEFAULT_TARGET => &["waft:plugin/"],
        _ => &["waft:plugin/", "wasi:"],
    }
}

fn write(module: &Path, place: &Path, packages: &[&str]) -> Result<()> {
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let component = waft_plugin_tools::encode(bytes)?;
    let interfaces = Interfaces::of(&component)?;
    eprintln!("  {} ({} KiB)", place.display(), component.len().div_ceil(1024));
    eprintln!("    imports: {}", interfaces.imports.join(" "));
    eprintln!("    exports: {}", interfaces.exports.join(" "));
    if let [foreign, ..] = interfaces.foreign(packages).as_slice() {
        bail!("it imports what no plugin may: {foreign}");
    }
    files::put(place, &component)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        Options::parse(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_default_target_has_no_ambient_authority() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.target, "wasm32-unknown-unknown");
        assert_eq!(options.via, None);
    }

    #[test]
    fn target_and_way_may_be_named() {
        let options = parse(&["--via", "debian", "--target", "wasm32-wasip2"]).unwrap();
        assert_eq!(options.target, "wasm32-wasip2");
        assert_eq!(options.via, Some(Way::Debian));
    }

    #[test]
    fn mistakes_on_the_command_line_are_named() {
        assert_eq!(parse(&["--target"]).unwrap_err(), "a value must follow: --target");
        assert_eq!(parse(&["--fast"]).unwrap_err(), "unknown argument: --fast");
        assert!(parse(&["--via", "luck"]).unwrap_err().contains("luck"));
    }
}
