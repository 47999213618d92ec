//! `control`: acting on the server. What a plugin does here is logged, with its name.

use std::sync::Arc;
use std::time::Duration;

use waft_core::SessionId;
use waft_core::control::{Control, Network};

use super::log::cleaned;
use crate::bindings::waft::plugin::control::Host;
use crate::guest::Guest;

/// A line of the log about what a plugin does.
macro_rules! acts {
    ($guest:expr, $level:ident, $($said:tt)+) => {
        tracing::event!(
            tracing::Level::$level,
            plugin = &*$guest.identity.name,
            generation = $guest.about.generation,
            session = $guest.about.session.map(|session| session.0),
            hook = $guest.about.hook.name(),
            $($said)+
        )
    };
}

impl Host for Guest {
    fn disconnect(&mut self, session: u64, message: String) -> bool {
        let Some(server) = self.server() else { return false };
        let message = cleaned(&message);
        let done = server.disconnect(SessionId(session), &message);
        acts!(self, INFO, disconnected = session, told = message, done, "plugin ends a session");
        done
    }

    fn ban(&mut self, cidr: String, seconds: u32, reason: String) -> Result<(), String> {
        let network: Network = cidr.parse().map_err(|error| format!("{error}"))?;
        let server = self.server().ok_or(NO_SERVER)?;
        server.ban(network, Duration::from_secs(seconds.into()))?;
        let reason = cleaned(&reason);
        acts!(self, WARN, %network, seconds, reason, "plugin bans addresses");
        Ok(())
    }

    fn unban(&mut self, cidr: String) -> Result<(), String> {
        let network: Network = cidr.parse().map_err(|error| format!("{error}"))?;
        self.server().ok_or(NO_SERVER)?.unban(network);
        acts!(self, INFO, %network, "plugin lets addresses in again");
        Ok(())
    }
}

const NO_SERVER: &str = "there is no server to act on";

impl Guest {
    /// The server, if the plugin may act on it and there is one.
    fn server(&self) -> Option<Arc<dyn Control>> {
        self.note_more();
        let control = self.identity.share.control.as_ref().filter(|_| self.granted)?;
        control.get().cloned()
    }
}
