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

impl Timer {
    /// # Errors
    /// The process has as many files open as it may.
    pub(crate) fn new() -> io::Result<Timer> {
        Ok(Timer(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?))
    }

    /// Is up once, a tick from now.
    pub(crate) fn set(&self) {
        self.go_by(Timespec { tv_sec: 0, tv_nsec: limits::TICK.subsec_nanos().into() });
    }

    /// Is not up any more.
    pub(crate) fn stop(&self) {
        self.go_by(Timespec::default());
    }

    fn go_by(&self, it_value: Timespec) {
        let once = Itimerspec { it_interval: Timespec::default(), it_value };
        if let Err(error) = timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once) {
            tracing::error!(%error, "the clock of plugins cannot be set");
        }
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
