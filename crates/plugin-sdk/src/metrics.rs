//! Numbers for the operator's graphs. Needs no grant.
//!
//! ```
//! use waft_plugin_sdk::{metrics, testing};
//!
//! metrics::counter("refused_total", 1, &[("reason", "size")]);
//! assert_eq!(testing::counted("refused_total"), 1);
//! ```
//!
//! The server puts its own prefix and the plugin's name to a name, and takes a limited number of
//! different labels.

#[cfg(target_arch = "wasm32")]
use crate::bindings::base::waft::plugin::metrics as server;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::metrics as server;

/// Adds to a count.
pub fn counter(name: &str, delta: u64, labels: &[(&str, &str)]) {
    server::counter(name, delta, &owned(labels));
}

/// Sets a number that goes up and down.
pub fn gauge(name: &str, value: f64, labels: &[(&str, &str)]) {
    server::gauge(name, value, &owned(labels));
}

/// Adds one observation.
pub fn histogram(name: &str, value: f64, labels: &[(&str, &str)]) {
    server::histogram(name, value, &owned(labels));
}

fn owned(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}
