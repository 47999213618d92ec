//! The parts of a server that transcripts script: accounts, guard, hooks, events.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use waft_core::account::{Permission, Permissions};
use waft_core::auth::{Authenticator, AuthenticatorError, Credentials, LoginGuard, Verdict};
use waft_core::event::{Direction, Event, EventSink, Happening};
use waft_core::hooks::{
    CommandVerdict, ConnectionFilter, FileFilter, HookSource, Hooks, LoginFilter, ReplyVerdict,
};
use waft_core::{Account, BoxFuture, SessionFacts, VirtualPath};
use waft_proto::{Code, Command, Reply, Verb, VerbSet};
use waft_storage_fs::{LocalStorage, Options};

use super::filters::Filters;

/// The accounts of a transcript.
#[derive(Default)]
pub struct Accounts {
    entries: Vec<Entry>,
}

struct Entry {
    password: String,
    /// The authenticator cannot decide about this one.
    broken: bool,
    account: Arc<Account>,
}

impl Accounts {
    /// Adds an account: its name, then `password=…`, `permissions=list,read`, `home=/…`, `root=…`,
    /// `sessions_max=N`, `anonymous`, `broken`.
    pub fn add(&mut self, line: &str, files: &Path) {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let (mut root, mut password, mut broken) = (files.to_owned(), "secret".to_owned(), false);
        let mut account = account(name, files);
        for word in words {
            match word.split_once('=').unwrap_or((word, "")) {
                ("password", value) => password = value.to_owned(),
                ("permissions", value) => account.permissions = permissions(value),
                ("home", value) => account.home = path(value),
                ("root", value) => root = files.join(value),
                ("sessions_max", value) => account.sessions_max = Some(value.parse().unwrap()),
                ("anonymous", "") => account.anonymous = true,
                ("broken", "") => broken = true,
                _ => panic!("not of an account: {word}"),
            }
        }
        account.storage = Arc::new(LocalStorage::open(&root, Options::default()).unwrap());
        self.entries.push(Entry { password, broken, account: Arc::new(account) });
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// An account with everything allowed.
pub fn account(name: &str, files: &Path) -> Account {
    Account {
        name: name.into(),
        permissions: Permissions::ALL,
        storage: Arc::new(LocalStorage::open(files, Options::default()).unwrap()),
        home: VirtualPath::root(),
        anonymous: false,
        sessions_max: None,
        resumption: None,
        attributes: Arc::default(),
    }
}

fn permissions(names: &str) -> Permissions {
    let names = names.split(',').filter(|name| !name.is_empty());
    names.map(|name| Permission::from_name(name).unwrap()).collect()
}

fn path(text: &str) -> VirtualPath {
    VirtualPath::root().join(text.as_bytes()).unwrap()
}

impl Authenticator for Accounts {
    fn authenticate<'a>(
        &'a self,
        _: &'a SessionFacts,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Verdict, AuthenticatorError>> {
        let Credentials::Password { user, password } = credentials else {
            return Box::pin(std::future::ready(Ok(Verdict::Abstain)));
        };
        let entry = self.entries.iter().find(|entry| *entry.account.name == **user);
        let verdict = match entry {
            None => Ok(Verdict::Abstain),
            Some(entry) if entry.broken => Err(AuthenticatorError {
                name: "transcript".to_owned(),
                reason: "it is broken".to_owned(),
            }),
            Some(entry) if entry.account.anonymous => Ok(Verdict::Accept(entry.account.clone())),
            Some(entry) if entry.password.as_bytes() == password.expose() => {
                Ok(Verdict::Accept(entry.account.clone()))
            }
            Some(_) => Ok(Verdict::Deny { reason: "wrong password" }),
        };
        Box::pin(std::future::ready(verdict))
    }
}

/// A guard that does what it was told.
#[derive(Default)]
pub struct Guard {
    pub delay: Duration,
    pub locked_out: bool,
}

impl LoginGuard for Guard {
    fn is_locked_out(&self, _: IpAddr, _: Option<&str>) -> bool {
        self.locked_out
    }

    fn note_failure(&self, _: IpAddr, _: &str) -> Duration {
        self.delay
    }

    fn delay(&self, _: IpAddr, _: &str) -> Duration {
        self.delay
    }

