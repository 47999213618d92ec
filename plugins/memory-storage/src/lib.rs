//! Keeps files in memory: a scratch area that all sessions share, bounded, and emptied by time.
//!
//! All that is kept is in the store that the server lends to plugins, for instances share nothing
//! else: [`tree`] has directories and what stands in them, [`pieces`] what files hold, [`room`] how
//! much that may be. An upload writes pieces of its own, and its last step is the entry that points
//! to them: nobody sees half of a file.

#![forbid(unsafe_code)]

mod pieces;
mod room;
mod tree;

use std::cell::Cell;
use std::time::Duration;

use waft_plugin_sdk::{
    Abilities, ErrorCode, FileStat, Page, Plugin, Section, Session, Settings, Storage,
    StorageError, WriteMode, clock,
};

use crate::pieces::{Reading, Stood, Writing};
use crate::room::Room;
use crate::tree::{Entry, File, Place};

/// The shortest time that files may live.
const EXPIRE_MIN: Duration = Duration::from_secs(1);

/// A scratch area.
#[derive(Debug)]
pub struct MemoryStorage {
    /// How long a file lives, from the beginning of its upload.
    expire: Option<Duration>,
    room: Room,
    /// Directories that are there whatever happens.
    directories: Vec<String>,
    /// Whether this instance has made sure of that.
    are_made: Cell<bool>,
}

impl Plugin for MemoryStorage {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let expire = root.duration("expire");
        if expire.is_some_and(|expire| expire < EXPIRE_MIN) {
            root.mistake("expire", "files live for a second at least");
        }
        let room = Room {
            quota: root.size("quota"),
            user_quota: root.size("user_quota"),
            max_file: root.size("max_file"),
        };
        let directories = directories(&root);
        let are_made = Cell::new(directories.is_empty());
        settings.finish().map(|()| Self { expire, room, directories, are_made })
    }
}

impl Storage for MemoryStorage {
    type Reader = Reading;
    type Writer = Writing;

    fn abilities(&self) -> Abilities {
        let space = if self.room.is_bounded() { Abilities::FREE_SPACE } else { Abilities::empty() };
        space
            | Abilities::APPEND
            | Abilities::WRITE_AT_OFFSET
            | Abilities::MAKE_DIR
            | Abilities::REMOVE
            | Abilities::RENAME
            | Abilities::SET_MODIFIED
    }

    fn stat(&self, _: Session<'_>, path: &str) -> Result<FileStat, StorageError> {
        self.prepare()?;
        Ok(tree::find(path)?.ok_or(ErrorCode::NotFound)?.stat())
    }

    fn list_dir(
        &self,
        _: Session<'_>,
        path: &str,
        cursor: Option<&str>,
        max: u32,
    ) -> Result<Page, StorageError> {
        self.prepare()?;
        tree::list(tree::directory(path)?, cursor, max)
    }

    fn open_read(&self, _: Session<'_>, path: &str, offset: u64) -> Result<Reading, StorageError> {
        self.prepare()?;
        match tree::find(path)?.ok_or(ErrorCode::NotFound)? {
            Entry::File(file) => Ok(Reading::new(file, offset)),
            Entry::Directory(_) => Err(ErrorCode::IsADirectory.into()),
        }
    }

    fn open_write(
        &self,
        session: Session<'_>,
        path: &str,
        mode: WriteMode,
        offset: u64,
    ) -> Result<Writing, StorageError> {
        self.prepare()?;
        let place = Place::of(path)?;
        let before = match place.read()? {
            Some(Entry::Directory(_)) => return Err(ErrorCode::IsADirectory.into()),
            Some(Entry::File(file)) => Some(file),
            None => None,
        };
        let (stood, kept) = match (mode, &before) {
            (WriteMode::CreateNew, Some(_)) => return Err(ErrorCode::Exists.into()),
            (WriteMode::CreateNew, None) => (Stood::Nothing, 0),
            (WriteMode::Truncate, _) => (Stood::Anything, 0),
            (WriteMode::Append, Some(file)) => (Stood::File(file.clone()), file.size),
            // It was longer when the server looked.
            (WriteMode::AtOffset, Some(file)) if offset > file.size => {
                return Err(StorageError::new(ErrorCode::Busy, "shorter meanwhile"));
            }
            (WriteMode::AtOffset, Some(file)) => (Stood::File(file.clone()), offset),
            (WriteMode::AtOffset, None) if offset > 0 => return Err(ErrorCode::NotFound.into()),
            (WriteMode::Append | WriteMode::AtOffset, None) => (Stood::Nothing, 0),
        };
        let owner = session.user().unwrap_or_default();
        let allowed = self.room.for_file(&owner, before.as_ref())?;
        let file = File { owner, expires: self.expires(), ..File::new()? };
        Writing::new(place, file, stood, allowed, kept)
    }

    fn make_dir(&self, _: Session<'_>, path: &str) -> Result<(), StorageError> {
        self.prepare()?;
        Place::of(path)?.make_directory()
    }

