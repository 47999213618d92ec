//! Whether a client is served at all: what plugins say before it is greeted.
//!
//! They are asked before TLS where the connection begins with it: a client that is dropped costs
//! no handshake. One that is rejected is to learn why, and hears it under TLS like everything else.

use std::ops::ControlFlow;
use std::sync::Arc;

use waft_core::hooks::{ConnectVerdict, ConnectionFilter, Hooks};
use waft_proto::Reply;

use crate::net::Network;
use crate::session::Session;

impl<N: Network> Session<N> {
    /// Asks the plugins; gives the session back if its client is served, and has ended it otherwise.
    pub(crate) async fn admitted(
        self: Box<Self>,
        hooks: &Arc<dyn Hooks>,
        filter: &dyn ConnectionFilter,
    ) -> Option<Box<Session<N>>> {
        let (generation, hook) = (hooks.generation(), "connection-filter");
        let counters = &self.shared.counters;
        match filter.on_connect(&self.facts).await {
            ConnectVerdict::Serve => return Some(self),
            ConnectVerdict::Drop { plugin } => {
                counters.connections_dropped.add_one();
                tracing::info!(%plugin, generation, hook, "connection dropped by plugin");
            }
            ConnectVerdict::Reject { reply, plugin } => {
                counters.connections_rejected.add_one();
                let code = reply.code().number();
                tracing::info!(%plugin, generation, hook, code, "connection rejected by plugin");
                self.turn_away(hooks, reply).await;
            }
            ConnectVerdict::Undecided { reply, plugin } => {
                let code = reply.code().number();
                let message = "connection could not be decided by plugin";
                tracing::info!(%plugin, generation, hook, code, "{message}");
                self.turn_away(hooks, reply).await;
            }
        }
        None
    }

    async fn turn_away(mut self: Box<Self>, hooks: &Arc<dyn Hooks>, reply: Reply) {
        if self.security.is_implicit()
            && let ControlFlow::Break(_) = self.begin_tls().await
        {
            return;
        }
        // The session ends whether or not the client hears why.
        let _ = self.reply(hooks, None, reply).await;
        self.control.close().await;
    }
}
