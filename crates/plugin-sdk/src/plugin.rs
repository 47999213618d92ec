//! What every plugin is.

use crate::{Interest, Settings};

/// A plugin: made from the operator's settings, then asked by the hooks it has.
pub trait Plugin: Sized + 'static {
    /// Makes the plugin, once per instance, before anything else.
    ///
    /// Of the services, it may read the settings and write to the log: the server asks every
    /// plugin what it wants before it lends it more.
    ///
    /// # Errors
    /// All that is wrong with the settings, a mistake per line, for the operator to read;
    /// [`Settings::finish`] makes such a text. The server then keeps what it had before.
    fn new(settings: &Settings) -> Result<Self, String>;

    /// What the plugin wants to see. The server asks no plugin about anything else, so name as
    /// little as possible; by default it is everything.
    fn interest(&self) -> Interest {
        Interest::everything()
    }
}
