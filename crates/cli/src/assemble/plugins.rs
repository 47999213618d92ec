//! Plugins: what the configuration says about them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use waft_config::{
    Config, Mistake, Node, Origin, Plugin, PluginFile, PluginLimits, Plugins, Reachable, Value,
};
use waft_plugin_host::{
    CallLimits, Changed, ClientReach, Flaw, Grants, Hook, HostSettings, HttpGrant, Isolation,
    KvGrant, Limits, Listed, OnError, OnLoadError, PluginSettings, Reached, Secret, SettingsReader,
    Unlisted,
};

use super::signer::signer;
use super::{bytes, count};
use crate::failure::Failure;
use crate::process;

/// Translates everything about plugins, and reads the secrets that they are granted.
///
/// # Errors
///
/// All secrets that cannot be had.
pub(crate) fn host_settings(config: &Config) -> Result<HostSettings, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let plugins = config.named_plugins.iter().map(|plugin| PluginSettings {
        grants: grants(plugin, &mut mistakes),
        path: path(plugin, config),
        written: Some(plugin.origin.file.to_path_buf()),
        ..settings(plugin)
    });
    let plugins = plugins.collect();
    let signer = signer(config).unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        None
    });
    let settings = HostSettings {
        directory: config.plugins.directory.clone(),
        plugins,
        storages: super::storages::of_plugins(config),
        signer,
        dropped_in: PluginSettings {
            on_error: on_error(config.plugins.on_error),
            on_load_error: on_load_error(config.plugins.on_load_error),
            limits: limits(&config.plugins.limits),
            ..PluginSettings::named("")
        },
        beside: Some(reader(&config.plugins)),
        unlisted: match config.plugins.unlisted {
            waft_config::Unlisted::Off => Unlisted::Off,
            waft_config::Unlisted::HooksOnly => Unlisted::HooksOnly,
            waft_config::Unlisted::On => Unlisted::On,
        },
        order: config.plugins.order.clone(),
        state: config.server.state.clone(),
        run_as: config.server.run_as.as_deref().and_then(process::number_of),
        clients: Some(clients(config)),
        memory_budget: config.plugins.memory_budget,
        sessions: config.limits.sessions.map(|sessions| count(Some(sessions))),
        probation: config.plugins.probation.unwrap_or_default(),
        drain_timeout: config.plugins.drain_timeout,
        compiler: process::compiler(),
        compile_timeout: config.plugins.compile_timeout,
        rehearsal: false,
        self_test: None,
        compiled: Vec::new(),
        debounce: config.plugins.debounce,
        poll: config.plugins.poll.unwrap_or(Duration::MAX),
    };
    if mistakes.is_empty() { Ok(settings) } else { Err(mistakes) }
}

/// Knows what clients reach.
fn clients(config: &Config) -> ClientReach {
    let reachable = Reachable::of(config);
    let same = reachable.clone();
    let reached = move |file: &Path| {
        let waft_config::Reached { end, message, remedy } = reachable.reached(file)?;
        Some(Reached { end, message, remedy })
    };
    ClientReach::new(reached, move |device| {
        let waft_config::Changed { root, who } = same.changed_on(device)?;
        Some(Changed { root, who })
    })
}

/// Reads the settings that lie beside components.
fn reader(general: &Plugins) -> SettingsReader {
    let general = general.clone();
    SettingsReader::new(move |file, octets| {
        let read = PluginFile::read(file, octets, &general);
        read.map(|read| settings(&read.plugin))
            .map_err(|wrong| wrong.mistakes.into_iter().map(flaw).collect())
    })
}

/// Reads settings that lie beside a component, where no server looks at it.
///
/// # Errors
///
/// They cannot be read, or have mistakes.
pub(crate) fn settings_in(file: &Path, general: &Plugins) -> Result<PluginSettings, Failure> {
    let octets = std::fs::read(file).with_context(|| file.display().to_string())?;
    let written = Some(file.to_owned());
    let read = PluginFile::read(file, &octets, general)?;
    Ok(PluginSettings { written, listed: Listed::Beside, ..settings(&read.plugin) })
}

fn flaw(mistake: Mistake) -> Flaw {
    let Mistake { origin: Origin { file, line, column }, key, message, remedy } = mistake;
    Flaw { file: file.to_path_buf(), line, column, key, message, remedy }
}

/// The component's file; none where the operator leaves it to the directory of plugins.
fn path(plugin: &Plugin, config: &Config) -> Option<PathBuf> {
    let written = config.origin(&format!("{}.path", plugin.key)).is_some();
    (written || config.plugins.directory.is_none()).then(|| plugin.path.clone())
}

fn settings(plugin: &Plugin) -> PluginSettings {
    PluginSettings {
        on_error: on_error(plugin.on_error),
        on_error_by_hook: by_hook(plugin.on_error_by_hook.by_hook())
            .filter_map(|(hook, policy)| Some((hook, on_error(policy?))))
            .collect(),
        isolation: match plugin.isolation {
            waft_config::Isolation::Pool => Isolation::Pool,
            waft_config::Isolation::Session => Isolation::Session,
            waft_config::Isolation::Call => Isolation::Call,
        },
        share: count(Some(plugin.share)),
        on_load_error: on_load_error(plugin.on_load_error),
        sha256: plugin.sha256.clone(),
        shadow: plugin.shadow,
        canary_percent: plugin.canary,
        required: plugin.required,
        priority: i32::try_from(plugin.priority).unwrap_or(i32::MAX),
        limits: limits(&plugin.limits),
        config: plugin.config.flattened().to_vec(),
        ..PluginSettings::named(plugin.name.as_str())
    }
}

