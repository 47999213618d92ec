//! The threads that sessions live on, each with a runtime of its own: a session stays on the thread
//! that it was given to as long as it is at work.
//!
//! Its sockets wake that thread and no other, its timers and tasks need no locks that others want,
//! and a system call that takes long, because a disk is slow, delays nobody but the few sessions on
//! the same thread. There are more threads than processors, so that a busy session mostly has one to
//! itself: the system then passes the processor from the client's packet to the session and back
//! without waking another one. Over loopback on four processors, 16 clients get twice as many small
//! files in this way as from one runtime for all, and 64 clients a third more replies; with as many
//! threads as processors it is less.
//!
//! Some threads are begun before there are sessions, the others as they are needed. Linux takes a
//! thread that has just begun for one that always works. Where its clients are in another group of
//! processes (sched(7), "The autogroup feature"; control groups), a server of many such threads has
//! its part divided among all processors, and they have nearly the whole of theirs on each, as they
//! wait most of the time: its threads wait for their turns, which counts as work, and keeps it so for as
//! long as they are busy. With the threads begun a moment before, the first 16 clients of a server got a
//! twentieth more small files, and uploaded a quarter more.
//!
//! Sessions that wait for a command longer than a moment go to one thread that all of them
//! [`rest`] on, and from there back to work. Spread over all threads, nearly every NOOP of a
//! thousand idle sessions would wake a thread on a processor that sleeps; the one thread is mostly
//! awake, or was a moment ago: its slowest replies take a third of the time.
//!
//! A session that has its thread to itself waits for a moment without the runtime where its client
//! is likely to send something at once: for the next command, and for a small file. That delays what
//! else would wake the session, its dismissal above all, by that moment at most. For the next command it
//! stays awake a little before that, as long as few sessions are at work; where there are many, its
//! thread goes to the processor that is [`near`] its client.

mod near;
mod pace;
mod rest;

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Notify, mpsc};
use waft_per_cpu::processors;

pub(crate) use near::{Lookout, Visit};
pub(crate) use pace::Pace;
pub(crate) use rest::{Berth, Ride, Stay};

/// Threads that serve sessions. Once dropped, each of them ends with its last session.
#[derive(Debug)]
pub struct Workers {
    threads: Mutex<Threads>,
    max: usize,
    rest_after: Duration,
    moves_threads: bool,
    /// Told when sessions have left work.
    left: Notify,
}

#[derive(Debug)]
struct Threads {
    working: Vec<Worker>,
    /// Where sessions rest, once there are any.
    resting: Option<Worker>,
}

/// How long a session waits for a command before it rests.
const REST_AFTER: Duration = Duration::from_millis(200);

/// Threads begun before there are sessions, for each processor: 25 KiB and [`THREAD_FILES`] each.
const AHEAD_PER_PROCESSOR: usize = 4;

/// The most of them.
const AHEAD_MAX: usize = 64;

/// Open files of a thread's runtime.
const THREAD_FILES: usize = 4;

/// How long no session has been at work when all are said to rest.
const REST_OF_ALL: Duration = Duration::from_millis(100);

/// Threads for what may wait for a disk, of all workers together; each worker has some at least.
const POOL_THREADS_MAX: usize = 512;
const POOL_THREADS_MIN: usize = 16;

/// The longest that a thread waits without its runtime. No shorter than a tick of the system's clock:
/// setting the clock for something sooner costs more than the rest of the wait.
pub(crate) const MOMENT: Duration = Duration::from_millis(10);

/// Events that a worker takes from the system at a time: enough for the few sessions that are busy
/// at once, and 12 octets each of a buffer that it keeps.
const IO_EVENTS: usize = 128;

/// Octets of a worker's stack: what a plugin's call may take of it (1 MiB), and as much again for the session
/// above and what the call asks for below. Set here, whatever RUST_MIN_STACK says.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// The name of threads for work, as tools of the system show it.
const WORK: &str = "waft-worker";

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
    /// Whether the thread may be moved to another processor.
    may_move: bool,
}

thread_local! {
    /// Sessions on this thread, if it is a worker's.
    static SESSIONS: Cell<usize> = const { Cell::new(0) };

    /// Whether it may be moved to another processor.
    static MAY_MOVE: Cell<bool> = const { Cell::new(false) };
}

/// Sessions on threads of workers, of the whole process: they share its processors.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// A session on a worker's thread; made and dropped there.
#[derive(Debug)]
pub(crate) struct Presence(());

/// Whether one session has this thread to itself: only then it may wait without the runtime, for a
/// [`MOMENT`] at most.
pub(crate) fn has_thread_to_itself() -> bool {
    SESSIONS.get() == 1
}

/// Whether there is a processor for each session at work, and another one for each of their clients:
/// only then one may be kept busy with nothing but waiting. What other programs do is not asked, nor
/// whether those sessions only wait for slow clients.
pub(crate) fn leaves_processors_to_clients() -> bool {
    AT_WORK.load(Ordering::Relaxed) <= processors() / 2
}

