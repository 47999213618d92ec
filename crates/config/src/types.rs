//! The small types in which the configuration is told to the rest of waft.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::kind::Worded;
use crate::value::Table;

/// Declares a type whose values are written as words.
macro_rules! words {
    (
        $(#[doc = $about:literal])*
        pub enum $name:ident { $( $(#[doc = $doc:literal])* $variant:ident = $word:literal, )* }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[doc = $doc])* $variant, )* }

        impl Worded for $name {
            const VALUES: &'static [(Self, &'static str)] = &[$( (Self::$variant, $word), )*];
            const WORDS: &'static [(&'static str, &'static str)] =
                &[$( ($word, concat!($($doc),*)), )*];
        }

        impl $name {
            /// Returns the word that stands for it in a configuration file.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }
        }
    };
}

words! {
    /// How the server's threads get a processor.
    pub enum Scheduling {
        /// A thread that something has come for waits until whoever is at work there has had its turn;
        /// with many sessions at work, threads go to the processors that their clients' packets arrive on.
        Batch = "batch",
        /// As the process was started: usually at once, before whoever is at work, and where the system
        /// puts it.
        Inherited = "inherited",
    }
}

words! {
    /// How the log is written.
    pub enum LogFormat {
        /// Lines for people.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// What is important enough for the log.
    pub enum LogLevel {
        /// What failed.
        Error = "error",
        /// What is suspicious, too.
        Warn = "warn",
        /// Logins, transfers and plugins, too.
        Info = "info",
        /// Verbs and replies, too.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

words! {
    /// What TLS means on a listener.
    pub enum TlsMode {
        /// There is none.
        Off = "off",
        /// Clients may ask for it; clear text is allowed too.
        Explicit = "explicit",
        /// Clients have to ask for it before they log in.
        Require = "require",
        /// It is there from the first byte.
        Implicit = "implicit",
    }
}

words! {
    /// The oldest version of TLS that is spoken.
    pub enum TlsVersion {
        /// TLS 1.2.
        Tls12 = "1.2",
        /// TLS 1.3.
        Tls13 = "1.3",
    }
}

words! {
    /// What becomes of data connections that do not resume the control connection's TLS session.
    pub enum TlsResumption {
        /// They serve like all others.
        Off = "off",
        /// They serve, are counted and logged.
        Report = "report",
        /// They are refused.
        Require = "require",
    }
}

words! {
    /// What an upload that ends without a TLS close_notify is taken for.
    pub enum CloseNotify {
        /// Complete; it is counted and logged.
        Lenient = "lenient",
        /// Cut off.
        Strict = "strict",
    }
}

words! {
    /// Which data connections are accepted of clients that could use TLS.
    pub enum DataProtection {
        /// What the client chooses.
        Any = "any",
        /// Only those under TLS.
        Private = "private",
    }
}

words! {
    /// Whether clients show certificates.
    pub enum ClientCertificates {
        /// They are not asked.
        None = "none",
        /// Those that have one do.
        Optional = "optional",
        /// All have to.
        Required = "required",
    }
}

words! {
    /// How an authority sees that a name is the server's.
    pub enum AcmeChallenge {
        /// It fetches a text by HTTP, from port 80.
        Http01 = "http-01",
        /// It begins a TLS handshake, on port 443.
        TlsAlpn01 = "tls-alpn-01",
    }
}

words! {
    /// What a client's certificate is to an account that names it.
    pub enum CertificateLogin {
        /// Enough: with it, no password is asked for. Without one, the password is.
        Alone = "alone",
        /// Needed, and the password as well.
        WithPassword = "with_password",
    }
}

words! {
    /// Who may use active mode.
    pub enum ActiveMode {
        /// Nobody.
        Off = "off",
        /// Clients in the networks of `lan`.
        Lan = "lan",
        /// Everybody.
        On = "on",
    }
}

words! {
    /// What happens to what has arrived of an upload that broke off.
    pub enum Interrupted {
        /// It stays as `NAME.partial`, so that the upload can be resumed.
        Keep = "keep",
        /// It is deleted.
        Delete = "delete",
    }
}

words! {
    /// What TYPE A does to the lines of a file.
    pub enum Ascii {
        /// Line ends are translated, as the standard says.
        Translate = "translate",
        /// Nothing: files are transferred as they are.
        Binary = "binary",
    }
}

words! {
    /// Whether listings show names that begin with a dot.
    pub enum HiddenFiles {
        /// They are shown.
        Show = "show",
        /// `LIST -a` shows them, and so does MLSD.
        OnRequest = "on_request",
    }
}

words! {
    /// What a failed call of a plugin counts as.
    pub enum OnError {
        /// The command is refused.
        Deny = "deny",
        /// The command goes on as if the plugin were not there.
        Allow = "allow",
    }
}

words! {
    /// What happens when the server starts and a plugin cannot be loaded. While it runs, the version
    /// before goes on in any case.
    pub enum OnLoadError {
        /// It does not start.
        RefuseStart = "refuse_start",
        /// It starts without the plugin.
        Disable = "disable",
    }
}

words! {
    /// Who shares an instance of a plugin. A transfer has one of its own, or one with other transfers.
    pub enum Isolation {
        /// Whoever comes next, whatever the session.
        Pool = "pool",
        /// The calls of one session, from its first to its end.
        Session = "session",
        /// Nobody: each call has a new one.
        Call = "call",
    }
}

words! {
    /// What becomes of a component that lies in the directory of plugins and that no `[[plugin]]`
    /// names.
    pub enum Unlisted {
        /// It is not loaded.
        Off = "off",
        /// It is loaded, unless it decides who may log in or has files of its own; without grants.
        HooksOnly = "hooks_only",
        /// It is loaded, whatever it is; without grants.
        On = "on",
    }
}

/// A range of ports; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    low: u16,
    high: u16,
}

impl PortRange {
    /// The range of the dynamic ports of IANA, as far as a firewall should be opened for it.
    pub const DEFAULT: Self = Self { low: 49152, high: 49999 };

    /// Makes a range, unless it begins at 0 or ends before it begins.
    #[must_use]
    pub const fn new(low: u16, high: u16) -> Option<Self> {
        if low == 0 || low > high { None } else { Some(Self { low, high }) }
    }

    /// Returns the lowest port.
    #[must_use]
    pub const fn low(self) -> u16 {
        self.low
    }

    /// Returns the highest port.
    #[must_use]
    pub const fn high(self) -> u16 {
        self.high
    }

    /// Returns how many ports there are.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.high) - u32::from(self.low) + 1
    }

    /// Whether `port` is one of them.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.low <= port && port <= self.high
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.low, self.high)
    }
}

/// The address that clients are told to connect to for data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PassiveAddress {
    /// The one that the client connected to.
    Local,
    /// This one.
    Ip(Ipv4Addr),
    /// The one that this name resolves to at that time.
    Name(String),
}

