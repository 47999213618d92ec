//! FTP over TLS, with a rustls client over TCP: what works, and what hostile peers get.

mod admission;
mod certificates;
mod client;
mod hostile;
mod matrix;
mod resumption;
mod sessions;
mod world;
