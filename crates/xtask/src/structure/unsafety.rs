//! Where `unsafe` may be: nowhere but in the places named here.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// The line that every crate's root has.
const FORBIDDING: &str = "#![forbid(unsafe_code)]";

/// The crates whose roots cannot forbid it.
const CRATES: [(&str, &str); 6] = [
    ("since-0-1-0", "the generated bindings call across the component's boundary"),
    ("since-0-1-1", "the generated bindings call across the component's boundary"),
    ("waft-pages", "discarding memory is the system's to make sound"),
    ("waft-plugin-host", "loading compiled components from its own cache runs what they hold"),
    ("waft-plugin-sdk", "the generated bindings call across the component's boundary"),
    ("waft-scheduling", "how threads are scheduled is asked of the system itself"),
];

/// The files in which it may be.
const FILES: [(&str, &str); 3] = [
    (
        "crates/pages/src/lib.rs",
        "discards memory that was freed, and pages that come back as they were",
    ),
    (
        "crates/plugin-host/src/cache.rs",
        "maps code that this server compiled and has a key for, and tells where it is",
    ),
    ("crates/scheduling/src/lib.rs", "asks the system for a thread's scheduling policy"),
];

/// Kinds of things that cargo builds and that go into the product or make it.
const BUILT: [&str; 5] = ["lib", "rlib", "cdylib", "bin", "proc-macro"];

/// Names every crate root that does not forbid it.
pub(super) fn roots(workspace: &Workspace) -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    for package in &workspace.packages {
        if CRATES.iter().any(|(name, _)| *name == package.name) {
            continue;
        }
        let targets = package.targets.iter();
        let built =
            targets.filter(|target| target.kind.iter().any(|kind| BUILT.contains(&kind.as_str())));
        for target in built {
            let root = &target.src_path;
            let text = fs::read_to_string(root)
                .with_context(|| format!("cannot read {}", root.display()))?;
            if !text.lines().any(|line| line.trim() == FORBIDDING) {
                let shown = root.strip_prefix(&workspace.root).unwrap_or(root);
                breaches.push(format!("{}: {FORBIDDING} is missing", shown.display()));
            }
        }
    }
    Ok(breaches)
}

/// Names every `unsafe` in a file that may have none.
pub(super) fn blocks(path: &Path, code: &str) -> Vec<String> {
    if FILES.iter().any(|(name, _)| Path::new(name) == path) {
        return Vec::new();
    }
    let lines = code.lines().enumerate().filter(|(_, line)| has_keyword(line));
    lines.map(|(number, _)| format!("{}:{}: unsafe", path.display(), number + 1)).collect()
}

fn has_keyword(line: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyword_is_found_and_nothing_like_it() {
        let code = "fn a() { unsafe { b() } }\n#![forbid(unsafe_code)]\nlet unsafely = 1;\n";
        assert_eq!(
            blocks(Path::new("crates/a/src/lib.rs"), code),
            ["crates/a/src/lib.rs:1: unsafe"]
        );
    }

    #[test]
    fn named_files_may_have_it() {
        assert!(blocks(Path::new(FILES[0].0), "unsafe {}").is_empty());
    }
}
