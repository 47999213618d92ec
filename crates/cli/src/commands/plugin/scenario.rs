//! A conversation of clients with the server, written down, and played.
//!
//! The lines are those of the transcripts that the server's own tests play, and some that are about
//! plugins; `docs/plugins/testing.md` has them all. Reading is here, playing in [`play()`]; what is
//! around the plugin meanwhile, its time, web services and failures, in [`world`].

mod client;
mod data;
mod parse;
mod play;
mod text;
mod tls;
mod world;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use waft_plugin_host::{Fault, WebResponse};

pub(super) use parse::Mistake;
pub(super) use play::{Broken, play};
use text::Pattern;
pub(super) use tls::NAME as TLS_NAME;

/// Who logs in.
pub(super) const USER: &str = "alice";

/// With what password; it is that of all accounts.
pub(super) const PASSWORD: &str = "secret";

/// A conversation, line by line.
#[derive(Debug, Default)]
pub(super) struct Scenario {
    pub(super) stage: Stage,
    /// With the numbers of their lines.
    steps: Vec<(usize, Step)>,
}

/// What is there before the conversation.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// What an operator writes under `[[plugin]]`, where it is another than in `plugin.toml`.
    pub(super) plugin: Option<String>,
    /// Other sections of the configuration.
    pub(super) server: String,
    /// Accounts, with their permissions where they have not all.
    pub(super) accounts: Vec<(String, Option<String>)>,
    /// Files beneath the root of all accounts.
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) directories: Vec<String>,
    /// Files for `file:secrets/NAME`.
    pub(super) secrets: Vec<(String, Vec<u8>)>,
    /// What the plugin's store holds.
    stored: Vec<(String, Vec<u8>)>,
    /// What web services answer.
    answers: Vec<Answer>,
    /// What time it is.
    clock: Option<SystemTime>,
    /// Whether the server has TLS, and a second listener on which it is implicit.
    pub(super) has_tls: bool,
}

/// Something that is done, or has to be so.
#[derive(Debug)]
enum Step {
    Session { name: String, from: Option<IpAddr>, is_implicit: bool },
    Login { name: String, password: String },
    Send(Vec<u8>),
    Expect(Pattern),
    Eof,
    Disconnect,
    Tls,
    Protect,
    Passive,
    Active,
    Listen(u16),
    DataSend(Vec<u8>),
    DataExpect(Vec<u8>),
    DataLines(Vec<Pattern>),
    DataGone,
    Advance(Duration),
    Answer(Answer),
    Asked { method: String, url: Pattern, body: Option<Pattern> },
    Stored { key: String, value: Option<Pattern> },
    Inject { hook: String, fault: Fault },
    Event(String),
    Logged(String),
    Check { name: String, holds: Option<Vec<u8>> },
}

/// What a web service answers.
#[derive(Clone, Debug)]
struct Answer {
    /// The line that says so.
    line: usize,
    method: String,
    url: Pattern,
    /// Once, or as often as it is asked.
    always: bool,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
enum Outcome {
    Response(WebResponse),
    Timeout,
    Failure(String),
}
