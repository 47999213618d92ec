//! Checksums that are computed side by side.

use std::fmt;
use std::fmt::Write;

use md5::Digest;

/// The names of all algorithms.
pub(crate) const ALGORITHMS: [&str; 6] = ["crc32", "md5", "sha1", "sha256", "sha384", "sha512"];

/// Checksums in the making.
pub(crate) struct Sums(Vec<Sum>);

enum Sum {
    Crc32(crc32fast::Hasher),
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    // Large beside the others.
    Sha384(Box<sha2::Sha384>),
    Sha512(Box<sha2::Sha512>),
}

/// What stands for octets that are too many.
pub(crate) fn sha256(octets: &[u8]) -> String {
    hex(&sha2::Sha256::digest(octets))
}

impl Sums {
    /// Begins with the algorithms of these names.
    pub(crate) fn new(algorithms: &[String]) -> Self {
        Self(algorithms.iter().filter_map(|name| Sum::new(name)).collect())
    }

    pub(crate) fn add(&mut self, octets: &[u8]) {
        for sum in &mut self.0 {
            match sum {
                Sum::Crc32(sum) => sum.update(octets),
                Sum::Md5(sum) => sum.update(octets),
                Sum::Sha1(sum) => sum.update(octets),
                Sum::Sha256(sum) => sum.update(octets),
                Sum::Sha384(sum) => sum.update(octets),
                Sum::Sha512(sum) => sum.update(octets),
            }
        }
    }

    /// Names and checksums in hexadecimal.
    pub(crate) fn finish(self) -> Vec<(&'static str, String)> {
        let finished = |sum| match sum {
            Sum::Crc32(sum) => ("crc32", hex(&sum.finalize().to_be_bytes())),
            Sum::Md5(sum) => ("md5", hex(&sum.finalize())),
            Sum::Sha1(sum) => ("sha1", hex(&sum.finalize())),
            Sum::Sha256(sum) => ("sha256", hex(&sum.finalize())),
            Sum::Sha384(sum) => ("sha384", hex(&sum.finalize())),
            Sum::Sha512(sum) => ("sha512", hex(&sum.finalize())),
        };
        self.0.into_iter().map(finished).collect()
    }
}

impl Sum {
    fn new(name: &str) -> Option<Self> {
        Some(match name {
            "crc32" => Self::Crc32(crc32fast::Hasher::new()),
            "md5" => Self::Md5(md5::Md5::new()),
            "sha1" => Self::Sha1(sha1::Sha1::new()),
            "sha256" => Self::Sha256(sha2::Sha256::new()),
            "sha384" => Self::Sha384(Box::new(sha2::Sha384::new())),
            "sha512" => Self::Sha512(Box::new(sha2::Sha512::new())),
            _ => return None,
        })
    }
}

impl fmt::Debug for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sums").field(&self.0.len()).finish()
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        // Writing to a text does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}
