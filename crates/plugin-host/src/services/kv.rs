//! The stores of plugins: one for each name, in memory, bounded, and written to a file behind the
//! plugin's back where the operator wants them to last.
//!
//! No call waits for the disk: what was changed is written about a second later, in one
//! transaction, and when the server ends. A crash costs that second and no more.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Deref};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits;
use crate::settings::KvGrant;
use crate::stand_ins::StandIns;
use file::Writer;

/// All stores of a host.
pub(crate) struct Stores {
    writer: Writer,
    stores: Mutex<BTreeMap<String, Arc<Store>>>,
    /// What new stores hold where a plugin is tried.
    first: Vec<(String, Vec<u8>)>,
}

/// The store of one plugin.
#[derive(Default)]
pub(crate) struct Store {
    inner: Mutex<Inner>,
}

/// A plugin's store with the size that it is granted. Versions of one plugin have one store, and
/// each its own size: one that is only started takes nothing from the one in force.
#[derive(Clone)]
pub(crate) struct Room {
    store: Arc<Store>,
    bytes_max: u64,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// There is no room.
    Quota,
    /// The value is another than it had to be.
    Conflict,
    /// A key that is none.
    Key(String),
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<String, Entry>,
    /// Octets of all entries, as the operator counts them.
    bytes: u64,
    /// What the file does not know yet; `None` where nothing is written.
    unwritten: Option<Unwritten>,
    /// Tells the writer that there is something.
    wake: Option<file::Wake>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) value: Vec<u8>,
    /// Milliseconds since 1970.
    pub(crate) expires: Option<u64>,
}

/// Changes for the file.
#[derive(Debug, Default)]
pub(crate) struct Unwritten {
    /// Everything, in place of what the file has.
    pub(crate) all: bool,
    pub(crate) keys: BTreeSet<String>,
}

/// A key with what it has now; nothing where it is gone.
pub(crate) type Written = (String, Option<Entry>);

impl Stores {
    /// Stores whose file is in the directory `state`, opened when the first of them is to last.
    pub(crate) fn new(state: Option<&Path>, world: Option<&dyn StandIns>) -> Stores {
        let first = world.map(StandIns::stored).unwrap_or_default();
        Stores { writer: Writer::new(state), stores: Mutex::default(), first }
    }

    /// The store of the plugin of that name.
    pub(crate) fn find(&self, plugin: &str) -> Option<Arc<Store>> {
        self.lock().get(plugin).cloned()
    }