/// Counts a command of the session that runs here, and has the thread move [`near`] its client now and
/// then, if the session has it to itself and there are not processors enough for all of them.
pub(crate) fn stay_near(client: &impl AsFd, lookout: &mut Lookout) {
    if has_thread_to_itself() && MAY_MOVE.get() && !leaves_processors_to_clients() {
        lookout.count(client.as_fd());
    }
}

/// Whether threads that do something for a session go [`near`] its client for as long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nearness {
    is_wanted: bool,
}

impl Nearness {
    /// For the session that runs here, if there are not processors enough for all of them.
    pub(crate) fn of_session() -> Nearness {
        Nearness { is_wanted: MAY_MOVE.get() && !leaves_processors_to_clients() }
    }

    /// Has the thread that runs this go there; held while it works for that client.
    pub(crate) fn visit(self, client: &impl AsFd) -> Option<Visit> {
        self.is_wanted.then(|| Visit::to(client.as_fd()))
    }
}

impl Workers {
    /// A few threads, and more as sessions come, up to `max`; with more than one, another for those
    /// that rest.
    ///
    /// # Errors
    /// The system gives no thread, or its runtime not what it needs.
    pub fn start(max: NonZeroUsize) -> io::Result<Workers> {
        Workers::start_with((AHEAD_PER_PROCESSOR * processors()).min(AHEAD_MAX), max)
    }

    /// Open files of so many threads, and the one for sessions at rest.
    #[must_use]
    pub fn open_files(max: NonZeroUsize) -> usize {
        max.get().saturating_add(1).saturating_mul(THREAD_FILES)
    }

    /// As many threads ahead of sessions, or one where there are not as many.
    fn start_with(ahead: usize, max: NonZeroUsize) -> io::Result<Workers> {
        let max = max.get();
        let first = Worker::start(WORK, max)?;
        let more: Option<Vec<Worker>> =
            (1..ahead.min(max)).map(|_| Worker::start_more(max)).collect();
        // Where not all could be had, what they took is needed elsewhere.
        let more = more.unwrap_or_default();
        let working = std::iter::once(first).chain(more).collect();
        let threads = Threads { working, resting: None };
        let (threads, left) = (Mutex::new(threads), Notify::new());
        Ok(Workers { threads, max, rest_after: REST_AFTER, moves_threads: true, left })
    }

    /// The same, but which processor a thread runs on is left to the system alone.
    #[must_use]
    pub fn unmoved(self) -> Workers {
        Workers { moves_threads: false, ..self }
    }

    /// The same with another time that a session waits for a command before it rests.
    #[must_use]
    pub fn resting_after(self, rest_after: Duration) -> Workers {
        Workers { rest_after, ..self }
    }

    /// Waits until some session has been at work and, for a moment, none is.
    pub async fn all_at_rest(&self) {
        let is_idle = || self.threads().working.iter().all(Worker::is_idle);
        loop {
            self.left.notified().await;
            tokio::time::sleep(REST_OF_ALL).await;
            if is_idle() {
                return;
            }
        }
    }

