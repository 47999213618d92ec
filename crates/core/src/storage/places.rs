//! Where an account's files are, by a name: what configuration and authenticators write.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::{Result, Storage};
use crate::path::VirtualPath;

/// The place of a storage: `local:/srv/ftp/alice`, `plugin:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoragePlace {
    /// A local directory, by its absolute path.
    Local(PathBuf),
    /// A local directory, seen from the one above it that whoever names it is confined to: no
    /// symbolic link leads out of that. No text names such a place.
    Beneath(PathBuf, VirtualPath),
    /// A directory of the storage that the plugin of that name exports.
    Plugin(String, VirtualPath),
}

/// A text that names no place of a storage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither local:/DIRECTORY nor plugin:NAME: {0}")]
pub struct BadPlace(String);

impl FromStr for StoragePlace {
    type Err = BadPlace;

    fn from_str(text: &str) -> std::result::Result<StoragePlace, BadPlace> {
        match text.split_once(':') {
            Some(("local", path)) if path.starts_with('/') => {
                Ok(StoragePlace::Local(PathBuf::from(path)))
            }
            Some(("plugin", name)) if !name.is_empty() => {
                Ok(StoragePlace::Plugin(name.to_owned(), VirtualPath::root()))
            }
            _ => Err(BadPlace(text.to_owned())),
        }
    }
}

impl fmt::Display for StoragePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoragePlace::Local(path) => write!(f, "local:{}", path.display()),
            StoragePlace::Beneath(above, path) => write!(f, "local:{}{path}", above.display()),
            StoragePlace::Plugin(name, root) if root.is_root() => write!(f, "plugin:{name}"),
            StoragePlace::Plugin(name, root) => write!(f, "plugin:{name}{root}"),
        }
    }
}

/// Opens storages by their places, with whatever the operator mounts into all of them.
pub trait Storages: Send + Sync {
    /// The storage at `place`. One that a plugin exports need not be there yet: its operations fail
    /// with `Io` until it is.
    ///
    /// # Errors
    /// It cannot be opened.
    fn open(&self, place: &StoragePlace) -> Result<Arc<dyn Storage>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart_by_their_scheme_and_written_as_they_are_read() {
        for text in ["local:/srv/ftp", "plugin:memory"] {
            assert_eq!(text.parse::<StoragePlace>().unwrap().to_string(), text);
        }
        for text in ["", "/srv", "local:srv", "plugin:", "s3:bucket"] {
            assert!(text.parse::<StoragePlace>().is_err(), "{text}");
        }
    }
}
