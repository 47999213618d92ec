//! What plugins may do to commands and replies: the traits that the plugin host implements.
//!
//! The server asks at fixed points of one pipeline and carries the verdicts out; nobody but the
//! server writes to a client. A hook that nobody wants for a verb costs one bit test.

mod connection;
mod content;
mod file;
mod login;
mod site;

use std::sync::Arc;

use waft_proto::command::Name;
use waft_proto::reply::{Class, Wording};
use waft_proto::verb::PluginReach;
use waft_proto::{Code, Command, ParseError, Reply, Verb, VerbSet};

use crate::BoxFuture;
use crate::session::{SessionFacts, SessionId};

pub use connection::{ConnectVerdict, ConnectionFilter};
pub use content::{
    ContentFilters, ContentRefusal, ContentStream, ContentVerdict, Passage, WantedContent,
};
pub use file::{
    FileFilter, FileOp, FileOpKind, FileOps, FileVerdict, ListUndecided, ListVerdict, WriteKind,
};
pub use login::{ACCT_ATTRIBUTE, LoginDecision, LoginFilter, LoginVerdict};
pub use site::{SiteAnswer, SiteCommand, SiteCommands};

/// What the plugins decided about a command.
#[derive(Clone, Debug)]
pub enum CommandVerdict {
    /// The server goes on with the command.
    Pass,
    /// The server goes on with another command, parsed and authorised as if the client had sent it.
    Rewrite {
        /// The other command.
        command: Command,
        /// The plugin that wanted it.
        plugin: Arc<str>,
    },
    /// The command is answered with this and not executed.
    Answer {
        /// The answer; a final one.
        reply: Reply,
        /// The plugin that wanted it.
        plugin: Arc<str>,
    },
    /// The command is answered with this and not executed, as a plugin that had to be asked failed
    /// or cannot be shown the command: nobody decided about it.
    Undecided {
        /// The answer; a final one.
        reply: Reply,
        /// The plugin.
        plugin: Arc<str>,
    },
    /// As `Answer`, and the session ends.
    Close {
        /// The last reply.
        reply: Reply,
        /// The plugin that wanted it.
        plugin: Arc<str>,
    },
}

/// What the plugins made of a reply.
#[derive(Clone, Debug)]
pub struct ReplyVerdict {
    /// The reply to send.
    pub reply: Reply,
    /// The last plugin that changed it, if one did.
    pub plugin: Option<Arc<str>>,
}

/// One generation of plugins, bound to the hook points in their order.
///
/// A command keeps the generation it began with until its final reply.
pub trait Hooks: Send + Sync {
    /// Whether what plugins say about this command of this session may take a while.
    fn may_take_long(&self, session: &SessionFacts, command: &Command) -> bool;

    /// The verbs whose replies some plugin wants to see. The greeting and replies that no command
    /// asked for go by the unknown verb's bit.
    fn reply_interest(&self) -> VerbSet;

    /// Asks the plugins about a command; none where nobody wants to see it in this session, so that it
    /// passes. A secret argument is not shown to them.
    fn on_command<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        command: &'a Command,
    ) -> Option<BoxFuture<'a, CommandVerdict>>;

    /// Lets the plugins reword the reply to a command; they see the command without a secret
    /// argument, and none where the server speaks unasked.
    fn on_reply<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        command: Option<&'a Command>,
        reply: Reply,
    ) -> BoxFuture<'a, ReplyVerdict>;

    /// The generation's number, for the log.
    fn generation(&self) -> u64 {
        0
    }

    /// Waits until nothing may go on with this generation any more: whoever operates its plugins
    /// wants rid of it. Only transfers last so long that it matters.
    fn withdrawn(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    /// The same for a transfer of that session, which is going on with this generation as long as
    /// it waits.
    fn withdrawn_for(&self, session: SessionId) -> BoxFuture<'static, ()> {
        let _ = session;
        self.withdrawn()
    }

    /// The plugins that decide which clients are served, if there are any.
    fn connections(&self) -> Option<&dyn ConnectionFilter> {
        None
    }

    /// The plugins that decide who may log in, if there are any.
    fn logins(&self) -> Option<&dyn LoginFilter> {
        None
    }

    /// The plugins that decide what is done to files, if there are any.
    fn files(&self) -> Option<&dyn FileFilter> {
        None
    }

    /// The commands that plugins bring along, if there are any.
    fn site(&self) -> Option<&dyn SiteCommands> {
        None
    }

    /// The plugins that look at the bytes of transfers, if there are any.
    fn content(&self) -> Option<&dyn ContentFilters> {
        None
    }
}

