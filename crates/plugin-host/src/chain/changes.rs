//! What plugins changed, for the log: a line for each change, with the plugin that made it, its
//! generation, and what was there before. Nowhere else is a change told of. What plugins in the shadow
//! would have done is told likewise, as nobody else carries it out.
//!
//! Where several plugins change one thing there are several lines, each with what its plugin was
//! shown. What plugins decide without changing anything, the server tells, which carries it out.

use waft_core::hooks::FileOp;
use waft_core::{SessionFacts, VirtualPath};
use waft_proto::command::printable;
use waft_proto::{Command, Reply};

use super::shown;
use crate::capability::log::shortened;
use crate::hook::Hook;
use crate::hooks::{command, connection, file};
use crate::limits;
use crate::plugin::Plugin;

/// Who changes something, and for whom.
pub(super) struct By<'a> {
    pub(super) plugin: &'a Plugin,
    pub(super) generation: u64,
    pub(super) session: &'a SessionFacts,
}

macro_rules! changed {
    ($by:expr, $hook:ident, $($said:tt)+) => {
        tracing::info!(
            plugin = &*$by.plugin.name,
            generation = $by.generation,
            session = $by.session.id.0,
            hook = Hook::$hook.name(),
            $($said)+
        )
    };
}

impl By<'_> {
    /// A command was put in the place of another.
    pub(super) fn rewrote(&self, original: &Command, command: &Command) {
        changed!(self, CommandFilter, %original, %command, "command rewritten");
    }

    /// A reply was put in the place of another.
    pub(super) fn reworded(&self, original: &Reply, reply: &Reply) {
        let (original, reply) = (line(original), line(reply));
        changed!(self, ReplyFilter, original, reply, "reply reworded");
    }

    /// A path was put in the place of another.
    pub(super) fn redirected(&self, original: &VirtualPath, path: &VirtualPath) {
        changed!(self, FileFilter, %original, %path, "path redirected");
    }

    /// Credentials were put in the place of others; of them only the names are told.
    pub(super) fn replaced_credentials(&self, original: &str, user: &str) {
        changed!(self, Authenticator, original, user, "credentials replaced by plugin");
    }

    /// A command would have met with that.
    pub(super) fn would_have_decided(&self, command: &Command, verdict: &command::Verdict) {
        let (original, verb) = (command, command.name().as_str());
        match verdict {
            command::Verdict::Pass => {}
            command::Verdict::Rewrite(command) => {
                let message = "plugin would have rewritten the command";
                changed!(self, CommandFilter, verb, %original, %command, "{message}");
            }
            command::Verdict::Answer(reply) => {
                let (code, reply) = (reply.code().number(), line(reply));
                let message = "plugin would have answered the command";
                changed!(self, CommandFilter, verb, command = %original, code, reply, "{message}");
            }
            command::Verdict::Close(reply) => {
                let (code, reply) = (reply.code().number(), line(reply));
                let message = "plugin would have ended the session";
                changed!(self, CommandFilter, verb, command = %original, code, reply, "{message}");
            }
            command::Verdict::Undecided(reply) => {
                let (code, reply) = (reply.code().number(), line(reply));
                let message = "plugin would have failed the command";
                changed!(self, CommandFilter, verb, command = %original, code, reply, "{message}");
            }
        }
    }

    /// A reply would have been put in the place of another.
    pub(super) fn would_have_reworded(
        &self,
        command: Option<&Command>,
        original: &Reply,
        reply: &Reply,
    ) {
        let verb = command.map(|command| command.name().as_str());
        let (code, original, reply) = (reply.code().number(), line(original), line(reply));
        let message = "plugin would have reworded the reply";
        changed!(self, ReplyFilter, verb, code, original, reply, "{message}");
    }

    /// A connection would have met with that.
    pub(super) fn would_have_refused(&self, verdict: &connection::Verdict) {
        match verdict {
            connection::Verdict::Pass => {}
            connection::Verdict::Drop => {
                changed!(self, ConnectionFilter, "plugin would have dropped the connection");
            }
            connection::Verdict::Reject(reply) => {
                let (code, reply) = (reply.code().number(), line(reply));
                let message = "plugin would have rejected the connection";
                changed!(self, ConnectionFilter, code, reply, "{message}");
            }
            connection::Verdict::Undecided(reply) => {
                let (code, reply) = (reply.code().number(), line(reply));
                let message = "plugin would have failed the connection";
                changed!(self, ConnectionFilter, code, reply, "{message}");
            }
        }
    }

    /// What is done to a file would have met with that.
    pub(super) fn would_have_done(&self, op: &FileOp, verdict: &file::Verdict) {
        let (what, original) = (op.kind().name(), op.target());
        match verdict {
            file::Verdict::Pass => {}
            file::Verdict::Redirect(path) => {
                let message = "plugin would have redirected the path";
                changed!(self, FileFilter, op = what, %original, %path, "{message}");
            }
            file::Verdict::Deny(reply) => {
                let (code, reply) = (reply.code().number(), line(reply));
                let message = "plugin would have denied it";
                changed!(self, FileFilter, op = what, path = %original, code, reply, "{message}");
            }
            file::Verdict::Undecided(reply) => {
                let (code, reply) = (reply.code().number(), line(reply));
                let message = "plugin would have failed it";
                changed!(self, FileFilter, op = what, path = %original, code, reply, "{message}");
            }
        }
    }
}

/// A reply on one line, as much of it as fits.
fn line(reply: &Reply) -> String {
    shortened(&printable(shown(reply).as_bytes()), limits::TOLD_REPLY_BYTES_MAX)
}
