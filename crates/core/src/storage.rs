//! Where files are: the traits that a storage implements.
//!
//! A storage sees paths already normalised and permissions already checked; it decides what is
//! there and keeps uploads whole. Optional abilities are traits of their own, reached by a method
//! that returns an `Option`: what a storage does not have, the server does not announce.

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use waft_proto::Reply;
use waft_proto::time::Timestamp;

use crate::path::VirtualPath;
use crate::{BoxFuture, SessionFacts};

mod abilities;
mod places;

pub use abilities::Abilities;
pub use places::{BadPlace, StoragePlace, Storages};

/// What went wrong in a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No such file or directory: 550.
    NotFound,
    /// Not allowed by the storage: 550.
    Denied,
    /// Exists already: 550 (553 for an upload or a rename).
    Exists,
    /// The directory is not empty: 550.
    NotEmpty,
    /// A directory is needed: 550.
    NotADirectory,
    /// A file is needed: 550.
    IsADirectory,
    /// No space left: 452.
    NoSpace,
    /// The account's quota is used up: 552.
    Quota,
    /// The storage cannot do that: 504.
    Unsupported,
    /// The name cannot be stored: 553.
    BadName,
    /// In use; later it may work: 450.
    Busy,
    /// The offset is beyond the file's end: 554.
    BadOffset,
    /// A listing has more entries than the operator allows: 451.
    TooManyEntries,
    /// Source and target of a rename lie in different storages: 553.
    CrossDevice,
    /// Somebody who may decide about contents refuses them, with a reply of his own.
    Refused,
    /// Anything else, our fault or the medium's: 451.
    Io,
}

/// What went wrong in a storage, and why.
#[derive(Debug)]
pub struct StorageError {
    kind: ErrorKind,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    refused: Option<Box<Refused>>,
}

/// Contents that a plugin does not want.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What the client gets, which need not be a refusal.
    pub reply: Reply,
    /// The plugin.
    pub plugin: Arc<str>,
    /// Whether the plugin refused them; if not, it failed.
    pub is_decided: bool,
    /// Whether they were put aside, where the operator wants such files.
    pub is_kept: bool,
}

/// What a storage returns.
pub type Result<T> = std::result::Result<T, StorageError>;

impl StorageError {
    /// An error of that kind with the error beneath it, which logs show and clients do not see.
    pub fn new(
        kind: ErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StorageError {
        StorageError { kind, source: Some(source.into()), refused: None }
    }

    /// A plugin does not want the contents.
    pub fn refused(refused: Refused) -> StorageError {
        let refused = Some(Box::new(refused));
        StorageError { kind: ErrorKind::Refused, source: None, refused }
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Who does not want the contents, and what the client is to be told, where it is that.
    pub fn refusal(&self) -> Option<&Refused> {
        self.refused.as_deref()
    }
}

impl From<ErrorKind> for StorageError {
    fn from(kind: ErrorKind) -> StorageError {
        StorageError { kind, source: None, refused: None }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{:?}: {source}", self.kind),
            None => write!(f, "{:?}", self.kind),
        }
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link that does not resolve inside the storage.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

/// Facts of a file or directory. Symbolic links are followed where they resolve inside the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Size in octets.
    pub size: u64,
    /// When its contents last changed.
    pub modified: Option<Timestamp>,
    /// When it was made, where the storage knows.
    pub created: Option<Timestamp>,
    /// Unix permission bits, 0o000 to 0o7777.
    pub mode: Option<u32>,
    /// Number of hard links.
    pub links: u64,
    /// A pair of numbers (device, inode) that no other file of the storage has.
    pub unique: Option<(u64, u64)>,
}

/// Entries of a directory, many in one piece of memory; made to be cleared and filled again.
#[derive(Debug, Default)]
pub struct Batch {
    names: Vec<u8>,
    entries: Vec<(usize, Metadata)>,
}

impl Batch {
    /// Adds an entry.
    pub fn push(&mut self, name: &[u8], metadata: Metadata) {
        self.names.extend_from_slice(name);
        self.entries.push((self.names.len(), metadata));
    }

    /// Forgets all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.names.clear();
        self.entries.clear();
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries, each with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Metadata)> {
        let mut start = 0;
        self.entries.iter().map(move |(end, metadata)| {
            let name = self.names.get(start..*end).unwrap_or_default();
            start = *end;
            (name, metadata)
        })
    }
}

/// How an upload treats what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// The name must be free (`Exists` otherwise).
    CreateNew,
    /// What is there is replaced when the upload is complete, and untouched until then.
    Replace,
    /// Behind what is there; creates the file if there is none.
    Append,
    /// From that offset; what stood behind it is gone when the upload is complete. An offset
    /// beyond the end is `BadOffset`.
    At(u64),
}

/// What becomes of an upload that does not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// What arrived is kept where it can be resumed, never as if it were complete.
    Keep,
    /// What arrived is deleted.
    Delete,
}

/// An open regular file of the local file system, for transfers without copies.
#[derive(Clone, Debug)]
pub struct LocalFile {
    /// The file. Its own position is not used.
    pub file: Arc<File>,
    /// Where reading or writing goes on.
    pub offset: u64,
}

/// A tree of files.
pub trait Storage: Send + Sync {
    /// The same storage for the operations of one session, where it matters whose they are.
    /// Asked once per command; `None` is this one.
    fn for_session(&self, _: &Arc<SessionFacts>) -> Option<Arc<dyn Storage>> {
        None
    }

    /// What it can do.
    fn abilities(&self) -> Abilities {
        Abilities::ALL
    }

    /// Facts of what `path` names.
    fn stat<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<Metadata>>;

