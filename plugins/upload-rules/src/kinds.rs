//! What files begin with, by the ends of their names.

/// Octets that a kind of file must have for its name to be right: enough for every row.
pub(crate) const HEAD_BYTES: usize = 262;

/// A kind of file.
struct Kind {
    extensions: &'static [&'static str],
    /// Where the beginnings stand, in bytes from the start.
    at: usize,
    beginnings: &'static [&'static [u8]],
    /// Whether a file of this kind may run: then it must not bear another name either.
    program: bool,
}

const fn kind(
    extensions: &'static [&'static str],
    at: usize,
    beginnings: &'static [&'static [u8]],
) -> Kind {
    Kind { extensions, at, beginnings, program: false }
}

const fn program(
    extensions: &'static [&'static str],
    beginnings: &'static [&'static [u8]],
) -> Kind {
    Kind { extensions, at: 0, beginnings, program: true }
}

const ZIP: &[&[u8]] = &[b"PK\x03\x04", b"PK\x05\x06"];

const KINDS: [Kind; 22] = [
    kind(&["jpg", "jpeg"], 0, &[b"\xff\xd8\xff"]),
    kind(&["png"], 0, &[b"\x89PNG\r\n\x1a\n"]),
    kind(&["gif"], 0, &[b"GIF87a", b"GIF89a"]),
    kind(&["bmp"], 0, &[b"BM"]),
    kind(&["tif", "tiff"], 0, &[b"II*\0", b"MM\0*"]),
    kind(&["webp"], 8, &[b"WEBP"]),
    kind(&["pdf"], 0, &[b"%PDF-"]),
    kind(&["ps", "eps"], 0, &[b"%!", b"\xc5\xd0\xd3\xc6"]),
    kind(&["zip", "docx", "xlsx", "pptx", "odt", "ods", "odp", "epub"], 0, ZIP),
    kind(&["doc", "xls", "ppt"], 0, &[b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"]),
    kind(&["gz", "tgz"], 0, &[b"\x1f\x8b"]),
    kind(&["bz2"], 0, &[b"BZh"]),
    kind(&["xz"], 0, &[b"\xfd7zXZ\0"]),
    kind(&["zst"], 0, &[b"\x28\xb5\x2f\xfd"]),
    kind(&["7z"], 0, &[b"7z\xbc\xaf\x27\x1c"]),
    kind(&["rar"], 0, &[b"Rar!\x1a\x07"]),
    kind(&["mp4", "m4v", "m4a", "mov"], 4, &[b"ftyp"]),
    kind(&["avi"], 8, &[b"AVI "]),
    kind(&["tar"], 257, &[b"ustar"]),
    program(&["exe", "dll", "scr", "com", "sys", "msi"], &[b"MZ"]),
    program(&["elf", "so", "bin", "o", "out", ""], &[b"\x7fELF"]),
    program(&["sh", "py", "pl", "rb", "cgi", ""], &[b"#!"]),
];

/// The end of a name behind its last dot, in lower case; empty where there is none.
pub(crate) fn extension(name: &str) -> String {
    let end = name.rsplit_once('.').filter(|(start, _)| !start.is_empty());
    end.map(|(_, end)| end.to_lowercase()).unwrap_or_default()
}

/// Whether a file that begins like this may bear a name that ends like that. What nothing is known
/// of may.
pub(crate) fn agree(extension: &str, head: &[u8]) -> bool {
    let named = |kind: &&Kind| kind.extensions.contains(&extension);
    let runs = KINDS.iter().any(|kind| kind.program && kind.begins(head) && !named(&kind));
    let mut of_the_name = KINDS.iter().filter(|kind| !kind.program).filter(named).peekable();
    !runs && (of_the_name.peek().is_none() || of_the_name.any(|kind| kind.begins(head)))
}

impl Kind {
    fn begins(&self, head: &[u8]) -> bool {
        let from = head.get(self.at..).unwrap_or_default();
        self.beginnings.iter().any(|beginning| from.starts_with(beginning))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_beginning_is_within_what_is_looked_at() {
        for kind in &KINDS {
            for beginning in kind.beginnings {
                assert!(kind.at + beginning.len() <= HEAD_BYTES);
            }
        }
    }

    #[test]
    fn names_end_behind_their_last_dot() {
        assert_eq!(extension("A.tar.GZ"), "gz");
        assert_eq!(extension("README"), "");
        assert_eq!(extension(".profile"), "");
    }

    #[test]
    fn a_kind_may_have_several_beginnings_and_places() {
        assert!(agree("docx", b"PK\x03\x04..."));
        assert!(agree("mp4", b"\0\0\0\x18ftypmp42"));
        assert!(!agree("mp4", b"ftyp"));
        assert!(agree("", b"#!/bin/sh"));
        assert!(!agree("txt", b"#!/bin/sh"));
    }
}
