//! A client: plain enough to misbehave where a test wants it to.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, HandshakeKind, NamedGroup, RootCertStore, SupportedCipherSuite,
    SupportedProtocolVersion, version,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::world::{Pair, World};

pub type Tls = TlsStream<TcpStream>;

pub enum Wire {
    Clear(TcpStream),
    Tls(Box<Tls>),
}

pub struct Client {
    pub wire: Wire,
    pub config: Arc<ClientConfig>,
    pub name: &'static str,
    read: Vec<u8>,
    peer: SocketAddr,
}

/// What a client trusts and speaks.
pub fn config(
    world: &World,
    versions: &[&'static SupportedProtocolVersion],
    pair: Option<Pair>,
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots(world));
    match pair {
        None => builder.with_no_client_auth(),
        Some(pair) => builder.with_client_auth_cert(vec![pair.certificate], pair.key).unwrap(),
    }
}

/// What a client trusts, and the suites of TLS 1.3 that it speaks.
pub fn config_of(world: &World, suites: &[SupportedCipherSuite]) -> ClientConfig {
    let provider = CryptoProvider {
        cipher_suites: suites.to_vec(),
        ..rustls::crypto::aws_lc_rs::default_provider()
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&version::TLS13]).unwrap();
    builder.with_root_certificates(roots(world)).with_no_client_auth()
}

fn roots(world: &World) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(world.certificate.clone()).unwrap();
    roots
}

/// A client's memory of sessions that keeps the last ticket of TLS 1.3, to use it once.
#[derive(Debug, Default)]
pub struct OneTicket {
    ticket: Mutex<Option<Tls13ClientSessionValue>>,
    count: AtomicUsize,
}

impl OneTicket {
    /// How many tickets came since this was last asked.
    pub fn take_count(&self) -> usize {
        self.count.swap(0, Ordering::Relaxed)
    }
}

impl ClientSessionStore for OneTicket {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.count.fetch_add(1, Ordering::Relaxed);
        *self.ticket.lock().unwrap() = Some(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'_>) -> Option<Tls13ClientSessionValue> {
        self.ticket.lock().unwrap().take()
    }
}

impl Client {
    /// Connects, able to speak TLS 1.3 and 1.2; nothing is read.
    pub async fn connect(world: &World) -> Client {
        let config = config(world, &[&version::TLS13, &version::TLS12], None);
        Client::connect_with(world, config).await
    }

    pub async fn connect_with(world: &World, config: impl Into<Arc<ClientConfig>>) -> Client {
        let stream = TcpStream::connect(world.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            peer: stream.peer_addr().unwrap(),
            wire: Wire::Clear(stream),
            config: config.into(),
            name: "localhost",
            read: Vec::new(),
        }
    }

    /// Connected, under TLS by AUTH, logged in.
    pub async fn explicit(world: &World) -> Client {
        let mut client = Client::connect(world).await;
        client.reply().await;
        client.auth().await;
        client.login().await;
        client
    }

    /// The same, with PROT P.
    pub async fn private(world: &World) -> Client {
        let mut client = Client::explicit(world).await;
        client.prot("P").await;
        client
    }

    pub async fn reply(&mut self) -> String {
        let mut text = String::new();
        loop {
            let line = self.line().await.expect("a reply");
            text.push_str(&line);
            let is_last = line.as_bytes().get(3) == Some(&b' ')
                && line.as_bytes()[..3].iter().all(u8::is_ascii_digit);
            if is_last {
                return text;
            }
            text.push('\n');
        }
    }

