//! One rule: which sessions, and what becomes of the commands in them that it is about.

use waft_plugin_sdk::{Network, Section, Session, Template};

use crate::commands::Pattern;

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) condition: Condition,
    pub(crate) outcome: Outcome,
}

/// What becomes of a command that a rule is about.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The server goes on with it.
    Allow,
    /// It is answered with this code and text, or with those that hold for the whole policy.
    Deny { code: Option<u16>, message: Option<Template> },
}

/// Which sessions a rule is about; an empty list and `None` stand for all.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    users: Vec<String>,
    networks: Vec<Network>,
    tls: Option<bool>,
}

impl Rule {
    /// Reads a rule and which commands it is about; mistakes are noted in the section.
    pub(crate) fn read(section: &Section<'_>) -> (Vec<Pattern>, Self) {
        let commands = patterns(section, "commands");
        if section.texts("commands").is_empty() {
            section.mistake_here("no commands");
        }
        let rule = Self { condition: Condition::read(section), outcome: Outcome::read(section) };
        (commands, rule)
    }

    /// Whether what it is about is denied.
    pub(crate) fn denies(&self) -> bool {
        matches!(self.outcome, Outcome::Deny { .. })
    }
}

impl Outcome {
    fn read(section: &Section<'_>) -> Self {
        let code = code(section, "code");
        let message = template(section, "message");
        if section.flag("allow") != Some(true) {
            return Self::Deny { code, message };
        }
        if code.is_some() || message.is_some() {
            section.mistake_here("a rule that allows has no code and no message");
        }
        Self::Allow
    }
}

impl Condition {
    fn read(section: &Section<'_>) -> Self {
        let networks = section.networks("networks");
        Self { users: section.texts("users"), networks, tls: tls(section) }
    }

    /// Whether the rule is about all sessions.
    pub(crate) fn always_holds(&self) -> bool {
        self.users.is_empty() && self.networks.is_empty() && self.tls.is_none()
    }

    /// Whether the rule is about this session.
    pub(crate) fn holds(&self, session: Session<'_>) -> bool {
        let user = || {
            self.users.is_empty() || session.user().is_some_and(|user| self.users.contains(&user))
        };
        let network = || {
            self.networks.is_empty()
                || session.remote_ip().parse().is_ok_and(|address| {
                    self.networks.iter().any(|network| network.contains(address))
                })
        };
        let tls = || self.tls.is_none_or(|wanted| session.tls().is_some() == wanted);
        user() && network() && tls()
    }
}

/// Reads a list of commands and bundles.
pub(crate) fn patterns(section: &Section<'_>, key: &str) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for (key, text) in section.numbered_texts(key) {
        match Pattern::read(&text) {
            Ok(some) => patterns.extend(some),
            Err(mistake) => section.mistake(&key, mistake),
        }
    }
    patterns
}

/// Reads a reply code that denies.
pub(crate) fn code(section: &Section<'_>, key: &str) -> Option<u16> {
    let code: u16 = section.number(key)?;
    if (400..600).contains(&code) && code != 421 {
        return Some(code);
    }
    section.mistake(
        key,
        format_args!("a refusal has a code from 400 to 599, and 421 closes the session: {code}"),
    );
    None
}

/// Reads a text that replaces no other.
pub(crate) fn template(section: &Section<'_>, key: &str) -> Option<Template> {
    let text = section.text(key)?;
    match text.parse::<Template>() {
        Ok(template) if template.keeps_original() => {
            section.mistake(key, "a refusal replaces nothing, so there is no {original}");
            None
        }
        Ok(template) => Some(template),
        Err(mistake) => {
            section.mistake(key, mistake);
            None
        }
    }
}

fn tls(section: &Section<'_>) -> Option<bool> {
    let text = section.text("tls")?;
    match text.as_str() {
        "true" | "on" => Some(true),
        "false" | "off" => Some(false),
        _ => {
            section.mistake("tls", format_args!("true or false is wanted, not: {text}"));
            None
        }
    }
}
