//! Work that is done now and then.

use super::running;
use crate::Plugin;
use crate::bindings::timer::exports::waft::plugin::timer::Guest;
use crate::export::Holder;

/// Does something at the times that [`Interest::with_timer`](crate::Interest::with_timer) names.
///
/// ```
/// use std::time::Duration;
///
/// use waft_plugin_sdk::{Interest, Plugin, Settings, Timer, export, kv};
///
/// struct Forgetful;
///
/// impl Plugin for Forgetful {
///     fn new(_: &Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn interest(&self) -> Interest {
///         Interest::nothing().with_timer("forget", Duration::from_secs(3600))
///     }
/// }
///
/// impl Timer for Forgetful {
///     fn on_timer(&self, _: &str) {
///         let _ = kv::delete("refused");
///     }
/// }
///
/// export!(Forgetful: timer);
///
/// kv::increment("refused", 1, None).unwrap();
/// Forgetful.on_timer("forget");
/// assert_eq!(kv::get("refused"), Ok(None));
/// ```
pub trait Timer: Plugin {
    /// The time of this name has come. One call at a time; ticks that were missed are skipped.
    fn on_timer(&self, name: &str);
}

impl<H: Holder<Plugin: Timer>> Guest for H {
    fn on_timer(name: String) {
        if let Some(plugin) = running::<H>() {
            plugin.on_timer(&name);
        }
    }
}
