//! Probation: a new version of a plugin that fails again and again shortly after it came into force
//! gives way to the one before, and is not taken again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use crate::artifact::Digest;
use crate::host::Shared;
use crate::load::Key;

/// A version that has failed its probation.
#[derive(Debug)]
pub(crate) struct Flop {
    key: Key,
    digest: Digest,
}

/// The probation of one version.
#[derive(Debug)]
pub(crate) struct Probation {
    until: Instant,
    key: Key,
    digest: Digest,
    told: AtomicBool,
    tell: UnboundedSender<Flop>,
}

impl Probation {
    /// That of the version of that digest.
    pub(crate) fn new(
        until: Instant,
        key: Key,
        digest: Digest,
        tell: UnboundedSender<Flop>,
    ) -> Probation {
        Probation { until, key, digest, told: AtomicBool::new(false), tell }
    }

    /// The same for the version with other settings, if it goes on and nobody has been told.
    pub(crate) fn again(&self) -> Option<Probation> {
        let goes_on = Instant::now() < self.until && !self.told.load(Ordering::Relaxed);
        let (key, tell) = (self.key.clone(), self.tell.clone());
        goes_on.then(|| Probation::new(self.until, key, self.digest, tell))
    }

    /// Notes that the version fails again and again.
    pub(crate) fn failed(&self) {
        if Instant::now() < self.until && !self.told.swap(true, Ordering::Relaxed) {
            // Nobody listens where the host is gone, and its plugins with it.
            let _ = self.tell.send(Flop { key: self.key.clone(), digest: self.digest });
        }
    }
}

/// Has a new version that is tried serve all sessions, once its time is over.
pub(crate) async fn pass(shared: Weak<Shared>, key: Key, digest: Digest, time: Duration) {
    tokio::time::sleep(time).await;
    let Some(shared) = shared.upgrade() else { return };
    // Given up or replaced meanwhile: there is nothing to do.
    let _ = shared.promote(&key, Some(digest)).await;
}

/// Swaps versions that fail their probation, as long as the host lives.
pub(crate) async fn run(shared: Weak<Shared>, mut flops: UnboundedReceiver<Flop>) {
    while let Some(Flop { key, digest }) = flops.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        flunk(&shared, &key, digest).await;
    }
}

async fn flunk(shared: &Arc<Shared>, key: &Key, digest: Digest) {
    if let Err(error) = shared.roll_back(key, Some(digest), "it failed on probation").await {
        tracing::error!(plugin = key.0, %error, "plugin failed on probation, not rolled back");
    }
}