/// Where the generation of plugins in force comes from.
pub trait HookSource: Send + Sync {
    /// The generation in force now; asked once per command.
    fn current(&self) -> Arc<dyn Hooks>;

    /// The generation that is in force for one session, where that makes a difference.
    fn current_for(&self, session: SessionId) -> Arc<dyn Hooks> {
        let _ = session;
        self.current()
    }
}

/// No plugins.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn may_take_long(&self, _: &SessionFacts, _: &Command) -> bool {
        false
    }

    fn reply_interest(&self) -> VerbSet {
        VerbSet::EMPTY
    }

    fn on_command<'a>(
        &'a self,
        _: &'a Arc<SessionFacts>,
        _: &'a Command,
    ) -> Option<BoxFuture<'a, CommandVerdict>> {
        None
    }

    fn on_reply<'a>(
        &'a self,
        _: &'a Arc<SessionFacts>,
        _: Option<&'a Command>,
        reply: Reply,
    ) -> BoxFuture<'a, ReplyVerdict> {
        Box::pin(std::future::ready(ReplyVerdict { reply, plugin: None }))
    }
}

impl HookSource for NoHooks {
    fn current(&self) -> Arc<dyn Hooks> {
        Arc::new(NoHooks)
    }
}

/// Why a plugin's verdict cannot be carried out: the plugin's fault, logged and treated as its
/// failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerdictError {
    /// QUIT and ABOR cannot be denied.
    #[error("{0} cannot be denied")]
    Undeniable(&'static str),
    /// The verb keeps state at both ends: it may be denied, not rewritten.
    #[error("{0} may be denied but not rewritten")]
    NotRewritable(String),
    /// Both ends go by what the server did.
    #[error(
        "{verb} may be refused with 4yz or 5yz, not answered: only the server can do what it asks \
         for: {code}"
    )]
    OnlyRefused {
        /// The verb.
        verb: &'static str,
        /// The code that the plugin wanted.
        code: Code,
    },
    /// The new command is none.
    #[error("the rewritten command is none: {0}")]
    NotACommand(#[from] ParseError),
    /// A reply code that is none, or not one that ends a command.
    #[error("not a final reply code: {0}")]
    NotFinal(u16),
    /// A reply that says no has a code of 400 to 599.
    #[error("not a refusal's reply code: {0}")]
    NotARefusal(u16),
    /// 421 is for sessions that end.
    #[error("421 only where the session ends")]
    NotClosing,
    /// The reply's first digit says what happened: a plugin may reword that, not change it.
    #[error("the reply {was} may not become {wanted}: it tells what happened")]
    Lie {
        /// The reply's code.
        was: Code,
        /// The code that the plugin wanted.
        wanted: Code,
    },
    /// The reply's words are data that clients parse.
    #[error("the words of this {0} reply are data, not words")]
    Data(Code),
}

/// Checks that plugins may answer `command` with `reply`.
///
/// # Errors
/// The client must always be able to give it (QUIT, ABOR), the code does not end a command, or it
/// promises what only the server can do.
pub fn check_answer(
    command: &Command,
    reply: &Reply,
    closing: Closing,
) -> Result<(), VerdictError> {
    let code = reply.code();
    if let Some(spec) = command.verb().map(Verb::spec) {
        if spec.plugin == PluginReach::Observe {
            return Err(VerdictError::Undeniable(spec.name));
        }
        if spec.is_refused_only() && !code.is_failure() {
            return Err(VerdictError::OnlyRefused { verb: spec.name, code });
        }
    }
    if matches!(code.class(), Class::Preliminary | Class::Intermediate) {
        return Err(VerdictError::NotFinal(code.number()));
    }
    if code == Code::NOT_AVAILABLE && closing == Closing::No {
        return Err(VerdictError::NotClosing);
    }
    Ok(())
}

