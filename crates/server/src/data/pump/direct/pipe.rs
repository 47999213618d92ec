//! The pipe that `splice(2)` moves octets through.

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::param::page_size;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// What the pipes of this process may take together: half of what those of one user may, which the
/// system holds against whoever is not root.
///
/// `sendfile` has pipes of its own, one for each thread that was ever in it. Where nothing is left
/// for these they are an eighth as large, for as long as the thread lives.
static ROOM: LazyLock<Room> = LazyLock::new(|| Room::new(user_bytes() / 2));

/// Pages of a user's pipes, unless the system says otherwise.
const USER_PAGES: usize = 16_384;

/// A pipe that is opened when it is needed first.
pub(super) enum Pipe {
    /// Not needed yet, or there was no room for it.
    Untried,
    Open(Ends),
    /// The system has none for us, or the file takes none.
    Unusable,
}

/// The ends of an open pipe.
pub(super) struct Ends {
    pub(super) reader: OwnedFd,
    pub(super) writer: OwnedFd,
    _share: Share<'static>,
}

impl Pipe {
    /// The pipe, opened if need be, if there is one. It takes `bytes` where its pages are full.
    pub(super) fn open(&mut self, bytes: usize) -> Option<&Ends> {
        if matches!(self, Pipe::Untried) {
            let share = ROOM.take(bytes)?;
            *self = Ends::new(bytes, share).map_or(Pipe::Unusable, Pipe::Open);
        }
        match self {
            Pipe::Open(ends) => Some(ends),
            Pipe::Untried | Pipe::Unusable => None,
        }
    }

    /// Leaves the room to others until the pipe is needed again.
    pub(super) fn close(&mut self) {
        if matches!(self, Pipe::Open(_)) {
            *self = Pipe::Untried;
        }
    }
}

impl Ends {
    fn new(bytes: usize, share: Share<'static>) -> Option<Ends> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).ok()?;
        fcntl_setpipe_size(&writer, bytes).ok()?;
        Some(Ends { reader, writer, _share: share })
    }
}

/// Octets that a user's pipes may take together.
fn user_bytes() -> usize {
    let pages = fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft");
    let pages = match pages.ok().and_then(|pages| pages.trim().parse().ok()) {
        // Zero is no limit.
        None | Some(0) => USER_PAGES,
        Some(pages) => pages,
    };
    pages.saturating_mul(page_size())
}

/// Octets of which shares are taken.
struct Room {
    left: AtomicUsize,
}

/// A share of the room, given back when it is dropped.
struct Share<'a> {
    room: &'a Room,
    bytes: usize,
}

impl Room {
    fn new(bytes: usize) -> Room {
        Room { left: AtomicUsize::new(bytes) }
    }

    /// Takes a share, if as much is left.
    fn take(&self, bytes: usize) -> Option<Share<'_>> {
        let less = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok()?;
        Some(Share { room: self, bytes })
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.room.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use rustix::pipe::fcntl_getpipe_size;

    use super::*;

    #[test]
    fn room_is_there_again_once_a_share_is_given_back() {
        let room = Room::new(1000);
        let share = room.take(600).unwrap();
        assert!(room.take(401).is_none());
        assert!(room.take(400).is_some());
        drop(share);
        assert!(room.take(1000).is_some());
    }

    #[test]
    fn a_pipe_is_as_large_as_was_asked_for() {
        let mut pipe = Pipe::Untried;
        let Ends { writer, .. } = pipe.open(256 * 1024).unwrap();
        assert_eq!(fcntl_getpipe_size(writer), Ok(256 * 1024));
    }

    #[test]
    fn a_pipe_that_there_is_no_room_for_is_tried_again() {
        let mut pipe = Pipe::Untried;
        assert!(pipe.open(usize::MAX).is_none());
        assert!(pipe.open(64 * 1024).is_some());
    }
}
