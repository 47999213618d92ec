//! The plugin host with real components, at the level of `waft_core::hooks`.
//!
//! The components are those that `cargo xtask plugins` builds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod contents;
mod deciding;
mod durable;
mod errands;
mod files;
mod hostile;
mod inspect;
mod instances;
mod lies;
mod operating;
mod refusals;
mod reload;
mod services;
mod sharing;
mod since;
mod storage;
mod support;
mod verdicts;
mod versions;
