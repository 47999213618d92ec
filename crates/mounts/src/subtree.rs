//! A directory of a storage, as a storage of its own.

use std::sync::Arc;

use waft_core::storage::{
    Abilities, ChangeFacts, Directory, ErrorKind, Metadata, Reader, Replace, Result, Space,
    Storage, WriteMode, Writer,
};
use waft_core::{BoxFuture, SessionFacts, VirtualPath};
use waft_proto::Timestamp;

use crate::routed::{Routed, Wanted, abilities_of_its_storage, left_to_its_storage};

/// What is in one directory of a storage, and nothing else of it: every path goes through
/// [`place`](Routed::place), and no path leads above its root.
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
}

impl Routed for Subtree {
    fn place(&self, path: &VirtualPath, wanted: Wanted) -> Result<(&dyn Storage, VirtualPath)> {
        let inner = match (path.is_root(), wanted) {
            (true, Wanted::Anything) => self.root.clone(),
            (true, _) => return Err(ErrorKind::Denied.into()),
            (false, _) => self.root.join(path.relative()).map_err(|_| ErrorKind::BadName)?,
        };
        Ok((&*self.storage, inner))
    }
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
        Box::pin(async move {
            let (storage, inner) = self.place(path, Wanted::Anything)?;
            storage.stat(&inner).await
        })
    }

    fn open_directory<'a>(
        &'a self,
        path: &'a VirtualPath,
    ) -> BoxFuture<'a, Result<Box<dyn Directory>>> {
        Box::pin(async move {
            let (storage, inner) = self.place(path, Wanted::Anything)?;
            storage.open_directory(&inner).await
        })
    }

    left_to_its_storage!();

    fn rename<'a>(
        &'a self,
        from: &'a VirtualPath,
        to: &'a VirtualPath,
        replace: Replace,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (storage, from) = self.place(from, Wanted::Directory)?;
            let (_, to) = self.place(to, Wanted::Directory)?;
            storage.rename(&from, &to, replace).await
        })
    }

    fn facts(&self) -> Option<&dyn ChangeFacts> {
        self.storage.facts().is_some().then_some(self)
    }

    fn space(&self) -> Option<&dyn Space> {
        self.storage.space().is_some().then_some(self)
    }
}

abilities_of_its_storage!(Subtree);
