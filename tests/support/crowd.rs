//! Sessions that transfer files at the same time, look at every octet that comes back, and take the
//! time of it.

use std::fmt;
use std::sync::{Condvar, Mutex};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::content::{assert_same, octets};
use super::ftp::Ftp;
use super::site::{CHEAP_HASH, PASSWORD};
use super::waft::Waft;

/// The account of the crowd, of which a site needs [`account`].
pub(crate) const CROWD: &str = "crowd";

/// Octets of what a session transfers: less than a piece, and several.
const LENGTHS: [usize; 2] = [4 << 10, 256 << 10];

/// So often each session transfers all it has, however short the work is that it goes on beside.
const ROUNDS_MIN: usize = 2;

/// Octets of a thread's stack: it holds no contents.
const STACK: usize = 256 << 10;

/// The crowd's account as it stands in a configuration; its directory is `crowd`.
pub(crate) fn account() -> String {
    format!("[[user]]\nname = \"{CROWD}\"\npassword = \"{CHEAP_HASH}\"\nroot = \"{CROWD}\"\n")
}

/// A session of that account, in TYPE I.
pub(crate) fn log_in(waft: &Waft) -> Ftp {
    let mut ftp = waft.connect();
    ftp.log_in(CROWD, PASSWORD);
    ftp
}

/// Sessions that are logged in.
pub(crate) struct Crowd {
    members: Vec<Member>,
    pause: Duration,
}

/// One session, with contents of its own.
struct Member {
    ftp: Ftp,
    contents: Vec<(String, Vec<u8>)>,
}

impl Crowd {
    /// Logs in so many sessions. Each waits for `pause` between two transfers.
    pub(crate) fn gather(waft: &Waft, sessions: usize, pause: Duration) -> Crowd {
        let member = |number: usize| {
            let ftp = log_in(waft);
            let content = |length: usize| {
                (format!("{number}-{length}.bin"), octets(length, (number + length) as u64))
            };
            Member { ftp, contents: LENGTHS.map(content).to_vec() }
        };
        Crowd { members: (0..sessions).map(member).collect(), pause }
    }

    /// Has all of them transfer, up and down, as long as `work` goes on, and returns what each
    /// transfer took, from EPSV to 226. What goes wrong with one fails.
    pub(crate) fn transfer_beside(&mut self, work: impl FnOnce()) -> Times {
        let (work_is, pause) = (Work::default(), self.pause);
        thread::scope(|scope| {
            let members = self.members.iter_mut().map(|member| {
                let transfer = || member.transfer(&work_is, pause);
                Builder::new().stack_size(STACK).spawn_scoped(scope, transfer).unwrap()
            });
            let members: Vec<_> = members.collect();
            let done = Done(&work_is);
            work();
            drop(done);
            Times::of(members.into_iter().flat_map(|member| member.join().unwrap()).collect())
        })
    }
}

impl Member {
    fn transfer(&mut self, work: &Work, pause: Duration) -> Vec<Duration> {
        let mut times = Vec::new();
        let mut round = 0;
        while round < ROUNDS_MIN || !work.is_done() {
            for (name, octets) in &self.contents {
                let began = Instant::now();
                self.ftp.put(&format!("STOR {name}"), octets);
                times.push(began.elapsed());
                work.wait(pause);
                let began = Instant::now();
                let back = self.ftp.fetch(&format!("RETR {name}"));
                times.push(began.elapsed());
                assert_same(&back, octets, name);
                work.wait(pause);
            }
            round += 1;
        }
        times
    }
}

/// Whether the work is done that the crowd goes on beside.
#[derive(Default)]
struct Work(Mutex<bool>, Condvar);

/// Ends the work, also where it failed: nobody goes on for ever.
struct Done<'a>(&'a Work);

impl Work {
    fn is_done(&self) -> bool {
        *self.0.lock().unwrap()
    }

    /// Waits for so long, or for the end of the work.
    fn wait(&self, pause: Duration) {
        if !pause.is_zero() {
            let done = self.0.lock().unwrap();
            drop(self.1.wait_timeout_while(done, pause, |done| !*done).unwrap());
        }
    }
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// What each transfer took, the shortest first.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    fn of(mut times: Vec<Duration>) -> Times {
        times.sort_unstable();
        Times(times)
    }

    /// How many there were.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What so many of a thousand took at most.
    pub(crate) fn per_mille(&self, share: usize) -> Duration {
        assert!(self.0.last().is_some_and(|longest| *longest < PATIENCE));
        self.0[(self.0.len() * share).div_ceil(1000).max(1) - 1]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, p99, longest] = [500, 990, 1000].map(|share| self.per_mille(share));
        let number = self.len();
        write!(f, "{number} transfers, p50 {median:.1?}, p99 {p99:.1?}, longest {longest:.1?}")
    }
}
