//! New plugins: one of the examples under another name, with the interface beside it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::Language;

/// The server's interface, a copy of which lies with every plugin that is not in Rust.
const INTERFACE: &str = include_str!("../../../wit/waft-plugin.wit");

/// Where the kit for Rust is found.
const REPOSITORY: &str = "https://github.com/waft-ftp/waft";

/// What kind of plugin an example shows.
struct Template {
    language: Language,
    hook: &'static str,
    /// The example's name, in the place of which comes the new plugin's.
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
}

/// The files of an example, by their names in its directory.
macro_rules! files {
    ($directory:literal, $($file:literal),+) => {
        &[$(($file, include_str!(concat!("../../../examples/", $directory, "/", $file)))),+]
    };
}

const TEMPLATES: [Template; 7] = [
    Template {
        language: Language::Rust,
        hook: "command-filter",
        name: "passive-only",
        files: files!("rust/passive-only", "src/lib.rs", "scenario.txt"),
    },
    Template {
        language: Language::C,
        hook: "command-filter",
        name: "passive-only",
        files: files!("c/passive-only", "plugin.c", "wit/world.wit", "scenario.txt"),
    },
    Template {
        language: Language::JavaScript,
        hook: "command-filter",
        name: "passive-only",
        files: files!("javascript/passive-only", "plugin.js", "wit/world.wit", "scenario.txt"),
    },
    Template {
        language: Language::Python,
        hook: "command-filter",
        name: "passive-only",
        files: files!("python/passive-only", "plugin.py", "wit/world.wit", "scenario.txt"),
    },
    Template {
        language: Language::C,
        hook: "site-command",
        name: "whoami",
        files: files!("c/whoami", "plugin.c", "wit/world.wit", "scenario.txt"),
    },
    Template {
        language: Language::JavaScript,
        hook: "event-sink",
        name: "webhook",
        files: files!("javascript/webhook", "plugin.js", "wit/world.wit"),
    },
    Template {
        language: Language::Python,
        hook: "authenticator",
        name: "auth-list",
        files: files!("python/auth-list", "plugin.py", "wit/world.wit"),
    },
];

/// Makes a directory with the sources of a new plugin, and returns the files in it.
///
/// # Errors
/// The directory is there already, the name is none, or nothing shows the hook in the language.
pub fn create(
    directory: &Path,
    name: &str,
    language: Language,
    hook: &str,
) -> Result<Vec<PathBuf>> {
    if !is_name(name) {
        bail!("a name is made of small letters, digits and hyphens, a letter first: {name}");
    }
    let mut of_language = TEMPLATES.iter().filter(|template| template.language == language);
    let Some(template) = of_language.clone().find(|template| template.hook == hook) else {
        let hooks: Vec<_> = of_language.by_ref().map(|template| template.hook).collect();
        let language = language.name();
        bail!("no template in {language} for {hook}; there are: {}", hooks.join(", "));
    };
    fs::create_dir(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let renamed = |text: &str| {
        let text = text.replace(template.name, name);
        text.replace(&camel_case(template.name), &camel_case(name))
    };
    let mut files: Vec<(&str, String)> =
        template.files.iter().map(|(file, text)| (*file, renamed(text))).collect();
    files.push((".gitignore", "/build/\n/target/\n__pycache__/\n".to_owned()));
    match language {
        Language::Rust => files.push(("Cargo.toml", manifest(name))),
        _ => files.push(("wit/deps/waft-plugin.wit", INTERFACE.to_owned())),
    }
    let mut written = Vec::new();
    for (file, text) in files {
        let path = directory.join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        written.push(path);
    }
    Ok(written)
}

/// The manifest of a crate that is no part of this repository.
fn manifest(name: &str) -> String {
    format!(
        r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"
description = "A plugin for waft"

[lib]
crate-type = ["cdylib", "rlib"]

[dependencies]
waft-plugin-sdk = {{ git = "{REPOSITORY}" }}

# Small, and stopped by a panic; the names stay, for backtraces of traps.
[profile.release]
opt-level = "s"
lto = "fat"
codegen-units = 1
strip = "debuginfo"
panic = "abort"
"#
    )
}

fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_part)
        && !name.ends_with('-')
        && !name.contains("--")
}

fn camel_case(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_every_language_can_have() {
        assert!(is_name("no-uploads-2"));
        for name in ["", "2go", "a--b", "a-", "Big", "a_b", "../a"] {
            assert!(!is_name(name), "{name}");
        }
        assert_eq!(camel_case("no-uploads-2"), "NoUploads2");
    }

    #[test]
    fn every_template_bears_the_new_name_alone() {
        for template in TEMPLATES {
            let root = std::env::temp_dir();
            let directory =
                root.join(format!("waft-new-{}-{}", std::process::id(), template.language.name()));
            let _ = fs::remove_dir_all(&directory);
            create(&directory, "fresh", template.language, template.hook).unwrap();
            let source = directory.join(template.language.source());
            assert!(fs::read_to_string(source).unwrap().contains("fresh"));
            assert_eq!(Language::of(&directory).unwrap(), template.language);
            for (file, _) in template.files {
                let text = fs::read_to_string(directory.join(file)).unwrap();
                assert!(!text.contains(template.name), "{file}");
            }
            fs::remove_dir_all(&directory).unwrap();
        }
    }

    #[test]
    fn a_hook_without_a_template_is_refused_with_those_that_have_one() {
        let error = create(Path::new("/nowhere"), "a", Language::C, "storage").unwrap_err();
        assert!(error.to_string().ends_with("there are: command-filter, site-command"), "{error}");
    }
}
