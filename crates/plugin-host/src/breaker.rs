//! The breaker: a plugin that failed too often lately is not asked for a while, so that its
//! failures cost neither time nor log lines. Its policy answers instead.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// One plugin's breaker.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// Whether it opened and no call has gone well since: as long as not, calls ask no further.
    tripped: AtomicBool,
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    /// When the latest failures happened, oldest first.
    failures: VecDeque<Instant>,
    /// Until when it is open, if it is.
    open_until: Option<Instant>,
    /// How long it stayed open the last time; zero after a success.
    pause: Duration,
}

impl Breaker {
    /// Whether calls are not to be made at `now`.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.tripped.load(Ordering::Acquire) && self.history().is_open(now)
    }

    /// Notes a call that went well.
    pub(crate) fn succeeded(&self, now: Instant) {
        if !self.tripped.load(Ordering::Acquire) {
            return;
        }
        let mut history = self.history();
        if !history.is_open(now) {
            *history = History::default();
            self.tripped.store(false, Ordering::Release);
        }
    }

    /// Notes a call that failed. Tells for how long the breaker opens, if it does so now.
    pub(crate) fn failed(&self, now: Instant) -> Option<Duration> {
        let mut history = self.history();
        let pause = history.failed(now);
        if pause.is_some() {
            self.tripped.store(true, Ordering::Release);
        }
        pause
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    fn is_open(&self, now: Instant) -> bool {
        self.open_until.is_some_and(|until| now < until)
    }

    fn failed(&mut self, now: Instant) -> Option<Duration> {
        if self.is_open(now) {
            return None;
        }
        self.failures.push_back(now);
        while self.failures.front().is_some_and(|at| now - *at > limits::BREAKER_WINDOW) {
            self.failures.pop_front();
        }
        // Right behind a pause one failure is enough: it was only tried again.
        let tried_again = self.open_until.is_some();
        if !tried_again && self.failures.len() < limits::BREAKER_FAILURES {
            return None;
        }
        self.failures.clear();
        self.pause = (self.pause * 2).clamp(limits::BREAKER_OPEN_MIN, limits::BREAKER_OPEN_MAX);
        self.open_until = Some(now + self.pause);
        Some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn five_failures_in_ten_seconds_open_it_and_fewer_do_not() {
        let breaker = Breaker::default();
        let start = Instant::now();
        for n in 0..4 {
            assert_eq!(breaker.failed(start + SECOND * n), None);
        }
        assert_eq!(breaker.failed(start + SECOND * 11), None, "the first ones are long ago");
        let breaker = Breaker::default();
        let opened: Vec<_> = (0..5).map(|_| breaker.failed(start)).collect();
        assert_eq!(opened, [None, None, None, None, Some(SECOND)]);
        assert!(breaker.is_open(start) && !breaker.is_open(start + SECOND));
    }

    #[test]
    fn a_failure_right_behind_a_pause_doubles_it_and_a_success_forgets_it() {
        let breaker = Breaker::default();
        let mut now = Instant::now();
        for _ in 0..limits::BREAKER_FAILURES {
            breaker.failed(now);
        }
        let mut pauses = Vec::new();
        for _ in 0..8 {
            now += limits::BREAKER_OPEN_MAX;
            pauses.extend(breaker.failed(now).map(|pause| pause.as_secs()));
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        now += limits::BREAKER_OPEN_MAX;
        breaker.succeeded(now);
        assert_eq!(breaker.failed(now), None);
    }
}
