//! What an encrypted file is.
//!
//! ```text
//! magic    8 octets   8e 77 61 66 74 65 6e 63
//! version  1 octet    1
//! key id   8 octets   of the master key
//! salt    32 octets   random
//! chunks              64 KiB each, the last one shorter or as long, sealed with
//!                     ChaCha20-Poly1305 (RFC 8439): ciphertext, then 16 octets of tag
//! ```
//!
//! The nonce of a chunk is its number (11 octets, big-endian, from 0) and an octet that is 1 for the
//! last chunk and 0 for all others. So chunks cannot change places, and a file that was cut off
//! between two of them does not end with the last one. An empty file is one empty chunk; no other
//! file ends with one. All octets before the chunks are authenticated with each of them.

use std::fmt;
use std::rc::Rc;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use waft_plugin_sdk::crypto;

use crate::keys::{ID, Keyring, MasterKey};

/// How an encrypted file begins; no text and no other kind of file does.
pub(crate) const MAGIC: [u8; 8] = *b"\x8ewaftenc";

const VERSION: u8 = 1;

/// Octets of a salt.
const SALT: usize = 32;

/// Octets before the first chunk.
pub(crate) const HEADER: usize = MAGIC.len() + 1 + ID + SALT;

/// Octets of a chunk before it is sealed.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Octets that sealing adds.
pub(crate) const TAG: usize = 16;

/// Octets of a sealed chunk that is not the last.
const SEALED: usize = CHUNK + TAG;

/// Why a file cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It is not encrypted at all.
    Plain,
    /// It is of a version that is not known here.
    Version(u8),
    /// It was encrypted with a key that is not here.
    Key([u8; ID]),
    /// It is not as it was written: changed, or cut off.
    Changed,
}

impl Damage {
    /// In a word or two.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Plain => "not encrypted",
            Self::Version(_) => "unknown version",
            Self::Key(_) => "unknown key",
            Self::Changed => "changed or cut off",
        }
    }

    /// What helps the operator, if anything does.
    pub(crate) fn detail(self) -> String {
        match self {
            Self::Version(version) => version.to_string(),
            Self::Key(id) => id.iter().map(|octet| format!("{octet:02x}")).collect(),
            Self::Plain | Self::Changed => String::new(),
        }
    }
}

/// The chunks of one file, one after the other.
struct Chunks {
    cipher: ChaCha20Poly1305,
    header: [u8; HEADER],
    /// The number of the next one.
    next: u64,
}

impl Chunks {
    fn new(key: &MasterKey, header: [u8; HEADER]) -> Option<Self> {
        let file_key = key.of_file(header.last_chunk::<SALT>()?)?;
        let cipher = ChaCha20Poly1305::new(&file_key.into());
        Some(Self { cipher, header, next: 0 })
    }

    /// Appends the next chunk to `out`, sealed.
    fn seal(&mut self, chunk: &[u8], is_last: bool, out: &mut Vec<u8>) -> Option<()> {
        let nonce = self.nonce(is_last)?;
        let start = out.len();
        out.extend_from_slice(chunk);
        let sealed = out.get_mut(start..)?.into();
        let tag = self.cipher.encrypt_inout_detached(&nonce, &self.header, sealed).ok()?;
        out.extend_from_slice(&tag);
        Some(())
    }

    /// Appends what is in the next chunk to `out`; nothing where it is not that chunk.
    fn open(&mut self, sealed: &[u8], is_last: bool, out: &mut Vec<u8>) -> Option<()> {
        let nonce = self.nonce(is_last)?;
        let (chunk, tag) = sealed.split_last_chunk::<TAG>()?;
        let start = out.len();
        out.extend_from_slice(chunk);
        let opened = out.get_mut(start..)?.into();
        let done = self.cipher.decrypt_inout_detached(&nonce, &self.header, opened, &(*tag).into());
        if done.is_err() {
            out.truncate(start);
        }
        done.ok()
    }

    fn nonce(&mut self, is_last: bool) -> Option<Nonce> {
        let mut nonce = [0; 12];
        *nonce.last_chunk_mut::<9>()? = {
            let mut tail = [0; 9];
            *tail.first_chunk_mut()? = self.next.to_be_bytes();
            *tail.last_mut()? = u8::from(is_last);
            tail
        };
        self.next = self.next.checked_add(1)?;
        Some(nonce.into())
    }
}

/// A file that is being encrypted.
pub struct Sealer {
    chunks: Chunks,
    /// What goes out first, until it has.
    header: Vec<u8>,
    /// At most a chunk: whether it is the last one, its successor tells.
    rest: Vec<u8>,
}

