//! Where uploads go that a plugin wants kept away: a directory of the operator's, outside of
//! everything that is served.
//!
//! The name of such a file tells what it was: `TIME_USER_PLUGIN_PATH`, everything in it but
//! letters, digits, dots and dashes written as `%XX`. It appears when it is complete, and only the
//! server's own user may read it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fd::AsRawFd;
use rustix::fs::{AtFlags, CWD, linkat};
use waft_core::VirtualPath;
use waft_proto::Timestamp;
use waft_proto::time::{Precision, write_time_val};

/// Octets of a name, which leaves room for a number behind it.
const NAME_BYTES_MAX: usize = 240;

/// How many names are tried.
const NAMES_MAX: u32 = 1000;

/// What is put aside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect<'a> {
    /// Who uploaded it.
    pub(super) user: &'a str,
    /// The name that it would have had.
    pub(super) path: &'a VirtualPath,
    /// The plugin that wants it kept away.
    pub(super) plugin: &'a str,
}

/// Keeps what is in `file` in `directory`, and tells the name that it has there. The upload itself
/// is still to be given up.
///
/// # Errors
/// It cannot be kept; in words.
pub(super) async fn keep(
    file: Arc<File>,
    directory: PathBuf,
    suspect: &Suspect<'_>,
) -> Result<String, String> {
    let name = name(suspect, Timestamp::from(SystemTime::now()));
    let kept = tokio::task::spawn_blocking(move || keep_now(&file, &directory, &name)).await;
    kept.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

fn keep_now(file: &File, directory: &Path, name: &str) -> io::Result<String> {
    // Copied where other names of the file stay behind, which somebody may write to.
    let is_nameless = file.metadata()?.nlink() == 0;
    for number in 0..NAMES_MAX {
        let name = if number == 0 { name.to_owned() } else { format!("{name}.{number}") };
        let to = directory.join(&name);
        let kept =
            if is_nameless { link(file, &to) } else { Err(io::ErrorKind::CrossesDevices.into()) };
        match kept.or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            _ => copy(file, directory, &to),
        }) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Gives a file without a name that name: all of it is there at once, whatever its size.
fn link(file: &File, to: &Path) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    linkat(CWD, own_handle(file), CWD, to, AtFlags::SYMLINK_FOLLOW)?;
    Ok(())
}

/// Copies it to a file that nobody else sees before it is complete.
fn copy(file: &File, directory: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(own_handle(file))?;
    let hidden = directory.join(format!(".{}", to.file_name().unwrap_or_default().display()));
    let mut options = OpenOptions::new();
    let mut into = options.write(true).create_new(true).mode(0o600).open(&hidden)?;
    let copied = io::copy(&mut from, &mut into).and_then(|_| fs::hard_link(&hidden, to));
    fs::remove_file(&hidden)?;
    copied
}

fn own_handle(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The name of a file that is put aside at that time. Of a path that is too long, the end is kept.
fn name(suspect: &Suspect<'_>, now: Timestamp) -> String {
    let mut time = Vec::new();
    write_time_val(&mut time, now, Precision::Seconds);
    let (user, plugin) = (escaped(suspect.user.as_bytes()), escaped(suspect.plugin.as_bytes()));
    let start = format!("{}Z_{user}_{plugin}_", String::from_utf8_lossy(&time));
    let start = start.get(..start.len().min(NAME_BYTES_MAX / 2)).unwrap_or_default();
    let path = escaped(suspect.path.relative());
    let cut = path.len().saturating_sub(NAME_BYTES_MAX - start.len());
    format!("{start}{}", path.get(cut..).unwrap_or_default())
}

/// Letters, digits, dots and dashes as they are, everything else as `%XX`.
fn escaped(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for &octet in octets {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-') {
            text.push(char::from(octet));
        } else {
            text.push_str(&format!("%{octet:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn suspect(path: &VirtualPath) -> Suspect<'_> {
        Suspect { user: "al_ice", path, plugin: "scan" }
    }

    #[test]
    fn a_name_tells_time_user_plugin_and_path() {
        let path = VirtualPath::root().join(b"pub/a b\xff.exe").unwrap();
        let name = name(&suspect(&path), Timestamp::EPOCH);
        assert_eq!(name, "19700101000000Z_al%5Fice_scan_pub%2Fa%20b%FF.exe");
    }

    #[test]
    fn a_long_name_keeps_both_its_ends() {
        let path = VirtualPath::root().join(&[b'x'; 400]).unwrap();
        let path = path.join(b"end.txt").unwrap();
        let name = name(&Suspect { user: &"u".repeat(400), ..suspect(&path) }, Timestamp::EPOCH);
        assert_eq!(name.len(), NAME_BYTES_MAX);
        assert!(name.starts_with("19700101000000Z_uuu") && name.ends_with("x%2Fend.txt"), "{name}");
    }

    #[test]
    fn what_is_kept_is_complete_and_nobody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let mut nameless = tempfile::tempfile_in(directory.path()).unwrap();
        nameless.write_all(b"bad").unwrap();
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(b"worse").unwrap();
        let first = keep_now(&nameless, directory.path(), "x").unwrap();
        let second = keep_now(named.as_file(), directory.path(), "x").unwrap();
        assert_eq!((first.as_str(), second.as_str()), ("x", "x.1"));
        let read = |name: &str| fs::read(directory.path().join(name)).unwrap();
        assert_eq!((read("x"), read("x.1")), (b"bad".to_vec(), b"worse".to_vec()));
        for entry in fs::read_dir(directory.path()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
