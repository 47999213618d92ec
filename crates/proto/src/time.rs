//! Points in time as FTP writes them: UTC, in digits (RFC 3659, 2.3) or as `ls` does.
//!
//! What is *not* here: the clock. Whoever needs "now" passes it in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::digits::write_padded;

const DAY: i64 = 86_400;
/// Half a mean Gregorian year: where `ls` changes from time of day to year.
const HALF_YEAR: i64 = 15_778_476;
const NANOS: u32 = 1_000_000_000;

/// A point in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 00:00:00 UTC, leap seconds not counted.
    pub seconds: i64,
    /// Nanoseconds behind that second, below 1,000,000,000.
    pub nanos: u32,
}

/// A date and time of day in the Gregorian calendar, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year; 0 is the one before 1.
    pub year: i64,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
    /// The second, 0 to 59.
    pub second: u8,
}

/// How much of a second is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Whole seconds: what every client understands.
    #[default]
    Seconds,
    /// Three digits behind a dot.
    Milliseconds,
}

/// A time is not of the form `YYYYMMDDHHMMSS[.fraction]`, or there is no such day or hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the form YYYYMMDDHHMMSS")]
pub struct TimeError;

impl Timestamp {
    /// 1970-01-01 00:00:00 UTC.
    pub const EPOCH: Timestamp = Timestamp { seconds: 0, nanos: 0 };

    /// That many whole seconds after 1970-01-01 00:00:00 UTC.
    pub const fn from_seconds(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanos: 0 }
    }

    /// The date and time of day, fraction dropped.
    pub fn civil(self) -> Civil {
        let (year, month, day) = civil_from_days(self.seconds.div_euclid(DAY));
        let second = self.seconds.rem_euclid(DAY) as u32;
        Civil {
            year,
            month,
            day,
            hour: (second / 3600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
        }
    }

    /// The point in time of that date, if there is such a date in the years 0 to 9999.
    pub fn from_civil(civil: &Civil) -> Option<Timestamp> {
        let fits = (0..=9999).contains(&civil.year)
            && (1..=12).contains(&civil.month)
            && (1..=days_in_month(civil.year, civil.month)).contains(&civil.day)
            && civil.hour < 24
            && civil.minute < 60
            && civil.second < 60;
        let of_day =
            i64::from(civil.hour) * 3600 + i64::from(civil.minute) * 60 + i64::from(civil.second);
        let days = || days_from_civil(civil.year, civil.month, civil.day);
        fits.then(|| Timestamp::from_seconds(days() * DAY + of_day))
    }

    /// The same point in time for the operating system, if it can hold it.
    pub fn to_system_time(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let base = if self.seconds < 0 {
            UNIX_EPOCH.checked_sub(whole)
        } else {
            UNIX_EPOCH.checked_add(whole)
        };
        base?.checked_add(Duration::from_nanos(u64::from(self.nanos)))
    }
}

/// Exact to the nanosecond; a time that 64 bits of seconds cannot hold becomes the nearest.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Timestamp {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp {
                seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanos: after.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).map_or(i64::MIN, |s| -s);
                match before.subsec_nanos() {
                    0 => Timestamp { seconds, nanos: 0 },
                    nanos => Timestamp { seconds: seconds.saturating_sub(1), nanos: NANOS - nanos },
                }
            }
        }
    }
}

/// Reads a time-val: `YYYYMMDDHHMMSS`, then optionally a dot and digits (RFC 3659, 2.3).
///
/// A second of 60 (a leap second, which the RFC's grammar allows) is taken as 59, the last that
/// such a minute has here. Digits of the fraction behind the ninth are dropped.
///
/// # Errors
/// It has another form, or there is no such date (29 February of a common year, hour 24).
pub fn parse_time_val(text: &[u8]) -> Result<Timestamp, TimeError> {
    let (whole, nanos) = match text.iter().position(|&b| b == b'.') {
        Some(dot) => {
            let (whole, fraction) = text.split_at(dot);
            (whole, parse_fraction(fraction.get(1..).unwrap_or_default()).ok_or(TimeError)?)
        }
        None => (text, 0),
    };
    let seconds = parse_whole(whole).ok_or(TimeError)?.seconds;
    Ok(Timestamp { seconds, nanos })
}

/// Appends a time-val (RFC 3659, 2.3).
///
/// Four digits hold the years 0 to 9999; a time outside becomes the nearest inside.
pub fn write_time_val(out: &mut Vec<u8>, time: Timestamp, precision: Precision) {
    let time = clamp(time);
    let civil = time.civil();
    let [c1, c2, y1, y2] = year_digits(civil.year);
    let ([mo1, mo2], [d1, d2]) = (two_digits(civil.month), two_digits(civil.day));
    let ([h1, h2], [mi1, mi2]) = (two_digits(civil.hour), two_digits(civil.minute));
    let [s1, s2] = two_digits(civil.second);
    out.extend_from_slice(&[c1, c2, y1, y2, mo1, mo2, d1, d2, h1, h2, mi1, mi2, s1, s2]);
    if precision == Precision::Milliseconds {
        out.push(b'.');
        write_padded(out, u64::from(time.nanos.min(NANOS - 1) / 1_000_000), 3, b'0');
    }
}

