//! Whether a hook of a plugin answers at once, going by what it was last asked. Sessions that rest share one
//! thread, and there nobody is asked who was slow lately; and what is quick for sure needs no stack of its
//! own, on which it could stop half-way and let others go on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::limits;

/// How many calls in a row have been quick, up to as many as are wanted; with [`SLOW`] where one before
/// these was not, until there are as many.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU32);

const SLOW: u32 = 1 << 31;

impl Pace {
    /// Notes a call that was answered after such a time.
    pub(crate) fn note(&self, elapsed: Duration) {
        if elapsed > limits::QUICK_CALL {
            self.break_off();
            return;
        }
        // Calls come from all processors: what is known already is not written again. Of two at the
        // same moment one may be lost, or one behind a slow one counted too many.
        let known = self.0.load(Ordering::Relaxed);
        if known != limits::QUICK_CALLS_MIN {
            let more = known + 1;
            let are_enough = more & !SLOW == limits::QUICK_CALLS_MIN;
            self.0
                .store(if are_enough { limits::QUICK_CALLS_MIN } else { more }, Ordering::Relaxed);
        }
    }

    /// Notes a call that was not answered.
    pub(crate) fn break_off(&self) {
        self.0.store(SLOW, Ordering::Relaxed);
    }

    /// Whether the last calls were all quick, and there were enough.
    pub(crate) fn is_quick(&self) -> bool {
        self.0.load(Ordering::Relaxed) == limits::QUICK_CALLS_MIN
    }

    /// Whether a call was not quick, and too few have been since.
    pub(crate) fn is_slow(&self) -> bool {
        self.0.load(Ordering::Relaxed) & SLOW != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_slow_once_has_to_be_quick_for_a_while() {
        let pace = Pace::default();
        let quick = |calls| (0..calls).for_each(|_| pace.note(limits::QUICK_CALL));
        let told = || (pace.is_quick(), pace.is_slow());
        assert_eq!(told(), (false, false), "nothing is known of it");
        quick(limits::QUICK_CALLS_MIN - 1);
        assert_eq!(told(), (false, false));
        quick(1);
        assert_eq!(told(), (true, false));
        quick(1);
        assert_eq!(told(), (true, false));
        pace.note(limits::QUICK_CALL + Duration::from_nanos(1));
        assert_eq!(told(), (false, true));
        quick(limits::QUICK_CALLS_MIN);
        assert_eq!(told(), (true, false));
        pace.break_off();
        quick(limits::QUICK_CALLS_MIN - 1);
        assert_eq!(told(), (false, true));
        pace.break_off();
        quick(limits::QUICK_CALLS_MIN - 1);
        assert_eq!(told(), (false, true));
        quick(1);
        assert_eq!(told(), (true, false));
    }
}
