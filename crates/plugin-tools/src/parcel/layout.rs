//! The tar of a layout: `oci-layout`, `index.json` and `blobs/sha256/`, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use anyhow::{Context, Result, bail};
use tar::{Archive, Builder, Entry, EntryType, Header};

use super::documents::{self, Descriptor, digest};

pub(super) const MARKER: &str = "oci-layout";
pub(super) const INDEX: &str = "index.json";

/// Where blobs lie, and how digests begin.
const BLOBS: &str = "blobs/sha256/";
const ALGORITHM: &str = "sha256:";

/// Entries of an archive: documents, blobs, and directories.
const ENTRIES_MAX: usize = 64;

/// Octets of an archive beside its blobs: headers, padding, `index.json` and the like.
const FRAME_BYTES_MAX: u64 = 4 * documents::BYTES_MAX;

/// What an archive that is compressed begins with (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Writes an archive.
pub(super) struct Writer {
    builder: Builder<Vec<u8>>,
    blobs: BTreeSet<String>,
}

impl Writer {
    pub(super) fn new() -> Result<Writer> {
        let mut writer = Writer { builder: Builder::new(Vec::new()), blobs: BTreeSet::new() };
        for directory in ["blobs/", BLOBS] {
            writer.entry(directory, EntryType::Directory, 0o755, &[])?;
        }
        Ok(writer)
    }

    pub(super) fn file(&mut self, name: &str, octets: &[u8]) -> Result<()> {
        self.entry(name, EntryType::Regular, 0o644, octets)
    }

    /// Writes a blob, once.
    pub(super) fn blob(&mut self, octets: &[u8]) -> Result<()> {
        let digest = digest(octets);
        let name = digest.replace(ALGORITHM, BLOBS);
        if self.blobs.insert(digest) { self.file(&name, octets) } else { Ok(()) }
    }

    pub(super) fn finish(self) -> Result<Vec<u8>> {
        Ok(self.builder.into_inner()?)
    }

    fn entry(&mut self, name: &str, kind: EntryType, mode: u32, octets: &[u8]) -> Result<()> {
        // Times and owners are zero unless they are set.
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(octets.len() as u64);
        Ok(self.builder.append_data(&mut header, name, octets)?)
    }
}

/// What an archive holds, every blob of which is what its name says.
pub(super) struct Layout {
    files: BTreeMap<String, Vec<u8>>,
}

impl Layout {
    /// Reads an archive that has a blob of each of these sizes at most, beside documents.
    pub(super) fn read(
        archive: impl Read,
        blobs: impl Iterator<Item = u64> + Clone,
    ) -> Result<Layout> {
        let (largest, sum) = (blobs.clone().max(), blobs.fold(0, u64::saturating_add));
        let file_max = largest.unwrap_or_default().max(documents::BYTES_MAX);
        let all_max = sum.saturating_add(FRAME_BYTES_MAX);
        let mut archive = Archive::new(Bounded { inner: archive, left: all_max, first: true });
        let mut layout = Layout { files: BTreeMap::new() };
        for (number, entry) in archive.entries().context(DAMAGED)?.enumerate() {
            if number == ENTRIES_MAX {
                bail!("too many entries: at most {ENTRIES_MAX}");
            }
            layout.take(entry.context(DAMAGED)?, file_max)?;
        }
        Ok(layout)
    }

    fn take(&mut self, entry: Entry<'_, impl Read>, file_max: u64) -> Result<()> {
        let name = entry.path_bytes();
        let name = String::from_utf8_lossy(name.strip_prefix(b"./").unwrap_or(&name)).into_owned();
        match entry.header().entry_type() {
            EntryType::Directory if !name.split('/').any(|part| part == "..") => return Ok(()),
            EntryType::Regular if is_known(&name) => {}
            _ => bail!("no part of an image layout: {name:?}"),
        }
        let mut octets = Vec::new();
        let size = entry.size();
        let read = entry.take(file_max.saturating_add(1)).read_to_end(&mut octets);
        if read.context(DAMAGED)? as u64 > file_max {
            bail!("too large: {name} has {size} bytes, at most {file_max}");
        }
        if octets.len() as u64 != size {
            bail!("{DAMAGED}: it ends within {name}");
        }
        if let Some(digits) = name.strip_prefix(BLOBS)
            && digest(&octets) != format!("{ALGORITHM}{digits}")
        {
            bail!("{DAMAGED}: the content of {name} has another digest");
        }
        if self.files.insert(name.clone(), octets).is_some() {
            bail!("twice in the archive: {name}");
        }
        Ok(())
    }

    pub(super) fn file(&self, name: &str) -> Result<&[u8]> {
        let octets = self.files.get(name);
        octets.map(Vec::as_slice).with_context(|| format!("not in the archive: {name}"))
    }

    /// The blob that a document names, which has so many octets at most.
    pub(super) fn blob(&self, wanted: &Descriptor, bytes_max: u64) -> Result<&[u8]> {
        let digits = wanted.digest.strip_prefix(ALGORITHM).filter(|it| is_digits(it));
        let digits =
            digits.with_context(|| format!("no digest of SHA-256: {:?}", wanted.digest))?;
        let octets = self.file(&format!("{BLOBS}{digits}"))?;
        let (size, said) = (octets.len() as u64, wanted.size);
        if size != said {
            bail!("{DAMAGED}: {} has {size} bytes, not {said}", wanted.digest);
        }
        if size > bytes_max {
            let kind = &wanted.media_type;
            bail!("too large for {kind}: {size} bytes, at most {bytes_max}");
        }
        Ok(octets)
    }

    /// Gives the memory back.
    pub(super) fn clear(&mut self) {
        self.files.clear();
    }
}

const DAMAGED: &str = "the archive is damaged";

fn is_known(name: &str) -> bool {
    [MARKER, INDEX].contains(&name) || name.strip_prefix(BLOBS).is_some_and(is_digits)
}

fn is_digits(text: &str) -> bool {
    let digit = |octet: u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 64 && text.bytes().all(digit)
}

/// Octets of an archive, so many at most.
struct Bounded<R> {
    inner: R,
    left: u64,
    first: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let Some(left) = self.left.checked_sub(read as u64) else {
            return Err(std::io::Error::other("it is too large"));
        };
        self.left = left;
        if std::mem::take(&mut self.first) && buffer.starts_with(&GZIP) {
            return Err(std::io::Error::other("it is compressed: gunzip it first"));
        }
        Ok(read)
    }
}
