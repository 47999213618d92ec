//! Listings for people, and for the programs that read them all the same: LIST and NLST
//! (RFC 959, 4.1.3).

use crate::digits::write_padded;
use crate::entry::{Entry, Kind, is_listable};
use crate::time::{Timestamp, write_list_time};

/// Appends one line of LIST in the shape of `/bin/ls -l`, and tells whether it did: an entry whose
/// name cannot stand on one line is left out.
///
/// Owner and group are always `ftp`. A mode that is not known is shown as 644, 755 or 777, a time
/// that is not known as the beginning of 1970. `now` decides between time of day and year.
pub fn write_list_line(out: &mut Vec<u8>, entry: &Entry<'_>, now: Timestamp) -> bool {
    if !is_listable(entry.name) {
        return false;
    }
    write_mode(out, entry);
    out.push(b' ');
    write_padded(out, entry.links, 3, b' ');
    out.extend_from_slice(b" ftp      ftp      ");
    write_padded(out, entry.size, 8, b' ');
    out.push(b' ');
    write_list_time(out, entry.modified.unwrap_or(Timestamp::EPOCH), now);
    out.push(b' ');
    out.extend_from_slice(entry.name);
    out.extend_from_slice(b"\r\n");
    true
}

/// Appends one line of NLST, `prefix` and name, and tells whether it did: what cannot stand on one
/// line is left out.
///
/// The prefix is the path that the client asked for, with its slash, or nothing.
pub fn write_name_line(out: &mut Vec<u8>, prefix: &[u8], name: &[u8]) -> bool {
    if !is_listable(prefix) || !is_listable(name) {
        return false;
    }
    out.extend_from_slice(prefix);
    out.extend_from_slice(name);
    out.extend_from_slice(b"\r\n");
    true
}

/// The argument of LIST or NLST, told apart into options of `ls` and a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListArgument<'a> {
    /// `-a` or `-A`: hidden names too.
    pub all: bool,
    /// `-R`: what is below, too.
    pub recursive: bool,
    /// What to list; the working directory if there is none.
    pub path: Option<&'a [u8]>,
}

/// Reads the argument of LIST, NLST and STAT, which clients write as if it were a command line.
///
/// Words of a hyphen and letters (or `1`) at the start are options; all but those that
/// [`ListArgument`] names mean nothing. The rest, behind one space, is the path with all its
/// spaces. A file that is really called `-l` is `./-l`.
pub fn parse_list_argument(argument: &[u8]) -> ListArgument<'_> {
    let mut parsed = ListArgument::default();
    let mut rest = argument;
    while let Some((options, behind)) = split_options(rest) {
        parsed.all |= options.iter().any(|b| matches!(b, b'a' | b'A'));
        parsed.recursive |= options.contains(&b'R');
        rest = behind;
    }
    parsed.path = Some(rest).filter(|path| !path.is_empty());
    parsed
}

fn split_options(argument: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = argument.iter().position(|&b| b == b' ').unwrap_or(argument.len());
    let (word, rest) = argument.split_at(end);
    let options = word.strip_prefix(b"-")?;
    let plain =
        !options.is_empty() && options.iter().all(|b| matches!(b, b'1') || b.is_ascii_alphabetic());
    plain.then_some((options, rest.get(1..).unwrap_or_default()))
}

fn write_mode(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let (letter, usual) = match entry.kind {
        Kind::Directory | Kind::CurrentDirectory | Kind::ParentDirectory => (b'd', 0o755),
        Kind::Symlink => (b'l', 0o777),
        Kind::File | Kind::Other => (b'-', 0o644),
    };
    let mode = entry.mode.unwrap_or(usual);
    let bit = |mask: u32, letter: u8| if mode & mask == 0 { b'-' } else { letter };
    let execute =
        |mask: u32, special: u32, letter: u8| match (mode & mask != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => b'x',
            (false, false) => b'-',
        };
    out.extend_from_slice(&[
        letter,
        bit(0o400, b'r'),
        bit(0o200, b'w'),
        execute(0o100, 0o4000, b's'),
        bit(0o040, b'r'),
        bit(0o020, b'w'),
        execute(0o010, 0o2000, b's'),
        bit(0o004, b'r'),
        bit(0o002, b'w'),
        execute(0o001, 0o1000, b't'),
    ]);
}
