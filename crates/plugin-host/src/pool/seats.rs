//! Instances that several transfers have at the same time, where the operator lets them (`share`).
//!
//! A transfer has a seat at an instance, and in the instance a thing of the guest's. Calls are made one
//! at a time, in the order in which they are asked for. As everywhere, the instance is taken away for
//! each and put back only after success: behind a call that failed nobody finds it, and whoever had
//! a thing in it has lost it. It goes back to the pool with the last thing that is dropped.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as TurnMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::{Home, Lease, Pool};
use crate::errors::Failure;

/// The instances of one plugin that transfers have together.
pub(super) struct Seats {
    /// Seats at each.
    each: usize,
    /// Places of such instances.
    slots: Arc<Semaphore>,
    tables: Mutex<Vec<Weak<Table>>>,
}

/// One of them.
struct Table {
    /// Closed where nobody else is to come.
    seats: Arc<Semaphore>,
    /// In turns: whoever asked first is first.
    middle: Arc<TurnMutex<Middle>>,
}

/// What those at a table find.
pub(crate) enum Middle {
    /// No instance yet, or none any more, as nobody has a thing.
    Nothing,
    /// The instance, and how many things there are in it.
    Instance(Box<Lease>, usize),
    /// It was taken away and did not come back.
    Lost,
}

/// What a transfer has of an instance between two calls.
pub(crate) enum Hold {
    /// All of it.
    Own(Lease),
    /// One seat of several.
    Seat(Seat),
}

/// A seat at an instance.
pub(crate) struct Seat {
    table: Arc<Table>,
    _seat: OwnedSemaphorePermit,
    /// Its place among the transfers of the plugin.
    _transfer: OwnedSemaphorePermit,
}

/// What a transfer has during a call, beside the instance. Dropped, the instance is lost to all.
pub(crate) enum Turn {
    /// Nothing.
    Own,
    /// Its turn, and how many things there are in the instance.
    Seat(Seat, OwnedMutexGuard<Middle>, usize),
}

impl Seats {
    /// So many at each, for so many transfers at most.
    pub(super) fn new(each: usize, transfers_max: usize) -> Seats {
        let slots = Arc::new(Semaphore::new(transfers_max.max(1)));
        Seats { each: each.max(1), slots, tables: Mutex::default() }
    }

    /// A seat at an instance that has one left, or at a new one.
    fn take(&self) -> Option<(Arc<Table>, OwnedSemaphorePermit)> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|table| table.strong_count() > 0);
        let mut known = tables.iter().filter_map(Weak::upgrade);
        if let Some(found) = known.find_map(Table::seat) {
            return Some(found);
        }
        let seats = Arc::new(Semaphore::new(self.each));
        let middle = Arc::new(TurnMutex::new(Middle::Nothing));
        let table = Arc::new(Table { seats, middle });
        tables.push(Arc::downgrade(&table));
        table.seat()
    }
}

impl Table {
    fn seat(self: Arc<Self>) -> Option<(Arc<Table>, OwnedSemaphorePermit)> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        Some((self, seat))
    }
}

impl Hold {
    /// Whether others may have the instance as well.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Hold::Seat(_))
    }

    /// Takes the instance for a call, as soon as it is the transfer's turn.
    ///
    /// # Errors
    /// It is lost.
    pub(crate) async fn take(self) -> Result<(Lease, Turn), Failure> {
        let seat = match self {
            Hold::Own(lease) => return Ok((lease, Turn::Own)),
            Hold::Seat(seat) => seat,
        };
        let mut middle = Arc::clone(&seat.table.middle).lock_owned().await;
        match std::mem::replace(&mut *middle, Middle::Lost) {
            Middle::Instance(lease, things) => Ok((*lease, Turn::Seat(seat, middle, things))),
            Middle::Nothing | Middle::Lost => Err(Failure::Lost),
        }
    }
}

