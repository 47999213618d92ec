//! `kv`: the plugin's own store. Nothing here waits for a disk.

use crate::bindings::waft::plugin::kv::{Error, Host};
use crate::guest::Guest;
use crate::services::kv::{Denied, Room};

impl Host for Guest {
    fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.store()?.get(&key, self.now_ms()))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), Error> {
        Ok(self.store()?.set(&key, value, ttl_ms, self.now_ms())?)
    }

    fn delete(&mut self, key: String) -> Result<(), Error> {
        self.store()?.delete(&key);
        Ok(())
    }

    fn increment(&mut self, key: String, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
        Ok(self.store()?.increment(&key, delta, ttl_ms, self.now_ms())?)
    }

    fn compare_and_set(
        &mut self,
        key: String,
        old: Option<Vec<u8>>,
        new: Option<Vec<u8>>,
    ) -> Result<(), Error> {
        Ok(self.store()?.compare_and_set(&key, old.as_deref(), new, self.now_ms())?)
    }

    fn keys(
        &mut self,
        prefix: String,
        after: Option<String>,
        max: u32,
    ) -> Result<Vec<String>, Error> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Ok(self.store()?.keys(&prefix, after.as_deref(), max, self.now_ms()))
    }
}

impl Guest {
    /// Milliseconds since 1970.
    pub(super) fn now_ms(&self) -> u64 {
        self.identity.services.now_ms()
    }

    /// The plugin's store, if it is granted one and not just describing itself.
    pub(crate) fn store(&self) -> Result<&Room, Error> {
        self.note_more();
        self.identity.share.kv.as_ref().filter(|_| self.granted).ok_or(Error::Denied)
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Error {
        match denied {
            Denied::Quota => Error::Quota,
            Denied::Conflict => Error::Conflict,
            Denied::Key(why) => Error::Unavailable(why),
        }
    }
}
