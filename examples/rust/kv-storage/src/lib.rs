//! Files in the store that the server lends to plugins: a drop box without a disk.
//!
//! A file is an entry and numbered pieces. An upload writes pieces of its own, and its last step is
//! the entry that points to them, so a file that is replaced can be read to its end by who reads
//! it meanwhile or fails, and is never a mixture. Nothing is kept in memory but one piece.

#![forbid(unsafe_code)]

mod entry;
mod pieces;

use waft_plugin_sdk::{
    Abilities, ErrorCode, FileStat, Page, Plugin, Session, Settings, Storage, StorageError,
    WriteMode, kv,
};

use crate::entry::Entry;
use crate::pieces::{Reading, Writing};

struct KvStorage;

impl Plugin for KvStorage {
    fn new(settings: &Settings) -> Result<Self, String> {
        settings.finish().map(|()| Self)
    }
}

impl Storage for KvStorage {
    type Reader = Reading;
    type Writer = Writing;

    fn abilities(&self) -> Abilities {
        Abilities::MAKE_DIR | Abilities::REMOVE | Abilities::RENAME
    }

    fn stat(&self, _: Session<'_>, path: &str) -> Result<FileStat, StorageError> {
        Ok(entry::find(path)?.ok_or(ErrorCode::NotFound)?.stat())
    }

    fn list_dir(
        &self,
        _: Session<'_>,
        path: &str,
        cursor: Option<&str>,
        max: u32,
    ) -> Result<Page, StorageError> {
        entry::directory(path)?;
        let prefix = entry::prefix(path);
        let keys = kv::keys(&prefix, cursor, max).map_err(entry::failed)?;
        let next = keys.last().filter(|_| keys.len() as u64 >= u64::from(max)).cloned();
        let mut entries = Vec::new();
        for key in keys {
            // It may have gone since.
            if let (Some(name), Some(entry)) = (key.strip_prefix(&prefix), entry::read(&key)?) {
                entries.push((name.to_owned(), entry.stat()));
            }
        }
        Ok(Page { entries, next })
    }

    fn open_read(&self, _: Session<'_>, path: &str, offset: u64) -> Result<Reading, StorageError> {
        match entry::find(path)?.ok_or(ErrorCode::NotFound)? {
            Entry::File(file) => Ok(Reading::new(file, offset)),
            Entry::Directory => Err(ErrorCode::IsADirectory.into()),
        }
    }

    fn open_write(
        &self,
        _: Session<'_>,
        path: &str,
        mode: WriteMode,
        _: u64,
    ) -> Result<Writing, StorageError> {
        let key = entry::key(path)?;
        match (entry::read(&key)?, mode) {
            (Some(Entry::Directory), _) => Err(ErrorCode::IsADirectory.into()),
            (Some(_), WriteMode::CreateNew) => Err(ErrorCode::Exists.into()),
            (_, WriteMode::CreateNew | WriteMode::Truncate) => Writing::new(key),
            _ => Err(ErrorCode::Unsupported.into()),
        }
    }

    fn make_dir(&self, _: Session<'_>, path: &str) -> Result<(), StorageError> {
        let key = entry::key(path)?;
        match entry::read(&key)? {
            Some(_) => Err(ErrorCode::Exists.into()),
            None => entry::write(&key, &Entry::Directory),
        }
    }

    fn remove_dir(&self, _: Session<'_>, path: &str) -> Result<(), StorageError> {
        entry::directory(path)?;
        let within = kv::keys(&entry::prefix(path), None, 1).map_err(entry::failed)?;
        if !within.is_empty() {
            return Err(ErrorCode::NotEmpty.into());
        }
        kv::delete(&entry::key(path)?).map_err(entry::failed)
    }

    fn remove_file(&self, _: Session<'_>, path: &str) -> Result<(), StorageError> {
        let key = entry::key(path)?;
        match entry::read(&key)?.ok_or(ErrorCode::NotFound)? {
            Entry::Directory => Err(ErrorCode::IsADirectory.into()),
            Entry::File(file) => {
                kv::delete(&key).map_err(entry::failed)?;
                file.forget();
                Ok(())
            }
        }
    }

