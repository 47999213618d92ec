//! Arguments that are about one file: MFMT, MFCT, MFF, the X-checksums, SITE CHMOD, SITE UTIME.

use super::{ArgumentError, split_word};
use crate::digits::{parse_decimal, parse_octal};
use crate::facts::Fact;
use crate::time::{Timestamp, parse_time_val};

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

/// Reads the argument of MFF: `fact=value;... path` (draft-somers-ftp-mfxx-04, 5).
///
/// # Errors
/// 504 for a fact that cannot be changed; 501 for a bad value, no fact at all, a fact given twice,
/// or no path.
pub fn parse_mff(argument: &[u8]) -> Result<FactChanges<'_>, ArgumentError> {
    let (facts, path) = split_word(argument);
    let path = path.ok_or(ArgumentError::Syntax)?;
    let facts = facts.strip_suffix(b";").ok_or(ArgumentError::Syntax)?;
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
    /// Where the part ends; the file's end if not given.
    pub end: Option<u64>,
}

/// Reads the argument of XCRC and its like: a path, or `"path"`, `"path" end`,
/// `"path" start end` (Globalscape's form; a comma may stand before a number).
///
/// What begins with a quotation mark and is none of these is a path as it is.
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
