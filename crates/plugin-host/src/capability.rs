//! What guests may import: one module an interface, each a view of the store's data.
//!
//! Functions here never fail: an error from the host is a trap in the guest, and whatever the
//! guest can cause is its interface's own answer. Those that wait end before the call does.

pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod console;
pub(crate) mod control;
pub(crate) mod crypto;
pub(crate) mod http;
pub(crate) mod keyvalue;
pub(crate) mod kv;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod sessions;
pub(crate) mod wasi;

/// Plain data; there is nothing to call.
impl crate::bindings::waft::plugin::types::Host for crate::guest::Guest {}
