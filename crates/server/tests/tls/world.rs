//! A server with TLS, for one test.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::net::TcpListener;
use waft_core::account::Permissions;
use waft_core::auth::{Authenticator, AuthenticatorError, Credentials, LoginGuard, Verdict};
use waft_core::event::NoEvents;
use waft_core::hooks::{HookSource, NoHooks};
use waft_core::{Account, BoxFuture, SessionFacts, VirtualPath};
use waft_server::net::tcp::TcpNetwork;
use waft_server::settings::{Passive, Settings};
use waft_server::tls::{Identity, Mode, Tls, TlsSettings};
use waft_server::{Counts, Listener, Listening, Parts, Server, Workers};
use waft_storage_fs::{LocalStorage, Options};

pub struct World {
    pub server: Arc<Server<TcpNetwork>>,
    pub tls: Arc<Tls>,
    pub root: TempDir,
    pub certificate: CertificateDer<'static>,
    listening: Listening,
}

/// A certificate and its key.
pub struct Pair {
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
}

/// Threads for sessions, which rest as soon as the client takes a moment.
fn workers() -> Workers {
    let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
    workers.resting_after(Duration::from_millis(1))
}

impl World {
    pub async fn new(mode: Mode) -> World {
        World::with(mode, |_| {}, |_| {}).await
    }

    pub async fn tls(mode: Mode, change: impl FnOnce(&mut TlsSettings)) -> World {
        World::with(mode, change, |_| {}).await
    }

    pub async fn with(
        mode: Mode,
        change_tls: impl FnOnce(&mut TlsSettings),
        change: impl FnOnce(&mut Settings),
    ) -> World {
        World::hooked(mode, change_tls, change, Arc::new(NoHooks)).await
    }

    pub async fn hooked(
        mode: Mode,
        change_tls: impl FnOnce(&mut TlsSettings),
        change: impl FnOnce(&mut Settings),
        hooks: Arc<dyn HookSource>,
    ) -> World {
        let workers = |server: Server<TcpNetwork>| server.with_workers(workers());
        World::start(mode, change_tls, change, hooks, workers).await
    }

    /// The same without threads of their own for sessions: they share the test's, and its clock.
    pub async fn on_this_thread(mode: Mode) -> World {
        World::start(mode, |_| {}, |_| {}, Arc::new(NoHooks), |server| server).await
    }

    async fn start(
        mode: Mode,
        change_tls: impl FnOnce(&mut TlsSettings),
        change: impl FnOnce(&mut Settings),
        hooks: Arc<dyn HookSource>,
        place: impl FnOnce(Server<TcpNetwork>) -> Server<TcpNetwork>,
    ) -> World {
        let pair = self_signed(&["localhost"]);
        let certificate = pair.certificate.clone();
        let mut tls = TlsSettings::new(mode, pair.identity());
        change_tls(&mut tls);
        let tls = Arc::new(Tls::new(tls).unwrap());
        let root = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            name: "localhost".into(),
            passive: Passive { ports: 0..=0, ..Passive::default() },
            ..Settings::default()
        };
        settings.timeouts.tls_handshake = Duration::from_secs(5);
        change(&mut settings);
        let parts = Parts {
            settings,
            authenticator: Arc::new(Alice(account(root.path()))),
            guard: Arc::new(NoGuard),
            hooks,
            events: Arc::new(NoEvents),
        };
        let server = Arc::new(place(Server::new(TcpNetwork, parts)));
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = Listener { name: "test".into(), tls: Some(Arc::clone(&tls)) };
        let listening = server.listen(socket, listener).unwrap();
        World { server, tls, root, certificate, listening }
    }

    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Waits until the last session has ended.
    pub async fn deserted(&self) {
        let waiting = async {
            while self.server.sessions() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
    }

    pub fn counts(&self) -> Counts {
        self.server.counts()
    }

    /// Puts a file there.
    pub fn server_has(&self, name: &str, content: &[u8]) {
        std::fs::write(self.root.path().join(name), content).unwrap();
    }

    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.root.path().join(name)).ok()
    }
}

impl Pair {
    pub fn identity(self) -> Identity {
        Identity::from_der(vec![self.certificate], self.key).unwrap()
    }
}

pub fn self_signed(names: &[&str]) -> Pair {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    Pair { certificate: made.cert.into(), key: private(&made.signing_key) }
}

/// An authority, and certificates that it gave clients of those names.
pub fn clients(names: &[&str]) -> (CertificateDer<'static>, Vec<Pair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let pairs = names.iter().map(|name| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, *name);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Pair { certificate: certificate.into(), key: private(&key) }
    });
    (authority.into(), pairs.collect())
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

fn account(root: &Path) -> Arc<Account> {
    Arc::new(Account {
        name: "alice".into(),
        permissions: Permissions::ALL,
        storage: Arc::new(LocalStorage::open(root, Options::default()).unwrap()),
        home: VirtualPath::root(),
        anonymous: false,
        sessions_max: None,
        resumption: None,
        attributes: Arc::default(),
    })
}

/// Everybody may be alice who knows her password or has a certificate in her name.
struct Alice(Arc<Account>);

impl Authenticator for Alice {
    fn authenticate<'a>(
        &'a self,
        _: &'a SessionFacts,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Verdict, AuthenticatorError>> {
        let verdict = match credentials {
            Credentials::Password { user, password } if user == "alice" => {
                match password.expose() == b"secret" {
                    true => Verdict::Accept(Arc::clone(&self.0)),
                    false => Verdict::Deny { reason: "wrong password" },
                }
            }
            Credentials::Password { .. } => Verdict::Abstain,
            Credentials::Certificate { names, .. } if names.iter().any(|n| n == "nobody") => {
                Verdict::Abstain
            }
            Credentials::Certificate { user, names, sha256 } => {
                assert_eq!(sha256.len(), 64);
                match user == "alice" && names.contains(user) {
                    true => Verdict::Accept(Arc::clone(&self.0)),
                    false => Verdict::Deny { reason: "another's certificate" },
                }
            }
        };
        Box::pin(std::future::ready(Ok(verdict)))
    }
}

struct NoGuard;

impl LoginGuard for NoGuard {
    fn is_locked_out(&self, _: IpAddr, _: Option<&str>) -> bool {
        false
    }

    fn note_failure(&self, _: IpAddr, _: &str) -> Duration {
        Duration::ZERO
    }

    fn note_success(&self, _: IpAddr, _: &str) {}
}
