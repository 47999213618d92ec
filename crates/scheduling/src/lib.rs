//! How the system shares processors among the threads of this program.
//!
//! A thread that something has come for usually takes the processor from whoever is at work there.
//! Among the many threads of a server that is a loss: a session loses its processor to another one in
//! the middle of a reply, with the lock of a directory in its hands, and the client that it serves
//! loses its own to it. Threads in batch (`SCHED_BATCH`, sched(7)) wait until the one that works has had
//! its turn, or waits itself; they get as much of the processors as before.
//!
//! What is *not* here: whether that is wanted; and systems other than Linux, where nothing is done.
//!
//! This crate has one `unsafe` place, in `policy`: two calls of the system that no library in use here
//! makes. They are about the thread that makes them, and touch no memory but a number that is read.

use std::io;

/// Has this thread give way to those that are at work when something has come for it, and every thread
/// that it starts from now on. Returns false where it was told already how it is scheduled (as a
/// real-time thread for instance, or by somebody who called this): then it stays so.
///
/// # Errors
/// The system refuses.
#[cfg(target_os = "linux")]
pub fn give_way() -> io::Result<bool> {
    if policy::get()? != libc::SCHED_OTHER {
        return Ok(false);
    }
    policy::set(libc::SCHED_BATCH)?;
    Ok(true)
}

/// Does nothing here.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn give_way() -> io::Result<bool> {
    Ok(false)
}

#[cfg(target_os = "linux")]
mod policy {
    //! The policy of this thread: sched_getscheduler(2), sched_setscheduler(2). Asked of the system, as
    //! the functions of that name in musl do nothing.
    #![expect(unsafe_code, reason = "calls the system, see the crate's top")]

    use std::io;

    use libc::{SYS_sched_getscheduler, SYS_sched_setscheduler, c_int, c_long, syscall};

    /// The number that stands for whoever asks.
    const THIS_THREAD: c_int = 0;

    /// What the system knows as `struct sched_param`: policies that are not real-time have one priority.
    static PRIORITY: c_int = 0;

    pub(super) fn get() -> io::Result<c_int> {
        // SAFETY: takes numbers alone.
        let policy = told(unsafe { syscall(SYS_sched_getscheduler, THIS_THREAD) })?;
        c_int::try_from(policy).map_err(io::Error::other)
    }

    pub(super) fn set(policy: c_int) -> io::Result<()> {
        // SAFETY: the pointer is to a number that is only read, and always there.
        let told_by =
            unsafe { syscall(SYS_sched_setscheduler, THIS_THREAD, policy, &raw const PRIORITY) };
        told(told_by).map(drop)
    }

    fn told(answer: c_long) -> io::Result<c_long> {
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// The policy of this thread, as the system tells it: the 41st word (proc_pid_stat(5)), of which the
    /// second, in parentheses, may hold anything.
    fn told() -> libc::c_int {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let behind_name = stat.rsplit_once(") ").unwrap().1;
        behind_name.split(' ').nth(41 - 3).unwrap().parse().unwrap()
    }

    #[test]
    fn a_thread_that_gives_way_starts_threads_that_do_and_no_other_is_touched() {
        let before = told();
        thread::spawn(move || {
            assert_eq!(give_way().unwrap(), before == libc::SCHED_OTHER);
            let after = if before == libc::SCHED_OTHER { libc::SCHED_BATCH } else { before };
            assert_eq!(told(), after);
            assert_eq!(thread::spawn(told).join().unwrap(), after);
            assert!(!give_way().unwrap(), "once is enough");
            assert_eq!(told(), after);
        })
        .join()
        .unwrap();
        assert_eq!(told(), before);
    }

    #[test]
    fn a_thread_of_another_policy_stays_as_it_is() {
        thread::spawn(|| {
            policy::set(libc::SCHED_IDLE).unwrap();
            assert!(!give_way().unwrap());
            assert_eq!(told(), libc::SCHED_IDLE);
        })
        .join()
        .unwrap();
    }
}
