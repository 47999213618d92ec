//! Who may connect.

use super::{NOT_CONFIGURED, running};
use crate::bindings::base::waft::plugin::sessions;
use crate::bindings::connection_filter::exports::waft::plugin::connection_filter::{
    ConnectDecision, Guest,
};
use crate::export::Holder;
use crate::{Plugin, Reply, Session};

/// Decides about connections before the greeting.
///
/// ```
/// use waft_plugin_sdk::testing::TestSession;
/// use waft_plugin_sdk::{
///     ConnectDecision, ConnectionFilter, Plugin, Reply, Session, Settings, export,
/// };
///
/// struct Neighbours;
///
/// impl Plugin for Neighbours {
///     fn new(_: &Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
/// }
///
/// impl ConnectionFilter for Neighbours {
///     fn on_connect(&self, session: Session<'_>) -> ConnectDecision {
///         if session.remote_ip().starts_with("192.0.2.") {
///             return ConnectDecision::Pass;
///         }
///         ConnectDecision::Reject(Reply::new(421, "for neighbours only"))
///     }
/// }
///
/// export!(Neighbours: connection_filter);
///
/// let stranger = TestSession::new().remote_ip("203.0.113.9");
/// let decision = Neighbours.on_connect(stranger.session());
/// assert_eq!(decision, ConnectDecision::Reject(Reply::new(421, "for neighbours only")));
/// ```
pub trait ConnectionFilter: Plugin {
    /// Decides about one connection: let it pass, reject it with a reply in place of the greeting,
    /// or drop it without a word. Only the addresses and the listener are
    /// known: TLS has not begun, even where a connection begins with it.
    fn on_connect(&self, session: Session<'_>) -> ConnectDecision;
}

impl<H: Holder<Plugin: ConnectionFilter>> Guest for H {
    fn on_connect(session: &sessions::Session) -> ConnectDecision {
        match running::<H>() {
            Some(plugin) => plugin.on_connect(Session::host(session)),
            None => ConnectDecision::Reject(Reply::new(421, NOT_CONFIGURED)),
        }
    }
}
