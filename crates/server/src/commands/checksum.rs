//! Checksums of files: HASH, and XCRC and its like.

use md5::Md5;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Sha256, Sha512};
use waft_core::VirtualPath;
use waft_core::hooks::FileOp;
use waft_core::storage::{ErrorKind, Reader, StorageError};
use waft_proto::arguments::parse_checksum;
use waft_proto::hash::checksum_reply;
use waft_proto::{Code, HashAlgorithm, Verb};

use super::reach::Actor;
use super::{Answer, Refusal};
use crate::net::Network;
use crate::session::{Pending, Session};

/// Octets read and digested at a time.
const READ_BYTES: usize = 256 * 1024;

/// A part of a file: from the first octet, so many, or to the end.
struct Part {
    start: u64,
    length: Option<u64>,
}

/// A digest, and how many octets went into it.
struct Digest {
    bytes: u64,
    digest: Vec<u8>,
}

impl<N: Network> Session<N> {
    /// HASH, of the range that RANG chose or of the whole file.
    pub(super) async fn hash(
        &mut self,
        by: &Actor<'_>,
        argument: &[u8],
        pending: Pending,
    ) -> Answer {
        let part = part(&pending);
        let start = part.start;
        let path = self.target(by, argument, |path| FileOp::Read(path, start)).await?;
        let algorithm = self.parameters.hash;
        let digest = self.digest(by, &path, algorithm, part).await?;
        let last = (start + digest.bytes).saturating_sub(1).max(start);
        Ok(algorithm.reply(start, last, &digest.digest, argument))
    }

    /// XCRC, XMD5, XSHA, XSHA1, XSHA256, XSHA512.
    pub(super) async fn checksum(
        &mut self,
        by: &Actor<'_>,
        verb: Verb,
        argument: &[u8],
        pending: Pending,
    ) -> Answer {
        let wanted = parse_checksum(argument)?;
        let part = match (&pending, wanted.start, wanted.end) {
            (Pending::Range(_), 0, None) => part(&pending),
            (_, start, end) => Part { start, length: end.map(|end| end - start) },
        };
        let start = part.start;
        let path = self.target(by, wanted.path, |path| FileOp::Read(path, start)).await?;
        let algorithm = HashAlgorithm::of_verb(verb).unwrap_or_default();
        let digest = self.digest(by, &path, algorithm, part).await?;
        Ok(checksum_reply(&digest.digest))
    }

    /// Digests a part of a file; gives up when the client does. The idle time does not run.
    async fn digest(
        &mut self,
        by: &Actor<'_>,
        path: &VirtualPath,
        algorithm: HashAlgorithm,
        part: Part,
    ) -> Result<Digest, Refusal> {
        let reader = by.account.storage.open_read(path, part.start).await?;
        // What a client compares has to be what it gets.
        self.untransformed(by.hooks, path, reader.size()).await?;
        let work = async {
            let _permit = self.shared.hashes.acquire().await;
            read_all(reader, hasher(algorithm), part.length).await
        };
        tokio::select! {
            digest = work => Ok(digest?),
            () = self.control.broken() => {
                Err(Refusal::new(Code::LOCAL_ERROR, "Given up: the client is gone."))
            }
        }
    }
}

fn part(pending: &Pending) -> Part {
    match pending {
        Pending::Range(range) => {
            Part { start: range.first, length: Some((range.last - range.first).saturating_add(1)) }
        }
        _ => Part { start: 0, length: None },
    }
}

fn hasher(algorithm: HashAlgorithm) -> Hasher {
    match algorithm {
        HashAlgorithm::Crc32 => Hasher::Crc(crc32fast::Hasher::new()),
        HashAlgorithm::Md5 => Hasher::Digest(Box::new(Md5::default())),
        HashAlgorithm::Sha1 => Hasher::Digest(Box::new(Sha1::default())),
        HashAlgorithm::Sha256 => Hasher::Digest(Box::new(Sha256::default())),
        HashAlgorithm::Sha512 => Hasher::Digest(Box::new(Sha512::default())),
    }
}

enum Hasher {
    Crc(crc32fast::Hasher),
    Digest(Box<dyn DynDigest + Send>),
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Crc(crc) => crc.update(bytes),
            Hasher::Digest(digest) => digest.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Hasher::Crc(crc) => crc.finalize().to_be_bytes().to_vec(),
            Hasher::Digest(digest) => digest.finalize().to_vec(),
        }
    }
}

async fn read_all(
    mut reader: Box<dyn Reader>,
    mut hasher: Hasher,
    length: Option<u64>,
) -> Result<Digest, StorageError> {
    let mut left = length.unwrap_or(u64::MAX);
    let mut bytes = 0;
    let mut buffer = Vec::with_capacity(READ_BYTES);
    while left > 0 {
        buffer.clear();
        buffer = reader.read(buffer).await?;
        if buffer.is_empty() {
            break;
        }
        buffer.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= buffer.len() as u64;
        bytes += buffer.len() as u64;
        // Half a millisecond of computing does not belong on the reactor.
        (hasher, buffer) = tokio::task::spawn_blocking(move || {
            hasher.update(&buffer);
            (hasher, buffer)
        })
        .await
        .map_err(|error| StorageError::new(ErrorKind::Io, error))?;
    }
    Ok(Digest { bytes, digest: hasher.finish() })
}
