//! `cargo xtask check-structure`: what must not be in this repository.
//!
//! Each check is a table of rules and one function that names every breach. A breach is either
//! mended, or the table is changed in the same commit, with its reason beside it.

mod arrows;
mod code;
mod texts;
mod unsafety;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use waft_plugin_tools::process;

/// Checks everything.
///
/// # Errors
/// All breaches, a line each.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let files = files(&workspace.root)?;
    let mut breaches = arrows::breaches(workspace);
    breaches.extend(unsafety::roots(workspace)?);
    for path in &files {
        breaches.extend(texts::forbidden_file(path));
        // What is no text has no rules for texts.
        let Ok(text) = fs::read_to_string(workspace.root.join(path)) else { continue };
        breaches.extend(texts::machine_paths(path, &text));
        if path.extension().is_some_and(|extension| extension == "rs") {
            let code = code::without_words(&text);
            breaches.extend(unsafety::blocks(path, &code));
            breaches.extend(texts::sleeping_tests(path, &code));
            breaches.extend(texts::beyond_the_crate(path, &code));
        }
    }
    if !breaches.is_empty() {
        bail!("the structure is broken:\n  {}", breaches.join("\n  "));
    }
    eprintln!("check-structure: {} crates, {} files", workspace.packages.len(), files.len());
    Ok(())
}

/// All files that are, or may become, part of the repository, relative to its root.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    if !root.join(".git").exists() {
        let mut files = Vec::new();
        walk(root, Path::new(""), &mut files)?;
        return Ok(files);
    }
    let mut command = Command::new("git");
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let names = process::capture(command.current_dir(root))?;
    let paths = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    // A file may be gone that git still knows.
    Ok(paths.filter(|path| root.join(path).is_file()).collect())
}

/// The files of an unpacked archive, which has no list of them.
fn walk(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(root.join(folder)).context("cannot list the repository")?;
    for entry in entries {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if path != Path::new("target") {
                walk(root, &path, files)?;
            }
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_keeps_its_structure() {
        check(&Workspace::load().unwrap()).unwrap();
    }
}
