//! A file of 256 MiB, made once for all tests that run at the same time.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::content::octets;

const BLOCK: usize = 1 << 20;
const BLOCKS: u64 = 256;

/// The file, which is gone when nobody needs it any more.
pub(crate) struct Large {
    directory: TempDir,
    pub(crate) digest: [u8; 32],
    /// Transfers of it come one after the other: each leaves two copies on the disk for a moment.
    turn: Mutex<()>,
}

impl Large {
    pub(crate) fn shared() -> Arc<Large> {
        static SHARED: Mutex<Weak<Large>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let large = Arc::new(Large::make());
            *shared = Arc::downgrade(&large);
            large
        })
    }

    fn make() -> Large {
        let directory = tempfile::tempdir().unwrap();
        let mut file = BufWriter::new(File::create(directory.path().join("large")).unwrap());
        let mut digest = Sha256::new();
        let mut block = octets(BLOCK, 1);
        for number in 0..BLOCKS {
            // No two blocks are the same, and none is where another could be.
            block[..8].copy_from_slice(&number.to_be_bytes());
            digest.update(&block);
            file.write_all(&block).unwrap();
        }
        file.flush().unwrap();
        Large { directory, digest: digest.finalize().into(), turn: Mutex::default() }
    }

    /// Does something with the file, while nobody else does.
    pub(crate) fn alone(&self, act: impl FnOnce(&Path)) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        act(&self.directory.path().join("large"));
    }

    /// SHA-256 of a file.
    pub(crate) fn digest(path: &Path) -> [u8; 32] {
        let mut file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut digest = Sha256::new();
        let mut block = vec![0; BLOCK];
        loop {
            match file.read(&mut block).unwrap() {
                0 => return digest.finalize().into(),
                length => digest.update(&block[..length]),
            }
        }
    }
}
