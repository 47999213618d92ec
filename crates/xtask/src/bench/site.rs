//! One directory with all that is served and all that servers keep, gone in the end.
//!
//! It lies in memory where there is such a file system, so that servers are measured, and not a
//! disk.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;
use waft_plugin_tools::process;

use super::account;

/// Files in memory, on Linux.
const MEMORY: &str = "/dev/shm";

/// Octets of a small file.
pub(super) const SMALL_BYTES: usize = 4 << 10;

/// The octets of large files repeat after so many: the storage that tests have knows these.
const PERIOD: usize = 251;

/// How much of everything there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Octets of the file that is moved in clear text.
    pub(super) big: usize,
    /// Octets of the file that is moved under TLS.
    pub(super) part: usize,
    /// Small files.
    pub(super) small: usize,
    /// Entries of the directory that is listed.
    pub(super) many: usize,
}

impl Sizes {
    /// What takes a server milliseconds to seconds.
    pub(super) const FULL: Sizes =
        Sizes { big: 512 << 20, part: 128 << 20, small: 1000, many: 10_000 };

    /// What shows that it works.
    pub(super) const SMOKE: Sizes = Sizes { big: 1 << 20, part: 256 << 10, small: 8, many: 50 };
}

/// The directory.
#[derive(Debug)]
pub(super) struct Site {
    directory: TempDir,
    pub(super) sizes: Sizes,
}

impl Site {
    /// Makes it in `place`, with files, a certificate, and the server's program.
    ///
    /// # Errors
    /// There is not enough room, or the program does not run.
    pub(super) fn new(place: Option<&Path>, program: &Path, sizes: Sizes) -> Result<Site> {
        let usual = if Path::new(MEMORY).is_dir() { MEMORY.into() } else { std::env::temp_dir() };
        let place = place.map_or(usual, Path::to_owned);
        let directory = tempfile::Builder::new().prefix("waft-bench-").tempdir_in(&place);
        let directory = directory.with_context(|| format!("cannot use {}", place.display()))?;
        let site = Site { directory, sizes };
        site.fill(program).with_context(|| format!("cannot fill {}", place.display()))?;
        Ok(site)
    }

    fn fill(&self, program: &Path) -> Result<()> {
        fs::set_permissions(self.directory.path(), fs::Permissions::from_mode(0o755))?;
        for name in ["files/small", "files/many", "files/up", "client/small", "servers"] {
            fs::create_dir_all(self.path(name))?;
        }
        // Nobody may be allowed to run it where it is.
        fs::copy(program, self.waft()).with_context(|| program.display().to_string())?;
        let Sizes { big, part, small, many } = self.sizes;
        pattern(&self.path("files/big"), big)?;
        pattern(&self.path("files/part"), part)?;
        for number in 0..small {
            let name = format!("small/f{number:05}");
            fs::write(self.path("files").join(&name), vec![b'x'; SMALL_BYTES])?;
            fs::write(self.path("client").join(&name), vec![b'x'; SMALL_BYTES])?;
        }
        for number in 0..many {
            let name = format!("files/many/a-file-of-a-usual-name-{number:05}.txt");
            fs::write(self.path(name), b"0123456789")?;
        }
        for name in ["files", "files/up"] {
            account::hand_over(&self.path(name))?;
        }
        // Whoever serves writes there; vsftpd serves no root that it could write to.
        fs::set_permissions(self.path("files/up"), fs::Permissions::from_mode(0o777))?;
        self.certify()
    }

    fn certify(&self) -> Result<()> {
        let [certificate, key] = self.certificate();
        let mut make = Command::new(self.waft());
        make.args(["cert", "self-signed", "--name=localhost", "--name=127.0.0.1"]);
        make.arg("--certificate").arg(&certificate).arg("--key").arg(&key);
        process::capture(&mut make)?;
        account::hand_over(&key)?;
        Ok(())
    }

    /// Where something is.
    pub(super) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What is served.
    pub(super) fn files(&self) -> PathBuf {
        self.path("files")
    }

    /// The program.
    pub(super) fn waft(&self) -> PathBuf {
        self.path("waft")
    }

    /// The certificate and its key.
    pub(super) fn certificate(&self) -> [PathBuf; 2] {
        [self.path("cert.pem"), self.path("key.pem")]
    }

    /// Removes what clients have uploaded.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn tidy(&self) -> Result<()> {
        for entry in fs::read_dir(self.path("files/up"))? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }
}

/// Writes a file whose octet at any place is the place modulo [`PERIOD`].
fn pattern(path: &Path, length: usize) -> Result<()> {
    let period: Vec<u8> = (0..=u8::MAX).take(PERIOD).collect();
    let piece = period.repeat((1 << 20) / PERIOD);
    let mut file = File::create(path)?;
    let mut left = length;
    while left > 0 {
        let part = piece.get(..left).unwrap_or(&piece);
        file.write_all(part)?;
        left -= part.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_have_the_octets_that_the_storage_of_the_tests_knows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        pattern(&path, 3_000_001).unwrap();
        let octets = fs::read(path).unwrap();
        assert_eq!(octets.len(), 3_000_001);
        assert!(octets.iter().enumerate().all(|(place, &octet)| usize::from(octet) == place % 251));
    }
}
