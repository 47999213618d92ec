//! Durations and sizes in words, there and back.
//!
//! A duration is one or more numbers with their units, largest unit first: `250ms`, `5m`, `1h30m`.
//! A size is one number with its unit: `64KiB` (by 1024) or `10MB` (by 1000). There are no
//! fractions and no bare numbers of seconds: a unit is never guessed.

use std::time::Duration;

const TIME: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const SIZE: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads a duration such as `1h30m`; `None` where it is not one, or longer than can be told.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut last_unit = u64::MAX;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let millis = factor(&TIME, unit).filter(|factor| *factor < last_unit)?;
        total = total.checked_add(number.checked_mul(millis)?)?;
        last_unit = millis;
        rest = after;
    }
    (last_unit != u64::MAX).then(|| Duration::from_millis(total))
}

/// Writes a duration so that [`parse_duration`] reads the same back, to the millisecond.
pub(crate) fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, millis) in TIME {
        if rest >= millis {
            text.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads a size such as `64KiB`, in bytes; `None` where it is not one, or beyond 64 bits.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text)?;
    // As people write it: "1 MiB".
    number.checked_mul(factor(&SIZE, unit.strip_prefix(' ').unwrap_or(unit))?)
}

/// Writes a size so that [`parse_size`] reads the same back.
pub(crate) fn show_size(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes >= *factor && bytes.is_multiple_of(*factor);
    match SIZE.iter().find(fits) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => "0B".to_owned(),
    }
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

fn factor(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_numbers_with_units_largest_first() {
        let cases: [(&str, Option<u64>); 17] = [
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("250ms", Some(250)),
            ("1d2h3m4s5ms", Some(93_784_005)),
            ("0s", Some(0)),
            ("90s", Some(90_000)),
            ("", None),
            ("5", None),
            ("m", None),
            ("5x", None),
            ("5 m", None),
            ("-5m", None),
            ("1.5h", None),
            ("30m1h", None),
            ("1m1m", None),
            ("5M", None),
            ("99999999999999999999d", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        }
        assert_eq!(parse_duration("18446744073709551615d"), None);
    }

    #[test]
    fn sizes_are_one_number_with_a_unit() {
        let cases = [
            ("64KiB", Some(65_536)),
            ("10MB", Some(10_000_000)),
            ("1 MiB", Some(1 << 20)),
            ("1  MiB", None),
            ("0B", Some(0)),
            ("1TiB", Some(1 << 40)),
            ("", None),
            ("64", None),
            ("64K", None),
            ("64kib", None),
            ("1.5GiB", None),
            ("1MiB1KiB", None),
            ("18446744073709551615KiB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_duration_reads_back_as_it_was_written(millis: u64) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }

        #[test]
        fn every_size_reads_back_as_it_was_written(bytes: u64) {
            prop_assert_eq!(parse_size(&show_size(bytes)), Some(bytes));
        }

        #[test]
        fn round_sizes_read_back_too(number in 0u64..5000, unit in 0usize..SIZE.len()) {
            let (name, factor) = SIZE[unit];
            prop_assert_eq!(parse_size(&format!("{number}{name}")), Some(number * factor));
            prop_assert_eq!(parse_size(&show_size(number * factor)), Some(number * factor));
        }

        #[test]
        fn no_text_makes_the_readers_fall_over(text in "\\PC*") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }

        #[test]
        fn what_looks_like_a_duration_is_the_sum_of_its_parts(h in 0u64..100, m in 0u64..100) {
            let text = format!("{h}h{m}m");
            let sum = Duration::from_secs(h * 3600 + m * 60);
            prop_assert_eq!(parse_duration(&text), Some(sum));
        }
    }
}
