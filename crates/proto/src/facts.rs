//! Machine-readable listings: MLSD, MLST and the facts they tell (RFC 3659, 7).
//!
//! What is *not* here: `lang`, `media-type` and `charset` (they would be guesses), and
//! `UNIX.owner` and `UNIX.group` (accounts are not the system's).

use crate::digits::{write_decimal, write_hex};
use crate::entry::{Entry, Kind, is_listable};
use crate::reply::{Code, NotOneLine, Reply, Text};
use crate::time::{Precision, write_time_val};

/// A fact that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fact {
    /// `type`: file, directory, or another kind.
    Type,
    /// `size` in octets; of files only.
    Size,
    /// `modify`: when the contents were last modified.
    Modify,
    /// `create`: when it was created.
    Create,
    /// `perm`: what the session may do with it.
    Perm,
    /// `unique`: equal for two names of one file.
    Unique,
    /// `UNIX.mode` in octal.
    UnixMode,
}

impl Fact {
    /// Every fact, in the order in which they are told.
    pub const ALL: [Fact; 7] = [
        Fact::Type,
        Fact::Size,
        Fact::Modify,
        Fact::Create,
        Fact::Perm,
        Fact::Unique,
        Fact::UnixMode,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Fact::Type => "type",
            Fact::Size => "size",
            Fact::Modify => "modify",
            Fact::Create => "create",
            Fact::Perm => "perm",
            Fact::Unique => "unique",
            Fact::UnixMode => "UNIX.mode",
        }
    }

    /// The fact of that name; ASCII case does not matter.
    pub fn from_name(name: &[u8]) -> Option<Fact> {
        Fact::ALL.into_iter().find(|fact| fact.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// Which facts a session wants told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactSet(u8);

/// All facts but `create`, which few file systems know.
impl Default for FactSet {
    fn default() -> FactSet {
        let wanted = Fact::ALL.into_iter().filter(|fact| *fact != Fact::Create);
        wanted.fold(FactSet::NONE, FactSet::with)
    }
}

impl FactSet {
    /// No fact.
    pub const NONE: FactSet = FactSet(0);

    /// Reads the argument of `OPTS MLST`, `a;b;` (RFC 3659, 7.9): names of facts, in any case and
    /// order; names that nobody here knows are dropped.
    pub fn parse(argument: &[u8]) -> FactSet {
        let named = argument.split(|&b| b == b';').filter_map(Fact::from_name);
        named.fold(FactSet::NONE, FactSet::with)
    }

    /// The set and that fact.
    #[must_use]
    pub const fn with(self, fact: Fact) -> FactSet {
        FactSet(self.0 | 1 << fact as u8)
    }

    /// Whether the fact is in the set.
    pub const fn contains(self, fact: Fact) -> bool {
        self.0 >> fact as u8 & 1 == 1
    }

    /// The line of FEAT: every fact, those in the set with `*` (RFC 3659, 7.8).
    pub fn feature(self) -> Text {
        let mut line = b"MLST ".to_vec();
        for fact in Fact::ALL {
            line.extend_from_slice(fact.name().as_bytes());
            line.extend_from_slice(if self.contains(fact) { b"*;" } else { b";" });
        }
        Text::from(line)
    }

    /// The answer to `OPTS MLST`: `200 MLST OPTS type;size;` with the facts in the set
    /// (RFC 3659, 7.9).
    pub fn options_reply(self) -> Reply {
        let mut text = b"MLST OPTS".to_vec();
        for (index, fact) in Fact::ALL.into_iter().filter(|f| self.contains(*f)).enumerate() {
            if index == 0 {
                text.push(b' ');
            }
            text.extend_from_slice(fact.name().as_bytes());
            text.push(b';');
        }
        Reply::data(Code::OKAY, text)
    }
}

/// Appends `fact=value;...`, a space and the name, without a line end (RFC 3659, 7.2).
///
/// A fact that the entry does not have is left out.
pub fn write_facts(out: &mut Vec<u8>, facts: FactSet, entry: &Entry<'_>) {
    for fact in Fact::ALL {
        if facts.contains(fact) {
            write_fact(out, fact, entry);
        }
    }
    out.push(b' ');
    out.extend_from_slice(entry.name);
}

/// Appends one line of MLSD, and tells whether it did: an entry whose name cannot stand on one
/// line is left out.
pub fn write_mlsd_line(out: &mut Vec<u8>, facts: FactSet, entry: &Entry<'_>) -> bool {
    if !is_listable(entry.name) {
        return false;
    }
    write_facts(out, facts, entry);
    out.extend_from_slice(b"\r\n");
    true
}

/// The answer to MLST: 250 with the entry on the middle one of three lines (RFC 3659, 7.2).
///
/// # Errors
/// The name cannot stand on one line.
pub fn mlst_reply(facts: FactSet, entry: &Entry<'_>) -> Result<Reply, NotOneLine> {
    let mut line = Vec::new();
    write_facts(&mut line, facts, entry);
    let lines = [Text::from("Facts follow."), Text::new(line)?, Text::from("End")];
    Ok(Reply::lines(Code::FILE_DONE, lines).fixed())
}

/// Appends `fact=value;`. Each arm names its fact, so that names are copied by a few instructions
/// and not by calls: there are six in every line.
fn write_fact(out: &mut Vec<u8>, fact: Fact, entry: &Entry<'_>) {
    match fact {
        Fact::Type => {
            begin(out, Fact::Type);
            write_type(out, entry.kind);
        }
        Fact::Size if entry.kind != Kind::File => return,
        Fact::Size => {
            begin(out, Fact::Size);
            write_decimal(out, entry.size);
        }
        Fact::Modify => {
            let Some(modified) = entry.modified else { return };
            begin(out, Fact::Modify);
            write_time_val(out, modified, Precision::Seconds);
        }
        Fact::Create => {
            let Some(created) = entry.created else { return };
            begin(out, Fact::Create);
            write_time_val(out, created, Precision::Seconds);
        }
        Fact::Perm => {
            begin(out, Fact::Perm);
            out.extend(entry.perms.letters());
        }
        Fact::Unique => {
            let Some((device, inode)) = entry.unique else { return };
            begin(out, Fact::Unique);
            write_hex(out, device);
            out.push(b'g');
            write_hex(out, inode);
        }
        Fact::UnixMode => {
            let Some(mode) = entry.mode else { return };
            begin(out, Fact::UnixMode);
            out.extend_from_slice(&[9, 6, 3, 0].map(|shift| b'0' + (mode >> shift & 7) as u8));
        }
    }
    out.push(b';');
}

#[inline(always)]
fn begin(out: &mut Vec<u8>, fact: Fact) {
    out.extend_from_slice(fact.name().as_bytes());
    out.push(b'=');
}

fn write_type(out: &mut Vec<u8>, kind: Kind) {
    match kind {
        Kind::File => out.extend_from_slice(b"file"),
        Kind::Directory => out.extend_from_slice(b"dir"),
        Kind::CurrentDirectory => out.extend_from_slice(b"cdir"),
        Kind::ParentDirectory => out.extend_from_slice(b"pdir"),
        // What clients look for; the RFC leaves the words behind "OS." to the systems (7.5.1.5).
        Kind::Symlink => out.extend_from_slice(b"OS.unix=symlink"),
        Kind::Other => out.extend_from_slice(b"OS.unix=other"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Perms;
    use crate::time::Timestamp;

    fn told(facts: FactSet, entry: &Entry<'_>) -> String {
        let mut out = Vec::new();
        assert!(write_mlsd_line(&mut out, facts, entry));
        String::from_utf8(out).unwrap()
    }

    fn file() -> Entry<'static> {
        Entry {
            size: 1234,
            modified: Some(Timestamp { seconds: 951_825_600, nanos: 5 }),
            created: Some(Timestamp::EPOCH),
            mode: Some(0o100_644),
            unique: Some((0x801, 0x1a2b)),
            perms: Perms::READ | Perms::WRITE,
            ..Entry::new(b" a; name", Kind::File)
        }
    }

    fn all() -> FactSet {
        Fact::ALL.into_iter().fold(FactSet::NONE, FactSet::with)
    }

    #[test]
    fn every_fact_stands_before_one_space_and_the_name() {
        assert_eq!(
            told(all(), &file()),
            "type=file;size=1234;modify=20000229120000;create=19700101000000;perm=rw;\
             unique=801g1a2b;UNIX.mode=0644;  a; name\r\n"
        );
        assert_eq!(told(FactSet::NONE, &file()), "  a; name\r\n");
        assert_eq!(
            told(FactSet::parse(b"size;type;"), &file()),
            "type=file;size=1234;  a; name\r\n"
        );
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let entry = Entry::new(b"dir", Kind::Directory);
        assert_eq!(told(all(), &entry), "type=dir;perm=; dir\r\n");
    }

    #[test]
    fn kinds_have_the_names_that_clients_know() {
        for (kind, name) in [
            (Kind::File, "file"),
            (Kind::Directory, "dir"),
            (Kind::CurrentDirectory, "cdir"),
            (Kind::ParentDirectory, "pdir"),
            (Kind::Symlink, "OS.unix=symlink"),
            (Kind::Other, "OS.unix=other"),
        ] {
            let facts = FactSet::NONE.with(Fact::Type);
            assert_eq!(told(facts, &Entry::new(b"n", kind)), format!("type={name}; n\r\n"));
        }
    }

    #[test]
    fn opts_mlst_takes_known_facts_in_any_case_and_drops_the_others() {
        let facts = FactSet::parse(b"SIZE;unix.MODE;lang;;type;media-type");
        assert_eq!(
            facts.options_reply(),
            Reply::data(Code::OKAY, "MLST OPTS type;size;UNIX.mode;")
        );
        for none in [&b""[..], b";", b"lang;", b" type ;"] {
            let reply = FactSet::parse(none).options_reply();
            assert_eq!(reply, Reply::data(Code::OKAY, "MLST OPTS"));
        }
    }

    #[test]
    fn feat_names_every_fact_and_marks_those_that_are_told() {
        assert_eq!(
            FactSet::default().feature(),
            Text::from("MLST type*;size*;modify*;create;perm*;unique*;UNIX.mode*;")
        );
        assert_eq!(
            FactSet::NONE.feature(),
            Text::from("MLST type;size;modify;create;perm;unique;UNIX.mode;")
        );
    }

    #[test]
    fn mlst_answers_with_the_entry_behind_one_space_on_the_middle_line() {
        let mut out = Vec::new();
        let entry = Entry::new(b"/pub/a", Kind::File);
        mlst_reply(FactSet::parse(b"type;size"), &entry).unwrap().encode(&mut out);
        assert_eq!(out, b"250-Facts follow.\r\n type=file;size=0; /pub/a\r\n250 End\r\n");
    }

    #[test]
    fn names_that_would_break_the_line_are_left_out() {
        let entry = Entry::new(b"a\r\n250 End", Kind::File);
        let mut out = Vec::new();
        assert!(!write_mlsd_line(&mut out, all(), &entry));
        assert!(out.is_empty());
        assert_eq!(mlst_reply(all(), &entry), Err(NotOneLine));
    }
}
