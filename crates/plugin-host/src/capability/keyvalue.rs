//! `wasi:keyvalue`: the plugin's own store, as [`super::kv`] has it, for guests that were written for
//! other hosts too. One size, one grant; what one interface sets, the other reads.
//!
//! There is one bucket, whose name is empty or `default`. wasmtime's own implementation is not used:
//! its buckets are copies that nobody else sees.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::component::{HasSelf, Linker, Resource, ResourceTableError};

use self::bindings::wasi::keyvalue::{atomics, batch, store};
use crate::bindings::waft::plugin::kv::Error as Refused;
use crate::guest::Guest;
use crate::limits;
use crate::services::kv::{Denied, Store};
use store::{Error, KeyResponse};

/// Gives guests `wasi:keyvalue`.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    store::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    atomics::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    batch::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)
}

mod bindings {
    wasmtime::component::bindgen!({
        inline: "
            package wasi:keyvalue@0.2.0-draft;
            interface store {
                variant error { no-such-store, access-denied, other(string) }
                record key-response { keys: list<string>, cursor: option<u64> }
                open: func(identifier: string) -> result<bucket, error>;
                resource bucket {
                    get: func(key: string) -> result<option<list<u8>>, error>;
                    set: func(key: string, value: list<u8>) -> result<_, error>;
                    delete: func(key: string) -> result<_, error>;
                    exists: func(key: string) -> result<bool, error>;
                    list-keys: func(cursor: option<u64>) -> result<key-response, error>;
                }
            }
            interface atomics {
                use store.{bucket, error};
                increment: func(bucket: borrow<bucket>, key: string, delta: u64)
                    -> result<u64, error>;
            }
            interface batch {
                use store.{bucket, error};
                get-many: func(bucket: borrow<bucket>, keys: list<string>)
                    -> result<list<option<tuple<string, list<u8>>>>, error>;
                set-many: func(bucket: borrow<bucket>, key-values: list<tuple<string, list<u8>>>)
                    -> result<_, error>;
                delete-many: func(bucket: borrow<bucket>, keys: list<string>) -> result<_, error>;
            }
            world imports { import store; import atomics; import batch; }
        ",
        imports: { "wasi:keyvalue/store.[drop]bucket": trappable },
        with: { "wasi:keyvalue/store.bucket": super::Bucket },
    });
}

/// The plugin's store, as a guest holds it.
#[derive(Clone, Copy, Debug)]
#[expect(unreachable_pub, reason = "what is generated makes a public name of it")]
pub struct Bucket;

impl store::Host for Guest {
    fn open(&mut self, identifier: String) -> Result<Resource<Bucket>, Error> {
        if !["", "default"].contains(&identifier.as_str()) {
            return Err(Error::NoSuchStore);
        }
        self.store()?;
        Ok(self.table.push(Bucket)?)
    }
}

