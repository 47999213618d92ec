//! The hooks, but for `storage`.

use std::cell::RefCell;

use crate::bindings::exports::waft::plugin::authenticator::{self, AuthDecision, Credentials};
use crate::bindings::exports::waft::plugin::command_filter::{self, CommandDecision};
use crate::bindings::exports::waft::plugin::connection_filter::{self, ConnectDecision};
use crate::bindings::exports::waft::plugin::content_filter::{self, Interest, Verdict};
use crate::bindings::exports::waft::plugin::event_sink::{self, Event, Value};
use crate::bindings::exports::waft::plugin::file_filter::{self, FileDecision, FileOp};
use crate::bindings::exports::waft::plugin::{lifecycle, reply_filter, site_command, timer};
use crate::bindings::waft::plugin::sessions::Session;
use crate::bindings::waft::plugin::types::{Command, Direction, FileStat, Reply};
use crate::bindings::waft::plugin::{config, crypto, kv};
use crate::{Since, pairs, services};

fn reply(code: u16, text: &str) -> Reply {
    Reply { code, lines: text.lines().map(str::to_owned).collect() }
}

impl lifecycle::Guest for Since {
    fn describe() -> lifecycle::Descriptor {
        lifecycle::Descriptor {
            name: "since-0-1-0".to_owned(),
            version: "0.1.0".to_owned(),
            description: "as it was".to_owned(),
            verbs: vec!["ALLO".to_owned()],
            site: pairs([
                ("XOLD", "says what it was told"),
                ("SITE SERVICES", "asks all services"),
                ("SITE COUNTS", "counts events and ticks"),
            ]),
            features: vec!["XOLD any text".to_owned()],
            events: vec!["transfer.*".to_owned()],
            extra: pairs([
                ("command.verbs", "ALLO,XPWD,XBYE"),
                ("reply.verbs", "NOOP"),
                ("reply.codes", "200"),
                ("file.ops", "read,remove"),
                ("file.list", "*"),
                ("timer.tick", "100ms"),
            ]),
        }
    }

    fn init() -> Result<(), String> {
        config::get("hash").map(drop).ok_or_else(|| "hash is missing".to_owned())
    }
}

impl connection_filter::Guest for Since {
    fn on_connect(s: &Session) -> ConnectDecision {
        match s.set("connected", Some(b"yes")) {
            Ok(()) => ConnectDecision::Pass,
            Err(reason) => ConnectDecision::Reject(reply(421, &reason)),
        }
    }
}

impl command_filter::Guest for Since {
    fn on_command(_: &Session, c: Command) -> CommandDecision {
        match c.verb.as_str() {
            "ALLO" => CommandDecision::Answer(reply(202, "There was room in those days.")),
            "XPWD" => CommandDecision::Rewrite(Command { verb: "PWD".to_owned(), arg: None }),
            "XBYE" => CommandDecision::Close(reply(221, "So long.")),
            _ => CommandDecision::Pass,
        }
    }
}

impl reply_filter::Guest for Since {
    fn on_reply(_: &Session, c: Command, r: Reply) -> Option<Reply> {
        Some(reply(r.code, &format!("{} was fine.", c.verb)))
    }
}

impl authenticator::Guest for Since {
    fn authenticate(_: &Session, c: Credentials) -> AuthDecision {
        match c {
            Credentials::Password(offer) if offer.user == "old" && offer.password.is_none() => {
                let hash = config::get("hash").unwrap_or_default();
                match crypto::verify_offered(&hash) {
                    Ok(true) => AuthDecision::Accept(account()),
                    Ok(false) => AuthDecision::Deny(Some("wrong".to_owned())),
                    Err(reason) => AuthDecision::Deny(Some(reason)),
                }
            }
            Credentials::Password(offer) if offer.user == "lost" => {
                AuthDecision::Fail("nobody remembers".to_owned())
            }
            _ => AuthDecision::Abstain,
        }
    }
}

fn account() -> authenticator::Account {
    let permissions = ["list", "read", "write", "append", "delete", "rename", "mkdir"];
    authenticator::Account {
        name: "old".to_owned(),
        storage: "plugin:since-0-1-0".to_owned(),
        root: "/".to_owned(),
        permissions: permissions.map(str::to_owned).to_vec(),
        limits: pairs([("max.sessions", "3")]),
        groups: vec!["staff".to_owned()],
        attributes: pairs([("colour", "blue")]),
    }
}

impl file_filter::Guest for Since {
    fn on_file(_: &Session, op: FileOp) -> FileDecision {
        match op {
            FileOp::Remove(path) if path == "/kept" => FileDecision::Deny(reply(550, "Kept.")),
            FileOp::Read((path, _)) if path == "/alias" => {
                FileDecision::Redirect("/a.txt".to_owned())
            }
            _ => FileDecision::Pass,
        }
    }

    fn on_list(_: &Session, _: String, entries: Vec<(String, FileStat)>) -> Vec<u32> {
        let shown = (0..).zip(entries).filter(|(_, (name, _))| !name.starts_with("hidden"));
        shown.map(|(number, _)| number).collect()
    }
}

/// One upload.
#[derive(Debug)]
pub struct Upload {
    refused: bool,
    octets: RefCell<u64>,
}

impl content_filter::Guest for Since {
    type Filter = Upload;

    fn wants(_: &Session, d: Direction, path: String, _: Option<u64>) -> Interest {
        match d {
            Direction::Upload if path.ends_with(".up") => Interest::Transform,
            Direction::Upload if path.ends_with(".bad") => Interest::Inspect,
            _ => Interest::Skip,
        }
    }
}

impl content_filter::GuestFilter for Upload {
    fn new(_: &Session, _: Direction, path: String) -> Self {
        Self { refused: path.ends_with(".bad"), octets: RefCell::default() }
    }

    fn push(&self, chunk: Vec<u8>) -> Result<Vec<u8>, Reply> {
        *self.octets.borrow_mut() += chunk.len() as u64;
        Ok(chunk.to_ascii_uppercase())
    }

    fn finish(&self) -> Verdict {
        if self.refused {
            let octets = self.octets.borrow();
            return Verdict::Refuse(reply(550, &format!("Not these {octets} octets.")));
        }
        Verdict::Accept(b"!".to_vec())
    }
}

impl event_sink::Guest for Since {
    fn on_events(events: Vec<Event>) -> Result<(), String> {
        for event in events {
            let bytes = event.fields.iter().find(|(name, _)| name == "bytes");
            if let Some((_, Value::Number(bytes))) = bytes {
                let counted = kv::increment(&event.name, *bytes, None);
                counted.map_err(|error| format!("{error:?}"))?;
            }
        }
        Ok(())
    }
}

impl site_command::Guest for Since {
    fn on_site(s: &Session, name: String, arg: Option<String>) -> Reply {
        match name.as_str() {
            "SITE SERVICES" => Reply { code: 211, lines: services::ask(s) },
            "SITE COUNTS" => {
                let count = |key| kv::increment(key, 0, None).unwrap_or_default();
                let events = count("transfer.upload.done");
                reply(211, &format!("uploaded {events}\nticked {}", count("ticks") > 0))
            }
            _ => reply(200, &format!("{name}: {}", arg.unwrap_or_default())),
        }
    }
}

impl timer::Guest for Since {
    fn on_timer(name: String) {
        if name == "tick" {
            // Where it fails, the count tells.
            let _ = kv::increment("ticks", 1, None);
        }
    }
}
