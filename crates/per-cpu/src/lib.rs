//! Values of which each processor has its own, for what every session touches with every command.
//!
//! A counter that all processors add to travels between their caches with each addition, and so does
//! whatever they take from one shelf and put back there. With one for each processor it stays where
//! it is: a thread uses the one of the processor that it runs on, and whoever wants to know reads them
//! all. Nothing depends on a thread staying where it is: it may be moved between the question and the
//! use, and then two threads meet at one value, as they always may.
#![forbid(unsafe_code)]

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::thread::available_parallelism;

/// How many processors this process may use: as many as when it was first asked, which takes a dozen system
/// calls.
pub fn processors() -> usize {
    static PROCESSORS: LazyLock<usize> =
        LazyLock::new(|| available_parallelism().map_or(1, NonZeroUsize::get));
    *PROCESSORS
}

/// One value for each processor.
#[derive(Debug)]
pub struct PerCpu<T>(Box<[Line<T>]>);

/// Two lines of the cache, as processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Line<T>(T);

impl<T: Default> Default for PerCpu<T> {
    fn default() -> PerCpu<T> {
        PerCpu::new(T::default)
    }
}

impl<T> PerCpu<T> {
    /// As many as there are processors, each as `make` makes it.
    pub fn new(make: impl Fn() -> T) -> PerCpu<T> {
        PerCpu((0..processors()).map(|_| Line(make())).collect())
    }

    /// A single one that all processors use, for tests that go by what is in it.
    #[must_use]
    pub fn one() -> PerCpu<T>
    where
        T: Default,
    {
        PerCpu(Box::new([Line(T::default())]))
    }

    /// The one of the processor that runs this.
    #[expect(clippy::indexing_slicing, reason = "there is one at least, and it is a remainder")]
    pub fn here(&self) -> &T {
        &self.0[self.place()].0
    }

    /// All of them, the one of the processor that runs this first.
    pub fn from_here(&self) -> impl Iterator<Item = &T> {
        let (before, from) = self.0.split_at(self.place());
        from.iter().chain(before).map(|line| &line.0)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|line| &line.0)
    }

    fn place(&self) -> usize {
        // Processors that this program may not use are numbered, too.
        processor() % self.0.len()
    }
}

#[cfg(target_os = "linux")]
fn processor() -> usize {
    rustix::thread::sched_getcpu()
}

/// Systems that do not tell: all threads use the first.
#[cfg(not(target_os = "linux"))]
fn processor() -> usize {
    0
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn all_of_them_are_counted_wherever_they_were_used() {
        let counter = PerCpu::<AtomicUsize>::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counter.here().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let sum: usize = counter.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        assert_eq!(sum, 8000);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn there_are_as_many_wherever_they_are_made() {
        use rustix::thread::{CpuSet, sched_setaffinity};
        let all = processors();
        std::thread::spawn(move || {
            let mut one = CpuSet::new();
            one.set(processor());
            sched_setaffinity(None, &one).unwrap();
            assert_eq!(PerCpu::<AtomicUsize>::default().iter().count(), all);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn going_through_them_from_any_place_meets_each_once() {
        let numbers = PerCpu::new(AtomicUsize::default);
        let visited = numbers.from_here().map(|visits| visits.fetch_add(1, Ordering::Relaxed));
        assert_eq!(visited.count(), numbers.iter().count());
        assert!(numbers.iter().all(|visits| visits.load(Ordering::Relaxed) == 1));
    }
}
