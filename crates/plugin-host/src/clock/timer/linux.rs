//! timerfd_create(2): the kernel wakes who reads it, when its time has come.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use rustix::io::{Errno, read};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::limits;

pub(crate) struct Timer(OwnedFd);

const TICK: Timespec = Timespec {
    tv_sec: limits::TICK.as_secs().cast_signed(),
    tv_nsec: limits::TICK.subsec_nanos() as i64,
};

const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

fn told(done: io::Result<()>) {
    if let Err(error) = done {
        tracing::error!(%error, "the clock of plugins cannot be set");
    }
}

impl Timer {
    /// # Errors
    /// The process has as many files open as it may.
    pub(crate) fn new() -> io::Result<Timer> {
        let timer = Timer(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?);
        // What could be wrong with it is found here.
        timer.go_by(TICK)?;
        timer.go_by(NEVER)?;
        Ok(timer)
    }

    /// Is up once, a tick from now.
    pub(crate) fn set(&self) {
        told(self.go_by(TICK));
    }

    /// Is not up any more.
    pub(crate) fn stop(&self) {
        told(self.go_by(NEVER));
    }

    fn go_by(&self, it_value: Timespec) -> io::Result<()> {
        let once = Itimerspec { it_interval: NEVER, it_value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn is_set(&self) -> bool {
        rustix::time::timerfd_gettime(&self.0).unwrap().it_value != NEVER
    }

    /// Waits until it is up, or a little less.
    pub(crate) fn wait(&self) {
        let mut times = [0; size_of::<u64>()];
        match read(&self.0, &mut times) {
            Ok(_) | Err(Errno::INTR) => {}
            // There is no such case. If there were, too many ticks would be better than none.
            Err(_) => thread::sleep(limits::TICK),
        }
    }
}
