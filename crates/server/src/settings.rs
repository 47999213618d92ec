//! What the operator decided, resolved and immutable.
//!
//! A session keeps the settings it began with. Every limit and time of the server has its name,
//! its unit and its default here.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use waft_core::storage::Interrupted;

/// All settings of the server that may change while it runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's name: in the greeting, and what HOST may name.
    pub name: Arc<str>,
    /// The greeting's lines; none gives a default with the name.
    pub greeting: Vec<String>,
    /// Upper bounds.
    pub limits: Limits,
    /// Time-outs.
    pub timeouts: Timeouts,
    /// Passive data connections.
    pub passive: Passive,
    /// Passive data connections for clients of the listeners that have these names, instead.
    pub passive_by_listener: Vec<(Arc<str>, Passive)>,
    /// Active data connections.
    pub active: Active,
    /// Transfers and listings.
    pub transfers: Transfers,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            name: Arc::from("waft"),
            greeting: Vec::new(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            passive: Passive::default(),
            passive_by_listener: Vec::new(),
            active: Active::Off,
            transfers: Transfers::default(),
        }
    }
}

impl Settings {
    /// Passive data connections for clients of that listener.
    pub(crate) fn passive_of(&self, listener: &str) -> &Passive {
        self.own_passive_of(listener).map_or(&self.passive, |(_, passive)| passive)
    }

    /// The name of the listener, if it has settings of its own; none otherwise.
    pub(crate) fn passive_owner(&self, listener: &str) -> Arc<str> {
        self.own_passive_of(listener).map_or_else(|| Arc::from(""), |(name, _)| Arc::clone(name))
    }

    fn own_passive_of(&self, listener: &str) -> Option<&(Arc<str>, Passive)> {
        self.passive_by_listener.iter().find(|(name, _)| **name == *listener)
    }
}

/// Upper bounds; 0 means none where it says so.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sessions in all; 0 for any number.
    pub sessions_max: usize,
    /// Sessions of one address; 0 for any number.
    pub sessions_per_address_max: usize,
    /// Sessions of one account that does not say how many itself; 0 for any number.
    pub sessions_per_account_max: usize,
    /// Failed logins in one session before it ends with 421; 0 for any number.
    pub login_attempts_max: u32,
    /// Octets of a command line, its end included.
    pub line_bytes_max: usize,
    /// Entries of one listing; more end it with 451 instead of silently; 0 for any number.
    pub listing_entries_max: usize,
    /// Octets of a STAT listing on the control connection.
    pub stat_bytes_max: usize,
    /// Commands that may wait while a transfer runs; reading stops beyond.
    pub waiting_commands_max: usize,
    /// Checksums computed at a time, in all sessions.
    pub hashes_max: usize,
    /// Octets of a file whose SIZE is computed in TYPE A; 550 beyond.
    pub ascii_size_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            sessions_max: 10_000,
            sessions_per_address_max: 200,
            sessions_per_account_max: 0,
            login_attempts_max: 3,
            line_bytes_max: 8 * 1024,
            listing_entries_max: 0,
            stat_bytes_max: 256 * 1024,
            waiting_commands_max: 64,
            hashes_max: 4,
            ascii_size_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// Time-outs; zero means none.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// From connecting to being logged in.
    pub login: Duration,
    /// Between commands.
    pub idle: Duration,
    /// From the transfer command to the data connection.
    pub data_accept: Duration,
    /// Connecting to an active client.
    pub data_connect: Duration,
    /// A TLS handshake, on either connection.
    pub tls_handshake: Duration,
    /// A transfer that moves no octet.
    pub stall: Duration,
    /// Transfers after the server was told to stop.
    pub drain: Duration,
    /// Writing a reply that the client does not read.
    pub reply: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            login: Duration::from_secs(60),
            idle: Duration::from_secs(600),
            data_accept: Duration::from_secs(20),
            data_connect: Duration::from_secs(10),
            tls_handshake: Duration::from_secs(20),
            stall: Duration::from_secs(120),
            drain: Duration::from_secs(30),
            reply: Duration::from_secs(60),
        }
    }
}

/// Where passive data connections are awaited and what clients are told.
#[derive(Clone, Debug)]
pub struct Passive {
    /// Ports to listen on; `0..=0` leaves the choice to the system.
    pub ports: RangeInclusive<u16>,
    /// What clients are told where no rule fits.
    pub address: Advertised,
    /// Rules by the client's network; the first that fits counts.
    pub rules: Vec<(IpNet, Advertised)>,
    /// Networks whose hosts may open data connections for each other's sessions.
    pub peers: Vec<IpNet>,
}

impl Default for Passive {
    fn default() -> Passive {
        Passive {
            ports: 49152..=49999,
            address: Advertised::Local,
            rules: Vec::new(),
            peers: Vec::new(),
        }
    }
}

/// The address that PASV tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advertised {
    /// The one that the client connected to.
    Local,
    /// This one.
    Fixed(IpAddr),
    /// What this name stands for at that moment.
    Name(Arc<str>),
}

/// Which clients may name an address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Active {
    /// None: PORT and EPRT answer 502.
    Off,
    /// Those in these networks.
    Lan(Vec<IpNet>),
    /// All.
    On,
}

impl Active {
    /// Whether that client may.
    pub fn allows(&self, client: IpAddr) -> bool {
        match self {
            Active::Off => false,
            Active::Lan(networks) => networks.iter().any(|network| network.contains(&client)),
            Active::On => true,
        }
    }
}

/// Transfers and listings.
#[derive(Clone, Debug)]
pub struct Transfers {
    /// What becomes of an upload that does not complete.
    pub interrupted: Interrupted,
    /// TYPE A.
    pub ascii: Ascii,
    /// MODE Z: the level of compression, 1 to 9; `None` refuses it.
    pub deflate: Option<u32>,
    /// Whether LIST and NLST show names that begin with a dot without being asked (`-a`); MLSD
    /// always does.
    pub hidden: Hidden,
    /// Where uploads go that plugins want kept away.
    pub quarantine: Quarantine,
}

/// Where uploads go that plugins want kept away: directories that nobody is served from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quarantine {
    /// Where those of all plugins go; `None` keeps none.
    pub directory: Option<PathBuf>,
    /// Where those of certain plugins go, by their names.
    pub by_plugin: Vec<(Arc<str>, PathBuf)>,
}

impl Quarantine {
    /// The directory for uploads that `plugin` wants kept away.
    pub(crate) fn of(&self, plugin: &str) -> Option<&Path> {
        let own = self.by_plugin.iter().find(|(name, _)| **name == *plugin);
        own.map(|(_, directory)| directory.as_path()).or(self.directory.as_deref())
    }
}

impl Default for Transfers {
    fn default() -> Transfers {
        Transfers {
            interrupted: Interrupted::Keep,
            ascii: Ascii::Translate,
            deflate: Some(6),
            hidden: Hidden::Shown,
            quarantine: Quarantine::default(),
        }
    }
}

/// What TYPE A does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ascii {
    /// Line ends are translated.
    Translate,
    /// It is accepted, and octets are moved as they are.
    AsImage,
}

/// Names that begin with a dot, in LIST and NLST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// Listed.
    Shown,
    /// Listed only with `-a`.
    OnlyAsked,
}
