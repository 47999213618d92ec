//! Where files are that are not in an account's own directory: storages of plugins, mounts, and the
//! quarantine.

use std::path::Path;

use super::plugins::{is_known, unknown};
use super::{At, Findings, directory, duplicates};
use crate::config::Config;
use crate::sections::User;

/// What goes before the name of a plugin.
pub(super) const PLUGIN: &str = "plugin:";

/// Every account has one place for its files.
pub(super) fn users(config: &Config, findings: &mut Findings) {
    for user in &config.users {
        let at = |key| At::of(config, &user.key, key, &user.origin);
        let has_root = !user.root.as_os_str().is_empty();
        match (&user.storage, has_root) {
            (None, true) => {
                directory(&user.root, at("root"), findings);
            }
            (None, false) => {
                findings.mistake(
                    at("root"),
                    "missing",
                    "add root = …, or storage = \"plugin:NAME\"",
                );
            }
            (Some(storage), _) => match storage.strip_prefix(PLUGIN) {
                Some(name) if !name.is_empty() => {
                    plugin(config, name, at("storage"), findings);
                    if !is_within(user) {
                        let message = "not a path in the storage of a plugin";
                        let remedy = "write it from the root of that storage, as in \"/in\"";
                        findings.mistake(at("root"), message, remedy);
                    }
                }
                _ => {
                    let message = format!("not the storage of a plugin: {storage}");
                    let remedy = "write storage = \"plugin:NAME\", or root = … for a directory";
                    findings.mistake(at("storage"), message, remedy);
                }
            },
        }
    }
}

/// Whether the root is a path in the storage of a plugin. A relative one has become one of this
/// machine: whoever wrote it meant another directory than it would be.
fn is_within(user: &User) -> bool {
    let here = std::path::absolute(user.origin.resolve(Path::new(".")));
    let is_relative = here.is_ok_and(|here| here.parent().is_some() && user.root.starts_with(here));
    let text = user.root.as_os_str().as_encoded_bytes();
    !is_relative && !text.iter().any(u8::is_ascii_control)
}

/// Mount points are there once each, and none hides everything.
pub(super) fn mounts(config: &Config, findings: &mut Findings) {
    let paths = config.mounts.iter().map(|mount| {
        let path = mount.path.trim_end_matches('/');
        (path, At::of(config, &mount.key, "path", &mount.origin))
    });
    duplicates(paths, findings);
    for mount in &config.mounts {
        if mount.path.split('/').all(str::is_empty) {
            let remedy = "name a directory; an account whose files are all in a plugin has \
                          storage = \"plugin:NAME\"";
            let here = At::of(config, &mount.key, "path", &mount.origin);
            findings.mistake(here, "nothing can be mounted at the root", remedy);
        }
        let here = At::of(config, &mount.key, "plugin", &mount.origin);
        plugin(config, &mount.plugin, here, findings);
    }
}

/// Whoever drops components into the directory may name their storages first.
fn plugin(config: &Config, name: &str, at: At<'_>, findings: &mut Findings) {
    if !is_known(config, name) {
        let (message, remedy) = unknown(config, name);
        match config.plugins.directory {
            Some(_) => findings.warn(at, message, remedy),
            None => findings.mistake(at, message, remedy),
        }
    }
}

/// What is kept away has a place, which is not for clients ([`reach`](super::reach)).
pub(super) fn quarantine(config: &Config, findings: &mut Findings) {
    if let Some(path) = &config.plugins.quarantine {
        directory(path, At::key(config, "plugins.quarantine"), findings);
    }
    for plugin in &config.named_plugins {
        if let Some(path) = &plugin.quarantine {
            directory(path, At::of(config, &plugin.key, "quarantine", &plugin.origin), findings);
        }
    }
}
