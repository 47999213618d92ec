//! Whether a client is served at all: asked before the greeting, and before TLS where the
//! connection begins with it.

use std::sync::Arc;

use waft_proto::Reply;

use crate::BoxFuture;
use crate::session::SessionFacts;

/// What the plugins decided about a client that has just connected.
#[derive(Clone, Debug)]
pub enum ConnectVerdict {
    /// It is greeted.
    Serve,
    /// It gets this reply in place of the greeting, and the connection ends.
    Reject {
        /// The reply; a refusal.
        reply: Reply,
        /// The plugin that wanted it.
        plugin: Arc<str>,
    },
    /// The same, as a plugin that had to be asked failed: nobody decided about it.
    Undecided {
        /// The reply; a refusal.
        reply: Reply,
        /// The plugin.
        plugin: Arc<str>,
    },
    /// The connection ends without a word.
    Drop {
        /// The plugin that wanted it.
        plugin: Arc<str>,
    },
}

/// Decides which clients are served.
pub trait ConnectionFilter: Send + Sync {
    /// Decides about the client of a session that has just begun: nobody is logged in, and TLS has
    /// not begun.
    fn on_connect<'a>(&'a self, session: &'a Arc<SessionFacts>) -> BoxFuture<'a, ConnectVerdict>;
}