    /// Files alone: a directory's entries bear its name.
    fn rename(
        &self,
        _: Session<'_>,
        source: &str,
        target: &str,
        replace: bool,
    ) -> Result<(), StorageError> {
        let (from, to) = (entry::key(source)?, entry::key(target)?);
        let Entry::File(file) = entry::read(&from)?.ok_or(ErrorCode::NotFound)? else {
            return Err(ErrorCode::Unsupported.into());
        };
        let before = match entry::read(&to)? {
            None => None,
            Some(Entry::File(before)) if replace => Some(before),
            Some(_) => return Err(ErrorCode::Exists.into()),
        };
        if from == to {
            return Ok(());
        }
        entry::write(&to, &Entry::File(file))?;
        kv::delete(&from).map_err(entry::failed)?;
        before.into_iter().for_each(|before| before.forget());
        Ok(())
    }
}

waft_plugin_sdk::export!(KvStorage: storage);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;
    use waft_plugin_sdk::{FileKind, Reader, Writer};

    use super::*;

    fn put(session: Session<'_>, path: &str, octets: &[u8]) -> Result<FileStat, StorageError> {
        let mut writer = KvStorage.open_write(session, path, WriteMode::Truncate, 0)?;
        octets.chunks(10_000).try_for_each(|chunk| writer.write(chunk.to_vec()))?;
        writer.finish()
    }

    fn get(session: Session<'_>, path: &str, offset: u64) -> Result<Vec<u8>, StorageError> {
        let mut reader = KvStorage.open_read(session, path, offset)?;
        let mut octets = Vec::new();
        loop {
            match reader.read(7_000)? {
                piece if piece.is_empty() => return Ok(octets),
                piece => octets.extend(piece),
            }
        }
    }

    fn keys() -> usize {
        kv::keys("piece:", None, u32::MAX).unwrap().len()
    }

    #[test]
    fn what_was_put_is_found_from_any_offset() {
        let session = TestSession::new();
        let octets: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let stat = put(session.session(), "/a.bin", &octets).unwrap();
        assert_eq!((stat.kind, stat.size), (FileKind::File, 200_000));
        assert_eq!(get(session.session(), "/a.bin", 0).unwrap(), octets);
        assert_eq!(get(session.session(), "/a.bin", 65_537).unwrap(), &octets[65_537..]);
        assert_eq!(get(session.session(), "/a.bin", 300_000).unwrap(), b"");
    }

    #[test]
    fn an_upload_that_breaks_off_leaves_nothing_and_takes_nothing_away() {
        let session = TestSession::new();
        put(session.session(), "/a.bin", b"before").unwrap();
        let pieces = keys();
        let mut writer =
            KvStorage.open_write(session.session(), "/a.bin", WriteMode::Truncate, 0).unwrap();
        writer.write(vec![0; 200_000]).unwrap();
        assert_eq!(get(session.session(), "/a.bin", 0).unwrap(), b"before");
        drop(writer);
        assert_eq!(keys(), pieces);
        put(session.session(), "/a.bin", b"after").unwrap();
        assert_eq!(get(session.session(), "/a.bin", 0).unwrap(), b"after");
        assert_eq!(keys(), pieces);
    }

    #[test]
    fn directories_hold_what_was_made_in_them() {
        let (session, storage) = (TestSession::new(), KvStorage);
        let session = session.session();
        let code = |result: Result<FileStat, StorageError>| result.unwrap_err().code;
        assert_eq!(code(put(session, "/d/a", b"1")), ErrorCode::NotFound);
        storage.make_dir(session, "/d").unwrap();
        for name in ["/d/a", "/d/b", "/d/c"] {
            put(session, name, b"1").unwrap();
        }
        let names = |page: &Page| page.entries.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
        let page = storage.list_dir(session, "/d", None, 2).unwrap();
        assert_eq!(names(&page), ["a", "b"]);
        let page = storage.list_dir(session, "/d", page.next.as_deref(), 2).unwrap();
        assert_eq!((names(&page), page.next), (vec!["c".to_owned()], None));
        assert_eq!(names(&storage.list_dir(session, "/", None, 10).unwrap()), ["d"]);
        assert_eq!(storage.remove_dir(session, "/d").unwrap_err().code, ErrorCode::NotEmpty);
        storage.rename(session, "/d/a", "/e", false).unwrap();
        assert_eq!(get(session, "/e", 0).unwrap(), b"1");
        for name in ["/d/b", "/d/c", "/e"] {
            storage.remove_file(session, name).unwrap();
        }
        storage.remove_dir(session, "/d").unwrap();
        assert_eq!((keys(), code(storage.stat(session, "/d"))), (0, ErrorCode::NotFound));
    }
}
