//! From layers to [`Config`]: read every key, fill in what depends on other keys, check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::check::{self, Findings};
use crate::config::Config;
use crate::layers::{Layers, SEARCHED};
use crate::mistake::{Mistake, Mistakes, Warnings};
use crate::permissions::Permission;
use crate::place::Origin;
use crate::schema::{Reader, Section};
use crate::sections::{Control, Document, Plugin, PluginLimits, Plugins, Server};
use crate::system::System;
use crate::types::TlsMode;

/// The socket for operators, in the directory for state.
const CONTROL_SOCKET: &str = "control.sock";

impl Config {
    /// Reads the configuration from `path`, the drop-ins in `conf.d` beside it and the users file
    /// that it names; without a path, from `./waft.toml` or else `/etc/waft/waft.toml`.
    ///
    /// # Errors
    ///
    /// All mistakes there are, together.
    pub fn load(path: Option<&Path>) -> Result<(Self, Warnings), Mistakes> {
        match file(path) {
            Some(path) => resolve(Layers::read(path), &System::probe()),
            None => {
                let [first, second] = SEARCHED;
                let message = format!("no such file, nor {second}");
                let remedy = "write one, name one with --config, or serve a directory without \
                              any: waft serve --root DIR";
                let mistake = Mistake::new(&Origin::whole(Path::new(first)), "", message, remedy);
                Err(Mistakes { mistakes: vec![mistake], warnings: Warnings::default() })
            }
        }
    }

    /// Takes `text` for the content of `file`, without drop-ins; relative paths are seen from the
    /// directory of `file`, which need not exist.
    ///
    /// # Errors
    ///
    /// All mistakes there are, together.
    pub fn from_text(file: &Path, text: &str) -> Result<(Self, Warnings), Mistakes> {
        resolve(Layers::of_text(file, text), &System::probe())
    }
}

impl Config {
    /// Finds the socket for operators, whatever else is wrong with the configuration by now: a server
    /// that runs with what it was before can be asked.
    ///
    /// # Errors
    ///
    /// All mistakes there are, where no socket is found.
    pub fn find_control_socket(path: Option<&Path>) -> Result<Option<PathBuf>, Mistakes> {
        if let Some(file) = file(path) {
            let layers = Layers::read(file);
            let document = Document::read(&layers.tree, &mut Reader::of(true)).unwrap_or_default();
            let socket = control_socket(&document.control, &document.server);
            if socket.is_some() {
                return Ok(socket);
            }
        }
        Self::load(path).map(|(config, _)| config.control.socket)
    }
}

/// The file that is read: the one that is named, or else the first that is there.
fn file(named: Option<&Path>) -> Option<&Path> {
    named.or_else(|| SEARCHED.iter().map(Path::new).find(|path| path.exists()))
}

fn control_socket(control: &Control, server: &Server) -> Option<PathBuf> {
    let by_default = || Some(server.state.as_ref()?.join(CONTROL_SOCKET));
    control.socket.clone().or_else(by_default)
}

/// Resolves what was written on a machine that is like `system`.
pub(crate) fn resolve(layers: Layers, system: &System) -> Result<(Config, Warnings), Mistakes> {
    let mut reader = Reader::of(!layers.mistakes.is_empty());
    let document = Document::read(&layers.tree, &mut reader).unwrap_or_default();
    let mut findings = Findings { mistakes: layers.mistakes, warnings: Vec::new() };
    // What stands on a line that could not be understood is not what was meant.
    let broken: BTreeSet<(PathBuf, u32)> = findings.mistakes.iter().map(line_of).collect();
    let told = reader.mistakes.into_iter().filter(|mistake| !broken.contains(&line_of(mistake)));
    findings.mistakes.extend(told);
    let mut config = Config {
        server: document.server,
        log: document.log,
        limits: document.limits,
        timeouts: document.timeouts,
        listeners: document.listener,
        tls: document.tls,
        passive: document.passive,
        active: document.active,
        login: document.login,
        transfers: document.transfers,
        anonymous: document.anonymous,
        users: document.user,
        users_file: document.users.file,
        plugins: document.plugins,
        mounts: document.mount,
        named_plugins: document.plugin,
        control: document.control,
        metrics: document.metrics,
        main: layers.tree.origin,
        files: layers.files,
        drop_ins: layers.drop_ins,
        origins: reader.origins,
    };
    fill(&mut config);
    if !reader.incomplete {
        check::all(&config, system, &mut findings);
    }
    grant_uploads(&mut config);
    findings.into_result(config)
}

pub(crate) fn line_of(mistake: &Mistake) -> (PathBuf, u32) {
    (mistake.origin.file.to_path_buf(), mistake.origin.line)
}

