//! Arguments of the commands that set parameters, each of its own small grammar.
//!
//! Every function takes the argument as the client gave it, empty if there was none, and says by
//! its error which reply the client gets.

mod files;
mod session;

use crate::digits::parse_decimal;
use crate::reply::Code;
use crate::time::TimeError;

pub use files::{
    ChecksumArgument, FactChanges, UtimeArgument, parse_checksum, parse_chmod, parse_mff,
    parse_time_and_path, parse_utime,
};
pub use session::{
    Host, name_value_pairs, parse_deflate_level, parse_host, parse_language, parse_utf8_option,
};

/// Why an argument cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// It is not of the command's form: 501.
    #[error("syntax error in the argument")]
    Syntax,
    /// It is, but what it asks for is not implemented: 504.
    #[error("not implemented for that argument")]
    NotImplemented,
}

impl ArgumentError {
    /// The reply code: 501 or 504.
    pub const fn code(self) -> Code {
        match self {
            ArgumentError::Syntax => Code::BAD_PARAMETER,
            ArgumentError::NotImplemented => Code::BAD_VALUE,
        }
    }
}

impl From<TimeError> for ArgumentError {
    fn from(_: TimeError) -> ArgumentError {
        ArgumentError::Syntax
    }
}

/// How data is represented on the data connection (RFC 959, 3.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Representation {
    /// TYPE A: lines end with CRLF on the network. What a session begins with.
    #[default]
    Ascii,
    /// TYPE I, and L 8, which is the same: octets as they are.
    Image,
}

/// Reads the argument of TYPE: `A`, `A N`, `I` and `L 8` (RFC 959, 4.1.2 and 3.1.1).
///
/// # Errors
/// 504 for other types and forms that are one letter (`E`, `A T`, `A C`) and for other byte sizes;
/// 501 for anything else.
pub fn parse_type(argument: &[u8]) -> Result<Representation, ArgumentError> {
    let (name, parameter) = split_word(argument);
    let kind = letter(name)?;
    match (kind, parameter) {
        (b'A', None) => Ok(Representation::Ascii),
        (b'A', Some(form)) if letter(form)? == b'N' => Ok(Representation::Ascii),
        (b'I', None) => Ok(Representation::Image),
        (b'L', Some(size)) => match parse_decimal(size).ok_or(ArgumentError::Syntax)? {
            8 => Ok(Representation::Image),
            _ => Err(ArgumentError::NotImplemented),
        },
        (b'I' | b'L', _) => Err(ArgumentError::Syntax),
        (_, Some(form)) => letter(form).and(Err(ArgumentError::NotImplemented)),
        (_, None) => Err(ArgumentError::NotImplemented),
    }
}

/// How data is packed on the data connection (RFC 959, 3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferMode {
    /// MODE S: as it is, its end the end of the connection. What a session begins with.
    #[default]
    Stream,
    /// MODE Z: one zlib stream (draft-preston-ftpext-deflate-04).
    Deflate,
}

/// Reads the argument of MODE (RFC 959, 4.1.2).
///
/// # Errors
/// 504 for another letter than `S` and `Z`, 501 for anything else.
pub fn parse_mode(argument: &[u8]) -> Result<TransferMode, ArgumentError> {
    match letter(argument)? {
        b'S' => Ok(TransferMode::Stream),
        b'Z' => Ok(TransferMode::Deflate),
        _ => Err(ArgumentError::NotImplemented),
    }
}

/// Reads the argument of STRU, of which only `F` (file) is implemented (RFC 959, 4.1.2).
///
/// # Errors
/// 504 for another letter, 501 for anything else.
pub fn parse_structure(argument: &[u8]) -> Result<(), ArgumentError> {
    match letter(argument)? {
        b'F' => Ok(()),
        _ => Err(ArgumentError::NotImplemented),
    }
}

/// Reads the argument of REST in stream mode: an offset in octets (RFC 3659, 5.3).
///
/// # Errors
/// 501 for anything but digits and for what 64 bits cannot hold.
pub fn parse_offset(argument: &[u8]) -> Result<u64, ArgumentError> {
    parse_decimal(argument).ok_or(ArgumentError::Syntax)
}

/// A part of a file: both ends inclusive, in octets from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first octet.
    pub first: u64,
    /// The last octet, not before the first.
    pub last: u64,
}

/// Reads the argument of RANG: first and last octet, or `1 0`, which takes the range back and is
/// `None` here (draft-bryan-ftp-range-08).
///
/// # Errors
/// 501 unless it is two numbers, the first not greater than the second.
pub fn parse_range(argument: &[u8]) -> Result<Option<ByteRange>, ArgumentError> {
    let (first, last) = split_word(argument);
    let first = parse_offset(first)?;
    let last = parse_offset(last.unwrap_or_default())?;
    match (first, last) {
        (1, 0) => Ok(None),
        _ if first > last => Err(ArgumentError::Syntax),
        _ => Ok(Some(ByteRange { first, last })),
    }
}

/// What ALLO announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The file's length in octets.
    pub bytes: u64,
    /// The longest record or page in octets, if given.
    pub record: Option<u64>,
}

/// Reads the argument of ALLO: `bytes [R record]` (RFC 959, 4.1.3).
///
/// # Errors
/// 501 for anything else.
pub fn parse_allo(argument: &[u8]) -> Result<Allocation, ArgumentError> {
    let (bytes, rest) = split_word(argument);
    let bytes = parse_offset(bytes)?;
    let Some(rest) = rest else { return Ok(Allocation { bytes, record: None }) };
    match split_word(rest) {
        (b"R" | b"r", Some(record)) => {
            Ok(Allocation { bytes, record: Some(parse_offset(record)?) })
        }
        _ => Err(ArgumentError::Syntax),
    }
}

