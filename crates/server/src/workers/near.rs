//! Threads go to the processor on which what their clients send arrives.
//!
//! Whoever receives a packet wakes the thread that it is for: the processor that has the queue of the
//! network card, or with a client on this machine that client's own. A thread that last ran on another
//! processor has to be woken there, which costs several microseconds on virtual machines, for every
//! packet, and the client as much when it gets its reply. The system leaves threads where they happen
//! to be: with 16 clients on four processors, one run of a server had a packet in ten wake another
//! processor, and the next run all of them, with a third fewer small files.
//!
//! Only threads with one session are moved, and those of the pool while they [move](super::Nearness)
//! octets for one: eight clients that download large files get a sixth more, for a tenth less of the
//! processor. And only when more sessions are at work than
//! [could](super::leaves_processors_to_clients) be served beside their clients: with fewer, the two
//! are better off on two processors. No processor gets more than its share of the threads that have
//! been looked at: where all packets come in on one, as with a card of one queue, most stay where they
//! are. Threads that look at the same moment may exceed a share by a few. And none is bound: the system
//! may move each on at once, and the next look takes it back. That comes as soon after a move as ever:
//! where it came ever later, clients and their sessions could end up on processors apart, to the
//! satisfaction of the system, and stay there; 16 clients' small files then took up to half as long
//! again. A move costs tens of microseconds, and comes with one command in nine at most.
//!
//! What is *not* here: whether it is wanted ([`Workers::unmoved`](super::Workers::unmoved)), and
//! systems other than Linux, where nothing is done.

#[cfg(target_os = "linux")]
use linux::approach;
#[cfg(target_os = "linux")]
pub(super) use linux::leave;

use std::os::fd::BorrowedFd;

use super::pace::Pace;

/// When a session looks where its packets arrive.
#[derive(Debug)]
pub(crate) struct Lookout(Pace);

/// Commands of a session before its first look, and between two: more than it takes to log in.
const APART_MIN: u16 = 8;

/// The most that come between two looks where the system refuses what they ask for.
const APART_MAX: u16 = 4096;

const _: () = assert!(APART_MIN.is_multiple_of(2) && APART_MAX.is_multiple_of(2), "see Pace");

impl Default for Lookout {
    fn default() -> Lookout {
        Lookout(Pace::after(APART_MIN))
    }
}

impl Lookout {
    /// Counts a command of a session that has its thread to itself and may have it moved; moves it, if
    /// it is time to look and the client is elsewhere.
    pub(super) fn count(&mut self, client: BorrowedFd<'_>) {
        if self.0.is_due() {
            self.note(approach(client).map(drop));
        }
    }

    /// Notes how the look ended: a system that refuses is asked less and less.
    fn note(&mut self, look: rustix::io::Result<()>) {
        match look {
            Ok(()) => self.0.keep(),
            Err(_) => self.0.slow_down(APART_MAX),
        }
    }
}

/// A thread of the pool near a client, for as long as it works for that; made and dropped there.
#[derive(Debug)]
pub(crate) struct Visit(());

impl Visit {
    /// Goes there, if that is elsewhere, there is room, and the system lets it.
    pub(super) fn to(client: BorrowedFd<'_>) -> Visit {
        let _ = approach(client);
        Visit(())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        leave();
    }
}

