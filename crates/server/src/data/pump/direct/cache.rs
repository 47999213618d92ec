//! The page cache: what is in it can be sent without waiting for the disk.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::fstatfs;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::task::spawn_blocking;
use waft_core::storage::{ErrorKind, StorageError};

use super::storage_error;

/// Octets read ahead at a time when the disk has to be asked.
const FILL_BYTES: u64 = 2 * 1024 * 1024;
/// Octets of the buffer that this goes through.
const BUFFER_BYTES: usize = 128 * 1024;
/// The type of a tmpfs, `TMPFS_MAGIC` of statfs(2).
const TMPFS: i64 = 0x0102_1994;

/// A file, and what is known of its place in the page cache.
pub(super) struct Cache {
    file: Arc<File>,
    /// The file is in the cache up to here, as far as we know.
    filled: u64,
}

impl Cache {
    pub(super) fn new(file: Arc<File>) -> Cache {
        Cache { file, filled: 0 }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Returns when `length` octets from `offset` on can probably be read without waiting.
    ///
    /// Only the last of them is looked for: files are read from front to back, so that what is
    /// before it was read earlier.
    pub(super) async fn fill(&mut self, offset: u64, length: usize) -> Result<(), StorageError> {
        let end = offset.saturating_add(length as u64);
        if end <= self.filled || self.is_cached(end.saturating_sub(1))? {
            return Ok(());
        }
        let file = Arc::clone(&self.file);
        let read = spawn_blocking(move || read_through(&file, offset, FILL_BYTES)).await;
        let read = read.map_err(|error| StorageError::new(ErrorKind::Io, error))?;
        self.filled = read.map_err(storage_error)?;
        Ok(())
    }

    fn is_cached(&mut self, offset: u64) -> Result<bool, StorageError> {
        let mut octet = [0];
        let octet = &mut [IoSliceMut::new(&mut octet)];
        match preadv2(&self.file, octet, offset, ReadWriteFlags::NOWAIT) {
            Ok(_) => Ok(true),
            Err(Errno::OPNOTSUPP) if self.is_in_memory() => {
                self.filled = u64::MAX;
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP) => Ok(false),
            Err(errno) => Err(storage_error(errno.into())),
        }
    }

    /// Whether the file system is memory, and cannot be asked what is in it.
    fn is_in_memory(&self) -> bool {
        fstatfs(&self.file).is_ok_and(|facts| i64::from(facts.f_type) == TMPFS)
    }
}

/// Reads a part of the file, which leaves it in the cache; tells up to where.
fn read_through(file: &File, begin: u64, length: u64) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut offset = begin;
    while offset < begin.saturating_add(length) {
        match file.read_at(&mut buffer, offset) {
            // The end of the file: there is nothing to wait for behind it.
            Ok(0) => return Ok(u64::MAX),
            Ok(read) => offset += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(offset)
}