/// Splits at the first space: the word before it and, unless nothing follows, the rest.
///
/// This is how OPTS and SITE carry a command of their own, and AUTH, HELP and the like a word.
pub fn split_word(argument: &[u8]) -> (&[u8], Option<&[u8]>) {
    match argument.iter().position(|&b| b == b' ') {
        Some(space) => {
            let (word, rest) = argument.split_at(space);
            (word, rest.get(1..).filter(|rest| !rest.is_empty()))
        }
        None => (argument, None),
    }
}

/// The argument's one letter, upper case.
fn letter(argument: &[u8]) -> Result<u8, ArgumentError> {
    match argument {
        [letter] if letter.is_ascii_alphabetic() => Ok(letter.to_ascii_uppercase()),
        _ => Err(ArgumentError::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use super::ArgumentError::{NotImplemented, Syntax};
    use super::*;

    #[test]
    fn types_are_taken_refused_or_not_understood() {
        use Representation::{Ascii, Image};
        for (argument, expected) in [
            (&b"A"[..], Ok(Ascii)),
            (b"a", Ok(Ascii)),
            (b"A N", Ok(Ascii)),
            (b"a n", Ok(Ascii)),
            (b"I", Ok(Image)),
            (b"i", Ok(Image)),
            (b"L 8", Ok(Image)),
            (b"A T", Err(NotImplemented)),
            (b"A C", Err(NotImplemented)),
            (b"E", Err(NotImplemented)),
            (b"E N", Err(NotImplemented)),
            (b"L 36", Err(NotImplemented)),
            (b"X", Err(NotImplemented)),
            (b"", Err(Syntax)),
            (b" ", Err(Syntax)),
            (b"A  N", Err(Syntax)),
            (b"A 7", Err(Syntax)),
            (b"I N", Err(Syntax)),
            (b"L", Err(Syntax)),
            (b"L eight", Err(Syntax)),
            (b"L 8 8", Err(Syntax)),
            (b"ASCII", Err(Syntax)),
            (b"E 8", Err(Syntax)),
            (b"\xff", Err(Syntax)),
            (b"8", Err(Syntax)),
        ] {
            assert_eq!(parse_type(argument), expected, "{}", argument.escape_ascii());
        }
        assert_eq!(Syntax.code(), Code::BAD_PARAMETER);
        assert_eq!(NotImplemented.code(), Code::BAD_VALUE);
    }

    #[test]
    fn modes_and_structures_are_one_letter() {
        assert_eq!(parse_mode(b"s"), Ok(TransferMode::Stream));
        assert_eq!(parse_mode(b"Z"), Ok(TransferMode::Deflate));
        assert_eq!(parse_mode(b"B"), Err(NotImplemented));
        assert_eq!(parse_mode(b"C"), Err(NotImplemented));
        assert_eq!(parse_structure(b"f"), Ok(()));
        assert_eq!(parse_structure(b"R"), Err(NotImplemented));
        assert_eq!(parse_structure(b"P"), Err(NotImplemented));
        for bad in [&b""[..], b"SS", b"S ", b"1", b"\xc3"] {
            assert_eq!(parse_mode(bad), Err(Syntax));
            assert_eq!(parse_structure(bad), Err(Syntax));
        }
    }

    #[test]
    fn offsets_are_digits_that_fit() {
        assert_eq!(parse_offset(b"0"), Ok(0));
        assert_eq!(parse_offset(b"18446744073709551615"), Ok(u64::MAX));
        for bad in [&b""[..], b"-1", b"+1", b"1 ", b" 1", b"1k", b"0x10", b"18446744073709551616"] {
            assert_eq!(parse_offset(bad), Err(Syntax));
        }
    }

    #[test]
    fn a_range_is_inclusive_and_one_zero_takes_it_back() {
        assert_eq!(parse_range(b"0 0"), Ok(Some(ByteRange { first: 0, last: 0 })));
        assert_eq!(parse_range(b"10 99"), Ok(Some(ByteRange { first: 10, last: 99 })));
        assert_eq!(parse_range(b"1 0"), Ok(None));
        for bad in [&b""[..], b"1", b"1 ", b"2 1", b"2 0", b"1 2 3", b"1  2", b"-1 2", b"1-2"] {
            assert_eq!(parse_range(bad), Err(Syntax), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn allo_may_tell_a_record_length() {
        assert_eq!(parse_allo(b"1024"), Ok(Allocation { bytes: 1024, record: None }));
        assert_eq!(parse_allo(b"1024 R 80"), Ok(Allocation { bytes: 1024, record: Some(80) }));
        assert_eq!(parse_allo(b"0 r 0"), Ok(Allocation { bytes: 0, record: Some(0) }));
        for bad in [&b""[..], b"x", b"-1", b"1 R", b"1 R ", b"1 R x", b"1 80", b"1 R 80 "] {
            assert_eq!(parse_allo(bad), Err(Syntax), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn a_word_ends_at_the_first_space() {
        assert_eq!(split_word(b"CHMOD 644 a b"), (&b"CHMOD"[..], Some(&b"644 a b"[..])));
        assert_eq!(split_word(b"HELP"), (&b"HELP"[..], None));
        assert_eq!(split_word(b"HELP "), (&b"HELP"[..], None));
        assert_eq!(split_word(b" HELP"), (&b""[..], Some(&b"HELP"[..])));
        assert_eq!(split_word(b""), (&b""[..], None));
    }
}
