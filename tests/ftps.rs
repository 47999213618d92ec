//! FTP over TLS with the clients that people have, each with another TLS library, against the real
//! program: every client with every version of TLS, with TLS from the beginning and by AUTH, with
//! protected data connections and without. The server wants every data connection to resume the
//! session of its control connection, so that whatever works here has resumed it.
//!
//! Each combination makes a hundred transfers in one session, which the log must confirm: uploads,
//! downloads, listings. A large file goes in both directions with every version and protection.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

#[path = "ftps/curl.rs"]
mod curl;
#[path = "ftps/large.rs"]
mod large;
#[path = "ftps/lftp.rs"]
mod lftp;
#[path = "ftps/matrix.rs"]
mod matrix;
#[path = "ftps/python.rs"]
mod python;
#[path = "ftps/rustls.rs"]
mod rustls;
#[path = "ftps/slow.rs"]
mod slow;
