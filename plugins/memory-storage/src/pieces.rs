//! What files hold, piece by piece.

use std::time::Duration;

use waft_plugin_sdk::{ErrorCode, FileStat, Reader, StorageError, Writer, clock, kv};

use crate::tree::{Entry, File, Place, failed, with_room};

/// Octets of a piece.
pub(crate) const PIECE: usize = 64 * 1024;

fn key(id: i64, number: u64) -> String {
    format!("piece:{id}:{number}")
}

impl File {
    /// Gives the room of its pieces back. What cannot be deleted is lost room until it expires, and
    /// no reason to fail: the file has gone already.
    pub(crate) fn forget(&self) {
        for number in 0..self.size.div_ceil(PIECE as u64) {
            let _ = kv::delete(&key(self.id, number));
        }
    }

    fn piece(&self, number: u64) -> Result<Vec<u8>, StorageError> {
        let piece = kv::get(&key(self.id, number)).map_err(failed)?;
        piece.ok_or_else(|| StorageError::new(ErrorCode::Io, "gone meanwhile"))
    }
}

/// A file that is being read.
#[derive(Debug)]
pub struct Reading {
    file: File,
    offset: u64,
}

impl Reading {
    /// From an offset to the end.
    pub(crate) fn new(file: File, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl Reader for Reading {
    fn read(&mut self, max: u32) -> Result<Vec<u8>, StorageError> {
        if self.offset >= self.file.size {
            return Ok(Vec::new());
        }
        let mut piece = self.file.piece(self.offset / PIECE as u64)?;
        piece.drain(..((self.offset % PIECE as u64) as usize).min(piece.len()));
        piece.truncate(max as usize);
        self.offset += piece.len() as u64;
        Ok(piece)
    }
}

/// What has to stand under the name of a file when it is finished.
#[derive(Debug)]
pub(crate) enum Stood {
    Anything,
    Nothing,
    /// The file that the new one goes on from.
    File(File),
}

/// A file that is being written, which nobody sees before it is finished.
#[derive(Debug)]
pub struct Writing {
    place: Place,
    file: File,
    stood: Stood,
    /// Octets that it may have.
    allowed: u64,
    /// What is no whole piece yet.
    rest: Vec<u8>,
    is_finished: bool,
}

impl Writing {
    /// Begins with the first `kept` octets of the file that stood there.
    pub(crate) fn new(
        place: Place,
        file: File,
        stood: Stood,
        allowed: u64,
        kept: u64,
    ) -> Result<Self, StorageError> {
        let rest = Vec::with_capacity(PIECE);
        let mut writing = Self { place, file, stood, allowed, rest, is_finished: false };
        if let Stood::File(before) = &writing.stood {
            let before = before.clone();
            writing.copy(&before, kept.min(before.size))?;
        }
        Ok(writing)
    }

    /// The old pieces stay for who reads them.
    fn copy(&mut self, before: &File, kept: u64) -> Result<(), StorageError> {
        for number in 0..kept.div_ceil(PIECE as u64) {
            let mut piece = before.piece(number)?;
            let left = kept.saturating_sub(number * PIECE as u64);
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            self.write(piece)?;
        }
        Ok(())
    }

    fn put_piece(&mut self, piece: &[u8]) -> Result<(), StorageError> {
        let number = self.file.size / PIECE as u64;
        self.file.size += piece.len() as u64;
        // No piece goes before the entry that leads to it.
        let lifetime = self.file.lifetime().map(|lifetime| lifetime + Duration::from_secs(1));
        let key = key(self.file.id, number);
        with_room(|| kv::set(&key, piece, lifetime)).map_err(failed)
    }

    /// Whether what stands under the name may be replaced.
    fn may_replace(&self, entry: Option<&Entry>) -> Result<(), StorageError> {
        match (entry, &self.stood) {
            (Some(Entry::Directory(_)), _) => Err(ErrorCode::IsADirectory.into()),
            (Some(Entry::File(_)), Stood::Nothing) => Err(ErrorCode::Exists.into()),
            (Some(Entry::File(now)), Stood::File(before)) if now.id != before.id => {
                Err(StorageError::new(ErrorCode::Busy, "changed by somebody else meanwhile"))
            }
            (None, Stood::File(_)) => Err(ErrorCode::NotFound.into()),
            _ => Ok(()),
        }
    }
}

impl Writer for Writing {
    fn write(&mut self, data: Vec<u8>) -> Result<(), StorageError> {
        let size = self.file.size + (self.rest.len() + data.len()) as u64;
        if size > self.allowed {
            return Err(ErrorCode::Quota.into());
        }
        let mut left = data.as_slice();
        while self.rest.len() + left.len() >= PIECE {
            let (now, later) = left.split_at_checked(PIECE - self.rest.len()).unwrap_or_default();
            let mut piece = std::mem::take(&mut self.rest);
            piece.extend_from_slice(now);
            self.put_piece(&piece)?;
            piece.clear();
            self.rest = piece;
            left = later;
        }
        self.rest.extend_from_slice(left);
        Ok(())
    }

    fn finish(mut self) -> Result<FileStat, StorageError> {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.put_piece(&rest)?;
        }
        self.file.modified = clock::now_ms();
        if self.file.has_expired() {
            let message = "the upload took longer than files live";
            return Err(StorageError::new(ErrorCode::Io, message));
        }
        let entry = Entry::File(self.file.clone());
        let before = self.place.update(|before| {
            self.may_replace(before)?;
            Ok(Some(entry.clone()))
        })?;
        self.is_finished = true;
        if let Some(Entry::File(before)) = before {
            before.forget();
        }
        Ok(entry.stat())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.is_finished {
            self.file.forget();
        }
    }
}
