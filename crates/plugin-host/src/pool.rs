//! The instances of one plugin: taken out by value for one call or one transfer, put back only after
//! success.

mod seats;
mod sessions;
mod shelf;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use waft_core::SessionFacts;

use crate::artifact::Artifact;
use crate::budget::{Budget, Charge};
use crate::engine::Reservation;
use crate::errors::Failure;
use crate::guest::{Identity, Warm};
use crate::meter::SharedTimes;
use crate::settings::Isolation;
use seats::Seats;
use sessions::{Place, Sessions};

pub(crate) use seats::{Hold, Turn};
pub(crate) use shelf::Shelf;

/// The instances of one plugin.
pub(crate) struct Pool {
    reservation: Arc<Reservation>,
    artifact: Arc<Artifact>,
    identity: Arc<Identity>,
    isolation: Isolation,
    /// Those that rest.
    shelf: Arc<Shelf>,
    /// Those that belong to sessions.
    sessions: Arc<Sessions>,
    /// Whether none rests any more. It stays so.
    is_retired: AtomicBool,
    /// Places of instances for single calls: each has one, resting or not.
    slots: Arc<Semaphore>,
    /// Places of instances that belong to a transfer.
    pins: Arc<Semaphore>,
    /// Instances that several transfers have at the same time.
    seats: Seats,
    budget: Arc<Budget>,
    /// Octets of memory that the first instance had when it had prepared.
    size_at_first: usize,
    /// Octets of memory that the largest instance so far has had.
    size: AtomicUsize,
    /// How long instances were waited for.
    waits: SharedTimes,
}

/// An instance, taken out. Dropped, the instance is gone.
pub(crate) struct Lease {
    pub(crate) warm: Box<Warm>,
    home: Home,
    /// The turn of its session, or its places among those of transfers.
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

/// Where an instance goes after use.
enum Home {
    /// To those that rest: it was taken out for a call.
    Call,
    /// There, too, if there is a place: it was taken out for a transfer.
    Transfer,
    /// To its session.
    Session(Arc<Place>),
    /// Nowhere: nobody else may have it.
    Nowhere,
}

impl Pool {
    /// A pool with one instance in it.
    pub(crate) fn new(
        reservation: Arc<Reservation>,
        artifact: Arc<Artifact>,
        identity: Arc<Identity>,
        isolation: Isolation,
        share: usize,
        budget: Arc<Budget>,
        mut first: Warm,
    ) -> Pool {
        let size = first.memory();
        // A plugin that is loaded has an instance, however little room there is.
        first.take_charge(Some(budget.charge_anyway(size)));
        let slots = Arc::new(Semaphore::new(identity.limits.instances_max.max(1)));
        first.slot = Arc::clone(&slots).try_acquire_owned().ok();
        let shelf = Arc::new(Shelf::new(identity.limits.instances_min));
        budget.know(&shelf);
        shelf.put(Box::new(first));
        Pool {
            artifact,
            isolation,
            shelf,
            is_retired: AtomicBool::new(false),
            sessions: Sessions::new(
                identity.limits.sessions_max,
                Arc::clone(&reservation.sandbox.sessions),
            ),
            reservation,
            slots,
            pins: Arc::new(Semaphore::new(identity.limits.transfers_max.max(1))),
            seats: Seats::new(share, identity.limits.transfers_max),
            identity,
            budget,
            size_at_first: size,
            size: AtomicUsize::new(size),
            waits: SharedTimes::default(),
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
        if let Some(warm) = self.shelf.take() {
            self.waits.add(Duration::ZERO);
            return Ok(self.lent(warm));
        }
        // Boxed, for calls that do not wait to be small: beginning an instance takes a lot.
        let warm = self.timed(Box::pin(self.ready(generation, Some(&self.slots)))).await?;
        Ok(self.lent(warm))
    }

    /// An instance that is taken out for one call.
    fn lent(&self, warm: Box<Warm>) -> Lease {
        Lease { warm, home: self.home_of_calls(), _permits: [None, None] }
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
        let Ok(Some((place, turn))) = turn else { return Err(Failure::Busy(queue)) };
        let warm = match place.take() {
            Some(warm) => warm,
            None => self.fresh(generation).await?,
        };
        Ok(Lease { warm, home: Home::Session(place), _permits: [Some(turn), None] })
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
            Some((
                slot,
                Arc::clone(&self.reservation.sandbox.transfers).acquire_owned().await.ok()?,
            ))
        };
        let places = tokio::time::timeout(queue, places).await;
        let Ok(Some((slot, pin))) = places else { return Err(Failure::Busy(queue)) };
        let (warm, home) = match self.isolation {
            Isolation::Pool => (self.ready_for_transfer(generation).await?, Home::Transfer),
            Isolation::Session | Isolation::Call => (self.fresh(generation).await?, Home::Nowhere),
        };
        Ok(Lease { warm, home, _permits: [Some(slot), Some(pin)] })
    }

    /// Notes how long it takes to get an instance, or none.
    async fn timed<T>(&self, wait: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let had = wait.await;
        self.waits.add(began.elapsed());
        had
    }

