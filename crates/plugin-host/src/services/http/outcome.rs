//! What requests came to, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::NoResponse;

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was answered, and the answer read or left.
    Ok,
    Denied,
    Timeout,
    TooLarge,
    Failed,
}

/// The requests of one plugin.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    requests: AtomicU64,
    ended: [AtomicU64; 5],
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HttpCounts {
    /// Those under way included.
    pub(crate) requests: u64,
    pub(crate) ok: u64,
    pub(crate) denied: u64,
    pub(crate) timeouts: u64,
    pub(crate) too_large: u64,
    pub(crate) failed: u64,
}

/// A request that waits for its answer. Dropped, it was given up with the call that made it, whose
/// time was up.
pub(super) struct Waiting<'a>(Option<&'a Outcomes>);

impl Waiting<'_> {
    /// There is an answer, which counts the request from now on.
    pub(super) fn answered(mut self) {
        self.0 = None;
    }

    /// There is none.
    pub(super) fn ended(mut self, outcome: Outcome) {
        if let Some(outcomes) = self.0.take() {
            outcomes.ended(outcome);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(outcomes) = self.0 {
            outcomes.ended(Outcome::Timeout);
        }
    }
}

impl Outcomes {
    /// A request begins.
    pub(super) fn began(&self) -> Waiting<'_> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Waiting(Some(self))
    }

    /// A request is over.
    pub(super) fn ended(&self, outcome: Outcome) {
        if let Some(counter) = self.ended.get(outcome as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts at this moment.
    pub(super) fn read(&self) -> HttpCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [ok, denied, timeouts, too_large, failed] = self.ended.each_ref().map(get);
        HttpCounts { requests: get(&self.requests), ok, denied, timeouts, too_large, failed }
    }
}

impl From<&NoResponse> for Outcome {
    fn from(reason: &NoResponse) -> Outcome {
        match reason {
            NoResponse::Denied(_) => Outcome::Denied,
            NoResponse::Timeout => Outcome::Timeout,
            NoResponse::TooLarge => Outcome::TooLarge,
            NoResponse::Network(_) => Outcome::Failed,
        }
    }
}
