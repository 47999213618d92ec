//! The local storage against real directories.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests fail by panicking"
)]

mod storage {
    mod facts;
    mod interrupted;
    mod links;
    mod listing;
    mod names;
    mod properties;
    mod race;
    mod reading;
    mod support;
    mod tree;
    mod uploads;
}