fn on_error(policy: waft_config::OnError) -> OnError {
    match policy {
        waft_config::OnError::Deny => OnError::Deny,
        waft_config::OnError::Allow => OnError::Allow,
    }
}

fn on_load_error(policy: waft_config::OnLoadError) -> OnLoadError {
    match policy {
        waft_config::OnLoadError::RefuseStart => OnLoadError::Refuse,
        waft_config::OnLoadError::Disable => OnLoadError::Disable,
    }
}

/// What keys say of hooks; keys have underscores.
fn by_hook<T, const N: usize>(keys: [(&str, T); N]) -> impl Iterator<Item = (Hook, T)> {
    let named = |(key, said): (&str, T)| Some((Hook::from_name(&key.replace('_', "-"))?, said));
    keys.into_iter().filter_map(named)
}

fn limits(limits: &PluginLimits) -> Limits {
    Limits {
        memory: bytes(limits.memory),
        cpu: limits.cpu,
        wall: limits.wall,
        by_hook: by_hook(limits.by_hook())
            .map(|(hook, own)| (hook, CallLimits { cpu: own.cpu, wall: own.wall }))
            .collect(),
        queue: limits.queue,
        instances_min: count(Some(limits.instances.min)),
        instances_max: count(Some(limits.instances.max)),
        sessions_max: count(Some(limits.sessions)),
        transfers_max: count(Some(limits.transfers)),
        instance_calls: limits.instance_calls.into(),
        instance_age: limits.instance_age,
        instance_idle: limits.instance_idle,
        log_lines: limits.log_lines,
        remembered_commands: count(Some(limits.remembered_commands)),
    }
}

fn grants(plugin: &Plugin, mistakes: &mut Vec<Mistake>) -> Grants {
    let granted = &plugin.grant;
    Grants {
        durable_events: granted.durable_events,
        kv: granted.kv.as_ref().map(|kv| KvGrant { bytes: kv.size, persistent: kv.persistent }),
        http: granted.http.clone().map(|urls| HttpGrant { urls, private: granted.http_private }),
        control: granted.control,
        passwords: granted.passwords,
        storage: granted.storage.clone(),
        secrets: secrets(plugin, mistakes),
        made_up: false,
    }
}

fn secrets(plugin: &Plugin, mistakes: &mut Vec<Mistake>) -> Vec<(String, Secret)> {
    let mut secrets = Vec::new();
    for (name, node) in &plugin.grant.secrets {
        match secret(node) {
            Ok(secret) => secrets.push((name.clone(), secret)),
            Err((message, remedy)) => {
                let key = format!("{}.grant.secrets.{name}", plugin.key);
                mistakes.push(Mistake { origin: node.origin.clone(), key, message, remedy });
            }
        }
    }
    secrets
}

/// Reads a secret from where it is kept: the configuration only says where. The line end at the
/// end of a file is not part of it.
///
/// # Errors
/// It cannot be had; with the remedy.
fn secret(node: &Node) -> Result<Secret, (String, String)> {
    let nowhere = || {
        let message = "neither a file, a variable of the environment nor a credential";
        let remedy = "write NAME = \"file:PATH\", \"env:VARIABLE\" or \"credential:NAME\"";
        (message.to_owned(), remedy.to_owned())
    };
    let Value::String(place) = &node.value else { return Err(nowhere()) };
    match place.split_once(':') {
        Some(("file", path)) => {
            let file = node.origin.resolve(path.as_ref());
            secret_file(&file).map_err(|error| {
                let remedy = "name a file that the server can read, which holds the secret alone";
                (format!("cannot be read: {}: {error}", file.display()), remedy.to_owned())
            })
        }
        Some(("credential", name)) => {
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
            credential(directory.as_deref(), name).map_err(|error| {
                let remedy = format!("write LoadCredential={name}:PATH in the unit of the service");
                (format!("no such credential: {name}: {error}"), remedy)
            })
        }
        Some(("env", variable)) => match std::env::var_os(variable) {
            Some(value) => Ok(Secret::new(value.into_encoded_bytes())),
            None => {
                let remedy = format!("set {variable} where the server is started");
                Err((format!("not in the environment: {variable}"), remedy))
            }
        },
        _ => Err(nowhere()),
    }
}

fn secret_file(file: &Path) -> io::Result<Secret> {
    let mut octets = std::fs::read(file)?;
    if octets.ends_with(b"\n") {
        octets.pop();
    }
    Ok(Secret::new(octets))
}

/// Reads what systemd hands to a service (`LoadCredential=NAME:…`), which is in that directory.
fn credential(directory: Option<&Path>, name: &str) -> io::Result<Secret> {
    let none = || io::Error::other("no credentials: not a service of systemd that is given any");
    if name.contains('/') || name == ".." {
        return Err(io::Error::other(format!("not the name of a credential: {name}")));
    }
    secret_file(&directory.ok_or_else(none)?.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_from_the_directory_that_systemd_names() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("pin"), "1234\n").unwrap();
        let read = |name| credential(Some(directory.path()), name);
        assert_eq!(read("pin").unwrap(), Secret::new(*b"1234"));
        for name in ["none", "..", "../pin", "/etc/passwd"] {
            read(name).unwrap_err();
        }
        let told = credential(None, "pin").unwrap_err().to_string();
        assert_eq!(told, "no credentials: not a service of systemd that is given any");
    }
}
