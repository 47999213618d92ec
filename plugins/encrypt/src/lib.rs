//! Encrypts uploads at rest, and decrypts downloads.
//!
//! [`keys`] has the operator's master keys and derives a key for each file, [`mod@format`] says what
//! an encrypted file is, and seals and opens one piece by piece. Here is decided which files that
//! concerns, and what a client is told whose download is not what was uploaded.
//!
//! What is *not* here: the names of files, which stay as they are, and a place for keys, which are
//! among the server's secrets.

#![forbid(unsafe_code)]

mod format;
mod keys;

use std::rc::Rc;

use waft_plugin_sdk::{
    ContentFilter, ContentInterest, Direction, Filter, Plugin, Reply, Section, Session, Settings,
    Verdict, fits, log, metrics,
};

use crate::format::{Damage, Opener, Sealer};
use crate::keys::Keyring;

/// Which files are encrypted, and with what.
#[derive(Debug)]
pub struct Encrypt {
    keyring: Rc<Keyring>,
    /// Patterns of paths; all paths where there is none.
    paths: Vec<String>,
    /// Whether downloads that are not encrypted pass as they are.
    passes_plain: bool,
}

impl Plugin for Encrypt {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let keyring = Rc::new(Keyring::read(settings, &root));
        let (paths, passes_plain) = (patterns(&root), passes_plain(&root));
        settings.finish().map(|()| Self { keyring, paths, passes_plain })
    }
}

impl ContentFilter for Encrypt {
    type Filter = Passing;

    fn wants(&self, _: Session<'_>, _: Direction, path: &str, _: Option<u64>) -> ContentInterest {
        match self.paths.is_empty() || self.paths.iter().any(|pattern| fits(pattern, path)) {
            true => ContentInterest::Transform,
            false => ContentInterest::Skip,
        }
    }

    fn open(&self, _: Session<'_>, direction: Direction, path: &str) -> Passing {
        match direction {
            Direction::Upload => Passing::Upload(self.keyring.first().and_then(Sealer::new)),
            Direction::Download => Passing::Download {
                opener: Opener::new(Rc::clone(&self.keyring), self.passes_plain),
                path: path.to_owned(),
            },
        }
    }
}

/// One transfer.
#[derive(Debug)]
pub enum Passing {
    /// What arrives is sealed; none where that cannot be.
    Upload(Option<Sealer>),
    /// What is stored is opened.
    Download {
        /// As far as it was opened.
        opener: Opener,
        /// The file, for the log.
        path: String,
    },
}

impl Filter for Passing {
    fn push(&mut self, chunk: Vec<u8>) -> Result<Vec<u8>, Reply> {
        match self {
            Self::Upload(sealer) => {
                let sealed = sealer.as_mut().and_then(|sealer| sealer.push(&chunk));
                sealed.ok_or_else(not_encrypted)
            }
            Self::Download { opener, path } => {
                opener.push(&chunk).map_err(|damage| refused(path, damage))
            }
        }
    }

    fn finish(self) -> Verdict {
        let last = match self {
            Self::Upload(sealer) => sealer.and_then(Sealer::finish).ok_or_else(not_encrypted),
            Self::Download { opener, path } => {
                opener.finish().map_err(|damage| refused(&path, damage))
            }
        };
        last.map_or_else(Verdict::Refuse, Verdict::Accept)
    }
}

fn patterns(root: &Section<'_>) -> Vec<String> {
    let mut patterns = Vec::new();
    for (key, pattern) in root.numbered_texts("paths") {
        if !pattern.starts_with(['/', '*']) {
            let wanted = "a pattern of paths such as /private/* or *.pdf is wanted";
            root.mistake(&key, format_args!("{wanted}: {pattern}"));
        }
        patterns.push(pattern);
    }
    patterns
}

fn passes_plain(root: &Section<'_>) -> bool {
    let plain = root.text("plain");
    match plain.as_deref() {
        None | Some("refuse") => false,
        Some("pass") => true,
        Some(other) => {
            root.mistake("plain", format_args!("refuse or pass is wanted, not: {other}"));
            false
        }
    }
}

fn not_encrypted() -> Reply {
    log::error("upload cannot be encrypted", &[]);
    Reply::new(451, "The file cannot be encrypted now.")
}

/// What a client is told whose file is not what was uploaded; the log says more.
fn refused(path: &str, damage: Damage) -> Reply {
    log::error(
        "file cannot be decrypted",
        &[("path", path), ("reason", damage.reason()), ("detail", &damage.detail())],
    );
    metrics::counter("decryptions_failed_total", 1, &[("reason", damage.reason())]);
    match damage {
        Damage::Plain => Reply::new(550, "The file is not encrypted, as all files here must be."),
        _ => Reply::new(451, "The file cannot be decrypted; discard what was received."),
    }
}

waft_plugin_sdk::export!(Encrypt: content_filter);

#[cfg(test)]
mod tests;
