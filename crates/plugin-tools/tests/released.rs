//! Versions of the interface that were released: their texts never change, and the interface as it is
//! now fits whatever was built for them. `wit/released/README.md` tells how one is added.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use wit_component::semver_check;
use wit_parser::{PackageId, Resolve, WorldId, WorldItem};

/// The SHA-256 of each.
const RELEASED: [(&str, &str); 2] = [
    ("0.1.0", "3cd5a62de2ea72ef573a850dc7a760423f0a887d41421967d6385ddbb18294e4"),
    ("0.1.1", "2deae43df0d245831cc5a9104247929df3c2e4b645da09b984d7b89bfec8b4ab"),
];

/// The world that has everything: what is added to it is no change for anybody.
const EVERYTHING: &str = "all";

fn wit(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../wit").join(name)
}

fn released(version: &str) -> String {
    fs::read_to_string(wit(&format!("released/{version}.wit"))).unwrap()
}

/// The interface as it is now.
fn current() -> String {
    fs::read_to_string(wit("waft-plugin.wit")).unwrap()
}

/// What keeps plugins that were built for the interface `old` from running on `new`, if anything.
fn breach(old: &str, new: &str) -> Result<(), String> {
    let mut resolve = Resolve::default();
    let [old, new] = [("old", old), ("new", new)].map(|(version, text)| {
        // Two packages of one name need two versions; the comparison is about the rest.
        let (start, rest) = text.split_once("package waft:plugin@").expect("a package");
        let (_, rest) = rest.split_once(';').unwrap();
        let text = format!("{start}package waft:plugin@0.1.0-{version};{rest}");
        resolve.push_str(format!("{version}.wit"), &text).map_err(|error| format!("{error:#}"))
    });
    let (old, new) = (old?, new?);
    for (name, world) in resolve.packages[old].worlds.clone() {
        let now = resolve.packages[new].worlds.get(&name).copied();
        let now = now.ok_or_else(|| format!("world {name} is gone"))?;
        same_exports(&resolve, &name, world, now)?;
        let mut pair = resolve.clone();
        if name == EVERYTHING {
            // Its hooks are those of the other worlds.
            [world, now].iter().for_each(|id| pair.worlds[*id].exports.clear());
        }
        semver_check(pair, world, now).map_err(|error| format!("world {name}: {error:#}"))?;
    }
    every_hook_has_a_world(&resolve, old)
}

/// The interfaces that a world exports, each with its functions.
fn exports(resolve: &Resolve, world: WorldId) -> Vec<String> {
    let items = resolve.worlds[world].exports.values();
    let mut names: Vec<_> = items
        .filter_map(|item| match item {
            WorldItem::Interface { id, .. } => {
                let interface = &resolve.interfaces[*id];
                let functions: Vec<_> = interface.functions.keys().map(String::as_str).collect();
                Some(format!("{} with {}", interface.name.as_deref()?, functions.join(" and ")))
            }
            _ => None,
        })
        .collect();
    names.sort();
    names
}

/// Whoever builds for a world has the hooks that it had, which have the functions that they had, and
/// need not have others.
fn same_exports(resolve: &Resolve, name: &str, old: WorldId, new: WorldId) -> Result<(), String> {
    let (old, new) = (exports(resolve, old), exports(resolve, new));
    let gone = old.iter().find(|export| !new.contains(export));
    let added = new.iter().find(|export| !old.contains(export) && name != EVERYTHING);
    match gone.or(added) {
        Some(export) => Err(format!("world {name}: {export} comes or goes")),
        None => Ok(()),
    }
}

/// What is left out of the comparison of [`EVERYTHING`] is compared elsewhere.
fn every_hook_has_a_world(resolve: &Resolve, package: PackageId) -> Result<(), String> {
    let worlds = &resolve.packages[package].worlds;
    let others = worlds.iter().filter(|(name, _)| *name != EVERYTHING);
    let compared: Vec<_> = others.flat_map(|(_, world)| exports(resolve, *world)).collect();
    let all = exports(resolve, worlds[EVERYTHING]);
    match all.iter().find(|hook| !compared.contains(hook)) {
        Some(hook) => Err(format!("no world has the hook alone: {hook}")),
        None => Ok(()),
    }
}

#[test]
fn the_text_of_a_released_version_never_changes() {
    let files = fs::read_dir(wit("released")).unwrap().map(|file| file.unwrap().file_name());
    let files = files.filter_map(|name| name.to_str()?.strip_suffix(".wit").map(str::to_owned));
    let mut files: Vec<_> = files.collect();
    files.sort();
    assert_eq!(files, RELEASED.map(|(version, _)| version.to_owned()));
    for (version, digest) in RELEASED {
        let found: String =
            Sha256::digest(released(version)).iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(found, digest, "{version}: what was released stays as it was");
        assert!(released(version).contains(&format!("package waft:plugin@{version};")));
    }
}

#[test]
fn whatever_was_built_for_a_released_version_fits_the_interface_as_it_is() {
    for (version, _) in RELEASED {
        assert_eq!(breach(&released(version), &current()), Ok(()), "{version}");
    }
}

#[test]
fn every_released_version_has_a_guest() {
    for (version, _) in RELEASED {
        let guest = format!("../tests/guests/since-{}/src/lib.rs", version.replace('.', "-"));
        let source = fs::read_to_string(wit(&guest)).unwrap();
        assert!(source.contains(&format!("wit/released/{version}.wit")), "{guest}");
    }
}

/// The interface with one thing changed.
fn with(old: &str, new: &str) -> String {
    let text = current();
    assert_eq!(text.matches(old).count(), 1, "{old}");
    text.replace(old, new)
}

#[test]
fn what_may_be_added_is_no_breach() {
    let getter =
        with("cwd: func() -> string;", "cwd: func() -> string;\n locale: func() -> string;");
    let function =
        with("now-ms: func() -> u64;", "now-ms: func() -> u64;\n zone: func() -> string;");
    let service =
        with("world base {", "interface more { more: func(); }\nworld base {\n import more;");
    let hook = with(
        "/// Everything; what",
        "interface more { on-more: func(); }\nworld with-more { include base; export more; }\n\
         /// Everything; what",
    );
    let hook = hook.replace("  export timer;\n}", "  export timer;\n  export more;\n}");
    for text in [current(), getter, function, service, hook] {
        assert_eq!(breach(&current(), &text), Ok(()));
    }
}

#[test]
fn whatever_else_changes_is_a_breach() {
    for (old, new) in [
        // A record, a variant, an enumeration and flags that something is added to.
        ("record reply { code: u16,", "record reply { code: u16, more: u8,"),
        ("    need-account,", "    need-account,\n    need-more,"),
        ("enum direction { upload, download }", "enum direction { upload, download, both }"),
        ("set-modified, free-space }", "set-modified, free-space, more }"),
        // A hook with another function, or one more, or one less.
        ("on-connect: func(s: borrow<session>)", "on-connect: func(s: borrow<session>, more: u8)"),
        ("on-timer: func(name: string);", "on-timer: func(name: string);\n more: func();"),
        ("  init: func() -> result<_, string>;\n", ""),
        // A service with less, or another.
        ("    remote-port: func() -> u16;\n", ""),
        ("now-ms: func() -> u64;", "now-ms: func() -> u32;"),
        // A hook that a world has no more, or has besides, and a world that is gone.
        ("include base; export timer; }", "include base; }"),
        ("include base; export timer; }", "include base; export timer; export storage; }"),
        ("world with-timer {", "world with-timers {"),
    ] {
        let breach = breach(&current(), &with(old, new));
        assert!(breach.is_err(), "{old} -> {new}");
    }
}
