//! The instances of one plugin: taken out by value for one call or one transfer, put back only after
//! success.

mod seats;
mod sessions;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use waft_core::SessionFacts;

use crate::artifact::Artifact;
use crate::budget::{Budget, Charge};
use crate::engine::Sandbox;
use crate::errors::Failure;
use crate::guest::{Identity, Warm};
use crate::meter::Times;
use crate::settings::Isolation;
use seats::Seats;
use sessions::{Place, Sessions};

pub(crate) use seats::{Hold, Turn};

/// The instances of one plugin.
pub(crate) struct Pool {
    sandbox: &'static Sandbox,
    artifact: Arc<Artifact>,
    identity: Arc<Identity>,
    isolation: Isolation,
    /// The one used last comes last, and is used next.
    idle: Mutex<Vec<Warm>>,
    /// Those that belong to sessions.
    sessions: Arc<Sessions>,
    slots: Arc<Semaphore>,
    /// Places of instances that belong to a transfer.
    pins: Arc<Semaphore>,
    /// Instances that several transfers have at the same time.
    seats: Seats,
    budget: Arc<Budget>,
    /// Tells who waits for room that an instance rests.
    put_back: Notify,
    /// Octets of memory that the largest instance so far has had.
    size: AtomicUsize,
    /// How long instances were waited for.
    waits: Times,
}

/// An instance, taken out. Dropped, the instance is gone.
pub(crate) struct Lease {
    pub(crate) warm: Warm,
    home: Home,
    _slot: OwnedSemaphorePermit,
    /// The place among those of all plugins, of an instance that belongs to a transfer.
    _pin: Option<OwnedSemaphorePermit>,
}

/// Where an instance goes after use.
enum Home {
    /// To those that rest: it was taken out for a call.
    Call,
    /// There, too: it was taken out for a transfer.
    Transfer,
    /// To its session.
    Session(Arc<Place>),
    /// Nowhere: nobody else may have it.
    Nowhere,
}

impl Pool {
    /// A pool with one instance in it.
    pub(crate) fn new(
        sandbox: &'static Sandbox,
        artifact: Arc<Artifact>,
        identity: Arc<Identity>,
        isolation: Isolation,
        share: usize,
        budget: Arc<Budget>,
        mut first: Warm,
    ) -> Pool {
        let size = first.memory();
        // A plugin that is loaded has an instance, however little room there is.
        first.charge = budget.try_charge(size);
        Pool {
            sandbox,
            artifact,
            isolation,
            idle: Mutex::new(vec![first]),
            sessions: Sessions::new(identity.limits.sessions_max, Arc::clone(&sandbox.pins)),
            slots: Arc::new(Semaphore::new(identity.limits.instances_max.max(1))),
            pins: Arc::new(Semaphore::new(identity.limits.transfers_max.max(1))),
            seats: Seats::new(share, identity.limits.transfers_max),
            identity,
            budget,
            put_back: Notify::new(),
            size: AtomicUsize::new(size),
            waits: Times::default(),
        }
    }

    /// Takes an instance out for one call, waiting for one if all are busy.
    pub(crate) async fn take(
        &self,
        generation: u64,
        session: Option<&Arc<SessionFacts>>,
    ) -> Result<Lease, Failure> {
        if let (Isolation::Session, Some(session)) = (self.isolation, session) {
            return self.timed(Box::pin(self.take_own(generation, session))).await;
        }
        if let Some(lease) = self.at_hand() {
            self.waits.add_none();
            return Ok(lease);
        }
        // Boxed, for calls that do not wait to be small: beginning an instance takes a lot.
        self.timed(Box::pin(self.awaited(generation))).await
    }

