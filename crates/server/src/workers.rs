//! The threads that sessions live on, each with a runtime of its own: a session stays on the thread
//! that it was given to, from its first octet to its last.
//!
//! Its sockets wake that thread and no other, its timers and tasks need no locks that others want,
//! and a system call that takes long, because a disk is slow, delays nobody but the few sessions on
//! the same thread. There are more threads than processors, begun as they are needed, so that a busy
//! session mostly has one to itself: the system then passes the processor from the client's packet to
//! the session and back without waking another one. Over loopback on four processors, 16 clients get
//! twice as many small files in this way as from one runtime for all, and 64 clients a third more
//! replies; with as many threads as processors it is less.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;

/// Threads that serve sessions. Once dropped, each of them ends with its last session.
#[derive(Debug)]
pub struct Workers {
    started: Mutex<Vec<Worker>>,
    max: usize,
}

/// Threads for what may wait for a disk, of all workers together; each worker has some at least.
const POOL_THREADS_MAX: usize = 512;
const POOL_THREADS_MIN: usize = 16;

/// Events that a worker takes from the system at a time: enough for the few sessions that are busy
/// at once, and 12 octets each of a buffer that it keeps.
const IO_EVENTS: usize = 128;

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// A clone for each session, which keeps the thread; nothing is ever sent.
    sessions: mpsc::Sender<()>,
}

/// A place on a thread: the session that holds it keeps the thread.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) runtime: Handle,
    session: Option<mpsc::Sender<()>>,
}

impl Workers {
    /// One thread, and more as sessions come, up to `max`.
    ///
    /// # Errors
    /// The system gives no thread, or its runtime not what it needs.
    pub fn start(max: NonZeroUsize) -> io::Result<Workers> {
        let max = max.get();
        Ok(Workers { started: Mutex::new(vec![Worker::start(max)?]), max })
    }

    /// A place on the thread with the fewest sessions, or on a new one.
    fn seat(&self) -> Option<Seat> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let is_idle = |worker: &Worker| worker.sessions.strong_count() == 1;
        if started.len() < self.max && !started.iter().any(is_idle) {
            // Without more threads, those that there are have to do.
            started.extend(Worker::start(self.max).inspect_err(none_started));
        }
        let worker = started.iter().min_by_key(|worker| worker.sessions.strong_count())?;
        let session = Some(worker.sessions.clone());
        Some(Seat { runtime: worker.runtime.clone(), session })
    }
}

fn none_started(error: &io::Error) {
    tracing::warn!(%error, remedy = "raise the limit of threads", "no thread for more sessions");
}

impl Seat {
    /// A place on one of the threads; without any, in the runtime that this is called in.
    pub(crate) fn take(workers: Option<&Workers>) -> Seat {
        let seat = workers.and_then(Workers::seat);
        seat.unwrap_or_else(|| Seat { runtime: Handle::current(), session: None })
    }

    /// Whether nobody else has a place on the same thread.
    pub(crate) fn is_alone(&self) -> bool {
        // One more is the thread's own.
        self.session.as_ref().is_some_and(|session| session.strong_count() <= 2)
    }
}

impl Worker {
    fn start(workers_max: usize) -> io::Result<Worker> {
        let pool = (POOL_THREADS_MAX / workers_max).max(POOL_THREADS_MIN);
        let mut builder = Builder::new_current_thread();
        builder.enable_all().thread_name("waft-pool").max_blocking_threads(pool);
        builder.max_io_events_per_tick(IO_EVENTS);
        let runtime = builder.build()?;
        let handle = runtime.handle().clone();
        let (sessions, mut held) = mpsc::channel(1);
        let serve = move || {
            runtime.block_on(held.recv());
            // What a session handed to the blocking pool and no longer waits for.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("waft-worker".to_owned()).spawn(serve)?;
        Ok(Worker { runtime: handle, sessions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_on_idle_threads_then_on_new_ones_then_on_the_emptiest() {
        let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
        let threads = || workers.started.lock().unwrap().len();
        let first = Seat::take(Some(&workers));
        assert_eq!(threads(), 1);
        assert!(first.is_alone());
        drop(first);
        let taken: Vec<Seat> = (0..4).map(|_| Seat::take(Some(&workers))).collect();
        assert_eq!(threads(), 2);
        let is_on = |seat: &Seat, other: &Seat| seat.runtime.id() == other.runtime.id();
        assert_eq!(taken.iter().filter(|seat| is_on(seat, &taken[0])).count(), 2);
        assert!(!taken[0].is_alone());
        drop(workers);
        let (told, heard) = std::sync::mpsc::channel();
        taken[0].runtime.spawn(async move { told.send(()).unwrap() });
        heard.recv().unwrap();
    }
}
