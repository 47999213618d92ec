//! What a listing tells about one file or directory.

use crate::time::Timestamp;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// The directory that is listed (`cdir` of MLSD).
    CurrentDirectory,
    /// The parent of the directory that is listed (`pdir` of MLSD).
    ParentDirectory,
    /// A symbolic link that is told as such.
    Symlink,
    /// Anything else: a device, a socket, a pipe.
    Other,
}

impl Kind {
    /// Whether the entry is a directory of whatever role.
    pub const fn is_directory(self) -> bool {
        matches!(self, Kind::Directory | Kind::CurrentDirectory | Kind::ParentDirectory)
    }
}

/// One entry of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name, or the path, as it is to be shown.
    pub name: &'a [u8],
    /// What it is.
    pub kind: Kind,
    /// Length in octets.
    pub size: u64,
    /// When its contents were last modified.
    pub modified: Option<Timestamp>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// The mode's lower twelve bits: set-ids, sticky, `rwxrwxrwx`.
    pub mode: Option<u32>,
    /// Number of hard links.
    pub links: u64,
    /// Device and inode: what makes two names the same file.
    pub unique: Option<(u64, u64)>,
    /// What the session may do with it.
    pub perms: Perms,
}

impl<'a> Entry<'a> {
    /// An entry of which no more is known than that: no size, one link, no permission.
    pub const fn new(name: &'a [u8], kind: Kind) -> Entry<'a> {
        Entry {
            name,
            kind,
            size: 0,
            modified: None,
            created: None,
            mode: None,
            links: 1,
            unique: None,
            perms: Perms::NONE,
        }
    }
}

/// Whether a name can stand in a listing: it holds neither CR nor LF nor NUL, which would end the
/// line or the name for the client.
pub fn is_listable(name: &[u8]) -> bool {
    // Looks at all of them, many at a time: names are short, and hardly any has one of these.
    !name.iter().fold(false, |found, b| found | matches!(b, b'\r' | b'\n' | 0))
}

/// What the session may do with an entry: the letters of the `perm` fact (RFC 3659, 7.5.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Perms(u16);

impl Perms {
    /// Nothing.
    pub const NONE: Perms = Perms(0);
    /// `a`: a file can be appended to (APPE).
    pub const APPEND: Perms = Perms(1);
    /// `c`: files can be created in a directory (STOR, STOU, APPE, RNTO).
    pub const CREATE: Perms = Perms(1 << 1);
    /// `d`: can be deleted (DELE, RMD).
    pub const DELETE: Perms = Perms(1 << 2);
    /// `e`: a directory can be entered (CWD, CDUP).
    pub const ENTER: Perms = Perms(1 << 3);
    /// `f`: can be renamed (RNFR).
    pub const RENAME: Perms = Perms(1 << 4);
    /// `l`: a directory can be listed (LIST, NLST, MLSD).
    pub const LIST: Perms = Perms(1 << 5);
    /// `m`: directories can be made in a directory (MKD).
    pub const MAKE: Perms = Perms(1 << 6);
    /// `p`: what a directory holds can be deleted (the purge of its contents).
    pub const PURGE: Perms = Perms(1 << 7);
    /// `r`: a file can be read (RETR).
    pub const READ: Perms = Perms(1 << 8);
    /// `w`: a file can be overwritten (STOR).
    pub const WRITE: Perms = Perms(1 << 9);

    const LETTERS: [u8; 10] = *b"acdeflmprw";

    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: Perms) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Perms) -> Perms {
        Perms(self.0 | other.0)
    }

    /// The letters, in the order of the RFC.
    pub fn letters(self) -> impl Iterator<Item = u8> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            let letter = Perms::LETTERS.get(bits.trailing_zeros() as usize)?;
            bits &= bits - 1;
            Some(*letter)
        })
    }
}

impl std::ops::BitOr for Perms {
    type Output = Perms;

    fn bitor(self, other: Perms) -> Perms {
        self.union(other)
    }
}

impl std::ops::BitOrAssign for Perms {
    fn bitor_assign(&mut self, other: Perms) {
        *self = self.union(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_told_in_the_order_of_the_rfc() {
        let perms = Perms::WRITE | Perms::READ | Perms::APPEND | Perms::DELETE | Perms::RENAME;
        assert_eq!(perms.letters().collect::<Vec<_>>(), b"adfrw");
        let directory = Perms::CREATE | Perms::ENTER | Perms::LIST | Perms::MAKE | Perms::PURGE;
        assert_eq!(directory.letters().collect::<Vec<_>>(), b"celmp");
        assert_eq!(Perms::NONE.letters().count(), 0);
        assert!(perms.contains(Perms::READ | Perms::WRITE));
        assert!(!perms.contains(Perms::READ | Perms::LIST));
    }

    #[test]
    fn names_that_would_break_a_line_are_not_listable() {
        for name in [&b"plain"[..], b" spaces ", b"\xff\xfe", b"tab\t", "é".as_bytes(), b""] {
            assert!(is_listable(name));
        }
        for name in [&b"a\rb"[..], b"a\n", b"\0", b"a\r\nb"] {
            assert!(!is_listable(name));
        }
    }
}