    /// Opens the directory that `path` names, to be read in batches.
    fn open_directory<'a>(
        &'a self,
        path: &'a VirtualPath,
    ) -> BoxFuture<'a, Result<Box<dyn Directory>>>;

    /// Opens the file that `path` names for reading from `offset`.
    ///
    /// An offset at the end reads nothing; one beyond it is `BadOffset`.
    fn open_read<'a>(
        &'a self,
        path: &'a VirtualPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Box<dyn Reader>>>;

    /// Tells whether [`open_write`](Storage::open_write) is likely to succeed. Changes nothing:
    /// it runs before the 150 reply, when the data connection may never come.
    fn check_write<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<()>>;

    /// Begins an upload. What `path` names stays as it is until the writer has finished.
    fn open_write<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Box<dyn Writer>>>;

    /// As [`open_write`](Storage::open_write), but what arrives is invisible until the writer has
    /// finished even where a file is there and the upload goes on behind its end. `Unsupported`
    /// where the storage writes such uploads in place and nowhere else.
    fn open_write_unseen<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Box<dyn Writer>>> {
        match mode {
            WriteMode::CreateNew | WriteMode::Replace => self.open_write(path, mode),
            WriteMode::Append | WriteMode::At(_) => {
                Box::pin(std::future::ready(Err(ErrorKind::Unsupported.into())))
            }
        }
    }

    /// Where an upload to `path` would go on: the size of the file, or of what an interrupted
    /// upload to a name still free has left. Only SIZE and resumed uploads ask.
    fn resume_offset<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<u64>>;

    /// Makes a directory; the one above it must be there.
    fn make_directory<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<()>>;

    /// Removes an empty directory.
    fn remove_directory<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<()>>;

    /// Removes a file, or a symbolic link itself.
    fn remove_file<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<()>>;

    /// Renames; `to` is replaced if it is a file and `replace` says so (`Exists` otherwise).
    fn rename<'a>(
        &'a self,
        from: &'a VirtualPath,
        to: &'a VirtualPath,
        replace: Replace,
    ) -> BoxFuture<'a, Result<()>>;

    /// The ability to change facts, if the storage has it.
    fn facts(&self) -> Option<&dyn ChangeFacts>;

    /// The ability to tell free space, if the storage has it.
    fn space(&self) -> Option<&dyn Space>;
}

/// Whether a rename may replace a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// The name must be free.
    Never,
    /// A file of that name is replaced.
    File,
}

/// Ability: changing facts of files.
pub trait ChangeFacts: Send + Sync {
    /// Sets when the contents last changed.
    fn set_modified<'a>(
        &'a self,
        path: &'a VirtualPath,
        modified: Timestamp,
    ) -> BoxFuture<'a, Result<()>>;

    /// Sets when the file was made; `Unsupported` where the medium cannot.
    fn set_created<'a>(
        &'a self,
        path: &'a VirtualPath,
        created: Timestamp,
    ) -> BoxFuture<'a, Result<()>>;

    /// Sets the Unix permission bits, 0o000 to 0o777.
    fn set_mode<'a>(&'a self, path: &'a VirtualPath, mode: u32) -> BoxFuture<'a, Result<()>>;
}

/// Ability: telling free space.
pub trait Space: Send + Sync {
    /// Octets that can still be stored in the directory that `path` names.
    fn available<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<u64>>;
}

/// A directory that is being read.
pub trait Directory: Send {
    /// Clears `batch` and fills it with the next entries, without `.` and `..`, in no order; an
    /// empty batch is the end. An entry whose facts cannot be read is left out.
    fn read<'a>(&'a mut self, batch: &'a mut Batch) -> BoxFuture<'a, Result<()>>;

    /// Says, before the first entry is read, that nobody wants to know when entries were made:
    /// what comes may then lack it, where that spares something.
    fn spare_created(&mut self) {}
}

/// A file that is being downloaded.
pub trait Reader: Send {
    /// Octets from the offset to the end, as of the opening; `None` where nobody knows.
    fn size(&self) -> Option<u64>;

    /// Fills the cleared `buffer` up to its capacity and gives it back; empty is the end.
    ///
    /// The buffer is lent by value, so that it can go to another thread or into a guest.
    fn read(&mut self, buffer: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>>>;

    /// The file beneath, if it is a local one: whoever takes it reads by itself and no longer
    /// through [`read`](Reader::read).
    fn local_file(&self) -> Option<LocalFile>;
}

/// A file that is being uploaded. Dropped without `finish` or `abandon` it is deleted.
pub trait Writer: Send {
    /// Writes all of `data` and gives the memory back, cleared.
    fn write(&mut self, data: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>>>;

    /// Makes the upload what its name stands for; once this returns, it is there for everybody.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Metadata>>;

    /// Ends an upload that did not complete.
    fn abandon(self: Box<Self>, interrupted: Interrupted) -> BoxFuture<'static, Result<()>>;

    /// The file beneath, if it is a local one: whoever takes it writes by itself, from the offset
    /// on, and no longer through [`write`](Writer::write). `finish` takes the file as it then is.
    fn local_file(&self) -> Option<LocalFile>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_back_what_was_put_in() {
        let metadata = Metadata {
            kind: FileKind::File,
            size: 3,
            modified: None,
            created: None,
            mode: None,
            links: 1,
            unique: None,
        };
        let mut batch = Batch::default();
        batch.push(b"a", metadata);
        batch.push(b"\xffbc", metadata);
        let names: Vec<_> = batch.iter().map(|(name, _)| name.to_vec()).collect();
        assert_eq!(names, [b"a".to_vec(), b"\xffbc".to_vec()]);
        batch.clear();
        assert!(batch.is_empty());
    }
}
