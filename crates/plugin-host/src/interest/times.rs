//! The timers that a plugin wants.

use std::time::Duration;

use crate::limits;

/// A timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    /// Its name.
    pub(crate) name: String,
    /// Time between two calls.
    pub(crate) every: Duration,
}

/// Reads an entry `timer.NAME = "60s"`.
///
/// # Errors
/// It is no time, or too short a one; in words.
pub(super) fn timer(name: &str, value: &str) -> Result<Timer, String> {
    let every = duration(value).ok_or_else(|| format!("timer.{name}: not a time: {value:?}"))?;
    if every < limits::TIMER_MIN {
        let min = limits::TIMER_MIN;
        return Err(format!("timer.{name}: shorter than {min:?}: {value:?}"));
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
    fn times_have_units() {
        for (text, every) in [("250ms", 250), ("60 s", 60_000), ("5m", 300_000), ("1h", 3_600_000)]
        {
            assert_eq!(timer("a", text).unwrap().every, Duration::from_millis(every));
        }
        for text in ["", "5", "s", "-1s", "1d", "5ms", "99999999999999999999h"] {
            assert!(timer("a", text).unwrap_err().starts_with("timer.a: "), "{text}");
        }
    }
}
