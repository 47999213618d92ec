//! Components: code that runs beside the server, from files.

use std::path::{Path, PathBuf};

use super::{At, Findings, directory, duplicates, everyone, file};
use crate::config::Config;

pub(super) fn general(config: &Config, findings: &mut Findings) {
    let plugins = &config.plugins;
    if let Some(path) = &plugins.directory
        && directory(path, At::key(config, "plugins.directory"), findings)
        && everyone(path) & 0o002 != 0
    {
        let message = format!("everyone on this machine can put code here: {}", path.display());
        let remedy = format!("chmod o-w {}", path.display());
        findings.mistake(At::key(config, "plugins.directory"), message, remedy);
    }
    let key = |index: usize| format!("plugins.order.{index}");
    let order = plugins.order.iter().enumerate();
    duplicates(
        order.clone().map(|(index, name)| (name.as_str(), At::key(config, &key(index)))),
        findings,
    );
    for (index, name) in order {
        if !is_known(config, name) {
            let message = format!("no plugin of this name: {name}");
            let remedy = "correct it, or put the component into the plugin directory";
            findings.warn(At::key(config, &key(index)), message, remedy);
        }
    }
}

pub(super) fn is_known(config: &Config, name: &str) -> bool {
    let dropped = config.plugins.directory.iter().any(|d| d.join(format!("{name}.wasm")).exists());
    dropped || config.named_plugins.iter().any(|plugin| plugin.name == name)
}

pub(super) fn named(config: &Config, findings: &mut Findings) {
    let plugins = &config.named_plugins;
    duplicates(
        plugins.iter().map(|p| (p.name.as_str(), At::of(config, &p.key, "name", &p.origin))),
        findings,
    );
    for plugin in plugins {
        let at = |key| At::of(config, &plugin.key, key, &plugin.origin);
        let written = config.origins.contains_key(&format!("{}.path", plugin.key));
        if plugin.path.as_os_str().is_empty() {
            if written {
                continue;
            }
            let remedy = "add path = …, or directory in [plugins]";
            findings.mistake(at("path"), "missing", remedy);
        } else if !written && !plugin.required && !plugin.path.exists() {
            // Whoever drops components into the directory may write their settings first.
            let message = format!("not there yet: {}", plugin.path.display());
            findings.warn(at("name"), message, "put the component there; it is loaded then");
        } else {
            file(&plugin.path, at("path"), "name a component: a file *.wasm", findings);
        }
    }
}

/// Components are code: no client may be able to upload one.
pub(super) fn reach(config: &Config, findings: &mut Findings) {
    let roots = writable_roots(config);
    let reached = |path: &Path| {
        let path = path.canonicalize().ok()?;
        roots.iter().find(|(root, _)| path.starts_with(root))
    };
    let tell = |at: At<'_>, who: &str, findings: &mut Findings| {
        let message = format!("{who} can upload code here: it is within the root of that account");
        findings.mistake(at, message, "move the components out of every root");
    };
    if let Some((_, who)) = config.plugins.directory.as_deref().and_then(reached) {
        tell(At::key(config, "plugins.directory"), who, findings);
    }
    for plugin in &config.named_plugins {
        if let Some((_, who)) = reached(&plugin.path) {
            tell(At::of(config, &plugin.key, "path", &plugin.origin), who, findings);
        }
    }
}

/// Returns the directories in which clients can change files, each with the account that can.
fn writable_roots(config: &Config) -> Vec<(PathBuf, &str)> {
    let users = config.users.iter();
    let users = users.map(|user| (&user.root, user.permissions.can_change(), user.name.as_str()));
    let anonymous = config.anonymous.iter().map(|anonymous| {
        let changes = anonymous.upload || anonymous.permissions.can_change();
        (&anonymous.root, changes, "anonymous")
    });
    users
        .chain(anonymous)
        .filter(|(_, changes, _)| *changes)
        .filter_map(|(root, _, who)| Some((root.canonicalize().ok()?, who)))
        .collect()
}
