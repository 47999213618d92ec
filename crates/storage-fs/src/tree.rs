//! Operations on names: making, removing and renaming. None of them follows a symbolic link in the
//! last component: it is the link that is removed or renamed.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{
    AtFlags, FileType, Mode, RenameFlags, linkat, mkdirat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;
use waft_core::VirtualPath;
use waft_core::storage::{ErrorKind, Replace};

use crate::beneath::{Place, Root};
use crate::error::{Failure, Result};
use crate::pool;

pub(crate) fn make_directory(root: &Root, path: &VirtualPath, mode: u32) -> Result<()> {
    if path.is_root() {
        return Err(ErrorKind::Exists.into());
    }
    let place = root.place(path)?;
    Ok(mkdirat(&place.parent, &place.name, Mode::from_raw_mode(mode))?)
}

pub(crate) fn remove_directory(root: &Root, path: &VirtualPath) -> Result<()> {
    let place = root.place(path)?;
    match unlinkat(&place.parent, &place.name, AtFlags::REMOVEDIR) {
        // Some file systems say so of a directory that is not empty.
        Err(Errno::EXIST) => Err(ErrorKind::NotEmpty.into()),
        other => Ok(other?),
    }
}

pub(crate) async fn remove_file(root: &Root, path: &VirtualPath) -> Result<()> {
    let place = root.place(path)?;
    let found = place.look()?.ok_or(ErrorKind::NotFound)?;
    if FileType::from_raw_mode(found.stx_mode.into()).is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let large = found.stx_size >= pool::LARGE;
    pool::run_if(large, move || Ok(unlinkat(&place.parent, &place.name, AtFlags::empty())?)).await
}

pub(crate) fn rename(
    root: &Root,
    from: &VirtualPath,
    to: &VirtualPath,
    replace: Replace,
) -> Result<()> {
    let (from, to) = (root.place(from)?, root.place(to)?);
    let moved = from.look()?.ok_or(ErrorKind::NotFound)?;
    let directory = FileType::from_raw_mode(moved.stx_mode.into()).is_dir();
    // A directory could only replace a directory, and that is never asked for.
    let result = if directory || replace == Replace::Never {
        rename_to_free(&from, &to, directory)
    } else {
        renameat(&from.parent, &from.name, &to.parent, &to.name)
    };
    match result {
        Err(Errno::ISDIR | Errno::NOTEMPTY) => Err(ErrorKind::Exists.into()),
        // Not out of the root, as elsewhere, but to another file system beneath it.
        Err(Errno::XDEV) => Err(ErrorKind::Io.into()),
        other => Ok(other?),
    }
}

fn rename_to_free(from: &Place, to: &Place, directory: bool) -> std::result::Result<(), Errno> {
    let flags = RenameFlags::NOREPLACE;
    match renameat_with(&from.parent, &from.name, &to.parent, &to.name, flags) {
        // The file system cannot rename so. A directory cannot be linked either: look first, and
        // what comes in between can only be an empty directory that is lost.
        Err(Errno::INVAL) if directory => match to.look().map_err(Failure::kind) {
            Ok(None) => renameat(&from.parent, &from.name, &to.parent, &to.name),
            Ok(Some(_)) => Err(Errno::EXIST),
            Err(_) => Err(Errno::INVAL),
        },
        Err(Errno::INVAL) => {
            linkat(&from.parent, &from.name, &to.parent, &to.name, AtFlags::empty())?;
            unlinkat(&from.parent, &from.name, AtFlags::empty())
        }
        other => other,
    }
}

/// Renames within a directory to a name that must be free.
pub(crate) fn rename_within_to_free(
    directory: BorrowedFd<'_>,
    from: &CStr,
    to: &CStr,
) -> std::result::Result<(), Errno> {
    match renameat_with(directory, from, directory, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL) => {
            linkat(directory, from, directory, to, AtFlags::empty())?;
            unlinkat(directory, from, AtFlags::empty())
        }
        other => other,
    }
}
