//! Listeners and the life of the server: accepting, counting, reloading, draining.

use std::future::Future;
use std::io;
use std::net::{self, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::fd::AsFd;
use rustix::net::{SendFlags, send};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::Instrument;
use waft_core::auth::{Authenticator, LoginGuard};
use waft_core::control::Control;
use waft_core::event::EventSink;
use waft_core::hooks::HookSource;

use crate::counters::Counts;
use crate::gatehouse::Stage;
use crate::net::tcp::{Tcp, TcpNetwork, accept_now};
use crate::net::{Network, Stream};
use crate::session::{Origin, Session};
use crate::settings::{Passive, Settings};
use crate::shared::{Current, Full, Shared, TransferKind};
use crate::time::within;
use crate::tls::Tls;
use crate::workers::{Berth, Presence, Ride, Seat, Workers};

/// The parts that a server is put together from.
pub struct Parts {
    /// What the operator decided.
    pub settings: Settings,
    /// Who may log in.
    pub authenticator: Arc<dyn Authenticator>,
    /// Who must wait before trying again.
    pub guard: Arc<dyn LoginGuard>,
    /// The plugins.
    pub hooks: Arc<dyn HookSource>,
    /// Who observes.
    pub events: Arc<dyn EventSink>,
}

/// An FTP server over some network.
pub struct Server<N: Network> {
    shared: Arc<Shared<N>>,
    /// Every session holds a clone: when all are gone, the receiver knows.
    alive: Mutex<Option<mpsc::Sender<()>>>,
    gone: tokio::sync::Mutex<mpsc::Receiver<()>>,
    workers: Option<Arc<Workers>>,
}

/// What the sessions of a listener have in common.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name, for logs and plugins.
    pub name: Arc<str>,
    /// Its TLS; `None` is clear text only.
    pub tls: Option<Arc<Tls>>,
}

impl From<Arc<str>> for Listener {
    fn from(name: Arc<str>) -> Listener {
        Listener { name, tls: None }
    }
}

impl From<&str> for Listener {
    fn from(name: &str) -> Listener {
        Arc::<str>::from(name).into()
    }
}

/// A listener that accepts sessions until it is dropped.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    task: AbortHandle,
}

/// Where connections arrive, until the listener is dropped.
struct Door {
    listener: AsyncFd<net::TcpListener>,
    settings: Listener,
}

/// Where sessions come from, while both are there.
type Source = (Weak<Server<TcpNetwork>>, Weak<Door>);

/// How long aborted sessions have to say goodbye.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How long accepting pauses after an error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// TCP keep-alive on control connections, which are silent during long transfers while network
/// address translators forget them.
const KEEPALIVE: Duration = Duration::from_secs(45);

/// Whether accepted connections have the options of their listener; so five calls are saved for each.
const INHERITS: bool = cfg!(target_os = "linux");

impl<N: Network> Server<N> {
    /// A server that does not listen yet.
    pub fn new(network: N, parts: Parts) -> Server<N> {
        let current =
            Current { settings: Arc::new(parts.settings), authenticator: parts.authenticator };
        let shared = Shared::new(network, current, parts.hooks, parts.guard, parts.events);
        let (alive, gone) = mpsc::channel(1);
        Server {
            shared: Arc::new(shared),
            alive: Mutex::new(Some(alive)),
            gone: tokio::sync::Mutex::new(gone),
            workers: None,
        }
    }

    /// The same with threads of their own for the sessions that its listeners accept; without,
    /// they live in the runtime that the listeners were opened in.
    #[must_use]
    pub fn with_workers(self, workers: impl Into<Arc<Workers>>) -> Server<N> {
        Server { workers: Some(workers.into()), ..self }
    }

    /// The network.
    pub fn network(&self) -> &N {
        &self.shared.network
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }

    /// Sessions at this moment.
    pub fn sessions(&self) -> usize {
        self.shared.addresses.total()
    }

    /// What there is at this moment.
    pub fn gauges(&self) -> Gauges {
        let settings = Arc::clone(&self.shared.current.load().settings);
        let passive = |name: &Arc<str>, passive: &Passive| PassivePorts {
            listener: Arc::clone(name),
            // A range from 0 on leaves the choice to the system.
            range: Some(passive.ports.len()).filter(|_| *passive.ports.start() != 0),
            in_use: self.shared.passive_ports.of(name),
        };
        let own = settings.passive_by_listener.iter();
        let own = own.map(|(name, settings)| passive(name, settings));
        Gauges {
            sessions: self.sessions(),
            sessions_max: Some(settings.limits.sessions_max).filter(|max| *max != 0),
            transfers: TransferKind::ALL.map(|kind| (kind.word(), self.shared.transfers.of(kind))),
            passive: [passive(&Arc::from(""), &settings.passive)].into_iter().chain(own).collect(),
        }
    }