impl Turn {
    /// Ends the first one, in which the guest has made its thing.
    pub(crate) fn begin(self, lease: Lease) -> Hold {
        match self {
            Turn::Own => Hold::Own(lease),
            Turn::Seat(seat, middle, things) => Turn::Seat(seat, middle, things + 1).end(lease),
        }
    }

    /// Ends it: the instance is there for the next one.
    pub(crate) fn end(self, lease: Lease) -> Hold {
        let Turn::Seat(seat, mut middle, things) = self else { return Hold::Own(lease) };
        if lease.warm.is_worn() {
            // Those who are here stay; whoever comes has another.
            seat.table.seats.close();
        }
        *middle = Middle::Instance(Box::new(lease), things);
        Hold::Seat(seat)
    }

    /// Ends the last one, in which the guest has dropped its thing.
    pub(crate) fn leave(self, lease: Lease, pool: &Pool) {
        match self {
            Turn::Seat(seat, middle, things) if things > 1 => {
                Turn::Seat(seat, middle, things - 1).end(lease);
            }
            Turn::Seat(_, mut middle, _) => {
                *middle = Middle::Nothing;
                pool.put_back(lease);
            }
            Turn::Own => pool.put_back(lease),
        }
    }

    /// Ends the first one where the guest has made nothing.
    pub(crate) fn give_up(self, lease: Lease, pool: &Pool) {
        match self {
            Turn::Seat(seat, middle, things) => {
                Turn::Seat(seat, middle, things + 1).leave(lease, pool);
            }
            Turn::Own => pool.put_back(lease),
        }
    }
}

impl Pool {
    /// Finds a transfer an instance, of its own or a seat at one, and takes it out for the first
    /// call. It waits as long as for either.
    pub(crate) async fn join(&self, generation: u64) -> Result<(Lease, Turn), Failure> {
        if self.seats.each > 1 {
            return self.timed(Box::pin(self.seated(generation))).await;
        }
        Ok((self.pin(generation).await?, Turn::Own))
    }

    /// How many instances belong to transfers, be it to one or to several.
    pub(crate) fn pinned_count(&self) -> usize {
        let places = if self.seats.each > 1 { &self.seats.slots } else { &self.pins };
        let all = self.identity.limits.transfers_max.max(1);
        all.saturating_sub(places.available_permits())
    }

    async fn seated(&self, generation: u64) -> Result<(Lease, Turn), Failure> {
        let queue = self.identity.limits.queue;
        let first = async {
            let transfer = Arc::clone(&self.pins).acquire_owned().await.ok()?;
            loop {
                let (table, seat) = self.seats.take()?;
                let middle = Arc::clone(&table.middle).lock_owned().await;
                if !matches!(*middle, Middle::Lost) {
                    let seat = Seat { table, _seat: seat, _transfer: transfer };
                    return Some((seat, middle));
                }
                table.seats.close();
            }
        };
        let first = tokio::time::timeout(queue, first).await;
        let Ok(Some((seat, mut middle))) = first else { return Err(Failure::Busy(queue)) };
        let (lease, things) = match std::mem::replace(&mut *middle, Middle::Nothing) {
            Middle::Instance(lease, things) => (*lease, things),
            Middle::Nothing | Middle::Lost => (self.shared(generation).await?, 0),
        };
        *middle = Middle::Lost;
        Ok((lease, Turn::Seat(seat, middle, things)))
    }

    /// An instance for several transfers.
    async fn shared(&self, generation: u64) -> Result<Lease, Failure> {
        let queue = self.identity.limits.queue;
        let places = async {
            let slot = Arc::clone(&self.seats.slots).acquire_owned().await.ok()?;
            Some((
                slot,
                Arc::clone(&self.reservation.sandbox.transfers).acquire_owned().await.ok()?,
            ))
        };
        let places = tokio::time::timeout(queue, places).await;
        let Ok(Some((slot, pin))) = places else { return Err(Failure::Busy(queue)) };
        let warm = self.ready_for_transfer(generation).await?;
        Ok(Lease { warm, home: Home::Transfer, _permits: [Some(slot), Some(pin)] })
    }
}
