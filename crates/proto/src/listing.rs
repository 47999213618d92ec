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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_704_110_400); // 2024-01-01 12:00:00

    fn line(entry: &Entry<'_>) -> String {
        let mut out = Vec::new();
        assert!(write_list_line(&mut out, entry, NOW));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_have_the_columns_of_ls() {
        let file =
            Entry { size: 1234, modified: Some(NOW), ..Entry::new(b"two words", Kind::File) };
        assert_eq!(
            line(&file),
            "-rw-r--r--   1 ftp      ftp          1234 Jan 01 12:00 two words\r\n"
        );
        let directory = Entry { size: 4096, links: 12, ..Entry::new(b"pub", Kind::Directory) };
        assert_eq!(
            line(&directory),
            "drwxr-xr-x  12 ftp      ftp          4096 Jan 01  1970 pub\r\n"
        );
        let link = Entry::new(b"here", Kind::Symlink);
        assert_eq!(line(&link), "lrwxrwxrwx   1 ftp      ftp             0 Jan 01  1970 here\r\n");
    }

    #[test]
    fn wide_numbers_push_the_columns_and_are_never_cut() {
        let entry = Entry { size: u64::MAX, links: 12345, ..Entry::new(b"big", Kind::File) };
        assert_eq!(
            line(&entry),
            "-rw-r--r-- 12345 ftp      ftp      18446744073709551615 Jan 01  1970 big\r\n"
        );
    }

    #[test]
    fn modes_are_shown_as_ls_shows_them() {
        for (mode, shown) in [
            (0o000, "----------"),
            (0o644, "-rw-r--r--"),
            (0o751, "-rwxr-x--x"),
            (0o4755, "-rwsr-xr-x"),
            (0o4644, "-rwSr--r--"),
            (0o2755, "-rwxr-sr-x"),
            (0o1777, "-rwxrwxrwt"),
            (0o7000, "---S--S--T"),
            (0o100_600, "-rw-------"),
        ] {
            let entry = Entry { mode: Some(mode), ..Entry::new(b"n", Kind::File) };
            assert!(line(&entry).starts_with(&format!("{shown} ")), "{mode:o}");
        }
    }

    #[test]
    fn names_that_would_break_the_line_are_left_out() {
        let mut out = Vec::new();
        assert!(!write_list_line(&mut out, &Entry::new(b"a\nb", Kind::File), NOW));
        assert!(!write_name_line(&mut out, b"", b"a\rb"));
        assert!(!write_name_line(&mut out, b"a\0/", b"b"));
        assert!(out.is_empty());
        assert!(write_name_line(&mut out, b"pub/", b"a b"));
        assert_eq!(out, b"pub/a b\r\n");
    }

    #[test]
    fn options_of_ls_are_told_from_paths() {
        for (argument, all, recursive, path) in [
            (&b""[..], false, false, None),
            (b"-a", true, false, None),
            (b"-l", false, false, None),
            (b"-la", true, false, None),
            (b"-1A", true, false, None),
            (b"-alR pub", true, true, Some(&b"pub"[..])),
            (b"-a -l two words ", true, false, Some(b"two words ")),
            (b"-l ", false, false, None),
            (b"-l  x", false, false, Some(b" x")),
            (b"./-l", false, false, Some(b"./-l")),
            (b"pub -a", false, false, Some(b"pub -a")),
            (b"-", false, false, Some(b"-")),
            (b"--all", false, false, Some(b"--all")),
            (b"-a.txt", false, false, Some(b"-a.txt")),
            (b"-2024", false, false, Some(b"-2024")),
            (b" -a", false, false, Some(b" -a")),
        ] {
            let expected = ListArgument { all, recursive, path };
            assert_eq!(parse_list_argument(argument), expected, "{}", argument.escape_ascii());
        }
    }
}
