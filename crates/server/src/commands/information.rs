//! What the server tells of itself: FEAT, HELP, STAT, SITE HELP, LANG, CLNT, CSID.

use std::sync::atomic::Ordering;

use waft_core::hooks::SiteCommands;
use waft_core::storage::Abilities;
use waft_proto::arguments::{name_value_pairs, parse_language};
use waft_proto::command::printable;
use waft_proto::verb::TABLE;
use waft_proto::{Code, Reply, Text, Verb};

use super::site::{find_named, own_verbs, site_feature, site_help};
use super::{Answer, Refusal};
use crate::data::{DataSetup, Progress};
use crate::net::Network;
use crate::session::{Login, Session};

/// What the session is doing when STAT asks.
pub(crate) enum Activity<'a> {
    /// It waits for commands.
    Idle,
    /// It moves these bytes.
    Transfer(&'a Progress),
}

impl<N: Network> Session<N> {
    /// FEAT: what is really enabled for this session (RFC 2389, 3).
    pub(super) fn feat(&self, plugins: Option<&dyn SiteCommands>) -> Reply {
        let settings = &self.settings;
        let mut features: Vec<Text> = Vec::with_capacity(32);
        let able = self.abilities();
        let offer = self.security.offer();
        let is_protected = self.control.tls().is_some();
        if offer.is_some() && !is_protected && !self.security.is_agreed() {
            features.push("AUTH TLS".into());
        }
        if able.space {
            features.push("AVBL".into());
        }
        if is_protected && offer.is_some_and(|offer| offer.settings.ccc) {
            features.push("CCC".into());
        }
        features.extend(["CLNT", "CSID"].map(Text::from));
        if settings.active.allows(self.facts.peer.ip()) {
            features.push("EPRT".into());
        }
        features.push("EPSV".into());
        features.push(self.parameters.hash.feature());
        features.extend(["HOST", "LANG EN*", "MDTM"].map(Text::from));
        if able.set_modified {
            features
                .push(if able.set_mode { "MFF Modify;UNIX.mode;" } else { "MFF Modify;" }.into());
            features.push("MFMT".into());
        }
        features.push(self.parameters.facts.feature());
        if settings.transfers.deflate.is_some() {
            features.push("MODE Z".into());
        }
        features.push("PASV".into());
        if offer.is_some() && (is_protected || !self.security.is_agreed()) {
            features.extend(["PBSZ", "PROT"].map(Text::from));
        }
        features.extend(["RANG STREAM", "REST STREAM"].map(Text::from));
        features.push(site_feature(able, plugins));
        features.extend(
            ["SIZE", "TVFS", "UTF8", "XCRC", "XMD5", "XSHA", "XSHA1", "XSHA256", "XSHA512"]
                .map(Text::from),
        );
        let brought = plugins.map_or(&[][..], SiteCommands::features);
        features.extend(brought.iter().map(|line| Text::from(line.clone())));
        let lines = std::iter::once("Features:".into()).chain(features).chain(["End".into()]);
        Reply::lines(Code::SYSTEM_STATUS, lines).fixed()
    }

    /// What the files of the session can be done to; everything before anybody has logged in.
    fn abilities(&self) -> Abilities {
        match &self.login {
            Login::In(who) => who.account.storage.abilities(),
            _ => Abilities::ALL,
        }
    }

    /// HELP, from the command table.
    pub(super) fn help(&self, plugins: Option<&dyn SiteCommands>, argument: &[u8]) -> Answer {
        if argument.is_empty() {
            return Ok(help_all(plugins));
        }
        if let Some(command) = plugins.and_then(|plugins| find_named(plugins, argument)) {
            return Ok(Reply::new(Code::HELP, format!("{} - {}", command.name, command.help)));
        }
        let word = argument.split(|&b| b == b' ').next().unwrap_or_default();
        match Verb::from_name(word) {
            Some(Verb::Site) => Ok(site_help(plugins)),
            Some(verb) if !verb.spec().missing => {
                let spec = verb.spec();
                let text = format!("Syntax: {} - {} ({})", spec.usage(), spec.help, spec.source);
                Ok(Reply::new(Code::HELP, text))
            }
            _ => Err(Refusal::new(Code::NOT_IMPLEMENTED, "No such command here.")),
        }
    }

    /// STAT without an argument: the session's state (RFC 959, 4.1.3).
    pub(crate) fn status(&self, activity: Activity<'_>) -> Reply {
        let user = match &self.login {
            Login::In(who) => format!("Logged in as {}", who.account.name),
            Login::Named { .. } => "Awaiting the password".to_owned(),
            Login::Unfinished(_) => "Awaiting the account".to_owned(),
            Login::Nobody => "Not logged in".to_owned(),
        };
        let parameters = &self.parameters;
        let data = match (activity, &self.data) {
            (Activity::Transfer(progress), _) => {
                let bytes = progress.bytes.load(Ordering::Relaxed);
                format!("Transfer in progress: {bytes} bytes so far")
            }
            (_, DataSetup::None) => "No data connection".to_owned(),
            (_, DataSetup::Passive(_)) => "Passive data connection awaited".to_owned(),
            (_, DataSetup::Active(_)) => "Active data connection to be opened".to_owned(),
        };
        let lines = [
            format!("{} FTP server status:", self.settings.name),
            format!("Connected from {}", self.facts.peer.ip()),
            user,
            format!("TYPE {:?}, MODE {:?}, STRU File", parameters.representation, parameters.mode),
            data,
            "End of status".to_owned(),
        ];
        Reply::lines(Code::SYSTEM_STATUS, lines.map(Text::from))
    }

    /// LANG: replies are English (RFC 2640, 4.1).
    pub(super) fn lang(&self, argument: &[u8]) -> Answer {
        let english = |tag: &str| {
            tag.split('-').next().is_some_and(|primary| primary.eq_ignore_ascii_case("en"))
        };
        if !argument.is_empty() && !english(parse_language(argument)?) {
            return Err(Refusal::new(Code::BAD_VALUE, "No such language here."));
        }
        Ok(Reply::new(Code::OKAY, "Replies are in English."))
    }

    /// CLNT: the client's name, for the log.
    pub(super) fn clnt(&self, argument: &[u8]) -> Reply {
        tracing::info!(client = %printable(argument), "client named itself");
        Reply::new(Code::OKAY, "Noted.")
    }

    /// CSID: names of client and server.
    pub(super) fn csid(&self, argument: &[u8]) -> Reply {
        for (name, value) in name_value_pairs(argument).take(16) {
            tracing::debug!(name = %printable(name), value = %printable(value), "client named itself");
        }
        let text = format!("Name=waft; Version={};", env!("CARGO_PKG_VERSION"));
        Reply::data(Code::OKAY, text)
    }
}

fn help_all(plugins: Option<&dyn SiteCommands>) -> Reply {
    let known = TABLE.iter().filter(|row| !row.missing).map(|row| row.name);
    let names: Vec<&str> = known.chain(own_verbs(plugins)).collect();
    let rows = names.chunks(8).map(|row| {
        let row: String = row.iter().map(|name| format!("{name:<8}")).collect();
        Text::from(row.trim_end().to_owned())
    });
    let first = Text::from("Commands:");
    let last = Text::from("HELP <command> tells more.");
    Reply::lines(Code::HELP, std::iter::once(first).chain(rows).chain([last]))
}
