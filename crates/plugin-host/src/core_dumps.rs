//! Core dumps of instances that broke, for whoever debugs a plugin: files in a directory of their own,
//! the newest ones.
//!
//! The memory of an instance is in them. What an operator trusts a plugin with must not lie about on
//! the disk: there is none of a plugin that is granted secrets or passwords.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::limits;

/// How the names of the files end.
const SUFFIX: &str = ".core";

/// Where core dumps go.
#[derive(Debug)]
pub struct CoreDumps {
    directory: PathBuf,
    count: AtomicU64,
}

impl CoreDumps {
    /// Keeps them in a directory, which is made where it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn in_directory(directory: impl Into<PathBuf>) -> io::Result<CoreDumps> {
        let directory = directory.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(CoreDumps { directory, count: AtomicU64::new(0) })
    }

    /// Writes one, and removes the oldest where there are too many.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep(&self, plugin: &str, dump: &[u8]) -> io::Result<PathBuf> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // Sorted by their names, they are sorted by time.
        let file = self.directory.join(format!("{now:013}-{count:06}-{plugin}{SUFFIX}"));
        let mut open = OpenOptions::new();
        open.write(true).create_new(true).mode(0o600).open(&file)?.write_all(dump)?;
        self.make_room()?;
        Ok(file)
    }

    fn make_room(&self) -> io::Result<()> {
        let is_dump = |path: &Path| path.to_string_lossy().ends_with(SUFFIX);
        let files = fs::read_dir(&self.directory)?.map(|entry| Ok(entry?.path()));
        let mut files: Vec<PathBuf> = files.collect::<io::Result<_>>()?;
        files.retain(|path| is_dump(path));
        files.sort();
        let surplus = files.len().saturating_sub(limits::CORE_DUMPS_MAX);
        files.iter().take(surplus).try_for_each(fs::remove_file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_nobody_else_reads_them() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let dumps = CoreDumps::in_directory(directory.path().join("core")).unwrap();
        let written: Vec<_> = (0..limits::CORE_DUMPS_MAX + 3)
            .map(|number| dumps.keep("p", &[u8::try_from(number).unwrap()]).unwrap())
            .collect();
        let kept: Vec<_> = written.iter().filter(|file| file.exists()).collect();
        assert_eq!(kept, written[3..].iter().collect::<Vec<_>>());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(kept[0]), mode(kept[0].parent().unwrap())), (0o600, 0o700));
    }
}
