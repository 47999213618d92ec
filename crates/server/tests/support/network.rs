//! The two networks that every transcript runs over: memory and TCP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use waft_server::net::memory::{MemoryListener, MemoryNetwork, MemoryStream};
use waft_server::net::tcp::TcpNetwork;
use waft_server::net::{DataListener, Network};
use waft_server::{Listening, Parts, Server, Workers};

use super::settings::LISTENER;

/// Where the ends of the connections are.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The server, as the client connects to it.
    pub server: IpAddr,
    pub client: IpAddr,
    /// Somebody else.
    pub stranger: IpAddr,
    /// Whether the listener is one for IPv6 that IPv4 clients reach as well.
    pub mapped: bool,
}

/// A client's end of a connection of that world.
pub type StreamOf<W> = <W as World>::Stream;

/// A server with clients.
pub trait World: Sized {
    type Network: Network;
    /// A client's end of a connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// What an active client listens on.
    type Listener;

    /// How long a client waits for what must come, before the test fails instead of hanging.
    const PATIENCE: Duration;
    const NAME: &'static str;

    /// The addresses for `ipv4`, `ipv6`, `v4-mapped` or `localhost`.
    fn addresses(kind: &str) -> Addresses;

    /// A passive port of the server that is taken as long as the listener lives.
    fn occupied_port(server: IpAddr) -> (u16, Option<TcpListener>);

    async fn start(addresses: Addresses, parts: Parts) -> Self;

    /// Opens a control connection.
    async fn control(&self, from: IpAddr) -> StreamOf<Self>;

    /// Opens a data connection to a passive port.
    async fn data(&self, port: u16, from: IpAddr) -> io::Result<StreamOf<Self>>;

    /// Listens as an active client.
    async fn listen(&self, at: IpAddr) -> (Self::Listener, u16);

    async fn accept(listener: &Self::Listener) -> StreamOf<Self>;

    /// A port of an active client that never answers.
    fn silent_port(&self, at: IpAddr) -> u16;

    /// Breaks a connection.
    fn reset(stream: StreamOf<Self>);

    /// Sends octets, the last one as urgent data where there is such a thing.
    async fn urgent(stream: &mut StreamOf<Self>, octets: &[u8]) -> io::Result<()>;

    fn server(&self) -> &Arc<Server<Self::Network>>;
}

/// The world in memory, where time is paused.
pub struct Memory {
    server: Arc<Server<MemoryNetwork>>,
    addresses: Addresses,
}

const CLIENT_PORT: u16 = 40_000;

impl World for Memory {
    type Network = MemoryNetwork;
    type Stream = MemoryStream;
    type Listener = MemoryListener;

    // Longer than whatever a transcript waits for: the clock jumps.
    const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);
    const NAME: &'static str = "memory";

    fn addresses(kind: &str) -> Addresses {
        let last = |n: u16| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n);
        let (server, client, stranger) =
            (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 7), [203, 0, 113, 9]);
        let four = Addresses {
            server: server.into(),
            client: client.into(),
            stranger: Ipv4Addr::from(stranger).into(),
            mapped: false,
        };
        match kind {
            "ipv4" | "localhost" => four,
            "v4-mapped" => Addresses { mapped: true, ..four },
            "ipv6" => Addresses {
                server: last(1).into(),
                client: last(7).into(),
                stranger: last(9).into(),
                mapped: false,
            },
            _ => panic!("no such addresses: {kind}"),
        }
    }

    fn occupied_port(_: IpAddr) -> (u16, Option<TcpListener>) {
        (50_000, None)
    }

    async fn start(addresses: Addresses, parts: Parts) -> Memory {
        let network = MemoryNetwork::new();
        network.set_name("localhost", vec![addresses.server]);
        network.set_name("elsewhere.example", vec![Ipv4Addr::new(203, 0, 113, 1).into()]);
        // What `occupied_port` promises.
        network.silence(SocketAddr::new(addresses.server, 50_000));
        Memory { server: Arc::new(Server::new(network, parts)), addresses }
    }

    async fn control(&self, from: IpAddr) -> MemoryStream {
        let (ours, theirs) = MemoryStream::pair();
        let (peer, local) = (self.seen(from), self.seen(self.addresses.server));
        let (peer, local) = (SocketAddr::new(peer, CLIENT_PORT), SocketAddr::new(local, 21));
        if let Err(mut refused) = self.server.serve(theirs, peer, local, LISTENER) {
            refused.stream.write_all(refused.reason.as_bytes()).await.unwrap();
        }
        ours
    }

    async fn data(&self, port: u16, from: IpAddr) -> io::Result<MemoryStream> {
        let to = SocketAddr::new(self.addresses.server, port);
        self.server.network().client_connect(to, SocketAddr::new(from, CLIENT_PORT))
    }

    async fn listen(&self, at: IpAddr) -> (MemoryListener, u16) {
        let listener = self.server.network().client_listen(SocketAddr::new(at, 0)).unwrap();
        let port = listener.port();
        (listener, port)
    }

    async fn accept(listener: &MemoryListener) -> MemoryStream {
        listener.accept().await.unwrap().0
    }

    fn silent_port(&self, at: IpAddr) -> u16 {
        self.server.network().silence(SocketAddr::new(at, 50_001));
        50_001
    }

    fn reset(stream: MemoryStream) {
        stream.reset();
    }

    async fn urgent(stream: &mut MemoryStream, octets: &[u8]) -> io::Result<()> {
        stream.write_all(octets).await
    }

    fn server(&self) -> &Arc<Server<MemoryNetwork>> {
        &self.server
    }
}

