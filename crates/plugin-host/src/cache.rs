//! Compiled components on disk, so that none need be compiled again at every start.
//!
//! Loading a compiled component runs whatever machine code it holds: this module is the one place
//! of the crate with `unsafe`, for that and for a look at what was loaded. What makes it sound, for files:
//! they are made by this module only, in a directory that nobody else may enter, and each ends with a keyed
//! tag (HMAC-SHA-256, the key made at random for this installation) over its name and all octets before the
//! tag. Wasmtime itself refuses what another version or another configuration of it compiled.
//!
//! A file that was found good is mapped, not copied: of a plugin's code only what it runs is in memory, and
//! the system may take that back where it is short of it, as a server at rest gives it back; an interpreter
//! compiled to WebAssembly has tens of megabytes of it. So it has to stay what it was, as long as the plugin
//! lives, as the program's own file has to: no file is ever written to once it has its name, but exchanged
//! whole, with all octets on the disk, and whoever has mapped the one before keeps that. A disk that does not
//! give back what was written ends the server. Nothing here is needed: whatever goes wrong before a file is
//! mapped costs one compilation.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wasmtime::component::Component;

use crate::artifact::Digest;
use crate::engine::LinkedEngine;
use crate::errors::one_line;
use crate::limits;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 32;
const EXTENSION: &str = "cwasm";

const NOT_MAPPED: &str = "compiled plugin cannot be mapped: all of it stays in memory";

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
        let opened = File::open(&file).ok()?;
        // What is needed often is kept longest. Failing costs a compilation some day.
        let _ = File::options()
            .append(true)
            .open(&file)
            .and_then(|file| file.set_modified(SystemTime::now()));
        let loaded = self.is_good(&name, opened).map_err(wasmtime::Error::from);
        let loaded = loaded.and_then(|is_good| {
            wasmtime::ensure!(is_good, "it is not what was written");
            self.load_good(linked, &name)
        });
        loaded
            .inspect_err(|error| tell(&file, error, "compiled plugin of no use, compiling anew"))
            .ok()
    }

    /// The component in a file that was found good. Where the system maps no code, as from a file system that
    /// nothing may be executed from (`noexec`), it is copied.
    fn load_good(&self, linked: &LinkedEngine, name: &str) -> wasmtime::Result<Component> {
        let file = self.directory.join(name);
        let mapped = load(linked, Code::File(&file));
        mapped.inspect_err(|error| tell(&file, error, NOT_MAPPED)).or_else(|_| {
            let octets = fs::read(&file)?;
            wasmtime::ensure!(
                self.is_good_in(name, &octets[..], octets.len() as u64)?,
                "it was exchanged"
            );
            deserialize(linked, &octets)
        })
    }

    /// Keeps the code of a component beside that of those `in_use`, and gives the component as it is kept.
    /// A failure is logged and costs nothing but memory now and time later.
    pub(crate) fn put(
        &self,
        linked: &LinkedEngine,
        digest: Digest,
        code: &[u8],
        in_use: &BTreeSet<Digest>,
    ) -> Option<Component> {
        let name = self.name(digest);
        let file = self.directory.join(&name);
        if let Err(error) = self.write(&name, code) {
            tracing::warn!(
                directory = %self.directory.display(),
                reason = %error,
                "compiled plugin not kept"
            );
            return None;
        }
        self.prune(in_use);
        load(linked, Code::File(&file)).inspect_err(|error| tell(&file, error, NOT_MAPPED)).ok()
    }

    fn name(&self, digest: Digest) -> String {
        format!("{digest}-{}.{EXTENSION}", self.fingerprint)
    }

    /// Whether the tag of a file of that name is right.
    fn is_good(&self, name: &str, file: File) -> io::Result<bool> {
        let length = file.metadata()?.len();
        self.is_good_in(name, file, length)
    }

    /// Whether the tag is right in `length` octets.
    fn is_good_in(&self, name: &str, mut octets: impl Read, length: u64) -> io::Result<bool> {
        let Some(length) = length.checked_sub(TAG_BYTES as u64) else { return Ok(false) };
        let mut mac = Tagging(self.mac(name));
        io::copy(&mut octets.by_ref().take(length), &mut mac)?;
        let mut tag = [0; TAG_BYTES];
        octets.read_exact(&mut tag)?;
        Ok(mac.0.verify_slice(&tag).is_ok())
    }

    /// The beginning of a tag: what stands before it in a file of that name is yet to be added.
    fn mac(&self, name: &str) -> Hmac<Sha256> {
        // An array of any length is a key: `new` takes the one type that cannot be wrong.
        let mut block = [0; 64];
        for (octet, key) in block.iter_mut().zip(self.key) {
            *octet = key;
        }
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(name.as_bytes());
        mac.update(&[0]);
        mac
    }

    fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
        let mut mac = self.mac(name);
        mac.update(code);
        let tag = mac.finalize().into_bytes();
        write_whole(&self.directory.join(name), &[code, tag.as_slice()], Existing::Goes)
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

/// A tag that is written to.
struct Tagging(Hmac<Sha256>);