/// Checks that `reply` says no.
///
/// # Errors
/// Its code is not one of 4yz or 5yz, or it says that a session ends which goes on.
pub fn check_refusal(reply: &Reply, closing: Closing) -> Result<(), VerdictError> {
    let code = reply.code();
    if !code.is_failure() {
        return Err(VerdictError::NotARefusal(code.number()));
    }
    if code == Code::NOT_AVAILABLE && closing == Closing::No {
        return Err(VerdictError::NotClosing);
    }
    Ok(())
}

/// Whether the session ends with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It goes on.
    No,
    /// It ends.
    Yes,
}

/// Makes the command that a plugin wants in place of `command`.
///
/// # Errors
/// Either verb keeps state at both ends, is a secret's, or the new one is not a command.
pub fn rewrite(
    command: &Command,
    verb: &str,
    argument: Option<&[u8]>,
) -> Result<Command, VerdictError> {
    let mut line = verb.as_bytes().to_vec();
    if let Some(argument) = argument {
        line.push(b' ');
        line.extend_from_slice(argument);
    }
    let new = Command::parse(&line)?;
    for name in [command.name(), new.name()] {
        if let Name::Known(verb) = name
            && verb.spec().plugin != PluginReach::Rewrite
        {
            return Err(VerdictError::NotRewritable(verb.name().to_owned()));
        }
    }
    Ok(new)
}

/// Checks that `new` says in other words what `old` said.
///
/// # Errors
/// The first digits differ, a code that clients and server go by (1yz, 232, 234, 3yz, 421) comes or
/// goes, or what clients read from `old` is gone: its words are data, or it tells a file's size.
pub fn check_rewording(old: &Reply, new: &Reply) -> Result<(), VerdictError> {
    let (was, wanted) = (old.code(), new.code());
    if old.wording() == Wording::Data {
        return Err(VerdictError::Data(was));
    }
    let is_exact = |code: Code| code.is_exact() || code == Code::NOT_AVAILABLE;
    if was.class() != wanted.class() || (was != wanted && (is_exact(was) || is_exact(wanted))) {
        return Err(VerdictError::Lie { was, wanted });
    }
    // Clients show by it how far a download is.
    if was.class() == Class::Preliminary && size_told(old) != size_told(new) {
        return Err(VerdictError::Data(was));
    }
    Ok(())
}

