//! Directories that are being read.

mod ahead;

use std::ffi::CStr;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{OFlags, RawDir};
use rustix::io::Errno;
use waft_core::storage::{Batch, Directory, FileKind};
use waft_core::{BoxFuture, VirtualPath};

use crate::beneath::{Root, glance_at, look, look_at};
use crate::error::Result;
use crate::facts::{behind_link, metadata, metadata_at_a_glance};
use crate::temporary;
use ahead::Ahead;

/// Octets that the kernel fills with entries at a time: about 500 of them with usual names. Not
/// held between two batches that a client takes its time for.
const BUFFER: usize = 32 * 1024;

/// Directories up to this size, octets, are read at once: they have a hundred entries at most where
/// a directory's size tells the truth.
const SMALL: u64 = 4096;

/// An open directory, as far as it was read.
#[derive(Debug)]
pub(crate) struct LocalDirectory {
    open: Arc<Open>,
    large: bool,
    /// The next entries of a large one: they are read while those before are written and sent.
    ahead: Option<Ahead>,
}

#[derive(Debug)]
struct Open {
    root: Arc<Root>,
    directory: OwnedFd,
    /// Where it stands, for symbolic links in it: relative to the root, with a slash at the end.
    path: Vec<u8>,
    /// Whether anybody wants to know when entries were made.
    tells_created: bool,
}

pub(crate) fn open(root: &Arc<Root>, path: &VirtualPath) -> Result<LocalDirectory> {
    let directory = root.open_path(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let large = look(&directory)?.stx_size > SMALL;
    let path = [path.relative(), b"/"].concat();
    let open = Open { root: Arc::clone(root), directory, path, tells_created: true };
    Ok(LocalDirectory { open: Arc::new(open), large, ahead: None })
}

impl Directory for LocalDirectory {
    fn read<'a>(
        &'a mut self,
        batch: &'a mut Batch,
    ) -> BoxFuture<'a, waft_core::storage::Result<()>> {
        Box::pin(async move {
            if !self.large {
                return Ok(self.open.fill(batch, &mut Vec::new())?);
            }
            let ahead = self.ahead.get_or_insert_with(|| Ahead::of(Arc::clone(&self.open)));
            *batch = ahead.next(mem::take(batch)).await?;
            Ok(())
        })
    }

    fn spare_created(&mut self) {
        if let Some(open) = Arc::get_mut(&mut self.open) {
            open.tells_created = false;
        }
    }
}

impl Open {
    /// Puts the next entries into `batch`: what the kernel gives in one call, by way of `buffer`.
    fn fill(&self, batch: &mut Batch, buffer: &mut Vec<u8>) -> Result<()> {
        batch.clear();
        buffer.reserve(BUFFER);
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
        let directory = self.directory.as_fd();
        let facts = if self.tells_created {
            look_at(directory, name).map(|found| metadata(&found))
        } else {
            glance_at(directory, name).map(|found| metadata_at_a_glance(&found))
        };
        let Ok(facts) = facts else { return };
        if facts.kind == FileKind::Symlink {
            let path = [&self.path, bytes].concat();
            return batch.push(bytes, behind_link(&self.root, &path).unwrap_or(facts));
        }
        batch.push(bytes, facts);
    }
}
