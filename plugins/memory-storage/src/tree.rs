//! Directories, and what stands in them: a key for each entry, which begins with the number of the
//! directory. So a directory is renamed by its own entry alone, however much is in it.

use std::time::Duration;

use waft_plugin_sdk::{ErrorCode, FileStat, Page, StorageError, clock, kv};

/// How the keys of entries begin.
pub(crate) const ENTRIES: &str = "entry:";

/// Where the number of the next file or directory is kept.
const NEXT: &str = "next";

/// The number of the outermost directory, which has no entry.
const ROOT: i64 = 0;

/// Octets of a name, as most file systems have it.
const NAME_MAX: usize = 255;

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
        if name.len() > NAME_MAX {
            return Err(ErrorCode::BadName.into());
        }
        Ok(Self { key: key(directory(parent)?, name), path: path.to_owned() })
    }

    pub(crate) fn read(&self) -> Result<Option<Entry>, StorageError> {
        read(&self.key)
    }

    /// Has the entry stand here, whatever does so far.
    pub(crate) fn write(&self, entry: &Entry) -> Result<(), StorageError> {
        let lifetime = match entry {
            Entry::File(file) => file.lifetime(),
            Entry::Directory(_) => None,
        };
        kv::set(&self.key, entry.text().as_bytes(), lifetime).map_err(failed)?;
        self.stays()
    }

    pub(crate) fn forget(&self) -> Result<(), StorageError> {
        kv::delete(&self.key).map_err(failed)
    }

    pub(crate) fn make_directory(&self) -> Result<(), StorageError> {
        if self.read()?.is_some() {
            return Err(ErrorCode::Exists.into());
        }
        let made = Entry::Directory(Directory { id: next_id()?, modified: clock::now_ms() });
        kv::compare_and_set(&self.key, None, Some(made.text().as_bytes())).map_err(|error| {
            match error {
                kv::Error::Conflict => ErrorCode::Exists.into(),
                error => failed(error),
            }
        })?;
        self.stays()
    }

    pub(crate) fn remove_directory(&self) -> Result<(), StorageError> {
        let entry = self.read()?.ok_or(ErrorCode::NotFound)?;
        let Entry::Directory(Directory { id, .. }) = &entry else {
            return Err(ErrorCode::NotADirectory.into());
        };
        if !is_empty(*id)? {
            return Err(ErrorCode::NotEmpty.into());
        }
        self.forget()?;
        // Somebody may have begun to put something there: who comes second gives way.
        if !is_empty(*id)? {
            self.write(&entry)?;
            return Err(ErrorCode::NotEmpty.into());
        }
        Ok(())
    }

    /// Makes sure that what was put here did not fall into a directory that has just gone.
    fn stays(&self) -> Result<(), StorageError> {
        match Self::of(&self.path) {
            Ok(again) if again.key == self.key => Ok(()),
            _ => {
                self.forget()?;
                Err(ErrorCode::NotFound.into())
            }
        }
    }
}

/// What is at a path, if anything is.
pub(crate) fn find(path: &str) -> Result<Option<Entry>, StorageError> {
    let mut found = Entry::Directory(Directory { id: ROOT, modified: 0 });
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let Entry::Directory(Directory { id, .. }) = found else { return Ok(None) };
        match read(&key(id, name))? {
            Some(entry) => found = entry,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
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

fn next_id() -> Result<i64, StorageError> {
    kv::increment(NEXT, 1, None).map_err(failed)
}

fn is_empty(directory: i64) -> Result<bool, StorageError> {
    Ok(kv::keys(&key(directory, ""), None, 1).map_err(failed)?.is_empty())
}

fn key(directory: i64, name: &str) -> String {
    format!("{ENTRIES}{directory}/{name}")
}

fn read(key: &str) -> Result<Option<Entry>, StorageError> {
    let Some(octets) = kv::get(key).map_err(failed)? else { return Ok(None) };
    let entry = std::str::from_utf8(&octets).ok().and_then(Entry::parse);
    entry.map(Some).ok_or_else(|| StorageError::new(ErrorCode::Io, format!("no entry: {key:?}")))
}