impl FromStr for PassiveAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if text == "local" {
            return Ok(Self::Local);
        }
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let label = |label: &str| {
            let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            (1..=63).contains(&label.len()) && !label.starts_with('-') && label.bytes().all(fine)
        };
        let name = text.strip_suffix('.').unwrap_or(text);
        let last = name.rsplit('.').next().unwrap_or_default();
        // What ends in a number is an address with a slip of the pen, not a name.
        let number = last.bytes().all(|b| b.is_ascii_digit());
        if text.len() > 253 || number || !name.split('.').all(label) {
            return Err(NotAnAddress);
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for PassiveAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A text is neither `local` nor an IPv4 address nor a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither \"local\" nor an IPv4 address nor a host name")]
pub struct NotAnAddress;

/// Settings of a plugin: any TOML table, as it was written and flattened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    table: Table,
    flattened: Vec<(String, String)>,
}

impl Settings {
    pub(crate) fn new(table: Table, flattened: Vec<(String, String)>) -> Self {
        Self { table, flattened }
    }

    /// Returns the table as it was written.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// Returns every scalar with its dotted name: `message`, `deny.0`, `texts.PORT`,
    /// `rule.0.commands.1`. No name comes twice.
    #[must_use]
    pub fn flattened(&self) -> &[(String, String)] {
        &self.flattened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_ports_has_both_its_ends() {
        let range = PortRange::new(50_000, 50_009).unwrap();
        assert_eq!((range.low(), range.high(), range.count()), (50_000, 50_009, 10));
        assert!(range.contains(50_000) && range.contains(50_009));
        assert!(!range.contains(49_999) && !range.contains(50_010));
        assert_eq!(PortRange::new(1, u16::MAX).map(PortRange::count), Some(65_535));
        assert_eq!(PortRange::new(0, 10), None);
        assert_eq!(PortRange::new(11, 10), None);
    }

    #[test]
    fn a_passive_address_is_local_or_ipv4_or_a_name() {
        let name = |text: &str| Ok(PassiveAddress::Name(text.to_owned()));
        assert_eq!("local".parse(), Ok(PassiveAddress::Local));
        assert_eq!("203.0.113.7".parse(), Ok(PassiveAddress::Ip(Ipv4Addr::new(203, 0, 113, 7))));
        assert_eq!("ftp.example.org".parse(), name("ftp.example.org"));
        assert_eq!("ftp.example.org.".parse(), name("ftp.example.org."));
        for text in ["", "203.0.113", "203.0.113.256", "::1", "a b", "a..b", "-a.org", "a.org:21"] {
            assert_eq!(text.parse::<PassiveAddress>(), Err(NotAnAddress), "{text}");
        }
    }
}
