//! The instances of one plugin: taken out by value for one call, put back only after success.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::artifact::Artifact;
use crate::engine::Sandbox;
use crate::errors::Failure;
use crate::guest::{Identity, Warm};
use crate::limits;

/// The instances of one plugin.
pub(crate) struct Pool {
    sandbox: &'static Sandbox,
    artifact: Arc<Artifact>,
    identity: Arc<Identity>,
    /// The one used last comes last, and is used next.
    idle: Mutex<Vec<Warm>>,
    slots: Arc<Semaphore>,
}

/// An instance, taken out for one call. Dropped, the instance is gone.
pub(crate) struct Lease {
    pub(crate) warm: Warm,
    _slot: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool with one instance in it.
    pub(crate) fn new(
        sandbox: &'static Sandbox,
        artifact: Arc<Artifact>,
        identity: Arc<Identity>,
        first: Warm,
    ) -> Pool {
        let slots = Arc::new(Semaphore::new(identity.limits.instances_max.max(1)));
        Pool { sandbox, artifact, identity, idle: Mutex::new(vec![first]), slots }
    }

    /// Takes an instance out, waiting for one if all are busy.
    pub(crate) async fn take(&self, generation: u64) -> Result<Lease, Failure> {
        let queue = self.identity.limits.queue;
        let slot = tokio::time::timeout(queue, Arc::clone(&self.slots).acquire_owned()).await;
        let Ok(Ok(slot)) = slot else { return Err(Failure::Busy(queue)) };
        let rested = self.idle().pop();
        let warm = match rested {
            Some(warm) => warm,
            None => self.start(generation).await?,
        };
        Ok(Lease { warm, _slot: slot })
    }

    /// Puts an instance back after a call that went well.
    pub(crate) fn put_back(&self, lease: Lease) {
        if !lease.warm.is_worn(Instant::now()) {
            self.idle().push(lease.warm);
        }
    }

    /// Drops instances that have waited too long for a call.
    pub(crate) fn sweep(&self, now: Instant) {
        let kept_min = self.identity.limits.instances_min;
        let mut idle = self.idle();
        let surplus = idle.len().saturating_sub(kept_min);
        let stale = idle
            .iter()
            .take(surplus)
            .take_while(|warm| now.duration_since(warm.rested) >= limits::IDLE_MAX)
            .count();
        let dropped: Vec<Warm> = idle.drain(..stale).collect();
        drop(idle);
        // Unmapping takes its time: not under the lock.
        drop(dropped);
    }

    /// How many instances wait for a call.
    pub(crate) fn idle_count(&self) -> usize {
        self.idle().len()
    }

    async fn start(&self, generation: u64) -> Result<Warm, Failure> {
        let broken = |failure: Failure| Failure::Start(failure.to_string());
        let identity = Arc::clone(&self.identity);
        let mut warm =
            Warm::new(self.sandbox, &self.artifact, identity, generation).await.map_err(broken)?;
        match warm.init().await.map_err(broken)? {
            Ok(()) => Ok(warm),
            Err(reason) => Err(Failure::Start(format!("init said: {reason}"))),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Warm>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
