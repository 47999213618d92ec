//! Commands, before the server looks at them.

use super::{NOT_CONFIGURED, running};
use crate::bindings::base::waft::plugin::sessions;
use crate::bindings::command_filter::exports::waft::plugin::command_filter::{
    CommandDecision, Guest,
};
use crate::export::Holder;
use crate::{Command, Plugin, Reply, Session};

/// Decides about commands before the server looks at them.
///
/// ```
/// use waft_plugin_sdk::testing::TestSession;
/// use waft_plugin_sdk::{
///     Command, CommandDecision, CommandFilter, Interest, Plugin, Reply, Session, Settings, export,
/// };
///
/// struct KeepsFiles;
///
/// impl Plugin for KeepsFiles {
///     fn new(_: &Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn interest(&self) -> Interest {
///         Interest::everything().in_commands(["DELE"])
///     }
/// }
///
/// impl CommandFilter for KeepsFiles {
///     fn on_command(&self, session: Session<'_>, command: &Command) -> CommandDecision {
///         if session.user().as_deref() == Some("janitor") {
///             return CommandDecision::Pass;
///         }
///         CommandDecision::Answer(Reply::new(550, "only the janitor deletes"))
///     }
/// }
///
/// export!(KeepsFiles: command_filter);
///
/// let session = TestSession::new().user("alice");
/// let decision = KeepsFiles.on_command(session.session(), &Command::new("DELE", "a.txt"));
/// assert_eq!(decision, CommandDecision::Answer(Reply::new(550, "only the janitor deletes")));
/// ```
pub trait CommandFilter: Plugin {
    /// Decides about one command.
    ///
    /// The argument of PASS is never shown. QUIT and ABOR cannot be denied, and verbs that move
    /// the session's state machine, such as USER or PASV, cannot be rewritten: the server then
    /// acts as if the plugin had failed.
    fn on_command(&self, session: Session<'_>, command: &Command) -> CommandDecision;
}

impl<H: Holder<Plugin: CommandFilter>> Guest for H {
    fn on_command(session: &sessions::Session, command: Command) -> CommandDecision {
        match running::<H>() {
            Some(plugin) => plugin.on_command(Session::host(session), &command),
            None => CommandDecision::Answer(Reply::new(451, NOT_CONFIGURED)),
        }
    }
}
