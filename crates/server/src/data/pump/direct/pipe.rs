//! The pipe that `splice(2)` moves octets through.

use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// A pipe that is opened when it is needed first.
///
/// A user's pipes may hold 64 MiB together by default (`/proc/sys/fs/pipe-user-pages-soft`); a
/// transfer that gets none goes another way.
pub(super) enum Pipe {
    /// Not needed yet.
    Untried,
    Open(Ends),
    /// The system has none for us, or the file takes none.
    Unusable,
}

/// The ends of an open pipe.
pub(super) struct Ends {
    pub(super) reader: OwnedFd,
    pub(super) writer: OwnedFd,
}

impl Pipe {
    /// The pipe, opened if it was not tried before, if it can be used. It takes `bytes` where its
    /// pages are full: a small pipe is slower than no pipe.
    pub(super) fn open(&mut self, bytes: usize) -> Option<&Ends> {
        if matches!(self, Pipe::Untried) {
            *self = Ends::new(bytes).map_or(Pipe::Unusable, Pipe::Open);
        }
        match self {
            Pipe::Open(ends) => Some(ends),
            Pipe::Untried | Pipe::Unusable => None,
        }
    }
}

impl Ends {
    fn new(bytes: usize) -> Option<Ends> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).ok()?;
        fcntl_setpipe_size(&writer, bytes).ok()?;
        Some(Ends { reader, writer })
    }
}
