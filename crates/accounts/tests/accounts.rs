//! Logging in to accounts from the configuration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests fail by panicking"
)]

mod accounts {
    mod cache;
    mod certificates;
    mod hashes;
    mod lockout;
    mod login;
    mod support;
}
