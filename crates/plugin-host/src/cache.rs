//! Compiled components on disk, so that none need be compiled again at every start.
//!
//! Loading a compiled component runs whatever machine code it holds: this module is the one place
//! of the crate with `unsafe`. What makes it sound, for files: they are made by this module only, in a
//! directory that nobody else may enter, and each carries a keyed tag (HMAC-SHA-256, the key made
//! at random for this installation) over its name and all its octets. The octets that were checked
//! are the ones that are run: they are read once. Wasmtime itself refuses what another version or
//! another configuration of it compiled. Nothing here is needed: whatever goes wrong costs one
//! compilation.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wasmtime::component::Component;

use crate::artifact::Digest;
use crate::engine::LinkedEngine;
use crate::limits;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 32;
const EXTENSION: &str = "cwasm";

/// Whether a state directory is there and belongs to the user of this process: whoever only looks
/// whether a server would start, as root maybe, leaves nothing there that the server cannot read.
pub(crate) fn is_own(state: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let own = rustix::process::geteuid().as_raw();
        fs::metadata(state).is_ok_and(|metadata| metadata.uid() == own)
    }
    #[cfg(not(unix))]
    state.is_dir()
}

/// The directory of compiled components.
#[derive(Debug)]
pub(crate) struct CompiledStore {
    directory: PathBuf,
    key: [u8; KEY_BYTES],
    /// What tells files of this engine from those of others.
    fingerprint: String,
}

impl CompiledStore {
    /// Opens, and makes if need be, `plugins/` in the state directory.
    ///
    /// # Errors
    /// It cannot be had, or others may enter it.
    pub(crate) fn open(state: &Path, linked: &LinkedEngine) -> io::Result<CompiledStore> {
        let directory = state.join("plugins");
        make_private_directory(&directory)?;
        let key = key(&directory.join("key"))?;
        let mut hasher = DefaultHasher::new();
        linked.engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(CompiledStore { directory, key, fingerprint: format!("{:016x}", hasher.finish()) })
    }

    /// The compiled component of that digest, if it is there and whole.
    pub(crate) fn get(&self, linked: &LinkedEngine, digest: Digest) -> Option<Component> {
        let name = self.name(digest);
        let file = self.directory.join(&name);
        let octets = fs::read(&file).ok()?;
        // What is needed often is kept longest. Failing costs a compilation some day.
        let _ = File::options()
            .append(true)
            .open(&file)
            .and_then(|file| file.set_modified(SystemTime::now()));
        let loaded = self.check(&name, &octets).and_then(|code| deserialize(linked, code));
        if loaded.is_none() {
            tracing::warn!(file = %file.display(), "stale or damaged compiled plugin, compiling anew");
        }
        loaded
    }

    /// Keeps a compiled component beside those `in_use`. A failure is logged and costs nothing but
    /// time later.
    pub(crate) fn put(&self, digest: Digest, component: &Component, in_use: &BTreeSet<Digest>) {
        let name = self.name(digest);
        let kept = component
            .serialize()
            .map_err(|error| io::Error::other(format!("{error:#}")))
            .and_then(|code| self.write(&name, &code));
        match kept {
            Ok(()) => self.prune(in_use),
            Err(error) => tracing::warn!(
                directory = %self.directory.display(),
                reason = %error,
                "compiled plugin not kept"
            ),
        }
    }

    fn name(&self, digest: Digest) -> String {
        format!("{digest}-{}.{EXTENSION}", self.fingerprint)
    }

    /// The code of a file whose tag is right.
    fn check<'a>(&self, name: &str, octets: &'a [u8]) -> Option<&'a [u8]> {
        let (tag, code) = octets.split_at_checked(TAG_BYTES)?;
        self.mac(name, code).verify_slice(tag).ok()?;
        Some(code)
    }

    fn mac(&self, name: &str, code: &[u8]) -> Hmac<Sha256> {
        // An array of any length is a key: `new` takes the one type that cannot be wrong.
        let mut block = [0; 64];
        for (octet, key) in block.iter_mut().zip(self.key) {
            *octet = key;
        }
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(name.as_bytes());
        mac.update(&[0]);
        mac.update(code);
        mac
    }

    fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
        let tag = self.mac(name, code).finalize().into_bytes();
        write_whole(&self.directory.join(name), &[tag.as_slice(), code], Existing::Goes)
    }

    /// Drops those over the limit that nobody has needed for longest, and none that is in use: the
    /// versions in force, and those to go back to.
    fn prune(&self, in_use: &BTreeSet<Digest>) {
        let in_use: BTreeSet<OsString> = in_use.iter().map(|d| self.name(*d).into()).collect();
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        let mut files: Vec<_> = entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let is_compiled = Path::new(&name).extension().is_some_and(|e| e == EXTENSION);
                is_compiled && !in_use.contains(&name)
            })
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        let surplus = files.len().saturating_sub(limits::COMPILED_KEPT_MAX);
        for (_, file) in files.into_iter().take(surplus) {
            // Tried again the next time.
            let _ = fs::remove_file(file);
        }
    }
}