    /// The store of that plugin, which it had before if it had one, to start it with. Nothing
    /// changes for who has the store already. May wait for the file.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn prepare(&self, plugin: &str, grant: KvGrant) -> Result<Room, String> {
        let known = self.find(plugin);
        let store = match known {
            Some(store) => {
                if grant.persistent {
                    self.writer.open()?;
                }
                store
            }
            None => {
                let kept = if grant.persistent { self.writer.read(plugin)? } else { None };
                Arc::new(Store::of(kept, &self.first))
            }
        };
        Ok(Room { store, bytes_max: grant.bytes })
    }

    /// Goes by the grant of a plugin that is in force from now on.
    pub(crate) fn take(&self, plugin: &str, room: &Room, grant: KvGrant) {
        let store = &room.store;
        self.lock().insert(plugin.to_owned(), Arc::clone(store));
        let lasts = store.lock().wake.is_some();
        if grant.persistent && !lasts {
            if let Some(wake) = self.writer.attach(plugin, store) {
                store.lock().begin_to_last(wake);
            }
        } else if !grant.persistent && lasts {
            self.writer.detach(plugin);
            store.lock().forget_file();
        }
    }

    /// Writes down what is to last. Waits for the disk.
    pub(crate) fn flush(&self) {
        self.writer.flush();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Store>>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Sets the value under a key, for `ttl` milliseconds if that is given. `now` is in
    /// milliseconds since 1970, here and below.
    ///
    /// # Errors
    /// There is no room.
    pub(crate) fn set(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Option<u64>,
        now: u64,
    ) -> Result<(), Denied> {
        self.store.lock().put(key, value, ttl, now, self.bytes_max)
    }

    /// Adds to the number under a key; nobody comes in between.
    ///
    /// # Errors
    /// There is no room, or the value is no number or would become too large.
    pub(crate) fn increment(
        &self,
        key: &str,
        delta: i64,
        ttl: Option<u64>,
        now: u64,
    ) -> Result<i64, Denied> {
        self.count(key, ttl, now, |before| before.checked_add(delta))
    }

    /// Adds to the number under a key for whom there are no negative ones; the number then.
    ///
    /// # Errors
    /// As of [`increment`](Room::increment), and the number would still be negative; nothing was
    /// changed.
    pub(crate) fn increment_unsigned(
        &self,
        key: &str,
        delta: u64,
        now: u64,
    ) -> Result<u64, Denied> {
        let add = |before: i64| before.checked_add_unsigned(delta).filter(|sum| *sum >= 0);
        self.count(key, None, now, add).map(i64::cast_unsigned)
    }

    fn count(
        &self,
        key: &str,
        ttl: Option<u64>,
        now: u64,
        add: impl FnOnce(i64) -> Option<i64>,
    ) -> Result<i64, Denied> {
        let mut inner = self.store.lock();
        let before = match inner.live(key, now) {
            Some(entry) => {
                let number = std::str::from_utf8(&entry.value).ok();
                number.and_then(|number| number.parse().ok()).ok_or(Denied::Conflict)?
            }
            None => 0_i64,
        };
        let sum = add(before).ok_or(Denied::Conflict)?;
        inner.put(key, sum.to_string().into_bytes(), ttl, now, self.bytes_max)?;
        Ok(sum)
    }

    /// Sets, or forgets, the value under a key if it is `old`.
    ///
    /// # Errors
    /// It is another, or there is no room.
    pub(crate) fn compare_and_set(
        &self,
        key: &str,
        old: Option<&[u8]>,
        new: Option<Vec<u8>>,
        now: u64,
    ) -> Result<(), Denied> {
        let mut inner = self.store.lock();
        if inner.live(key, now).map(|entry| entry.value.as_slice()) != old {
            return Err(Denied::Conflict);
        }
        match new {
            Some(value) => inner.put(key, value, None, now, self.bytes_max),
            None => {
                inner.remove(key);
                Ok(())
            }
        }
    }
}

/// Reading and forgetting take no room.
impl Deref for Room {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Store {
    /// One with what the file has, if it is to last: what changes is noted for the file. `first` is
    /// what it holds where a plugin is tried.
    fn of(kept: Option<file::Kept>, first: &[(String, Vec<u8>)]) -> Store {
        let unwritten = kept.is_some().then(Unwritten::default);
        let mut inner = Inner { unwritten, ..Inner::default() };
        let first = first
            .iter()
            .map(|(key, value)| (key.clone(), Entry { value: value.clone(), expires: None }));
        for (key, entry) in first.chain(kept.into_iter().flatten()) {
            inner.bytes = inner.bytes.saturating_add(size(&key, &entry.value));
            inner.entries.insert(key, entry);
        }
        Store { inner: Mutex::new(inner) }
    }

    /// The value under a key. `now` is in milliseconds since 1970, here and below.
    pub(crate) fn get(&self, key: &str, now: u64) -> Option<Vec<u8>> {
        self.lock().live(key, now).map(|entry| entry.value.clone())
    }

    /// Forgets a key.
    pub(crate) fn delete(&self, key: &str) {
        self.lock().remove(key);
    }