    /// Lets somebody act on the server: end sessions, ban addresses.
    pub fn control(&self) -> Arc<dyn Control> {
        Arc::clone(&self.shared.gatehouse) as _
    }

    /// Exchanges settings and authenticator for sessions to come.
    pub fn reload(&self, settings: Settings, authenticator: Arc<dyn Authenticator>) {
        let current = Current { settings: Arc::new(settings), authenticator };
        self.shared.current.store(Arc::new(current));
    }

    /// Runs a session over a connection, as a task of its own.
    ///
    /// A connection over a limit is told so and closed: then there is no session and this returns
    /// it to the caller with the reply to send.
    ///
    /// # Errors
    /// There are too many sessions, or the server is shutting down.
    pub fn serve(
        &self,
        stream: N::Stream,
        peer: SocketAddr,
        local: SocketAddr,
        listener: impl Into<Listener>,
    ) -> Result<(), Refused<N::Stream>> {
        tokio::spawn(self.admit(stream, peer, local, listener.into(), Berth::default())?);
        Ok(())
    }

    /// A session, to be run; the connection back where there is no place for one.
    fn admit(
        &self,
        stream: N::Stream,
        peer: SocketAddr,
        local: SocketAddr,
        listener: Listener,
        berth: Berth,
    ) -> Result<impl Future<Output = ()> + Send + use<N>, Refused<N::Stream>> {
        let limits = &self.shared.current.load().settings.limits;
        let (peer, local) = (canonical(peer), canonical(local));
        if self.shared.gatehouse.is_banned(peer.ip()) {
            self.shared.counters.connections_banned.add_one();
            tracing::debug!(%peer, "connection refused: banned");
            return Err(Refused { stream, reason: "421 Your address is banned.\r\n" });
        }
        let place = match self.shared.addresses.enter(
            peer.ip(),
            limits.sessions_max,
            limits.sessions_per_address_max,
        ) {
            Ok(place) => place,
            Err(full) => {
                self.shared.counters.sessions_refused.add_one();
                tracing::warn!(%peer, ?full, "session refused: too many");
                let reason = match full {
                    Full::Total => "421 Too many sessions, try again later.\r\n",
                    Full::Key => "421 Too many sessions from your address.\r\n",
                };
                return Err(Refused { stream, reason });
            }
        };
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(alive) = alive else {
            return Err(Refused { stream, reason: "421 Server is shutting down.\r\n" });
        };
        let origin = Origin { peer, local, listener };
        let session = Session::new(Arc::clone(&self.shared), stream, origin, berth);
        let span = session.span();
        let task = async move {
            session.run().await;
            drop((place, alive));
        };
        Ok(task.instrument(span))
    }

    /// Ends the server in order: no new sessions, idle ones end, transfers finish within `drain`;
    /// what is left then, or when `now` is ready, is aborted.
    pub async fn shut_down(&self, drain: Duration, now: impl Future<Output = ()>) {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.gatehouse.enter_stage(Stage::Draining);
        tracing::info!(sessions = self.sessions(), "shutting down");
        let mut gone = self.gone.lock().await;
        let drained = tokio::select! {
            drained = within(drain, gone.recv()) => drained.is_some(),
            () = now => false,
        };
        if !drained {
            tracing::warn!(sessions = self.sessions(), "transfers aborted by shutdown");
            self.shared.gatehouse.enter_stage(Stage::Stopping);
            within(LAST_WORDS, gone.recv()).await;
        }
    }
}

/// What there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauges {
    /// Sessions.
    pub sessions: usize,
    /// As many of them as there may be, if there is a bound.
    pub sessions_max: Option<usize>,
    /// Transfers under way, by what they are.
    pub transfers: [(&'static str, usize); 3],
    /// Passive ports.
    pub passive: Vec<PassivePorts>,
}

/// The passive ports of a listener that has a range of its own, or of all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassivePorts {
    /// The listener; empty for all others.
    pub listener: Arc<str>,
    /// How many there are, where the operator names a range.
    pub range: Option<usize>,
    /// On how many of them a client is awaited.
    pub in_use: usize,
}

