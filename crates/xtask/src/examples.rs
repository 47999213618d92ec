//! `cargo xtask examples`: every example in C, JavaScript and Python becomes a component in
//! `target/plugins/examples/`, beside those in Rust, which are built with the other guests.
//!
//! They are built the way `waft plugin build` does it, two at a time: the tools for JavaScript and
//! Python run for half a minute each, and use one processor.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use waft_plugin_tools::{Language, Tools};

use crate::workspace::Workspace;
use crate::{files, plugins};

/// How many tools run at once.
const AT_ONCE: usize = 2;

/// Builds all examples that are not crates.
///
/// # Errors
/// A tool is missing and cannot be installed, or an example does not build.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let started = Instant::now();
    let tools = Tools::in_directory(workspace.target.join("plugin-tools"));
    let waiting = Mutex::new(all(workspace)?);
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.pop());
    let work = || -> Result<()> {
        while let Some((language, directory)) = next() {
            one(workspace, language, &directory, &tools)
                .with_context(|| format!("cannot build {}", directory.display()))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect::<Result<()>>()
    })?;
    eprintln!("examples: {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn one(workspace: &Workspace, language: Language, directory: &Path, tools: &Tools) -> Result<()> {
    let output = workspace.target.join("examples").join(language.name());
    let built = waft_plugin_tools::build(directory, &output, tools)?;
    let place = place(workspace, &built.name, language);
    files::put(&place, &fs::read(&built.file)?)?;
    let note = if built.is_unchanged { ", unchanged" } else { "" };
    eprintln!("  {}{note}", place.display());
    eprintln!("    imports: {}", built.interfaces.imports.join(" "));
    eprintln!("    exports: {}", built.interfaces.exports.join(" "));
    Ok(())
}

/// Where the component of an example is put.
pub(crate) fn place(workspace: &Workspace, name: &str, language: Language) -> PathBuf {
    plugins::directory(workspace).join("examples").join(format!("{name}-{}.wasm", language.name()))
}

/// The directories `examples/LANGUAGE/NAME`. The last is built first: Python takes longest.
fn all(workspace: &Workspace) -> Result<Vec<(Language, PathBuf)>> {
    let mut found = Vec::new();
    for language in [Language::C, Language::JavaScript, Language::Python] {
        let folder = workspace.root.join("examples").join(language.name());
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let directory = entry?.path();
            if directory.is_dir() {
                found.push((language, directory));
            }
        }
    }
    Ok(found)
}
