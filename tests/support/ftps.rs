//! A client over TLS, with rustls.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};

use super::ftp::connect;
use super::tls::{Mode, Secured, Version};

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A data connection, which is closed when it is dropped.
pub(crate) trait Data: Read + Write {}

impl<T: Read + Write> Data for T {}

/// A control connection.
pub(crate) struct Ftps {
    stream: BufReader<Tls>,
    config: Arc<ClientConfig>,
    is_private: bool,
}

impl Ftps {
    /// Connects, and begins TLS.
    pub(crate) fn connect(server: &Secured, mode: Mode, version: Version) -> Ftps {
        let mut tcp = connect(server.address_of(mode));
        if mode == Mode::Explicit {
            expect_in_clear(&mut tcp, "220 ");
            tcp.write_all(b"AUTH TLS\r\n").unwrap();
            expect_in_clear(&mut tcp, "234 ");
        }
        let config = Arc::new(config(server, version));
        let stream = BufReader::new(begin_tls(&config, tcp));
        let mut ftps = Ftps { stream, config, is_private: mode == Mode::Implicit };
        if mode == Mode::Implicit {
            ftps.reply("220 ");
        }
        ftps
    }

    /// Logs in, and asks for TYPE I.
    pub(crate) fn log_in(&mut self, user: &str, password: &str) {
        self.command(&format!("USER {user}"), "331 ");
        self.command(&format!("PASS {password}"), "230 ");
        self.command("TYPE I", "200 ");
    }

    /// PBSZ and PROT.
    pub(crate) fn protect_data(&mut self, is_private: bool) {
        self.command("PBSZ 0", "200 ");
        self.command(if is_private { "PROT P" } else { "PROT C" }, "200 ");
        self.is_private = is_private;
    }

    /// Uploads to the end of `from`.
    pub(crate) fn put(&mut self, command: &str, from: &mut impl BufRead) {
        let tcp = self.begin(command);
        if self.is_private {
            let mut data = begin_tls(&self.config, tcp);
            copy(from, &mut data);
            data.conn.send_close_notify();
            data.flush().unwrap();
            assert_eq!(io::copy(&mut data, &mut io::sink()).unwrap(), 0);
        } else {
            let mut data = tcp;
            copy(from, &mut data);
            data.shutdown(Shutdown::Write).unwrap();
        }
        self.reply("226 ");
    }

    /// Begins a transfer for a client that goes on with it as it likes.
    pub(crate) fn open(&mut self, command: &str) -> Box<dyn Data> {
        let tcp = self.begin(command);
        match self.is_private {
            true => Box::new(begin_tls(&self.config, tcp)),
            false => Box::new(tcp),
        }
    }

    /// Downloads, or lists; what ends without close_notify fails.
    pub(crate) fn get(&mut self, command: &str, to: &mut impl Write) {
        let tcp = self.begin(command);
        let mut data: Box<dyn Read> = match self.is_private {
            true => Box::new(begin_tls(&self.config, tcp)),
            false => Box::new(tcp),
        };
        copy(&mut BufReader::with_capacity(1 << 18, &mut data), to);
        drop(data);
        self.reply("226 ");
    }

    /// Ends the session.
    pub(crate) fn quit(mut self) {
        self.command("QUIT", "221 ");
        assert_eq!(self.stream.read(&mut [0]).unwrap(), 0);
    }

    fn begin(&mut self, command: &str) -> TcpStream {
        let reply = self.command("EPSV", "229 ");
        let port = reply.split('|').nth(3).unwrap().parse().unwrap();
        let server = self.stream.get_ref().sock.peer_addr().unwrap().ip();
        let tcp = connect(SocketAddr::new(server, port));
        self.command(command, "150 ");
        tcp
    }

    #[track_caller]
    pub(crate) fn command(&mut self, line: &str, begin: &str) -> String {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.reply(begin)
    }

    /// A reply of one line, which begins so.
    #[track_caller]
    pub(crate) fn reply(&mut self, begin: &str) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(line.starts_with(begin) && line.ends_with("\r\n"), "{begin}: {line:?}");
        line
    }
}

fn copy(from: &mut impl BufRead, to: &mut impl Write) {
    loop {
        let length = match from.fill_buf().unwrap() {
            [] => return,
            octets => {
                to.write_all(octets).unwrap();
                octets.len()
            }
        };
        from.consume(length);
    }
}

fn expect_in_clear(tcp: &mut TcpStream, begin: &str) {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut octet = [0];
        tcp.read_exact(&mut octet).unwrap();
        line.extend_from_slice(&octet);
    }
    assert!(line.starts_with(begin.as_bytes()), "{}", line.escape_ascii());
}

fn begin_tls(config: &Arc<ClientConfig>, tcp: TcpStream) -> Tls {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), tcp)
}

fn config(server: &Secured, version: Version) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(server.path("cert.pem")).unwrap();
    roots.add(certificate).unwrap();
    let version = match version {
        Version::Tls12 => &version::TLS12,
        Version::Tls13 => &version::TLS13,
    };
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
