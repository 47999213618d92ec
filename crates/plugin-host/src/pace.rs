//! Whether a hook of a plugin answers at once, going by what it was last asked. Sessions that rest share one
//! thread, and there only who is quick is asked; and what is quick needs no stack of its own, on which it
//! could stop half-way and let others go on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::limits;

/// How many calls in a row have been quick, up to as many as are wanted.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU32);

impl Pace {
    /// Notes a call that was answered after such a time.
    pub(crate) fn note(&self, elapsed: Duration) {
        if elapsed > limits::QUICK_CALL {
            self.break_off();
            return;
        }
        // Calls come from all processors: what is known already is not written again. Of two at the
        // same moment one may be lost, or one behind a slow one counted too many.
        let quick = self.0.load(Ordering::Relaxed);
        if quick < limits::QUICK_CALLS_MIN {
            self.0.store(quick + 1, Ordering::Relaxed);
        }
    }

    /// Notes a call that was not answered.
    pub(crate) fn break_off(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Whether the last calls were all quick, and there were enough.
    pub(crate) fn is_quick(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= limits::QUICK_CALLS_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_slow_once_has_to_be_quick_for_a_while() {
        let pace = Pace::default();
        let quick = || (0..limits::QUICK_CALLS_MIN).for_each(|_| pace.note(limits::QUICK_CALL));
        assert!(!pace.is_quick(), "nothing is known of it");
        quick();
        assert!(pace.is_quick());
        pace.note(limits::QUICK_CALL + Duration::from_nanos(1));
        assert!(!pace.is_quick());
        quick();
        pace.break_off();
        assert!(!pace.is_quick());
        quick();
        assert!(pace.is_quick());
    }
}
