//! New plugins: what shows a hook in a language, under another name, with the interface, a scenario
//! and what builds and tests it. Everything is in the program: nothing is fetched.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wit_bindgen_core::wit_parser::Resolve;

use crate::Language;

/// The server's interface, a copy of which lies with every plugin that is not in Rust.
const INTERFACE: &str = include_str!("../../../wit/waft-plugin.wit");

/// Where the kit for Rust is found.
const REPOSITORY: &str = "https://github.com/waft-ftp/waft";

/// What shows a hook in a language.
struct Template {
    language: Language,
    hook: &'static str,
    /// The example's name, in the place of which comes the new plugin's.
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
}

/// One of the examples; its files by their names in its directory.
macro_rules! example {
    ($language:ident, $hook:literal, $directory:literal, $name:literal, $($file:literal),+) => {
        Template {
            language: Language::$language,
            hook: $hook,
            name: $name,
            files: &[$((
                $file,
                include_str!(concat!("../../../examples/", $directory, "/", $name, "/", $file)),
            )),+],
        }
    };
}

/// The same as the example in Rust of that name, in another language.
macro_rules! template {
    ($language:ident, $hook:literal, $directory:literal, $name:literal, $($file:literal),+) => {
        Template {
            language: Language::$language,
            hook: $hook,
            name: $name,
            files: &[
                $((
                    $file,
                    include_str!(concat!("../templates/", $directory, "/", $hook, "/", $file)),
                ),)+
                (
                    "scenario.txt",
                    include_str!(concat!("../../../examples/rust/", $name, "/scenario.txt")),
                ),
            ],
        }
    };
}

const TEMPLATES: [Template; 40] = [
    example!(Rust, "connection-filter", "rust", "not-from-there", "src/lib.rs", "scenario.txt"),
    example!(Rust, "command-filter", "rust", "passive-only", "src/lib.rs", "scenario.txt"),
    example!(Rust, "reply-filter", "rust", "kind-words", "src/lib.rs", "scenario.txt"),
    example!(
        Rust,
        "authenticator",
        "rust",
        "guest-login",
        "src/lib.rs",
        "scenario.txt",
        "plugin.toml"
    ),
    example!(Rust, "file-filter", "rust", "keep-files", "src/lib.rs", "scenario.txt"),
    example!(Rust, "content-filter", "rust", "no-empty-files", "src/lib.rs", "scenario.txt"),
    example!(Rust, "storage", "rust", "hello-storage", "src/lib.rs", "scenario.txt"),
    example!(Rust, "event-sink", "rust", "upload-log", "src/lib.rs", "scenario.txt"),
    example!(Rust, "site-command", "rust", "hello-site", "src/lib.rs", "scenario.txt"),
    example!(Rust, "timer", "rust", "every-minute", "src/lib.rs", "scenario.txt"),
    template!(C, "connection-filter", "c", "not-from-there", "plugin.c"),
    example!(C, "command-filter", "c", "passive-only", "plugin.c", "wit/world.wit", "scenario.txt"),
    template!(C, "reply-filter", "c", "kind-words", "plugin.c"),
    template!(C, "authenticator", "c", "guest-login", "plugin.c"),
    template!(C, "file-filter", "c", "keep-files", "plugin.c"),
    template!(C, "content-filter", "c", "no-empty-files", "plugin.c"),
    template!(C, "storage", "c", "hello-storage", "plugin.c"),
    template!(C, "event-sink", "c", "upload-log", "plugin.c"),
    example!(C, "site-command", "c", "whoami", "plugin.c", "wit/world.wit", "scenario.txt"),
    template!(C, "timer", "c", "every-minute", "plugin.c"),
    template!(JavaScript, "connection-filter", "javascript", "not-from-there", "plugin.js"),
    example!(
        JavaScript,
        "command-filter",
        "javascript",
        "passive-only",
        "plugin.js",
        "wit/world.wit",
        "scenario.txt"
    ),
    template!(JavaScript, "reply-filter", "javascript", "kind-words", "plugin.js"),
    template!(JavaScript, "authenticator", "javascript", "guest-login", "plugin.js"),
    template!(JavaScript, "file-filter", "javascript", "keep-files", "plugin.js"),
    template!(JavaScript, "content-filter", "javascript", "no-empty-files", "plugin.js"),
    template!(JavaScript, "storage", "javascript", "hello-storage", "plugin.js"),
    example!(
        JavaScript,
        "event-sink",
        "javascript",
        "webhook",
        "plugin.js",
        "wit/world.wit",
        "scenario.txt",
        "plugin.toml"
    ),
    template!(JavaScript, "site-command", "javascript", "hello-site", "plugin.js"),
    template!(JavaScript, "timer", "javascript", "every-minute", "plugin.js"),
    template!(Python, "connection-filter", "python", "not-from-there", "plugin.py"),
    example!(
        Python,
        "command-filter",
        "python",
        "passive-only",
        "plugin.py",
        "wit/world.wit",
        "scenario.txt"
    ),
    template!(Python, "reply-filter", "python", "kind-words", "plugin.py"),
    example!(
        Python,
        "authenticator",
        "python",
        "auth-list",
        "plugin.py",
        "wit/world.wit",
        "scenario.txt",
        "plugin.toml"
    ),
    template!(Python, "file-filter", "python", "keep-files", "plugin.py"),
    template!(
        Python,
        "content-filter",
        "python",
        "no-empty-files",
        "plugin.py",
        "content_filter.py"
    ),
    template!(Python, "storage", "python", "hello-storage", "plugin.py", "storage.py"),
    template!(Python, "event-sink", "python", "upload-log", "plugin.py"),
    template!(Python, "site-command", "python", "hello-site", "plugin.py"),
    template!(Python, "timer", "python", "every-minute", "plugin.py"),
];

