//! What a download and an upload cost over a real connection within this machine: the server runs
//! in this process, and the client moves octets and does nothing with them.
//!
//! `cargo xtask bench micro` runs this with the others and makes a table of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "benchmarks fail by panicking"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};
use tokio::runtime::Runtime;
use waft_core::account::Permissions;
use waft_core::auth::{Authenticator, AuthenticatorError, Credentials, LoginGuard, Verdict};
use waft_core::event::NoEvents;
use waft_core::hooks::NoHooks;
use waft_core::{Account, BoxFuture, SessionFacts, VirtualPath};
use waft_server::net::tcp::TcpNetwork;
use waft_server::settings::{Passive, Settings};
use waft_server::{Listening, Parts, Server, Workers};
use waft_storage_fs::{LocalStorage, Options};

/// Lengths of files: one that is moved in the session's task, and one that has a thread of its own.
const LENGTHS: [(&str, usize); 2] = [("4 KiB", 4 << 10), ("64 MiB", 64 << 20)];

/// Passive ports, beyond those that Linux gives to clients. If the system chose them, it would look
/// for a free one among the thousands that the benchmark has just closed: 4 ms for each.
const PORTS: RangeInclusive<u16> = 61000..=61999;

/// Octets that the client moves at a time.
const PIECE: usize = 256 << 10;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let directory = tempfile::tempdir().unwrap();
    for (name, length) in LENGTHS {
        std::fs::write(directory.path().join(name), vec![b'x'; length]).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (address, _listening) = serve(&runtime, directory.path());
    let mut client = Client::log_in(address);
    let mut buffer = vec![b'x'; PIECE];
    let mut group = criterion.benchmark_group("pump");
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    for (name, length) in LENGTHS {
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("RETR {name}"), |bencher| {
            bencher.iter(|| client.download(name, length, &mut buffer));
        });
        group.bench_function(format!("STOR {name}"), |bencher| {
            bencher.iter(|| client.upload("up", length, &buffer));
        });
    }
    group.finish();
    criterion.final_summary();
}

/// A server with one account, in which everything is as it is by default.
fn serve(runtime: &Runtime, files: &Path) -> (SocketAddr, Listening) {
    let account = Account {
        name: "bench".into(),
        permissions: Permissions::ALL,
        storage: Arc::new(LocalStorage::open(files, Options::default()).unwrap()),
        home: VirtualPath::root(),
        anonymous: false,
        sessions_max: None,
        resumption: None,
        attributes: Arc::default(),
    };
    let passive = Passive { ports: PORTS, ..Passive::default() };
    let parts = Parts {
        settings: Settings { passive, ..Settings::default() },
        authenticator: Arc::new(Anybody(Arc::new(account))),
        guard: Arc::new(Trustful),
        hooks: Arc::new(NoHooks),
        events: Arc::new(NoEvents),
    };
    let workers = Workers::start(NonZeroUsize::MIN).unwrap();
    let server = Server::new(TcpNetwork, parts).with_workers(workers);
    let _guard = runtime.enter();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let listening = Arc::new(server).listen(listener, "bench").unwrap();
    (listening.address(), listening)
}

/// Lets anybody in.
struct Anybody(Arc<Account>);

impl Authenticator for Anybody {
    fn authenticate<'a>(
        &'a self,
        _: &'a SessionFacts,
        _: &'a Credentials,
    ) -> BoxFuture<'a, Result<Verdict, AuthenticatorError>> {
        Box::pin(std::future::ready(Ok(Verdict::Accept(Arc::clone(&self.0)))))
    }
}

/// Suspects nobody.
struct Trustful;

impl LoginGuard for Trustful {
    fn is_locked_out(&self, _: IpAddr, _: Option<&str>) -> bool {
        false
    }

    fn note_failure(&self, _: IpAddr, _: &str) -> Duration {
        Duration::ZERO
    }

    fn note_success(&self, _: IpAddr, _: &str) {}
}

/// One session.
struct Client {
    control: BufReader<TcpStream>,
    address: SocketAddr,
    line: String,
}

impl Client {
    fn log_in(address: SocketAddr) -> Client {
        let control = TcpStream::connect(address).unwrap();
        control.set_nodelay(true).unwrap();
        let mut client = Client { control: BufReader::new(control), address, line: String::new() };
        client.expect(220);
        for (command, code) in [("USER bench", 331), ("PASS bench", 230), ("TYPE I", 200)] {
            client.ask(command, code);
        }
        client
    }

    fn download(&mut self, name: &str, length: usize, buffer: &mut [u8]) {
        let mut data = self.data();
        self.ask(&format!("RETR {name}"), 150);
        let mut left = length;
        while let read @ 1.. = data.read(buffer).unwrap() {
            left -= read;
        }
        assert_eq!(left, 0);
        self.expect(226);
    }

    fn upload(&mut self, name: &str, length: usize, buffer: &[u8]) {
        let mut data = self.data();
        self.ask(&format!("STOR {name}"), 150);
        let mut left = length;
        while left > 0 {
            let piece = left.min(buffer.len());
            data.write_all(&buffer[..piece]).unwrap();
            left -= piece;
        }
        data.shutdown(Shutdown::Write).unwrap();
        self.expect(226);
    }

    fn data(&mut self) -> TcpStream {
        self.ask("EPSV", 229);
        let port = self.line.rsplit('|').nth(1).unwrap().parse().unwrap();
        TcpStream::connect((self.address.ip(), port)).unwrap()
    }

    fn ask(&mut self, command: &str, code: u16) {
        let command = format!("{command}\r\n");
        self.control.get_mut().write_all(command.as_bytes()).unwrap();
        self.expect(code);
    }

    /// Reads one reply, of whatever number of lines.
    fn expect(&mut self, code: u16) {
        loop {
            self.line.clear();
            self.control.read_line(&mut self.line).unwrap();
            if self.line.as_bytes().get(3) == Some(&b' ') {
                break;
            }
        }
        assert!(self.line.starts_with(&code.to_string()), "{}", self.line);
    }
}
