//! Writing files that others may be reading.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Puts a file in its place at once, and only where it differs from what is there.
///
/// # Errors
/// It cannot be written.
pub(crate) fn put(place: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(place).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let write = || {
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        // A server that watches the folder takes no notice of such a name.
        let mut partial = place.as_os_str().to_owned();
        partial.push(".part");
        fs::write(&partial, bytes)?;
        fs::rename(&partial, place)
    };
    write().with_context(|| format!("cannot write {}", place.display()))
}