    /// Sessions at rest.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.threads().resting.as_ref().map_or(0, Worker::sessions)
    }

    /// Says that a session has left work.
    pub(crate) fn note_leave(&self) {
        self.left.notify_one();
    }

    /// What lets a session move.
    fn berth(&self) -> Berth {
        // With one thread for work, nothing is won.
        if self.max > 1 { Berth::at_work(self.rest_after) } else { Berth::default() }
    }

    /// A place for a session that works or rests.
    fn seat_at(&self, stay: Stay) -> Option<Seat> {
        match stay {
            Stay::Work => self.seat(),
            Stay::Rest => {
                self.note_leave();
                let mut threads = self.threads();
                if threads.resting.is_none() {
                    let rest = Worker::start("waft-rest", self.max);
                    threads.resting = rest.inspect_err(none_started).ok();
                }
                threads.resting.as_ref().map(|worker| worker.seat(false))
            }
        }
    }

    /// A place on the thread with the fewest sessions, or on a new one.
    fn seat(&self) -> Option<Seat> {
        let mut threads = self.threads();
        let working = &mut threads.working;
        if working.len() < self.max && !working.iter().any(Worker::is_idle) {
            working.extend(Worker::start_more(self.max));
        }
        let emptiest = working.iter().min_by_key(|worker| worker.sessions())?;
        Some(emptiest.seat(self.moves_threads))
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn none_started(error: &io::Error) {
    let remedy = "raise the limits of threads and of open files";
    tracing::warn!(%error, remedy, "no thread for more sessions");
}

impl Seat {
    /// A place on one of the threads; without any, in the runtime that this is called in.
    pub(crate) fn take(workers: Option<&Workers>) -> Seat {
        let seat = workers.and_then(Workers::seat);
        seat.unwrap_or_else(|| Seat { runtime: Handle::current(), session: None, may_move: false })
    }

    /// What lets the session that is given this place move to others.
    pub(crate) fn berth(&self, workers: Option<&Workers>) -> Berth {
        workers.filter(|_| self.session.is_some()).map(Workers::berth).unwrap_or_default()
    }

    /// Whether nobody else has a place on the same thread.
    pub(crate) fn is_alone(&self) -> bool {
        // One more is the thread's own.
        self.session.as_ref().is_some_and(|session| session.strong_count() <= 2)
    }
}

impl Presence {
    /// A session that lives on this thread from now on, if the seat is on a worker's.
    pub(crate) fn of(seat: &Seat) -> Option<Presence> {
        seat.session.as_ref().map(|_| {
            SESSIONS.set(SESSIONS.get() + 1);
            MAY_MOVE.set(seat.may_move);
            AT_WORK.fetch_add(1, Ordering::Relaxed);
            Presence(())
        })
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        SESSIONS.set(SESSIONS.get().saturating_sub(1));
        AT_WORK.fetch_sub(1, Ordering::Relaxed);
        if SESSIONS.get() == 0 {
            near::leave();
        }
    }
}

impl Worker {
    fn start(name: &str, workers_max: usize) -> io::Result<Worker> {
        Worker::start_with(name, workers_max, STACK_BYTES)
    }

    fn start_with(name: &str, workers_max: usize, stack_bytes: usize) -> io::Result<Worker> {
        let pool = (POOL_THREADS_MAX / workers_max).max(POOL_THREADS_MIN);
        let mut builder = Builder::new_current_thread();
        builder.enable_all().thread_name("waft-pool").max_blocking_threads(pool);
        builder.max_io_events_per_tick(IO_EVENTS);
        let runtime = builder.build()?;
        let handle = runtime.handle().clone();
        let (sessions, mut held) = mpsc::channel(1);
        // The runtime follows its thread: without one it must not be dropped just so, where this is called
        // in another runtime.
        let (give, given) = std::sync::mpsc::channel::<Runtime>();
        let serve = move || {
            let Ok(runtime) = given.recv() else { return };
            runtime.block_on(held.recv());
            // What a session handed to the blocking pool and no longer waits for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(stack_bytes);
        match thread.spawn(serve) {
            Ok(_) => {
                // It waits for it.
                let _ = give.send(runtime);
                Ok(Worker { runtime: handle, sessions })
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// One more for work; without it, those that there are have to do.
    fn start_more(workers_max: usize) -> Option<Worker> {
        Worker::start(WORK, workers_max).inspect_err(none_started).ok()
    }

    fn sessions(&self) -> usize {
        // One is the thread's own.
        self.sessions.strong_count().saturating_sub(1)
    }

    fn is_idle(&self) -> bool {
        self.sessions() == 0
    }

    fn seat(&self, may_move: bool) -> Seat {
        let (runtime, session) = (self.runtime.clone(), Some(self.sessions.clone()));
        Seat { runtime, session, may_move }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_its_thread_to_itself_until_another_one_comes() {
        let workers = Workers::start(NonZeroUsize::MIN).unwrap();
        let seats = [Seat::take(Some(&workers)), Seat::take(Some(&workers))];
        let (told, heard) = std::sync::mpsc::channel();
        let runtime = seats[0].runtime.clone();
        runtime.spawn(async move {
            let [one, other] = seats;
            told.send(has_thread_to_itself()).unwrap();
            let one = Presence::of(&one);
            told.send(has_thread_to_itself()).unwrap();
            let other = Presence::of(&other);
            told.send(has_thread_to_itself()).unwrap();
            drop(other);
            told.send(has_thread_to_itself()).unwrap();
            drop(one);
            told.send(has_thread_to_itself()).unwrap();
        });
        let all: Vec<bool> = heard.iter().collect();
        assert_eq!(all, [false, true, false, true, false]);
    }

    #[tokio::test]
    async fn a_thread_that_the_system_refuses_is_an_error() {
        assert!(Worker::start_with(WORK, 1, usize::MAX / 4).is_err());
    }

    #[test]
    fn threads_wait_for_the_first_sessions_but_never_more_than_there_may_be() {
        let begun = |ahead, max| {
            let workers = Workers::start_with(ahead, NonZeroUsize::new(max).unwrap()).unwrap();
            workers.threads().working.len()
        };
        assert_eq!([begun(0, 3), begun(2, 3), begun(5, 3)], [1, 2, 3]);
        let workers = Workers::start(NonZeroUsize::MAX).unwrap();
        assert_eq!(workers.threads().working.len(), (4 * processors()).min(64));
    }

    #[test]
    fn places_are_on_idle_threads_then_on_new_ones_then_on_the_emptiest() {
        let workers = Workers::start_with(1, NonZeroUsize::new(2).unwrap()).unwrap();
        let threads = || workers.threads().working.len();
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

    #[tokio::test(start_paused = true)]
    async fn all_rest_a_moment_after_the_last_one_left_work() {
        let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
        let within = Duration::from_secs(1);
        let all_at_rest = || tokio::time::timeout(within, workers.all_at_rest());
        assert!(all_at_rest().await.is_err(), "nobody was at work");
        let seats = [Seat::take(Some(&workers)), Seat::take(Some(&workers))];
        let [first, second] = seats;
        drop(first);
        workers.note_leave();
        assert!(all_at_rest().await.is_err(), "one still works");
        drop(second);
        workers.note_leave();
        all_at_rest().await.unwrap();
    }
}
