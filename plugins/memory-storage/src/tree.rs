//! Directories, and what stands in them: a key for each entry, which begins with the number of the
//! directory. So a directory is renamed by its own entry alone, however much is in it.
//!
//! Instances run in parallel, so no entry is written that has not been compared with the one that
//! it replaces. What is compared cannot be given a lifetime in the store: a file's entry says when
//! it expires, and who reads it after that forgets it.

use std::time::Duration;

use waft_plugin_sdk::{ErrorCode, FileStat, Page, StorageError, clock, kv};

/// How the keys of entries begin.
pub(crate) const ENTRIES: &str = "entry:";

/// Where the number of the next file or directory is kept.
const NEXT: &str = "next";

/// The number of the outermost directory, which has no entry.
const ROOT: i64 = 0;

/// Octets of a name and of a path, as most file systems have them.
const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4096;

/// Names in a path, each of which is looked up in every call: an operation has its time, and so deep
/// that it would not do nobody gets.
const DEPTH_MAX: usize = 256;

/// So often is tried what others come in between of; each time somebody else has had success.
const TRIES: usize = 16;

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Directory(Directory),
    File(File),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    id: i64,
    /// Times are in milliseconds since 1970.
    modified: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// The number that its pieces bear.
    pub(crate) id: i64,
    pub(crate) size: u64,
    pub(crate) modified: u64,
    pub(crate) expires: Option<u64>,
    /// The user who uploaded it.
    pub(crate) owner: String,
}

impl File {
    /// An empty file with a number of its own.
    pub(crate) fn new() -> Result<Self, StorageError> {
        let (id, owner) = (next_id()?, String::new());
        Ok(Self { id, size: 0, modified: 0, expires: None, owner })
    }

    pub(crate) fn has_expired(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= clock::now_ms())
    }

    /// How long it still lives; none for ever.
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        let left = |expires: u64| expires.saturating_sub(clock::now_ms()).max(1);
        self.expires.map(|expires| Duration::from_millis(left(expires)))
    }
}

impl Entry {
    pub(crate) fn stat(&self) -> FileStat {
        match self {
            Self::Directory(Directory { modified: 0, .. }) => FileStat::directory(),
            Self::Directory(directory) => FileStat::directory().modified(directory.modified),
            Self::File(file) => FileStat::file(file.size).modified(file.modified),
        }
    }

