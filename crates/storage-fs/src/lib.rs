//! Local directories as storage: confined beneath a directory handle, published atomically.
//!
//! Three layers. `beneath` is the only place where a path becomes an open file: `openat2(2)` with
//! `RESOLVE_BENEATH` on the handle of the root, so that neither `..` nor a symbolic link nor a
//! directory swapped for a link at the right moment leads out. Everything else is done relative to
//! a directory that was opened so, with one last component that is never followed. On that stand
//! the operations on names (`tree`) and facts (`facts`), the readers, and the uploads.
//!
//! An upload is a file without a name (`O_TMPFILE`; where the file system has none, a hidden file)
//! that gets its name when it is complete: a crash, a full disk or a vanished client leaves what
//! was there before and nothing else. `upload` tells the rest: appending in place, resuming, and
//! what is kept of interrupted uploads.
//!
//! Operations on names and facts run where they are awaited: they take a microsecond or two, less
//! than the way to another thread. What may take long goes to tokio's blocking pool: reading
//! directories, contents, `fsync`, copying, freeing large files.
//!
//! What is *not* here: permissions of accounts (the server's), quotas, systems other than Linux.
#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("waft-storage-fs needs Linux: it confines paths with openat2(2)");

mod beneath;
mod directory;
mod error;
mod facts;
mod pool;
mod reader;
mod temporary;
mod tree;
mod turn;
mod upload;

use std::io;
use std::path::Path;
use std::sync::Arc;

use waft_core::storage::{
    ChangeFacts, Directory, ErrorKind, Metadata, Reader, Replace, Result, Space, Storage,
    StorageError, WriteMode, Writer,
};
use waft_core::{BoxFuture, VirtualPath};

use beneath::Root;
use upload::Meanwhile;

/// How a [`LocalStorage`] makes files and directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Permission bits of new files, less the process's umask. A replaced file's bits are kept.
    pub file_mode: u32,
    /// Permission bits of new directories, less the process's umask.
    pub directory_mode: u32,
    /// Whether an upload is on the disk before it is published, and its name before it is
    /// reported complete (`fsync(2)` of file and directory). Without, a power cut may lose or
    /// shorten the uploads of the last seconds.
    pub durable: bool,
}

/// Files 0644, directories 0755, not durable.
impl Default for Options {
    fn default() -> Options {
        Options { file_mode: 0o644, directory_mode: 0o755, durable: false }
    }
}

/// The tree beneath one local directory.
///
/// The directory is held open: renaming or replacing it while the storage lives does not change
/// which one is served.
#[derive(Clone, Debug)]
pub struct LocalStorage {
    root: Arc<Root>,
    vacant: Arc<upload::Vacant>,
    options: Options,
}

impl LocalStorage {
    /// Opens the directory `root`, which itself may be reached through symbolic links.
    ///
    /// # Errors
    /// `root` cannot be opened as a directory, or the system has no `openat2(2)` (Linux before
    /// 5.6, or a sandbox that forbids it).
    pub fn open(root: &Path, options: Options) -> io::Result<LocalStorage> {
        Ok(LocalStorage { root: Arc::new(Root::open(root)?), vacant: Arc::default(), options })
    }

    /// Opens the directory `path` beneath the directory `above`: no symbolic link on the way leads
    /// out of that. For paths that come from others than the operator.
    ///
    /// # Errors
    /// As [`open`](LocalStorage::open); `path` is not a directory beneath `above`.
    pub fn open_beneath(
        above: &Path,
        path: &VirtualPath,
        options: Options,
    ) -> Result<LocalStorage> {
        let above = Root::open(above).map_err(|error| StorageError::new(ErrorKind::Io, error))?;
        Ok(LocalStorage { root: Arc::new(above.beneath(path)?), vacant: Arc::default(), options })
    }
}

impl Storage for LocalStorage {
    fn stat<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<Metadata>> {
        Box::pin(async move { Ok(facts::stat(&self.root, path)?) })
    }

    fn open_directory<'a>(
        &'a self,
        path: &'a VirtualPath,
    ) -> BoxFuture<'a, Result<Box<dyn Directory>>> {
        Box::pin(async move { Ok(Box::new(directory::open(&self.root, path)?) as _) })
    }

    fn open_read<'a>(
        &'a self,
        path: &'a VirtualPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Box<dyn Reader>>> {
        Box::pin(async move { Ok(Box::new(reader::open(&self.root, path, offset)?) as _) })
    }

    fn check_write<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(upload::check(&self.root, &self.vacant, path, mode)?) })
    }

    fn open_write<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Box<dyn Writer>>> {
        Box::pin(async move {
            let seen = Meanwhile::Seen;
            let begun = upload::begin(&self.root, &self.vacant, self.options, path, mode, seen);
            Ok(Box::new(begun.await?) as _)
        })
    }

    fn open_write_unseen<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Box<dyn Writer>>> {
        Box::pin(async move {
            let unseen = Meanwhile::Unseen;
            let begun = upload::begin(&self.root, &self.vacant, self.options, path, mode, unseen);
            Ok(Box::new(begun.await?) as _)
        })
    }

    fn resume_offset<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move { Ok(upload::resume_offset(&self.root, path)?) })
    }

    fn make_directory<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<()>> {
        Box::pin(
            async move { Ok(tree::make_directory(&self.root, path, self.options.directory_mode)?) },
        )
    }

    fn remove_directory<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(tree::remove_directory(&self.root, path)?) })
    }

    fn remove_file<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(tree::remove_file(&self.root, path).await?) })
    }

    fn rename<'a>(
        &'a self,
        from: &'a VirtualPath,
        to: &'a VirtualPath,
        replace: Replace,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(tree::rename(&self.root, from, to, replace)?) })
    }

    fn facts(&self) -> Option<&dyn ChangeFacts> {
        Some(self)
    }

    fn space(&self) -> Option<&dyn Space> {
        Some(self)
    }
}
