//! From a plugin's directory to its component.
//!
//! The directory has the file of its language, and, except in Rust, `wit/` with a world named
//! `plugin`: what it exports are the plugin's hooks, what it imports are the services it wants.
//! What is made goes into a directory of its own, `build/` below the plugin's by default.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::component::{Interfaces, encode};
use crate::{Language, Tools, bindings, inputs, process};

/// The name of the world in a plugin's `wit/`.
pub(crate) const WORLD: &str = "plugin";

/// What C is compiled with: no start-up code, a stack below the data, so that an overflow traps,
/// and nothing exported but what the bindings mark.
const CLANG: [&str; 11] = [
    "--target=wasm32-wasi",
    "-O2",
    "-Wall",
    "-Wextra",
    "-nostartfiles",
    "-nodefaultlibs",
    "-Wl,--no-entry",
    "-Wl,--stack-first",
    "-Wl,-z,stack-size=65536",
    "-Wl,--strip-debug",
    "-lc",
];

/// What JavaScript would otherwise import of the system, used or not. Its output stays: there is
/// no other way for it to say why it broke, and the server writes it to the log.
const WITHOUT: [&str; 4] = ["random", "clocks", "http", "fetch-event"];

/// A component that has been built.
#[derive(Debug)]
pub struct Built {
    /// The plugin's name, which is that of the file, too.
    pub name: String,
    /// The component.
    pub file: PathBuf,
    /// What it asks for and offers.
    pub interfaces: Interfaces,
    /// Whether it was there already.
    pub is_unchanged: bool,
}

/// Builds the plugin in a directory; what is made goes into `output`, the component as
/// `NAME.wasm`. Nothing is done where the sources are those of the component that is there.
///
/// # Errors
/// There is no plugin, a tool is missing, the sources do not compile, or the component imports
/// what no plugin may.
pub fn build(directory: &Path, output: &Path, tools: &Tools) -> Result<Built> {
    let directory =
        &fs::canonicalize(directory).with_context(|| directory.display().to_string())?;
    let language = Language::of(directory)?;
    fs::create_dir_all(output).with_context(|| output.display().to_string())?;
    let output = &fs::canonicalize(output)?;
    let name = name(directory, language)?;
    let file = output.join(&name).with_extension("wasm");
    let seen = output.join(&name).with_extension("inputs");
    let [javascript_version, python_version] = Tools::versions();
    let flags = [CLANG.join(" "), WITHOUT.join(" ")];
    let digest =
        inputs::digest(directory, &[&javascript_version, &python_version, &flags[0], &flags[1]])?;
    // Cargo knows best whether something has changed.
    let is_known =
        language != Language::Rust && fs::read_to_string(&seen).is_ok_and(|d| d == digest);
    if let (true, Ok(bytes)) = (is_known, fs::read(&file)) {
        let interfaces = Interfaces::of(&bytes)?;
        return Ok(Built { name, file, interfaces, is_unchanged: true });
    }
    let made = match language {
        Language::Rust => rust(directory, &name, output)?,
        Language::C => c(directory, &name, output)?,
        Language::JavaScript => javascript(directory, &name, output, tools)?,
        Language::Python => python(directory, &name, output, tools)?,
    };
    let bytes = fs::read(&made).with_context(|| made.display().to_string())?;
    let component = encode(bytes)?;
    let interfaces = Interfaces::of(&component)?;
    if let [foreign, ..] = interfaces.foreign(&["waft:plugin/", "wasi:"]).as_slice() {
        bail!("{}: it imports what no plugin may: {foreign}", file.display());
    }
    put(&file, &component)?;
    fs::write(&seen, digest)?;
    Ok(Built { name, file, interfaces, is_unchanged: false })
}

/// Renames into place, so that a server that watches the directory sees whole files.
fn put(file: &Path, bytes: &[u8]) -> Result<()> {
    let partial = file.with_extension("wasm.part");
    let write = || {
        fs::write(&partial, bytes)?;
        fs::rename(&partial, file)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

/// The plugin's name: that of its package.
fn name(directory: &Path, language: Language) -> Result<String> {
    let (file, name) = match language {
        Language::Rust => {
            let file = directory.join("Cargo.toml");
            let text = fs::read_to_string(&file)?;
            (file, assigned(&text))
        }
        _ => {
            let file = directory.join("wit/world.wit");
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            (file, package(&text))
        }
    };
    name.with_context(|| format!("{} names no package", file.display()))
}

/// The name in `name = "..."`.
fn assigned(text: &str) -> Option<String> {
    let mut values = text.lines().filter_map(|line| line.trim().strip_prefix("name"));
    let value = values.find_map(|rest| rest.trim_start().strip_prefix('='))?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// The name in `package namespace:name;`.
fn package(text: &str) -> Option<String> {
    let mut values = text.lines().filter_map(|line| line.trim().strip_prefix("package "));
    let value = values.next()?.split([';', '@']).next()?;
    value.split_once(':').map(|(_, name)| name.trim().to_owned())
}

fn rust(directory: &Path, name: &str, output: &Path) -> Result<PathBuf> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--target", TARGET, "--target-dir"])
        .arg(output.join("cargo"));
    process::run(cargo.current_dir(directory))
        .with_context(|| format!("if the target is missing: rustup target add {TARGET}"))?;
    let modules = output.join("cargo").join(TARGET).join("release");
    Ok(modules.join(name.replace('-', "_")).with_extension("wasm"))
}

fn c(directory: &Path, name: &str, output: &Path) -> Result<PathBuf> {
    let generated = output.join(format!("{name}.bindings"));
    fs::create_dir_all(&generated)?;
    let linked = bindings::write(&directory.join("wit"), &generated)?;
    let module = output.join(name).with_extension("module");
    let mut clang = Command::new("clang");
    clang.arg(directory.join("plugin.c")).args(linked).arg("-I").arg(&generated);
    clang.args(CLANG).arg("-o").arg(&module);
    process::run(&mut clang).context(
        "if it is clang, lld or the C library for WebAssembly that is missing: \
         apt-get install clang lld wasi-libc",
    )?;
    Ok(module)
}

fn javascript(directory: &Path, name: &str, output: &Path, tools: &Tools) -> Result<PathBuf> {
    let made = output.join(name).with_extension("made");
    let mut command = tools.componentize_js()?;
    command.arg(directory.join("plugin.js")).arg("--wit").arg(directory.join("wit"));
    command.args(["--world-name", WORLD, "--disable"]).args(WITHOUT).arg("--out").arg(&made);
    process::capture(&mut command)?;
    Ok(made)
}

/// Python imports the system that it knows, used or not, which the server links with nothing behind
/// it but the log. Without, its tracebacks would go nowhere.
fn python(directory: &Path, name: &str, output: &Path, tools: &Tools) -> Result<PathBuf> {
    let made = output.join(name).with_extension("made");
    let mut command = tools.componentize_py()?;
    command.arg("--wit-path").arg(directory.join("wit")).args(["--world", WORLD]);
    command.args(["componentize", "plugin", "--python-path"]).arg(directory);
    command.arg("--output").arg(&made).env("PYTHONDONTWRITEBYTECODE", "1");
    process::capture(&mut command)?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_has_the_name_of_its_package() {
        assert_eq!(package("// x\npackage example:passive-only;\n").unwrap(), "passive-only");
        assert_eq!(package("package a:b@0.1.0;").unwrap(), "b");
        assert_eq!(package("world plugin {}"), None);
        assert_eq!(assigned("[package]\nname = \"quota\"\n").unwrap(), "quota");
    }
}
