//! `wasi:keyvalue`: the plugin's own store, as [`super::kv`] has it, for guests that were written for
//! other hosts too. One size, one grant; what one interface sets, the other reads.
//!
//! There is one bucket, whose name is empty or `default`. wasmtime's own implementation is not used:
//! its buckets are copies that nobody else sees.

use wasmtime::component::{HasSelf, Linker, Resource, ResourceTableError};

use self::bindings::wasi::keyvalue::{atomics, batch, store};
use crate::bindings::waft::plugin::kv::Error as Refused;
use crate::guest::Guest;
use crate::limits;
use crate::services::kv::Denied;
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

    /// A cursor is the number of keys that were told before.
    fn list_keys(
        &mut self,
        _: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> Result<KeyResponse, Error> {
        let skip = usize::try_from(cursor.unwrap_or_default()).unwrap_or(usize::MAX);
        let (keys, more) = self.store()?.keys_behind(skip, self.now_ms());
        let cursor = more.then(|| skip.saturating_add(keys.len()) as u64);
        Ok(KeyResponse { keys, cursor })
    }

    fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for Guest {
    fn increment(&mut self, _: Resource<Bucket>, key: String, delta: u64) -> Result<u64, Error> {
        let too_large = |_| Error::Other("over what a number may be".to_owned());
        let delta = i64::try_from(delta).map_err(too_large)?;
        let sum = self.store()?.increment(&key, delta, None, self.now_ms())?;
        u64::try_from(sum).map_err(|_| Error::Other("the number is negative".to_owned()))
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
            Denied::Conflict => "not a number, or too large".to_owned(),
            Denied::Key(why) => why,
        })
    }
}