/// The size of the file that is about to be sent: `(1234 bytes)`, in the words of 150.
fn size_told(reply: &Reply) -> Option<&[u8]> {
    let brackets = reply.texts().flat_map(|text| text.as_bytes().split(|b| *b == b'(').skip(1));
    let inside = brackets.filter_map(|part| part.split(|b| *b == b')').next());
    let is_size = |inside: &&[u8]| {
        let number = inside.strip_suffix(b" bytes").unwrap_or_default();
        !number.is_empty() && number.iter().all(u8::is_ascii_digit)
    };
    // The name stands before it, whatever it holds.
    inside.filter(is_size).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &[u8]) -> Command {
        Command::parse(line).unwrap()
    }

    #[test]
    fn quit_and_abor_cannot_be_denied_and_all_others_can() {
        let reply = Reply::new(Code::NOT_IMPLEMENTED, "no");
        for (line, ok) in [(&b"QUIT"[..], false), (b"ABOR", false), (b"PORT 1", true), (b"X", true)]
        {
            assert_eq!(check_answer(&command(line), &reply, Closing::No).is_ok(), ok);
        }
        let preliminary = Reply::new(Code::OPENING, "no");
        assert!(check_answer(&command(b"RETR a"), &preliminary, Closing::No).is_err());
        let closing = Reply::new(Code::NOT_AVAILABLE, "no");
        assert!(check_answer(&command(b"RETR a"), &closing, Closing::No).is_err());
        assert!(check_answer(&command(b"RETR a"), &closing, Closing::Yes).is_ok());
    }

    #[test]
    fn what_only_the_server_can_do_is_refused_or_left_to_it() {
        let ok = |line: &str, code: u16| {
            let reply = Reply::new(Code::new(code).unwrap(), "x");
            check_answer(&command(line.as_bytes()), &reply, Closing::No).is_ok()
        };
        for (line, code) in [
            ("AUTH TLS", 234),
            ("PBSZ 0", 200),
            ("PROT P", 200),
            ("USER a", 230),
            ("PASS a", 230),
            ("PASV", 227),
            ("EPSV", 229),
            ("PORT 1,2,3,4,5,6", 200),
            ("TYPE I", 200),
            ("REST 1", 350),
            ("STOR a", 226),
            ("RETR a", 226),
            ("LIST", 226),
            ("RNFR a", 350),
            ("XFOO", 331),
        ] {
            assert!(!ok(line, code), "{line} {code}");
            assert!(ok(line, 450) && ok(line, 534), "{line}");
        }
        for (line, code) in [("SITE x", 200), ("FEAT", 211), ("OPTS X", 200), ("STAT", 211)] {
            assert!(ok(line, code), "{line} {code}");
        }
        assert!(ok("NOOP", 200) && ok("DELE a", 250) && ok("XFOO", 200));
    }

    #[test]
    fn a_refusal_says_no_and_421_that_the_session_ends() {
        let check = |code: u16, closing| {
            check_refusal(&Reply::new(Code::new(code).unwrap(), "no"), closing).is_ok()
        };
        assert!(check(550, Closing::No) && check(451, Closing::Yes) && check(421, Closing::Yes));
        assert!(!check(421, Closing::No) && !check(226, Closing::No) && !check(150, Closing::Yes));
    }

    #[test]
    fn verbs_with_state_are_rewritten_neither_from_nor_to() {
        assert!(rewrite(&command(b"RETR a"), "RETR", Some(b"b")).is_ok());
        assert!(rewrite(&command(b"PASV"), "EPSV", None).is_err());
        assert!(rewrite(&command(b"NOOP"), "PASS", Some(b"x")).is_err());
        assert!(rewrite(&command(b"RETR a"), "QUIT", None).is_err());
        assert!(rewrite(&command(b"RETR a"), "RETR", Some(b"b\r\nDELE c")).is_err());
    }

    #[test]
    fn a_reply_may_be_reworded_but_not_made_to_lie() {
        let done = Reply::new(Code::TRANSFER_DONE, "Transfer complete.");
        assert!(check_rewording(&done, &Reply::new(Code::FILE_DONE, "Fine")).is_ok());
        assert!(check_rewording(&done, &Reply::new(Code::UNAVAILABLE, "No")).is_err());
        let data = Reply::data(Code::PASSIVE, "x");
        assert!(check_rewording(&data, &Reply::new(Code::PASSIVE, "y")).is_err());
        let closing = Reply::new(Code::NOT_AVAILABLE, "bye");
        assert!(check_rewording(&closing, &Reply::new(Code::BUSY, "no")).is_err());
    }

    #[test]
    fn codes_that_clients_go_by_stay_as_they_are() {
        let check = |was: u16, wanted: u16| {
            let reply = |code| Reply::new(Code::new(code).unwrap(), "x");
            check_rewording(&reply(was), &reply(wanted)).is_ok()
        };
        for code in [150, 232, 234, 331, 332, 350, 421] {
            assert!(check(code, code), "{code}");
        }
        for (was, wanted) in
            [(234, 200), (200, 234), (331, 332), (350, 331), (230, 232), (232, 230), (150, 125)]
        {
            assert!(!check(was, wanted), "{was} {wanted}");
        }
        assert!(check(226, 250) && check(550, 553) && check(220, 202));
    }

    #[test]
    fn the_size_in_150_stays_as_it_is() {
        let opening = |text: &'static str| Reply::new(Code::OPENING, text);
        let old = opening("Opening BINARY mode data connection for (2 bytes) (1234 bytes).");
        let ok = |text| check_rewording(&old, &opening(text)).is_ok();
        assert!(!ok("Here it comes (99 bytes)") && !ok("Here it comes"));
        let old = opening("Opening BINARY mode data connection for a(b (7 bytes) (1234 bytes).");
        let ok = |text| check_rewording(&old, &opening(text)).is_ok();
        assert!(ok("Here it comes (1234 bytes)") && !ok("Here it comes (1234)"));
        let plain = opening("Opening data connection for a.");
        assert!(check_rewording(&plain, &opening("Go on")).is_ok());
        assert!(check_rewording(&plain, &opening("Go on (5 bytes)")).is_err());
    }
}
