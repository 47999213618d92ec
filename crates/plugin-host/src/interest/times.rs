//! The timers that a plugin wants.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// A timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    /// Its name.
    pub(crate) name: String,
    /// Time between two calls.
    pub(crate) every: Duration,
}

impl Timer {
    /// When it is to ring next, having rung at a time that was due: a whole number of periods later,
    /// and not in the past.
    pub(crate) fn next(&self, due: Instant, now: Instant) -> Instant {
        let late = now.saturating_duration_since(due).as_nanos() % self.every.as_nanos().max(1);
        let since = Duration::from_nanos(u64::try_from(late).unwrap_or_default());
        now.max(due) + self.every.saturating_sub(since)
    }
}

/// Reads an entry `timer.NAME = "60s"`.
///
/// # Errors
/// It is no time, or too short or long a one; in words.
pub(super) fn timer(name: &str, value: &str) -> Result<Timer, String> {
    let every = duration(value).ok_or_else(|| format!("timer.{name}: not a time: {value:?}"))?;
    if every < limits::TIMER_MIN {
        let min = limits::TIMER_MIN;
        return Err(format!("timer.{name}: shorter than {min:?}: {value:?}"));
    }
    if every > limits::TIMER_MAX {
        let days = limits::TIMER_MAX.as_secs() / (24 * 3600);
        return Err(format!("timer.{name}: longer than {days} days: {value:?}"));
    }
    Ok(Timer { name: name.to_owned(), every })
}

fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_keeps_its_times_and_skips_those_that_were_missed() {
        let timer = timer("a", "10s").unwrap();
        let due = Instant::now();
        let after = |seconds| due + Duration::from_secs(seconds);
        assert_eq!(timer.next(due, due), after(10));
        assert_eq!(timer.next(due, after(3)), after(10));
        assert_eq!(timer.next(due, after(10)), after(20));
        assert_eq!(timer.next(due, after(34)), after(40));
    }

    #[test]
    fn times_have_units() {
        for (text, every) in [("250ms", 250), ("60 s", 60_000), ("5m", 300_000), ("1h", 3_600_000)]
        {
            assert_eq!(timer("a", text).unwrap().every, Duration::from_millis(every));
        }
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1d",
            "5ms",
            "99999999999999999999h",
            "8785h",
            "18446744073709551615s",
        ] {
            assert!(timer("a", text).unwrap_err().starts_with("timer.a: "), "{text}");
        }
    }
}
