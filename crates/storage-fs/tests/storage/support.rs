//! A directory with something beside it that nobody may reach.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use waft_core::VirtualPath;
use waft_core::storage::{
    Batch, ErrorKind, Interrupted, Metadata, Result, Storage, StorageError, WriteMode, Writer,
};
use waft_storage_fs::{LocalStorage, Options};

pub(crate) const SECRET: &[u8] = b"nobody may read this";

/// `outer/root` is served; `outer/secret` and `outer/out/secret` lie outside.
pub(crate) struct Tree {
    outer: TempDir,
    pub(crate) storage: LocalStorage,
}

impl Tree {
    pub(crate) fn new() -> Tree {
        Tree::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Tree {
        let outer = tempfile::tempdir().unwrap();
        fs::create_dir(outer.path().join("root")).unwrap();
        fs::create_dir(outer.path().join("out")).unwrap();
        fs::write(outer.path().join("secret"), SECRET).unwrap();
        fs::write(outer.path().join("out/secret"), SECRET).unwrap();
        let storage = LocalStorage::open(&outer.path().join("root"), options).unwrap();
        Tree { outer, storage }
    }

    pub(crate) fn outside(&self) -> &Path {
        self.outer.path()
    }

    /// Where `name` lies in the local file system.
    pub(crate) fn local(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.outer.path().join("root").join(OsStr::from_bytes(name.as_ref()))
    }

    pub(crate) fn put(&self, name: impl AsRef<[u8]>, contents: impl AsRef<[u8]>) {
        fs::write(self.local(name), contents).unwrap();
    }

    pub(crate) fn get(&self, name: impl AsRef<[u8]>) -> Vec<u8> {
        fs::read(self.local(name)).unwrap()
    }

    pub(crate) fn link(&self, target: impl AsRef<Path>, name: &str) {
        std::os::unix::fs::symlink(target, self.local(name)).unwrap();
    }

    /// The names in the root as the system sees them, sorted, nothing hidden.
    pub(crate) fn names(&self) -> Vec<String> {
        names_in(&self.local(""))
    }

    /// What lies outside is as it was.
    pub(crate) fn assert_outside_untouched(&self) {
        assert_eq!(names_in(self.outside()), ["out", "root", "secret"]);
        assert_eq!(names_in(&self.outside().join("out")), ["secret"]);
        for secret in ["secret", "out/secret"] {
            assert_eq!(fs::read(self.outside().join(secret)).unwrap(), SECRET);
        }
    }

    pub(crate) async fn open_write(&self, name: &str, mode: WriteMode) -> Result<Box<dyn Writer>> {
        let path = path(name);
        let checked = self.storage.check_write(&path, mode).await.map_err(|error| error.kind());
        let opened = self.storage.open_write(&path, mode).await;
        assert_eq!(
            checked,
            opened.as_ref().map(drop).map_err(StorageError::kind),
            "check_write foretells what open_write does"
        );
        opened
    }

    /// Uploads all of `contents`.
    pub(crate) async fn upload(
        &self,
        name: &str,
        mode: WriteMode,
        contents: &[u8],
    ) -> Result<Metadata> {
        let mut writer = self.open_write(name, mode).await?;
        write(&mut writer, contents).await;
        writer.finish().await
    }

    /// Uploads `contents` and is interrupted then.
    pub(crate) async fn interrupt(
        &self,
        name: &str,
        mode: WriteMode,
        contents: &[u8],
        interrupted: Interrupted,
    ) {
        let mut writer = self.open_write(name, mode).await.unwrap();
        write(&mut writer, contents).await;
        writer.abandon(interrupted).await.unwrap();
    }

    pub(crate) async fn download(&self, name: &str, offset: u64) -> Result<Vec<u8>> {
        let mut reader = self.storage.open_read(&path(name), offset).await?;
        let mut contents = Vec::new();
        loop {
            let part = reader.read(Vec::with_capacity(1000)).await?;
            if part.is_empty() {
                return Ok(contents);
            }
            contents.extend_from_slice(&part);
        }
    }

    /// The entries of a directory with their facts, sorted by name.
    pub(crate) async fn list(&self, name: &str) -> Result<Vec<(Vec<u8>, Metadata)>> {
        let mut directory = self.storage.open_directory(&path(name)).await?;
        let (mut batch, mut entries) = (Batch::default(), Vec::new());
        loop {
            directory.read(&mut batch).await?;
            if batch.is_empty() {
                entries.sort_by(|(one, _), (other, _): &(Vec<u8>, Metadata)| one.cmp(other));
                return Ok(entries);
            }
            entries.extend(batch.iter().map(|(name, facts)| (name.to_vec(), *facts)));
        }
    }
}

pub(crate) async fn write(writer: &mut Box<dyn Writer>, contents: &[u8]) {
    if !contents.is_empty() {
        let buffer = writer.write(contents.to_vec()).await.unwrap();
        assert!(buffer.is_empty());
    }
}

pub(crate) fn path(name: &str) -> VirtualPath {
    bytes_path(name.as_bytes())
}

pub(crate) fn bytes_path(name: &[u8]) -> VirtualPath {
    VirtualPath::root().join(name).unwrap()
}

pub(crate) fn kind<T>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("succeeded"),
        Err(error) => error.kind(),
    }
}

pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
