//! With what every system has: here, who sets the timer wakes the thread that waits for it.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::super::lock;
use crate::limits;

#[derive(Default)]
pub(crate) struct Timer {
    due: Mutex<Option<Instant>>,
    set: Condvar,
}

impl Timer {
    /// # Errors
    /// None.
    pub(crate) fn new() -> io::Result<Timer> {
        Ok(Timer::default())
    }

    /// Is up once, a tick from now.
    pub(crate) fn set(&self) {
        *lock(&self.due) = Some(Instant::now() + limits::TICK);
        self.set.notify_one();
    }

    /// Is not up any more.
    pub(crate) fn stop(&self) {
        *lock(&self.due) = None;
    }

    #[cfg(test)]
    pub(crate) fn is_set(&self) -> bool {
        lock(&self.due).is_some()
    }

    /// Waits until it is up.
    pub(crate) fn wait(&self) {
        let mut due = lock(&self.due);
        loop {
            let now = Instant::now();
            due = match *due {
                None => self.set.wait(due).unwrap_or_else(PoisonError::into_inner),
                Some(at) if at <= now => {
                    *due = None;
                    return;
                }
                Some(at) => {
                    let waited = self.set.wait_timeout(due, at - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}
