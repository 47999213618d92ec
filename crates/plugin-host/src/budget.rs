//! Memory of all instances together: what there is room for, and a queue for what there is not.
//!
//! An instance is charged before it is made, with what the largest instance of its plugin has had,
//! and gives that back when it is gone. Memory beyond that is charged as it takes it, and is not to be
//! had where there is no room: nobody waits in the middle of a call. The first instance of a plugin never
//! waits: a plugin that is loaded has an instance, however little room there is. What it has beyond the
//! room is owed, and whatever others give back goes there first.
//!
//! Where there is no room, instances that rest give theirs up, of whatever plugin, but for those that
//! are to be there anyway (`instances.min`).

use std::iter;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pool::Shelf;

/// Octets that are counted as one.
const UNIT: usize = 64 * 1024;

/// Room for the memory of instances.
pub(crate) struct Budget {
    room: Arc<Semaphore>,
    /// Units in all.
    units: Mutex<usize>,
    /// Units that are taken beyond the room.
    owed: Mutex<usize>,
    waiting: AtomicUsize,
    /// Where instances rest, of all plugins.
    shelves: Mutex<Vec<Weak<Shelf>>>,
}

/// Room that an instance takes, given back when dropped.
pub(crate) struct Charge {
    room: OwnedSemaphorePermit,
    /// Units that it was given beyond the room.
    lent: usize,
    budget: Arc<Budget>,
}

impl Budget {
    /// Room for so many octets.
    pub(crate) fn new(bytes: u64) -> Budget {
        let units = units(bytes);
        Budget {
            room: Arc::new(Semaphore::new(units)),
            units: Mutex::new(units),
            owed: Mutex::new(0),
            waiting: AtomicUsize::new(0),
            shelves: Mutex::default(),
        }
    }

    /// Makes it room for so many octets; what is taken already stays taken.
    pub(crate) fn set(&self, bytes: u64) {
        let wanted = units(bytes);
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted > *units {
            self.room.add_permits(wanted - *units);
            *units = wanted;
        } else {
            // What is taken cannot be forgotten: it is missed in the room, not in the books.
            *units -= self.room.forget_permits(*units - wanted);
        }
    }

    /// Has what rests there give its room up where others want it.
    pub(crate) fn know(&self, shelf: &Arc<Shelf>) {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        shelves.retain(|shelf| shelf.strong_count() > 0);
        shelves.push(Arc::downgrade(shelf));
    }

    /// Takes room for an instance of so many octets, waiting for it as long as `within`. One that
    /// is larger than everything gets everything.
    pub(crate) async fn charge(self: &Arc<Self>, bytes: usize, within: Duration) -> Option<Charge> {
        if let Some(charge) = self.try_charge(bytes) {
            return Some(charge);
        }
        let _waiting = Waiting::new(&self.waiting);
        if let Some(charge) = self.clear_for(|| self.try_charge(bytes)) {
            return Some(charge);
        }
        let room = Arc::clone(&self.room).acquire_many_owned(self.share(bytes));
        let permit = tokio::time::timeout(within, room).await.ok()?;
        permit.ok().map(|room| self.charged(room))
    }

