//! What happened in sessions, for whoever observes them.

use std::sync::Arc;
use std::time::Duration;

use crate::path::VirtualPath;
use crate::session::SessionFacts;

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
pub struct Event {
    /// The session, as it was right after it happened.
    pub session: Arc<SessionFacts>,
    /// What happened.
    pub what: Happening,
}

/// What can happen in a session. What a client was refused is not among it, except its login.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A client connected.
    SessionOpened,
    /// A session ended.
    SessionClosed {
        /// Why, in a few words.
        reason: &'static str,
        /// The commands that it gave.
        commands: u64,
        /// How long it lasted.
        elapsed: Duration,
    },
    /// Somebody logged in.
    LoggedIn,
    /// Somebody failed to log in.
    LoginFailed {
        /// The name that was given.
        user: String,
        /// Why, in a few words.
        reason: &'static str,
    },
    /// A transfer of a file ended.
    TransferEnded {
        /// Which way.
        direction: Direction,
        /// The file.
        path: VirtualPath,
        /// Octets of the file that were moved.
        bytes: u64,
        /// How long it took.
        elapsed: Duration,
        /// Whether all of it was moved; an upload that is not complete is not there.
        complete: bool,
    },
    /// A file was deleted.
    FileRemoved {
        /// The file.
        path: VirtualPath,
    },
    /// A file or directory was renamed.
    Renamed {
        /// What it was.
        from: VirtualPath,
        /// What it is.
        to: VirtualPath,
    },
    /// A directory was made.
    DirectoryMade {
        /// The directory.
        path: VirtualPath,
    },
    /// A directory was removed.
    DirectoryRemoved {
        /// The directory.
        path: VirtualPath,
    },
}

impl Happening {
    /// The names of all kinds of events, in the order of the kinds.
    pub const NAMES: [&'static str; 12] = [
        "session.open",
        "session.close",
        "auth.ok",
        "auth.fail",
        "transfer.upload.done",
        "transfer.upload.fail",
        "transfer.download.done",
        "transfer.download.fail",
        "file.remove",
        "file.rename",
        "directory.make",
        "directory.remove",
    ];

    /// The event's name, as logs and plugins show it.
    pub fn name(&self) -> &'static str {
        let [open, close, ok, fail, up, up_fail, down, down_fail, remove, rename, make, rmdir] =
            Happening::NAMES;
        match self {
            Happening::SessionOpened => open,
            Happening::SessionClosed { .. } => close,
            Happening::LoggedIn => ok,
            Happening::LoginFailed { .. } => fail,
            Happening::TransferEnded { direction, complete, .. } => match (direction, complete) {
                (Direction::Upload, true) => up,
                (Direction::Upload, false) => up_fail,
                (Direction::Download, true) => down,
                (Direction::Download, false) => down_fail,
            },
            Happening::FileRemoved { .. } => remove,
            Happening::Renamed { .. } => rename,
            Happening::DirectoryMade { .. } => make,
            Happening::DirectoryRemoved { .. } => rmdir,
        }
    }
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
