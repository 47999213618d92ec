//! What commands do to files: asked with the path resolved, before anything is touched.

use std::sync::Arc;

use waft_proto::Reply;

use crate::BoxFuture;
use crate::path::VirtualPath;
use crate::session::SessionFacts;
use crate::storage::Batch;

/// What an upload does to what stands under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    /// Nothing stands there.
    Create,
    /// It takes its place.
    Replace,
    /// It adds to it.
    Append,
    /// It goes on in it, from an offset.
    Resume,
}

/// What a command is about to do to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileOp {
    /// To read its contents, from that octet on: RETR, HASH and its like.
    Read(VirtualPath, u64),
    /// To write it: STOR, APPE, STOU.
    Write(VirtualPath, WriteKind),
    /// To delete it: DELE.
    Remove(VirtualPath),
    /// To rename it: RNTO, the old name first.
    Rename(VirtualPath, VirtualPath),
    /// To make a directory: MKD.
    MakeDirectory(VirtualPath),
    /// To remove a directory: RMD.
    RemoveDirectory(VirtualPath),
    /// To make it the working directory: CWD, CDUP.
    Enter(VirtualPath),
    /// To tell facts of it, or what is in it: LIST, NLST, MLSD, STAT, MLST, SIZE, MDTM, AVBL, RNFR.
    Inspect(VirtualPath),
    /// To change facts of it: MFMT, MFCT, MFF, SITE CHMOD, SITE UTIME. The facts are in words, as
    /// MFF has them (`Modify=20240101120000;UNIX.mode=0644;`).
    Change(VirtualPath, String),
}

impl FileOp {
    /// What kind of thing it is.
    pub fn kind(&self) -> FileOpKind {
        match self {
            FileOp::Read(..) => FileOpKind::Read,
            FileOp::Write(..) => FileOpKind::Write,
            FileOp::Remove(..) => FileOpKind::Remove,
            FileOp::Rename(..) => FileOpKind::Rename,
            FileOp::MakeDirectory(..) => FileOpKind::MakeDirectory,
            FileOp::RemoveDirectory(..) => FileOpKind::RemoveDirectory,
            FileOp::Enter(..) => FileOpKind::Enter,
            FileOp::Inspect(..) => FileOpKind::Inspect,
            FileOp::Change(..) => FileOpKind::Change,
        }
    }

    /// The path that a plugin may put another in the place of; of a renaming, the new name.
    pub fn target(&self) -> &VirtualPath {
        match self {
            FileOp::Read(path, _)
            | FileOp::Write(path, _)
            | FileOp::Remove(path)
            | FileOp::Rename(_, path)
            | FileOp::MakeDirectory(path)
            | FileOp::RemoveDirectory(path)
            | FileOp::Enter(path)
            | FileOp::Inspect(path)
            | FileOp::Change(path, _) => path,
        }
    }

    /// That path, and nothing else of it.
    pub fn into_target(self) -> VirtualPath {
        match self {
            FileOp::Read(path, _)
            | FileOp::Write(path, _)
            | FileOp::Remove(path)
            | FileOp::Rename(_, path)
            | FileOp::MakeDirectory(path)
            | FileOp::RemoveDirectory(path)
            | FileOp::Enter(path)
            | FileOp::Inspect(path)
            | FileOp::Change(path, _) => path,
        }
    }

    /// The same with another path.
    #[must_use]
    pub fn redirected(self, path: VirtualPath) -> FileOp {
        match self {
            FileOp::Read(_, offset) => FileOp::Read(path, offset),
            FileOp::Write(_, kind) => FileOp::Write(path, kind),
            FileOp::Remove(_) => FileOp::Remove(path),
            FileOp::Rename(from, _) => FileOp::Rename(from, path),
            FileOp::MakeDirectory(_) => FileOp::MakeDirectory(path),
            FileOp::RemoveDirectory(_) => FileOp::RemoveDirectory(path),
            FileOp::Enter(_) => FileOp::Enter(path),
            FileOp::Inspect(_) => FileOp::Inspect(path),
            FileOp::Change(_, facts) => FileOp::Change(path, facts),
        }
    }
}

/// A kind of [`FileOp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FileOpKind {
    /// See [`FileOp::Read`].
    Read,
    /// See [`FileOp::Write`].
    Write,
    /// See [`FileOp::Remove`].
    Remove,
    /// See [`FileOp::Rename`].
    Rename,
    /// See [`FileOp::MakeDirectory`].
    MakeDirectory,
    /// See [`FileOp::RemoveDirectory`].
    RemoveDirectory,
    /// See [`FileOp::Enter`].
    Enter,
    /// See [`FileOp::Inspect`].
    Inspect,
    /// See [`FileOp::Change`].
    Change,
}