impl Write for Tagging {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.update(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tell(file: &Path, error: &wasmtime::Error, what: &str) {
    let reason = one_line(&format!("{error:#}"));
    tracing::warn!(file = %file.display(), reason, "{what}");
}

/// The component whose code these octets are.
///
/// # Errors
/// It is for another engine, or the system has no room for it.
pub(crate) fn deserialize(linked: &LinkedEngine, code: &[u8]) -> wasmtime::Result<Component> {
    load(linked, Code::Octets(code))
}

/// Where a component's code is. What follows it, such as a tag, is of no account, and comes back with it
/// where a mapped component is serialised.
enum Code<'a> {
    Octets(&'a [u8]),
    File(&'a Path),
}

#[expect(
    unsafe_code,
    reason = "running code that wasmtime compiled for this program, see the SAFETY comment"
)]
fn load(linked: &LinkedEngine, code: Code<'_>) -> wasmtime::Result<Component> {
    // SAFETY: `code` is what wasmtime serialised. Of files, `is_good` found the tag right, made with a key
    // that only this installation has, or `put` has just written it; whatever has taken its name since is such
    // a file, too; and none changes while it is mapped, as this module only ever exchanges them whole, in a
    // directory that nobody else may enter, on a disk that gives back what was written to it. Of octets, they
    // are such a file's, or `compiler` has just made them, or has them from a process of this very
    // program, over a pipe, behind a word that only that process was told; or `artifact` has just made
    // them of a component that runs here.
    unsafe {
        match code {
            Code::Octets(octets) => Component::deserialize(&linked.engine, octets),
            Code::File(file) => Component::deserialize_file(&linked.engine, file),
        }
    }
}

/// What a component was compiled to, code and constants, as long as this lives: mapped from a file, or copied.
pub struct Image(Component);

impl Image {
    pub(crate) fn of(component: &Component) -> Image {
        Image(component.clone())
    }
}

impl AsRef<[u8]> for Image {
    #[expect(
        unsafe_code,
        reason = "wasmtime tells where it is and no more, see the SAFETY comment"
    )]
    fn as_ref(&self) -> &[u8] {
        let Range { start, end } = self.0.image_range();
        // SAFETY: wasmtime made the range of such a slice. What it holds was initialised when the component was
        // made, and nobody writes to it from then on; it stays where it is as long as there is a clone
        // of the component.
        unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Image").field(&self.0.image_range()).finish()
    }
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
    parts.iter().try_for_each(|part| writer.write_all(part))?;
    // What is mapped is read again from the disk whenever the system wants its memory back.
    writer.sync_all()
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

    /// With some code.
    const COMPONENT: &str = r#"(component (core module (func (export "f"))))"#;

    fn linked() -> &'static LinkedEngine {
        sandbox().unwrap().first_engine()
    }

    fn compiled() -> Vec<u8> {
        let bytes = wat::parse_str(COMPONENT).unwrap();
        linked().engine.precompile_component(&bytes).unwrap()
    }

    /// A store with one compiled component in it.
    fn store() -> (tempfile::TempDir, CompiledStore, Digest) {
        let state = tempfile::tempdir().unwrap();
        let store = CompiledStore::open(state.path(), linked()).unwrap();
        let (digest, code) = (Digest::of(COMPONENT.as_bytes()), compiled());
        assert!(store.put(linked(), digest, &code, &BTreeSet::new()).is_some());
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
        // What is mapped is not written to.
        let put =
            |file: &Path, octets: &[u8]| write_whole(file, &[octets], Existing::Goes).unwrap();
        for at in [0, good.len() - TAG_BYTES - 1, good.len() - TAG_BYTES, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            put(&file, &bad);
            assert!(get(&store, digest).is_none(), "{at}");
        }
        put(&file, &good[..TAG_BYTES - 1]);
        assert!(get(&store, digest).is_none());
        let other = Digest::of(b"other");
        put(&store.directory.join(store.name(other)), &good);
        assert!(get(&store, other).is_none());
        put(&file, &good);
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
        let code = compiled();
        assert!(store.put(linked(), digest, &code, &BTreeSet::from([before])).is_some());
        let left = fs::read_dir(&store.directory).unwrap().flatten();
        let left = left.filter(|entry| entry.path().extension().is_some_and(|e| e == EXTENSION));
        assert_eq!(left.count(), limits::COMPILED_KEPT_MAX + 1);
        assert!(store.directory.join(store.name(before)).exists());
        assert!(get(&store, digest).is_some());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn code_that_was_kept_is_mapped_from_its_file() {
        let (_state, store, digest) = store();
        let file = store.directory.join(store.name(digest));
        let component = get(&store, digest).unwrap();
        let mapped = fs::read_to_string("/proc/self/maps").unwrap();
        let path = fs::canonicalize(&file).unwrap();
        let is_code =
            |line: &str| line.contains(" r-xp ") && line.ends_with(path.to_str().unwrap());
        assert!(mapped.lines().any(is_code), "{mapped}");
        // Another file of that name is another file.
        let code = component.serialize().unwrap();
        write_whole(&file, &[b"another"], Existing::Goes).unwrap();
        assert_eq!(component.serialize().unwrap(), code);
        assert!(get(&store, digest).is_none());
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
