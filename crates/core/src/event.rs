//! What happened in sessions, for whoever observes them.

use std::sync::Arc;
use std::time::Duration;

use waft_proto::Code;

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
    /// It was not decided whether somebody may log in: what was offered may be right.
    LoginUndecided {
        /// The name that was given.
        user: String,
        /// Why, in a few words.
        reason: &'static str,
    },
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
        /// Why not all of it was moved, if it was not; an upload that is not complete is not there.
        failure: Option<TransferFailure>,
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

/// Why a transfer did not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferFailure {
    /// In a few words.
    pub reason: &'static str,
    /// The code of the reply, which the client may not have got any more.
    pub code: Code,
    /// The plugin that did not want it, or that failed.
    pub plugin: Option<Arc<str>>,
}

impl Happening {
    /// The names of all kinds of events, in the order of the kinds.
    pub const NAMES: [&'static str; 13] = [
        "session.open",
        "session.close",
        "auth.ok",
        "auth.fail",
        "auth.undecided",
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
        let [
            open,
            close,
            ok,
            fail,
            undecided,
            up,
            up_fail,
            down,
            down_fail,
            remove,
            rename,
            make,
            rmdir,
        ] = Happening::NAMES;
        match self {
            Happening::SessionOpened => open,
            Happening::SessionClosed { .. } => close,
            Happening::LoggedIn => ok,
            Happening::LoginFailed { .. } => fail,
            Happening::LoginUndecided { .. } => undecided,
            Happening::TransferEnded { direction, failure, .. } => match (direction, failure) {
                (Direction::Upload, None) => up,
                (Direction::Upload, Some(_)) => up_fail,
                (Direction::Download, None) => down,
                (Direction::Download, Some(_)) => down_fail,
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