/// What lies beside those that have nothing of that name.
const SETTINGS: (&str, &str) =
    ("plugin.toml", include_str!("../../../examples/rust/guest-login/plugin.toml"));
const SUPPORT: (&str, &str) = ("support.h", include_str!("../templates/c/support.h"));

/// Makes a directory with the sources of a new plugin, and returns the files in it.
///
/// Any name will do that is one: nothing in the sources is called by it alone.
///
/// # Errors
/// The directory is there already, the name is none, or there is no such hook.
pub fn create(
    directory: &Path,
    name: &str,
    language: Language,
    hook: &str,
) -> Result<Vec<PathBuf>> {
    if !is_name(name) {
        let proposal = proposed(name).map(|name| format!("; such as {name}")).unwrap_or_default();
        bail!(
            "a name is made of at most {NAME_LENGTH_MAX} small letters, digits and hyphens, and each \
             word in it begins with a letter: {name}{proposal}"
        );
    }
    let mut of_language = TEMPLATES.iter().filter(|template| template.language == language);
    let Some(template) = of_language.clone().find(|template| template.hook == hook) else {
        let hooks: Vec<_> = of_language.by_ref().map(|template| template.hook).collect();
        bail!("no such hook: {hook}; there are: {}", hooks.join(", "));
    };
    fs::create_dir(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut written = Vec::new();
    for (file, text) in files(template, name) {
        let path = directory.join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        written.push(path);
    }
    make_executable(&directory.join(BUILD))?;
    Ok(written)
}

/// The files of a new plugin.
fn files(template: &Template, name: &str) -> Vec<(&'static str, String)> {
    let Template { language, hook, .. } = template;
    let package = format!("package example:{}", template.name);
    let renamed = |text: &str| {
        let text = text.replace(&package, &format!("package example:{}", wit_name(name)));
        let text = text.replace(template.name, name);
        match language {
            Language::Rust => text.replace(&camel_case(template.name), &type_name(name)),
            _ => text,
        }
    };
    let has = |wanted: &str| template.files.iter().any(|(file, _)| *file == wanted);
    let is_by_settings = *hook == "authenticator" && !has(SETTINGS.0);
    let support = (*language == Language::C && !has("wit/world.wit")).then_some(&SUPPORT);
    let given = template.files.iter().chain(support).chain(is_by_settings.then_some(&SETTINGS));
    let mut files: Vec<_> = given.map(|(file, text)| (*file, renamed(text))).collect();
    files.push((".gitignore", "/build/\n/target/\n__pycache__/\n".to_owned()));
    let has_settings = files.iter().any(|(file, _)| *file == SETTINGS.0);
    files.push(("README.md", readme(name, hook, *language, has_settings)));
    files.push((BUILD, "#!/bin/sh\nexec waft plugin build \"$(dirname \"$0\")\"\n".to_owned()));
    files.push((".github/workflows/plugin.yml", workflow(*language)));
    match language {
        Language::Rust => files.push(("Cargo.toml", manifest(name))),
        _ => files.push(("wit/deps/waft-plugin.wit", INTERFACE.to_owned())),
    }
    if *language != Language::Rust && !has("wit/world.wit") {
        files.push(("wit/world.wit", world(name, hook)));
    }
    files
}

/// What builds a plugin.
const BUILD: &str = "build.sh";

#[cfg(unix)]
fn make_executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = fs::Permissions::from_mode(0o755);
    fs::set_permissions(file, permissions).with_context(|| file.display().to_string())
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<()> {
    Ok(())
}

fn readme(name: &str, hook: &str, language: Language, has_settings: bool) -> String {
    let language = language.name();
    let settings = if has_settings { " --settings plugin.toml" } else { "" };
    format!(
        "# {name}\n\n\
         A plugin for [waft]({REPOSITORY}) in {language}, with the hook `{hook}`.\n\n\
         ```sh\n\
         waft plugin build .                         # or ./build.sh: makes build/{name}.wasm\n\
         waft plugin test .                          # plays scenario.txt\n\
         waft plugin run .                           # serves with it, built anew when it changes\n\
         waft plugin check build/{name}.wasm{settings}   # whether a server takes it, and with which grants\n\
         ```\n\n\
         Put `build/{name}.wasm` into the folder of plugins, and what it needs into the server's\n\
         configuration:\n\n\
         ```toml\n\
         [[plugin]]\n\
         name = \"{name}\"\n\
         ```\n"
    )
}

/// What GitHub runs.
fn workflow(language: Language) -> String {
    let tools = match language {
        Language::Rust => "rustup target add wasm32-unknown-unknown",
        Language::C => "sudo apt-get update && sudo apt-get install -y clang lld wasi-libc",
        Language::JavaScript => "node --version",
        Language::Python => "python3 --version",
    };
    format!(
        "name: plugin\n\
         on: [push, pull_request]\n\
         jobs:\n\
         \x20 test:\n\
         \x20   runs-on: ubuntu-latest\n\
         \x20   steps:\n\
         \x20     - uses: actions/checkout@v4\n\
         \x20     - run: {tools}\n\
         \x20     - run: cargo install --locked --git {REPOSITORY} waft\n\
         \x20     - run: waft plugin test .\n"
    )
}

fn world(name: &str, hook: &str) -> String {
    let name = wit_name(name);
    format!(
        "package example:{name};\n\n\
         /// What the plugin is; services that it uses beyond what every plugin has, such as\n\
         /// `import waft:plugin/kv@0.1.1;`, come here, too.\n\
         world plugin {{\n  include waft:plugin/with-{hook}@0.1.1;\n}}\n"
    )
}

/// The manifest of a crate that is no part of this repository, nor of another that it lies in. Its
/// library has a name of its own: that of the package may be a keyword, or that of another crate.
fn manifest(name: &str) -> String {
    let library = format!("{}_plugin", stem(name).replace('-', "_"));
    format!(
        r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"
description = "A plugin for waft"

[lib]
name = "{library}"
crate-type = ["cdylib", "rlib"]

[dependencies]
waft-plugin-sdk = {{ git = "{REPOSITORY}" }}

# A workspace of its own, wherever it lies.
[workspace]

# Small, and stopped by a panic; the names stay, for backtraces of traps.
[profile.release]
opt-level = 2
lto = "fat"
codegen-units = 1
strip = "debuginfo"
panic = "abort"
"#
    )
}

/// The longest name: directories, files and crates are called by it, with more behind.
const NAME_LENGTH_MAX: usize = 64;

/// Whether a package in WIT can bear the name, as the tools of every language read it: there are
/// some that take no word that begins with a digit.
fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(is_part)
    };
    name.len() <= NAME_LENGTH_MAX && name.split('-').all(is_word)
}

