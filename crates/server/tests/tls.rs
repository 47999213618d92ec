//! FTP over TLS, with a rustls client over TCP: what works, and what hostile peers get.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
#![allow(missing_docs, unreachable_pub, reason = "nobody else uses this")]

#[path = "tls/certificates.rs"]
mod certificates;
#[path = "tls/client.rs"]
mod client;
#[path = "tls/hostile.rs"]
mod hostile;
#[path = "tls/matrix.rs"]
mod matrix;
#[path = "tls/resumption.rs"]
mod resumption;
#[path = "tls/sessions.rs"]
mod sessions;
#[path = "tls/world.rs"]
mod world;
