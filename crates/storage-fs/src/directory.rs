//! Directories that are being read.

use std::ffi::CStr;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{OFlags, RawDir};
use rustix::io::Errno;
use tokio::task::JoinHandle;
use waft_core::storage::{Batch, Directory, FileKind};
use waft_core::{BoxFuture, VirtualPath};

use crate::beneath::{Root, look, look_at};
use crate::error::Result;
use crate::facts::{behind_link, metadata};
use crate::{pool, temporary};

/// Octets that the kernel fills with entries at a time: about 1000 of them with usual names. Not
/// held between two batches.
const BUFFER: usize = 64 * 1024;

/// Directories up to this size, octets, are read at once: they have a hundred entries at most where
/// a directory's size tells the truth.
const SMALL: u64 = 4096;

/// An open directory, as far as it was read.
#[derive(Debug)]
pub(crate) struct LocalDirectory {
    open: Arc<Open>,
    large: bool,
    /// The next entries of a large one: they are read while those before are written and sent.
    ahead: Option<JoinHandle<Result<Batch>>>,
}

#[derive(Debug)]
struct Open {
    root: Arc<Root>,
    directory: OwnedFd,
    /// Where it stands, for symbolic links in it: relative to the root, with a slash at the end.
    path: Vec<u8>,
}

pub(crate) fn open(root: &Arc<Root>, path: &VirtualPath) -> Result<LocalDirectory> {
    let directory = root.open_path(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let large = look(&directory)?.stx_size > SMALL;
    let path = [path.relative(), b"/"].concat();
    let open = Arc::new(Open { root: Arc::clone(root), directory, path });
    Ok(LocalDirectory { open, large, ahead: None })
}

impl Directory for LocalDirectory {
    fn read<'a>(
        &'a mut self,
        batch: &'a mut Batch,
    ) -> BoxFuture<'a, waft_core::storage::Result<()>> {
        Box::pin(async move {
            if !self.large {
                return Ok(self.open.fill(batch)?);
            }
            let spare = mem::take(batch);
            let (next, spare) = match &mut self.ahead {
                Some(next) => (next, spare),
                none => (none.insert(self.open.begin(spare)), Batch::default()),
            };
            let read = pool::begun(next).await;
            self.ahead = None;
            *batch = read?;
            if !batch.is_empty() {
                self.ahead = Some(self.open.begin(spare));
            }
            Ok(())
        })
    }
}

impl Open {
    /// Begins to put the next entries into `batch`.
    fn begin(self: &Arc<Self>, mut batch: Batch) -> JoinHandle<Result<Batch>> {
        let open = Arc::clone(self);
        pool::begin(move || open.fill(&mut batch).map(|()| batch))
    }

    /// Puts the next entries into `batch`: what the kernel gives in one call.
    fn fill(&self, batch: &mut Batch) -> Result<()> {
        batch.clear();
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut entries = RawDir::new(&self.directory, buffer.spare_capacity_mut());
        // A buffer may hold nothing but hidden names: the next one then.
        while batch.is_empty() || !entries.is_buffer_empty() {
            match entries.next() {
                None => break,
                Some(Err(Errno::INTR)) => {}
                Some(entry) => {
                    let entry = entry?;
                    self.push(batch, entry.file_name());
                }
            }
        }
        Ok(())
    }

    fn push(&self, batch: &mut Batch, name: &CStr) {
        let bytes = name.to_bytes();
        if matches!(bytes, b"." | b"..") {
            return;
        }
        if temporary::is_reserved(bytes) {
            return temporary::sweep(self.directory.as_fd(), name);
        }
        // Gone meanwhile, or not to be asked about: left out.
        let Ok(found) = look_at(self.directory.as_fd(), name) else { return };
        let facts = metadata(&found);
        if facts.kind == FileKind::Symlink {
            let path = [&self.path, bytes].concat();
            return batch.push(bytes, behind_link(&self.root, &path).unwrap_or(facts));
        }
        batch.push(bytes, facts);
    }
}
