//! The scenarios beside plugins and examples, played as their readers would play them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::path::{Path, PathBuf};

use support::plugin::component;
use support::site::Site;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path).canonicalize().unwrap()
}

/// The scenarios in a plugin's directory.
fn scenarios(directory: &Path) -> Vec<PathBuf> {
    let more = std::fs::read_dir(directory.join("scenarios")).into_iter().flatten();
    let more = more.map(|entry| entry.unwrap().path());
    let one = directory.join("scenario.txt");
    let mut found: Vec<_> = one.is_file().then_some(one).into_iter().chain(more).collect();
    found.sort();
    found
}

/// Plays all scenarios of a directory with a component, under the plugin's own name.
fn played(directory: &str, name: &str, built: &str) {
    let scenarios = scenarios(&repository(directory));
    assert!(!scenarios.is_empty(), "{directory} has no scenario");
    let site = Site::new("");
    let file = format!("{name}.wasm");
    site.write(&file, component(built));
    let scenarios: Vec<_> = scenarios.iter().map(|path| path.to_str().unwrap()).collect();
    let each = scenarios.iter().flat_map(|path| ["--scenario", path]);
    let arguments: Vec<_> = ["plugin", "test", &file].into_iter().chain(each).collect();
    let finished = site.waft(&arguments, "").succeeded();
    for scenario in scenarios {
        assert!(finished.stderr().contains(&format!("{scenario}: as expected\n")));
    }
}

macro_rules! bundled {
    ($($test:ident: $name:literal,)+) => {
        $(#[test]
        fn $test() {
            played(concat!("plugins/", $name), $name, $name);
        })+
    };
}

bundled! {
    auth_file: "auth-file",
    auth_http: "auth-http",
    checksum: "checksum",
    client_quirks: "client-quirks",
    command_policy: "command-policy",
    encrypt: "encrypt",
    gatekeeper: "gatekeeper",
    memory_storage: "memory-storage",
    reply_texts: "reply-texts",
    upload_rules: "upload-rules",
    webhook_bundled: "webhook",
}

// The same scenario in JavaScript and Python would have the server compile two more engines.
macro_rules! examples {
    ($($test:ident: $language:literal $name:literal,)+) => {
        $(#[test]
        fn $test() {
            let directory = concat!("examples/", $language, "/", $name);
            played(directory, $name, concat!("examples/", $name, "-", $language));
        })+
    };
}

examples! {
    every_minute: "rust" "every-minute",
    guest_login: "rust" "guest-login",
    hello_site: "rust" "hello-site",
    hello_storage: "rust" "hello-storage",
    keep_files: "rust" "keep-files",
    kind_words: "rust" "kind-words",
    kv_storage: "rust" "kv-storage",
    no_empty_files: "rust" "no-empty-files",
    not_from_there: "rust" "not-from-there",
    passive_only: "rust" "passive-only",
    upload_log: "rust" "upload-log",
    passive_only_in_c: "c" "passive-only",
    whoami: "c" "whoami",
    webhook: "javascript" "webhook",
    auth_list: "python" "auth-list",
}

#[test]
fn scenarios_in_the_documentation_go_as_they_are_written() {
    for (page, begins, built) in [
        ("README.md", "login\n> PORT", "examples/passive-only-rust"),
        ("docs/plugins/testing.md", "# A service that", "auth-http"),
    ] {
        let text = std::fs::read_to_string(repository(page)).unwrap();
        let block = text.split("```\n").find(|block| block.starts_with(begins));
        let site = Site::new("");
        site.write("plugin.wasm", component(built));
        site.write("scenario.txt", block.unwrap());
        let arguments = ["plugin", "test", "plugin.wasm", "--scenario", "scenario.txt"];
        site.waft(&arguments, "").succeeded();
    }
}

/// A plugin with scenarios that nobody plays would be one whose scenarios say anything.
#[test]
fn every_directory_with_scenarios_is_played() {
    let source = std::fs::read_to_string(repository("tests/scenarios.rs")).unwrap();
    for folder in
        ["plugins", "examples/rust", "examples/c", "examples/javascript", "examples/python"]
    {
        for entry in std::fs::read_dir(repository(folder)).unwrap() {
            let directory = entry.unwrap().path();
            if directory.is_dir() && !scenarios(&directory).is_empty() {
                let name = directory.file_name().unwrap().to_str().unwrap().to_owned();
                assert!(source.contains(&format!("\"{name}\"")), "{name} is not played");
            }
        }
    }
}