    /// Takes the room if it is there now.
    pub(crate) fn try_charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let room = Arc::clone(&self.room).try_acquire_many_owned(self.share(bytes));
        room.ok().map(|room| self.charged(room))
    }

    fn charged(self: &Arc<Self>, room: OwnedSemaphorePermit) -> Charge {
        Charge { room, lent: 0, budget: Arc::clone(self) }
    }

    /// Takes the room if instances that rest can make it, and what there is of it otherwise: the
    /// rest is owed.
    pub(crate) fn charge_anyway(self: &Arc<Self>, bytes: usize) -> Charge {
        let whole = self.try_charge(bytes);
        if let Some(charge) = whole.or_else(|| self.clear_for(|| self.try_charge(bytes))) {
            return charge;
        }
        let wanted = self.share(bytes);
        loop {
            let there = u32::try_from(self.room.available_permits()).unwrap_or(u32::MAX);
            let taken = wanted.min(there);
            // Somebody else may have come in between.
            if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(taken) {
                let lent = (wanted - taken) as usize;
                *self.owed() += lent;
                return Charge { room, lent, budget: Arc::clone(self) };
            }
        }
    }

    fn owed(&self) -> MutexGuard<'_, usize> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops instances that rest, one after the other, until `take` finds the room that it wants.
    fn clear_for<T>(&self, take: impl Fn() -> Option<T>) -> Option<T> {
        let shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        let shelves: Vec<_> = shelves.iter().filter_map(Weak::upgrade).collect();
        let surplus = shelves.iter().flat_map(|shelf| iter::from_fn(move || shelf.surplus()));
        surplus.map(drop).find_map(|()| take())
    }

    /// Whether somebody waits for room.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn share(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT).min(self.units())).unwrap_or(u32::MAX)
    }

    fn units(&self) -> usize {
        *self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Charge {
    /// Has it be for so many octets at least, if there is room or instances that rest can make some;
    /// tells whether it is. Unlike the first octets, there are never more of these than there are.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let wanted = bytes.div_ceil(UNIT);
        let lacking = wanted.saturating_sub(self.room.num_permits() + self.lent);
        if lacking == 0 {
            return true;
        }
        let Ok(lacking) = u32::try_from(lacking) else { return false };
        if wanted > self.budget.units() {
            return false;
        }
        let take = || Arc::clone(&self.budget.room).try_acquire_many_owned(lacking).ok();
        let more = take().or_else(|| self.budget.clear_for(take));
        let had = more.is_some();
        more.into_iter().for_each(|more| self.room.merge(more));
        had
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut owed = self.budget.owed();
        if self.lent == 0 && *owed == 0 {
            return;
        }
        // Its own debt goes with it; of what others have paid for it, others get room again.
        let unpaid = self.lent.min(*owed);
        *owed -= unpaid;
        self.budget.room.add_permits(self.lent - unpaid);
        let paid = self.room.num_permits().min(*owed);
        if let Some(room) = self.room.split(paid) {
            room.forget();
            *owed -= paid;
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn new(count: &AtomicUsize) -> Waiting<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn units(bytes: u64) -> usize {
    let units = usize::try_from(bytes).unwrap_or(usize::MAX) / UNIT;
    units.clamp(1, Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[tokio::test]
    async fn room_is_given_while_there_is_some_and_comes_back() {
        let budget = Arc::new(Budget::new(2 * UNIT as u64));
        let first = budget.charge(UNIT, NOW).await.unwrap();
        let second = budget.charge(1, NOW).await.unwrap();
        assert!(budget.charge(1, NOW).await.is_none());
        assert!(budget.try_charge(1).is_none());
        drop(first);
        assert!(budget.try_charge(1).is_some());
        drop(second);
        assert!(budget.try_charge(usize::MAX).is_some(), "everything, where that is not enough");
        assert!(!budget.is_wanted());
    }

    #[tokio::test]
    async fn a_charge_grows_while_there_is_room_and_gives_everything_back() {
        let budget = Arc::new(Budget::new(3 * UNIT as u64));
        let mut first = budget.try_charge(UNIT).unwrap();
        let second = budget.try_charge(UNIT).unwrap();
        assert!(first.grow(2 * UNIT));
        assert!(first.grow(UNIT), "it has that");
        assert!(!first.grow(3 * UNIT));
        assert!(budget.try_charge(1).is_none());
        drop(second);
        assert!(first.grow(3 * UNIT));
        assert!(!first.grow(3 * UNIT + 1), "more than everything");
        drop(first);
        assert!(budget.try_charge(3 * UNIT).is_some());
    }

    #[tokio::test]
    async fn what_is_taken_beyond_the_room_is_paid_by_what_comes_back() {
        let budget = Arc::new(Budget::new(3 * UNIT as u64));
        let there = || budget.room.available_permits();
        let (first, second) =
            (budget.try_charge(2 * UNIT).unwrap(), budget.charge_anyway(2 * UNIT));
        assert_eq!((there(), *budget.owed()), (0, 1));
        let third = budget.charge_anyway(UNIT);
        assert_eq!((there(), *budget.owed()), (0, 2));
        drop(first);
        assert_eq!((there(), *budget.owed()), (0, 0), "it has paid for both");
        drop(second);
        assert_eq!((there(), *budget.owed()), (2, 0));
        drop(third);
        assert_eq!((there(), *budget.owed()), (3, 0));
        let (first, second) = (budget.try_charge(3 * UNIT).unwrap(), budget.charge_anyway(UNIT));
        drop(second);
        assert_eq!((there(), *budget.owed()), (0, 0));
        drop(first);
        assert_eq!(there(), 3);
    }

    #[tokio::test]
    async fn the_room_can_be_made_larger_and_smaller() {
        let budget = Arc::new(Budget::new(UNIT as u64));
        let first = budget.try_charge(UNIT).unwrap();
        budget.set(2 * UNIT as u64);
        assert!(budget.try_charge(UNIT).is_some());
        budget.set(UNIT as u64);
        assert!(budget.try_charge(UNIT).is_none());
        drop(first);
        assert!(budget.try_charge(UNIT).is_some());
    }
}
