//! A storage with one file in it, to be read.

#![forbid(unsafe_code)]

use std::convert::Infallible;

use waft_plugin_sdk::{
    ErrorCode, FileStat, Page, Plugin, Reader, Session, Settings, Storage, StorageError,
};

const NAME: &str = "hello.txt";
const TEXT: &[u8] = b"Hello.\n";

struct HelloStorage;

impl Plugin for HelloStorage {
    fn new(settings: &Settings) -> Result<Self, String> {
        settings.finish().map(|()| Self)
    }
}

impl Storage for HelloStorage {
    type Reader = Rest;
    type Writer = Infallible;

    fn stat(&self, _: Session<'_>, path: &str) -> Result<FileStat, StorageError> {
        match path.strip_prefix('/') {
            Some("") => Ok(FileStat::directory()),
            Some(NAME) => Ok(FileStat::file(TEXT.len() as u64)),
            _ => Err(ErrorCode::NotFound.into()),
        }
    }

    fn list_dir(
        &self,
        _: Session<'_>,
        path: &str,
        _: Option<&str>,
        _: u32,
    ) -> Result<Page, StorageError> {
        if path != "/" {
            return Err(ErrorCode::NotFound.into());
        }
        let file = (NAME.to_owned(), FileStat::file(TEXT.len() as u64));
        Ok(Page { entries: vec![file], next: None })
    }

    fn open_read(
        &self,
        session: Session<'_>,
        path: &str,
        offset: u64,
    ) -> Result<Rest, StorageError> {
        self.stat(session, path)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(Rest(TEXT.get(offset..).unwrap_or_default()))
    }
}

/// What has not been read yet.
struct Rest(&'static [u8]);

impl Reader for Rest {
    fn read(&mut self, max: u32) -> Result<Vec<u8>, StorageError> {
        let length = self.0.len().min(usize::try_from(max).unwrap_or(usize::MAX));
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(piece.to_vec())
    }
}

waft_plugin_sdk::export!(HelloStorage: storage);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn the_file_is_read_piece_by_piece_to_its_end() {
        let session = TestSession::new();
        let mut reader = HelloStorage.open_read(session.session(), "/hello.txt", 2).unwrap();
        let pieces = [reader.read(3), reader.read(3), reader.read(3)].map(Result::unwrap);
        assert_eq!(pieces, [&b"llo"[..], b".\n", b""]);
    }
}
