//! Changes of the configuration's files.
//!
//! The system tells that something happened in a directory; what is in the files decides whether
//! anything has changed. So it does not matter how a file is written, whether it is replaced, or
//! whether a link now leads elsewhere, and a change that is written down twice is noticed once.
//!
//! The system also tells of every line of a log that is kept in such a directory, which would cost
//! a busy server more than the line: then the files are looked at every other second instead.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use waft_config::Config;

/// How long nothing must happen before files are looked at: editors write in several steps.
const QUIET: Duration = Duration::from_millis(250);

/// When they are looked at although something keeps happening beside them.
const QUIET_AWAITED: Duration = Duration::from_secs(2);

/// Writes to files that stay open, in [`WRITES_TIME`], from which somebody is taken to keep a log beside
/// the configuration. Who writes half a megabyte of configuration at once is as well, and is noticed all the
/// same.
const WRITES_MAX: u32 = 100;

/// See [`WRITES_MAX`]. A log that grows more slowly costs little.
const WRITES_TIME: Duration = Duration::from_secs(10);

/// How often files are looked at where the system does not tell of them.
const POLL: Duration = Duration::from_secs(2);

/// What the system told.
enum Sign {
    /// Something that may be a change.
    Happened,
    /// Writing that does not end.
    Noise,
}

/// Notices when the files of the configuration change.
pub(super) struct Changes {
    /// What was in the files when they were last looked at.
    seen: BTreeMap<PathBuf, u64>,
    watching: Watching,
    signs: mpsc::Receiver<Sign>,
    // Kept, so that the receiver waits where there is no watcher.
    _tell: mpsc::Sender<Sign>,
}

/// How changes come to be known.
enum Watching {
    /// The system tells.
    System(RecommendedWatcher),
    /// By looking from time to time.
    Poll,
    /// Not at all.
    No,
}

impl Changes {
    /// Begins to watch the files of a configuration.
    pub(super) fn of(config: &Config) -> Self {
        let (tell, signs) = mpsc::channel(1);
        let watcher = if config.watched_paths().is_empty() { None } else { watcher(&tell) };
        let watching = watcher.map_or(Watching::No, Watching::System);
        let mut changes = Self { seen: BTreeMap::new(), watching, signs, _tell: tell };
        changes.watch(config);
        changes
    }

    /// Watches the files of this configuration from now on. What was known of a file stays known.
    pub(super) fn watch(&mut self, config: &Config) {
        let mut before = std::mem::take(&mut self.seen);
        for path in config.watched_paths() {
            let content = before.remove(&path).unwrap_or_else(|| content(&path));
            self.seen.insert(path, content);
        }
        self.arm();
    }

    /// Looks at the files: only what changes from now on is a change.
    pub(super) fn look(&mut self) {
        for (path, seen) in &mut self.seen {
            *seen = content(path);
        }
    }

    /// Waits until a file has changed.
    pub(super) async fn next(&mut self) {
        loop {
            match self.watching {
                Watching::Poll => tokio::time::sleep(POLL).await,
                Watching::System(_) | Watching::No => self.settled().await,
            }
            // A directory may have come into being, or have been replaced.
            self.arm();
            if self.seen.iter().any(|(path, seen)| content(path) != *seen) {
                return;
            }
        }
    }

    /// Waits until something has happened and nothing more does.
    async fn settled(&mut self) {
        let mut sign = self.signs.recv().await;
        let latest = Instant::now() + QUIET_AWAITED;
        loop {
            if let Some(Sign::Noise) = sign {
                tracing::debug!("a log is kept beside the configuration, which is polled now");
                self.watching = Watching::Poll;
                return;
            }
            let quiet = latest.min(Instant::now() + QUIET);
            match timeout_at(quiet, self.signs.recv()).await {
                Ok(next) => sign = next,
                Err(_) => return,
            }
        }
    }

    fn arm(&mut self) {
        let Watching::System(watcher) = &mut self.watching else { return };
        for directory in self.seen.keys().flat_map(|path| directories(path)) {
            if let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive)
                && directory.is_dir()
            {
                unnoticed(&error);
            }
        }
    }
}

fn watcher(tell: &mpsc::Sender<Sign>) -> Option<RecommendedWatcher> {
    let tell = tell.clone();
    let mut writes = Writes::default();
    let handler = move |event: notify::Result<Event>| {
        let sign = match event {
            Ok(event) if is_reading(event.kind) => return,
            Ok(event) if is_being_written(event.kind) => {
                match writes.are_of_a_log(Instant::now()) {
                    false => return,
                    true => Sign::Noise,
                }
            }
            _ => Sign::Happened,
        };
        // Full means that the files are looked at anyway.
        let _ = tell.try_send(sign);
    };
    notify::recommended_watcher(handler).inspect_err(unnoticed).ok()
}

/// Writes that came lately.
#[derive(Default)]
struct Writes {
    /// When the first of them came.
    since: Option<Instant>,
    count: u32,
}