impl Memory {
    /// An address as the server's socket would tell it.
    fn seen(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(four) if self.addresses.mapped => four.to_ipv6_mapped().into(),
            other => other,
        }
    }
}

/// The world of loopback sockets. Its sessions rest as soon as the client takes a moment.
pub struct Tcp {
    server: Arc<Server<TcpNetwork>>,
    workers: Option<Arc<Workers>>,
    listening: Listening,
    addresses: Addresses,
}

impl Tcp {
    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.addresses.server, self.listening.address().port())
    }

    /// Starts it without a thread of its own for sessions: they take turns with the test.
    pub async fn on_this_thread(addresses: Addresses, parts: Parts) -> Tcp {
        Tcp::serve(addresses, Server::new(TcpNetwork, parts), None).await
    }

    /// The threads of its sessions.
    pub fn workers(&self) -> &Workers {
        self.workers.as_ref().unwrap()
    }

    /// Waits until so many sessions rest.
    pub async fn resting(&self, sessions: usize) {
        let waiting = async {
            while self.workers().resting() != sessions {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Tcp::PATIENCE, waiting).await.unwrap();
    }

    async fn serve(
        addresses: Addresses,
        server: Server<TcpNetwork>,
        workers: Option<Arc<Workers>>,
    ) -> Tcp {
        let at = if addresses.mapped { Ipv6Addr::UNSPECIFIED.into() } else { addresses.server };
        let listener = TcpListener::bind((at, 0)).await.unwrap();
        let server = Arc::new(server);
        let listening = server.listen(listener, LISTENER).unwrap();
        Tcp { server, workers, listening, addresses }
    }
}

impl World for Tcp {
    type Network = TcpNetwork;
    type Stream = TcpStream;
    type Listener = TcpListener;

    const PATIENCE: Duration = Duration::from_secs(30);
    const NAME: &'static str = "TCP";

    fn addresses(kind: &str) -> Addresses {
        // A network of loopback addresses that no other test uses: its ports are its own, so that
        // one that was closed stays closed, and thousands that wait for their end are in nobody's
        // way.
        let process = (std::process::id() % 254) as u8 + 1;
        let network = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let at = |last| IpAddr::from([127, process, network, last]);
        let four = Addresses { server: at(1), client: at(2), stranger: at(3), mapped: false };
        match kind {
            "ipv4" => four,
            "localhost" => {
                let one = Ipv4Addr::LOCALHOST.into();
                Addresses { server: one, client: one, ..four }
            }
            "v4-mapped" => Addresses { mapped: true, ..four },
            "ipv6" => {
                let six = Ipv6Addr::LOCALHOST.into();
                Addresses { server: six, client: six, ..four }
            }
            _ => panic!("no such addresses: {kind}"),
        }
    }

    fn occupied_port(server: IpAddr) -> (u16, Option<TcpListener>) {
        let listener = std::net::TcpListener::bind((server, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        (port, Some(TcpListener::from_std(listener).unwrap()))
    }

    async fn start(addresses: Addresses, parts: Parts) -> Tcp {
        let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
        let workers = Arc::new(workers.resting_after(Duration::from_millis(1)));
        let server = Server::new(TcpNetwork, parts).with_workers(Arc::clone(&workers));
        Tcp::serve(addresses, server, Some(workers)).await
    }

    async fn control(&self, from: IpAddr) -> TcpStream {
        let stream = connect(self.address(), from).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    async fn data(&self, port: u16, from: IpAddr) -> io::Result<TcpStream> {
        connect(SocketAddr::new(self.addresses.server, port), from).await
    }

    async fn listen(&self, at: IpAddr) -> (TcpListener, u16) {
        let listener = TcpListener::bind((at, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    async fn accept(listener: &TcpListener) -> TcpStream {
        listener.accept().await.unwrap().0
    }

    fn silent_port(&self, _: IpAddr) -> u16 {
        panic!("loopback always answers")
    }

    fn reset(stream: TcpStream) {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    async fn urgent(stream: &mut TcpStream, octets: &[u8]) -> io::Result<()> {
        stream.writable().await?;
        let sent = SockRef::from(&*stream).send_out_of_band(octets)?;
        assert_eq!(sent, octets.len());
        Ok(())
    }

    fn server(&self) -> &Arc<Server<TcpNetwork>> {
        &self.server
    }
}

/// Networks of loopback addresses that were given to tests.
static NETWORKS: AtomicU8 = AtomicU8::new(0);

async fn connect(to: SocketAddr, from: IpAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if from.is_ipv4() == to.is_ipv4() {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    socket.connect(to).await
}