    fn note_success(&self, _: IpAddr, _: &str) {}
}

/// Events, on their way to the transcript.
pub struct Events(mpsc::UnboundedSender<String>);

impl Events {
    pub fn channel() -> (Events, mpsc::UnboundedReceiver<String>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Events(sender), receiver)
    }
}

impl EventSink for Events {
    fn emit(&self, event: Event) {
        let Event { session, what } = event;
        let told = match what {
            Happening::SessionOpened => format!("session opened {}", session.peer.ip()),
            Happening::SessionClosed { reason, .. } => format!("session closed: {reason}"),
            Happening::LoggedIn => {
                format!("logged in {}", session.user.as_deref().unwrap_or_default())
            }
            Happening::LoginFailed { reason, .. } => format!("login failed: {reason}"),
            Happening::LoginUndecided { reason, .. } => format!("login undecided: {reason}"),
            Happening::FileRemoved { path } => format!("removed {path}"),
            Happening::Renamed { from, to } => format!("renamed {from} to {to}"),
            Happening::DirectoryMade { path } => format!("made {path}"),
            Happening::DirectoryRemoved { path } => format!("removed directory {path}"),
            Happening::TransferEnded { direction, path, bytes, failure, .. } => {
                let direction = match direction {
                    Direction::Upload => "upload",
                    Direction::Download => "download",
                };
                let end = failure.map_or("complete".to_owned(), |failure| {
                    format!("incomplete: {}, {}", failure.reason, failure.code)
                });
                format!("{direction} {path} {bytes} {end}")
            }
        };
        // Nobody listens any more once the transcript is over.
        let _ = self.0.send(told);
    }
}

/// Hooks that follow rules:
///
/// - `on VERB [ARGUMENT] pass`, `… rewrite LINE`, `… answer CODE TEXT`, `… close CODE TEXT`, where
///   `OTHER` is any verb that the table does not know;
/// - `reword VERB CODE TEXT`: the reply to that command of that code; `NONE` where the server
///   speaks unasked, `ALL` for all;
/// - those of [`Filters`].
#[derive(Default)]
pub struct Plugins {
    script: Mutex<Arc<Rules>>,
    seen: Seen,
}

/// What hooks have been asked about, oldest first.
pub type Seen = Arc<Mutex<VecDeque<String>>>;

#[derive(Clone, Default)]
struct Rules {
    commands: Vec<CommandRule>,
    replies: Vec<ReplyRule>,
    command_interest: VerbSet,
    reply_interest: VerbSet,
    filters: Filters,
    seen: Seen,
}

#[derive(Clone)]
struct CommandRule {
    verb: Option<Verb>,
    argument: Option<String>,
    verdict: CommandVerdict,
}

#[derive(Clone)]
struct ReplyRule {
    verb: Option<Verb>,
    all: bool,
    code: Code,
    text: String,
}

impl Plugins {
    /// Adds a rule, as a new generation; `none` removes them all.
    pub fn add(&self, rule: &str, files: &Path) {
        let mut script = self.script.lock().unwrap();
        let mut rules = Rules { seen: Arc::clone(&self.seen), ..(**script).clone() };
        match rule.split_once(' ') {
            None => rules = Rules { seen: Arc::clone(&self.seen), ..Rules::default() },
            Some(("on", rest)) => rules.add_command(rest),
            Some(("reword", rest)) => rules.add_reply(rest),
            Some(_) => {
                rules.filters.seen = Arc::clone(&self.seen);
                assert!(rules.filters.add(rule, files), "not a hook: {rule}");
            }
        }
        *script = Arc::new(rules);
    }

    /// What the hooks have been asked about, oldest first.
    pub fn take_seen(&self) -> Option<String> {
        self.seen.lock().unwrap().pop_front()
    }
}

impl Rules {
    fn add_command(&mut self, rule: &str) {
        let keywords = [" pass", " rewrite ", " answer ", " close "];
        let at = keywords.iter().filter_map(|keyword| rule.find(keyword)).min().unwrap();
        let (command, verdict) = rule.split_at(at);
        let (verb, argument) = match command.split_once(' ') {
            Some((verb, argument)) => (verb, Some(argument.to_owned())),
            None => (command, None),
        };
        let verb = known(verb);
        interest(&mut self.command_interest, verb);
        let verdict = verdict_of(verdict.trim_start());
        self.commands.push(CommandRule { verb, argument, verdict });
    }