impl store::HostBucket for Guest {
    fn get(&mut self, _: Resource<Bucket>, key: String) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.store()?.get(&key, self.now_ms()))
    }

    fn set(&mut self, _: Resource<Bucket>, key: String, value: Vec<u8>) -> Result<(), Error> {
        Ok(self.store()?.set(&key, value, None, self.now_ms())?)
    }

    fn delete(&mut self, _: Resource<Bucket>, key: String) -> Result<(), Error> {
        self.store()?.delete(&key);
        Ok(())
    }

    fn exists(&mut self, _: Resource<Bucket>, key: String) -> Result<bool, Error> {
        Ok(self.store()?.get(&key, self.now_ms()).is_some())
    }

    fn list_keys(
        &mut self,
        _: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> Result<KeyResponse, Error> {
        let (store, now) = (self.store()?.clone(), self.now_ms());
        self.cursors.page(&store, cursor, now)
    }

    fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

/// The cursors that an instance was told, the latest last, each with the key that it is behind: keys
/// may come and go from page to page.
#[derive(Debug, Default)]
pub(crate) struct Cursors(VecDeque<(u64, String)>);

impl Cursors {
    /// The keys behind a cursor, or the first ones, and the cursor behind them if there are more.
    fn page(&mut self, store: &Store, cursor: Option<u64>, now: u64) -> Result<KeyResponse, Error> {
        let after = cursor.map(|cursor| self.find(cursor)).transpose()?;
        let keys = store.keys("", after, limits::KV_KEYS_MAX, now);
        let has_more = |last: &&String| !store.keys("", Some(last.as_str()), 1, now).is_empty();
        let last = keys.last().filter(has_more).cloned();
        Ok(KeyResponse { keys, cursor: last.map(|last| self.tell(last)) })
    }

    fn find(&self, cursor: u64) -> Result<&str, Error> {
        let known = self.0.iter().find(|(known, _)| *known == cursor);
        let (_, key) = known.ok_or_else(|| Error::Other("no such cursor".to_owned()))?;
        Ok(key)
    }

    fn tell(&mut self, key: String) -> u64 {
        /// Of all instances, so that none takes the cursor of another for its own.
        static LAST: AtomicU64 = AtomicU64::new(0);
        let cursor = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        if self.0.len() >= limits::KV_CURSORS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((cursor, key));
        cursor
    }
}

impl atomics::Host for Guest {
    fn increment(&mut self, _: Resource<Bucket>, key: String, delta: u64) -> Result<u64, Error> {
        Ok(self.store()?.increment_unsigned(&key, delta, self.now_ms())?)
    }
}

/// What is said of several keys, as one `result`.
type Several = Vec<Option<(String, Vec<u8>)>>;

impl batch::Host for Guest {
    fn get_many(&mut self, _: Resource<Bucket>, keys: Vec<String>) -> Result<Several, Error> {
        let (store, now) = (self.store()?, self.now_ms());
        let mut left = limits::KV_BATCH_BYTES_MAX;
        let found = keys.into_iter().map(|key| {
            let Some(value) = store.get(&key, now) else { return Ok(None) };
            // The same key may be asked for many times.
            let fits = left.checked_sub(key.len() + value.len());
            left = fits.ok_or_else(|| Error::Other("too much at once".to_owned()))?;
            Ok(Some((key, value)))
        });
        found.collect()
    }

    fn set_many(
        &mut self,
        _: Resource<Bucket>,
        entries: Vec<(String, Vec<u8>)>,
    ) -> Result<(), Error> {
        let (store, now) = (self.store()?, self.now_ms());
        for (key, value) in entries {
            store.set(&key, value, None, now)?;
        }
        Ok(())
    }

    fn delete_many(&mut self, _: Resource<Bucket>, keys: Vec<String>) -> Result<(), Error> {
        let store = self.store()?;
        keys.iter().for_each(|key| store.delete(key));
        Ok(())
    }
}

impl From<ResourceTableError> for Error {
    fn from(error: ResourceTableError) -> Error {
        Error::Other(error.to_string())
    }
}

/// Where there is no store.
impl From<Refused> for Error {
    fn from(_: Refused) -> Error {
        Error::AccessDenied
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Error {
        Error::Other(match denied {
            Denied::Quota => "no room".to_owned(),
            Denied::Conflict => "not a number, negative, or too large".to_owned(),
            Denied::Key(why) => why,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::kv::{Room, Stores};
    use crate::settings::KvGrant;

    /// A store of more keys than two pages have, and the keys.
    fn store() -> (Room, Vec<String>) {
        let grant = KvGrant { bytes: 1 << 20, persistent: false };
        let store = Stores::new(None, None).prepare("p", grant).unwrap();
        let keys: Vec<_> = (0..limits::KV_KEYS_MAX * 5 / 2).map(|n| format!("{n:04}")).collect();
        for key in &keys {
            store.set(key, vec![], None, 0).unwrap();
        }
        (store, keys)
    }

    #[test]
    fn keys_that_are_deleted_while_they_are_listed_hide_no_others() {
        let (store, keys) = store();
        let (mut cursors, mut cursor, mut told) = (Cursors::default(), None, Vec::new());
        loop {
            let page = cursors.page(&store, cursor, 0).unwrap();
            page.keys.iter().for_each(|key| store.delete(key));
            told.extend(page.keys);
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(told, keys);
    }

    #[test]
    fn a_cursor_can_be_gone_back_to_until_it_is_forgotten() {
        let (store, keys) = store();
        let mut cursors = Cursors::default();
        let first = cursors.page(&store, None, 0).unwrap().cursor;
        for _ in 1..limits::KV_CURSORS_MAX {
            let page = cursors.page(&store, first, 0).unwrap();
            assert_eq!(page.keys, keys[limits::KV_KEYS_MAX..limits::KV_KEYS_MAX * 2]);
        }
        let others = Cursors::default().page(&store, None, 0).unwrap().cursor;
        for none in [Some(0), others] {
            assert!(matches!(cursors.page(&store, none, 0), Err(Error::Other(_))));
        }
        cursors.page(&store, first, 0).unwrap();
        assert!(matches!(cursors.page(&store, first, 0), Err(Error::Other(_))));
    }
}