    /// An instance that rests, where nobody has to wait for one.
    fn at_hand(&self) -> Option<Lease> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let warm = self.idle().pop()?;
        Some(Lease { warm, home: self.home_of_calls(), _slot: slot, _pin: None })
    }

    async fn awaited(&self, generation: u64) -> Result<Lease, Failure> {
        let queue = self.identity.limits.queue;
        let slot = tokio::time::timeout(queue, Arc::clone(&self.slots).acquire_owned()).await;
        let Ok(Ok(slot)) = slot else { return Err(Failure::Busy(queue)) };
        let warm = self.ready(generation).await?;
        Ok(Lease { warm, home: self.home_of_calls(), _slot: slot, _pin: None })
    }

    /// Where instances go that were taken out for one call, of whatever session.
    fn home_of_calls(&self) -> Home {
        if self.isolation == Isolation::Call { Home::Nowhere } else { Home::Call }
    }

    /// Takes the instance of that session out.
    async fn take_own(&self, generation: u64, session: &SessionFacts) -> Result<Lease, Failure> {
        let queue = self.identity.limits.queue;
        let turn = async {
            let place = self.sessions.place(session).await?;
            let turn = Arc::clone(&place.turn).acquire_owned().await.ok()?;
            Some((place, turn))
        };
        let turn = tokio::time::timeout(queue, turn).await;
        let Ok(Some((place, slot))) = turn else { return Err(Failure::Busy(queue)) };
        let warm = match place.take() {
            Some(warm) => warm,
            None => self.fresh(generation).await?,
        };
        Ok(Lease { warm, home: Home::Session(place), _slot: slot, _pin: None })
    }

    /// Takes an instance out for as long as a transfer lasts. Transfers do not take the instances
    /// that single calls wait for, and wait as long as those for their own.
    async fn pin(&self, generation: u64) -> Result<Lease, Failure> {
        self.timed(Box::pin(self.pinned(generation))).await
    }

    async fn pinned(&self, generation: u64) -> Result<Lease, Failure> {
        let queue = self.identity.limits.queue;
        let places = async {
            let slot = Arc::clone(&self.pins).acquire_owned().await.ok()?;
            Some((slot, Arc::clone(&self.sandbox.pins).acquire_owned().await.ok()?))
        };
        let places = tokio::time::timeout(queue, places).await;
        let Ok(Some((slot, pin))) = places else { return Err(Failure::Busy(queue)) };
        let (warm, home) = match self.isolation {
            Isolation::Pool => (self.ready(generation).await?, Home::Transfer),
            Isolation::Session | Isolation::Call => (self.fresh(generation).await?, Home::Nowhere),
        };
        Ok(Lease { warm, home, _slot: slot, _pin: Some(pin) })
    }

    /// Notes how long it takes to get an instance, or none.
    async fn timed<L>(
        &self,
        lease: impl Future<Output = Result<L, Failure>>,
    ) -> Result<L, Failure> {
        let began = Instant::now();
        let lease = lease.await;
        self.waits.add(began.elapsed());
        lease
    }

    /// How long instances were waited for: in all, and by [`BUCKETS_US`](crate::BUCKETS_US).
    pub(crate) fn waits(&self) -> (Duration, Vec<u64>) {
        self.waits.read()
    }

    /// Puts an instance back after a call that went well, or a transfer. One too many is dropped:
    /// those that rest and those that single calls have are no more than the operator allows.
    pub(crate) fn put_back(&self, mut lease: Lease) {
        self.size.fetch_max(lease.warm.memory(), Ordering::Relaxed);
        let own_slot = match &lease.home {
            Home::Session(place) => {
                if self.may_rest(&mut lease.warm) {
                    place.put_back(lease.warm);
                }
                return;
            }
            Home::Nowhere => return,
            Home::Call => 1,
            Home::Transfer => 0,
        };
        if lease.warm.is_worn(Instant::now()) {
            return;
        }
        let room = self.slots.available_permits() + own_slot;
        let kept = if self.budget.is_wanted() { self.identity.limits.instances_min } else { room };
        let mut idle = self.idle();
        if idle.len() < room.min(kept.max(1)) {
            idle.push(lease.warm);
            self.put_back.notify_one();
        }
    }

    /// Whether a session's instance may rest with the memory that it has by now, which is charged to
    /// it then. Neither its age nor its calls count: it goes with its session.
    fn may_rest(&self, warm: &mut Warm) -> bool {
        if !warm.has_grown() {
            return true;
        }
        if warm.is_full() || self.budget.is_wanted() {
            return false;
        }
        let memory = warm.memory();
        warm.charge.as_mut().is_none_or(|charge| self.budget.try_grow(charge, memory))
    }

    /// An instance that rests or a new one, whichever can be had first.
    async fn ready(&self, generation: u64) -> Result<Warm, Failure> {
        let queue = self.identity.limits.queue;
        let charge = tokio::select! {
            biased;
            warm = self.rested() => return Ok(warm),
            charge = self.budget.charge(self.size(), queue) => charge.ok_or(Failure::NoRoom(queue))?,
        };
        self.start(generation, charge).await
    }

    /// A new instance, that nobody has had.
    async fn fresh(&self, generation: u64) -> Result<Warm, Failure> {
        let queue = self.identity.limits.queue;
        let charge = self.budget.charge(self.size(), queue).await;
        self.start(generation, charge.ok_or(Failure::NoRoom(queue))?).await
    }

    /// Octets of memory that the largest instance so far has had.
    pub(crate) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
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
        let (kept_min, idle_max) =
            (self.identity.limits.instances_min, self.identity.limits.instance_idle);
        let mut idle = self.idle();
        let surplus = idle.len().saturating_sub(kept_min);
        let stale = idle
            .iter()
            .take(surplus)
            .take_while(|warm| now.duration_since(warm.rested) >= idle_max)
            .count();
        let dropped: Vec<Warm> = idle.drain(..stale).collect();
        drop(idle);
        // Unmapping takes its time: not under the lock.
        drop(dropped);
    }

    /// How many instances wait for a call.
    pub(crate) fn idle_count(&self) -> usize {
        self.idle().len() + self.sessions.resting()
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