    fn remove_dir(&self, _: Session<'_>, path: &str) -> Result<(), StorageError> {
        self.prepare()?;
        self.may_go(path)?;
        Place::of(path)?.remove_directory()
    }

    fn remove_file(&self, _: Session<'_>, path: &str) -> Result<(), StorageError> {
        self.prepare()?;
        let gone = Place::of(path)?.update(|before| match before {
            None => Err(ErrorCode::NotFound.into()),
            Some(Entry::Directory(_)) => Err(ErrorCode::IsADirectory.into()),
            Some(Entry::File(_)) => Ok(None),
        })?;
        if let Some(Entry::File(file)) = gone {
            file.forget();
        }
        Ok(())
    }

    fn rename(
        &self,
        _: Session<'_>,
        source: &str,
        target: &str,
        replace: bool,
    ) -> Result<(), StorageError> {
        self.prepare()?;
        self.may_go(source)?;
        let (from, to) = (Place::of(source)?, Place::of(target)?);
        let entry = from.read()?.ok_or(ErrorCode::NotFound)?;
        if target.strip_prefix(source).is_some_and(|rest| rest.starts_with('/')) {
            return Err(StorageError::new(ErrorCode::Denied, "a directory cannot be in itself"));
        }
        if source == target {
            return Ok(());
        }
        let busy = || StorageError::new(ErrorCode::Busy, "changed by somebody else meanwhile");
        let before = to.update(|before| match (before, &entry) {
            (None, _) => Ok(Some(entry.clone())),
            // Somebody else is just giving it the same name.
            (Some(before), _) if before.is(&entry) => Err(busy()),
            (Some(Entry::File(_)), Entry::File(_)) if replace => Ok(Some(entry.clone())),
            _ => Err(ErrorCode::Exists.into()),
        })?;
        let left = from.update(|now| match now {
            Some(now) if now.is(&entry) => Ok(None),
            _ => Err(busy()),
        });
        // Who changed it has given its pieces back, so it must not stand under the new name, where
        // what stood there before comes back; unless somebody has been quicker there, too.
        let is_undone = left.is_err() && to.replace(Some(&entry), before.as_ref())?;
        match before {
            Some(Entry::File(before)) if !is_undone => before.forget(),
            _ => {}
        }
        left.map(drop)
    }

    fn set_modified(&self, _: Session<'_>, path: &str, modified: u64) -> Result<(), StorageError> {
        let set = Place::of(path)?.update(|before| match before {
            None => Err(ErrorCode::NotFound.into()),
            Some(Entry::Directory(_)) => Err(ErrorCode::Unsupported.into()),
            Some(Entry::File(file)) => Ok(Some(Entry::File(File { modified, ..file.clone() }))),
        });
        set.map(drop)
    }

    fn free_space(&self, session: Session<'_>) -> Result<Option<u64>, StorageError> {
        self.room.left(&session.user().unwrap_or_default(), None)
    }
}

impl MemoryStorage {
    /// Makes the directories of the settings, with those above them. Not before the first
    /// operation: what begins with describing itself has no store then.
    fn prepare(&self) -> Result<(), StorageError> {
        if self.are_made.get() {
            return Ok(());
        }
        for path in &self.directories {
            for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
                match Place::of(path.get(..end).unwrap_or(path))?.make_directory() {
                    Err(error) if error.code != ErrorCode::Exists => return Err(error),
                    _ => {}
                }
            }
        }
        self.are_made.set(true);
        Ok(())
    }

    /// Refuses to take away a directory that has to stay, and one on the way to it.
    fn may_go(&self, path: &str) -> Result<(), StorageError> {
        let is_on_the_way = |stays: &String| {
            stays.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match self.directories.iter().any(is_on_the_way) {
            true => Err(StorageError::new(ErrorCode::Denied, "the settings name it")),
            false => Ok(()),
        }
    }

    /// When a file expires whose upload begins now, in milliseconds since 1970.
    fn expires(&self) -> Option<u64> {
        let expire = u64::try_from(self.expire?.as_millis()).unwrap_or(u64::MAX);
        Some(clock::now_ms().saturating_add(expire))
    }
}

fn directories(root: &Section<'_>) -> Vec<String> {
    let mut directories = Vec::new();
    for (key, path) in root.numbered_texts("directories") {
        let trimmed = path.trim_end_matches('/');
        let mut steps = trimmed.split('/');
        let is_path =
            steps.next() == Some("") && steps.all(|step| !matches!(step, "" | "." | ".."));
        if !is_path || trimmed.is_empty() || path.contains(char::is_control) {
            root.mistake(&key, format_args!("a path such as /in is wanted, not: {path}"));
        }
        directories.push(trimmed.to_owned());
    }
    directories
}

waft_plugin_sdk::export!(MemoryStorage: storage);

#[cfg(test)]
mod tests;
