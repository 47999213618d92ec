//! Arguments that are about one file: MFMT, MFCT, MFF, the X-checksums, SITE CHMOD, SITE UTIME.

use super::{ArgumentError, split_word};
use crate::digits::{parse_decimal, parse_octal, write_octal};
use crate::facts::Fact;
use crate::reply::{Code, Reply};
use crate::time::{Precision, Timestamp, parse_time_val, write_time_val};

/// Reads the argument of MFMT and MFCT: `time path` (draft-somers-ftp-mfxx-04, 3 and 4).
///
/// # Errors
/// 501 if there is no such time, or no path.
pub fn parse_time_and_path(argument: &[u8]) -> Result<(Timestamp, &[u8]), ArgumentError> {
    let (time, path) = split_word(argument);
    Ok((parse_time_val(time)?, path.ok_or(ArgumentError::Syntax)?))
}

/// What MFF changes of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactChanges<'a> {
    /// When its contents shall have been modified.
    pub modified: Option<Timestamp>,
    /// When it shall have been created.
    pub created: Option<Timestamp>,
    /// The mode's lower twelve bits.
    pub mode: Option<u32>,
    /// The file.
    pub path: &'a [u8],
}

impl FactChanges<'_> {
    /// The answer to MFF, MFMT and MFCT: `213 Modify=time;UNIX.mode=0644; path` with what was
    /// changed (draft-somers-ftp-mfxx-04).
    pub fn reply(&self) -> Reply {
        let mut text = self.facts();
        text.push(b' ');
        text.extend_from_slice(self.path);
        Reply::data(Code::FILE_STATUS, text)
    }

    /// What is changed, as MFF has it: `Modify=time;UNIX.mode=0644;`.
    pub fn facts(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (name, time) in [("Modify=", self.modified), ("Create=", self.created)] {
            if let Some(time) = time {
                text.extend_from_slice(name.as_bytes());
                write_time_val(&mut text, time, precision(time));
                text.push(b';');
            }
        }
        if let Some(mode) = self.mode {
            text.extend_from_slice(b"UNIX.mode=");
            write_octal(&mut text, u64::from(mode), 4);
            text.push(b';');
        }
        text
    }
}

fn precision(time: Timestamp) -> Precision {
    if time.nanos == 0 { Precision::Seconds } else { Precision::Milliseconds }
}

/// Reads the argument of MFF: `fact=value;... path` (draft-somers-ftp-mfxx-04, 5).
///
/// # Errors
/// 504 for a fact that cannot be changed; 501 for a bad value, no fact at all, a fact given twice,
/// or no path.
pub fn parse_mff(argument: &[u8]) -> Result<FactChanges<'_>, ArgumentError> {
    let (facts, path) = split_word(argument);
    let path = path.ok_or(ArgumentError::Syntax)?;
    // The last semicolon is the draft's, but not every client's.
    let facts = facts.strip_suffix(b";").unwrap_or(facts);
    let mut changes = FactChanges { modified: None, created: None, mode: None, path };
    for pair in facts.split(|&b| b == b';') {
        let equals = pair.iter().position(|&b| b == b'=').ok_or(ArgumentError::Syntax)?;
        let (name, value) = pair.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        match Fact::from_name(name) {
            Some(Fact::Modify) => set_once(&mut changes.modified, parse_time_val(value)?)?,
            Some(Fact::Create) => set_once(&mut changes.created, parse_time_val(value)?)?,
            Some(Fact::UnixMode) => set_once(&mut changes.mode, parse_file_mode(value)?)?,
            _ if name.is_empty() => return Err(ArgumentError::Syntax),
            _ => return Err(ArgumentError::NotImplemented),
        }
    }
    Ok(changes)
}

/// Which part of which file an X-checksum is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChecksumArgument<'a> {
    /// The file.
    pub path: &'a [u8],
    /// Where the part begins, in octets from 0.
    pub start: u64,
    /// Where the part ends, the octet behind its last; the file's end if not given.
    pub end: Option<u64>,
}

/// Reads the argument of XCRC and its like: a path, or `"path"`, `"path" end`,
/// `"path" start end` (Globalscape's form; a comma may stand before a number).
///
/// Quotation marks inside are part of the path. What begins with one and is none of these forms is
/// a path as it is.
///
/// # Errors
/// 501 for no path, and for a part that ends before it begins.
pub fn parse_checksum(argument: &[u8]) -> Result<ChecksumArgument<'_>, ArgumentError> {
    let parsed = parse_quoted(argument);
    let parsed = parsed.unwrap_or(ChecksumArgument { path: argument, start: 0, end: None });
    if parsed.path.is_empty() || parsed.end.is_some_and(|end| end < parsed.start) {
        return Err(ArgumentError::Syntax);
    }
    Ok(parsed)
}