/// Fills in the defaults that depend on other keys.
fn fill(config: &mut Config) {
    let written = |entry: &str, key: &str| config.origins.contains_key(&format!("{entry}.{key}"));
    if let Some(tls) = &mut config.tls
        && let Some(acme) = &tls.acme
    {
        tls.certificate = acme.certificate_file();
        tls.private_key = acme.certificate_file();
    }
    let certificate = config.tls.is_some();
    for listener in &mut config.listeners {
        if listener.name.is_empty() {
            listener.name = listener.address.to_string();
        }
        if certificate && !written(&listener.key, "tls") {
            listener.tls = TlsMode::Require;
        }
        if let (Some(tls), false) = (&config.tls, written(&listener.key, "tls_resumption")) {
            listener.tls_resumption = tls.resumption;
        }
    }
    for user in &mut config.users {
        if !written(&user.key, "sessions") {
            user.sessions = config.limits.sessions_per_user;
        }
    }
    config.control.socket = control_socket(&config.control, &config.server);
    for plugin in &mut config.named_plugins {
        fill_plugin(plugin, &config.plugins, &config.origins);
    }
}

/// Fills in what a plugin does not say itself, from what is said about all plugins.
pub(crate) fn fill_plugin(
    plugin: &mut Plugin,
    general: &Plugins,
    origins: &BTreeMap<String, Origin>,
) {
    let entry = plugin.key.clone();
    let written = |key: &str| origins.contains_key(&beneath(&entry, key));
    if let (false, Some(directory)) = (written("path"), &general.directory) {
        plugin.path = directory.join(format!("{}.wasm", plugin.name));
    }
    if !written("on_error") {
        plugin.on_error = general.on_error;
    }
    if !written("on_load_error") {
        plugin.on_load_error = general.on_load_error;
    }
    inherit(&mut plugin.limits, &general.limits, written);
}

/// The dotted key of what stands in a table; the key of a document is empty.
pub(crate) fn beneath(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// Fills in the limits that a plugin does not set.
fn inherit(own: &mut PluginLimits, general: &PluginLimits, written: impl Fn(&str) -> bool) {
    macro_rules! unless_written {
        ($($key:ident)*) => {
            $( if !written(concat!("limits.", stringify!($key))) {
                own.$key.clone_from(&general.$key);
            } )*
        };
    }
    // What the plugin says of all its hooks goes before what is said of one hook of all plugins.
    let hooks = own.by_hook_mut().into_iter().zip(general.by_hook());
    for ((hook, own), (_, general)) in hooks {
        let said = |key: &str| {
            written(&format!("limits.{key}")) || written(&format!("limits.{hook}.{key}"))
        };
        if !said("cpu") {
            own.cpu = general.cpu;
        }
        if !said("wall") {
            own.wall = general.wall;
        }
    }
    unless_written!(memory cpu wall instances sessions transfers queue);
    unless_written!(instance_calls instance_age instance_idle log_lines remembered_commands);
}

/// Adds what `upload` grants. The checks want to see the permissions as they were written.
fn grant_uploads(config: &mut Config) {
    if let Some(anonymous) = config.anonymous.as_mut().filter(|anonymous| anonymous.upload) {
        anonymous.permissions = anonymous.permissions.with(Permission::Write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::PortRange;

    fn warned(text: &str, system: &System) -> Vec<String> {
        let text =
            format!("{text}\n[plugins]\ndirectory = \"src\"\n[[listener]]\naddress = \"[::1]:0\"");
        let layers = Layers::of_text(Path::new("waft.toml"), &text);
        let (_, warnings) = resolve(layers, system).unwrap();
        warnings.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn passive_ports_that_the_kernel_gives_away_are_warned_of_where_they_are_written() {
        let kernel =
            System { local_ports: PortRange::new(32_768, 60_999), reserved_ports: Vec::new() };
        let ports = "[passive]\nports = \"50000-50999\"";
        let expected = "waft.toml:2:9: passive.ports: the kernel gives ports of this range to \
                        outgoing connections: 50000-50999\n  remedy: reserve them: sysctl -w \
                        net.ipv4.ip_local_reserved_ports=50000-50999";
        assert_eq!(warned(ports, &kernel), [expected]);
        assert_eq!(warned("", &kernel), [""; 0], "the default needs no warning each time");
        let reserved = PortRange::new(50_000, 51_000).into_iter().collect();
        assert_eq!(warned(ports, &System { reserved_ports: reserved, ..kernel }), [""; 0]);
    }

    #[test]
    fn a_range_that_one_client_can_use_up_is_warned_of() {
        let system = System::default();
        let few = "[passive]\nports = \"61000-61009\"";
        let expected = "waft.toml:2:9: passive.ports: one client alone can take them all: 10 \
                        ports, 200 sessions\n  remedy: widen the range, or lower \
                        sessions_per_address in [limits]";
        assert_eq!(warned(few, &system), [expected]);
        let limited = format!("{few}\n[limits]\nsessions_per_address = 10");
        assert_eq!(warned(&limited, &system), [""; 0]);
    }
}
