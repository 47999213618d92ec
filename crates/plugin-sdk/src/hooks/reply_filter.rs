//! Replies, before the server writes them.

use super::running;
use crate::bindings::base::waft::plugin::sessions;
use crate::bindings::reply_filter::exports::waft::plugin::reply_filter::Guest;
use crate::export::Holder;
use crate::{Command, Plugin, Reply, Session};

/// Rewords replies before the server writes them.
///
/// ```
/// use waft_plugin_sdk::testing::TestSession;
/// use waft_plugin_sdk::{
///     Command, Interest, Plugin, Reply, ReplyFilter, Session, Settings, export,
/// };
///
/// struct Farewell;
///
/// impl Plugin for Farewell {
///     fn new(_: &Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn interest(&self) -> Interest {
///         Interest::nothing().in_replies_to(["QUIT"]).in_codes([221])
///     }
/// }
///
/// impl ReplyFilter for Farewell {
///     fn on_reply(&self, session: Session<'_>, _: &Command, reply: &Reply) -> Option<Reply> {
///         let user = session.user()?;
///         Some(Reply::new(reply.code, format!("Farewell, {user}.")))
///     }
/// }
///
/// export!(Farewell: reply_filter);
///
/// let session = TestSession::new().user("alice");
/// let quit = Command::new("QUIT", None);
/// let reply = Farewell.on_reply(session.session(), &quit, &Reply::new(221, "Goodbye."));
/// assert_eq!(reply.unwrap().lines, ["Farewell, alice."]);
/// ```
pub trait ReplyFilter: Plugin {
    /// Returns another reply, or `None` to leave it as it is.
    ///
    /// The command is the one it answers; its verb is empty where the server speaks unasked, as
    /// with the greeting. A reply keeps the first digit of its code.
    fn on_reply(&self, session: Session<'_>, command: &Command, reply: &Reply) -> Option<Reply>;
}

impl<H: Holder<Plugin: ReplyFilter>> Guest for H {
    fn on_reply(session: &sessions::Session, command: Command, reply: Reply) -> Option<Reply> {
        running::<H>()?.on_reply(Session::host(session), &command, &reply)
    }
}
