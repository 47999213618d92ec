//! What the calls of one plugin came to, by hook: how many, how they ended, how long they took.
//! Sessions add to it at the same time, without waiting for each other but at the first call.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use waft_per_cpu::PerCpu;

use crate::errors::Failure;
use crate::hook::{COUNT, Hook, TABLE};

/// The upper ends of the buckets that times are sorted into, in microseconds; there is one more for
/// what takes longer.
pub const BUCKETS_US: [u64; 23] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000,
    200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 30_000_000,
];

/// How a call went wrong, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Trap,
    Timeout,
    BadVerdict,
    NotMade,
    GivenUp,
}

/// The meters of one plugin: one for each hook, once it is called.
#[derive(Debug, Default)]
pub(crate) struct Meters([OnceLock<PerCpu<Meter>>; COUNT]);

#[derive(Debug, Default)]
struct Meter {
    calls: AtomicU64,
    failures: [AtomicU64; 5],
    times: Times,
}

/// Times, sorted into buckets, of all processors.
#[derive(Debug, Default)]
pub(crate) struct SharedTimes(PerCpu<Times>);

/// Times, sorted into buckets.
#[derive(Debug, Default)]
struct Times {
    sum_ns: AtomicU64,
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
}

/// What the calls of one hook came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HookCounts {
    /// The hook.
    pub hook: &'static str,
    /// Calls made.
    pub calls: u64,
    /// Calls that ended in a trap, memory limit included.
    pub traps: u64,
    /// Calls that took longer than they may.
    pub timeouts: u64,
    /// Calls whose verdict could not be carried out.
    pub bad_verdicts: u64,
    /// Calls that got no instance, or were not made because the plugin failed too often lately.
    pub not_made: u64,
    /// Calls that were given up by whoever waited for them, as with a client that is gone.
    pub given_up: u64,
    /// Time spent in calls, waiting for an instance included.
    #[serde(rename = "time_us", serialize_with = "crate::status::microseconds")]
    pub time: Duration,
    /// How many calls took how long: by [`BUCKETS_US`], the last is for longer ones.
    #[serde(skip)]
    pub buckets: Vec<u64>,
}