/// A name that is like what is none.
fn proposed(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name = String::new();
    for word in words {
        if !name.is_empty() && word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            name.push('-');
        }
        name.push_str(&word.to_ascii_lowercase());
    }
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    is_name(name).then(|| name.to_owned())
}

/// The name in WIT, where keywords stand behind a mark.
fn wit_name(name: &str) -> String {
    let package = format!("package example:{name};\n\nworld plugin {{}}\n");
    let is_keyword = Resolve::default().push_str("world.wit", &package).is_err();
    if is_keyword { format!("%{name}") } else { name.to_owned() }
}

/// The name of the type in Rust that is the plugin: nothing that it uses is called so, nor is it a
/// keyword.
fn type_name(name: &str) -> String {
    format!("{}Plugin", camel_case(stem(name)))
}

/// The name without what is put behind it anyway.
fn stem(name: &str) -> &str {
    name.strip_suffix("-plugin").unwrap_or(name)
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
        assert!(is_name("no-uploads2"));
        for name in ["", "2go", "a--b", "a-", "-a", "a-2", "Big", "a_b", "../a"] {
            assert!(!is_name(name), "{name}");
        }
        assert_eq!(camel_case("no-uploads2"), "NoUploads2");
    }

    #[test]
    fn what_is_no_name_is_refused_with_one_that_is() {
        let refused = |name: &str| {
            let refused = create(Path::new("/nowhere"), name, Language::Rust, "timer");
            refused.unwrap_err().to_string()
        };
        let rule = "a name is made of at most 64 small letters, digits and hyphens, and each word in \
                    it begins with a letter";
        assert_eq!(refused("My_Plugin"), format!("{rule}: My_Plugin; such as my-plugin"));
        assert_eq!(refused("2-go"), format!("{rule}: 2-go; such as go"));
        assert_eq!(refused("sha-256-sums"), format!("{rule}: sha-256-sums; such as sha256-sums"));
        assert_eq!(refused("..."), format!("{rule}: ..."));
        let long = "a".repeat(65);
        assert_eq!(refused(&long), format!("{rule}: {long}"));
    }

    #[test]
    fn a_name_is_no_name_of_anything_else() {
        assert_eq!(type_name("self"), "SelfPlugin");
        assert_eq!(type_name("no-active-plugin"), "NoActivePlugin");
        assert_eq!(type_name("plugin"), "PluginPlugin");
        assert!(manifest("std").contains("\nname = \"std\"\n"));
        assert!(manifest("std").contains("[lib]\nname = \"std_plugin\"\n"));
    }

    #[test]
    fn keywords_of_wit_stand_behind_a_mark() {
        for name in ["list", "map", "from", "interface", "world", "stream", "use", "u8", "package"]
        {
            assert_eq!(wit_name(name), format!("%{name}"));
            for template in TEMPLATES.iter().filter(|template| template.language != Language::Rust)
            {
                let all = files(template, name);
                let (_, world) = all.iter().find(|(file, _)| *file == "wit/world.wit").unwrap();
                assert!(world.starts_with(&format!("package example:%{name};")), "{world}");
            }
        }
        for name in ["lists", "my-list", "plugin", "on", "waft", "no-uploads2"] {
            assert_eq!(wit_name(name), name);
        }
    }

    #[test]
    fn every_hook_has_a_template_in_every_language() {
        let declared = INTERFACE.lines().filter_map(|line| line.strip_prefix("world with-"));
        let hooks: Vec<_> = declared.filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(hooks.len(), 10);
        for language in Language::ALL {
            let of_language = TEMPLATES.iter().filter(|template| template.language == language);
            assert_eq!(of_language.map(|template| template.hook).collect::<Vec<_>>(), hooks);
        }
    }

    #[test]
    fn every_template_bears_the_new_name_alone() {
        for template in &TEMPLATES {
            let (language, hook) = (template.language, template.hook);
            let directory = std::env::temp_dir().join(format!(
                "waft-new-{}-{}-{hook}",
                std::process::id(),
                language.name()
            ));
            let _ = fs::remove_dir_all(&directory);
            create(&directory, "fresh", language, hook).unwrap();
            assert_eq!(Language::of(&directory).unwrap(), language);
            for (file, text) in files(template, "fresh") {
                assert_eq!(fs::read_to_string(directory.join(file)).unwrap(), text);
                let is_named = text.contains(template.name);
                assert!(!is_named, "{} {hook} {file}", language.name());
            }
            let package = match language {
                Language::Rust => "Cargo.toml",
                _ => "wit/world.wit",
            };
            let package = fs::read_to_string(directory.join(package)).unwrap();
            assert!(package.contains("fresh"), "{package}");
            fs::remove_dir_all(&directory).unwrap();
        }
    }

    #[test]
    fn a_hook_that_is_none_is_refused_with_those_that_there_are() {
        let error = create(Path::new("/nowhere"), "a", Language::C, "nonsense").unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with("no such hook: nonsense; there are: connection-filter, "));
    }
}
