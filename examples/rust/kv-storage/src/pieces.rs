//! The octets of files, piece by piece.

use waft_plugin_sdk::{ErrorCode, FileStat, Reader, StorageError, Writer, clock, kv};

use crate::entry::{self, Entry, File, failed};

/// Octets of a piece.
const PIECE: usize = 64 * 1024;

/// Where the number of the next file is kept.
const NEXT: &str = "next";

fn key(id: i64, number: u64) -> String {
    format!("piece:{id}:{number}")
}

impl File {
    /// Gives the room of its pieces back. What cannot be deleted is lost room, and no reason to
    /// fail: the file has gone already.
    pub(crate) fn forget(self) {
        for number in 0..self.size.div_ceil(PIECE as u64) {
            let _ = kv::delete(&key(self.id, number));
        }
    }
}

/// A file that is being read.
pub(crate) struct Reading {
    file: File,
    offset: u64,
}

impl Reading {
    pub(crate) fn new(file: File, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl Reader for Reading {
    fn read(&mut self, max: u32) -> Result<Vec<u8>, StorageError> {
        if self.offset >= self.file.size {
            return Ok(Vec::new());
        }
        let piece = kv::get(&key(self.file.id, self.offset / PIECE as u64)).map_err(failed)?;
        let piece = piece.ok_or_else(|| StorageError::new(ErrorCode::Io, "deleted meanwhile"))?;
        let skipped = (self.offset % PIECE as u64) as usize;
        let octets: Vec<u8> = piece.into_iter().skip(skipped).take(max as usize).collect();
        self.offset += octets.len() as u64;
        Ok(octets)
    }
}

/// A file that is being written, which nobody sees before it is finished.
pub(crate) struct Writing {
    entry: String,
    file: File,
    /// What is no whole piece yet.
    rest: Vec<u8>,
    is_finished: bool,
}

impl Writing {
    pub(crate) fn new(entry: String) -> Result<Self, StorageError> {
        let id = kv::increment(NEXT, 1, None).map_err(failed)?;
        let file = File { id, size: 0, modified: 0 };
        Ok(Self { entry, file, rest: Vec::with_capacity(PIECE), is_finished: false })
    }

    fn put_piece(&mut self, length: usize) -> Result<(), StorageError> {
        let number = self.file.size / PIECE as u64;
        let piece: Vec<u8> = self.rest.drain(..length).collect();
        self.file.size += piece.len() as u64;
        kv::set(&key(self.file.id, number), &piece, None).map_err(failed)
    }
}

impl Writer for Writing {
    fn write(&mut self, data: Vec<u8>) -> Result<(), StorageError> {
        self.rest.extend(data);
        while self.rest.len() >= PIECE {
            self.put_piece(PIECE)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<FileStat, StorageError> {
        if !self.rest.is_empty() {
            self.put_piece(self.rest.len())?;
        }
        self.file.modified = clock::now_ms();
        let before = entry::read(&self.entry)?;
        entry::write(&self.entry, &Entry::File(self.file))?;
        self.is_finished = true;
        if let Some(Entry::File(before)) = before {
            before.forget();
        }
        Ok(Entry::File(self.file).stat())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.is_finished {
            self.file.forget();
        }
    }
}
