//! What guests may import, in one table, with what the operator has to grant for it; and the
//! grants, each with a line of configuration that gives it.

use std::fmt;

/// Something that guests may import.
#[derive(Debug)]
pub(crate) struct Service {
    /// A package and an interface; a package and a slash are all its interfaces.
    path: &'static str,
    /// What versions begin with.
    version: &'static str,
    /// What it takes.
    pub(crate) grant: Option<Grant>,
    /// Its functions in which a guest may wait.
    waits: Waits,
}

/// In which functions a guest may wait for something that is not its own computing.
#[derive(Debug)]
enum Waits {
    Never,
    In(&'static [&'static str]),
    /// Whatever there are.
    InAll,
}

const fn free(path: &'static str, version: &'static str) -> Service {
    Service { path, version, grant: None, waits: Waits::Never }
}

const fn granted(path: &'static str, version: &'static str, grant: Grant) -> Service {
    Service { path, version, grant: Some(grant), waits: Waits::Never }
}

impl Service {
    const fn waiting(self, waits: Waits) -> Service {
        Service { waits, ..self }
    }

    /// Whether a guest may wait in that function of it.
    pub(crate) fn waits_in(&self, function: &str) -> bool {
        match self.waits {
            Waits::Never => false,
            Waits::In(functions) => functions.contains(&function),
            Waits::InAll => true,
        }
    }
}

/// Everything that guests may import.
const TABLE: &[Service] = &[
    free("waft:plugin/types", "0.1."),
    free("waft:plugin/sessions", "0.1."),
    free("waft:plugin/log", "0.1."),
    free("waft:plugin/config", "0.1."),
    free("waft:plugin/clock", "0.1."),
    free("waft:plugin/crypto", "0.1.").waiting(Waits::In(&["verify-password", "verify-offered"])),
    free("waft:plugin/metrics", "0.1."),
    granted("waft:plugin/kv", "0.1.", Grant::Kv),
    granted("wasi:keyvalue/store", "0.2.", Grant::Kv),
    granted("wasi:keyvalue/atomics", "0.2.", Grant::Kv),
    granted("wasi:keyvalue/batch", "0.2.", Grant::Kv),
    granted("waft:plugin/http", "0.1.", Grant::Http).waiting(Waits::InAll),
    granted("waft:plugin/control", "0.1.", Grant::Control),
    free("wasi:cli/", "0.2."),
    free("wasi:clocks/", "0.2."),
    free("wasi:filesystem/", "0.2."),
    free("wasi:io/poll", "0.2.").waiting(Waits::In(&["poll", "[method]pollable.block"])),
    free("wasi:io/", "0.2."),
    free("wasi:config/store", "0.2."),
    free("wasi:logging/logging", "0.1."),
    free("wasi:random/", "0.2."),
    free("wasi:sockets/", "0.2."),
    granted("wasi:http/", "0.2.", Grant::Http).waiting(Waits::InAll),
];

/// The service of that name and version, if there is one.
pub(crate) fn find(path: &str, version: Option<&str>) -> Option<&'static Service> {
    let version = version?;
    TABLE.iter().find(|service| {
        let named = match service.path.ends_with('/') {
            true => path.starts_with(service.path),
            false => path == service.path,
        };
        named && version.starts_with(service.version)
    })
}

/// Something that the operator may grant to a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// A store of its own.
    Kv,
    /// Events that wait for it on the disk.
    DurableEvents,
    /// Asking web services.
    Http,
    /// Ending sessions, banning addresses.
    Control,
    /// Seeing the passwords that clients offer.
    Passwords,
    /// Saying where the accounts that it lets in have their files.
    Storage,
    /// Secrets from the operator.
    Secrets,
}

impl Grant {
    /// All of them.
    pub const ALL: [Grant; 7] = [
        Grant::Kv,
        Grant::DurableEvents,
        Grant::Http,
        Grant::Control,
        Grant::Passwords,
        Grant::Storage,
        Grant::Secrets,
    ];

    /// Its key in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Grant::Kv => "kv",
            Grant::DurableEvents => "durable_events",
            Grant::Http => "http",
            Grant::Control => "control",
            Grant::Passwords => "passwords",
            Grant::Storage => "storage",
            Grant::Secrets => "secrets",
        }
    }

    /// A line of configuration that gives it, to be adapted.
    pub fn line(self) -> &'static str {
        match self {
            Grant::Kv => "kv = \"1 MiB\"",
            Grant::DurableEvents => "durable_events = true",
            Grant::Http => "http = [\"https://service.example.org/path\"]",
            Grant::Control => "control = true",
            Grant::Passwords => "passwords = true",
            Grant::Storage => "storage = [\"/srv/ftp\"]",
            Grant::Secrets => "secrets = { NAME = \"file:PATH\" }",
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The lines of configuration that give `grants`.
pub(crate) fn lines(grants: impl IntoIterator<Item = Grant>) -> String {
    let lines = grants.into_iter().map(|grant| format!("\n{}", grant.line()));
    format!("[plugin.grant]{}", lines.collect::<String>())
}
