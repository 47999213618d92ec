//! A directory of files, kept in `kv`: so that they are the same for all instances.

use std::cell::RefCell;

use crate::Since;
use crate::bindings::exports::waft::plugin::storage::{
    Abilities, Error, ErrorCode, Guest, GuestReader, GuestWriter, Page, Reader, WriteMode, Writer,
};
use crate::bindings::waft::plugin::kv;
use crate::bindings::waft::plugin::sessions::Session;
use crate::bindings::waft::plugin::types::{FileKind, FileStat};

/// What the keys of files begin with; their paths follow.
const FILES: &str = "file:";

fn key(path: &str) -> String {
    format!("{FILES}{path}")
}

fn error(code: ErrorCode, message: &str) -> Error {
    Error { code, message: message.to_owned() }
}

fn content(path: &str) -> Result<Vec<u8>, Error> {
    let found = kv::get(&key(path)).map_err(|_| error(ErrorCode::Io, "the store"))?;
    found.ok_or_else(|| error(ErrorCode::NotFound, "no such file"))
}

fn put(path: &str, octets: &[u8]) -> Result<(), Error> {
    kv::set(&key(path), octets, None).map_err(|_| error(ErrorCode::NoSpace, "the store"))
}

fn stat(kind: FileKind, size: usize) -> FileStat {
    FileStat {
        kind,
        size: size as u64,
        modified: Some(1_700_000_000_000),
        mode: Some(0o644),
        owner: None,
        group: None,
        extra: Vec::new(),
    }
}

impl Guest for Since {
    type Reader = Reading;
    type Writer = Writing;

    fn get_abilities() -> Abilities {
        Abilities::REMOVE | Abilities::RENAME | Abilities::APPEND | Abilities::FREE_SPACE
    }

    fn stat(_: &Session, path: String) -> Result<FileStat, Error> {
        match path.as_str() {
            "/" => Ok(stat(FileKind::Directory, 0)),
            _ => Ok(stat(FileKind::File, content(&path)?.len())),
        }
    }

    fn list_dir(_: &Session, _: String, cursor: Option<String>, max: u32) -> Result<Page, Error> {
        let prefix = key("/");
        let keys = kv::keys(&prefix, cursor.as_deref(), max);
        let keys = keys.map_err(|_| error(ErrorCode::Io, "the store"))?;
        let next = keys.last().filter(|_| keys.len() as u32 == max).cloned();
        let mut entries = Vec::new();
        for key in keys {
            let path = key.strip_prefix(FILES).unwrap_or_default();
            let name = path.strip_prefix('/').unwrap_or_default();
            entries.push((name.to_owned(), stat(FileKind::File, content(path)?.len())));
        }
        Ok(Page { entries, next })
    }

    fn make_dir(_: &Session, _: String) -> Result<(), Error> {
        Err(error(ErrorCode::Unsupported, "one directory is enough"))
    }

    fn remove_dir(_: &Session, _: String) -> Result<(), Error> {
        Err(error(ErrorCode::Unsupported, "one directory is enough"))
    }

    fn remove_file(_: &Session, path: String) -> Result<(), Error> {
        content(&path)?;
        kv::delete(&key(&path)).map_err(|_| error(ErrorCode::Io, "the store"))
    }

    fn rename(_: &Session, source: String, target: String, replace: bool) -> Result<(), Error> {
        let octets = content(&source)?;
        if !replace && content(&target).is_ok() {
            return Err(error(ErrorCode::Exists, "there is one"));
        }
        put(&target, &octets)?;
        kv::delete(&key(&source)).map_err(|_| error(ErrorCode::Io, "the store"))
    }

    fn set_modified(_: &Session, _: String, _: u64) -> Result<(), Error> {
        Err(error(ErrorCode::Unsupported, "time stands still"))
    }

    fn free_space(_: &Session) -> Result<Option<u64>, Error> {
        Ok(Some(1 << 20))
    }

    fn open_read(_: &Session, path: String, offset: u64) -> Result<Reader, Error> {
        let octets = content(&path)?.into_iter().skip(offset as usize).collect();
        Ok(Reader::new(Reading(RefCell::new(octets))))
    }

    fn open_write(_: &Session, path: String, mode: WriteMode, _: u64) -> Result<Writer, Error> {
        let before = content(&path);
        let octets = match mode {
            WriteMode::CreateNew if before.is_ok() => {
                return Err(error(ErrorCode::Exists, "there is one"));
            }
            WriteMode::Append => before.unwrap_or_default(),
            WriteMode::CreateNew | WriteMode::Truncate => Vec::new(),
            WriteMode::AtOffset => return Err(error(ErrorCode::Unsupported, "only at the end")),
        };
        Ok(Writer::new(Writing { path, octets: RefCell::new(octets) }))
    }
}

/// A file that is read: what is left of it.
#[derive(Debug)]
pub struct Reading(RefCell<Vec<u8>>);

impl GuestReader for Reading {
    fn read(&self, max: u32) -> Result<Vec<u8>, Error> {
        let mut octets = self.0.borrow_mut();
        let length = octets.len().min(max as usize);
        Ok(octets.drain(..length).collect())
    }
}

/// A file that is written.
#[derive(Debug)]
pub struct Writing {
    path: String,
    octets: RefCell<Vec<u8>>,
}

impl GuestWriter for Writing {
    fn write(&self, data: Vec<u8>) -> Result<(), Error> {
        self.octets.borrow_mut().extend(data);
        Ok(())
    }

    fn finish(&self) -> Result<FileStat, Error> {
        let octets = self.octets.borrow();
        put(&self.path, &octets)?;
        Ok(stat(FileKind::File, octets.len()))
    }
}
