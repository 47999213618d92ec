//! Commands that plugins bring along: of SITE, and verbs that the server does not know.

use std::sync::Arc;

use waft_proto::Reply;

use crate::BoxFuture;
use crate::session::SessionFacts;

/// A command that a plugin answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteCommand {
    /// Its name in upper case: `SITE NAME`, `NAME`, or `OPTS NAME`.
    pub name: String,
    /// One line of help.
    pub help: String,
}

/// What a plugin answered.
#[derive(Clone, Debug)]
pub struct SiteAnswer {
    /// The answer; a final one.
    pub reply: Reply,
    /// The plugin.
    pub plugin: Arc<str>,
    /// Whether the answer is the plugin's; if not, it failed, or cannot be shown the command.
    pub is_decided: bool,
}

/// The commands that plugins answer.
///
/// The server keeps the rules of sequence: they wait for a login and for the end of a transfer.
pub trait SiteCommands: Send + Sync {
    /// The commands, in the order of the plugins; no two have one name.
    fn commands(&self) -> &[SiteCommand];

    /// Lines for FEAT, in the order of the plugins.
    fn features(&self) -> &[String];

    /// Runs one of the commands. A command that is none of them is answered with 502.
    fn run<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        name: &'a str,
        argument: Option<&'a [u8]>,
    ) -> BoxFuture<'a, SiteAnswer>;
}
