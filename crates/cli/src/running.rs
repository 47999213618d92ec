//! A server that runs: the parts put together, kept in step with the configuration, ended in order.

mod acme;
mod footprint;
mod listeners;
mod trial;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use waft_accounts::{LocalAccounts, Lockout, Verifier, VerifierOptions};
use waft_config::{Config, Mistake, Mistakes, Origin, Scheduling};
use waft_pages::Pages;
use waft_plugin_host::{Host, HostSettings, Watching};
use waft_server::net::tcp::TcpNetwork;
use waft_server::{Parts, Server, Workers};

pub use listeners::BindError;
pub(crate) use trial::{Given, Trial};

use crate::commands::self_tester;
use crate::control::{Controlled, Serving};
use crate::findings::{both, unless};
use crate::lent::{Beside, Lent};
use crate::metrics::{Measured, Telling};
use crate::{assemble, process};
use acme::Acme;
use footprint::Footprint;
use listeners::Listeners;

/// Threads that serve sessions, for each processor; `server.worker_threads` says so to operators.
const WORKERS_PER_PROCESSOR: usize = 16;

/// A server that accepts clients until it is shut down. Dropped, it stops accepting and leaves
/// its sessions to themselves; nobody logs in any more once the runtime that it was begun in is gone.
#[must_use = "dropping it stops accepting"]
pub struct Running {
    server: Arc<Server<TcpNetwork>>,
    host: Host,
    keeper: Keeper,
    listeners: Listeners,
    acme: Option<Acme>,
    config: Config,
    _watching: Option<Watching>,
    _control: Option<Serving>,
    _metrics: Option<Telling>,
    _footprint: Footprint,
}

