//! Facts of files: reading and changing them, and free space.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, Statx, StatxFlags, StatxTimestamp, Timespec,
    Timestamps, UTIME_OMIT,
};
use rustix::io::Errno;
use waft_core::storage::{ChangeFacts, ErrorKind, FileKind, Metadata, Space};
use waft_core::{BoxFuture, VirtualPath};
use waft_proto::time::Timestamp;

use crate::LocalStorage;
use crate::beneath::{Root, look};
use crate::error::Result;

pub(crate) fn stat(root: &Root, path: &VirtualPath) -> Result<Metadata> {
    if path.is_root() {
        return Ok(metadata(&look(root.directory())?));
    }
    let found = root.place(path)?.look()?.ok_or(ErrorKind::NotFound)?;
    let facts = metadata(&found);
    if facts.kind == FileKind::Symlink {
        return Ok(behind_link(root, path.relative()).unwrap_or(facts));
    }
    Ok(facts)
}

/// Facts of what the symbolic link at `relative` stands for, if that is beneath the root.
pub(crate) fn behind_link(root: &Root, relative: &[u8]) -> Option<Metadata> {
    let file = root.open_relative(relative, OFlags::PATH).ok()?;
    look(file).ok().as_ref().map(metadata)
}

/// What the kernel tells, in the words of the storage.
pub(crate) fn metadata(found: &Statx) -> Metadata {
    let time = |time: StatxTimestamp| Timestamp { seconds: time.tv_sec, nanos: time.tv_nsec };
    let created = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    let device = rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor);
    Metadata {
        kind: kind(found.stx_mode.into()),
        size: found.stx_size,
        modified: Some(time(found.stx_mtime)),
        created: created.then(|| time(found.stx_btime)),
        mode: Some(u32::from(found.stx_mode) & 0o7777),
        links: found.stx_nlink.into(),
        unique: Some((device, found.stx_ino)),
    }
}

/// The same of what it tells at a glance.
#[allow(clippy::unnecessary_cast, reason = "types of these fields differ between processors")]
pub(crate) fn metadata_at_a_glance(found: &Stat) -> Metadata {
    Metadata {
        kind: kind(found.st_mode),
        size: u64::try_from(found.st_size).unwrap_or_default(),
        modified: Some(Timestamp { seconds: found.st_mtime, nanos: found.st_mtime_nsec as u32 }),
        created: None,
        mode: Some(found.st_mode & 0o7777),
        links: found.st_nlink as u64,
        unique: Some((found.st_dev as u64, found.st_ino as u64)),
    }
}

fn kind(mode: u32) -> FileKind {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

impl ChangeFacts for LocalStorage {
    fn set_modified<'a>(
        &'a self,
        path: &'a VirtualPath,
        modified: Timestamp,
    ) -> BoxFuture<'a, waft_core::storage::Result<()>> {
        Box::pin(async move { Ok(set_modified(&self.root, path, modified)?) })
    }

    fn set_created<'a>(
        &'a self,
        _path: &'a VirtualPath,
        _created: Timestamp,
    ) -> BoxFuture<'a, waft_core::storage::Result<()>> {
        Box::pin(async { Err(ErrorKind::Unsupported.into()) })
    }

    fn set_mode<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: u32,
    ) -> BoxFuture<'a, waft_core::storage::Result<()>> {
        Box::pin(async move { Ok(set_mode(&self.root, path, mode)?) })
    }
}

impl Space for LocalStorage {
    fn available<'a>(
        &'a self,
        path: &'a VirtualPath,
    ) -> BoxFuture<'a, waft_core::storage::Result<u64>> {
        Box::pin(async move {
            let directory = self.root.open_path(path, OFlags::PATH | OFlags::DIRECTORY)?;
            let space = rustix::fs::fstatvfs(directory).map_err(crate::error::Failure::from)?;
            Ok(space.f_bavail.saturating_mul(space.f_frsize))
        })
    }
}

fn set_modified(root: &Root, path: &VirtualPath, modified: Timestamp) -> Result<()> {
    let file = open_for_change(root, path)?;
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: modified.seconds, tv_nsec: modified.nanos.into() },
    };
    Ok(rustix::fs::utimensat(&file, c"", &times, AtFlags::EMPTY_PATH)?)
}

fn set_mode(root: &Root, path: &VirtualPath, mode: u32) -> Result<()> {
    let file = open_for_change(root, path)?;
    let mode = Mode::from_raw_mode(mode & 0o777);
    match rustix::fs::chmodat(CWD, descriptor_path(&file), mode, AtFlags::empty()) {
        // Without /proc, only who may read the file gets at its mode.
        Err(Errno::NOENT | Errno::NOTDIR) => {
            Ok(rustix::fs::fchmod(root.open_path(path, OFlags::RDONLY)?, mode)?)
        }
        other => Ok(other?),
    }
}

/// The name under which the kernel hands out the very file that is open here, even where it has
/// no other name.
pub(crate) fn descriptor_path(open: impl AsFd) -> String {
    format!("/proc/self/fd/{}", open.as_fd().as_raw_fd())
}

/// A handle on the file or directory that `path` names; neither reading nor writing is asked for.
fn open_for_change(root: &Root, path: &VirtualPath) -> Result<OwnedFd> {
    let file = root.open_path(path, OFlags::PATH)?;
    match FileType::from_raw_mode(look(&file)?.stx_mode.into()) {
        FileType::RegularFile | FileType::Directory => Ok(file),
        _ => Err(ErrorKind::Denied.into()),
    }
}
