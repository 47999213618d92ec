//! Storages under paths of another storage, as one storage; and a directory of a storage, as one.
//!
//! Every path belongs to exactly one storage: the one that is mounted nearest above it. A mount
//! point is a directory whatever the storage beneath has under that name, and so are the directories
//! on the way to it: listings show them, and nobody can remove, replace or rename them. A rename
//! from one storage to another is refused, because it would be a copy that nobody asked for.
//!
//! What is *not* here: storages themselves, permissions, and who gets which mounts.
#![forbid(unsafe_code)]

mod directory;
mod routed;
mod subtree;

use std::future::ready;
use std::sync::Arc;

use waft_core::storage::{
    Abilities, ChangeFacts, Directory, ErrorKind, FileKind, Metadata, Reader, Replace, Result,
    Space, Storage, WriteMode, Writer,
};
use waft_core::{BoxFuture, SessionFacts, VirtualPath};
use waft_proto::Timestamp;

use directory::WithMounts;
use routed::{Routed, Wanted, abilities_of_its_storage, left_to_its_storage};

pub use subtree::Subtree;

/// A storage with others mounted under paths of it.
#[derive(Clone)]
pub struct Mounts {
    base: Arc<dyn Storage>,
    mounts: Arc<[(VirtualPath, Arc<dyn Storage>)]>,
}

impl Mounts {
    /// Mounts storages under paths of `base`. None of the paths is the root, and none is there
    /// twice.
    pub fn new(base: Arc<dyn Storage>, mounts: Vec<(VirtualPath, Arc<dyn Storage>)>) -> Mounts {
        Mounts { base, mounts: mounts.into() }
    }

    /// The storage that a path belongs to, the path in it, and the number of the mount; none for the
    /// base.
    fn route(&self, path: &VirtualPath) -> (&dyn Storage, VirtualPath, Option<usize>) {
        let above = self.mounts.iter().enumerate().filter(|(_, (at, _))| path.starts_with(at));
        let nearest = above.max_by_key(|(_, (at, _))| at.as_bytes().len());
        match nearest {
            Some((number, (at, storage))) => (&**storage, beneath(path, at), Some(number)),
            None => (&*self.base, path.clone(), None),
        }
    }

    /// Whether a mount point is at `path` or beneath it: then it is a directory that has to stay.
    fn is_fixed(&self, path: &VirtualPath) -> bool {
        self.mounts.iter().any(|(at, _)| at.starts_with(path))
    }

    /// The directories that mounts make in the one that `path` names.
    fn made_in(&self, path: &VirtualPath) -> Vec<Vec<u8>> {
        let depth = path.components().count();
        let beneath = self.mounts.iter().filter(|(at, _)| at.starts_with(path));
        let mut names: Vec<Vec<u8>> =
            beneath.filter_map(|(at, _)| at.components().nth(depth).map(<[u8]>::to_vec)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Whether some storage can do that.
    fn any(&self, able: impl Fn(&Abilities) -> bool) -> bool {
        let mut all = self.mounts.iter().map(|(_, storage)| storage).chain([&self.base]);
        all.any(|storage| able(&storage.abilities()))
    }
}

/// What a directory is of which no storage knows anything else.
const MADE: Metadata = Metadata {
    kind: FileKind::Directory,
    size: 0,
    modified: None,
    created: None,
    mode: Some(0o755),
    links: 1,
    unique: None,
};

impl Routed for Mounts {
    fn place(&self, path: &VirtualPath, wanted: Wanted) -> Result<(&dyn Storage, VirtualPath)> {
        let refusal = match wanted {
            Wanted::Anything => None,
            Wanted::File => Some(ErrorKind::IsADirectory),
            Wanted::Nothing => Some(ErrorKind::Exists),
            Wanted::Directory => Some(ErrorKind::Denied),
        };
        if let Some(refusal) = refusal.filter(|_| self.is_fixed(path)) {
            return Err(refusal.into());
        }
        let (storage, inner, _) = self.route(path);
        Ok((storage, inner))
    }
}

impl Storage for Mounts {
    fn for_session(&self, session: &Arc<SessionFacts>) -> Option<Arc<dyn Storage>> {
        let bound =
            |storage: &Arc<dyn Storage>| storage.for_session(session).unwrap_or(storage.clone());
        let mounts = self.mounts.iter().map(|(at, storage)| (at.clone(), bound(storage)));
        Some(Arc::new(Mounts::new(bound(&self.base), mounts.collect())))
    }

    /// What any of the storages can do: the one that a path belongs to may refuse it.
    fn abilities(&self) -> Abilities {
        Abilities {
            append: self.any(|able| able.append),
            write_at: self.any(|able| able.write_at),
            rename: self.any(|able| able.rename),
            make_directory: self.any(|able| able.make_directory),
            remove: self.any(|able| able.remove),
            set_modified: self.any(|able| able.set_modified),
            set_mode: self.any(|able| able.set_mode),
            space: self.any(|able| able.space),
        }
    }

    fn stat<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<Metadata>> {
        Box::pin(async move {
            let (storage, inner, _) = self.route(path);
            match storage.stat(&inner).await {
                Ok(found) if found.kind == FileKind::Directory || !self.is_fixed(path) => Ok(found),
                Err(error) if !self.is_fixed(path) => Err(error),
                _ => Ok(MADE),
            }
        })
    }

    fn open_directory<'a>(
        &'a self,
        path: &'a VirtualPath,
    ) -> BoxFuture<'a, Result<Box<dyn Directory>>> {
        Box::pin(async move {
            let (storage, inner, mount) = self.route(path);
            let made = self.made_in(path);
            let opened = storage.open_directory(&inner).await;
            if made.is_empty() {
                return opened;
            }
            let own = match opened {
                Ok(directory) => Some(directory),
                // Only mounts make it a directory.
                Err(error) if mount.is_none() && is_nothing(error.kind()) => None,
                Err(error) => return Err(error),
            };
            Ok(Box::new(WithMounts::new(own, made)) as Box<dyn Directory>)
        })
    }

    left_to_its_storage!();

    fn rename<'a>(
        &'a self,
        from: &'a VirtualPath,
        to: &'a VirtualPath,
        replace: Replace,
    ) -> BoxFuture<'a, Result<()>> {
        if self.is_fixed(from) || self.is_fixed(to) {
            return refused(ErrorKind::Denied);
        }
        let (storage, from, here) = self.route(from);
        let (_, to, there) = self.route(to);
        if here != there {
            return refused(ErrorKind::CrossDevice);
        }
        Box::pin(async move { storage.rename(&from, &to, replace).await })
    }

    fn facts(&self) -> Option<&dyn ChangeFacts> {
        self.any(|able| able.set_modified || able.set_mode).then_some(self)
    }

    fn space(&self) -> Option<&dyn Space> {
        self.any(|able| able.space).then_some(self)
    }
}

abilities_of_its_storage!(Mounts);

fn refused<'a, T: Send + 'a>(kind: ErrorKind) -> BoxFuture<'a, Result<T>> {
    Box::pin(ready(Err(kind.into())))
}

/// Whether an error says that there is no such directory.
fn is_nothing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The path inside what is mounted at `at`.
fn beneath(path: &VirtualPath, at: &VirtualPath) -> VirtualPath {
    let rest = path.as_bytes().get(at.as_bytes().len()..).unwrap_or_default();
    // A part of a path holds nothing that a path does not.
    VirtualPath::root().join(rest).unwrap_or_else(|_| VirtualPath::root())
}

#[cfg(test)]
mod tests;
