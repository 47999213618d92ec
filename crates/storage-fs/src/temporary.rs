//! The names of files that are not complete: hidden from clients, and swept when their owner died.
//!
//! Where the file system can hold files without a name, such a name lives for the instant between
//! two system calls, and a crash in that instant leaves it behind; where it cannot (NFS, some
//! FUSE), it lives as long as the upload. An owner holds a lock (`flock(2)`) on its file as long as
//! the name is there. Whoever lists a directory and meets such a name takes the lock without
//! waiting; having got it, and the file having rested for an hour, nobody is coming back for it.
//! No process numbers and no lists of what is open are needed, so that servers in different
//! containers, or on different machines, may share a directory.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, flock, openat, unlinkat};
use rustix::io::Errno;
use waft_core::storage::ErrorKind;

use crate::beneath::look;
use crate::error::Result;

const PREFIX: &[u8] = b".waft-";
const SUFFIX: &[u8] = b".tmp";
const DIGITS: usize = 16;

/// How long a file must have rested before it may be swept. The lock alone would do, were it not
/// for network file systems mounted with locks that only one machine sees.
const REST: Duration = Duration::from_secs(3600);

/// Attempts at a name that is free: with 64 random bits, one is enough.
const ATTEMPTS_MAX: usize = 8;

/// Whether clients can neither see nor use `name`.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Calls `with` with fresh names until it does not find one taken.
pub(crate) fn with_fresh_name<T>(
    mut with: impl FnMut(&CStr) -> std::result::Result<T, Errno>,
) -> Result<(CString, T)> {
    for _ in 0..ATTEMPTS_MAX {
        // Each RandomState has keys of its own, seeded by the system: a random number without a
        // system call. Nobody gains by guessing it.
        let number = RandomState::new().hash_one(());
        let name = CString::new(format!(".waft-{number:0DIGITS$x}.tmp"))
            .map_err(|_| ErrorKind::BadName)?;
        match with(&name) {
            Err(Errno::EXIST) => {}
            other => return Ok((name, other?)),
        }
    }
    Err(Errno::EXIST.into())
}

/// Makes an empty file under a fresh name, locked.
pub(crate) fn create(directory: BorrowedFd<'_>, mode: Mode) -> Result<(CString, File)> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    with_fresh_name(|name| {
        let file = openat(directory, name, flags, mode)?;
        // A sweeper may have come first only if the clock jumped an hour: then, another name.
        match lock(&file) {
            Err(Errno::AGAIN) => Err(Errno::EXIST),
            Ok(()) if look(&file)?.stx_nlink == 0 => Err(Errno::EXIST),
            Ok(()) => Ok(File::from(file)),
            Err(errno) => Err(errno),
        }
    })
}

/// Locks an open file as its only writer; `EAGAIN` if there is another.
///
/// Where the file system has no locks, nobody is kept out.
pub(crate) fn lock(file: impl AsFd) -> std::result::Result<(), Errno> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        other => other,
    }
}

/// Removes the file of that reserved name if it was left behind by a crash.
pub(crate) fn sweep(directory: BorrowedFd<'_>, name: &CStr) {
    if !is_ours(name.to_bytes()) {
        return;
    }
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = openat(directory, name, flags, Mode::empty()) else { return };
    // Locks that are not there, unlike in `lock`, mean that nothing is known.
    let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    let rested = look(&file).is_ok_and(|found| {
        FileType::from_raw_mode(found.stx_mode.into()).is_file()
            && since(found.stx_mtime.tv_sec) >= REST
    });
    if locked && rested {
        // What fails here will be met again.
        let _ = unlinkat(directory, name, AtFlags::empty());
    }
}

/// Whether this crate may have made `name`: narrower than what it hides.
fn is_ours(name: &[u8]) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
        .is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Time since then; none if it is in the future or before 1970.
fn since(seconds: i64) -> Duration {
    u64::try_from(seconds)
        .ok()
        .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        .and_then(|then| SystemTime::now().duration_since(then).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_names_are_reserved_ours_and_different() {
        let (first, ()) = with_fresh_name(|_| Ok(())).unwrap();
        let (second, ()) = with_fresh_name(|_| Ok(())).unwrap();
        assert_ne!(first, second);
        assert!(is_reserved(first.to_bytes()));
        assert!(is_ours(first.to_bytes()));
    }

    #[test]
    fn names_that_somebody_else_may_have_made_are_hidden_but_never_swept() {
        for name in [&b".waft-.tmp"[..], b".waft-notes.tmp", b".waft-0123456789abcdeg.tmp"] {
            assert!(is_reserved(name));
            assert!(!is_ours(name));
        }
        assert!(!is_reserved(b".waft-0123456789abcdef.tmp.partial"));
        assert!(!is_reserved(b"waft-0123456789abcdef.tmp"));
    }
}
