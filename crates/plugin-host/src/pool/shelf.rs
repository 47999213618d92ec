//! Instances that rest until a call wants one, and the calls that wait for one.
//!
//! Each processor has a place of its own, whose instance used last is used next: what a call touches
//! is in that processor's cache, and two processors seldom meet at a lock. Who finds none anywhere
//! waits in line; an instance that comes back goes to the first in it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;
use waft_per_cpu::PerCpu;

use crate::guest::Warm;

/// Instances of one plugin that rest.
pub(crate) struct Shelf {
    /// Those that were used last come last. Boxed, as they go from hand to hand with every call.
    #[expect(clippy::vec_box, reason = "moving one in and out is to cost little")]
    places: PerCpu<Mutex<Vec<Box<Warm>>>>,
    line: Mutex<VecDeque<oneshot::Sender<Box<Warm>>>>,
    /// How many stand in line, those included that have gone away since.
    waiting: AtomicUsize,
    /// How many stay where others want their memory.
    kept: usize,
}

/// A place in line. Dropped, an instance that came for it goes to the next.
struct Turn<'a> {
    shelf: &'a Shelf,
    warm: oneshot::Receiver<Box<Warm>>,
}

impl Shelf {
    /// An empty one, of which so many stay where others want their memory.
    pub(crate) fn new(kept: usize) -> Shelf {
        Shelf {
            places: PerCpu::default(),
            line: Mutex::default(),
            waiting: AtomicUsize::default(),
            kept,
        }
    }

    /// Takes an instance that rests, if nobody waits for one.
    pub(crate) fn take(&self) -> Option<Box<Warm>> {
        if self.waiting.load(Ordering::SeqCst) > 0 { None } else { self.pop() }
    }

    /// Waits for an instance.
    pub(crate) async fn wait(&self) -> Box<Warm> {
        let mut turn = self.stand_in_line();
        // Behind that, so that none that comes after it is missed.
        self.serve();
        match (&mut turn.warm).await {
            Ok(warm) => warm,
            // The line holds the other end as long as nobody is served.
            Err(_) => std::future::pending().await,
        }
    }

    /// Puts an instance on it.
    pub(crate) fn put(&self, warm: Box<Warm>) {
        lock(self.places.here()).push(warm);
        // Whoever got in line before saw the place empty, and is seen here; whoever does so now finds
        // it there.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.serve();
        }
    }

    /// How many rest.
    pub(crate) fn count(&self) -> usize {
        self.places.iter().map(|place| lock(place).len()).sum()
    }

    /// Takes those off that have rested since before `since`, all but `kept` of them.
    #[expect(clippy::vec_box, reason = "as they lie there")]
    pub(crate) fn stale(&self, since: Instant, kept: usize) -> Vec<Box<Warm>> {
        let mut surplus = self.count().saturating_sub(kept);
        let mut stale = Vec::new();
        for place in self.places.iter() {
            let mut place = lock(place);
            let few = place.iter().take(surplus).take_while(|warm| warm.rested <= since).count();
            surplus -= few;
            stale.extend(place.drain(..few));
        }
        stale
    }

    /// Takes one off, if more rest than are to stay where others want their memory.
    pub(crate) fn surplus(&self) -> Option<Box<Warm>> {
        if self.count() <= self.kept {
            return None;
        }
        self.places.iter().find_map(|place| {
            let mut place = lock(place);
            (!place.is_empty()).then(|| place.remove(0))
        })
    }

    fn pop(&self) -> Option<Box<Warm>> {
        self.places.from_here().find_map(|place| lock(place).pop())
    }

    fn stand_in_line(&self) -> Turn<'_> {
        let (sender, warm) = oneshot::channel();
        let mut line = lock(&self.line);
        line.push_back(sender);
        self.waiting.store(line.len(), Ordering::SeqCst);
        Turn { shelf: self, warm }
    }

    /// Gives what rests to those in line.
    fn serve(&self) {
        let mut line = lock(&self.line);
        line.retain(|first| !first.is_closed());
        while let Some(first) = line.pop_front() {
            let Some(warm) = self.pop() else {
                line.push_front(first);
                break;
            };
            // It may have gone away just now.
            if let Err(warm) = first.send(warm) {
                lock(self.places.here()).push(warm);
            }
        }
        self.waiting.store(line.len(), Ordering::SeqCst);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.warm.close();
        match self.warm.try_recv() {
            Ok(warm) => self.shelf.put(warm),
            // It leaves the line, lest others keep away from what rests because of it.
            Err(_) => self.shelf.serve(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
