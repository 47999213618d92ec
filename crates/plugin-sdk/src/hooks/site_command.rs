//! Commands of a plugin's own.

use super::{NOT_CONFIGURED, running};
use crate::bindings::base::waft::plugin::sessions;
use crate::bindings::site_command::exports::waft::plugin::site_command::Guest;
use crate::export::Holder;
use crate::{Plugin, Reply, Session};

/// Answers commands of its own, which [`Interest::with_site`](crate::Interest::with_site) names.
///
/// The server keeps the rules of sequence: such a command waits for a login and for the end of a
/// transfer, and is answered once.
///
/// ```
/// use waft_plugin_sdk::testing::TestSession;
/// use waft_plugin_sdk::{
///     Interest, Plugin, Reply, Session, Settings, SiteCommand, clock, export, testing,
/// };
///
/// struct Time;
///
/// impl Plugin for Time {
///     fn new(_: &Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn interest(&self) -> Interest {
///         Interest::nothing().with_site("SITE TIME", "SITE TIME: seconds since 1970")
///     }
/// }
///
/// impl SiteCommand for Time {
///     fn on_site(&self, _: Session<'_>, _: &str, arg: Option<&str>) -> Reply {
///         match arg {
///             None => Reply::new(211, (clock::now_ms() / 1000).to_string()),
///             Some(_) => Reply::new(501, "TIME takes no argument."),
///         }
///     }
/// }
///
/// export!(Time: site_command);
///
/// testing::set_clock(86_400_000);
/// let session = TestSession::new().user("alice");
/// assert_eq!(Time.on_site(session.session(), "SITE TIME", None), Reply::new(211, "86400"));
/// ```
pub trait SiteCommand: Plugin {
    /// Answers one command. The name is as it was announced, in upper case.
    fn on_site(&self, session: Session<'_>, name: &str, arg: Option<&str>) -> Reply;
}

impl<H: Holder<Plugin: SiteCommand>> Guest for H {
    fn on_site(session: &sessions::Session, name: String, arg: Option<String>) -> Reply {
        match running::<H>() {
            Some(plugin) => plugin.on_site(Session::host(session), &name, arg.as_deref()),
            None => Reply::new(451, NOT_CONFIGURED),
        }
    }
}
