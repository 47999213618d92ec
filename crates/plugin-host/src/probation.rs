//! Probation: a new version of a plugin that fails again and again shortly after it came into force
//! gives way to the one before, and is not taken again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use crate::host::Shared;
use crate::load::Key;
use crate::version::Mark;

/// A version that has failed its probation.
#[derive(Debug)]
pub(crate) struct Flop {
    key: Key,
    mark: Mark,
}

/// The probation of one version.
#[derive(Debug)]
pub(crate) struct Probation {
    until: Instant,
    key: Key,
    mark: Mark,
    told: AtomicBool,
    tell: UnboundedSender<Flop>,
}

impl Probation {
    /// That of one version.
    pub(crate) fn new(
        until: Instant,
        key: Key,
        mark: Mark,
        tell: UnboundedSender<Flop>,
    ) -> Probation {
        Probation { until, key, mark, told: AtomicBool::new(false), tell }
    }

    /// The same for the same version as it is wanted now, if it goes on and nobody has been told.
    pub(crate) fn again(&self) -> Option<Probation> {
        let (key, tell) = (self.key.clone(), self.tell.clone());
        let goes_on = !self.is_over() && !self.has_failed();
        goes_on.then(|| Probation::new(self.until, key, self.mark, tell))
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Whether the version has stood it.
    pub(crate) fn is_stood(&self) -> bool {
        self.is_over() && !self.has_failed()
    }

    fn has_failed(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }

    /// Notes that the version fails again and again.
    pub(crate) fn failed(&self) {
        if !self.is_over() && !self.told.swap(true, Ordering::Relaxed) {
            // Nobody listens where the host is gone, and its plugins with it.
            let _ = self.tell.send(Flop { key: self.key.clone(), mark: self.mark });
        }
    }
}

/// Has a new version that is tried serve all sessions, once its time is over.
pub(crate) async fn pass(shared: Weak<Shared>, key: Key, mark: Mark, until: Instant) {
    tokio::time::sleep_until(until).await;
    let Some(shared) = shared.upgrade() else { return };
    // Given up or replaced meanwhile: there is nothing to do.
    let _ = shared.promote(&key, Some(mark)).await;
}

/// Swaps versions that fail their probation, as long as the host lives.
pub(crate) async fn run(shared: Weak<Shared>, mut flops: UnboundedReceiver<Flop>) {
    while let Some(Flop { key, mark }) = flops.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        flunk(&shared, &key, mark).await;
    }
}

async fn flunk(shared: &Arc<Shared>, key: &Key, mark: Mark) {
    if let Err(error) = shared.roll_back(key, Some(mark), "it failed on probation").await {
        let (plugin, generation) = (&*key.0, shared.generation().number);
        let remedy = error.remedy();
        tracing::error!(
            plugin,
            generation,
            %error,
            remedy,
            "plugin failed on probation, not rolled back"
        );
    }
}
