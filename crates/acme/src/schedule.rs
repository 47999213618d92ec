//! When the next certificate is ordered.

use std::time::{Duration, SystemTime};

/// The least time between two certificates: no authority is to be asked all the time because its
/// certificates are due as soon as they are issued.
const APART: Duration = Duration::from_secs(60 * 60);

/// The longest sleep: the clock may be set, and the machine may sleep, too.
const LOOK: Duration = Duration::from_secs(12 * 60 * 60);

/// The wait after the first failure.
const RETRY_FIRST: Duration = Duration::from_secs(60);

/// How much longer each further wait is. Four orders in the first hour: authorities count failures,
/// some no more than five in an hour.
const RETRY_FACTOR: u32 = 4;

/// The longest wait after a failure.
const RETRY_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// When the next certificate is ordered.
#[derive(Debug)]
pub(crate) struct Schedule {
    due: SystemTime,
    failures: u32,
}

impl Schedule {
    /// The certificate that there is is due then; none is due at once.
    pub(crate) fn new(due: Option<SystemTime>) -> Self {
        Self { due: due.unwrap_or(SystemTime::UNIX_EPOCH), failures: 0 }
    }

    /// Returns how long to wait before asking again; nothing where a certificate is due.
    pub(crate) fn wait(&self, now: SystemTime) -> Duration {
        self.due.duration_since(now).unwrap_or_default().min(LOOK)
    }

    /// A certificate came that is due then.
    pub(crate) fn obtained(&mut self, now: SystemTime, due: SystemTime) {
        *self = Self { due: due.max(now + APART), failures: 0 };
    }

    /// None came. Returns when the next order is made.
    pub(crate) fn failed(&mut self, now: SystemTime) -> Duration {
        let retry = RETRY_FIRST.saturating_mul(RETRY_FACTOR.saturating_pow(self.failures));
        let retry = retry.min(RETRY_MAX);
        self.failures += 1;
        self.due = now + retry;
        retry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * 20_000
    }

    #[test]
    fn without_a_certificate_one_is_ordered_at_once() {
        assert_eq!(Schedule::new(None).wait(noon()), Duration::ZERO);
        assert_eq!(Schedule::new(Some(noon())).wait(noon()), Duration::ZERO);
    }

    #[test]
    fn a_certificate_is_awaited_in_steps() {
        let schedule = Schedule::new(Some(noon() + DAY * 60));
        assert_eq!(schedule.wait(noon()), LOOK);
        assert_eq!(schedule.wait(noon() + DAY * 60 - MINUTE), MINUTE);
        assert_eq!(schedule.wait(noon() + DAY * 61), Duration::ZERO);
    }

    #[test]
    fn failures_are_retried_later_each_time_until_one_succeeds() {
        let mut schedule = Schedule::new(None);
        let waits: Vec<u64> = (0..7).map(|_| schedule.failed(noon()).as_secs() / 60).collect();
        assert_eq!(waits, [1, 4, 16, 64, 256, 720, 720]);
        assert_eq!(schedule.wait(noon()), RETRY_MAX);
        schedule.obtained(noon(), noon() + DAY);
        assert_eq!(schedule.failed(noon()), RETRY_FIRST);
    }

    #[test]
    fn a_certificate_that_is_due_when_it_comes_is_not_replaced_at_once() {
        let mut schedule = Schedule::new(None);
        schedule.obtained(noon(), noon() - DAY);
        assert_eq!(schedule.wait(noon()), APART);
    }
}
