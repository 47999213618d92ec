//! The way for octets that go unchanged between a TCP connection and a local file (Linux).
//!
//! Whatever may wait for a disk is done by threads of the blocking pool, which keep at it for as
//! long as the client does and megabytes at a time, so that handing work over costs nothing. Doing
//! it in the session's task moves as much, but delays everybody else: with eight downloads over
//! loopback a command took 25 µs this way and 5 ms the other (median; 99 %: 3 ms and 50 ms).
//!
//! Only the first octets of a file go in the session's task: for a small file, handing over would
//! cost more than the work.

mod pipe;
mod receive;
pub(super) mod sealed;
mod send;
mod splice;

pub(super) use receive::receive;
pub(super) use send::{Sent, send};

use std::io;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use waft_core::storage::{ErrorKind, StorageError};

use super::{ON_THE_SPOT_BYTES, aside};
use crate::workers::Nearness;

/// How long a thread goes on before it reports how far it is.
const BURST_TIME: Duration = Duration::from_millis(100);
/// The longest that a thread waits for a client. Fast ones, too, let a busy machine wait for
/// milliseconds: a thread that gave up sooner would leave the processor idle.
const PATIENCE: Duration = Duration::from_millis(20);
/// A client that moves fewer octets in [`BURST_TIME`] is slow, however evenly they come: 50 MB/s.
const BURST_BYTES_MIN: u64 = 5 * 1024 * 1024;

/// Stops the threads of a transfer when its future is dropped.
#[derive(Default)]
struct Leash(Arc<Mutex<Wanted>>);

/// A thread's end of the leash.
struct Collar(Arc<Mutex<Wanted>>);

/// Whether anybody still waits for the work.
struct Wanted(bool);

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted(true)
    }
}

impl Leash {
    fn collar(&self) -> Collar {
        Collar(Arc::clone(&self.0))
    }
}

impl Drop for Leash {
    /// Waits for a step that has begun, so that from now on the file belongs to the session again:
    /// what an aborted upload left must not change while it is resumed.
    fn drop(&mut self) {
        *lock(&self.0) = Wanted(false);
    }
}

impl Collar {
    /// Takes a step, unless nobody wants it any more.
    fn step<T>(&self, step: impl FnOnce() -> T) -> Option<T> {
        let wanted = lock(&self.0);
        wanted.0.then(step)
    }

    fn is_wanted(&self) -> bool {
        lock(&self.0).0
    }
}

fn lock(wanted: &Mutex<Wanted>) -> MutexGuard<'_, Wanted> {
    wanted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Works [aside] on a connection, [near](Nearness) its client. Whoever waits has the connection to itself
/// again once the work is done.
async fn aside_near<T: Send + 'static>(
    socket: &Arc<TcpStream>,
    work: impl FnOnce(&TcpStream) -> T + Send + 'static,
) -> Result<T, StorageError> {
    let (socket, nearness) = (Arc::clone(socket), Nearness::of_session());
    aside(move || {
        let _visit = nearness.visit(&socket);
        let done = work(&socket);
        drop(socket);
        done
    })
    .await
}

/// Asks the system whether a socket is ready; waits for it as long as `limit`.
fn is_ready(socket: impl AsFd, what: PollFlags, limit: Duration) -> bool {
    // Only what is longer than centuries does not fit, and is no limit here.
    let limit = Timespec::try_from(limit).unwrap_or_default();
    let mut sockets = [PollFd::new(&socket, what)];
    poll(&mut sockets, Some(&limit)).is_ok_and(|ready| ready > 0)
}

/// What a file's error is to the client.
fn storage_error(error: impl Into<io::Error>) -> StorageError {
    let error = error.into();
    let kind = match error.kind() {
        io::ErrorKind::StorageFull => ErrorKind::NoSpace,
        io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => ErrorKind::Quota,
        _ => ErrorKind::Io,
    };
    StorageError::new(kind, error)
}
