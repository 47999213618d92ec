//! What is wrong although every single key is right: files that do not exist, keys that are at odds
//! with each other or with the machine.
//!
//! Each check looks at the resolved configuration and points at the key that is to be changed.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::Config;
use crate::layers::why;
use crate::load::beneath;
use crate::mistake::{Mistake, Mistakes, Warnings};
use crate::place::Origin;
use crate::system::System;

mod accounts;
mod network;
mod plugins;
mod reach;
mod storages;

pub(crate) use plugins::plugin;
pub use reach::{Changed, Reachable, Reached};

/// What the checks have found.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) warnings: Vec<Mistake>,
}

impl Findings {
    fn mistake(&mut self, at: At<'_>, message: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.push(Mistake::new(at.origin, at.key, message, remedy));
    }

    fn warn(&mut self, at: At<'_>, message: impl Into<String>, remedy: impl Into<String>) {
        self.warnings.push(Mistake::new(at.origin, at.key, message, remedy));
    }

    /// Hands over the configuration, or what is wrong with it, sorted by place.
    pub(crate) fn into_result(mut self, config: Config) -> Result<(Config, Warnings), Mistakes> {
        let rank = |file: &Path| config.files.iter().position(|known| known == file);
        for list in [&mut self.mistakes, &mut self.warnings] {
            list.sort_by_key(|m| (rank(&m.origin.file), m.origin.line, m.origin.column));
        }
        let warnings = Warnings(self.warnings);
        if self.mistakes.is_empty() {
            Ok((config, warnings))
        } else {
            Err(Mistakes { mistakes: self.mistakes, warnings })
        }
    }
}

/// A key, and where it was written.
struct At<'c> {
    key: String,
    origin: &'c Origin,
}

impl<'c> At<'c> {
    /// Points at `key`; where it is not written, at the nearest table around it that is.
    fn key(config: &'c Config, key: &str) -> Self {
        let mut around = Some(key);
        let origin = loop {
            match around {
                None => break &config.main,
                Some(path) => match config.origins.get(path) {
                    Some(origin) => break origin,
                    None => around = path.rsplit_once('.').map(|(path, _)| path),
                },
            }
        };
        Self { key: key.to_owned(), origin }
    }

    /// Points at one key of an entry.
    fn of(config: &'c Config, entry: &str, key: &str, origin: &'c Origin) -> Self {
        Self::among(&config.origins, entry, key, origin)
    }

    /// The same, of keys that were written at these places.
    fn among(
        origins: &'c BTreeMap<String, Origin>,
        entry: &str,
        key: &str,
        origin: &'c Origin,
    ) -> Self {
        let key = beneath(entry, key);
        let origin = origins.get(&key).unwrap_or(origin);
        Self { key, origin }
    }
}

/// Runs every check.
pub(crate) fn all(config: &Config, system: &System, findings: &mut Findings) {
    limits(config, findings);
    network::listeners(config, findings);
    network::certificate(config, findings);
    network::acme(config, findings);
    network::passive(config, system, findings);
    network::active(config, findings);
    accounts::anonymous(config, findings);
    accounts::users(config, findings);
    accounts::secrecy(config, findings);
    plugins::general(config, findings);
    plugins::named(config, findings);
    reach::all(config, findings);
    storages::users(config, findings);
    storages::mounts(config, findings);
    storages::quarantine(config, findings);
}

/// The shortest command line that still holds a name of the usual greatest length.
const LINE_BYTES_LEAST: u64 = 512;

fn limits(config: &Config, findings: &mut Findings) {
    if config.limits.line_bytes < LINE_BYTES_LEAST {
        findings.mistake(
            At::key(config, "limits.line_bytes"),
            format!("too short for a command with a file name: {}B", config.limits.line_bytes),
            format!("write \"{LINE_BYTES_LEAST}B\" or more"),
        );
    }
}

/// Tells of every entry whose name was used before.
fn duplicates<'c, N: PartialEq + std::fmt::Display>(
    entries: impl Iterator<Item = (N, At<'c>)>,
    findings: &mut Findings,
) {
    let mut seen: Vec<(N, &Origin)> = Vec::new();
    for (name, at) in entries {
        match seen.iter().find(|(earlier, _)| *earlier == name) {
            Some((_, first)) => {
                let remedy = format!("change it, or remove one of them: the other is at {first}");
                findings.mistake(at, format!("used twice: {name}"), remedy);
            }
            None => seen.push((name, at.origin)),
        }
    }
}

/// Whether `path` is a directory; if not, that is a mistake.
fn directory(path: &Path, at: At<'_>, findings: &mut Findings) -> bool {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return true,
        Ok(_) => findings.mistake(at, format!("not a directory: {shown}"), "name a directory"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let remedy = format!("make it: mkdir -p {shown}");
            findings.mistake(at, format!("no such directory: {shown}"), remedy);
        }
        Err(error) => {
            let message = format!("{}: {shown}", why(&error));
            findings.mistake(at, message, "let the server enter the directories above it");
        }
    }
    false
}

/// Whether `path` is a file that can be read; if not, that is a mistake.
fn file(path: &Path, at: At<'_>, remedy: &str, findings: &mut Findings) -> bool {
    let shown = path.display();
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_file() => return true,
        Ok(_) => findings.mistake(at, format!("not a file: {shown}"), remedy),
        Err(error) => {
            findings.mistake(at, format!("{}: {shown}", why(&error)), remedy);
        }
    }
    false
}

/// Returns the permission bits of a file that all users of the machine have; none where that is
/// not known.
fn everyone(path: &Path) -> u32 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o007)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        0
    }
}
