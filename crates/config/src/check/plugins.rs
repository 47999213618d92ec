//! Components: code that runs beside the server, from files.

use std::collections::BTreeMap;
use std::path::Path;

use super::storages::PLUGIN;
use super::{At, Findings, directory, duplicates, everyone, file};
use crate::config::Config;
use crate::place::Origin;
use crate::sections::{Instances, Plugin, PluginLimits};
use crate::types::OnError;

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
    instances(&plugins.limits, At::key(config, "plugins.limits.instances"), findings);
    memory(config, &plugins.limits, "plugins.limits.memory", findings);
    for plugin in &config.named_plugins {
        memory(config, &plugin.limits, &format!("{}.limits.memory", plugin.key), findings);
    }
    let key = |index: usize| format!("plugins.order.{index}");
    let order = plugins.order.iter().enumerate();
    duplicates(
        order.clone().map(|(index, name)| (name.as_str(), At::key(config, &key(index)))),
        findings,
    );
    for (index, name) in order {
        if !is_known(config, name) {
            let (message, remedy) = unknown(config, name);
            findings.warn(At::key(config, &key(index)), message, remedy);
        }
    }
}

pub(super) fn is_known(config: &Config, name: &str) -> bool {
    let dropped = config.plugins.directory.iter().any(|d| d.join(format!("{name}.wasm")).exists());
    dropped || config.named_plugins.iter().any(|plugin| plugin.name == name)
}

/// What is said where a plugin is named that is not there.
pub(super) fn unknown(config: &Config, name: &str) -> (String, String) {
    let remedy = match &config.plugins.directory {
        Some(_) => "correct it, or put the component into the plugin directory".to_owned(),
        None => format!("correct it, or add [[plugin]] with name = {name:?} and path = …"),
    };
    (format!("no plugin of this name: {name}"), remedy)
}

pub(super) fn named(config: &Config, findings: &mut Findings) {
    let plugins = &config.named_plugins;
    duplicates(
        plugins.iter().map(|p| (p.name.as_str(), At::of(config, &p.key, "name", &p.origin))),
        findings,
    );
    for plugin in plugins {
        let at = |key| At::of(config, &plugin.key, key, &plugin.origin);
        self::plugin(plugin, &config.origins, findings);
        for (index, path) in plugin.grant.storage.iter().enumerate() {
            let key = format!("{}.grant.storage.{index}", plugin.key);
            granted(path, At::key(config, &key), findings);
        }
        if plugin.grant.durable_events.is_some() && config.server.state.is_none() {
            let remedy = "set state in [server], or take it from the grant";
            findings.mistake(at("grant.durable_events"), "nowhere to keep them", remedy);
        }
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

/// Tells what is wrong with the settings of a plugin, wherever they were written.
pub(crate) fn plugin(plugin: &Plugin, origins: &BTreeMap<String, Origin>, findings: &mut Findings) {
    let at = |key| At::among(origins, &plugin.key, key, &plugin.origin);
    if plugin.on_error_by_hook.authenticator == Some(OnError::Allow) {
        let message = "whoever it fails on would be let in";
        findings.mistake(at("on_error_by_hook.authenticator"), message, "write \"deny\"");
    }
    instances(&plugin.limits, at("limits.instances"), findings);
}

/// A directory that a plugin is granted for the files of its accounts.
fn granted(path: &Path, at: At<'_>, findings: &mut Findings) {
    let here = std::path::absolute(at.origin.resolve(Path::new(""))).unwrap_or_default();
    let written = path.strip_prefix(here).unwrap_or(path);
    if written.as_os_str().as_encoded_bytes().starts_with(PLUGIN.as_bytes()) {
        let message = format!("not a directory: {}", written.display());
        findings.mistake(at, message, "remove it: the storages of plugins need no grant");
    } else {
        directory(path, at, findings);
    }
}

/// Memory that WebAssembly of 32 bits can have.
const MEMORY_MOST: u64 = 4 << 30;

/// Tells of a limit of memory that no instance comes to, where it is written.
fn memory(config: &Config, limits: &PluginLimits, key: &str, findings: &mut Findings) {
    let Some(origin) = config.origins.get(key) else { return };
    let at = At { key: key.to_owned(), origin };
    let budget = config.plugins.memory_budget;
    if limits.memory > MEMORY_MOST {
        findings.mistake(at, "more memory than a component can have", "write \"4GiB\" or less");
    } else if limits.memory > budget {
        let message = "more memory for one instance than memory_budget has for all";
        findings.warn(at, message, "lower it, or raise memory_budget in [plugins]");
    }
}

fn instances(limits: &PluginLimits, at: At<'_>, findings: &mut Findings) {
    let Instances { min, max } = limits.instances;
    if min > max {
        let message = format!("more are kept than there are at most: {min}, {max}");
        findings.mistake(at, message, "lower min, or raise max");
    }
}
