//! The time, which a component has no other way to know.

#[cfg(target_arch = "wasm32")]
use crate::bindings::base::waft::plugin::clock;

/// Milliseconds since 1970-01-01 UTC.
#[cfg(target_arch = "wasm32")]
pub fn now_ms() -> u64 {
    clock::now_ms()
}

/// Nanoseconds since some moment, never going back.
#[cfg(target_arch = "wasm32")]
pub fn monotonic_ns() -> u64 {
    clock::monotonic_ns()
}

/// Milliseconds since 1970-01-01 UTC.
#[cfg(not(target_arch = "wasm32"))]
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Nanoseconds since some moment, never going back.
#[cfg(not(target_arch = "wasm32"))]
pub fn monotonic_ns() -> u64 {
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
