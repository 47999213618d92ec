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
//! All of this compiles for the host's own machine, too: a plugin's logic is tested with plain
//! `cargo test`, with [`testing::TestSession`] in place of a session and [`Settings::of`] in place
//! of the operator's configuration.
//!
//! Not here: hooks that the server does not call yet, and anything that needs a grant.

mod bindings;
mod export;
mod interest;
mod plugin;
mod reply;
mod session;
mod settings;

pub mod clock;
pub mod log;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use bindings::base::waft::plugin::sessions::TlsInfo;
pub use bindings::base::waft::plugin::types::{Command, Reply};
pub use bindings::command_filter::exports::waft::plugin::command_filter::CommandDecision;
pub use interest::Interest;
pub use plugin::{CommandFilter, Plugin, ReplyFilter};
pub use session::Session;
pub use settings::{Section, Settings, closest};

/// What [`export!`] refers to; no part of the interface.
#[doc(hidden)]
pub mod private {
    pub use crate::bindings::{base, command_filter, reply_filter};
    pub use crate::export::{About, Holder, started};
}
