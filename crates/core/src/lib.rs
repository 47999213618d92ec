//! What a storage, an authenticator and a hook may do: the small boxable traits that the parts of
//! waft meet at.
//!
//! The server knows these traits and no implementation of them; `storage-fs`, `accounts` and
//! `plugin-host` implement them and know nothing of the server. What is *not* here: sockets, files,
//! wasmtime, reply texts. An error says what kind of thing went wrong and whose fault it was; the
//! server alone turns that into a reply.
#![forbid(unsafe_code)]

pub mod account;
pub mod auth;
pub mod certificate;
pub mod control;
pub mod event;
pub mod hooks;
pub mod path;
pub mod session;
pub mod storage;

pub use account::{Account, Permission, Permissions, Resumption};
pub use certificate::CertificateName;
pub use path::VirtualPath;
pub use session::{SessionFacts, SessionId};

use std::future::Future;
use std::pin::Pin;

/// A boxed future that may move between threads: what an asynchronous method of a boxable trait
/// returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
