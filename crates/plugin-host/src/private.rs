//! Files and folders of the state directory that nobody but the server may read.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a directory, and those above it, where they are not there.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    let mut directory = fs::DirBuilder::new();
    directory.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut directory, 0o700);
    directory.create(path)
}

/// Opens a file to read and write, and makes it where it is not there. A file that others may read is so no longer: it may come from an earlier version.
pub(crate) fn open(file: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.open(file)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if opened.metadata()?.permissions().mode() & 0o077 != 0 {
            opened.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(opened)
}
