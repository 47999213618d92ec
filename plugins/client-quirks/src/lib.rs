//! Gets along with old and odd clients: cameras, scanners, machines, mainframes.
//!
//! A [`Client`] says which sessions are meant and what is done for them: [`quirk`]s out of one
//! table, [`dialect`]s, which are quirks under one name, and [`rule`]s of the operator's own.
//! Commands are put right in [`command`], replies in [`reply`]. The server is shown only the verbs
//! and codes that some client's quirks are about.
//!
//! What the server keeps to itself stays as it is: lines that are no commands, verbs that move the
//! state of a session (they may be answered here, not changed), and replies whose words are data.

#![forbid(unsafe_code)]

mod client;
mod command;
mod dialect;
mod quirk;
mod reply;
mod rule;

use waft_plugin_sdk::{
    Command, CommandDecision, CommandFilter, Interest, Plugin, Reply, ReplyFilter, Session,
    Settings, log,
};

use crate::client::Client;

/// What a client calls itself by, kept with its session.
const SOFTWARE: &str = "software";

/// As much of it is kept.
const SOFTWARE_CHARS_MAX: usize = 200;

/// The verbs by which it does.
const NAMING: [&str; 2] = ["CLNT", "CSID"];

/// The clients that the operator knows of; the first that a session fits counts.
#[derive(Debug)]
pub struct Quirks {
    clients: Vec<Client>,
}

impl Plugin for Quirks {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let sections = root.sections("client");
        if sections.is_empty() {
            root.mistake("client", "is missing; write [[plugin.config.client]]");
        }
        let numbered = (1..).zip(&sections);
        let clients = numbered.map(|(number, section)| Client::read(number, section)).collect();
        settings.finish().map(|()| Self { clients })
    }

    fn interest(&self) -> Interest {
        let mut verbs: Vec<&str> = self.clients.iter().flat_map(Client::commands).collect();
        if self.wants_software() {
            verbs.extend(NAMING);
        }
        let interest = Interest::everything().in_commands(verbs);
        let wanted = self.clients.iter().flat_map(Client::replies);
        let (mut verbs, mut codes) = (Some(Vec::new()), Some(Vec::new()));
        for (of_verbs, of_codes) in wanted {
            verbs = verbs.zip(of_verbs).map(|(all, some)| [all, some].concat());
            codes = codes.zip(of_codes).map(|(all, some)| [all, some].concat());
        }
        let interest = match verbs {
            Some(verbs) => interest.in_replies_to(verbs),
            None => interest,
        };
        match codes {
            Some(codes) => interest.in_codes(codes),
            None => interest,
        }
    }
}

impl CommandFilter for Quirks {
    fn on_command(&self, session: Session<'_>, command: &Command) -> CommandDecision {
        if NAMING.contains(&command.verb.as_str()) && self.wants_software() {
            note_software(session, command);
        }
        match self.client(session) {
            Some(client) => command::decide(client, session, command),
            None => CommandDecision::Pass,
        }
    }
}

impl ReplyFilter for Quirks {
    fn on_reply(&self, session: Session<'_>, command: &Command, reply: &Reply) -> Option<Reply> {
        reply::reworded(self.client(session)?, session, command, reply)
    }
}

impl Quirks {
    fn wants_software(&self) -> bool {
        self.clients.iter().any(Client::goes_by_software)
    }

    fn client(&self, session: Session<'_>) -> Option<&Client> {
        self.clients.iter().find(|client| client.is(session))
    }
}

fn note_software(session: Session<'_>, command: &Command) {
    let Some(name) = &command.arg else { return };
    let name: String = name.chars().take(SOFTWARE_CHARS_MAX).collect();
    if let Err(error) = session.set(SOFTWARE, Some(name.as_bytes())) {
        log::warn("cannot keep what the client calls itself", &[("error", &error)]);
    }
}

waft_plugin_sdk::export!(Quirks: command_filter, reply_filter);

#[cfg(test)]
mod tests;
