//! Turns in a directory.
//!
//! Making a name takes the directory's lock in the kernel, and so does looking up one that is not
//! there. Whoever finds that lock taken mostly sleeps, is woken by whoever gives it up, and that
//! tears its thread from the processor where its client's packets arrive: 16 clients that filled
//! one directory with small files over loopback got half as many as 16 with a directory each. What
//! is done under the lock takes a microsecond or two. So threads of this process wait for each other
//! for a few of them without sleeping, before they ask the kernel.
//!
//! Nothing depends on it: whoever has waited long enough (the one whose turn it is waits for a disk,
//! or was interrupted on its way back from the kernel) takes the turn over, so that those behind wait
//! for somebody who is at work. Other processes know nothing of turns.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};

/// Directories that do not share a turn by chance, about.
const TURNS: usize = 64;

/// Looks at a turn that stays with the same one: some ten microseconds.
const LOOKS_MAX: u32 = 300;

/// Looks in all.
const ALL_LOOKS_MAX: u32 = 4 * LOOKS_MAX;

static ALL: [Turn; TURNS] = [const { Turn(AtomicU32::new(0)) }; TURNS];

/// Whether somebody is at work in a directory; a cache line of its own.
///
/// The number grows with each beginning and each end of a turn: it is odd while somebody is at work.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Turn(AtomicU32);

/// A turn, until it is dropped or somebody takes it over: the number that it made.
#[derive(Debug)]
pub(crate) struct Taken(&'static Turn, u32);

/// That of the directory `path` beneath the root that `root` stands for.
pub(crate) fn of(root: u64, path: &[u8]) -> &'static Turn {
    let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one((root, path));
    let [first, ..] = &ALL;
    let index = usize::try_from(hash % TURNS as u64).unwrap_or(0);
    ALL.get(index).unwrap_or(first)
}

impl Turn {
    /// Waits for one's turn; none if that takes too long.
    pub(crate) fn wait(&'static self) -> Option<Taken> {
        let mut seen = self.0.load(Ordering::Relaxed);
        let mut looks = 0;
        for _ in 0..ALL_LOOKS_MAX {
            let is_free = seen.is_multiple_of(2);
            if is_free || looks >= LOOKS_MAX {
                let number = seen.wrapping_add(if is_free { 1 } else { 2 });
                match self.exchange(seen, number) {
                    Ok(_) => return Some(Taken(self, number)),
                    Err(now) => (seen, looks) = (now, 0),
                }
            }
            spin_loop();
            let now = self.0.load(Ordering::Relaxed);
            looks = if now == seen { looks + 1 } else { 0 };
            seen = now;
        }
        None
    }

    fn exchange(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Fails where somebody has taken over.
        let _ = self.0.exchange(self.1, self.1.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_is_not_given_back_is_taken_over_and_stays_with_the_new_one() {
        static TURN: Turn = Turn(AtomicU32::new(0));
        let turn = &TURN;
        let first = turn.wait().unwrap();
        let second = turn.wait().unwrap();
        let number = turn.0.load(Ordering::Relaxed);
        drop(first);
        assert_eq!(turn.0.load(Ordering::Relaxed), number, "still the second one's");
        drop(second);
        assert!(turn.0.load(Ordering::Relaxed).is_multiple_of(2));
        assert!(turn.wait().is_some());
    }
}
