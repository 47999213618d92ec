//! The resolved configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::place::Origin;
use crate::sections::{
    Active, Anonymous, Control, Limits, Listener, Log, Login, Metrics, Mount, Passive, Plugin,
    Plugins, Server, Timeouts, Tls, Transfers, User,
};

/// What the operator wrote, resolved: every default filled in, nothing left to look up.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[log]`
    pub log: Log,
    /// `[limits]`
    pub limits: Limits,
    /// `[timeouts]`
    pub timeouts: Timeouts,
    /// `[[listener]]`, at least one.
    pub listeners: Vec<Listener>,
    /// `[tls]`
    pub tls: Option<Tls>,
    /// `[passive]`
    pub passive: Passive,
    /// `[active]`
    pub active: Active,
    /// `[login]`
    pub login: Login,
    /// `[transfers]`
    pub transfers: Transfers,
    /// `[anonymous]`
    pub anonymous: Option<Anonymous>,
    /// `[[user]]`, first those of the configuration, then those of the users file.
    pub users: Vec<User>,
    /// `file` in `[users]`
    pub users_file: Option<PathBuf>,
    /// `[[mount]]`
    pub mounts: Vec<Mount>,
    /// `[plugins]`
    pub plugins: Plugins,
    /// `[[plugin]]`, as they were written; `order` in [`Plugins`] says in which order they are
    /// asked.
    pub named_plugins: Vec<Plugin>,
    /// `[control]`, its socket filled in.
    pub control: Control,
    /// `[metrics]`
    pub metrics: Metrics,
    pub(crate) main: Origin,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) drop_ins: Option<PathBuf>,
    pub(crate) origins: BTreeMap<String, Origin>,
}

impl Config {
    /// Returns where the value of a dotted key was written (`timeouts.idle`,
    /// `listener.0.address`), or `None` where it is a default.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.get(key)
    }

    /// Returns the files that this was read from, in the order in which they were layered: the
    /// main file, the drop-ins, the users file. None for a quick start.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Returns the files and directories whose change asks for reading the configuration again:
    /// every file it was read from, the directory of drop-ins (which may not exist yet),
    /// certificates and their keys.
    ///
    /// Components are not among them: they are watched by who runs them, and a changed component
    /// does not change the configuration.
    #[must_use]
    pub fn watched_paths(&self) -> Vec<PathBuf> {
        let tls = self.tls.iter().flat_map(|tls| {
            let hosts = tls.host.iter().flat_map(|host| [&host.certificate, &host.private_key]);
            [&tls.certificate, &tls.private_key]
                .into_iter()
                .chain(hosts)
                .chain(&tls.client_authorities)
        });
        self.files.iter().chain(&self.drop_ins).chain(tls).cloned().collect()
    }
}
