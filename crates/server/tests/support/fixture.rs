//! A server with one account and nothing scripted, for tests that are no transcripts.

use std::sync::Arc;

use tokio::sync::mpsc;
use waft_core::hooks::NoHooks;
use waft_server::Parts;
use waft_server::settings::Settings;

use super::disk::Disk;
use super::network::{Addresses, World};
use super::parts::{Accounts, Events, Guard};

/// A server, the files of its account `alice`, and what happens in its sessions.
pub struct Fixture<W> {
    pub world: W,
    pub addresses: Addresses,
    pub disk: Disk,
    pub events: mpsc::UnboundedReceiver<String>,
}

impl<W: World> Fixture<W> {
    pub async fn start(settings: Settings) -> Fixture<W> {
        Fixture::start_by(settings, W::start).await
    }

    /// The same with a world that starts like that.
    pub async fn start_by(
        settings: Settings,
        start: impl AsyncFnOnce(Addresses, Parts) -> W,
    ) -> Fixture<W> {
        let disk = Disk::new();
        let mut accounts = Accounts::default();
        accounts.add("alice", &disk.root());
        let (sink, events) = Events::channel();
        let parts = Parts {
            settings,
            authenticator: Arc::new(accounts),
            guard: Arc::new(Guard::default()),
            hooks: Arc::new(NoHooks),
            events: Arc::new(sink),
        };
        let addresses = W::addresses("ipv4");
        Fixture { world: start(addresses, parts).await, addresses, disk, events }
    }
}
