//! Whole sessions against a real server with real files, over memory and over TCP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking, and have no readers but those of their names"
)]

mod robustness;
mod support;
mod tls;
mod transcripts;
