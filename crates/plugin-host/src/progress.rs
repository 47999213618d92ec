//! What is being made of a file at this moment, for who asks meanwhile: the books are taken as long.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::files::Candidate;
use crate::status::{LoadingPlugin, State, Step};
use crate::version::Mark;

/// What one loader is at; it makes one plugin at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Mutex<Option<LoadingPlugin>>>);

/// Work on one plugin. Dropped, it is over, be it done or given up.
pub(crate) struct Underway(Progress);

impl Progress {
    /// Begins with a candidate: nothing is told of it before its first [`Step`].
    pub(crate) fn begin(&self) -> Underway {
        Underway(self.clone())
    }

    /// Notes what is done with a candidate now; the first step tells since when.
    pub(crate) fn note(&self, candidate: &Candidate, mark: Mark, step: Step) {
        let mut now = self.lock();
        let since = now.as_ref().map_or_else(SystemTime::now, |loading| loading.since);
        *now = Some(LoadingPlugin {
            name: candidate.settings.name.clone(),
            file: candidate.file.clone(),
            settings: candidate.settings.written.clone(),
            state: State::Loading,
            step,
            since,
            sha256: mark.component.to_string(),
            config_sha256: mark.config.to_string(),
        });
    }

    /// What is being made, if anything is.
    pub(crate) fn now(&self) -> Option<LoadingPlugin> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<LoadingPlugin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}
