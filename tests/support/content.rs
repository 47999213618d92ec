//! What files hold: octets in which every position shows.

use std::path::Path;

/// `len` octets without a pattern that a shift, a lost piece or a repeated one would leave as it
/// is; all 256 values, line ends among them.
pub(crate) fn octets(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut octets = Vec::with_capacity(len + 8);
    while octets.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        octets.extend_from_slice(&state.to_le_bytes());
    }
    octets.truncate(len);
    octets
}

/// Compares without printing megabytes where they differ.
#[track_caller]
pub(crate) fn assert_same(found: &[u8], expected: &[u8], what: &str) {
    if found != expected {
        let differ = found.iter().zip(expected).position(|(a, b)| a != b);
        let (found, expected) = (found.len(), expected.len());
        panic!("{what}: {found} octets instead of {expected}, first difference at {differ:?}");
    }
}

/// Compares a file with what it should hold.
#[track_caller]
pub(crate) fn assert_file(path: &Path, expected: &[u8]) {
    let found = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_same(&found, expected, &path.display().to_string());
}

/// The names in a directory, in order.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
