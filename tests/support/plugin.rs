//! Components as `cargo xtask plugins` builds them.

use std::path::{Path, PathBuf};

/// A bundled plugin, or a guest of these tests (`tests/NAME`).
pub(crate) fn component(name: &str) -> Vec<u8> {
    let file = directory().join(name).with_extension("wasm");
    std::fs::read(&file).unwrap_or_else(|error| {
        panic!("{}: {error}; run: cargo xtask plugins", file.display());
    })
}

/// A component that does the same as another one, and is not the same file.
pub(crate) fn another(component: &[u8]) -> Vec<u8> {
    // A custom section without a name and without content.
    [component, &[0, 1, 0]].concat()
}

/// The first block of TOML in the README of a bundled plugin: what an operator pastes.
pub(crate) fn pasted(name: &str) -> String {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let readme = std::fs::read_to_string(plugins.join(name).join("README.md")).unwrap();
    let block = readme.split("```toml\n").nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// The tools for JavaScript and Python, as `cargo xtask examples` has fetched them.
pub(crate) fn tools() -> PathBuf {
    directory().join("../plugin-tools")
}

fn directory() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    std::env::var_os("WAFT_PLUGINS").map_or(built, PathBuf::from)
}

/// The same component with another text of the same length in it.
pub(crate) fn with_text(mut component: Vec<u8>, old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut places: Vec<_> = component
        .windows(old.len())
        .enumerate()
        .filter_map(|(at, octets)| (octets == old.as_bytes()).then_some(at))
        .collect();
    assert!(!places.is_empty(), "the component does not hold: {old}");
    for at in places.drain(..) {
        component[at..at + new.len()].copy_from_slice(new.as_bytes());
    }
    component
}
