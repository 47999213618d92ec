//! Who may depend on whom.
//!
//! The arrows keep the parts apart: the server knows no plugin engine, the plugin host no server,
//! the protocol neither sockets nor clocks. Later crates (object storage, accounts in a database)
//! hang on `waft-core` like `waft-storage-fs` does: they get a row of their own here.

use crate::workspace::{Dependency, Package, Workspace};

/// A crate, which of ours it may depend on, and which of ours its tests may use beside them.
struct Row {
    package: &'static str,
    uses: &'static [&'static str],
    tests_use: &'static [&'static str],
}

const fn row(
    package: &'static str,
    uses: &'static [&'static str],
    tests_use: &'static [&'static str],
) -> Row {
    Row { package, uses, tests_use }
}

const ARROWS: [Row; 16] = [
    row(
        "waft",
        &[
            "waft-accounts",
            "waft-acme",
            "waft-config",
            "waft-core",
            "waft-mounts",
            "waft-pages",
            "waft-plugin-host",
            "waft-plugin-tools",
            "waft-proto",
            "waft-scheduling",
            "waft-server",
            "waft-storage-fs",
        ],
        &[],
    ),
    // Its sessions are tested over real directories.
    row("waft-server", &["waft-core", "waft-per-cpu", "waft-proto"], &["waft-storage-fs"]),
    // What both name, the host and authors of plugins, is compared in its tests.
    row("waft-plugin-host", &["waft-core", "waft-per-cpu", "waft-proto"], &["waft-plugin-sdk"]),
    // What it composes are real directories in its tests.
    row("waft-mounts", &["waft-core", "waft-proto"], &["waft-storage-fs"]),
    row("waft-storage-fs", &["waft-core", "waft-proto"], &[]),
    row("waft-accounts", &["waft-core"], &["waft-storage-fs"]),
    row("waft-acme", &[], &[]),
    row("waft-config", &[], &[]),
    row("waft-core", &["waft-proto"], &[]),
    row("waft-pages", &[], &[]),
    row("waft-per-cpu", &[], &[]),
    row("waft-proto", &[], &[]),
    row("waft-scheduling", &[], &[]),
    row("waft-plugin-sdk", &[], &[]),
    row("waft-plugin-tools", &[], &[]),
    row("xtask", &["waft-plugin-tools"], &[]),
];

/// What guests may depend on: what they have in common with the server is in `wit/`.
const GUEST_USES: [&str; 1] = ["waft-plugin-sdk"];

/// Crates of others, by the beginning of their names, and the only ones of ours that may use them.
/// The plugin host is a client of the web services that plugins are granted, and of nothing else.
const CONFINED: [(&str, &[&str]); 7] = [
    ("wasmtime", &["waft-plugin-host"]),
    (
        "wit-bindgen",
        &["waft-plugin-sdk", "waft-plugin-tools", "foreigner", "since-0-1-0", "since-0-1-1"],
    ),
    ("cap-std", &["waft-storage-fs"]),
    ("clap", &["waft"]),
    ("rustls", &["waft-server", "waft-plugin-host", "waft-acme", "waft"]),
    ("instant-acme", &["waft-acme"]),
    ("hyper", &["waft-plugin-host", "waft-acme", "waft"]),
];

/// Crates of others, by the beginning of their names, that some of ours must do without.
const WITHOUT: [(&str, &[&str]); 3] = [
    ("waft-proto", &["tokio", "mio", "futures", "async-", "socket2", "rustix", "nix", "libc"]),
    ("waft-core", &["tokio", "mio", "socket2", "rustix", "nix", "libc"]),
    ("waft-config", &["tokio", "mio", "socket2"]),
];