impl Meters {
    /// Notes that a call is made.
    pub(crate) fn began(&self, hook: Hook) {
        self.of(hook).calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how long a call took.
    pub(crate) fn took(&self, hook: Hook, time: Duration) {
        self.of(hook).times.add(time);
    }

    /// Notes a failure.
    pub(crate) fn failed(&self, hook: Hook, failure: &Failure) {
        let kind = match failure {
            Failure::Trap(_) | Failure::Memory { .. } | Failure::Spent(_) | Failure::Starved(_) => {
                Kind::Trap
            }
            Failure::Cpu(_) | Failure::Wall(_) => Kind::Timeout,
            Failure::Verdict(_) | Failure::Unfit(_) | Failure::Attributes { .. } => {
                Kind::BadVerdict
            }
            Failure::GivenUp(_) => Kind::GivenUp,
            Failure::Busy(_)
            | Failure::NoRoom(_)
            | Failure::Unmapped(_)
            | Failure::Gone
            | Failure::Lost
            | Failure::Misfit(_)
            | Failure::Start(_)
            | Failure::BreakerOpen => Kind::NotMade,
        };
        if let Some(counter) = self.of(hook).failures.get(kind as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The numbers of the hooks that were called.
    pub(crate) fn counts(&self) -> Vec<HookCounts> {
        let called = TABLE.iter().zip(&self.0).filter_map(|(row, meters)| {
            let parts: Vec<_> = meters.get()?.iter().map(|meter| meter.counts(row.name)).collect();
            Some(HookCounts { hook: row.name, ..HookCounts::sum(&parts) })
        });
        called.filter(|counts| counts.calls + counts.not_made > 0).collect()
    }

    #[expect(clippy::indexing_slicing, reason = "one for each row of the table")]
    fn of(&self, hook: Hook) -> &Meter {
        self.0[hook as usize].get_or_init(PerCpu::default).here()
    }
}

impl SharedTimes {
    /// Adds one.
    pub(crate) fn add(&self, time: Duration) {
        self.0.here().add(time);
    }

    /// Their sum, and how many fell into which bucket of [`BUCKETS_US`].
    pub(crate) fn read(&self) -> (Duration, Vec<u64>) {
        let mut sum = (Duration::ZERO, vec![0; BUCKETS_US.len() + 1]);
        for (time, buckets) in self.0.iter().map(Times::read) {
            sum.0 += time;
            add_up(&mut sum.1, &buckets);
        }
        sum
    }
}

/// Adds to each bucket what is in the other's.
fn add_up(buckets: &mut [u64], other: &[u64]) {
    for (total, bucket) in buckets.iter_mut().zip(other) {
        *total += bucket;
    }
}

impl Times {
    fn add(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        let place = BUCKETS_US.partition_point(|end| end.saturating_mul(1000) < ns);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(&self) -> (Duration, Vec<u64>) {
        let buckets = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        (Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)), buckets)
    }
}

impl Meter {
    fn counts(&self, hook: &'static str) -> HookCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [traps, timeouts, bad_verdicts, not_made, given_up] = self.failures.each_ref().map(get);
        let (time, buckets) = self.times.read();
        HookCounts {
            hook,
            calls: get(&self.calls),
            traps,
            timeouts,
            bad_verdicts,
            not_made,
            given_up,
            time,
            buckets,
        }
    }
}

impl HookCounts {
    /// The time that this share of the calls stayed below, interpolated within its bucket; `None`
    /// where there were no calls. What took longer than the last bucket counts as its end.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        quantile(&self.buckets, share)
    }

    /// All hooks together.
    pub fn sum(all: &[HookCounts]) -> HookCounts {
        let mut sum =
            HookCounts { buckets: vec![0; BUCKETS_US.len() + 1], ..HookCounts::default() };
        for counts in all {
            sum.calls += counts.calls;
            sum.traps += counts.traps;
            sum.timeouts += counts.timeouts;
            sum.bad_verdicts += counts.bad_verdicts;
            sum.not_made += counts.not_made;
            sum.given_up += counts.given_up;
            sum.time += counts.time;
            add_up(&mut sum.buckets, &counts.buckets);
        }
        sum
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate of a time")]
fn quantile(buckets: &[u64], share: f64) -> Option<Duration> {
    let all: u64 = buckets.iter().sum();
    if all == 0 {
        return None;
    }
    let wanted = share * all as f64;
    let (mut below, mut start) = (0.0, 0.0);
    for (&count, end) in buckets.iter().zip(BUCKETS_US) {
        let (count, end) = (count as f64, end as f64);
        if count > 0.0 && below + count >= wanted {
            let us = start + (end - start) * (wanted - below) / count;
            return Some(Duration::from_secs_f64(us / 1e6));
        }
        below += count;
        start = end;
    }
    BUCKETS_US.last().map(|us| Duration::from_micros(*us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_in_the_bucket_of_the_call_that_it_is_about() {
        let meters = Meters::default();
        for _ in 0..98 {
            meters.took(Hook::CommandFilter, Duration::from_micros(15));
        }
        meters.took(Hook::CommandFilter, Duration::from_millis(3));
        meters.took(Hook::CommandFilter, Duration::from_secs(40));
        meters.began(Hook::CommandFilter);
        let counts = meters.counts();
        let of = |share| counts[0].quantile(share).unwrap();
        assert!((10..=20).contains(&of(0.5).as_micros()), "{:?}", of(0.5));
        assert!((2..=5).contains(&of(0.99).as_millis()), "{:?}", of(0.99));
        assert_eq!(of(1.0), Duration::from_secs(30));
        assert_eq!(HookCounts::default().quantile(0.5), None);
    }

    #[test]
    fn the_end_of_a_bucket_belongs_to_it_and_failures_are_told_apart() {
        let meters = Meters::default();
        meters.took(Hook::Timer, Duration::from_micros(1));
        meters.began(Hook::Timer);
        meters.failed(Hook::Timer, &Failure::BreakerOpen);
        meters.failed(Hook::Storage, &Failure::Trap(String::new()));
        let counts = meters.counts();
        assert_eq!(counts.len(), 1, "no call of a storage was made: {counts:?}");
        assert_eq!((counts[0].buckets[0], counts[0].not_made, counts[0].traps), (1, 1, 0));
    }
}
