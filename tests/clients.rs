//! Real clients against the real server: each logs in, lists, uploads, downloads, resumes, makes,
//! renames and deletes in its own way, and what arrives is compared octet by octet.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

#[path = "clients/curl.rs"]
mod curl;
#[path = "clients/lftp.rs"]
mod lftp;
#[path = "clients/ncftp.rs"]
mod ncftp;
#[path = "clients/python.rs"]
mod python;
#[path = "clients/tnftp.rs"]
mod tnftp;
