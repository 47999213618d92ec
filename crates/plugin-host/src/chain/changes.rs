//! What plugins changed, for the log: a line for each change, with the plugin that made it, its
//! generation, and what was there before. Nowhere else is a change told of.
//!
//! Where several plugins change one thing there are several lines, each with what its plugin was
//! shown. What plugins decide without changing anything, the server tells, which carries it out.

use waft_core::{SessionFacts, VirtualPath};
use waft_proto::command::printable;
use waft_proto::{Command, Reply};

use super::shown;
use crate::capability::log::shortened;
use crate::limits;
use crate::plugin::Plugin;

/// Who changes something, and for whom.
pub(super) struct By<'a> {
    pub(super) plugin: &'a Plugin,
    pub(super) generation: u64,
    pub(super) session: &'a SessionFacts,
}

macro_rules! changed {
    ($by:expr, $($said:tt)+) => {
        tracing::info!(
            plugin = &*$by.plugin.name,
            generation = $by.generation,
            session = $by.session.id.0,
            $($said)+
        )
    };
}

impl By<'_> {
    /// A command was put in the place of another.
    pub(super) fn rewrote(&self, original: &Command, command: &Command) {
        changed!(self, %original, %command, "command rewritten");
    }

    /// A reply was put in the place of another.
    pub(super) fn reworded(&self, original: &Reply, reply: &Reply) {
        changed!(self, original = line(original), reply = line(reply), "reply reworded");
    }

    /// A path was put in the place of another.
    pub(super) fn redirected(&self, original: &VirtualPath, path: &VirtualPath) {
        changed!(self, %original, %path, "path redirected");
    }

    /// Credentials were put in the place of others; of them only the names are told.
    pub(super) fn replaced_credentials(&self, original: &str, user: &str) {
        changed!(self, original, user, "credentials replaced by plugin");
    }
}

/// A reply on one line, as much of it as fits.
fn line(reply: &Reply) -> String {
    shortened(&printable(shown(reply).as_bytes()), limits::TOLD_REPLY_BYTES_MAX)
}