    /// At most `max` keys with a prefix, in their order, from behind `after`.
    pub(crate) fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
        now: u64,
    ) -> Vec<String> {
        let inner = self.lock();
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        inner
            .entries
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(_, entry)| entry.is_live(now))
            .map(|(key, _)| key.clone())
            .take(max.min(limits::KV_KEYS_MAX))
            .collect()
    }

    /// Octets of all entries.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Takes what the file does not know; whether it is all that there is.
    pub(crate) fn take_unwritten(&self) -> Option<(bool, Vec<Written>)> {
        let mut inner = self.lock();
        let unwritten = inner.unwritten.as_mut()?;
        let Unwritten { all, keys } = std::mem::take(unwritten);
        if !all && keys.is_empty() {
            return None;
        }
        let entry = |key: String| {
            let entry = inner.entries.get(&key).cloned();
            (key, entry)
        };
        let written = match all {
            true => inner.entries.keys().cloned().map(entry).collect(),
            false => keys.into_iter().map(entry).collect(),
        };
        Some((all, written))
    }

    /// What was taken is not written after all.
    pub(crate) fn give_back(&self, all: bool, written: Vec<Written>) {
        if let Some(unwritten) = &mut self.lock().unwritten {
            unwritten.all |= all;
            unwritten.keys.extend(written.into_iter().map(|(key, _)| key));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whole after every statement that changes it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// From now on changes are written: those noted so far, or where none were, everything, for
    /// what it has in memory is newer than what an earlier time left behind.
    fn begin_to_last(&mut self, wake: file::Wake) {
        let all = || Unwritten { all: true, keys: BTreeSet::new() };
        self.unwritten.get_or_insert_with(all);
        self.wake = Some(wake);
        self.wake_writer();
    }

    /// From now on nothing is written.
    fn forget_file(&mut self) {
        self.unwritten = None;
        self.wake = None;
    }

    fn live(&self, key: &str, now: u64) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.is_live(now))
    }

    fn put(
        &mut self,
        key: &str,
        value: Vec<u8>,
        ttl: Option<u64>,
        now: u64,
        bytes_max: u64,
    ) -> Result<(), Denied> {
        if key.is_empty() || key.len() > limits::KV_KEY_BYTES_MAX {
            let max = limits::KV_KEY_BYTES_MAX;
            return Err(Denied::Key(format!("a key has 1 to {max} bytes")));
        }
        let before = self.entries.get(key).map_or(0, |entry| size(key, &entry.value));
        let wanted = size(key, &value);
        if self.bytes - before + wanted > bytes_max {
            self.forget_expired(now);
        }
        let before = self.entries.get(key).map_or(0, |entry| size(key, &entry.value));
        if self.bytes - before + wanted > bytes_max {
            return Err(Denied::Quota);
        }
        self.bytes = self.bytes - before + wanted;
        let expires = ttl.map(|ttl| now.saturating_add(ttl));
        self.entries.insert(key.to_owned(), Entry { value, expires });
        self.changed(key);
        Ok(())
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= size(key, &entry.value);
            self.changed(key);
        }
    }

    fn forget_expired(&mut self, now: u64) {
        let expired = self.entries.iter().filter(|(_, entry)| !entry.is_live(now));
        let expired: Vec<String> = expired.map(|(key, _)| key.clone()).collect();
        expired.iter().for_each(|key| self.remove(key));
    }

    fn changed(&mut self, key: &str) {
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.keys.insert(key.to_owned());
            self.wake_writer();
        }
    }

    fn wake_writer(&self) {
        if let Some(wake) = &self.wake {
            wake.wake();
        }
    }
}

