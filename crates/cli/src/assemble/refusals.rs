//! What is wrong with plugins, and what is said of them in vain: with the place in the configuration,
//! or beside the component, that is to be changed.

use std::path::Path;

use waft_config::{Config, Mistake, Origin, Plugin, PluginFile};
use waft_plugin_host::{Beside, Flaw, HostStatus, LoadError, LoadErrors, Refusal};

use crate::findings::mistake;

/// Tells why plugins are not loaded, with the place in the configuration that brought them in.
pub(crate) fn plugin_mistakes(config: &Config, errors: &LoadErrors) -> Vec<Mistake> {
    errors.0.iter().flat_map(|error| mistakes_of(config, error)).collect()
}

fn mistakes_of(config: &Config, error: &LoadError) -> Vec<Mistake> {
    let remedy = || error.refusal.remedy().unwrap_or_else(|| "replace the file".to_owned());
    match &error.refusal {
        Refusal::Settings(flaws) => flaws.iter().map(told).collect(),
        Refusal::SaidNo(said) => {
            let lines = said.lines().map(|line| {
                let key = setting(line).map_or("config".to_owned(), |key| format!("config.{key}"));
                let message = format!("plugin {}: {line}", error.plugin);
                place(config, Whose::of(error), &key, "plugins.directory", message, remedy())
            });
            lines.collect()
        }
        refusal => {
            let file = error.file.as_ref().map(|file| format!(" ({})", file.display()));
            let message = format!("plugin {}{}: {refusal}", error.plugin, file.unwrap_or_default());
            vec![plugin_mistake(config, error, message, remedy())]
        }
    }
}

fn told(flaw: &Flaw) -> Mistake {
    let Flaw { file, line, column, key, message, remedy } = flaw.clone();
    let origin = Origin { file: file.into(), line, column };
    Mistake { origin, key, message, remedy }
}

/// The setting that a line of a plugin is about: such lines begin with it, or name an unknown one
/// at their end.
fn setting(line: &str) -> Option<&str> {
    let parted = match line.starts_with("unknown key") {
        true => line.rsplit_once(": ").map(|(_, key)| key),
        false => line.split_once(": ").map(|(key, _)| key),
    };
    let is_part = |octet: u8| octet.is_ascii_alphanumeric() || b"._-".contains(&octet);
    parted.filter(|key| !key.is_empty() && key.bytes().all(is_part))
}

fn plugin_mistake(config: &Config, error: &LoadError, message: String, remedy: String) -> Mistake {
    let plugin = named(config, &error.plugin);
    let general = match &error.refusal {
        Refusal::TooManyInstances { .. } => "plugins.limits.instances",
        Refusal::Memory { .. } => "plugins.limits.memory",
        _ => "plugins.directory",
    };
    let own = match &error.refusal {
        Refusal::CompileTime(_) => {
            return mistake(config, "plugins.compile_timeout", message, remedy);
        }
        Refusal::KeptTooLarge { .. } => {
            return mistake(config, "plugins.memory_budget", message, remedy);
        }
        Refusal::NoStorage => {
            let key = holder(config, &error.plugin);
            return mistake(config, &key.unwrap_or_default(), message, remedy);
        }
        Refusal::SettingsTwice { .. } => {
            let key = plugin.map_or(general, |plugin| &plugin.key);
            return mistake(config, key, message, remedy);
        }
        Refusal::NotForShadow { .. } => "shadow".to_owned(),
        Refusal::SharesAlone | Refusal::SharesWaits { .. } => "share".to_owned(),
        Refusal::Pinned { .. } => "sha256".to_owned(),
        Refusal::NotGranted { .. } => "grant".to_owned(),
        Refusal::Url(said) => url(plugin, said),
        Refusal::Store(_) => "grant.kv".to_owned(),
        Refusal::SessionsTooLarge { .. } => "isolation".to_owned(),
        Refusal::TooManyInstances { .. } => "limits.instances".to_owned(),
        Refusal::Memory { .. } => "limits.memory".to_owned(),
        Refusal::AllowsLogins => "on_error".to_owned(),
        _ => "path".to_owned(),
    };
    place(config, Whose::of(error), &own, general, message, remedy)
}

/// A plugin that something is to be said of.
#[derive(Clone, Copy)]
struct Whose<'a> {
    plugin: &'a str,
    file: Option<&'a Path>,
}

impl Whose<'_> {
    fn of(error: &LoadError) -> Whose<'_> {
        Whose { plugin: &error.plugin, file: error.file.as_deref() }
    }
}

