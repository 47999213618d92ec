//! Downloads.

use std::fs::File;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, OFlags};
use rustix::io::{pread, retry_on_intr};
use waft_core::storage::{ErrorKind, LocalFile, Reader};
use waft_core::{BoxFuture, VirtualPath};

use crate::beneath::{Root, look};
use crate::error::Result;
use crate::pool;

/// What a caller's buffer grows to if it has no capacity, octets.
const BUFFER: usize = 64 * 1024;

/// A regular file, open for reading.
#[derive(Debug)]
pub(crate) struct LocalReader {
    file: Arc<File>,
    size: u64,
    offset: u64,
}

pub(crate) fn open(root: &Root, path: &VirtualPath, offset: u64) -> Result<LocalReader> {
    let file = root.open_path(path, OFlags::RDONLY)?;
    let found = look(&file)?;
    match FileType::from_raw_mode(found.stx_mode.into()) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(ErrorKind::IsADirectory.into()),
        _ => return Err(ErrorKind::Denied.into()),
    }
    let size = found.stx_size.checked_sub(offset).ok_or(ErrorKind::BadOffset)?;
    Ok(LocalReader { file: Arc::new(file.into()), size, offset })
}

impl Reader for LocalReader {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn read(&mut self, buffer: Vec<u8>) -> BoxFuture<'_, waft_core::storage::Result<Vec<u8>>> {
        Box::pin(async move {
            let (file, offset) = (Arc::clone(&self.file), self.offset);
            let buffer = pool::run(move || fill(&file, offset, buffer)).await?;
            self.offset += buffer.len() as u64;
            Ok(buffer)
        })
    }

    fn local_file(&self) -> Option<LocalFile> {
        Some(LocalFile { file: Arc::clone(&self.file), offset: self.offset })
    }
}

fn fill(file: &File, mut offset: u64, mut buffer: Vec<u8>) -> Result<Vec<u8>> {
    buffer.clear();
    if buffer.capacity() == 0 {
        buffer.reserve_exact(BUFFER);
    }
    while buffer.len() < buffer.capacity() {
        match retry_on_intr(|| pread(file, spare_capacity(&mut buffer), offset))? {
            0 => break,
            read => offset += read as u64,
        }
    }
    Ok(buffer)
}
