//! Names of checksums and the replies that carry them: HASH and the X-commands.
//!
//! Nothing is computed here.

use crate::digits::write_decimal;
use crate::reply::{Code, Reply, Text};
use crate::verb::Verb;

/// A checksum that HASH and the X-commands can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// CRC-32 of ISO 3309, as zip and Ethernet have it.
    Crc32,
    /// MD5 (RFC 1321).
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// What a session begins with: SHA-256.
impl Default for HashAlgorithm {
    fn default() -> HashAlgorithm {
        HashAlgorithm::Sha256
    }
}

impl HashAlgorithm {
    /// Every algorithm, weakest first.
    pub const ALL: [HashAlgorithm; 5] = [
        HashAlgorithm::Crc32,
        HashAlgorithm::Md5,
        HashAlgorithm::Sha1,
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha512,
    ];

    /// The name on the wire (draft-ietf-ftpext2-hash-03, 3).
    pub const fn name(self) -> &'static str {
        match self {
            HashAlgorithm::Crc32 => "CRC32",
            HashAlgorithm::Md5 => "MD5",
            HashAlgorithm::Sha1 => "SHA-1",
            HashAlgorithm::Sha256 => "SHA-256",
            HashAlgorithm::Sha512 => "SHA-512",
        }
    }

    /// The algorithm of that name; ASCII case does not matter.
    pub fn from_name(name: &[u8]) -> Option<HashAlgorithm> {
        let mut all = HashAlgorithm::ALL.into_iter();
        all.find(|algorithm| algorithm.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The algorithm that an X-command (XCRC, XMD5, XSHA, ...) is about.
    pub const fn of_verb(verb: Verb) -> Option<HashAlgorithm> {
        match verb {
            Verb::Xcrc => Some(HashAlgorithm::Crc32),
            Verb::Xmd5 => Some(HashAlgorithm::Md5),
            Verb::Xsha | Verb::Xsha1 => Some(HashAlgorithm::Sha1),
            Verb::Xsha256 => Some(HashAlgorithm::Sha256),
            Verb::Xsha512 => Some(HashAlgorithm::Sha512),
            _ => None,
        }
    }

    /// Length of the digest in octets.
    pub const fn digest_bytes(self) -> usize {
        match self {
            HashAlgorithm::Crc32 => 4,
            HashAlgorithm::Md5 => 16,
            HashAlgorithm::Sha1 => 20,
            HashAlgorithm::Sha256 => 32,
            HashAlgorithm::Sha512 => 64,
        }
    }

    /// The line of FEAT: every algorithm, this one, the session's, with `*`
    /// (draft-ietf-ftpext2-hash-03).
    pub fn feature(self) -> Text {
        let mut line = b"HASH ".to_vec();
        for (index, algorithm) in HashAlgorithm::ALL.into_iter().enumerate() {
            if index > 0 {
                line.push(b';');
            }
            line.extend_from_slice(algorithm.name().as_bytes());
            if algorithm == self {
                line.push(b'*');
            }
        }
        Text::from(line)
    }

    /// The answer to HASH: `213 SHA-256 first-last digest path`, octets counted from 0, both
    /// inclusive (draft-ietf-ftpext2-hash-03, 3). Of nothing, `first-last` is `0-0`.
    pub fn reply(self, first: u64, last: u64, digest: &[u8], path: &[u8]) -> Reply {
        let mut text = self.name().as_bytes().to_vec();
        text.push(b' ');
        write_decimal(&mut text, first);
        text.push(b'-');
        write_decimal(&mut text, last);
        text.push(b' ');
        write_digest(&mut text, digest, b"0123456789abcdef");
        text.push(b' ');
        text.extend_from_slice(path);
        Reply::data(Code::FILE_STATUS, text)
    }
}

/// The answer to an X-command: 250 with the digest alone in upper-case hexadecimal, as the server
/// that made XCRC up has it.
pub fn checksum_reply(digest: &[u8]) -> Reply {
    let mut text = Vec::new();
    write_digest(&mut text, digest, b"0123456789ABCDEF");
    Reply::data(Code::FILE_DONE, text)
}

fn write_digest(out: &mut Vec<u8>, digest: &[u8], digits: &[u8; 16]) {
    let digit = |nibble: u8| digits.get(usize::from(nibble)).copied();
    out.extend(digest.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).flatten());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verb::TABLE;

    #[test]
    fn names_are_found_in_any_case() {
        for algorithm in HashAlgorithm::ALL {
            let lower = algorithm.name().to_lowercase();
            assert_eq!(HashAlgorithm::from_name(lower.as_bytes()), Some(algorithm));
        }
        for bad in [&b""[..], b"SHA", b"SHA256", b"SHA-1 ", b"CRC-32"] {
            assert_eq!(HashAlgorithm::from_name(bad), None);
        }
    }

    #[test]
    fn feat_marks_the_algorithm_of_the_session() {
        assert_eq!(
            HashAlgorithm::default().feature(),
            Text::from("HASH CRC32;MD5;SHA-1;SHA-256*;SHA-512")
        );
    }

    #[test]
    fn every_x_checksum_of_the_table_has_its_algorithm() {
        let verbs = TABLE.iter().filter(|row| {
            row.name.starts_with("XCRC")
                || row.name.starts_with("XMD")
                || row.name.starts_with("XSH")
        });
        assert_eq!(verbs.filter(|row| HashAlgorithm::of_verb(row.verb).is_some()).count(), 6);
        assert_eq!(HashAlgorithm::of_verb(Verb::Hash), None);
    }

    #[test]
    fn digests_are_told_in_the_forms_that_clients_parse() {
        let mut out = Vec::new();
        HashAlgorithm::Crc32.reply(0, 49, &[0x0a, 0xbc, 0, 0xff], b"a b").encode(&mut out);
        checksum_reply(&[0x0a, 0xbc, 0, 0xff]).encode(&mut out);
        assert_eq!(out, b"213 CRC32 0-49 0abc00ff a b\r\n250 0ABC00FF\r\n");
    }
}
