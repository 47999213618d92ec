//! Hot reload: when files change, and when they have changed for good.
//!
//! What the operating system announces is only a reason to look. A file is read once it had the
//! same size and time of change twice, `debounce` apart, so a file that is being written waits;
//! half of one that nobody goes on writing is refused as the broken component that it is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::task::JoinHandle;

use crate::errors::WatchError;
use crate::files::{self, directory_of};
use crate::host::Shared;
use crate::load::{blocking, find};
use crate::settings::HostSettings;

/// Files are watched as long as this lives.
#[derive(Debug)]
#[must_use = "dropping it ends the watching"]
pub struct Watching {
    task: JoinHandle<()>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Begins to watch.
pub(crate) fn start(shared: &Arc<Shared>) -> Result<Watching, WatchError> {
    let announced = Arc::downgrade(shared);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.map_or(true, |event| is_change(&event.kind))
            && let Some(shared) = announced.upgrade()
        {
            shared.stir.notify_one();
        }
    });
    let watcher = watcher.map_err(|error| WatchError(error.to_string()))?;
    let watch = Watch { watcher, directories: BTreeSet::new() };
    Ok(Watching { task: tokio::spawn(run(Arc::clone(shared), watch)) })
}

/// Whether an event may mean another content. Reading a file is an event too, and must not be.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// The directories that are watched.
struct Watch {
    watcher: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
}

impl Watch {
    /// Watches `wanted` and nothing else. Gives those that cannot be watched, each once.
    fn follow(&mut self, wanted: BTreeSet<PathBuf>) -> Vec<(PathBuf, notify::Error)> {
        let mut failed = Vec::new();
        for gone in self.directories.difference(&wanted) {
            // Fails where the directory itself is gone, which comes to the same.
            let _ = self.watcher.unwatch(gone);
        }
        for new in wanted.difference(&self.directories) {
            if let Err(error) = self.watcher.watch(new, RecursiveMode::NonRecursive) {
                failed.push((new.clone(), error));
            }
        }
        self.directories = wanted;
        failed
    }
}

async fn directories(settings: &HostSettings) -> BTreeSet<PathBuf> {
    let plan = find(settings).await;
    let files = plan.candidates.iter().map(|candidate| candidate.file.as_path());
    let parents = files.filter(|file| !file.as_os_str().is_empty()).map(directory_of);
    let mut all: BTreeSet<PathBuf> = parents.map(Path::to_owned).collect();
    all.extend(settings.directory.clone());
    all
}

async fn run(shared: Arc<Shared>, mut watch: Watch) {
    loop {
        let settings = shared.settings().await;
        for (directory, error) in watch.follow(directories(&settings).await) {
            let directory = directory.display();
            tracing::warn!(%directory, reason = %error, "not watched, looked at from time to time");
        }
        settle(&shared, &settings).await;
        // Announced, also while files were looked at, or not: then it is time to look anyway.
        let _ = tokio::time::timeout(settings.poll, shared.stir.notified()).await;
    }
}

/// Loads everything that stays as it is for a while.
async fn settle(shared: &Arc<Shared>, settings: &HostSettings) {
    loop {
        let plan = find(settings).await;
        let Some(before) = blocking(move || files::stamps(&plan)).await else { return };
        tokio::time::sleep(settings.debounce).await;
        if !shared.rescan(Some(before)).await {
            return;
        }
    }
}
