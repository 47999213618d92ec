//! A directory of a storage, as a storage of its own.

use std::sync::Arc;

use waft_core::storage::{
    Abilities, ChangeFacts, Directory, ErrorKind, Metadata, Reader, Replace, Result, Space,
    Storage, WriteMode, Writer,
};
use waft_core::{BoxFuture, SessionFacts, VirtualPath};
use waft_proto::Timestamp;

/// What is in one directory of a storage, and nothing else of it: every path goes through
/// [`inner`](Self::inner), and no path leads above its root.
///
/// The directory itself is the root, which cannot be removed, renamed or replaced. It need not be
/// there; until it is, nothing is.
#[derive(Clone)]
pub struct Subtree {
    storage: Arc<dyn Storage>,
    root: VirtualPath,
}

impl Subtree {
    /// What is in the directory `root` of `storage`.
    pub fn new(storage: Arc<dyn Storage>, root: VirtualPath) -> Subtree {
        Subtree { storage, root }
    }

    /// The path in the storage beneath.
    fn inner(&self, path: &VirtualPath) -> Result<VirtualPath> {
        if path.is_root() {
            return Ok(self.root.clone());
        }
        self.root.join(path.relative()).map_err(|_| ErrorKind::BadName.into())
    }

    /// The same for what is a file, or may go: never the root itself.
    fn below(&self, path: &VirtualPath) -> Result<VirtualPath> {
        if path.is_root() {
            return Err(ErrorKind::Denied.into());
        }
        self.inner(path)
    }
}

/// Leaves the work to the storage beneath, with the path there.
macro_rules! beneath {
    ($self:ident, $map:ident($path:ident), $method:ident $(, $argument:expr)*) => {
        Box::pin(async move {
            let inner = $self.$map($path)?;
            $self.storage.$method(&inner $(, $argument)*).await
        })
    };
}

impl Storage for Subtree {
    fn for_session(&self, session: &Arc<SessionFacts>) -> Option<Arc<dyn Storage>> {
        let storage = self.storage.for_session(session)?;
        Some(Arc::new(Subtree { storage, root: self.root.clone() }))
    }

    fn abilities(&self) -> Abilities {
        self.storage.abilities()
    }

    fn stat<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<Metadata>> {
        beneath!(self, inner(path), stat)
    }

    fn open_directory<'a>(
        &'a self,
        path: &'a VirtualPath,
    ) -> BoxFuture<'a, Result<Box<dyn Directory>>> {
        beneath!(self, inner(path), open_directory)
    }

    fn open_read<'a>(
        &'a self,
        path: &'a VirtualPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Box<dyn Reader>>> {
        beneath!(self, below(path), open_read, offset)
    }

    fn check_write<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<()>> {
        beneath!(self, below(path), check_write, mode)
    }

    fn open_write<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Box<dyn Writer>>> {
        beneath!(self, below(path), open_write, mode)
    }

    fn open_write_unseen<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Box<dyn Writer>>> {
        beneath!(self, below(path), open_write_unseen, mode)
    }

    fn resume_offset<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<u64>> {
        beneath!(self, below(path), resume_offset)
    }

    fn make_directory<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<()>> {
        beneath!(self, below(path), make_directory)
    }

    fn remove_directory<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<()>> {
        beneath!(self, below(path), remove_directory)
    }

    fn remove_file<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<()>> {
        beneath!(self, below(path), remove_file)
    }

    fn rename<'a>(
        &'a self,
        from: &'a VirtualPath,
        to: &'a VirtualPath,
        replace: Replace,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (from, to) = (self.below(from)?, self.below(to)?);
            self.storage.rename(&from, &to, replace).await
        })
    }

    fn facts(&self) -> Option<&dyn ChangeFacts> {
        self.storage.facts().is_some().then_some(self)
    }

    fn space(&self) -> Option<&dyn Space> {
        self.storage.space().is_some().then_some(self)
    }
}

/// The same for abilities that not every storage has.
macro_rules! able_beneath {
    ($self:ident, $path:ident, $ability:ident, $method:ident $(, $argument:expr)*) => {
        Box::pin(async move {
            let inner = $self.inner($path)?;
            let able = $self.storage.$ability().ok_or(ErrorKind::Unsupported)?;
            able.$method(&inner $(, $argument)*).await
        })
    };
}

impl ChangeFacts for Subtree {
    fn set_modified<'a>(
        &'a self,
        path: &'a VirtualPath,
        modified: Timestamp,
    ) -> BoxFuture<'a, Result<()>> {
        able_beneath!(self, path, facts, set_modified, modified)
    }

    fn set_created<'a>(
        &'a self,
        path: &'a VirtualPath,
        created: Timestamp,
    ) -> BoxFuture<'a, Result<()>> {
        able_beneath!(self, path, facts, set_created, created)
    }

    fn set_mode<'a>(&'a self, path: &'a VirtualPath, mode: u32) -> BoxFuture<'a, Result<()>> {
        able_beneath!(self, path, facts, set_mode, mode)
    }
}

impl Space for Subtree {
    fn available<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<u64>> {
        able_beneath!(self, path, space, available)
    }
}
