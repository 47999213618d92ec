//! A store for one test.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::clock::now_ms;
use crate::kv::Error;

thread_local! {
    static STORE: RefCell<Store> = const { RefCell::new(Store::new()) };
    static MEANWHILE: RefCell<Option<Meanwhile>> = const { RefCell::new(None) };
}

/// What is done before a key with that beginning changes.
struct Meanwhile {
    prefix: String,
    act: Box<dyn FnOnce()>,
}

struct Store {
    entries: BTreeMap<String, Entry>,
    failure: Option<Error>,
}

struct Entry {
    value: Vec<u8>,
    /// Milliseconds since 1970.
    expires: Option<u64>,
}

impl Store {
    const fn new() -> Self {
        Self { entries: BTreeMap::new(), failure: None }
    }
}

/// Lets everything that this test asks of the store fail, or `None` to let it succeed again.
pub fn fail_kv(error: Option<Error>) {
    STORE.with_borrow_mut(|store| store.failure = error);
}

/// Does something just before this test next changes a key with that beginning, once, as another
/// instance of the plugin may: between what was read and what is written.
pub fn meanwhile_kv(prefix: &str, act: impl FnOnce() + 'static) {
    MEANWHILE.set(Some(Meanwhile { prefix: prefix.to_owned(), act: Box::new(act) }));
}

pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    with(|entries| Ok(entries.get(key).map(|entry| entry.value.clone())))
}

pub(crate) fn set(key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Error> {
    let_others(key);
    with(|entries| {
        put(entries, key, value.to_vec(), ttl_ms);
        Ok(())
    })
}

pub(crate) fn delete(key: &str) -> Result<(), Error> {
    let_others(key);
    with(|entries| {
        entries.remove(key);
        Ok(())
    })
}

pub(crate) fn increment(key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
    let_others(key);
    with(|entries| {
        let before = match entries.get(key) {
            Some(entry) => number(&entry.value).ok_or(Error::Conflict)?,
            None => 0,
        };
        let sum = before.checked_add(delta).ok_or(Error::Conflict)?;
        put(entries, key, sum.to_string().into_bytes(), ttl_ms);
        Ok(sum)
    })
}

pub(crate) fn compare_and_set(
    key: &str,
    old: Option<&[u8]>,
    new: Option<&[u8]>,
) -> Result<(), Error> {
    let_others(key);
    with(|entries| {
        if entries.get(key).map(|entry| entry.value.as_slice()) != old {
            return Err(Error::Conflict);
        }
        match new {
            Some(value) => put(entries, key, value.to_vec(), None),
            None => drop(entries.remove(key)),
        }
        Ok(())
    })
}

pub(crate) fn keys(prefix: &str, after: Option<&str>, max: u32) -> Result<Vec<String>, Error> {
    with(|entries| {
        let wanted = |key: &&String| {
            key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        };
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Ok(entries.keys().filter(wanted).take(max).cloned().collect())
    })
}

/// Does what others do before that key changes.
fn let_others(key: &str) {
    let is_meant = |meanwhile: &mut Meanwhile| key.starts_with(&meanwhile.prefix);
    // Taken out before it acts, for it changes keys, too.
    let meanwhile = MEANWHILE.with_borrow_mut(|meanwhile| meanwhile.take_if(is_meant));
    if let Some(meanwhile) = meanwhile {
        (meanwhile.act)();
    }
}

/// Does something with what has not expired.
fn with<T>(act: impl FnOnce(&mut BTreeMap<String, Entry>) -> Result<T, Error>) -> Result<T, Error> {
    STORE.with_borrow_mut(|store| {
        if let Some(failure) = &store.failure {
            return Err(failure.clone());
        }
        let now = now_ms();
        store.entries.retain(|_, entry| entry.expires.is_none_or(|expires| now < expires));
        act(&mut store.entries)
    })
}

fn put(entries: &mut BTreeMap<String, Entry>, key: &str, value: Vec<u8>, ttl_ms: Option<u64>) {
    let expires = ttl_ms.map(|ttl| now_ms().saturating_add(ttl));
    entries.insert(key.to_owned(), Entry { value, expires });
}

fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::clock::{advance_clock, set_clock};
    use super::*;

    #[test]
    fn what_has_expired_is_gone() {
        set_clock(0);
        set("a", b"1", Some(1000)).unwrap();
        advance_clock(Duration::from_millis(999));
        assert_eq!(get("a"), Ok(Some(b"1".to_vec())));
        advance_clock(Duration::from_millis(1));
        assert_eq!(get("a"), Ok(None));
    }

    #[test]
    fn another_value_than_the_expected_one_stays() {
        compare_and_set("a", None, Some(b"1")).unwrap();
        assert_eq!(compare_and_set("a", None, Some(b"2")), Err(Error::Conflict));
        compare_and_set("a", Some(b"1"), None).unwrap();
        assert_eq!(get("a"), Ok(None));
    }

    #[test]
    fn others_come_in_between_once() {
        meanwhile_kv("a", || set("a", b"theirs", None).unwrap());
        set("b", b"1", None).unwrap();
        assert_eq!(get("a"), Ok(None));
        assert_eq!(compare_and_set("a", None, Some(b"2")), Err(Error::Conflict));
        compare_and_set("a", Some(b"theirs"), Some(b"2")).unwrap();
        assert_eq!(get("a"), Ok(Some(b"2".to_vec())));
    }

    #[test]
    fn keys_come_in_pages() {
        for key in ["b:1", "a:2", "a:1", "a:3"] {
            increment(key, 1, None).unwrap();
        }
        assert_eq!(keys("a:", None, 2).unwrap(), ["a:1", "a:2"]);
        assert_eq!(keys("a:", Some("a:2"), 2).unwrap(), ["a:3"]);
    }

    #[test]
    fn a_store_out_of_reach_fails_every_call() {
        fail_kv(Some(Error::Denied));
        assert_eq!(get("a"), Err(Error::Denied));
        fail_kv(None);
        assert_eq!(get("a"), Ok(None));
    }
}