/// Appends twelve octets as `ls -l` does in the C locale: `MMM dd HH:MM` within the last half
/// year and up to a day ahead of `now`, else `MMM dd  YYYY`; UTC.
///
/// Four digits hold the years 0 to 9999; a time outside becomes the nearest inside.
pub fn write_list_time(out: &mut Vec<u8>, time: Timestamp, now: Timestamp) {
    let time = clamp(time);
    let civil = time.civil();
    let ([m1, m2, m3], [d1, d2]) = (*month_name(civil.month), two_digits(civil.day));
    let age = now.seconds.saturating_sub(time.seconds);
    let [t1, t2, t3, t4, t5] = if (-DAY..=HALF_YEAR).contains(&age) {
        let ([h1, h2], [mi1, mi2]) = (two_digits(civil.hour), two_digits(civil.minute));
        [h1, h2, b':', mi1, mi2]
    } else {
        let [c1, c2, y1, y2] = year_digits(civil.year);
        [b' ', c1, c2, y1, y2]
    };
    out.extend_from_slice(&[m1, m2, m3, b' ', d1, d2, b' ', t1, t2, t3, t4, t5]);
}

/// Four digits of a year from 0 to 9999.
fn year_digits(year: i64) -> [u8; 4] {
    let ([c1, c2], [y1, y2]) = (two_digits((year / 100) as u8), two_digits((year % 100) as u8));
    [c1, c2, y1, y2]
}

fn two_digits(number: u8) -> [u8; 2] {
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

fn clamp(time: Timestamp) -> Timestamp {
    const FIRST: Timestamp = Timestamp::from_seconds(-62_167_219_200);
    const LAST: Timestamp = Timestamp { seconds: 253_402_300_799, nanos: NANOS - 1 };
    time.clamp(FIRST, LAST)
}

fn month_name(month: u8) -> &'static [u8; 3] {
    match month {
        1 => b"Jan",
        2 => b"Feb",
        3 => b"Mar",
        4 => b"Apr",
        5 => b"May",
        6 => b"Jun",
        7 => b"Jul",
        8 => b"Aug",
        9 => b"Sep",
        10 => b"Oct",
        11 => b"Nov",
        _ => b"Dec",
    }
}

fn parse_whole(digits: &[u8]) -> Option<Timestamp> {
    let digits: &[u8; 14] = digits.try_into().ok()?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let two = |a: u8, b: u8| (a - b'0') * 10 + (b - b'0');
    let [y1, y2, y3, y4, mo1, mo2, d1, d2, h1, h2, mi1, mi2, s1, s2] = *digits;
    Timestamp::from_civil(&Civil {
        year: i64::from(two(y1, y2)) * 100 + i64::from(two(y3, y4)),
        month: two(mo1, mo2),
        day: two(d1, d2),
        hour: two(h1, h2),
        minute: two(mi1, mi2),
        second: match two(s1, s2) {
            60 => 59,
            second => second,
        },
    })
}

fn parse_fraction(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nine = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    Some(nine.fold(0, |value, b| value * 10 + u32::from(b - b'0')))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// Both ways between days and dates count in years that begin in March, so that the leap day is the
// last of its year, and in cycles of 400 years (146,097 days), after which the calendar repeats.
// 719,468 days lie between 0000-03-01 and 1970-01-01.

fn days_from_civil(year: i64, month: u8, day: u8) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let cycle = year.div_euclid(400);
    let year_of_cycle = year.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle * 146_097 + day_of_cycle - 719_468
}

fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let (cycle, day_of_cycle) = (days.div_euclid(146_097), days.rem_euclid(146_097) as u32);
    // Counted in quarters of a day, centuries have 146,097 of them and the years in a century 1461,
    // as if all were equal. The division by 1461 is a multiplication by 2^32 / 1461, rounded up: the
    // year is in the upper half of the product, and the quarters of its days are in the lower.
    let quarter_of_cycle = 4 * day_of_cycle + 3;
    let (century, quarter) = (quarter_of_cycle / 146_097, (quarter_of_cycle % 146_097) | 3);
    let product = u64::from(quarter) * 2_939_745;
    let (year_of_century, day_of_year) = (product >> 32, product as u32 / 2_939_745 / 4);
    // Months from March to February have 153 days in five: 2141 / 65,536 of a month each. March is
    // the third, so that January and February are the thirteenth and the fourteenth.
    let part_of_month = 2141 * day_of_year + 197_913;
    let (month, day) = (part_of_month >> 16, (part_of_month & 0xffff) / 2141 + 1);
    let is_next_year = month > 12;
    let month = if is_next_year { month - 12 } else { month };
    let year = cycle * 400 + i64::from(century) * 100 + year_of_century as i64;
    (year + i64::from(is_next_year), month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_val(time: Timestamp, precision: Precision) -> String {
        let mut out = Vec::new();
        write_time_val(&mut out, time, precision);
        String::from_utf8(out).unwrap()
    }

    fn list_time(time: i64, now: i64) -> String {
        let mut out = Vec::new();
        write_list_time(&mut out, Timestamp::from_seconds(time), Timestamp::from_seconds(now));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_are_those_of_the_gregorian_calendar() {
        for (text, seconds) in [
            ("19700101000000", 0),
            ("19691231235959", -1),
            ("20000229120000", 951_825_600),
            ("20010909014640", 1_000_000_000),
            ("20380119031408", 2_147_483_648),
            ("00000101000000", -62_167_219_200),
            ("19000301000000", -2_203_891_200),
            ("99991231235959", 253_402_300_799),
        ] {
            let time = Timestamp::from_seconds(seconds);
            assert_eq!(parse_time_val(text.as_bytes()), Ok(time), "{text}");
            assert_eq!(time_val(time, Precision::Seconds), text);
        }
    }

    #[test]
    fn every_day_of_a_cycle_follows_the_one_before() {
        let mut before = (1600, 2, 29);
        let first = days_from_civil(1600, 2, 29);
        for days in first + 1..first + 146_100 {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            let next = if before.2 < days_in_month(before.0, before.1) {
                (before.0, before.1, before.2 + 1)
            } else if before.1 < 12 {
                (before.0, before.1 + 1, 1)
            } else {
                (before.0 + 1, 1, 1)
            };
            assert_eq!((year, month, day), next);
            before = next;
        }
    }

    #[test]
    fn times_that_do_not_exist_are_refused() {
        for bad in [
            "",
            "2024",
            "2024010100000",
            "202401010000000",
            "20230229000000",
            "19000229000000",
            "20240431000000",
            "20240001000000",
            "20241301000000",
            "20240100000000",
            "20240132000000",
            "20240101240000",
            "20240101006000",
            "20240101000061",
            "+0240101000000",
            "2024010100000 ",
            "20240101000000.",
            "20240101000000.x",
            "20240101000000.1.2",
            ".5",
        ] {
            assert_eq!(parse_time_val(bad.as_bytes()), Err(TimeError), "{bad}");
        }
    }

    #[test]
    fn a_leap_second_is_the_last_second_of_its_minute() {
        assert_eq!(parse_time_val(b"20161231235960"), parse_time_val(b"20161231235959"));
    }

    #[test]
    fn fractions_are_read_to_the_nanosecond_and_written_on_request() {
        for (fraction, nanos) in
            [("5", 500_000_000), ("001", 1_000_000), ("1234567899", 123_456_789)]
        {
            let text = format!("20240101000000.{fraction}");
            let time = parse_time_val(text.as_bytes()).unwrap();
            assert_eq!(time, Timestamp { seconds: 1_704_067_200, nanos });
        }
        let time = Timestamp { seconds: 0, nanos: 45_999_999 };
        assert_eq!(time_val(time, Precision::Milliseconds), "19700101000000.045");
        assert_eq!(time_val(time, Precision::Seconds), "19700101000000");
        assert_eq!(time_val(Timestamp::EPOCH, Precision::Milliseconds), "19700101000000.000");
    }

    #[test]
    fn four_digits_are_never_exceeded() {
        let time = |seconds| Timestamp { seconds, nanos: u32::MAX };
        assert_eq!(time_val(time(i64::MAX), Precision::Milliseconds), "99991231235959.999");
        assert_eq!(time_val(time(i64::MIN), Precision::Seconds), "00000101000000");
        assert_eq!(list_time(i64::MAX, i64::MIN), "Dec 31  9999");
        assert_eq!(list_time(i64::MIN, i64::MAX), "Jan 01  0000");
    }

    #[test]
    fn ls_shows_the_time_of_day_for_half_a_year_and_a_day_ahead() {
        let now = 1_704_067_200; // 2024-01-01 00:00:00
        assert_eq!(list_time(now, now), "Jan 01 00:00");
        assert_eq!(list_time(now - 60, now), "Dec 31 23:59");
        assert_eq!(list_time(now - HALF_YEAR, now), "Jul 02 09:05");
        assert_eq!(list_time(now - HALF_YEAR - 1, now), "Jul 02  2023");
        assert_eq!(list_time(now + DAY, now), "Jan 02 00:00");
        assert_eq!(list_time(now + DAY + 1, now), "Jan 02  2024");
    }

    #[test]
    fn system_times_keep_their_nanoseconds_on_both_sides_of_1970() {
        for (seconds, nanos) in [(0, 0), (1, 5), (-1, 999_999_999), (-1, 0), (1 << 40, 7)] {
            let time = Timestamp { seconds, nanos };
            assert_eq!(Timestamp::from(time.to_system_time().unwrap()), time);
        }
    }
}