impl FileOpKind {
    /// All of them, with the names that plugins use.
    pub const ALL: [(FileOpKind, &'static str); 9] = [
        (FileOpKind::Read, "read"),
        (FileOpKind::Write, "write"),
        (FileOpKind::Remove, "remove"),
        (FileOpKind::Rename, "rename"),
        (FileOpKind::MakeDirectory, "make-dir"),
        (FileOpKind::RemoveDirectory, "remove-dir"),
        (FileOpKind::Enter, "enter"),
        (FileOpKind::Inspect, "inspect"),
        (FileOpKind::Change, "change"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        FileOpKind::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<FileOpKind> {
        FileOpKind::ALL.into_iter().find(|(_, known)| *known == name).map(|(kind, _)| kind)
    }
}

/// A set of [`FileOpKind`]s: a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileOps(u16);

impl FileOps {
    /// None.
    pub const NONE: FileOps = FileOps(0);
    /// All of them.
    pub const ALL: FileOps = FileOps(0x1ff);

    /// The set with `kind` added.
    #[must_use]
    pub const fn with(self, kind: FileOpKind) -> FileOps {
        FileOps(self.0 | 1 << kind as u16)
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: FileOps) -> FileOps {
        FileOps(self.0 | other.0)
    }

    /// Whether `kind` is in the set.
    pub const fn contains(self, kind: FileOpKind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }

    /// The names of what is in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let named = FileOpKind::ALL.into_iter();
        named.filter(move |(kind, _)| self.contains(*kind)).map(|(_, name)| name)
    }
}

/// What the plugins decided about what a command does.
#[derive(Clone, Debug)]
pub enum FileVerdict {
    /// It is done.
    Pass,
    /// It is done to another file, if the account may do that there.
    Redirect {
        /// The other file.
        path: VirtualPath,
        /// The last plugin that wanted another.
        plugin: Arc<str>,
    },
    /// It is not done.
    Deny {
        /// The answer; a refusal.
        reply: Reply,
        /// The plugin that wanted it.
        plugin: Arc<str>,
    },
    /// It is not done, as a plugin that had to be asked failed or cannot be shown the path: nobody
    /// decided about it.
    Undecided {
        /// The answer; a refusal.
        reply: Reply,
        /// The plugin.
        plugin: Arc<str>,
    },
}

/// What the plugins left of a piece of a listing.
#[derive(Clone, Debug, Default)]
pub struct ListVerdict {
    /// Which entries the client may see; `None` is all of them.
    pub shown: Option<Vec<bool>>,
    /// The last plugin that hid some.
    pub plugin: Option<Arc<str>>,
}

/// A plugin could not tell which entries the client may see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plugin {0} could not tell which entries are shown")]
pub struct ListUndecided(pub Arc<str>);

/// Decides what is done to files.
pub trait FileFilter: Send + Sync {
    /// What some plugin wants to decide about.
    fn wanted(&self) -> FileOps;

    /// Whether some plugin wants to see listings.
    fn wants_listings(&self) -> bool;

    /// Decides about what a command is about to do.
    fn on_file<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        op: &'a FileOp,
    ) -> BoxFuture<'a, FileVerdict>;

    /// Decides which entries of a directory are listed.
    fn on_list<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        directory: &'a VirtualPath,
        entries: &'a Batch,
    ) -> BoxFuture<'a, Result<ListVerdict, ListUndecided>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_every_kind_by_name() {
        let all = FileOpKind::ALL.into_iter().fold(FileOps::NONE, |all, (kind, _)| all.with(kind));
        assert_eq!(all, FileOps::ALL);
        assert_eq!(all.names().count(), FileOpKind::ALL.len());
        for (kind, name) in FileOpKind::ALL {
            assert_eq!(FileOpKind::from_name(name), Some(kind));
            assert!(!FileOps::NONE.contains(kind));
        }
    }

    #[test]
    fn a_renaming_is_redirected_by_its_new_name() {
        let at = |path: &[u8]| VirtualPath::root().join(path).unwrap();
        let op = FileOp::Rename(at(b"/a"), at(b"/b"));
        assert_eq!(op.target(), &at(b"/b"));
        assert_eq!(op.redirected(at(b"/c")), FileOp::Rename(at(b"/a"), at(b"/c")));
    }
}
