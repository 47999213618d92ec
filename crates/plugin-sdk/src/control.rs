//! Acting on the server. Grant: `control`.
//!
//! ```
//! use std::time::Duration;
//!
//! use waft_plugin_sdk::{control, testing};
//!
//! control::ban("192.0.2.7/32", Duration::from_secs(3600), "guessed passwords").unwrap();
//! assert_eq!(testing::banned(), ["192.0.2.7/32"]);
//! ```

use std::time::Duration;

#[cfg(target_arch = "wasm32")]
use crate::bindings::base::waft::plugin::control as server;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::control as server;

/// Ends a session, telling the client why; false where there is none of this number.
pub fn disconnect(session: u64, message: &str) -> bool {
    server::disconnect(session, message)
}

/// Keeps the clients of a network out for a while.
///
/// # Errors
/// What is wrong with the network, which is one such as `192.0.2.0/24`.
pub fn ban(network: &str, period: Duration, reason: &str) -> Result<(), String> {
    server::ban(network, u32::try_from(period.as_secs()).unwrap_or(u32::MAX), reason)
}

/// Lets the clients of a network in again.
///
/// # Errors
/// What is wrong with the network.
pub fn unban(network: &str) -> Result<(), String> {
    server::unban(network)
}
