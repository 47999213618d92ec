//! What all sessions share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use waft_core::auth::{Authenticator, LoginGuard};
use waft_core::event::EventSink;
use waft_core::hooks::HookSource;
use waft_core::{SessionId, VirtualPath};

use crate::counters::Counters;
use crate::gatehouse::Gatehouse;
use crate::settings::Settings;

/// What a reload exchanges: sessions keep what they began with.
pub(crate) struct Current {
    pub(crate) settings: Arc<Settings>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
}

/// What all sessions share.
pub(crate) struct Shared<N> {
    pub(crate) network: N,
    pub(crate) current: ArcSwap<Current>,
    pub(crate) hooks: Arc<dyn HookSource>,
    pub(crate) guard: Arc<dyn LoginGuard>,
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) counters: Arc<Counters>,
    /// Banned addresses, and sessions by number.
    pub(crate) gatehouse: Arc<Gatehouse>,
    /// Permits for checksums.
    pub(crate) hashes: Semaphore,
    /// Sessions by address.
    pub(crate) addresses: Census<IpAddr>,
    /// Sessions by account.
    pub(crate) accounts: Census<Arc<str>>,
    /// Transfers under way, by what they are.
    pub(crate) transfers: Arc<Transfers>,
    /// Passive ports on which clients are awaited, by the listener whose range they are of; those
    /// of the range that listeners share have no name.
    pub(crate) passive_ports: Census<Arc<str>>,
    /// Names that STOU has told and that are not there yet.
    pub(crate) unique_names: Census<VirtualPath>,
    sessions_begun: AtomicU64,
}

impl<N> Shared<N> {
    pub(crate) fn new(
        network: N,
        current: Current,
        hooks: Arc<dyn HookSource>,
        guard: Arc<dyn LoginGuard>,
        events: Arc<dyn EventSink>,
    ) -> Shared<N> {
        Shared {
            network,
            hashes: Semaphore::new(current.settings.limits.hashes_max.max(1)),
            current: ArcSwap::from_pointee(current),
            hooks,
            guard,
            events,
            counters: Arc::default(),
            gatehouse: Arc::default(),
            addresses: Census::default(),
            accounts: Census::default(),
            transfers: Arc::default(),
            passive_ports: Census::default(),
            unique_names: Census::default(),
            sessions_begun: AtomicU64::new(0),
        }
    }

    pub(crate) fn next_session(&self) -> SessionId {
        SessionId(self.sessions_begun.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// What a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransferKind {
    Download,
    Upload,
    Listing,
}

impl TransferKind {
    pub(crate) const ALL: [TransferKind; 3] =
        [TransferKind::Download, TransferKind::Upload, TransferKind::Listing];

    /// What it is, in a word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            TransferKind::Download => "download",
            TransferKind::Upload => "upload",
            TransferKind::Listing => "listing",
        }
    }
}

/// Counts transfers under way by what they are. Not a [`Census`]: small files come so fast that
/// sessions would wait for each other's turn.
#[derive(Debug, Default)]
pub(crate) struct Transfers([AtomicUsize; TransferKind::ALL.len()]);

/// A transfer under way, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Transfers>, TransferKind);

impl Transfers {
    /// Counts one more.
    pub(crate) fn begin(self: &Arc<Self>, kind: TransferKind) -> UnderWay {
        if let Some(count) = self.0.get(kind as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        UnderWay(Arc::clone(self), kind)
    }

    /// How many there are.
    pub(crate) fn of(&self, kind: TransferKind) -> usize {
        self.0.get(kind as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let UnderWay(transfers, kind) = &*self;
        if let Some(count) = transfers.0.get(*kind as usize) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Counts what exists by key, bounded in all and by key.
pub(crate) struct Census<K> {
    counts: Arc<Mutex<Counts<K>>>,
}

struct Counts<K> {
    total: usize,
    by_key: HashMap<K, usize>,
}

impl<K> Default for Census<K> {
    fn default() -> Census<K> {
        Census { counts: Arc::new(Mutex::new(Counts { total: 0, by_key: HashMap::new() })) }
    }
}

/// A place in a [`Census`], given back when dropped.
pub(crate) struct Place<K: std::hash::Hash + Eq> {
    key: K,
    counts: Arc<Mutex<Counts<K>>>,
}

/// Which bound of a [`Census`] is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The one on all.
    Total,
    /// The one on the key.
    Key,
}

impl<K: std::hash::Hash + Eq + Clone> Census<K> {
    /// Takes a place for `key`; 0 is no bound.
    ///
    /// # Errors
    /// A bound is reached.
    pub(crate) fn enter(&self, key: K, total_max: usize, key_max: usize) -> Result<Place<K>, Full> {
        let mut counts = lock(&self.counts);
        if total_max != 0 && counts.total >= total_max {
            return Err(Full::Total);
        }
        let count = counts.by_key.get(&key).copied().unwrap_or_default();
        if key_max != 0 && count >= key_max {
            return Err(Full::Key);
        }
        counts.total += 1;
        counts.by_key.insert(key.clone(), count + 1);
        Ok(Place { key, counts: Arc::clone(&self.counts) })
    }

    /// Takes a place where there is no bound.
    pub(crate) fn count(&self, key: K) -> Option<Place<K>> {
        self.enter(key, 0, 0).ok()
    }

    /// How many places are taken for `key`.
    pub(crate) fn of(&self, key: &K) -> usize {
        lock(&self.counts).by_key.get(key).copied().unwrap_or_default()
    }

    /// How many places are taken.
    pub(crate) fn total(&self) -> usize {
        lock(&self.counts).total
    }
}

impl<K: std::hash::Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.total = counts.total.saturating_sub(1);
        if let Some(count) = counts.by_key.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_key.remove(&self.key);
            }
        }
    }
}

fn lock<K>(counts: &Mutex<Counts<K>>) -> MutexGuard<'_, Counts<K>> {
    // Each critical section leaves the counts whole.
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_census_is_bounded_in_all_and_by_key_and_forgets_keys_without_places() {
        let census = Census::default();
        let first = census.enter("a", 2, 1).unwrap();
        assert_eq!(census.enter("a", 2, 1).err(), Some(Full::Key));
        let second = census.enter("b", 2, 1).unwrap();
        assert_eq!(census.enter("c", 2, 1).err(), Some(Full::Total));
        drop(first);
        assert_eq!(census.total(), 1);
        drop(second);
        assert!(lock(&census.counts).by_key.is_empty());
    }
}