impl Entry {
    fn is_live(&self, now: u64) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

fn size(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + limits::KV_ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(bytes: u64) -> Room {
        let stores = Stores::new(None, None);
        open(&stores, "p", KvGrant { bytes, persistent: false })
    }

    /// The store of a plugin that is started and taken.
    fn open(stores: &Stores, plugin: &str, grant: KvGrant) -> Room {
        let room = stores.prepare(plugin, grant).unwrap();
        stores.take(plugin, &room, grant);
        room
    }

    #[test]
    fn what_has_expired_is_gone_and_gives_its_room_back() {
        let store = store(limits::KV_ENTRY_BYTES + 10);
        store.set("a", b"12345".to_vec(), Some(1000), 0).unwrap();
        assert_eq!(store.get("a", 999), Some(b"12345".to_vec()));
        assert_eq!(store.set("b", b"12345".to_vec(), None, 999), Err(Denied::Quota));
        assert_eq!((store.get("a", 1000), store.keys("", None, 9, 1000)), (None, vec![]));
        store.set("b", b"12345".to_vec(), None, 1000).unwrap();
        assert_eq!(store.bytes(), limits::KV_ENTRY_BYTES + 6);
    }

    #[test]
    fn a_full_store_changes_nothing_and_takes_what_fits_in_place_of_the_old() {
        let store = store(limits::KV_ENTRY_BYTES + 10);
        store.set("a", vec![0; 9], None, 0).unwrap();
        assert_eq!(store.set("a", vec![0; 10], None, 0), Err(Denied::Quota));
        assert_eq!(store.set("b", vec![], None, 0), Err(Denied::Quota));
        store.set("a", vec![1; 9], None, 0).unwrap();
        assert_eq!(store.get("a", 0), Some(vec![1; 9]));
        store.delete("a");
        assert_eq!(store.bytes(), 0);
    }

    #[test]
    fn counting_is_for_numbers() {
        let store = store(4096);
        assert_eq!(store.increment("n", 5, None, 0), Ok(5));
        assert_eq!(store.increment("n", -7, None, 0), Ok(-2));
        store.set("n", b"x".to_vec(), None, 0).unwrap();
        assert_eq!(store.increment("n", 1, None, 0), Err(Denied::Conflict));
        store.set("n", i64::MAX.to_string().into_bytes(), None, 0).unwrap();
        assert_eq!(store.increment("n", 1, None, 0), Err(Denied::Conflict));
    }

    #[test]
    fn who_counts_without_negative_numbers_changes_none_that_stays_negative() {
        let store = store(4096);
        assert_eq!(store.increment("n", -7, None, 0), Ok(-7));
        assert_eq!(store.increment_unsigned("n", 6, 0), Err(Denied::Conflict));
        assert_eq!(store.get("n", 0), Some(b"-7".to_vec()));
        assert_eq!(store.increment_unsigned("n", 7, 0), Ok(0));
        let most = i64::MAX.cast_unsigned();
        assert_eq!(store.increment_unsigned("n", most + 1, 0), Err(Denied::Conflict));
        assert_eq!(store.increment_unsigned("n", most, 0), Ok(most));
    }

    #[test]
    fn another_value_than_the_expected_one_stays() {
        let store = store(4096);
        store.compare_and_set("a", None, Some(vec![1]), 0).unwrap();
        assert_eq!(store.compare_and_set("a", None, Some(vec![2]), 0), Err(Denied::Conflict));
        assert_eq!(store.compare_and_set("a", Some(&[2]), None, 0), Err(Denied::Conflict));
        store.compare_and_set("a", Some(&[1]), None, 0).unwrap();
        assert_eq!(store.get("a", 0), None);
    }

    #[test]
    fn keys_come_in_pages_and_must_be_keys() {
        let store = store(1 << 20);
        for key in ["b:1", "a:2", "a:1", "a:3"] {
            store.increment(key, 1, None, 0).unwrap();
        }
        assert_eq!(store.keys("a:", None, 2, 0), ["a:1", "a:2"]);
        assert_eq!(store.keys("a:", Some("a:2"), 2, 0), ["a:3"]);
        assert_eq!(store.keys("a:", Some("A"), 9, 0).len(), 3);
        assert!(matches!(store.set("", vec![], None, 0), Err(Denied::Key(_))));
        let long = "k".repeat(limits::KV_KEY_BYTES_MAX + 1);
        assert!(matches!(store.set(&long, vec![], None, 0), Err(Denied::Key(_))));
    }

    #[test]
    fn what_lasts_is_there_again_and_what_does_not_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let lasting = KvGrant { bytes: 1 << 20, persistent: true };
        let passing = KvGrant { bytes: 1 << 20, persistent: false };
        let stores = Stores::new(Some(directory.path()), None);
        let one = open(&stores, "one", lasting);
        one.set("a", b"1".to_vec(), None, 0).unwrap();
        one.set("b", b"2".to_vec(), Some(5), 0).unwrap();
        one.set("c", b"3".to_vec(), None, 0).unwrap();
        stores.flush();
        one.delete("c");
        open(&stores, "two", passing).set("a", b"1".to_vec(), None, 0).unwrap();
        drop((stores, one));
        let stores = Stores::new(Some(directory.path()), None);
        let one = open(&stores, "one", lasting);
        assert_eq!(one.keys("", None, 9, 4), ["a", "b"]);
        assert_eq!((one.get("a", 9), one.get("b", 9)), (Some(b"1".to_vec()), None));
        assert_eq!(open(&stores, "two", lasting).get("a", 0), None);
        assert_eq!(one.bytes(), 2 * (limits::KV_ENTRY_BYTES + 2));
    }

