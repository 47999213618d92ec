//! A server for who tries a plugin: the parts that every server has, over a network in memory, with
//! stand-ins for the world. Nothing listens, and nothing that plugins keep is read or written.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use waft_config::Config;
use waft_core::event::{Event, EventSink};
use waft_plugin_host::{Compiled, Host, HostSettings, PluginSettings, StandIns};
use waft_server::net::memory::MemoryNetwork;
use waft_server::tls::Tls;
use waft_server::{Listener, Parts, Server};

use super::{Keeper, Loaded, StartError, parts};
use crate::assemble;
use crate::lent::Beside;

/// The server and its plugins.
pub(crate) struct Trial {
    pub(crate) server: Server<MemoryNetwork>,
    pub(crate) host: Host,
    /// In the order of the configuration.
    pub(crate) listeners: Vec<Listener>,
    _keeper: Keeper,
}

/// What such a server is given beside its configuration.
#[derive(Default)]
pub(crate) struct Given {
    /// The only plugin, whatever the configuration says.
    pub(crate) plugin: Option<PluginSettings>,
    /// Components that need not be compiled.
    pub(crate) compiled: Vec<Compiled>,
}

impl Given {
    fn of(self, settings: HostSettings) -> HostSettings {
        let plugins = self.plugin.map_or(settings.plugins, |plugin| vec![plugin]);
        HostSettings { plugins, compiled: self.compiled, rehearsal: true, ..settings }
    }
}

/// Passes events on, and tells their names.
struct Heard {
    host: Host,
    told: UnboundedSender<&'static str>,
}

impl Trial {
    /// Puts a server together; the names of events go to `told`.
    ///
    /// # Errors
    ///
    /// The configuration cannot be acted on.
    pub(crate) async fn start(
        config: &Config,
        given: Given,
        world: Arc<dyn StandIns>,
        told: UnboundedSender<&'static str>,
    ) -> Result<Self, StartError> {
        let keeper = Keeper::new(config, Beside { stand_ins: Some(world), ..Beside::default() })?;
        let Loaded { accounts, host, tls } =
            parts(config, &keeper, |settings| given.of(settings)).await?;
        let listeners = config.listeners.iter().map(|listener| {
            let settings = tls.as_ref().and_then(|tls| tls.settings(listener));
            let tls = settings.map(Tls::new).transpose().map_err(io::Error::other)?;
            Ok(Listener { name: listener.name.as_str().into(), tls: tls.map(Arc::new) })
        });
        let listeners = listeners.collect::<io::Result<_>>()?;
        let parts = Parts {
            settings: assemble::server_settings(config),
            authenticator: Arc::new(accounts),
            guard: Arc::clone(&keeper.lockout) as _,
            hooks: Arc::new(host.clone()),
            events: Arc::new(Heard { host: host.clone(), told }),
        };
        let server = Server::new(MemoryNetwork::new(), parts);
        host.act_on(server.control());
        Ok(Self { server, host, listeners, _keeper: keeper })
    }
}

impl EventSink for Heard {
    fn emit(&self, event: Event) {
        // Nobody listens any more once the scenario is over.
        let _ = self.told.send(event.what.name());
        self.host.emit(event);
    }
}