impl Sealer {
    /// Begins a file with a key of its own; none where there are no random octets.
    pub(crate) fn new(key: &MasterKey) -> Option<Self> {
        let salt = crypto::random(u32::try_from(SALT).ok()?);
        let header = [&MAGIC[..], &[VERSION], key.id(), &salt].concat();
        let chunks = Chunks::new(key, header.as_slice().try_into().ok()?)?;
        Some(Self { chunks, header, rest: Vec::with_capacity(CHUNK) })
    }

    /// Seals what is complete.
    pub(crate) fn push(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut out = std::mem::take(&mut self.header);
        out.reserve(plain.len() + plain.len() / CHUNK * TAG + SEALED);
        let mut left = plain;
        while self.rest.len() + left.len() > CHUNK {
            let (now, later) = left.split_at_checked(CHUNK - self.rest.len())?;
            self.rest.extend_from_slice(now);
            self.chunks.seal(&self.rest, false, &mut out)?;
            self.rest.clear();
            left = later;
        }
        self.rest.extend_from_slice(left);
        Some(out)
    }

    /// Seals the last chunk.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        let mut out = std::mem::take(&mut self.header);
        self.chunks.seal(&self.rest, true, &mut out)?;
        Some(out)
    }
}

/// A file that is being decrypted. Nothing comes out that has not been authenticated.
pub struct Opener {
    keyring: Rc<Keyring>,
    /// Whether a file passes that is not encrypted.
    passes_plain: bool,
    state: State,
    /// At most a header or a sealed chunk.
    rest: Vec<u8>,
}

enum State {
    Header,
    Chunks(Box<Chunks>),
    Plain,
}

impl Opener {
    /// Begins a file.
    pub(crate) fn new(keyring: Rc<Keyring>, passes_plain: bool) -> Self {
        let rest = Vec::with_capacity(SEALED);
        Self { keyring, passes_plain, state: State::Header, rest }
    }

    /// Opens what is complete.
    pub(crate) fn push(&mut self, stored: &[u8]) -> Result<Vec<u8>, Damage> {
        let mut left = stored;
        if let State::Header = self.state {
            let wanted = HEADER.saturating_sub(self.rest.len()).min(left.len());
            let (now, later) = left.split_at_checked(wanted).ok_or(Damage::Changed)?;
            self.rest.extend_from_slice(now);
            left = later;
            self.state = self.begun()?;
        }
        let mut out = Vec::with_capacity(stored.len() + SEALED);
        match &mut self.state {
            State::Header => {}
            State::Plain => {
                out.append(&mut self.rest);
                out.extend_from_slice(left);
            }
            State::Chunks(chunks) => {
                while self.rest.len() + left.len() > SEALED {
                    let (now, later) =
                        left.split_at_checked(SEALED - self.rest.len()).ok_or(Damage::Changed)?;
                    self.rest.extend_from_slice(now);
                    chunks.open(&self.rest, false, &mut out).ok_or(Damage::Changed)?;
                    self.rest.clear();
                    left = later;
                }
                self.rest.extend_from_slice(left);
            }
        }
        Ok(out)
    }

    /// Opens the last chunk.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Damage> {
        let mut out = Vec::new();
        match &mut self.state {
            State::Plain => {}
            State::Header if self.rest.is_empty() && self.passes_plain => {}
            State::Header if self.rest.is_empty() => return Err(Damage::Plain),
            State::Header => return Err(Damage::Changed),
            // Whoever writes does not begin a chunk for nothing.
            State::Chunks(chunks) if self.rest.len() == TAG && chunks.next > 0 => {
                return Err(Damage::Changed);
            }
            State::Chunks(chunks) => {
                chunks.open(&self.rest, true, &mut out).ok_or(Damage::Changed)?;
            }
        }
        Ok(out)
    }

    /// What the file turns out to be by its first octets.
    fn begun(&mut self) -> Result<State, Damage> {
        if !self.rest.iter().zip(&MAGIC).all(|(octet, wanted)| octet == wanted) {
            return if self.passes_plain { Ok(State::Plain) } else { Err(Damage::Plain) };
        }
        let Ok(header) = <[u8; HEADER]>::try_from(self.rest.as_slice()) else {
            return Ok(State::Header);
        };
        self.rest.clear();
        let behind = header.get(MAGIC.len()..).unwrap_or_default();
        let (&version, behind) = behind.split_first().ok_or(Damage::Changed)?;
        if version != VERSION {
            return Err(Damage::Version(version));
        }
        let id = behind.first_chunk::<ID>().ok_or(Damage::Changed)?;
        let key = self.keyring.find(id).ok_or(Damage::Key(*id))?;
        let chunks = Chunks::new(key, header).ok_or(Damage::Changed)?;
        Ok(State::Chunks(Box::new(chunks)))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("next", &self.chunks.next).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("passes_plain", &self.passes_plain).finish_non_exhaustive()
    }
}