    /// The next line; `None` at the end of the connection.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let line = line.strip_suffix(b"\r\n").expect("lines end with CRLF");
                return Some(String::from_utf8(line.to_vec()).unwrap());
            }
            let mut piece = [0; 4096];
            let length = match &mut self.wire {
                Wire::Clear(stream) => stream.read(&mut piece).await,
                Wire::Tls(stream) => stream.read(&mut piece).await,
            };
            match length {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.read.extend_from_slice(&piece[..length]),
            }
        }
    }

    pub async fn send(&mut self, octets: &[u8]) {
        match &mut self.wire {
            Wire::Clear(stream) => stream.write_all(octets).await.unwrap(),
            Wire::Tls(stream) => {
                stream.write_all(octets).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    }

    pub async fn command(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    /// Sends a command and expects a reply that begins so.
    pub async fn expect(&mut self, line: &str, begin: &str) -> String {
        let reply = self.command(line).await;
        assert!(reply.starts_with(begin), "{line}: {reply}");
        reply
    }

    pub async fn try_handshake(&mut self) -> io::Result<()> {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let placeholder = TcpStream::connect(unused.local_addr().unwrap()).await.unwrap();
        let Wire::Clear(stream) = std::mem::replace(&mut self.wire, Wire::Clear(placeholder))
        else {
            panic!("TLS twice")
        };
        self.wire = Wire::Tls(Box::new(connect_tls(&self.config, self.name, stream).await?));
        Ok(())
    }

    pub async fn handshake(&mut self) {
        self.try_handshake().await.unwrap();
    }

    pub async fn auth(&mut self) {
        self.expect("AUTH TLS", "234 ").await;
        self.handshake().await;
    }

    pub async fn login(&mut self) {
        self.expect("USER alice", "331 ").await;
        self.expect("PASS secret", "230 ").await;
        self.expect("TYPE I", "200 ").await;
    }

    pub async fn prot(&mut self, level: &str) {
        self.expect("PBSZ 0", "200 PBSZ=0").await;
        self.expect(&format!("PROT {level}"), "200 ").await;
    }

    /// The control connection's TLS.
    pub fn tls(&self) -> &rustls::ClientConnection {
        match &self.wire {
            Wire::Tls(stream) => stream.get_ref().1,
            Wire::Clear(_) => panic!("no TLS"),
        }
    }

    pub fn tls_mut(&mut self) -> &mut rustls::ClientConnection {
        match &mut self.wire {
            Wire::Tls(stream) => stream.get_mut().1,
            Wire::Clear(_) => panic!("no TLS"),
        }
    }

    /// Ends TLS on the control connection: close_notify both ways.
    pub async fn end_tls(&mut self, behind: &[u8]) {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let placeholder = TcpStream::connect(unused.local_addr().unwrap()).await.unwrap();
        let Wire::Tls(mut stream) = std::mem::replace(&mut self.wire, Wire::Clear(placeholder))
        else {
            panic!("no TLS")
        };
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0, "close_notify");
        stream.get_mut().1.send_close_notify();
        // In one write, so that the server reads beyond the end of TLS.
        let mut octets = Vec::new();
        stream.get_mut().1.write_tls(&mut octets).unwrap();
        octets.extend_from_slice(behind);
        let mut stream = stream.into_inner().0;
        stream.write_all(&octets).await.unwrap();
        self.wire = Wire::Clear(stream);
    }

    /// A data connection that no command has used yet.
    pub async fn passive(&mut self) -> TcpStream {
        let reply = self.expect("EPSV", "229 ").await;
        let port = reply.split('|').nth(3).unwrap().parse().unwrap();
        TcpStream::connect(SocketAddr::new(self.peer.ip(), port)).await.unwrap()
    }

    /// Shakes hands on a data connection.
    pub async fn data_tls(&self, stream: TcpStream) -> io::Result<Tls> {
        connect_tls(&self.config, self.name, stream).await
    }

    /// What `RETR`, `LIST` and their like send under PROT P; how the handshake went.
    pub async fn fetch(&mut self, line: &str) -> (Vec<u8>, HandshakeKind) {
        let stream = self.passive().await;
        self.expect(line, "150 ").await;
        let mut stream = self.data_tls(stream).await.unwrap();
        let mut content = Vec::new();
        // An end without close_notify would be an error.
        stream.read_to_end(&mut content).await.unwrap();
        stream.shutdown().await.unwrap();
        let kind = stream.get_ref().1.handshake_kind().unwrap();
        assert_eq!(self.reply().await, "226 Transfer complete.");
        (content, kind)
    }

    /// `STOR` and its like under PROT P.
    pub async fn store(&mut self, line: &str, content: &[u8]) -> HandshakeKind {
        let stream = self.passive().await;
        self.expect(line, "150 ").await;
        let mut stream = self.data_tls(stream).await.unwrap();
        stream.write_all(content).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
        let kind = stream.get_ref().1.handshake_kind().unwrap();
        assert_eq!(self.reply().await, "226 Transfer complete.");
        kind
    }

    /// What a command sends under PROT C.
    pub async fn fetch_clear(&mut self, line: &str) -> Vec<u8> {
        let mut stream = self.passive().await;
        self.expect(line, "150 ").await;
        let mut content = Vec::new();
        stream.read_to_end(&mut content).await.unwrap();
        assert_eq!(self.reply().await, "226 Transfer complete.");
        content
    }

    /// An upload under PROT C.
    pub async fn store_clear(&mut self, line: &str, content: &[u8]) {
        let mut stream = self.passive().await;
        self.expect(line, "150 ").await;
        stream.write_all(content).await.unwrap();
        drop(stream);
        assert_eq!(self.reply().await, "226 Transfer complete.");
    }
}

async fn connect_tls(
    config: &Arc<ClientConfig>,
    name: &'static str,
    stream: TcpStream,
) -> io::Result<Tls> {
    let name = ServerName::try_from(name).unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
}
