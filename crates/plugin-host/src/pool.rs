//! The instances of one plugin: taken out by value for one call or one transfer, put back only after
//! success.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::artifact::Artifact;
use crate::budget::{Budget, Charge};
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
    /// Places of instances that belong to a transfer.
    pins: Arc<Semaphore>,
    budget: Arc<Budget>,
    /// Tells who waits for room that an instance rests.
    put_back: Notify,
    /// Octets of memory that the largest instance so far has had.
    size: AtomicUsize,
}

/// An instance, taken out. Dropped, the instance is gone.
pub(crate) struct Lease {
    pub(crate) warm: Warm,
    kind: Kind,
    _slot: OwnedSemaphorePermit,
    /// The place among those of all plugins, of an instance that belongs to a transfer.
    _pin: Option<OwnedSemaphorePermit>,
}

/// What an instance was taken out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Call,
    Transfer,
}

impl Pool {
    /// A pool with one instance in it.
    pub(crate) fn new(
        sandbox: &'static Sandbox,
        artifact: Arc<Artifact>,
        identity: Arc<Identity>,
        budget: Arc<Budget>,
        mut first: Warm,
    ) -> Pool {
        let size = first.memory();
        // A plugin that is loaded has an instance, however little room there is.
        first.charge = budget.try_charge(size);
        Pool {
            sandbox,
            artifact,
            idle: Mutex::new(vec![first]),
            slots: Arc::new(Semaphore::new(identity.limits.instances_max.max(1))),
            pins: Arc::new(Semaphore::new(identity.limits.transfers_max.max(1))),
            identity,
            budget,
            put_back: Notify::new(),
            size: AtomicUsize::new(size),
        }
    }

    /// Takes an instance out for one call, waiting for one if all are busy.
    pub(crate) async fn take(&self, generation: u64) -> Result<Lease, Failure> {
        let queue = self.identity.limits.queue;
        let slot = tokio::time::timeout(queue, Arc::clone(&self.slots).acquire_owned()).await;
        let Ok(Ok(slot)) = slot else { return Err(Failure::Busy(queue)) };
        let warm = self.ready(generation).await?;
        Ok(Lease { warm, kind: Kind::Call, _slot: slot, _pin: None })
    }

    /// Takes an instance out for as long as a transfer lasts. Transfers do not take the instances
    /// that single calls wait for, and wait as long as those for their own.
    pub(crate) async fn pin(&self, generation: u64) -> Result<Lease, Failure> {
        let queue = self.identity.limits.queue;
        let places = async {
            let slot = Arc::clone(&self.pins).acquire_owned().await.ok()?;
            Some((slot, Arc::clone(&self.sandbox.pins).acquire_owned().await.ok()?))
        };
        let places = tokio::time::timeout(queue, places).await;
        let Ok(Some((slot, pin))) = places else { return Err(Failure::Busy(queue)) };
        let warm = self.ready(generation).await?;
        Ok(Lease { warm, kind: Kind::Transfer, _slot: slot, _pin: Some(pin) })
    }

    /// Puts an instance back after a call that went well, or a transfer. One too many is dropped:
    /// those that rest and those that single calls have are no more than the operator allows.
    pub(crate) fn put_back(&self, lease: Lease) {
        self.size.fetch_max(lease.warm.memory(), Ordering::Relaxed);
        if lease.warm.is_worn(Instant::now()) {
            return;
        }
        let own_slot = usize::from(lease.kind == Kind::Call);
        let room = self.slots.available_permits() + own_slot;
        let kept = if self.budget.is_wanted() { self.identity.limits.instances_min } else { room };
        let mut idle = self.idle();
        if idle.len() < room.min(kept.max(1)) {
            idle.push(lease.warm);
            self.put_back.notify_one();
        }
    }

    /// An instance that rests or a new one, whichever can be had first.
    async fn ready(&self, generation: u64) -> Result<Warm, Failure> {
        let queue = self.identity.limits.queue;
        let size = self.size.load(Ordering::Relaxed);
        let charge = tokio::select! {
            biased;
            warm = self.rested() => return Ok(warm),
            charge = self.budget.charge(size, queue) => charge.ok_or(Failure::NoRoom(queue))?,
        };
        self.start(generation, charge).await
    }

    /// Waits for an instance that rests.
    async fn rested(&self) -> Warm {
        loop {
            let mut put_back = std::pin::pin!(self.put_back.notified());
            // Before the look, so that none that comes after it is missed.
            put_back.as_mut().enable();
            let warm = self.idle().pop();
            if let Some(warm) = warm {
                return warm;
            }
            put_back.await;
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

    async fn start(&self, generation: u64, charge: Charge) -> Result<Warm, Failure> {
        let broken = |failure: Failure| Failure::Start(failure.to_string());
        let identity = Arc::clone(&self.identity);
        let mut warm =
            Warm::new(self.sandbox, &self.artifact, identity, generation).await.map_err(broken)?;
        match warm.init().await.map_err(broken)? {
            Ok(()) => {
                warm.charge = Some(charge);
                Ok(warm)
            }
            Err(reason) => Err(Failure::Start(format!("init said: {reason}"))),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Warm>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