    /// How long instances were waited for: in all, and by [`BUCKETS_US`](crate::BUCKETS_US).
    pub(crate) fn waits(&self) -> (Duration, Vec<u64>) {
        self.waits.read()
    }

    /// Puts an instance back after a call that went well, or a transfer. One too many is dropped:
    /// those that rest and those that single calls have are no more than the operator allows.
    pub(crate) fn put_back(&self, mut lease: Lease) {
        let memory = lease.warm.memory();
        if memory > self.size() {
            self.size.fetch_max(memory, Ordering::Relaxed);
        }
        if self.is_retired() {
            return;
        }
        match lease.home {
            Home::Session(place) => {
                if self.may_rest(&lease.warm) {
                    place.put_back(lease.warm);
                    self.clear_if_retired();
                }
                return;
            }
            Home::Nowhere => return,
            Home::Call => {}
            Home::Transfer => lease.warm.slot = Arc::clone(&self.slots).try_acquire_owned().ok(),
        }
        if lease.warm.slot.is_none() || lease.warm.is_worn() {
            return;
        }
        self.shelf.put(lease.warm);
        if self.budget.is_wanted() {
            // Behind that: whoever began to wait before it has found the instance, or is seen here.
            drop(self.shelf.surplus());
        }
        self.clear_if_retired();
    }

    /// Has no instance rest from now on: whatever still uses the version makes its own, and drops
    /// them.
    pub(crate) fn retire(&self) {
        self.is_retired.store(true, Ordering::SeqCst);
        self.clear_if_retired();
    }

    /// Drops what was put down while another thread retired this: either it found the instance, or
    /// the flag is seen here, as both took the same lock.
    fn clear_if_retired(&self) {
        if self.is_retired() {
            drop(self.shelf.stale(Instant::now(), 0));
            drop(self.sessions.clear());
        }
    }

    fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::SeqCst)
    }

    /// Whether a session's instance may rest with the memory that it has by now. Neither its age nor its
    /// calls count: it goes with its session.
    fn may_rest(&self, warm: &Warm) -> bool {
        !warm.has_grown() || !(warm.is_full() || self.budget.is_wanted())
    }

    /// An instance that rests or a new one, whichever can be had first; a new one takes one of the
    /// `slots`, if it is to have one.
    async fn ready(
        &self,
        generation: u64,
        slots: Option<&Arc<Semaphore>>,
    ) -> Result<Box<Warm>, Failure> {
        let room = async {
            let slot = match slots {
                Some(slots) => Some(self.slot(slots).await?),
                None => None,
            };
            Ok((slot, self.charge().await?))
        };
        let (slot, charge) = tokio::select! {
            biased;
            warm = self.shelf.wait() => return Ok(warm),
            room = room => room?,
        };
        let mut warm = self.start(generation, charge).await?;
        warm.slot = slot;
        Ok(warm)
    }

    /// The same for a transfer: single calls may have another in its place.
    async fn ready_for_transfer(&self, generation: u64) -> Result<Box<Warm>, Failure> {
        let mut warm = self.ready(generation, None).await?;
        warm.slot = None;
        Ok(warm)
    }

    async fn slot(&self, slots: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
        let queue = self.identity.limits.queue;
        let slot = tokio::time::timeout(queue, Arc::clone(slots).acquire_owned()).await;
        if let Ok(Ok(slot)) = slot { Ok(slot) } else { Err(Failure::Busy(queue)) }
    }

    /// Room for the memory of a new instance.
    async fn charge(&self) -> Result<Charge, Failure> {
        let queue = self.identity.limits.queue;
        self.budget.charge(self.size(), queue).await.ok_or(Failure::NoRoom(queue))
    }

    /// A new instance, that nobody has had.
    async fn fresh(&self, generation: u64) -> Result<Box<Warm>, Failure> {
        let charge = self.charge().await?;
        self.start(generation, charge).await
    }

    /// Octets of memory that the largest instance so far has had.
    pub(crate) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// Octets of memory that the first instance had when it had prepared.
    pub(crate) fn size_at_first(&self) -> usize {
        self.size_at_first
    }

    /// Drops instances that have waited too long for a call.
    pub(crate) fn sweep(&self, now: Instant) {
        let limits = &self.identity.limits;
        let Some(since) = now.checked_sub(limits.instance_idle) else { return };
        // Dropped out here: unmapping takes its time, and nobody is to wait for it.
        drop(self.shelf.stale(since, limits.instances_min));
    }

    /// How many instances wait for a call.
    pub(crate) fn idle_count(&self) -> usize {
        self.shelf.count() + self.sessions.resting()
    }

    async fn start(&self, generation: u64, charge: Charge) -> Result<Box<Warm>, Failure> {
        let broken = |failure| match failure {
            Failure::Spent(_) | Failure::Starved(_) | Failure::Unmapped(_) => failure,
            other => Failure::Start(other.to_string()),
        };
        let identity = Arc::clone(&self.identity);
        let made = Warm::new(&self.reservation, &self.artifact, identity, generation, Some(charge));
        let mut warm = made.await.map_err(broken)?;
        match warm.init().await.map_err(broken)? {
            Ok(()) => Ok(Box::new(warm)),
            Err(reason) => Err(Failure::Start(format!("init said: {reason}"))),
        }
    }
}