/// Points at a key of the plugin, wherever its settings stand; at `general` where it has none.
fn place(
    config: &Config,
    whose: Whose<'_>,
    own: &str,
    general: &str,
    message: String,
    remedy: String,
) -> Mistake {
    if let Some(plugin) = named(config, whose.plugin) {
        return mistake(config, &format!("{}.{own}", plugin.key), message, remedy);
    }
    match beside(config, whose.file) {
        Some(file) => {
            Mistake { origin: file.origin(own).clone(), key: own.to_owned(), message, remedy }
        }
        None => mistake(config, general, message, remedy),
    }
}

fn named<'c>(config: &'c Config, name: &str) -> Option<&'c Plugin> {
    config.named_plugins.iter().find(|plugin| *plugin.name == *name)
}

/// The settings that lie beside a component which nothing else names, where they are valid.
fn beside(config: &Config, component: Option<&Path>) -> Option<PluginFile> {
    let file = Beside::Settings.file_of(component?);
    let octets = file.is_file().then(|| std::fs::read(&file).ok()).flatten()?;
    PluginFile::read(&file, &octets, &config.plugins).ok()
}

/// The URL among those granted that something is wrong with.
fn url(plugin: Option<&Plugin>, said: &str) -> String {
    let urls = plugin.and_then(|plugin| plugin.grant.http.as_deref()).unwrap_or_default();
    match urls.iter().position(|url| said.contains(&**url)) {
        Some(index) => format!("grant.http.{index}"),
        None => "grant.http".to_owned(),
    }
}

/// Who wants files to be in a plugin.
fn holder(config: &Config, plugin: &str) -> Option<String> {
    let mount = config.mounts.iter().find(|mount| mount.plugin == plugin);
    let mount = mount.map(|mount| format!("{}.plugin", mount.key));
    let has_it = |storage: &String| super::storages::plugin_of(storage) == Some(plugin);
    let user = || config.users.iter().find(|user| user.storage.as_ref().is_some_and(has_it));
    mount.or_else(|| user().map(|user| format!("{}.storage", user.key)))
}

/// Tells what the configuration says of plugins in vain: grants that they have no use for, and what
/// is said of hooks that they do not have.
pub(crate) fn idle(config: &Config, status: &HostStatus) -> Vec<Mistake> {
    let mut idle = Vec::new();
    for plugin in &config.named_plugins {
        let Some(status) = status.plugins.iter().find(|it| it.name == plugin.name) else {
            continue;
        };
        for grant in &status.idle_grants {
            let key = format!("{}.grant.{grant}", plugin.key);
            let message = format!("plugin {} has no use for it", plugin.name);
            idle.push(mistake(config, &key, message, "remove it"));
        }
        let limits = plugin.limits.by_hook().map(|(hook, _)| ("limits", hook));
        let policies =
            plugin.on_error_by_hook.by_hook().map(|(hook, _)| ("on_error_by_hook", hook));
        for (section, hook) in limits.into_iter().chain(policies) {
            let key = format!("{}.{section}.{hook}", plugin.key);
            let name = hook.replace('_', "-");
            let has_it = hook == "lifecycle" || status.hooks.contains(&&*name);
            if config.origin(&key).is_some() && !has_it {
                let message = format!("plugin {} has no hook {name}", plugin.name);
                idle.push(mistake(config, &key, message, "remove it"));
            }
        }
    }
    idle
}

/// Tells where plugins may want more instances together than there are.
pub(crate) fn crowded(config: &Config, status: &HostStatus) -> Vec<Mistake> {
    let told = status.crowds.iter().map(|crowd| {
        let plugin = crowd.beyond().unwrap_or_default();
        let file = status.plugins.iter().find(|it| it.name == plugin).map(|it| &*it.file);
        let own = format!("limits.{}", crowd.of);
        let general = format!("plugins.{own}");
        let whose = Whose { plugin, file };
        place(config, whose, &own, &general, crowd.to_string(), crowd.remedy())
    });
    told.collect()
}

/// Tells what there is to look after with the files of plugins that are taken.
pub(crate) fn concerns(config: &Config, status: &HostStatus) -> Vec<Mistake> {
    let told = status.plugins.iter().flat_map(|plugin| {
        let whose = Whose { plugin: &plugin.name, file: Some(&plugin.file) };
        plugin.concerns.iter().map(move |concern| {
            let message = format!("plugin {}: {concern}", plugin.name);
            place(config, whose, "path", "plugins.directory", message, concern.remedy())
        })
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_plugin_tells_its_setting() {
        for (line, key) in [
            ("rules.0.deny: not a list: 5", Some("rules.0.deny")),
            ("unknown key, did you mean deny: den", Some("den")),
            ("unknown key: nonsense", Some("nonsense")),
            ("no such word: deny", None),
            ("it is broken", None),
            (": what", None),
        ] {
            assert_eq!(setting(line), key, "{line}");
        }
    }
}
