//! How a file gets the name that it was uploaded under.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, fchmod, fchown, linkat, renameat};
use rustix::io::Errno;
use waft_core::storage::ErrorKind;

use crate::beneath::{Place, look};
use crate::error::Result;
use crate::facts::descriptor_path;
use crate::temporary;
use crate::tree::rename_within_to_free;
use crate::upload::partial;
use crate::upload::plan::Old;
use crate::upload::writer::Body;

/// Attempts to find `NAME.partial` either free or there, while others make and remove it.
const ATTEMPTS_MAX: usize = 8;

/// Gives a new file the permission bits and, where the system allows, the owner and group of the
/// old one. Where the group cannot be kept, the new one's members get no more than everybody has.
pub(crate) fn take_over(file: &File, old: Old) -> Result<()> {
    let new = look(file)?;
    // Only the superuser may give files away, and others only to groups of their own.
    if new.stx_uid != old.owner {
        let _ = fchown(file, Some(Uid::from_raw(old.owner)), None);
    }
    let group_kept =
        new.stx_gid == old.group || fchown(file, None, Some(Gid::from_raw(old.group))).is_ok();
    let mode = if group_kept { old.mode } else { old.mode & 0o707 | (old.mode & 0o007) << 3 };
    if u32::from(new.stx_mode) & 0o7777 != mode {
        fchmod(file, Mode::from_raw_mode(mode))?;
    }
    Ok(())
}

/// Gives the file of `body` the name at `place`, which must be free (`Exists` otherwise).
pub(crate) fn to_free(place: &Place, file: &File, body: &Body) -> Result<()> {
    let directory = place.parent.as_fd();
    match body {
        Body::Nameless => Ok(link(directory, file, &place.name)?),
        Body::Hidden(name) => Ok(rename_within_to_free(directory, name, &place.name)?),
        Body::Partial => {
            let partial = partial::place(place)?;
            Ok(rename_within_to_free(directory, &partial.name, &place.name)?)
        }
        Body::InPlace => Ok(()),
    }
}

/// Gives the file of `body` the name at `place`, whether there is a file of that name or not.
/// `likely_free` tells what to try first.
pub(crate) fn over(place: &Place, file: &File, body: &mut Body, likely_free: bool) -> Result<()> {
    let directory = place.parent.as_fd();
    if matches!(body, Body::Nameless) {
        if likely_free {
            match link(directory, file, &place.name) {
                Err(Errno::EXIST) => {}
                other => return Ok(other?),
            }
        }
        // A link cannot replace, a rename can: so the file gets a hidden name first. On ext4 the
        // rename waits for the new contents to be on their way to the disk (0.3 ms and more), so
        // that a power cut leaves the old or the new. Exchanging the names and removing the old
        // file would not wait, and could leave neither.
        *body = Body::Hidden(link_hidden(directory, file)?);
    }
    match body {
        Body::Hidden(name) => Ok(renameat(directory, &*name, directory, &place.name)?),
        _ => to_free(place, file, body),
    }
}

/// Keeps the file of `body` as what an interrupted upload to `of` has left; replaces what an older
/// one has left, unless somebody goes on with that (`Busy`).
pub(crate) fn keep(of: &Place, file: &File, body: &mut Body) -> Result<()> {
    let place = partial::place(of)?;
    for _ in 0..ATTEMPTS_MAX {
        match to_free(&place, file, body) {
            Err(failure) if failure.kind() == ErrorKind::Exists => {}
            other => return other,
        }
        if let Some(_lock) = partial::claim(of, OFlags::WRONLY)? {
            return over(&place, file, body, false);
        }
        if place.look()?.is_some() {
            return Err(ErrorKind::Exists.into());
        }
    }
    Err(ErrorKind::Busy.into())
}

/// Gives an open file without a name a hidden one, locked like all of them.
fn link_hidden(directory: BorrowedFd<'_>, file: &File) -> Result<CString> {
    temporary::lock(file)?;
    let (name, ()) = temporary::with_fresh_name(|name| link(directory, file, name))?;
    Ok(name)
}

/// Gives an open file a name that must be free.
fn link(directory: BorrowedFd<'_>, file: &File, name: &CStr) -> std::result::Result<(), Errno> {
    match linkat(file, c"", directory, name, AtFlags::EMPTY_PATH) {
        // Before Linux 6.10 that takes a privilege.
        Err(Errno::NOENT) => link_by_path(directory, file, name),
        other => other,
    }
}

/// The same by way of /proc, which must be there.
fn link_by_path(
    directory: BorrowedFd<'_>,
    file: &File,
    name: &CStr,
) -> std::result::Result<(), Errno> {
    linkat(CWD, descriptor_path(file), directory, name, AtFlags::SYMLINK_FOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_name_gets_one_by_either_way() {
        let directory = tempfile::tempdir().unwrap();
        let handle = File::open(directory.path()).unwrap();
        type Link = fn(BorrowedFd<'_>, &File, &CStr) -> std::result::Result<(), Errno>;
        for (link, name) in [(link as Link, c"one"), (link_by_path, c"two")] {
            let file = tempfile::tempfile_in(directory.path()).unwrap();
            assert_eq!(link(handle.as_fd(), &file, name), Ok(()));
            assert_eq!(look(&file).unwrap().stx_nlink, 1);
            assert_eq!(link(handle.as_fd(), &file, name), Err(Errno::EXIST));
        }
    }
}