/// Names every dependency that is no arrow.
pub(super) fn breaches(workspace: &Workspace) -> Vec<String> {
    let ours: Vec<&str> = workspace.packages.iter().map(|package| package.name.as_str()).collect();
    let guests = workspace.guests();
    let mut breaches = Vec::new();
    for package in &workspace.packages {
        let is_guest = guests.iter().any(|guest| guest.package.name == package.name);
        let arrows = ARROWS.iter().find(|row| row.package == package.name);
        if arrows.is_none() && !is_guest {
            breaches.push(format!("{}: no row in the table of arrows", package.name));
            continue;
        }
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let allowed = match arrows {
                _ if !ours.contains(&name) => is_allowed_foreign(package, dependency),
                None => GUEST_USES.contains(&name),
                Some(row) => {
                    let is_for_tests = dependency.kind.as_deref() == Some("dev");
                    row.uses.contains(&name) || is_for_tests && row.tests_use.contains(&name)
                }
            };
            if !allowed {
                breaches.push(format!("{} must not depend on {name}", package.name));
            }
        }
    }
    breaches
}

fn is_allowed_foreign(package: &Package, dependency: &Dependency) -> bool {
    let begins = |prefix: &&str| dependency.name.starts_with(*prefix);
    let mut confined = CONFINED.iter().filter(|(prefix, _)| begins(prefix));
    let mut without = WITHOUT.iter().filter(|(name, _)| *name == package.name);
    confined.all(|(_, users)| users.contains(&package.name.as_str()))
        && !without.any(|(_, prefixes)| prefixes.iter().any(begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate and what it depends on, with the kind of each.
    type Crate<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)]);

    fn workspace(packages: &[Crate<'_>]) -> Workspace {
        let packages = packages.iter().map(|(name, dependencies)| {
            let dependencies = dependencies
                .iter()
                .map(|(name, kind)| serde_json::json!({ "name": name, "kind": kind }));
            let folder = if name.starts_with("waft") { "crates" } else { "plugins" };
            serde_json::json!({
                "name": name,
                "manifest_path": format!("/r/{folder}/{name}/Cargo.toml"),
                "rust_version": null,
                "targets": [{ "name": name, "kind": ["cdylib"], "src_path": "lib.rs" }],
                "dependencies": dependencies.collect::<Vec<_>>(),
            })
        });
        serde_json::from_value(serde_json::json!({
            "workspace_root": "/r",
            "target_directory": "/r/target",
            "packages": packages.collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    #[test]
    fn the_server_knows_no_plugin_engine() {
        let workspace = workspace(&[
            ("waft-server", &[("waft-plugin-host", None), ("wasmtime", Some("dev"))]),
            ("waft-plugin-host", &[("waft-server", Some("dev")), ("wasmtime", None)]),
        ]);
        assert_eq!(
            breaches(&workspace),
            [
                "waft-server must not depend on waft-plugin-host",
                "waft-server must not depend on wasmtime",
                "waft-plugin-host must not depend on waft-server",
            ]
        );
    }

    #[test]
    fn tests_may_use_more_where_the_table_says_so() {
        let packages: [Crate<'_>; 2] = [
            ("waft-server", &[("waft-storage-fs", Some("dev"))]),
            ("waft-storage-fs", &[("waft-core", None)]),
        ];
        // The core is not one of these two, so it is as foreign as any other crate.
        assert!(breaches(&workspace(&packages)).is_empty());
        let normal = workspace(&[packages[1], ("waft-server", &[("waft-storage-fs", None)])]);
        assert_eq!(breaches(&normal), ["waft-server must not depend on waft-storage-fs"]);
    }

    #[test]
    fn the_protocol_does_without_sockets() {
        let workspace = workspace(&[("waft-proto", &[("tokio", None), ("bytes", None)])]);
        assert_eq!(breaches(&workspace), ["waft-proto must not depend on tokio"]);
    }

    #[test]
    fn guests_see_the_kit_alone() {
        let workspace = workspace(&[
            ("some-guest", &[("waft-plugin-sdk", None), ("waft-core", None)]),
            ("waft-plugin-sdk", &[]),
            ("waft-core", &[]),
        ]);
        assert_eq!(breaches(&workspace), ["some-guest must not depend on waft-core"]);
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        let mut workspace = workspace(&[("waft-extra", &[])]);
        workspace.packages[0].targets.clear();
        assert_eq!(breaches(&workspace), ["waft-extra: no row in the table of arrows"]);
    }
}