#[cfg(not(target_os = "linux"))]
fn approach(_: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    Ok(false)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn leave() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::Cell;
    use std::os::fd::BorrowedFd;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustix::io::Result;
    use rustix::net::sockopt::socket_incoming_cpu;
    use rustix::process::getpid;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// Threads by the processor that they were seen on last, or sent to.
    static SETTLED: [AtomicUsize; CpuSet::MAX_CPU] =
        [const { AtomicUsize::new(0) }; CpuSet::MAX_CPU];

    /// All of them.
    static SETTLED_IN_ALL: AtomicUsize = AtomicUsize::new(0);

    thread_local! {
        /// Where this thread is counted.
        static HOME: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// Moves this thread to where the packets of this connection arrive, if it is elsewhere and there is
    /// room; tells whether it did.
    ///
    /// # Errors
    /// The system does not tell, or does not let it go there.
    pub(super) fn approach(client: BorrowedFd<'_>) -> Result<bool> {
        let here = sched_getcpu();
        settle(Some(here));
        // Which is none as long as nothing has arrived.
        let Ok(there) = usize::try_from(socket_incoming_cpu(client)?) else { return Ok(false) };
        if here == there {
            return Ok(false);
        }
        // What the operator allows is asked of the first thread, which is never moved.
        let allowed = sched_getaffinity(Some(getpid()))?;
        if !has_room(there, &allowed) {
            return Ok(false);
        }
        go(there, &allowed)?;
        settle(Some(there));
        tracing::trace!(processor = there, "thread moved near its client");
        Ok(true)
    }

    /// This thread is in no session any more.
    pub(in super::super) fn leave() {
        settle(None);
    }

    /// Whether the processor may be used, and one thread more is not above its share.
    fn has_room(processor: usize, allowed: &CpuSet) -> bool {
        let processors = usize::try_from(allowed.count()).unwrap_or(1).max(1);
        let share = SETTLED_IN_ALL.load(Ordering::Relaxed) / processors + 1;
        let settled = SETTLED.get(processor).map(|settled| settled.load(Ordering::Relaxed));
        settled.is_some_and(|settled| settled < share) && allowed.is_set(processor)
    }

    /// Goes there, and lets the system move this thread on from there as before.
    fn go(there: usize, allowed: &CpuSet) -> Result<()> {
        let mut only = CpuSet::new();
        only.set(there);
        sched_setaffinity(None, &only)?;
        // What is asked for now holds for good, also when the process is given more processors. So
        // all of them are, unless somebody has chosen fewer than there are, or the system refuses.
        let mut all = CpuSet::new();
        (0..CpuSet::MAX_CPU).for_each(|processor| all.set(processor));
        let given = sched_setaffinity(None, &all).and_then(|()| sched_getaffinity(None));
        if given == Ok(*allowed) { Ok(()) } else { sched_setaffinity(None, allowed) }
    }

    /// Counts this thread there, and nowhere else.
    fn settle(processor: Option<usize>) {
        let before = HOME.replace(processor);
        if before == processor {
            return;
        }
        let counts = |of: Option<usize>| {
            let settled = of.and_then(|of| SETTLED.get(of))?;
            Some([settled, &SETTLED_IN_ALL])
        };
        for count in counts(before).into_iter().flatten() {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        for count in counts(processor).into_iter().flatten() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    mod tests {
        use std::io::{Read, Write};
        use std::net::{TcpListener, TcpStream};
        use std::num::NonZeroUsize;
        use std::os::fd::AsFd;
        use std::sync::{Mutex, PoisonError, mpsc};
        use std::thread;
        use std::time::Duration;

        use waft_per_cpu::processors;

        use super::super::{Lookout, Pace, Visit};
        use super::*;
        use crate::workers::{Nearness, Presence, Seat, Workers, stay_near};

        /// After which a thread is given up.
        const LIMIT: Duration = Duration::from_secs(60);

        /// The connection of a client that sends from this processor, and only from there.
        fn connected_from(processor: usize) -> TcpStream {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let client = thread::spawn(move || {
                bind_to(processor);
                TcpStream::connect(address).unwrap().write_all(b"x").unwrap();
            });
            let mut accepted = listener.accept().unwrap().0;
            accepted.read_exact(&mut [0]).unwrap();
            client.join().unwrap();
            accepted
        }

        fn bind_to(processor: usize) {
            let mut only = CpuSet::new();
            only.set(processor);
            sched_setaffinity(None, &only).unwrap();
        }

        /// What this process may use: two processors, or the only one twice.
        fn two_processors() -> (CpuSet, [usize; 2]) {
            let allowed = sched_getaffinity(Some(getpid())).unwrap();
            let mut each = (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor));
            let one = each.next().unwrap();
            (allowed, [one, each.next().unwrap_or(one)])
        }

        /// In a thread of its own, as a processor is chosen for the whole thread; one after the other, as
        /// all threads share the processors' room.
        fn aside(run: impl FnOnce() + Send + 'static) {
            static ROOM: Mutex<()> = Mutex::new(());
            let _room = ROOM.lock().unwrap_or_else(PoisonError::into_inner);
            thread::spawn(run).join().unwrap();
        }

        #[test]
        fn a_thread_goes_to_its_client_and_is_not_bound_there() {
            let (allowed, [here, there]) = two_processors();
            let client = connected_from(there);
            aside(move || {
                bind_to(here);
                assert_eq!(approach(client.as_fd()).unwrap(), here != there);
                assert_eq!(HOME.get(), Some(there));
                assert_eq!(sched_getaffinity(None).unwrap(), allowed);
                leave();
                assert_eq!(HOME.get(), None);
            });
        }

        #[test]
        fn a_thread_is_counted_near_a_client_while_it_visits_that() {
            let (allowed, [here, there]) = two_processors();
            let client = connected_from(there);
            aside(move || {
                bind_to(here);
                let visit = Visit::to(client.as_fd());
                assert_eq!(HOME.get(), Some(there));
                assert_eq!(sched_getaffinity(None).unwrap(), allowed);
                drop(visit);
                assert_eq!(HOME.get(), None);
            });
        }

        #[test]
        fn a_thread_that_goes_is_there_at_once() {
            let (_, [here, there]) = two_processors();
            aside(move || {
                bind_to(here);
                let mut only = CpuSet::new();
                only.set(there);
                go(there, &only).unwrap();
                assert_eq!(sched_getcpu(), there);
            });
        }

        #[test]
        fn a_thread_stays_where_its_client_has_no_room() {
            let (_, [here, there]) = two_processors();
            let client = connected_from(there);
            aside(move || {
                let settled = SETTLED.get(there).unwrap();
                settled.fetch_add(2, Ordering::Relaxed);
                bind_to(here);
                assert!(!approach(client.as_fd()).unwrap());
                assert_eq!((HOME.get(), sched_getcpu()), (Some(here), here));
                leave();
                settled.fetch_sub(2, Ordering::Relaxed);
            });
        }

        #[test]
        fn a_processor_that_may_not_be_used_has_no_room() {
            aside(|| {
                let (_, [here, _]) = two_processors();
                let mut only = CpuSet::new();
                only.set(here);
                assert!(has_room(here, &only));
                assert!(!has_room(here + 1, &only));
                assert!(!has_room(CpuSet::MAX_CPU, &only));
            });
        }

        #[test]
        fn many_sessions_move_near_their_clients_unless_the_system_is_to_decide() {
            aside(|| {
                let workers = || Workers::start(NonZeroUsize::new(CpuSet::MAX_CPU).unwrap());
                let (_, [_, there]) = two_processors();
                assert_eq!(home_among_many(workers().unwrap()), (Some(there), true));
                assert_eq!(home_among_many(workers().unwrap().unmoved()), (None, false));
            });
        }

        /// Where a session ends that looks for its client, among more than have processors to spare, and
        /// whether threads that work for it go there.
        fn home_among_many(workers: Workers) -> (Option<usize>, bool) {
            let (_, [here, there]) = two_processors();
            let (told, heard) = mpsc::channel();
            let mut others = Vec::new();
            for _ in 0..=processors() / 2 {
                let seat = Seat::take(Some(&workers));
                let (runtime, told) = (seat.runtime.clone(), told.clone());
                let (other, mut ends) = tokio::sync::mpsc::channel::<()>(1);
                others.push(other);
                runtime.spawn(async move {
                    let _presence = Presence::of(&seat);
                    told.send((None, false)).unwrap();
                    ends.recv().await;
                });
                assert_eq!(heard.recv_timeout(LIMIT).unwrap().0, None);
            }
            let client = connected_from(there);
            let seat = Seat::take(Some(&workers));
            let runtime = seat.runtime.clone();
            runtime.spawn(async move {
                let _presence = Presence::of(&seat);
                bind_to(here);
                let mut lookout = Lookout(Pace::after(0));
                stay_near(&client, &mut lookout);
                told.send((HOME.get(), Nearness::of_session().is_wanted)).unwrap();
            });
            heard.recv_timeout(LIMIT).unwrap()
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    /// The commands of a session with which it looks, when each look ends so.
    fn looks(look: rustix::io::Result<()>, commands: usize) -> Vec<usize> {
        let mut lookout = Lookout::default();
        let is_due = |command| {
            let is_due = lookout.0.is_due();
            if is_due {
                lookout.note(look);
            }
            is_due.then_some(command)
        };
        (1..=commands).filter_map(is_due).collect()
    }

    #[test]
    fn a_session_looks_with_every_ninth_command_and_ever_later_where_that_is_refused() {
        assert_eq!(looks(Ok(()), 40), [9, 18, 27, 36]);
        assert_eq!(looks(Err(Errno::PERM), 300), [9, 28, 67, 146]);
        let often = looks(Err(Errno::PERM), 40_000);
        assert_eq!(often[often.len() - 1] - often[often.len() - 2], usize::from(APART_MAX) + 1);
    }
}
