//! Telling of files.

use crate::{FileKind, FileStat};

impl FileStat {
    /// A file of a size, in bytes, of which nothing else is known.
    ///
    /// ```
    /// use waft_plugin_sdk::{FileKind, FileStat};
    ///
    /// let stat = FileStat::file(7).modified(1_000);
    /// assert_eq!((stat.kind, stat.size, stat.modified), (FileKind::File, 7, Some(1_000)));
    /// ```
    pub fn file(size: u64) -> Self {
        Self::of(FileKind::File, size)
    }

    /// A directory of which nothing else is known.
    pub fn directory() -> Self {
        Self::of(FileKind::Directory, 0)
    }

    /// With the time of the last change, in milliseconds since 1970-01-01 UTC.
    pub fn modified(mut self, ms: u64) -> Self {
        self.modified = Some(ms);
        self
    }

    fn of(kind: FileKind, size: u64) -> Self {
        Self { kind, size, modified: None, mode: None, owner: None, group: None, extra: Vec::new() }
    }
}
