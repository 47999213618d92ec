//! Where something was written: the file, the line, the column.
//!
//! Every value keeps its place, so that a mistake found long after parsing (a root that does not
//! exist, a plugin that wants a grant) can still point at the line that is to be changed.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The place of a key or value in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The file, as it was opened.
    pub file: Arc<Path>,
    /// Line, counted from 1; 0 stands for the file as a whole.
    pub line: u32,
    /// Column in characters, counted from 1; 0 stands for the file as a whole.
    pub column: u32,
}

impl Origin {
    /// Stands for `file` as a whole.
    #[must_use]
    pub fn whole(file: &Path) -> Self {
        Self { file: Arc::from(file), line: 0, column: 0 }
    }

    /// Stands for the command line, where there is no file.
    #[must_use]
    pub fn command_line() -> Self {
        Self::whole(Path::new("command line"))
    }

    /// Returns `path` as seen from the directory of this file.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        match self.file.parent() {
            Some(directory) => directory.join(path),
            None => path.to_path_buf(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

/// Turns byte offsets of one text into places.
pub(crate) struct Lines<'t> {
    file: Arc<Path>,
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn of(file: &Path, text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { file: Arc::from(file), text, starts }
    }

    /// Returns the place of the first byte of `span`.
    pub(crate) fn place(&self, span: &Range<usize>) -> Origin {
        let at = span.start.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= at);
        let start = line.checked_sub(1).and_then(|i| self.starts.get(i)).copied().unwrap_or(0);
        let before = self.text.get(start..at).unwrap_or_default();
        Origin {
            file: Arc::clone(&self.file),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(before.chars().count()).map_or(u32::MAX, |n| n.saturating_add(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "a = 1\nü = \"é\"  # c\n\nlast";
        let lines = Lines::of(Path::new("x.toml"), text);
        let place = |needle: &str| {
            let at = text.find(needle).unwrap();
            lines.place(&(at..at + 1)).to_string()
        };
        assert_eq!(place("a"), "x.toml:1:1");
        assert_eq!(place("ü"), "x.toml:2:1");
        assert_eq!(place("#"), "x.toml:2:10");
        assert_eq!(place("last"), "x.toml:4:1");
        assert_eq!(lines.place(&(text.len()..text.len())).to_string(), "x.toml:4:5");
        assert_eq!(lines.place(&(999..1000)).to_string(), "x.toml:4:5");
    }

    #[test]
    fn a_relative_path_is_seen_from_the_directory_of_its_file() {
        let origin = Origin::whole(Path::new("/etc/waft/waft.toml"));
        assert_eq!(origin.resolve(Path::new("key.pem")), Path::new("/etc/waft/key.pem"));
        assert_eq!(origin.resolve(Path::new("/k/key.pem")), Path::new("/k/key.pem"));
        let bare = Origin::whole(Path::new("waft.toml"));
        assert_eq!(bare.resolve(Path::new("key.pem")), Path::new("key.pem"));
    }
}