    /// Whether it is the same file or directory, though its times may be others.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.id() == other.id()
    }

    fn id(&self) -> i64 {
        match self {
            Self::Directory(directory) => directory.id,
            Self::File(file) => file.id,
        }
    }

    /// What the store keeps, letter for letter.
    fn text(&self) -> String {
        match self {
            Self::Directory(Directory { id, modified }) => format!("directory {id} {modified}"),
            Self::File(File { id, size, modified, expires, owner }) => {
                let expires = expires.unwrap_or_default();
                format!("file {id} {size} {modified} {expires} {owner}")
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        // The name of a user comes last, for there may be spaces in it.
        let mut words = text.splitn(6, ' ');
        let kind = words.next()?;
        let id = words.next()?.parse().ok()?;
        let mut number = || words.next()?.parse().ok();
        match kind {
            "directory" => Some(Self::Directory(Directory { id, modified: number()? })),
            "file" => {
                let (size, modified) = (number()?, number()?);
                let expires = number().map(|expires| (expires > 0).then_some(expires))?;
                let owner = words.next()?.to_owned();
                Some(Self::File(File { id, size, modified, expires, owner }))
            }
            _ => None,
        }
    }
}

/// A name in a directory that is there, whether anything bears the name or not.
#[derive(Debug)]
pub(crate) struct Place {
    path: String,
    key: String,
}

impl Place {
    /// The place of a path other than the root.
    pub(crate) fn of(path: &str) -> Result<Self, StorageError> {
        let (parent, name) = path.rsplit_once('/').ok_or(ErrorCode::BadName)?;
        if name.is_empty() {
            return Err(ErrorCode::Denied.into());
        }
        if name.len() > NAME_MAX || is_too_long(path) {
            return Err(ErrorCode::BadName.into());
        }
        Ok(Self { key: key(directory(parent)?, name), path: path.to_owned() })
    }

    pub(crate) fn read(&self) -> Result<Option<Entry>, StorageError> {
        read(&self.key)
    }

    /// Has what `change` makes of the entry stand here, and returns the entry before it; begins
    /// anew where somebody else comes in between.
    pub(crate) fn update(
        &self,
        change: impl Fn(Option<&Entry>) -> Result<Option<Entry>, StorageError>,
    ) -> Result<Option<Entry>, StorageError> {
        for _ in 0..TRIES {
            let before = self.read()?;
            let after = change(before.as_ref())?;
            if self.replace(before.as_ref(), after.as_ref())? {
                return Ok(before);
            }
        }
        Err(StorageError::new(ErrorCode::Busy, "others change it all the time"))
    }

    /// Has another entry, or none, stand here; false if it is not `before` that does so far.
    pub(crate) fn replace(
        &self,
        before: Option<&Entry>,
        after: Option<&Entry>,
    ) -> Result<bool, StorageError> {
        let octets = |entry: Option<&Entry>| entry.map(|entry| entry.text().into_bytes());
        let (old, new) = (octets(before), octets(after));
        let set = || kv::compare_and_set(&self.key, old.as_deref(), new.as_deref());
        match with_room(set) {
            Ok(()) => {}
            Err(kv::Error::Conflict) => return Ok(false),
            Err(error) => return Err(failed(error)),
        }
        // It must not have fallen into a directory that has just gone from its path.
        if after.is_some() && !self.is_there() {
            let _ = kv::compare_and_set(&self.key, new.as_deref(), old.as_deref());
            return Err(ErrorCode::NotFound.into());
        }
        Ok(true)
    }

    pub(crate) fn make_directory(&self) -> Result<(), StorageError> {
        self.update(|before| match before {
            Some(_) => Err(ErrorCode::Exists.into()),
            None => {
                let made = Directory { id: next_id()?, modified: clock::now_ms() };
                Ok(Some(Entry::Directory(made)))
            }
        })?;
        Ok(())
    }

    pub(crate) fn remove_directory(&self) -> Result<(), StorageError> {
        let gone = self.update(|before| match before {
            None => Err(ErrorCode::NotFound.into()),
            Some(Entry::File(_)) => Err(ErrorCode::NotADirectory.into()),
            Some(entry) if !is_empty(entry.id())? => Err(ErrorCode::NotEmpty.into()),
            Some(_) => Ok(None),
        })?;
        // Somebody may have begun to put something there: who comes second gives way.
        match gone {
            Some(entry) if !is_empty(entry.id())? => {
                self.replace(None, Some(&entry))?;
                Err(ErrorCode::NotEmpty.into())
            }
            _ => Ok(()),
        }
    }

    /// Whether its path still leads here.
    fn is_there(&self) -> bool {
        Self::of(&self.path).is_ok_and(|again| again.key == self.key)
    }
}

/// What is at a path, if anything is.
pub(crate) fn find(path: &str) -> Result<Option<Entry>, StorageError> {
    if is_too_long(path) {
        return Ok(None);
    }
    let mut found = Entry::Directory(Directory { id: ROOT, modified: 0 });
    for name in names(path) {
        let Entry::Directory(Directory { id, .. }) = found else { return Ok(None) };
        match read(&key(id, name))? {
            Some(entry) => found = entry,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

/// Whether nothing is at a path, and cannot be.
fn is_too_long(path: &str) -> bool {
    path.len() > PATH_MAX || names(path).count() > DEPTH_MAX
}

/// The number of the directory at a path.
pub(crate) fn directory(path: &str) -> Result<i64, StorageError> {
    match find(path)? {
        Some(Entry::Directory(Directory { id, .. })) => Ok(id),
        Some(Entry::File(_)) => Err(ErrorCode::NotADirectory.into()),
        None => Err(ErrorCode::NotFound.into()),
    }
}

/// A page of what is in a directory.
pub(crate) fn list(directory: i64, cursor: Option<&str>, max: u32) -> Result<Page, StorageError> {
    let prefix = key(directory, "");
    let keys = kv::keys(&prefix, cursor, max).map_err(failed)?;
    // A store may give fewer than it is asked for; only none is the end.
    let next = keys.last().cloned();
    let mut entries = Vec::with_capacity(keys.len());
    for key in keys {
        // It may have gone since.
        if let (Some(name), Some(entry)) = (key.strip_prefix(&prefix), read(&key)?) {
            entries.push((name.to_owned(), entry.stat()));
        }
    }
    Ok(Page { entries, next })
}

/// All files, one after the other.
pub(crate) fn each_file(mut each: impl FnMut(File)) -> Result<(), StorageError> {
    let mut cursor: Option<String> = None;
    loop {
        let keys = kv::keys(ENTRIES, cursor.as_deref(), u32::MAX).map_err(failed)?;
        let Some(last) = keys.last() else { return Ok(()) };
        cursor = Some(last.clone());
        for key in &keys {
            if let Some(Entry::File(file)) = read(key)? {
                each(file);
            }
        }
    }
}

/// What the client is told when the store says no.
pub(crate) fn failed(error: kv::Error) -> StorageError {
    let code = match error {
        kv::Error::Quota => ErrorCode::NoSpace,
        _ => ErrorCode::Io,
    };
    StorageError::new(code, error.to_string())
}

/// Does what takes room in the store. If there is none, files that have expired give theirs back.
pub(crate) fn with_room(act: impl Fn() -> Result<(), kv::Error>) -> Result<(), kv::Error> {
    match act() {
        Err(kv::Error::Quota) if each_file(drop).is_ok() => act(),
        done => done,
    }
}

fn next_id() -> Result<i64, StorageError> {
    kv::increment(NEXT, 1, None).map_err(failed)
}

fn is_empty(directory: i64) -> Result<bool, StorageError> {
    let prefix = key(directory, "");
    let mut cursor: Option<String> = None;
    loop {
        let keys = kv::keys(&prefix, cursor.as_deref(), u32::MAX).map_err(failed)?;
        let Some(last) = keys.last() else { return Ok(true) };
        cursor = Some(last.clone());
        for key in &keys {
            if read(key)?.is_some() {
                return Ok(false);
            }
        }
    }
}

fn key(directory: i64, name: &str) -> String {
    format!("{ENTRIES}{directory}/{name}")
}

/// The entry under a key; one that has expired is forgotten.
fn read(key: &str) -> Result<Option<Entry>, StorageError> {
    let Some(octets) = kv::get(key).map_err(failed)? else { return Ok(None) };
    let entry = std::str::from_utf8(&octets).ok().and_then(Entry::parse);
    let Some(entry) = entry else {
        return Err(StorageError::new(ErrorCode::Io, format!("no entry: {key:?}")));
    };
    match &entry {
        Entry::File(file) if file.has_expired() => {
            // Its pieces go by themselves. Where this fails, it is another one already, or the next
            // who reads it tries again.
            let _ = kv::compare_and_set(key, Some(&octets), None);
            Ok(None)
        }
        _ => Ok(Some(entry)),
    }
}
