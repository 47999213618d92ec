//! What the operator wrote.

use std::time::Duration;

use waft_plugin_sdk::{Secret, Section, Settings, closest};

const PERMISSIONS: [&str; 7] = ["list", "read", "write", "append", "delete", "rename", "mkdir"];

/// The secret that tells the service who asks, and the header that it is sent in.
const TOKEN: &str = "token";
const AUTHORIZATION: &str = "authorization";

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// The server lends no request more than 80 % of the 10 s that a decision may take.
const TIMEOUT_MAX: Duration = Duration::from_secs(8);

/// Who is no longer welcome should not get in for long.
const CACHE_MAX: Duration = Duration::from_secs(3600);

/// The settings.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) url: String,
    /// What tells the service who asks.
    pub(crate) header: Option<(String, Secret)>,
    pub(crate) timeout: Duration,
    pub(crate) passwords: Passwords,
    /// Whether the service is asked about clients with certificates.
    pub(crate) certificates: bool,
    /// How long an answer that lets a client in holds.
    pub(crate) cache: Option<Duration>,
    pub(crate) defaults: Defaults,
}

/// Who verifies passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passwords {
    /// The service, which is told them.
    Send,
    /// The server, by hashes that the service tells.
    Verify,
}

/// What holds for accounts of which the service says nothing else.
#[derive(Debug, Default)]
pub(crate) struct Defaults {
    /// With `{user}` in it, perhaps.
    pub(crate) root: Option<String>,
    pub(crate) permissions: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) max_sessions: Option<u32>,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn read(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let config = Self {
            url: url(&root),
            header: header(settings, &root),
            timeout: time(&root, "timeout", TIMEOUT_MAX).unwrap_or(DEFAULT_TIMEOUT),
            passwords: passwords(&root),
            certificates: root.flag("certificates").unwrap_or(false),
            cache: time(&root, "cache", CACHE_MAX),
            defaults: Defaults::read(&root),
        };
        settings.finish().map(|()| config)
    }
}

impl Defaults {
    fn read(root: &Section<'_>) -> Self {
        let directory = root.text("root");
        if directory.as_ref().is_some_and(|directory| !directory.starts_with('/')) {
            root.mistake("root", "an absolute directory is wanted, such as /srv/ftp/{user}");
        }
        let max_sessions = root.number("max_sessions");
        if max_sessions == Some(0) {
            root.mistake("max_sessions", "a number above 0 is wanted");
        }
        let (permissions, groups) = (permissions(root), root.texts("groups"));
        Self { root: directory, permissions, groups, max_sessions }
    }
}

fn url(root: &Section<'_>) -> String {
    let Some(url) = root.url("url") else {
        if root.text("url").is_none() {
            root.mistake("url", "is missing; it is where the service is asked");
        }
        return String::new();
    };
    let may_be_clear = root.flag("clear_text").unwrap_or(false);
    if !url.starts_with("https://") && !may_be_clear && !is_local(&url) {
        root.mistake(
            "url",
            "others could read passwords and let themselves in: use https, \
             or say clear_text = true where the way to the service is safe",
        );
    }
    url
}

/// Whether a URL names this machine.
fn is_local(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(address) => address.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or_default();
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn header(settings: &Settings, root: &Section<'_>) -> Option<(String, Secret)> {
    let name = root.text("header");
    let Some(token) = settings.secret(TOKEN) else {
        if name.is_some() {
            root.mistake("header", "there is no secret for it: grant token = \"file:PATH\"");
        }
        return None;
    };
    let name = name.unwrap_or_else(|| AUTHORIZATION.to_owned());
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
        root.mistake("header", format_args!("not a header's name: {name}"));
    }
    let text = token.text().unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        root.mistake(TOKEN, "the secret is not one line of printable text");
    }
    let value = match name.eq_ignore_ascii_case(AUTHORIZATION) && !text.contains(' ') {
        true => Secret::new(format!("Bearer {text}")),
        false => token,
    };
    Some((name, value))
}

fn passwords(root: &Section<'_>) -> Passwords {
    match root.text("passwords").as_deref() {
        None | Some("send") => Passwords::Send,
        Some("verify") => Passwords::Verify,
        Some(other) => {
            let wanted = "\"send\" or \"verify\" is wanted";
            root.mistake("passwords", format_args!("{wanted}, not: {other}"));
            Passwords::Verify
        }
    }
}

fn time(root: &Section<'_>, key: &str, max: Duration) -> Option<Duration> {
    let time = root.duration(key)?;
    if time.is_zero() || time > max {
        let max = max.as_secs();
        root.mistake(key, format_args!("a time above 0 and up to {max}s is wanted"));
    }
    Some(time)
}

fn permissions(root: &Section<'_>) -> Vec<String> {
    let permissions = root.numbered_texts("permissions");
    for (key, name) in &permissions {
        if PERMISSIONS.contains(&name.as_str()) {
            continue;
        }
        match closest(name, PERMISSIONS) {
            Some(known) => {
                root.mistake(key, format_args!("no permission, did you mean {known}: {name}"));
            }
            None => root.mistake(key, format_args!("no permission: {name}")),
        }
    }
    match permissions.is_empty() {
        true => vec!["list".to_owned(), "read".to_owned()],
        false => permissions.into_iter().map(|(_, name)| name).collect(),
    }
}
