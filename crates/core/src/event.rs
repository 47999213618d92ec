//! What happened in sessions, for whoever observes them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::path::VirtualPath;
use crate::session::SessionId;

/// Which way the bytes of a file went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    Upload,
    /// To the client.
    Download,
}

/// Something that happened in a session.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client connected.
    SessionOpened {
        /// The session.
        session: SessionId,
        /// The client.
        peer: SocketAddr,
    },
    /// A session ended.
    SessionClosed {
        /// The session.
        session: SessionId,
        /// Why, in a few words.
        reason: &'static str,
    },
    /// Somebody logged in.
    LoggedIn {
        /// The session.
        session: SessionId,
        /// The account.
        user: Arc<str>,
    },
    /// Somebody failed to log in.
    LoginFailed {
        /// The session.
        session: SessionId,
        /// Why, in a few words.
        reason: &'static str,
    },
    /// A transfer of a file ended.
    TransferEnded {
        /// The session.
        session: SessionId,
        /// Which way.
        direction: Direction,
        /// The file.
        path: VirtualPath,
        /// Octets of the file that were moved.
        bytes: u64,
        /// How long it took.
        elapsed: Duration,
        /// Whether all of it was moved.
        complete: bool,
    },
}

/// Observes what happens in sessions.
pub trait EventSink: Send + Sync {
    /// Takes an event. Must not wait: the session stands still meanwhile.
    fn emit(&self, event: Event);
}

/// Nobody observes.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn emit(&self, _: Event) {}
}