/// What outlives a configuration, of the accounts: who failed, and what was right.
struct Keeper {
    lockout: Arc<Lockout>,
    verifier: Arc<Verifier>,
    options: VerifierOptions,
    /// What plugins are lent.
    lent: Arc<Lent>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration, or what it names, is wrong.
    #[error(transparent)]
    Configuration(#[from] Mistakes),
    /// It cannot listen.
    #[error("{}", told(.0))]
    Bind(Vec<BindError>),
    /// It cannot become the user that it should.
    #[error("cannot run as {user}: {source:#}")]
    RunAs {
        /// The user.
        user: String,
        /// What happened.
        source: anyhow::Error,
    },
    /// The system does not give what every server needs.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// How long plugins have to take the last events when the server ends.
const EVENTS_DRAIN: Duration = Duration::from_secs(2);

fn told(errors: &[BindError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Running {
    /// Binds the listeners, becomes the user to run as, loads accounts and plugins, and accepts
    /// clients. Needs a tokio runtime with time and IO enabled; sessions get threads of their own.
    ///
    /// In that order, so that everything but the listeners is opened, and every plugin compiled,
    /// with no more rights than the server has later.
    ///
    /// # Errors
    ///
    /// The configuration cannot be acted on, or the system refuses. Nothing runs then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::begin(config, Beside::default()).await
    }

    /// The same, with what is there beside the parts.
    ///
    /// # Errors
    ///
    /// Likewise.
    pub(crate) async fn begin(config: Config, beside: Beside) -> Result<Self, StartError> {
        unless((), refusals(&config))?;
        let pages = Pages::find();
        let (mut listeners, mut failed) = Listeners::bind(&config.listeners);
        let mut acme = Acme::bind(&config).unwrap_or_else(|error| {
            failed.push(error);
            None
        });
        let metrics = bind_metrics(&config).unwrap_or_else(|error| {
            failed.push(error);
            None
        });
        if !failed.is_empty() {
            return Err(StartError::Bind(failed));
        }
        if let Some(user) = &config.server.run_as {
            process::become_user(user)
                .map_err(|source| StartError::RunAs { user: user.clone(), source })?;
        }
        let keeper = Keeper::new(&config, beside.opened(&config)?)?;
        let Loaded { accounts, host, tls } = parts(&config, &keeper, tested).await?;
        let workers = Workers::start(worker_threads(&config))?;
        let workers = Arc::new(match config.server.scheduling {
            Scheduling::Batch => workers,
            Scheduling::Inherited => workers.unmoved(),
        });
        let server = Server::new(
            TcpNetwork,
            Parts {
                settings: assemble::server_settings(&config),
                authenticator: Arc::new(accounts),
                guard: Arc::clone(&keeper.lockout) as _,
                hooks: Arc::new(host.clone()),
                events: Arc::new(host.clone()),
            },
        );
        let server = Arc::new(server.with_workers(Arc::clone(&workers)));
        host.act_on(server.control());
        let _watching = watch(&host);
        let _control = control(&config, &server, &host);
        let measured = Measured::new(&server, &host);
        let _metrics = metrics.map(|socket| Telling::start(socket, measured)).transpose()?;
        listeners.accept(&config.listeners, tls.as_ref(), &server)?;
        acme.as_mut().map_or(Ok(()), Acme::begin)?;
        // From here on, what only the start needed is given back.
        let footprint = Footprint::keep_small(pages, workers, host.clone());
        Ok(Self {
            server,
            host,
            keeper,
            listeners,
            acme,
            config,
            _watching,
            _control,
            _metrics,
            _footprint: footprint,
        })
    }

    /// Returns the addresses that it listens on, in the order of the configuration, with the ports
    /// that the system picked.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses()
    }

    /// Returns the configuration that it goes by.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the server.
    #[must_use]
    pub fn server(&self) -> &Server<TcpNetwork> {
        &self.server
    }

    /// Returns the plugins.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Goes by another configuration: listeners are bound and closed, plugins exchanged as one
    /// generation, and sessions that begin from now on find the new settings and accounts.
    ///
    /// What cannot be bound is logged, and so is what needs a restart; the rest takes effect.
    ///
    /// # Errors
    ///
    /// The configuration cannot be acted on. Nothing has changed then.
    pub async fn reload(&mut self, config: Config) -> Result<(), Mistakes> {
        unless((), refusals(&config))?;
        let verifier = self.keeper.verifier_for(&config);
        let places = assemble::Places::new(&config, Some(&self.host));
        let accounts = assemble::accounts(&config, Arc::clone(&verifier), Arc::clone(&places) as _);
        let accounts = both(accounts, assemble::tls(&config)).map_err(|wrong| wrong.mistakes);
        let ((accounts, tls), plugins) = both(accounts, assemble::host_settings(&config))?;
        if let Err(errors) = self.host.reconfigure(tested(plugins)).await {
            unless((), assemble::plugin_mistakes(&config, &errors))?;
        }
        self.keeper.lent.go_by(&verifier, &places);
        self.keeper.go_by(&config, verifier);
        self.server.reload(assemble::server_settings(&config), Arc::new(accounts));
        for error in self.listeners.go_by(&config.listeners, tls.as_ref(), &self.server) {
            tracing::error!("{error}");
        }
        self.acme = Acme::go_by(self.acme.take(), &config);
        for key in needing_restart(&self.config, &config) {
            tracing::warn!(key, "takes effect when the server is restarted");
        }
        self.config = config;
        Ok(())
    }

    /// Waits until an authority has issued another certificate; to use it, [`reload`](Self::reload).
    pub async fn certificate_renewed(&self) {
        match &self.acme {
            Some(acme) => acme.renewed().await,
            None => std::future::pending().await,
        }
    }

    /// Ends in order: accepts nobody any more, lets transfers finish within `timeouts.drain`, and
    /// ends what is left then, or when `now` is ready.
    pub async fn shut_down(self, now: impl Future<Output = ()>) {
        drop(self.listeners);
        self.server.shut_down(self.config.timeouts.drain, now).await;
        self.host.drain_events(EVENTS_DRAIN).await;
        self.host.flush().await;
    }
}

impl Keeper {
    fn new(config: &Config, beside: Beside) -> std::io::Result<Self> {
        let options = assemble::verifier_options(config);
        let verifier = Arc::new(Verifier::new(options)?);
        Ok(Self {
            lockout: Arc::new(Lockout::new(assemble::lockout_options(config))),
            lent: Lent::new(&verifier, beside),
            verifier,
            options,
        })
    }

    /// Returns the verifier for a configuration: another one where it is to work otherwise.
    fn verifier_for(&self, config: &Config) -> Arc<Verifier> {
        let options = assemble::verifier_options(config);
        if options == self.options {
            return Arc::clone(&self.verifier);
        }
        match Verifier::new(options) {
            Ok(verifier) => Arc::new(verifier),
            Err(error) => {
                tracing::error!(%error, "passwords are verified as before");
                Arc::clone(&self.verifier)
            }
        }
    }

    fn go_by(&mut self, config: &Config, verifier: Arc<Verifier>) {
        self.lockout.reconfigure(assemble::lockout_options(config));
        self.options = assemble::verifier_options(config);
        self.verifier = verifier;
    }
}

/// Tells everything that is wrong with a configuration and is found by acting on it, short of
/// binding its listeners. Returns the plugins that it would run with.
///
/// # Errors
///
/// There is something.
pub(crate) async fn rehearse(config: &Config) -> Result<Host, StartError> {
    let keeper = Keeper::new(config, Beside::default())?;
    let refused = unless((), refusals(config)).map_err(|wrong| wrong.mistakes);
    let rehearsed = |settings| HostSettings { rehearsal: true, ..tested(settings) };
    let parts = parts(config, &keeper, rehearsed).await.map_err(|wrong| wrong.mistakes);
    let ((), Loaded { host, .. }) = both(refused, parts)?;
    Ok(host)
}

/// What can be told before anything is opened.
fn refusals(config: &Config) -> Vec<Mistake> {
    process::check_user(config).into_iter().collect()
}

/// Has plugins show that they work before they come into force.
fn tested(settings: HostSettings) -> HostSettings {
    HostSettings { self_test: Some(self_tester()), ..settings }
}

/// What a configuration names, loaded.
struct Loaded {
    accounts: LocalAccounts,
    host: Host,
    tls: Option<assemble::Tls>,
}

async fn parts(
    config: &Config,
    keeper: &Keeper,
    own: impl FnOnce(HostSettings) -> HostSettings,
) -> Result<Loaded, Mistakes> {
    let host = match assemble::host_settings(config) {
        Ok(settings) => {
            let host = Host::load_with(own(settings), keeper.lent.services()).await;
            host.map_err(|errors| assemble::plugin_mistakes(config, &errors))
        }
        Err(mistakes) => Err(mistakes),
    };
    let places = assemble::Places::new(config, host.as_ref().ok());
    keeper.lent.go_by(&keeper.verifier, &places);
    let accounts = assemble::accounts(config, Arc::clone(&keeper.verifier), places);
    let tls = assemble::tls(config);
    let accounts = both(accounts, tls).map_err(|wrong| wrong.mistakes);
    let ((accounts, tls), host) = both(accounts, host)?;
    Ok(Loaded { accounts, host, tls })
}

/// The most threads that serve sessions: some for each processor, unless the operator says how many.
pub(crate) fn worker_threads(config: &Config) -> NonZeroUsize {
    let wanted = config.server.worker_threads.and_then(|threads| usize::try_from(threads).ok());
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let usual = processors.saturating_mul(WORKERS_PER_PROCESSOR);
    NonZeroUsize::new(wanted.unwrap_or(usual)).unwrap_or(NonZeroUsize::MIN)
}

/// Watches the files of plugins. A server whose files cannot be watched is still a server.
fn watch(host: &Host) -> Option<Watching> {
    host.watch()
        .inspect_err(|error| {
            let remedy = "send SIGHUP when a plugin has changed";
            tracing::warn!(%error, remedy, "changed plugins are not noticed");
        })
        .ok()
}

/// Binds the address where metrics are told, if they are to be.
fn bind_metrics(config: &Config) -> Result<Option<TcpListener>, BindError> {
    let Some(address) = config.metrics.listen else { return Ok(None) };
    let socket = listeners::alone(address);
    let whole = || Origin::whole("configuration".as_ref());
    let origin = config.origin("metrics.listen").cloned().unwrap_or_else(whole);
    socket.map(Some).map_err(|source| BindError { address, origin, source })
}

/// Lets operators ask, if they are to. A server that cannot be asked is still a server.
fn control(config: &Config, server: &Arc<Server<TcpNetwork>>, host: &Host) -> Option<Serving> {
    let path = config.control.socket.as_ref()?;
    let controlled = Controlled { server: Arc::clone(server), host: host.clone() };
    Serving::start(path, controlled)
        .inspect_err(|error| {
            let (socket, remedy) = (path.display(), "name another with socket in [control]");
            tracing::error!(%socket, %error, remedy, "no control socket: waft status cannot ask");
        })
        .ok()
}

/// Returns the keys that differ and are only looked at when the process starts.
fn needing_restart(before: &Config, after: &Config) -> Vec<&'static str> {
    let keys = [
        ("server.worker_threads", before.server.worker_threads != after.server.worker_threads),
        ("server.scheduling", before.server.scheduling != after.server.scheduling),
        ("server.state", before.server.state != after.server.state),
        ("metrics.listen", before.metrics.listen != after.metrics.listen),
        ("control.socket", before.control.socket != after.control.socket),
        ("server.run_as", before.server.run_as != after.server.run_as),
        ("log.format", before.log.format != after.log.format),
        ("limits.hashes", before.limits.hashes != after.limits.hashes),
    ];
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}