fn parse_quoted(argument: &[u8]) -> Option<ChecksumArgument<'_>> {
    let inner = argument.strip_prefix(b"\"")?;
    let close = inner.iter().rposition(|&b| b == b'"')?;
    let (path, rest) = inner.split_at(close);
    let rest = rest.get(1..).unwrap_or_default();
    if rest.first().is_some_and(|b| !matches!(b, b' ' | b',')) {
        return None;
    }
    let words = rest.split(|b| matches!(b, b' ' | b',')).filter(|word| !word.is_empty());
    let mut numbers = words.map(parse_decimal);
    let (start, end) = match (numbers.next(), numbers.next(), numbers.next()) {
        (None, ..) => (0, None),
        (Some(end), None, _) => (0, Some(end?)),
        (Some(start), Some(end), None) => (start?, Some(end?)),
        _ => return None,
    };
    Some(ChecksumArgument { path, start, end })
}

/// Reads what follows `SITE CHMOD`: `mode path`, the mode in one to four octal digits.
///
/// # Errors
/// 501 for anything else.
pub fn parse_chmod(argument: &[u8]) -> Result<(u32, &[u8]), ArgumentError> {
    let (mode, path) = split_word(argument);
    Ok((parse_file_mode(mode)?, path.ok_or(ArgumentError::Syntax)?))
}

/// What SITE UTIME changes of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtimeArgument<'a> {
    /// When it shall have been read, if told.
    pub accessed: Option<Timestamp>,
    /// When its contents shall have been modified.
    pub modified: Timestamp,
    /// When it shall have been created, if told.
    pub created: Option<Timestamp>,
    /// The file.
    pub path: &'a [u8],
}

/// Reads what follows `SITE UTIME`, in either of its forms: `time path`, and
/// `path accessed modified created UTC`. Times are `YYYYMMDDhhmm[ss]`.
///
/// # Errors
/// 501 for anything else.
pub fn parse_utime(argument: &[u8]) -> Result<UtimeArgument<'_>, ArgumentError> {
    if let Some(parsed) = parse_utime_long(argument) {
        return Ok(parsed);
    }
    let (time, path) = split_word(argument);
    Ok(UtimeArgument {
        accessed: None,
        modified: parse_utime_time(time).ok_or(ArgumentError::Syntax)?,
        created: None,
        path: path.ok_or(ArgumentError::Syntax)?,
    })
}

fn parse_utime_long(argument: &[u8]) -> Option<UtimeArgument<'_>> {
    let (rest, zone) = split_last_word(argument)?;
    let (rest, created) = split_last_word(rest)?;
    let (rest, modified) = split_last_word(rest)?;
    let (path, accessed) = split_last_word(rest)?;
    if !zone.eq_ignore_ascii_case(b"UTC") || path.is_empty() {
        return None;
    }
    Some(UtimeArgument {
        accessed: Some(parse_utime_time(accessed)?),
        modified: parse_utime_time(modified)?,
        created: Some(parse_utime_time(created)?),
        path,
    })
}

fn split_last_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = text.iter().rposition(|&b| b == b' ')?;
    let (rest, word) = text.split_at(space);
    Some((rest, word.get(1..)?))
}

fn parse_utime_time(digits: &[u8]) -> Option<Timestamp> {
    let mut full = *b"00000000000000";
    full.get_mut(..digits.len())
        .filter(|_| matches!(digits.len(), 12 | 14))?
        .copy_from_slice(digits);
    parse_time_val(&full).ok()
}

fn parse_file_mode(digits: &[u8]) -> Result<u32, ArgumentError> {
    let mode = parse_octal(digits).filter(|mode| digits.len() <= 4 && *mode <= 0o7777);
    mode.and_then(|mode| mode.try_into().ok()).ok_or(ArgumentError::Syntax)
}

fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), ArgumentError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ArgumentError::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use super::ArgumentError::{NotImplemented, Syntax};
    use super::*;

    const NEW_YEAR: Timestamp = Timestamp::from_seconds(1_704_067_200); // 2024-01-01 00:00:00

    #[test]
    fn a_time_stands_before_a_path_with_all_its_spaces() {
        assert_eq!(parse_time_and_path(b"20240101000000 a b "), Ok((NEW_YEAR, &b"a b "[..])));
        for bad in
            [&b""[..], b"20240101000000", b"20240101000000 ", b"2024 a", b" 20240101000000 a"]
        {
            assert_eq!(parse_time_and_path(bad), Err(Syntax), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn mff_changes_the_facts_that_can_be_changed() {
        let argument = b"modify=20240101000000;CREATE=19700101000000;unix.mode=640; a b";
        let changes = parse_mff(argument).unwrap();
        assert_eq!(
            changes,
            FactChanges {
                modified: Some(NEW_YEAR),
                created: Some(Timestamp::EPOCH),
                mode: Some(0o640),
                path: b"a b"
            }
        );
        let mut out = Vec::new();
        changes.reply().encode(&mut out);
        let told = b"213 Modify=20240101000000;Create=19700101000000;UNIX.mode=0640; a b\r\n";
        assert_eq!(out, told);
        assert_eq!(parse_mff(b"modify=20240101000000 a").map(|c| c.modified), Ok(Some(NEW_YEAR)));
    }

    #[test]
    fn mff_refuses_what_it_cannot_change_and_what_it_cannot_read() {
        for (argument, error) in [
            (&b"size=5; a"[..], NotImplemented),
            (b"UNIX.owner=root; a", NotImplemented),
            (b"modify=20240101000000;color=red; a", NotImplemented),
            (b"modify=yesterday; a", Syntax),
            (b"UNIX.mode=999; a", Syntax),
            (b"UNIX.mode=77777; a", Syntax),
            (b"modify; a", Syntax),
            (b"=1; a", Syntax),
            (b"; a", Syntax),
            (b"modify=20240101000000;", Syntax),
            (b"modify=20240101000000; ", Syntax),
            (b"modify=20240101000000;modify=20240101000000; a", Syntax),
            (b"", Syntax),
            (b"a", Syntax),
        ] {
            assert_eq!(parse_mff(argument), Err(error), "{}", argument.escape_ascii());
        }
    }

    #[test]
    fn the_answer_tells_a_fraction_only_where_there_is_one() {
        let time = Timestamp { nanos: 25_000_000, ..NEW_YEAR };
        let changes = FactChanges { modified: Some(time), created: None, mode: None, path: b"a" };
        let mut out = Vec::new();
        changes.reply().encode(&mut out);
        assert_eq!(out, b"213 Modify=20240101000000.025; a\r\n");
    }

    #[test]
    fn checksums_are_of_a_file_or_of_a_part_of_a_quoted_one() {
        let of = |path, start, end| Ok(ChecksumArgument { path, start, end });
        for (argument, expected) in [
            (&b"a b 5"[..], of(&b"a b 5"[..], 0, None)),
            (b"\"a b\"", of(b"a b", 0, None)),
            (b"\"a b\" 5", of(b"a b", 0, Some(5))),
            (b"\"/p/a b\" 0 42575", of(b"/p/a b", 0, Some(42575))),
            (b"\"a\", 5, 10", of(b"a", 5, Some(10))),
            (b"\"a\" 5 5", of(b"a", 5, Some(5))),
            (b"\"a\"b\" 5", of(b"a\"b", 0, Some(5))),
            (b"\"open", of(b"\"open", 0, None)),
            (b"\"a\"b", of(b"\"a\"b", 0, None)),
            (b"\"a\" 1 2 3", of(b"\"a\" 1 2 3", 0, None)),
            (b"\"a\" x", of(b"\"a\" x", 0, None)),
            (b"\"", of(b"\"", 0, None)),
            (b"", Err(Syntax)),
            (b"\"\"", Err(Syntax)),
            (b"\"a\" 10 5", Err(Syntax)),
        ] {
            assert_eq!(parse_checksum(argument), expected, "{}", argument.escape_ascii());
        }
    }

    #[test]
    fn chmod_takes_one_to_four_octal_digits() {
        assert_eq!(parse_chmod(b"644 a b"), Ok((0o644, &b"a b"[..])));
        assert_eq!(parse_chmod(b"0 a"), Ok((0, &b"a"[..])));
        assert_eq!(parse_chmod(b"7777 a"), Ok((0o7777, &b"a"[..])));
        for bad in [&b""[..], b"644", b"644 ", b"888 a", b"u+x a", b"00644 a", b" a", b"-1 a"] {
            assert_eq!(parse_chmod(bad), Err(Syntax), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn utime_is_understood_in_both_its_forms() {
        let short =
            |path| Ok(UtimeArgument { accessed: None, modified: NEW_YEAR, created: None, path });
        assert_eq!(parse_utime(b"202401010000 a b"), short(&b"a b"[..]));
        assert_eq!(parse_utime(b"20240101000000 a b"), short(b"a b"));
        let long = b"a b 19700101000000 20240101000000 197001010000 utc";
        assert_eq!(
            parse_utime(long),
            Ok(UtimeArgument {
                accessed: Some(Timestamp::EPOCH),
                modified: NEW_YEAR,
                created: Some(Timestamp::EPOCH),
                path: b"a b"
            })
        );
        for bad in [
            &b""[..],
            b"20240101000000",
            b"2024010100000 a",
            b"20240101000000.5 a",
            b"a b 19700101000000 20240101000000 UTC",
            b" 19700101000000 20240101000000 19700101000000 UTC",
        ] {
            assert_eq!(parse_utime(bad), Err(Syntax), "{}", bad.escape_ascii());
        }
        assert_eq!(
            parse_utime(b"202401010000 1 2 3 UTC").map(|parsed| parsed.path),
            Ok(&b"1 2 3 UTC"[..])
        );
    }
}
