//! Which sessions are meant, and what is done for them.

use waft_plugin_sdk::{Network, Section, Session, closest, fits};

use crate::quirk::{Deed, QUIRKS, Quirk};
use crate::rule::{CommandRule, ReplyRule};
use crate::{SOFTWARE, dialect};

/// Some clients; an empty list of a condition stands for all.
#[derive(Debug)]
pub(crate) struct Client {
    /// For the log.
    pub(crate) name: String,
    networks: Vec<Network>,
    users: Vec<String>,
    listeners: Vec<String>,
    /// Patterns in lower case.
    software: Vec<String>,
    /// In the order of the table, which is that in which they are applied.
    pub(crate) quirks: Vec<&'static Quirk>,
    pub(crate) rules: Vec<CommandRule>,
    pub(crate) replies: Vec<ReplyRule>,
}

/// The verbs and codes of some replies; `None` is all.
pub(crate) type Wanted = (Option<Vec<String>>, Option<Vec<u16>>);

impl Client {
    /// Reads a client; mistakes are noted in the section.
    pub(crate) fn read(number: usize, section: &Section<'_>) -> Self {
        let software = section.texts("software").iter().map(|text| text.to_lowercase()).collect();
        let client = Self {
            name: section.text("name").unwrap_or_else(|| format!("client {number}")),
            networks: section.networks("networks"),
            users: section.texts("users"),
            listeners: section.texts("listeners"),
            software,
            quirks: quirks(section),
            rules: section.sections("rule").iter().filter_map(CommandRule::read).collect(),
            replies: section.sections("reply").iter().filter_map(ReplyRule::read).collect(),
        };
        let asked = ["dialects", "quirks"].iter().all(|key| section.texts(key).is_empty());
        if asked && section.sections("rule").is_empty() && section.sections("reply").is_empty() {
            section.mistake_here("nothing is done for it: no dialects, quirks, rule or reply");
        }
        client
    }

    /// Whether a session is one of them.
    pub(crate) fn is(&self, session: Session<'_>) -> bool {
        // Every question crosses the sandbox's border: none is asked in vain.
        let network = || {
            self.networks.is_empty()
                || session.remote_ip().parse().is_ok_and(|address| {
                    self.networks.iter().any(|network| network.contains(address))
                })
        };
        let user = || {
            self.users.is_empty() || session.user().is_some_and(|user| self.users.contains(&user))
        };
        let listener = || self.listeners.is_empty() || self.listeners.contains(&session.listener());
        let software = || {
            let named = || session.get(SOFTWARE).and_then(|name| String::from_utf8(name).ok());
            self.software.is_empty()
                || named().is_some_and(|name| {
                    let name = name.to_lowercase();
                    self.software.iter().any(|pattern| fits(pattern, &name))
                })
        };
        network() && listener() && user() && software()
    }

    pub(crate) fn goes_by_software(&self) -> bool {
        !self.software.is_empty()
    }

    /// The verbs of the commands that something here is about.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &str> {
        let quirks = self.quirks.iter().flat_map(|quirk| quirk.commands().iter().copied());
        quirks.chain(self.rules.iter().map(CommandRule::verb))
    }

    /// The replies that something here is about.
    pub(crate) fn replies(&self) -> impl Iterator<Item = Wanted> {
        let quirks = self.quirks.iter().filter_map(|quirk| match &quirk.deed {
            Deed::Reply { verbs, codes, .. } => Some((
                verbs.map(|verbs| verbs.iter().map(|&verb| verb.to_owned()).collect()),
                codes.map(<[u16]>::to_vec),
            )),
            _ => None,
        });
        quirks.chain(self.replies.iter().map(ReplyRule::wanted))
    }
}

/// The quirks of all dialects and those named, without those that the operator does not want.
fn quirks(section: &Section<'_>) -> Vec<&'static Quirk> {
    let mut names: Vec<&str> = Vec::new();
    for (key, name) in section.numbered_texts("dialects") {
        let known = dialect::DIALECTS.iter().map(|(own, _)| *own);
        match dialect::DIALECTS.iter().find(|(own, _)| *own == name) {
            Some((_, quirks)) => names.extend(*quirks),
            None => unknown(section, &key, "dialect", &name, known),
        }
    }
    names.extend(known(section, "quirks").iter().map(|quirk| quirk.name));
    let without = known(section, "without");
    for quirk in &without {
        if !names.contains(&quirk.name) {
            let what = format_args!("nothing asks for it: {}", quirk.name);
            section.mistake("without", what);
        }
    }
    let wanted = |quirk: &&Quirk| {
        names.contains(&quirk.name) && !without.iter().any(|other| other.name == quirk.name)
    };
    QUIRKS.iter().filter(wanted).collect()
}

/// The quirks of a list of names.
fn known(section: &Section<'_>, key: &str) -> Vec<&'static Quirk> {
    let mut quirks = Vec::new();
    for (key, name) in section.numbered_texts(key) {
        match QUIRKS.iter().find(|quirk| quirk.name == name) {
            Some(quirk) => quirks.push(quirk),
            None => unknown(section, &key, "quirk", &name, QUIRKS.iter().map(|quirk| quirk.name)),
        }
    }
    quirks
}

fn unknown<'a>(
    section: &Section<'_>,
    key: &str,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) {
    match closest(name, known) {
        Some(known) => {
            section.mistake(key, format_args!("no {what}, did you mean {known}: {name}"))
        }
        None => section.mistake(key, format_args!("no {what}: {name}")),
    }
}
