//! The hooks: a trait for each, and what joins it to the bindings.
//!
//! A hook's module has what its author writes and reads, and the implementation of the generated
//! trait that calls it. `export!` in [`mod@crate::export`] has the table of them all.

pub(crate) mod authenticator;
pub(crate) mod command_filter;
pub(crate) mod connection_filter;
pub(crate) mod content_filter;
pub(crate) mod event_sink;
pub(crate) mod file_filter;
pub(crate) mod reply_filter;
pub(crate) mod site_command;
pub(crate) mod storage;
pub(crate) mod timer;

use crate::Plugin;
use crate::export::Holder;

/// What a hook says where the plugin could not be made. It is not reached, because the server
/// calls no hook of a plugin whose `init` has failed; who decides must not let things pass.
const NOT_CONFIGURED: &str = "the plugin is not configured";

/// The plugin of this instance.
fn running<H: Holder>() -> Option<&'static H::Plugin>
where
    H::Plugin: Plugin,
{
    H::plugin().as_ref().ok()
}