impl Writes {
    /// Counts one that comes now; tells whether somebody keeps a log.
    fn are_of_a_log(&mut self, now: Instant) -> bool {
        let is_old = |since: Instant| now.duration_since(since) >= WRITES_TIME;
        if self.since.is_none_or(is_old) {
            *self = Writes { since: Some(now), count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count >= WRITES_MAX
    }
}

fn unnoticed(error: &notify::Error) {
    let remedy = "send SIGHUP when the configuration has changed";
    tracing::warn!(%error, remedy, "a changed configuration is not noticed");
}

/// Whether it is what we do ourselves when we look at a file.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// Whether a file is written to that somebody has open: a change comes to its end when it is closed.
/// A log in the same directory never does.
fn is_being_written(kind: EventKind) -> bool {
    matches!(kind, EventKind::Modify(ModifyKind::Data(_)))
}

/// Returns the directories in which something happens when `path` changes: the one that it is in,
/// the one that it is, and the one that it leads to.
fn directories(path: &Path) -> Vec<PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let itself = path.is_dir().then(|| path.to_path_buf());
    let target = path.canonicalize().ok().map(|path| parent(&path));
    [Some(parent(path)), itself, target].into_iter().flatten().collect()
}

/// Returns a fingerprint of what is in a file, or in the TOML files of a directory.
fn content(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    files.push(path.to_path_buf());
    for file in files {
        (fs::read(&file).ok(), file).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\n";

    fn configured(directory: &Path) -> (PathBuf, Config) {
        let file = directory.join("waft.toml");
        fs::write(&file, TEXT).unwrap();
        let (config, _) = Config::load(Some(&file)).unwrap();
        (file, config)
    }

    #[tokio::test]
    async fn a_file_that_is_written_or_replaced_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let (file, config) = configured(directory.path());
        let mut changes = Changes::of(&config);
        fs::write(&file, format!("{TEXT}# more\n")).unwrap();
        changes.next().await;
        changes.look();
        let other = directory.path().join("other");
        fs::write(&other, format!("{TEXT}# else\n")).unwrap();
        fs::rename(&other, &file).unwrap();
        changes.next().await;
    }

    #[tokio::test]
    async fn a_drop_in_in_a_new_directory_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let (_, config) = configured(directory.path());
        let mut changes = Changes::of(&config);
        let drop_ins = directory.path().join("conf.d");
        fs::create_dir(&drop_ins).unwrap();
        fs::write(drop_ins.join("a.toml"), "").unwrap();
        changes.next().await;
    }

    #[tokio::test]
    async fn a_link_that_leads_elsewhere_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        for (version, text) in [("one", TEXT.to_owned()), ("two", format!("{TEXT}# two\n"))] {
            fs::create_dir(directory.path().join(version)).unwrap();
            fs::write(directory.path().join(version).join("waft.toml"), text).unwrap();
        }
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, directory.path().join(name)).unwrap();
        };
        link("one", "current");
        link("current/waft.toml", "waft.toml");
        let (config, _) = Config::load(Some(&directory.path().join("waft.toml"))).unwrap();
        let mut changes = Changes::of(&config);
        link("two", "next");
        fs::rename(directory.path().join("next"), directory.path().join("current")).unwrap();
        changes.next().await;
    }

    #[tokio::test]
    async fn a_log_beside_the_configuration_is_not_listened_to() {
        let directory = tempfile::tempdir().unwrap();
        let (file, config) = configured(directory.path());
        let mut changes = Changes::of(&config);
        let mut log = fs::File::create(directory.path().join("log")).unwrap();
        while !matches!(changes.watching, Watching::Poll) {
            log.write_all(b"line\n").unwrap();
            let _ = timeout_at(Instant::now(), changes.next()).await;
            tokio::task::yield_now().await;
        }
        fs::write(&file, format!("{TEXT}# more\n")).unwrap();
        changes.next().await;
    }

    #[test]
    fn a_hundred_writes_in_a_moment_are_a_log_and_those_of_years_are_not() {
        let (mut writes, now) = (Writes::default(), Instant::now());
        let mut answers = (0..WRITES_MAX).map(|_| writes.are_of_a_log(now));
        assert_eq!(answers.position(|is_log| is_log), Some(99));
        let mut writes = Writes::default();
        let seldom = (0..10 * WRITES_MAX).map(|n| now + WRITES_TIME / 98 * n);
        assert!(seldom.map(|now| writes.are_of_a_log(now)).all(|is_log| !is_log));
    }

    #[test]
    fn what_was_seen_before_stays_seen_when_another_configuration_is_watched() {
        let directory = tempfile::tempdir().unwrap();
        let (file, config) = configured(directory.path());
        let mut changes = Changes::of(&config);
        fs::write(&file, format!("{TEXT}# more\n")).unwrap();
        changes.watch(&config);
        assert_ne!(changes.seen.get(&file), Some(&content(&file)), "a change would be lost");
        changes.look();
        assert_eq!(changes.seen.get(&file), Some(&content(&file)));
    }
}
