//! The breaker: a plugin that failed too often lately is not asked for a while, so that its
//! failures cost neither time nor log lines. Its policy answers instead.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// One plugin's breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// When the latest failures happened, oldest first.
    failures: VecDeque<Instant>,
    /// Until when it is open, if it is.
    open_until: Option<Instant>,
    /// How long it stayed open the last time; zero after a success.
    pause: Duration,
}

impl Breaker {
    /// A closed one.
    pub(crate) fn new() -> Breaker {
        Breaker { failures: VecDeque::new(), open_until: None, pause: Duration::ZERO }
    }

    /// Whether calls may be made.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.open_until.is_some_and(|until| now < until)
    }

    /// Notes a call that went well.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        if self.open_until.is_some() && !self.is_open(now) {
            self.open_until = None;
            self.pause = Duration::ZERO;
            self.failures.clear();
        }
    }

    /// Notes a call that failed. Tells for how long the breaker opens, if it does so now.
    pub(crate) fn failed(&mut self, now: Instant) -> Option<Duration> {
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
        let mut breaker = Breaker::new();
        let start = Instant::now();
        for n in 0..4 {
            assert_eq!(breaker.failed(start + SECOND * n), None);
        }
        assert_eq!(breaker.failed(start + SECOND * 11), None, "the first ones are long ago");
        let mut breaker = Breaker::new();
        let opened: Vec<_> = (0..5).map(|_| breaker.failed(start)).collect();
        assert_eq!(opened, [None, None, None, None, Some(SECOND)]);
        assert!(breaker.is_open(start) && !breaker.is_open(start + SECOND));
    }

    #[test]
    fn a_failure_right_behind_a_pause_doubles_it_and_a_success_forgets_it() {
        let mut breaker = Breaker::new();
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