#[expect(
    unsafe_code,
    reason = "running code that wasmtime compiled for this program, see the SAFETY comment"
)]
pub(crate) fn deserialize(linked: &LinkedEngine, code: &[u8]) -> Option<Component> {
    // SAFETY: `code` is what wasmtime serialised. Either `check` found the tag over it right, made with
    // a key that only this installation has, and only `put` makes such tags; or `compiler` has just made
    // it, or has it from a process of this very program, over a pipe, behind a word that only that
    // process was told; or `artifact` has just made it of a component that runs here.
    unsafe { Component::deserialize(&linked.engine, code) }.ok()
}

/// The installation's key; made at random the first time.
fn key(file: &Path) -> io::Result<[u8; KEY_BYTES]> {
    match read_key(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut key = [0; KEY_BYTES];
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            match write_whole(file, &[&key], Existing::Stays) {
                Ok(()) => Ok(key),
                // Another host of this installation was first.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_key(file),
                Err(error) => Err(error),
            }
        }
        read => read,
    }
}

fn read_key(file: &Path) -> io::Result<[u8; KEY_BYTES]> {
    fs::read(file)?.try_into().map_err(|_| io::Error::other("damaged key file"))
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Goes,
    Stays,
}

/// Writes a file that nobody sees half-written and nobody else may read.
fn write_whole(file: &Path, parts: &[&[u8]], existing: Existing) -> io::Result<()> {
    let unique = getrandom::u64().map_err(io::Error::other)?;
    let unfinished = file.with_extension(format!("{unique:016x}.tmp"));
    let written = write_new(&unfinished, parts).and_then(|()| match existing {
        Existing::Goes => fs::rename(&unfinished, file),
        Existing::Stays => fs::hard_link(&unfinished, file),
    });
    // Gone already where it was renamed.
    let _ = fs::remove_file(&unfinished);
    written
}

fn write_new(file: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut writer = options.open(file)?;
    parts.iter().try_for_each(|part| writer.write_all(part))
}

fn make_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(directory)?);
        if mode & 0o077 != 0 {
            let remedy = format!("chmod 700 {}", directory.display());
            return Err(io::Error::other(format!("others may enter it; remedy: {remedy}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sandbox;

    fn linked() -> &'static LinkedEngine {
        sandbox().unwrap().first_engine()
    }

    /// A store with one compiled component in it.
    fn store() -> (tempfile::TempDir, CompiledStore, Digest) {
        let state = tempfile::tempdir().unwrap();
        let store = CompiledStore::open(state.path(), linked()).unwrap();
        let bytes = wat::parse_str("(component (core module))").unwrap();
        let digest = Digest::of(&bytes);
        let component = Component::from_binary(&linked().engine, &bytes).unwrap();
        store.put(digest, &component, &BTreeSet::new());
        (state, store, digest)
    }

    fn get(store: &CompiledStore, digest: Digest) -> Option<Component> {
        store.get(linked(), digest)
    }

    #[test]
    fn what_was_kept_is_found_by_the_next_process_of_the_installation() {
        let (state, store, digest) = store();
        assert!(get(&store, digest).is_some());
        assert!(get(&store, Digest::of(b"other")).is_none());
        let next = CompiledStore::open(state.path(), linked()).unwrap();
        assert!(get(&next, digest).is_some());
    }

    #[test]
    fn nothing_is_run_that_this_installation_did_not_make_under_that_very_name() {
        let (_state, store, digest) = store();
        let file = store.directory.join(store.name(digest));
        let good = fs::read(&file).unwrap();
        for at in [0, TAG_BYTES, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, bad).unwrap();
            assert!(get(&store, digest).is_none(), "{at}");
        }
        fs::write(&file, &good[..TAG_BYTES - 1]).unwrap();
        assert!(get(&store, digest).is_none());
        let other = Digest::of(b"other");
        fs::write(store.directory.join(store.name(other)), &good).unwrap();
        assert!(get(&store, other).is_none());
        fs::write(&file, &good).unwrap();
        assert!(get(&store, digest).is_some());
        let foreign = CompiledStore { key: [7; KEY_BYTES], ..store };
        assert!(get(&foreign, digest).is_none());
    }

    #[test]
    fn what_was_not_needed_for_longest_goes_first_unless_it_is_in_use() {
        let (_state, store, digest) = store();
        let before = Digest::of(b"the version before");
        let aged = |name: &str| {
            store.write(name, b"").unwrap();
            let file = File::options().append(true).open(store.directory.join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        };
        aged(&store.name(before));
        for n in 0..limits::COMPILED_KEPT_MAX + 3 {
            let name = format!("{n}.{EXTENSION}");
            aged(&name);
        }
        let component = get(&store, digest).unwrap();
        store.put(digest, &component, &BTreeSet::from([before]));
        let left = fs::read_dir(&store.directory).unwrap().flatten();
        let left = left.filter(|entry| entry.path().extension().is_some_and(|e| e == EXTENSION));
        assert_eq!(left.count(), limits::COMPILED_KEPT_MAX + 1);
        assert!(store.directory.join(store.name(before)).exists());
        assert!(get(&store, digest).is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_that_others_may_enter_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let (state, store, _) = store();
        fs::set_permissions(&store.directory, fs::Permissions::from_mode(0o750)).unwrap();
        let error = CompiledStore::open(state.path(), linked()).unwrap_err();
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
}
