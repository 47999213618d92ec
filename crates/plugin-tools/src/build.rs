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
        Language::Rust => rust(directory, output)?,
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
    // A keyword stands behind a mark.
    value.split_once(':').map(|(_, name)| name.trim().trim_start_matches('%').to_owned())
}

/// The crate's library, whatever it is called, in whatever directory cargo makes it.
fn rust(directory: &Path, output: &Path) -> Result<PathBuf> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--target", TARGET]);
    cargo.arg("--message-format=json-render-diagnostics");
    // Who builds several plugins has what they share compiled once.
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        cargo.arg("--target-dir").arg(output.join("cargo"));
    }
    let messages = process::answer(cargo.current_dir(directory))
        .with_context(|| {
            format!(
                "if the target is missing: rustup target add {TARGET}; if the SDK cannot be fetched: \
                 waft-plugin-sdk = {{ path = … }} in Cargo.toml, with the way to a copy of waft's sources"
            )
        })?;
    let manifest = directory.join("Cargo.toml");
    let made = messages.lines().filter_map(|line| module(line, &manifest)).next_back();
    made.with_context(|| {
        format!("{} makes no module: write crate-type = [\"cdylib\"]", manifest.display())
    })
}

/// The module that a message of cargo's names, if it is of the crate with that manifest.
fn module(message: &str, manifest: &Path) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let of_crate = message.get("manifest_path")?.as_str()? == manifest.to_str()?;
    let mut files = message.get("filenames").filter(|_| of_crate)?.as_array()?.iter();
    files.find_map(|file| file.as_str().filter(|file| file.ends_with(".wasm"))).map(PathBuf::from)
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
    fn the_module_of_a_crate_is_the_one_that_cargo_names() {
        let message = |manifest: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"manifest_path\":\"{manifest}\",\
                 \"filenames\":[\"/t/liba.rlib\",\"/t/a.wasm\"]}}"
            )
        };
        let manifest = Path::new("/a/Cargo.toml");
        assert_eq!(module(&message("/a/Cargo.toml"), manifest), Some("/t/a.wasm".into()));
        assert_eq!(module(&message("/b/Cargo.toml"), manifest), None);
        assert_eq!(module("{\"reason\":\"build-finished\",\"success\":true}", manifest), None);
        assert_eq!(module("   Compiling a", manifest), None);
    }

    #[test]
    fn a_plugin_has_the_name_of_its_package() {
        assert_eq!(package("// x\npackage example:passive-only;\n").unwrap(), "passive-only");
        assert_eq!(package("package a:b@0.1.0;").unwrap(), "b");
        assert_eq!(package("package a:%list;").unwrap(), "list");
        assert_eq!(package("world plugin {}"), None);
        assert_eq!(assigned("[package]\nname = \"quota\"\n").unwrap(), "quota");
    }
}
