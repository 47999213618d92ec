//! What is in a directory: a key for each entry, which begins with the directory's path.

use waft_plugin_sdk::{ErrorCode, FileStat, StorageError, kv};

/// What stands between a directory's path and a name in it, and in no path.
const SEPARATOR: char = '\n';

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Directory,
    File(File),
}

/// A file: the number of its pieces' keys, its octets, its time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) id: i64,
    pub(crate) size: u64,
    pub(crate) modified: u64,
}

impl Entry {
    pub(crate) fn stat(self) -> FileStat {
        match self {
            Self::Directory => FileStat::directory(),
            Self::File(file) => FileStat::file(file.size).modified(file.modified),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Directory => "directory".to_owned(),
            Self::File(File { id, size, modified }) => format!("{id} {size} {modified}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "directory" {
            return Some(Self::Directory);
        }
        let mut numbers = text.split(' ');
        Some(Self::File(File {
            id: numbers.next()?.parse().ok()?,
            size: numbers.next()?.parse().ok()?,
            modified: numbers.next()?.parse().ok()?,
        }))
    }
}

/// What is at a path, if anything is.
pub(crate) fn find(path: &str) -> Result<Option<Entry>, StorageError> {
    if path == "/" {
        return Ok(Some(Entry::Directory));
    }
    match key(path) {
        Ok(key) => read(&key),
        Err(error) if error.code == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes sure that there is a directory at a path.
pub(crate) fn directory(path: &str) -> Result<(), StorageError> {
    match find(path)? {
        Some(Entry::Directory) => Ok(()),
        Some(Entry::File(_)) => Err(ErrorCode::NotADirectory.into()),
        None => Err(ErrorCode::NotFound.into()),
    }
}

/// How the keys of a directory's entries begin.
pub(crate) fn prefix(directory: &str) -> String {
    format!("entry:{directory}{SEPARATOR}")
}

/// The key of an entry, whose directory has to be there.
pub(crate) fn key(path: &str) -> Result<String, StorageError> {
    let (parent, name) = path.rsplit_once('/').ok_or(ErrorCode::BadName)?;
    if name.is_empty() {
        return Err(ErrorCode::Denied.into());
    }
    let parent = if parent.is_empty() { "/" } else { parent };
    directory(parent)?;
    Ok(prefix(parent) + name)
}

pub(crate) fn read(key: &str) -> Result<Option<Entry>, StorageError> {
    let Some(octets) = kv::get(key).map_err(failed)? else { return Ok(None) };
    let entry = std::str::from_utf8(&octets).ok().and_then(Entry::parse);
    entry.map(Some).ok_or_else(|| StorageError::new(ErrorCode::Io, format!("no entry: {key:?}")))
}

pub(crate) fn write(key: &str, entry: &Entry) -> Result<(), StorageError> {
    kv::set(key, entry.text().as_bytes(), None).map_err(failed)
}

/// What the client is told when the store says no.
pub(crate) fn failed(error: kv::Error) -> StorageError {
    let code = match error {
        kv::Error::Quota => ErrorCode::NoSpace,
        _ => ErrorCode::Io,
    };
    StorageError::new(code, error.to_string())
}