    #[test]
    fn a_store_that_is_to_last_from_now_on_keeps_what_it_has() {
        let directory = tempfile::tempdir().unwrap();
        let stores = Stores::new(Some(directory.path()), None);
        let grant = |persistent| KvGrant { bytes: 1 << 20, persistent };
        open(&stores, "p", grant(true)).set("old", vec![1], None, 0).unwrap();
        stores.flush();
        let store = open(&stores, "p", grant(false));
        store.delete("old");
        store.set("new", vec![2], None, 0).unwrap();
        open(&stores, "p", grant(true));
        drop((stores, store));
        let stores = Stores::new(Some(directory.path()), None);
        assert_eq!(open(&stores, "p", grant(true)).keys("", None, 9, 0), ["new"]);
    }

    #[test]
    fn a_plugin_that_is_not_taken_leaves_the_store_and_the_file_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let stores = Stores::new(Some(directory.path()), None);
        let grant = |bytes, persistent| KvGrant { bytes, persistent };
        let store = open(&stores, "p", grant(1 << 20, true));
        let refused = stores.prepare("p", grant(1, false)).unwrap();
        assert_eq!(refused.set("a", vec![1], None, 0), Err(Denied::Quota));
        store.set("a", vec![1], None, 0).unwrap();
        drop((stores, store, refused));
        let stores = Stores::new(Some(directory.path()), None);
        // Nor does one that was never taken write over what the file has.
        stores.prepare("p", grant(1 << 20, false)).unwrap().set("b", vec![1], None, 0).unwrap();
        assert_eq!(open(&stores, "p", grant(1 << 20, true)).keys("", None, 9, 0), ["a"]);
    }

    #[test]
    fn what_is_set_at_the_start_of_a_plugin_that_is_taken_lasts() {
        let directory = tempfile::tempdir().unwrap();
        let stores = Stores::new(Some(directory.path()), None);
        let grant = KvGrant { bytes: 1 << 20, persistent: true };
        let room = stores.prepare("p", grant).unwrap();
        room.set("a", vec![1], None, 0).unwrap();
        stores.take("p", &room, grant);
        drop((stores, room));
        let stores = Stores::new(Some(directory.path()), None);
        assert_eq!(open(&stores, "p", grant).get("a", 0), Some(vec![1]));
    }

    #[test]
    fn a_file_that_another_server_has_open_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let grant = KvGrant { bytes: 1 << 20, persistent: true };
        let first = Stores::new(Some(directory.path()), None);
        open(&first, "p", grant);
        let second = Stores::new(Some(directory.path()), None);
        assert!(second.prepare("p", grant).is_err());
        assert!(
            Stores::new(None, None).prepare("p", grant).is_ok(),
            "without a directory nothing lasts"
        );
    }
}
