//! `control`: acting on the server. What a plugin does here is logged, with its name.

use std::sync::Arc;
use std::time::Duration;

use waft_core::SessionId;
use waft_core::control::{Control, Network};

use super::log::cleaned;
use crate::bindings::waft::plugin::control::Host;
use crate::guest::Guest;

impl Host for Guest {
    fn disconnect(&mut self, session: u64, message: String) -> bool {
        let Some(server) = self.server() else { return false };
        let message = cleaned(&message);
        let done = server.disconnect(SessionId(session), &message);
        let plugin = &*self.identity.name;
        tracing::info!(
            plugin,
            disconnected = session,
            told = message,
            done,
            "plugin ends a session"
        );
        done
    }

    fn ban(&mut self, cidr: String, seconds: u32, reason: String) -> Result<(), String> {
        let network: Network = cidr.parse().map_err(|error| format!("{error}"))?;
        let server = self.server().ok_or(NO_SERVER)?;
        server.ban(network, Duration::from_secs(seconds.into()))?;
        let (plugin, reason) = (&*self.identity.name, cleaned(&reason));
        tracing::warn!(plugin, %network, seconds, reason, "plugin bans addresses");
        Ok(())
    }

    fn unban(&mut self, cidr: String) -> Result<(), String> {
        let network: Network = cidr.parse().map_err(|error| format!("{error}"))?;
        self.server().ok_or(NO_SERVER)?.unban(network);
        let plugin = &*self.identity.name;
        tracing::info!(plugin, %network, "plugin lets addresses in again");
        Ok(())
    }
}

const NO_SERVER: &str = "there is no server to act on";

impl Guest {
    /// The server, if the plugin may act on it and there is one.
    fn server(&self) -> Option<Arc<dyn Control>> {
        let control = self.identity.share.control.as_ref().filter(|_| self.granted)?;
        control.get().cloned()
    }
}
