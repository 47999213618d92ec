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
//! or was interrupted) goes on without, and so do other processes.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};

/// Directories that do not share a turn by chance, about.
const TURNS: usize = 64;

/// Looks at whether it is one's turn: some ten microseconds.
const LOOKS_MAX: u32 = 300;

static ALL: [Turn; TURNS] = [const { Turn { taken: AtomicBool::new(false) } }; TURNS];

/// Who is at work in a directory; a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Turn {
    taken: AtomicBool,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken(&'static Turn);

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
        for _ in 0..LOOKS_MAX {
            if !self.taken.load(Ordering::Relaxed) && !self.taken.swap(true, Ordering::Acquire) {
                return Some(Taken(self));
            }
            spin_loop();
        }
        None
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_turn_at_a_time_and_nobody_waits_for_ever() {
        let turn = of(7, b"a/directory");
        let taken = turn.wait();
        assert!(taken.is_some());
        assert!(of(7, b"a/directory").wait().is_none());
        drop(taken);
        assert!(turn.wait().is_some());
    }
}
