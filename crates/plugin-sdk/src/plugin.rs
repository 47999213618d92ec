//! What a plugin's author writes.

use crate::{Command, CommandDecision, Interest, Reply, Session, Settings};

/// A plugin: made from the operator's settings, then asked by the hooks it has.
pub trait Plugin: Sized + 'static {
    /// Makes the plugin, once per instance.
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

/// Decides about commands before the server looks at them.
pub trait CommandFilter: Plugin {
    /// Decides about one command.
    ///
    /// The argument of PASS is never shown. QUIT and ABOR cannot be denied, and verbs that move
    /// the session's state machine, such as USER or PASV, cannot be rewritten: the server then
    /// acts as if the plugin had failed.
    fn on_command(&self, session: Session<'_>, command: &Command) -> CommandDecision;
}

/// Rewords replies before the server writes them.
pub trait ReplyFilter: Plugin {
    /// Returns another reply, or `None` to leave it as it is.
    ///
    /// The command is the one it answers; its verb is empty where the server speaks unasked, as
    /// with the greeting. A reply keeps the first digit of its code.
    fn on_reply(&self, session: Session<'_>, command: &Command, reply: &Reply) -> Option<Reply>;
}