    fn add_reply(&mut self, rule: &str) {
        let mut words = rule.splitn(3, ' ');
        let (verb, code, text) =
            (words.next().unwrap(), words.next().unwrap(), words.next().unwrap().to_owned());
        let all = verb == "ALL";
        if all {
            self.reply_interest = VerbSet::ALL;
        }
        let verb = known(verb);
        interest(&mut self.reply_interest, verb);
        self.replies.push(ReplyRule { verb, all, code: number(code), text });
    }

    fn note(&self, what: String) {
        self.seen.lock().unwrap().push_back(what);
    }
}

fn known(verb: &str) -> Option<Verb> {
    match verb {
        "OTHER" | "NONE" | "ALL" => None,
        name => Some(Verb::from_name(name.as_bytes()).unwrap()),
    }
}

fn interest(set: &mut VerbSet, verb: Option<Verb>) {
    match verb {
        Some(verb) => set.insert(verb),
        None => set.insert_unknown(),
    }
}

fn number(code: &str) -> Code {
    Code::new(code.parse().unwrap()).unwrap()
}

fn verdict_of(text: &str) -> CommandVerdict {
    let plugin: Arc<str> = Arc::from("transcript");
    let reply = |rest: &str| {
        let (code, text) = rest.split_once(' ').unwrap();
        let lines = text.split(" | ").map(|line| line.to_owned().into());
        Reply::lines(number(code), lines)
    };
    match text.split_once(' ').unwrap_or((text, "")) {
        ("pass", "") => CommandVerdict::Pass,
        ("rewrite", line) => {
            CommandVerdict::Rewrite { command: Command::parse(line.as_bytes()).unwrap(), plugin }
        }
        ("answer", rest) => CommandVerdict::Answer { reply: reply(rest), plugin },
        ("close", rest) => CommandVerdict::Close { reply: reply(rest), plugin },
        _ => panic!("not a verdict: {text}"),
    }
}

impl HookSource for Plugins {
    fn current(&self) -> Arc<dyn Hooks> {
        Arc::clone(&*self.script.lock().unwrap()) as _
    }
}

impl Hooks for Rules {
    fn may_take_long(&self, _: &SessionFacts, _: &Command) -> bool {
        false
    }

    fn reply_interest(&self) -> VerbSet {
        self.reply_interest
    }

    fn on_command<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        command: &'a Command,
    ) -> Option<BoxFuture<'a, CommandVerdict>> {
        if !self.command_interest.contains(command.verb()) {
            return None;
        }
        let user = session.user.as_deref().unwrap_or("nobody");
        self.note(format!("{user} in {} wants {command}", session.cwd));
        let argument = String::from_utf8_lossy(command.argument_or_empty());
        let rule = self.commands.iter().find(|rule| {
            rule.verb == command.verb()
                && rule.argument.as_ref().is_none_or(|wanted| **wanted == *argument)
        });
        let verdict = rule.map_or(CommandVerdict::Pass, |rule| rule.verdict.clone());
        Some(Box::pin(std::future::ready(verdict)))
    }

    fn on_reply<'a>(
        &'a self,
        _: &'a Arc<SessionFacts>,
        command: Option<&'a Command>,
        reply: Reply,
    ) -> BoxFuture<'a, ReplyVerdict> {
        let verb = command.and_then(Command::verb);
        let name = command.map_or("nothing", |command| command.name().as_str());
        self.note(format!("{} for {name}", reply.code()));
        let rule = self
            .replies
            .iter()
            .find(|rule| (rule.all || rule.verb == verb) && rule.code == reply.code());
        let verdict = match rule {
            None => ReplyVerdict { reply, plugin: None },
            Some(rule) => ReplyVerdict {
                reply: Reply::new(reply.code(), rule.text.clone()),
                plugin: Some(Arc::from("transcript")),
            },
        };
        Box::pin(std::future::ready(verdict))
    }

    fn connections(&self) -> Option<&dyn ConnectionFilter> {
        (!self.filters.connect.is_empty()).then_some(&self.filters)
    }

    fn logins(&self) -> Option<&dyn LoginFilter> {
        (!self.filters.login.is_empty()).then_some(&self.filters)
    }

    fn files(&self) -> Option<&dyn FileFilter> {
        Some(&self.filters)
    }
}
