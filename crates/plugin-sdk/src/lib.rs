//! waft plugins in Rust.
//!
//! A plugin is a type that implements [`Plugin`], and the trait of every hook it wants;
//! [`export!`] makes a component of it. This one refuses active mode:
//!
//! ```
//! use waft_plugin_sdk::{
//!     Command, CommandDecision, CommandFilter, Interest, Plugin, Reply, Session, Settings,
//! };
//!
//! struct PassiveOnly;
//!
//! impl Plugin for PassiveOnly {
//!     fn new(_: &Settings) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!     fn interest(&self) -> Interest {
//!         Interest::everything().in_commands(["PORT", "EPRT"])
//!     }
//! }
//!
//! impl CommandFilter for PassiveOnly {
//!     fn on_command(&self, _: Session<'_>, _: &Command) -> CommandDecision {
//!         CommandDecision::Answer(Reply::new(502, "active mode is off here: use EPSV or PASV"))
//!     }
//! }
//!
//! waft_plugin_sdk::export!(PassiveOnly: command_filter);
//! ```
//!
//! The crate must be a `cdylib`, built for `wasm32-unknown-unknown` and turned into a component
//! with `wasm-tools component new`, or built for `wasm32-wasip2`, which does both. The component
//! exports the named hooks and nothing else, and imports only what is called: what it imports is
//! what it can do.
//!
//! The server keeps several instances of a plugin and starts fresh ones at will, so fields are a
//! cache, not a memory. What must be remembered of a session goes into [`Session::set`].
//!
//! A component allocates with [talc](https://docs.rs/talc), which is smaller than what the standard library
//! has. A plugin with an allocator of its own turns the feature `allocator` off.
//!
//! All of this compiles for the host's own machine, too: a plugin's logic is tested with plain
//! `cargo test`, with [`testing::TestSession`] in place of a session and [`Settings::of`] in place
//! of the operator's configuration.
//!
//! # Hooks
//!
//! | trait | in `export!` | is asked |
//! |---|---|---|
//! | [`ConnectionFilter`] | `connection_filter` | who may connect |
//! | [`Authenticator`] | `authenticator` | who may log in, and as whom |
//! | [`CommandFilter`] | `command_filter` | what becomes of a command |
//! | [`FileFilter`] | `file_filter` | what may be done to which file, and who sees it |
//! | [`ContentFilter`] | `content_filter` | what becomes of the bytes of a transfer |
//! | [`Storage`] | `storage` | for files and directories |
//! | [`ReplyFilter`] | `reply_filter` | for other words |
//! | [`EventSink`] | `event_sink` | to hear of what has happened |
//! | [`SiteCommand`] | `site_command` | for answers to commands of its own |
//! | [`Timer`] | `timer` | to do something now and then |
//!
//! # Services
//!
//! [`log`], [`clock`], [`crypto`] and [`metrics`] are there for all; [`kv`], [`http`], [`control`]
//! and [`Settings::secret`] need a grant in the operator's configuration.

mod bindings;
mod export;
mod file_stat;
mod hooks;
mod interest;
mod network;
mod plugin;
mod reply;
mod secret;
mod session;
mod settings;
mod template;
mod wildcard;

pub mod clock;
pub mod control;
pub mod crypto;
pub mod http;
pub mod kv;
pub mod log;
pub mod metrics;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use bindings::base::waft::plugin::sessions::TlsInfo;
pub use bindings::base::waft::plugin::types::{Command, FileKind, FileStat, Reply};
pub use bindings::command_filter::exports::waft::plugin::command_filter::CommandDecision;
pub use bindings::connection_filter::exports::waft::plugin::connection_filter::ConnectDecision;
pub use hooks::authenticator::{
    Account, AuthDecision, Authenticator, CertificateOffer, Credentials, PasswordOffer,
};
pub use hooks::command_filter::CommandFilter;
pub use hooks::connection_filter::ConnectionFilter;
pub use hooks::content_filter::{ContentFilter, ContentInterest, Direction, Filter, Verdict};
pub use hooks::event_sink::{EVENTS, Event, EventSink, Value};
pub use hooks::file_filter::{FileDecision, FileFilter, FileOp, WriteKind};
pub use hooks::reply_filter::ReplyFilter;
pub use hooks::site_command::SiteCommand;
pub use hooks::storage::{
    Abilities, ErrorCode, Page, Reader, Storage, StorageError, WriteMode, Writer,
};
pub use hooks::timer::Timer;
pub use interest::Interest;
pub use network::Network;
pub use plugin::Plugin;
pub use secret::Secret;
pub use session::Session;
pub use settings::{Section, Settings, closest};
pub use template::{Moment, Template};
pub use wildcard::fits;

/// The standard library's makes a component larger by a twentieth.
#[cfg(all(feature = "allocator", target_family = "wasm", not(target_feature = "atomics")))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// What [`export!`] refers to; no part of the interface.
#[doc(hidden)]
pub mod private {
    pub use crate::bindings::{
        authenticator, base, command_filter, connection_filter, content_filter, event_sink,
        file_filter, reply_filter, site_command, storage, timer,
    };
    pub use crate::export::{About, Holder, started};
}
