//! A store of the plugin's own, shared by all its instances. Grant: `kv`.
//!
//! ```
//! use std::time::Duration;
//!
//! use waft_plugin_sdk::kv;
//!
//! let attempts = kv::increment("attempts:192.0.2.7", 1, Some(Duration::from_secs(600)));
//! assert_eq!(attempts, Ok(1));
//! ```
//!
//! It survives the plugin's reload, and the server's restart where the operator gave it a place.

use std::time::Duration;

#[cfg(target_arch = "wasm32")]
use crate::bindings::base::waft::plugin::kv as server;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::kv as server;

pub use crate::bindings::base::waft::plugin::kv::Error;

/// The value under a key.
///
/// # Errors
/// The grant is missing, or the store cannot be reached.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    server::get(key)
}

/// Sets the value under a key, for some time or for good.
///
/// # Errors
/// As [`get`], and [`Error::Quota`] where the plugin's share is used up.
pub fn set(key: &str, value: &[u8], lifetime: Option<Duration>) -> Result<(), Error> {
    server::set(key, value, lifetime.map(milliseconds))
}

/// Forgets a key; that there is none is fine.
///
/// # Errors
/// As [`get`].
pub fn delete(key: &str) -> Result<(), Error> {
    server::delete(key)
}

/// Adds to the number under a key, which counts as 0 where it is missing, and returns the sum.
/// Nobody else comes in between.
///
/// # Errors
/// As [`set`], and [`Error::Conflict`] where the value is no number.
pub fn increment(key: &str, delta: i64, lifetime: Option<Duration>) -> Result<i64, Error> {
    server::increment(key, delta, lifetime.map(milliseconds))
}

/// Sets, or with `None` forgets, the value under a key if it is the expected one.
///
/// # Errors
/// As [`set`], and [`Error::Conflict`] where it is another.
pub fn compare_and_set(key: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<(), Error> {
    server::compare_and_set(key, old, new)
}

/// At most `max` keys with a prefix, in their order, from behind `after`.
///
/// # Errors
/// As [`get`].
pub fn keys(prefix: &str, after: Option<&str>, max: u32) -> Result<Vec<String>, Error> {
    server::keys(prefix, after, max)
}

fn milliseconds(lifetime: Duration) -> u64 {
    u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX)
}
