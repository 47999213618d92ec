//! The time, which a component has no other way to know.

#[cfg(target_arch = "wasm32")]
use crate::bindings::base::waft::plugin::clock as server;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::clock as server;

/// Milliseconds since 1970-01-01 UTC.
pub fn now_ms() -> u64 {
    server::now_ms()
}

/// Nanoseconds since some moment, never going back.
pub fn monotonic_ns() -> u64 {
    server::monotonic_ns()
}
