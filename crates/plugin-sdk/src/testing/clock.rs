//! A clock that can be set.

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

thread_local! {
    /// Milliseconds since 1970, where a test has set the clock.
    static SET: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Sets the clock of this test to so many milliseconds after 1970-01-01 UTC. It then stands still
/// until it is set again or moved; before, it is the machine's.
pub fn set_clock(ms: u64) {
    SET.set(Some(ms));
}

/// Moves the clock of this test, which stands still afterwards.
pub fn advance_clock(by: Duration) {
    set_clock(now_ms().saturating_add(milliseconds(by)));
}

pub(crate) fn now_ms() -> u64 {
    let since_1970 = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    SET.get().unwrap_or_else(|| milliseconds(since_1970()))
}

pub(crate) fn monotonic_ns() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let elapsed = || u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX);
    SET.get().map_or_else(elapsed, |ms| ms.saturating_mul(1_000_000))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_stands_still() {
        set_clock(5);
        assert_eq!((now_ms(), monotonic_ns()), (5, 5_000_000));
        advance_clock(Duration::from_secs(1));
        assert_eq!(now_ms(), 1005);
    }
}
