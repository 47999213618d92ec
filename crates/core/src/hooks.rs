//! What plugins may do to commands and replies: the traits that the plugin host implements.
//!
//! The server asks at fixed points of one pipeline and carries the verdicts out; nobody but the
//! server writes to a client. A hook that nobody wants for a verb costs one bit test
//! ([`Hooks::command_interest`], [`Hooks::reply_interest`]).

mod connection;
mod content;
mod file;
mod login;
mod site;

use std::sync::Arc;

use waft_proto::command::Name;
use waft_proto::reply::Wording;
use waft_proto::verb::PluginReach;
use waft_proto::{Code, Command, ParseError, Reply, VerbSet};

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
    /// The verbs whose commands some plugin wants to see.
    fn command_interest(&self) -> VerbSet;

    /// The verbs whose replies some plugin wants to see. The greeting and replies that no command
    /// asked for go by the unknown verb's bit.
    fn reply_interest(&self) -> VerbSet;

    /// Asks the plugins about a command. A secret argument is not shown to them.
    fn on_command<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        command: &'a Command,
    ) -> BoxFuture<'a, CommandVerdict>;

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
    fn command_interest(&self) -> VerbSet {
        VerbSet::EMPTY
    }

    fn reply_interest(&self) -> VerbSet {
        VerbSet::EMPTY
    }

    fn on_command<'a>(
        &'a self,
        _: &'a Arc<SessionFacts>,
        _: &'a Command,
    ) -> BoxFuture<'a, CommandVerdict> {
        Box::pin(std::future::ready(CommandVerdict::Pass))
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

/// Checks that plugins may deny `command`.
///
/// # Errors
/// The client must always be able to give it (QUIT, ABOR).
pub fn check_denial(
    command: &Command,
    reply: &Reply,
    closing: Closing,
) -> Result<(), VerdictError> {
    if let Some(verb) = command.verb()
        && verb.spec().plugin == PluginReach::Observe
    {
        return Err(VerdictError::Undeniable(verb.name()));
    }
    let code = reply.code();
    if code.number() < 200 {
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
    if !(400..600).contains(&code.number()) {
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
/// The first digits differ, 421 comes or goes, or the words of `old` are data.
pub fn check_rewording(old: &Reply, new: &Reply) -> Result<(), VerdictError> {
    let (was, wanted) = (old.code(), new.code());
    if old.wording() == Wording::Data {
        return Err(VerdictError::Data(was));
    }
    let closes = |code| code == Code::NOT_AVAILABLE;
    if was.class() != wanted.class() || closes(was) != closes(wanted) {
        return Err(VerdictError::Lie { was, wanted });
    }
    Ok(())
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
            assert_eq!(check_denial(&command(line), &reply, Closing::No).is_ok(), ok);
        }
        let preliminary = Reply::new(Code::OPENING, "no");
        assert!(check_denial(&command(b"RETR a"), &preliminary, Closing::No).is_err());
        let closing = Reply::new(Code::NOT_AVAILABLE, "no");
        assert!(check_denial(&command(b"RETR a"), &closing, Closing::No).is_err());
        assert!(check_denial(&command(b"RETR a"), &closing, Closing::Yes).is_ok());
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
}
