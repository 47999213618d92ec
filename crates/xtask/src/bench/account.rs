//! Whom clients log in as, and whom servers run as.

use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::geteuid;

/// The account where a server has names of its own.
pub(super) const USER: &str = "bench";

/// Its password.
pub(super) const PASSWORD: &str = "bench";

/// Who is nobody, on Linux.
pub(super) const NOBODY: u32 = 65534;

/// Whether this process may become anyone.
pub(super) fn is_root() -> bool {
    geteuid().is_root()
}

/// Has a program run as nobody, if it would run as root.
pub(super) fn demote(command: &mut Command) {
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Gives a file or a directory to whom most servers run as.
///
/// # Errors
/// The file system does not do that.
pub(super) fn hand_over(path: &Path) -> io::Result<()> {
    if is_root() { chown(path, Some(NOBODY), Some(NOBODY)) } else { Ok(()) }
}
