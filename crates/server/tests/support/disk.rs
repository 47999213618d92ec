//! The files of a transcript: what is there before, and what must be there after.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;
use waft_proto::time::parse_time_val;

use super::script::name;
use super::text::{contents, escape, size};

/// The directory that the accounts' roots are in.
pub struct Disk {
    root: TempDir,
}

/// What files of a transcript were last modified at, unless it says something else.
const MODIFIED: u64 = 1_704_110_400; // 2024-01-01 12:00:00

impl Disk {
    pub fn new() -> Disk {
        let root = tempfile::tempdir().unwrap();
        // What is outside of the root must not be reached: it is there to try.
        fs::write(root.path().join("outside.txt"), "outside\n").unwrap();
        fs::create_dir(root.path().join("root")).unwrap();
        Disk { root }
    }

    /// The root of accounts that say nothing else.
    pub fn root(&self) -> PathBuf {
        self.root.path().join("root")
    }

    /// Makes a file: `CONTENTS`, or `of SIZE zeros`.
    pub fn make_file(&self, name: &[u8], what: &str) {
        let path = self.path(name);
        match what.strip_prefix("of ").and_then(|rest| rest.strip_suffix(" zeros")) {
            // A hole: it takes no space.
            Some(length) => fs::File::create(&path).unwrap().set_len(size(length) as u64).unwrap(),
            None => fs::write(&path, contents(what)).unwrap(),
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        set_modified(&path);
    }

    pub fn make_directory(&self, name: &[u8]) {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        set_modified(&path);
    }

    pub fn make_link(&self, name: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.path(name.as_bytes())).unwrap();
    }

    /// Checks a claim:
    ///
    /// - `NAME holds CONTENTS`, `NAME mode 640`, `NAME modified 20240101120000`;
    /// - `no NAME`, `directory NAME`;
    /// - `names NAME, NAME`: what is in the root, sorted, and nothing else.
    pub fn check(&self, claim: &str) -> Result<(), String> {
        if let Some(gone) = claim.strip_prefix("no ") {
            let path = self.path(&name(gone));
            return told(fs::symlink_metadata(path).is_err(), "it is there");
        }
        if let Some(directory) = claim.strip_prefix("directory ") {
            let path = self.path(&name(directory));
            return told(path.is_dir(), "no such directory");
        }
        if let Some(names) = claim.strip_prefix("names") {
            let expected: Vec<_> = names.trim().split(", ").filter(|n| !n.is_empty()).collect();
            let found = self.names();
            return told(found == expected, &format!("there is: {}", found.join(", ")));
        }
        let known = [" holds ", " mode ", " modified "];
        let place = known.iter().filter_map(|key| Some((claim.find(key)?, key.len()))).min();
        let (at, length) = place.ok_or("not a claim")?;
        let key = claim[at..at + length].trim();
        self.check_fact(&self.path(&name(&claim[..at])), key, &claim[at + length..])
    }

    fn check_fact(&self, path: &Path, key: &str, value: &str) -> Result<(), String> {
        let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
        match key {
            "holds" => {
                let found = fs::read(path).map_err(|error| error.to_string())?;
                let short = escape(&found[..found.len().min(200)]);
                let shown = format!("it holds {} octets: {short}", found.len());
                told(found == contents(value), &shown)
            }
            "mode" => {
                let mode = format!("{:03o}", metadata.mode() & 0o7777);
                told(mode == value, &format!("its mode is {mode}"))
            }
            _ => {
                let expected = parse_time_val(value.as_bytes()).unwrap();
                let found = (metadata.mtime(), metadata.mtime_nsec());
                let same = found == (expected.seconds, i64::from(expected.nanos));
                told(same, &format!("it was modified at {found:?}"))
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| escape(entry.unwrap().file_name().as_bytes())).collect();
        names.sort();
        names
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        self.root().join(OsStr::from_bytes(name))
    }
}

fn told(is_so: bool, otherwise: &str) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn set_modified(path: &Path) {
    let modified = UNIX_EPOCH + Duration::from_secs(MODIFIED);
    let file = fs::File::open(path).unwrap();
    file.set_modified(modified).unwrap();
}
