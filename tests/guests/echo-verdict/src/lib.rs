//! Does with commands what its settings say, so that the host's tests can ask for any verdict.
//!
//! | setting | what it does |
//! |---|---|
//! | `[rewrite]` `NOOP = "CWD pub"` | goes on with another command |
//! | `[answer]` `NOOP = "200 hello"` | answers with this code and text |
//! | `[close]` `NOOP = "421 bye"` | answers so and closes the session |
//! | `[reply]` `PWD = "257 text"` | replaces the final reply to a command |
//! | `count = "NOOP"` | answers `200 session N, instance M`: how often this was asked for |
//! | `echo = "SITE"` | answers with all that is known of the command and its session |
//! | `log = "NOOP"` | writes the command to the log and passes |
//!
//! It wants to see exactly the verbs named.

#![forbid(unsafe_code)]

use std::cell::Cell;

use waft_plugin_sdk::{
    Command, CommandDecision, CommandFilter, Interest, Plugin, Reply, ReplyFilter, Section,
    Session, Settings, log,
};

/// The settings, and what this instance remembers.
#[derive(Debug)]
pub struct EchoVerdict {
    rewrite: Vec<(String, String)>,
    answer: Vec<(String, Reply)>,
    close: Vec<(String, Reply)>,
    reply: Vec<(String, Reply)>,
    count: Option<String>,
    echo: Option<String>,
    log: Option<String>,
    calls: Cell<u32>,
}

impl Plugin for EchoVerdict {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let plugin = Self {
            rewrite: root.entries("rewrite"),
            answer: replies(&root, "answer"),
            close: replies(&root, "close"),
            reply: replies(&root, "reply"),
            count: root.text("count"),
            echo: root.text("echo"),
            log: root.text("log"),
            calls: Cell::new(0),
        };
        settings.finish().map(|()| plugin)
    }

    fn interest(&self) -> Interest {
        let one = [&self.count, &self.echo, &self.log].into_iter().flatten().cloned();
        let rewritten = self.rewrite.iter().map(|(verb, _)| verb.clone());
        let answered = self.answer.iter().chain(&self.close).map(|(verb, _)| verb.clone());
        Interest::everything()
            .in_commands(one.chain(rewritten).chain(answered))
            .in_replies_to(self.reply.iter().map(|(verb, _)| verb.clone()))
    }
}

impl CommandFilter for EchoVerdict {
    fn on_command(&self, session: Session<'_>, command: &Command) -> CommandDecision {
        let is = |verb: &Option<String>| verb.as_ref() == Some(&command.verb);
        if is(&self.count) {
            return self.counted(session);
        }
        if is(&self.echo) {
            // Of a login the server alone can say that it is done.
            let code = if command.verb == "PASS" { 530 } else { 200 };
            return CommandDecision::Answer(Reply::new(code, facts(session, command)));
        }
        if is(&self.log) {
            log::info("seen", &[("verb", &command.verb)]);
        }
        if let Some(line) = of(&self.rewrite, command) {
            let (verb, arg) = line.split_once(' ').map_or((&**line, None), |(v, a)| (v, Some(a)));
            return CommandDecision::Rewrite(Command::new(verb, arg));
        }
        let answer = of(&self.answer, command).map(|reply| CommandDecision::Answer(reply.clone()));
        let close = of(&self.close, command).map(|reply| CommandDecision::Close(reply.clone()));
        answer.or(close).unwrap_or(CommandDecision::Pass)
    }
}

impl ReplyFilter for EchoVerdict {
    fn on_reply(&self, _: Session<'_>, command: &Command, reply: &Reply) -> Option<Reply> {
        let is_final = reply.code >= 200;
        of(&self.reply, command).filter(|_| is_final).cloned()
    }
}

impl EchoVerdict {
    fn counted(&self, session: Session<'_>) -> CommandDecision {
        let before = session.get("count").and_then(|bytes| bytes.try_into().ok());
        let count = before.map_or(0, u32::from_le_bytes) + 1;
        self.calls.set(self.calls.get() + 1);
        CommandDecision::Answer(match session.set("count", Some(&count.to_le_bytes())) {
            Ok(()) => Reply::new(200, format!("session {count}, instance {}", self.calls.get())),
            Err(reason) => Reply::new(451, reason),
        })
    }
}

fn of<'a, T>(table: &'a [(String, T)], command: &Command) -> Option<&'a T> {
    table.iter().find(|(verb, _)| *verb == command.verb).map(|(_, value)| value)
}

fn facts(session: Session<'_>, command: &Command) -> String {
    let tls = session.tls().map_or_else(|| "none".to_owned(), |tls| tls.version);
    [
        format!("verb {}", command.verb),
        format!("arg {}", command.arg.as_deref().unwrap_or("none")),
        format!("id {}", session.id()),
        format!("remote {} {}", session.remote_ip(), session.remote_port()),
        format!("listener {}", session.listener()),
        format!("tls {tls}"),
        format!("user {}", session.user().as_deref().unwrap_or("none")),
        format!("cwd {}", session.cwd()),
    ]
    .join("\n")
}

fn replies(root: &Section<'_>, key: &str) -> Vec<(String, Reply)> {
    let mut replies = Vec::new();
    for (verb, text) in root.entries(key) {
        let (code, words) = text.split_once(' ').unwrap_or((&text, ""));
        match code.parse() {
            Ok(code) => replies.push((verb, Reply::new(code, words))),
            Err(_) => root.mistake(key, format_args!("a reply is wanted, not: {text}")),
        }
    }
    replies
}

waft_plugin_sdk::export!(EchoVerdict: command_filter, reply_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    fn plugin(values: &[(&str, &str)]) -> EchoVerdict {
        EchoVerdict::new(&Settings::of(values.iter().copied())).unwrap()
    }

    #[test]
    fn every_verdict_can_be_asked_for() {
        let plugin = plugin(&[
            ("rewrite.CWD", "MKD a b"),
            ("answer.NOOP", "200 hello"),
            ("close.QUIT", "421 bye"),
            ("reply.PWD", "257 here"),
        ]);
        let session = TestSession::new();
        let decide = |verb: &str| plugin.on_command(session.session(), &Command::new(verb, None));
        assert_eq!(decide("CWD"), CommandDecision::Rewrite(Command::new("MKD", "a b")));
        assert_eq!(decide("NOOP"), CommandDecision::Answer(Reply::new(200, "hello")));
        assert_eq!(decide("QUIT"), CommandDecision::Close(Reply::new(421, "bye")));
        assert_eq!(decide("PWD"), CommandDecision::Pass);
        let pwd = Command::new("PWD", None);
        let reply = plugin.on_reply(session.session(), &pwd, &Reply::new(257, "there"));
        assert_eq!(reply, Some(Reply::new(257, "here")));
    }

    #[test]
    fn a_session_is_counted_across_instances() {
        let session = TestSession::new();
        let noop = Command::new("NOOP", None);
        let first = plugin(&[("count", "NOOP")]);
        first.on_command(session.session(), &noop);
        first.on_command(session.session(), &noop);
        assert_eq!(
            plugin(&[("count", "NOOP")]).on_command(session.session(), &noop),
            CommandDecision::Answer(Reply::new(200, "session 3, instance 1"))
        );
    }

    #[test]
    fn a_reply_without_a_code_is_a_mistake() {
        let mistake = EchoVerdict::new(&Settings::of([("answer.NOOP", "hello")])).unwrap_err();
        assert_eq!(mistake, "answer: a reply is wanted, not: hello");
    }
}
