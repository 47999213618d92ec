//! The control socket: what operators ask of a server that runs, over a Unix socket.
//!
//! One line of JSON asks ([`Request`]), one line answers ([`Answer`]), as often as the caller likes.
//! The file is for its owner alone, and who connects is checked as well: root, and the user that the
//! server runs as. There are no passwords here, and nothing that could not be done with a signal and
//! an editor: no accounts, no settings.

mod client;
mod report;
mod serve;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use client::ask;
pub(crate) use serve::{Controlled, Serving};

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// How the server is.
    Status,
    /// How its plugins are.
    Plugins,
    /// Look at a plugin's file now, or at all.
    Reload {
        /// Which; all unless told.
        plugin: Option<String>,
    },
    /// Put the version before in force.
    Rollback {
        /// Of which plugin.
        plugin: String,
    },
    /// Have a new version that is tried serve all sessions.
    Promote {
        /// Of which plugin.
        plugin: String,
    },
    /// Wait until nothing uses an earlier version any more.
    Drain {
        /// Of which plugin.
        plugin: String,
        /// For how many seconds at most.
        seconds: u64,
        /// Whether transfers are ended that use one.
        #[serde(default)]
        force: bool,
    },
    /// Take a plugin out of force.
    Disable {
        /// Which.
        plugin: String,
    },
    /// Put it in force again.
    Enable {
        /// Which.
        plugin: String,
    },
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// It was done, or this is how it is.
    Done(Value),
    /// It was not done.
    Error {
        /// Why.
        message: String,
        /// What to do about it, where that can be said.
        remedy: Option<String>,
    },
}

impl Answer {
    fn error(message: impl ToString) -> Self {
        Self::Error { message: message.to_string(), remedy: None }
    }
}

/// Octets of the longest request.
const REQUEST_BYTES_MAX: u64 = 64 << 10;