/// A connection that got no session.
pub struct Refused<S> {
    /// The connection.
    pub stream: S,
    /// The reply to send, line end included.
    pub reason: &'static str,
}

impl Server<TcpNetwork> {
    /// Accepts sessions on a listener until the returned guard is dropped.
    ///
    /// # Errors
    /// The system does not tell the listener's address.
    pub fn listen(
        self: &Arc<Self>,
        listener: TcpListener,
        settings: impl Into<Listener>,
    ) -> io::Result<Listening> {
        let settings = settings.into();
        let address = listener.local_addr()?;
        if let Err(error) = prepare(&listener) {
            tracing::debug!(%address, %error, "socket options not set");
        }
        #[expect(deprecated, reason = "a listener of the standard library owns its descriptor")]
        let listener = AsyncFd::with_interest(listener.into_std()?, Interest::READABLE)?;
        let server = Arc::clone(self);
        tracing::info!(%address, listener = %settings.name, "listening");
        let door = Arc::new(Door { listener, settings });
        let accepting = async move { server.accept(door).await };
        let task = tokio::spawn(accepting).abort_handle();
        Ok(Listening { address, task })
    }

    async fn accept(self: Arc<Self>, door: Arc<Door>) {
        loop {
            // The reactor that the connection is for is that of its session's thread, not this one.
            match door.listener.async_io(Interest::READABLE, accept_now).await {
                Ok((stream, peer)) => self.hand_over(stream, peer, &door),
                Err(error) if is_peers_fault(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Gives a connection to the thread that its session will live on.
    ///
    /// A thread that is left without sessions looks for the next connection itself. Where many
    /// clients come and go, whoever accepts for all of them is one runnable thread among many, and
    /// all would wait for its turn.
    fn hand_over(self: &Arc<Self>, stream: net::TcpStream, peer: SocketAddr, door: &Arc<Door>) {
        let seat = Seat::take(self.workers.as_deref());
        let (server, settings) = (Arc::clone(self), door.settings.clone());
        let door = Arc::downgrade(door);
        let runtime = seat.runtime.clone();
        runtime.spawn(async move {
            let _presence = Presence::of(&seat);
            let source = (Arc::downgrade(&server), door);
            let mut arrived = Some((server, stream, peer));
            while let Some((server, stream, peer)) = arrived {
                let berth = seat.berth(server.workers.as_deref());
                let session = server.welcome(stream, peer, settings.clone(), berth);
                drop(server);
                // Whoever floods us with what is refused keeps nobody busy here.
                let Some(session) = session else { break };
                session.await;
                arrived = seat.is_alone().then(|| Self::next(&source)).flatten();
            }
            drop(seat);
            let server = source.0.upgrade();
            if let Some(workers) = server.as_ref().and_then(|server| server.workers.as_ref()) {
                workers.note_leave();
            }
        });
    }

    /// The next connection, if there is one.
    fn next((server, door): &Source) -> Option<(Arc<Self>, net::TcpStream, SocketAddr)> {
        let (server, door) = (server.upgrade()?, door.upgrade()?);
        let (stream, peer) = accept_now(door.listener.get_ref()).ok()?;
        Some((server, stream, peer))
    }

    fn welcome(
        &self,
        stream: net::TcpStream,
        peer: SocketAddr,
        listener: Listener,
        berth: Berth,
    ) -> Option<Ride> {
        // Fails only where there are no more descriptors for the reactor, or the client is gone.
        let stream = TcpStream::from_std(stream).ok()?;
        let local = stream.local_addr().ok()?;
        if !INHERITS && let Err(error) = prepare(&stream) {
            tracing::debug!(%error, "socket options not set");
        }
        match self.admit(Tcp::Watched(stream), peer, local, listener, berth.clone()) {
            Ok(session) => {
                let workers = self.workers.as_ref().map(Arc::downgrade).unwrap_or_default();
                Some(Ride::new(session, berth, workers))
            }
            Err(refused) => {
                // One attempt that does not wait: whoever floods us gets no more. The reactor does
                // not know yet that the socket takes it.
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                let _ =
                    refused.stream.socket().map(|to| send(to, refused.reason.as_bytes(), flags));
                None
            }
        }
    }
}

impl Listening {
    /// The address that it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Sets the options of control connections, on the listener or on each.
///
/// Replies are single small writes that must not wait for acknowledgements; the octet that
/// announces ABOR comes as urgent data and belongs into the stream.
fn prepare(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    socket.set_out_of_band_inline(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))
}

fn is_peers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
