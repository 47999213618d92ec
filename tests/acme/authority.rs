//! An authority that speaks ACME (RFC 8555) over TLS: it keeps to nonces and signatures, really
//! looks whether challenges are answered, and signs what is asked for.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::challenge;
use crate::https::{self, Request, Response};
use crate::jose::{self, Signed};
use crate::support::PATIENCE;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// An authority, which issues until the test ends.
pub(crate) struct Authority {
    state: Arc<State>,
    directory: TempDir,
    address: SocketAddr,
}

struct State {
    books: Mutex<Books>,
    changed: Condvar,
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// What an authority writes down.
#[derive(Default)]
struct Books {
    /// Where the server answers challenges, once that is known.
    server: Option<SocketAddr>,
    /// Whether it takes no answer for right.
    is_distrustful: bool,
    /// Whether what it issues has less than a third of its time left.
    is_late: bool,
    nonces: BTreeSet<String>,
    nonces_made: usize,
    /// The keys.
    accounts: Vec<Value>,
    orders: Vec<Order>,
    issued: Vec<CertificateDer<'static>>,
}

struct Order {
    account: usize,
    names: Vec<String>,
    /// For each name: nothing yet, right, or wrong.
    proved: Vec<Option<bool>>,
    certificate: Option<String>,
}

impl Order {
    fn status(&self) -> &'static str {
        match () {
            () if self.certificate.is_some() => "valid",
            () if self.proved.contains(&Some(false)) => "invalid",
            () if self.proved.contains(&None) => "pending",
            () => "ready",
        }
    }
}

impl Authority {
    pub(crate) fn start() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority");
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("root.pem"), root.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        let config = own_tls(&issuer);
        let state = Arc::new(State {
            books: Mutex::default(),
            changed: Condvar::new(),
            issuer,
            root: root.der().clone(),
        });
        let answering = Arc::clone(&state);
        let address = https::serve(config, move |request| answering.answer(&request));
        Authority { state, directory, address }
    }

    /// The URL of its directory.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/directory", self.address.port())
    }

    /// The PEM file with its certificate.
    pub(crate) fn certificate_file(&self) -> PathBuf {
        self.directory.path().join("root.pem")
    }

    /// A directory for one of its customers, which outlives the customer's process.
    pub(crate) fn customer_directory(&self) -> PathBuf {
        self.directory.path().join("customer")
    }

    /// Its certificate.
    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.state.root.clone()
    }

    /// Tells where all names lead; it looks at no answer before it knows.
    pub(crate) fn find_names_at(&self, server: Option<SocketAddr>) {
        self.state.books().server = server;
        self.state.changed.notify_all();
    }

    /// Whether it is to take every answer for wrong.
    pub(crate) fn distrust(&self, everybody: bool) {
        self.state.books().is_distrustful = everybody;
    }

    /// Whether it is to issue certificates that have little time left.
    pub(crate) fn be_late(&self, late: bool) {
        self.state.books().is_late = late;
    }

    /// All certificates, in the order in which they were issued.
    pub(crate) fn issued(&self) -> Vec<CertificateDer<'static>> {
        self.state.books().issued.clone()
    }

    /// Loses its books about accounts.
    pub(crate) fn forget_accounts(&self) {
        self.state.books().accounts.clear();
    }

    pub(crate) fn accounts(&self) -> usize {
        self.state.books().accounts.len()
    }
}

/// The TLS of its own server.
fn own_tls(issuer: &Issuer<'static, KeyPair>) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap()
}

impl State {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    fn answer(&self, request: &Request) -> Response {
        let url = |path: &str| format!("{}{path}", base(request));
        let mut response = match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/directory") => respond(
                200,
                json!({ "newNonce": url("/nonce"), "newAccount": url("/account"),
                        "newOrder": url("/order") }),
            ),
            ("HEAD", "/nonce") => respond(200, Value::Null),
            ("POST", path) => self.signed(path, request),
            _ => refuse(404, "malformed"),
        };
        let mut books = self.books();
        books.nonces_made += 1;
        let nonce = format!("nonce{}", books.nonces_made);
        books.nonces.insert(nonce.clone());
        response.headers.push(("Replay-Nonce", nonce));
        response
    }

    fn signed(&self, path: &str, request: &Request) -> Response {
        let signed = Signed::parse(&request.body);
        let base = base(request);
        if !self.books().nonces.remove(signed.header["nonce"].as_str().unwrap()) {
            return refuse(400, "badNonce");
        }
        if signed.header["url"] != format!("{base}{path}") {
            return refuse(401, "unauthorized");
        }
        if path == "/account" {
            return self.new_account(&base, &signed);
        }
        let account = signed.header["kid"].as_str().and_then(|kid| number(kid, "/account/"));
        let key = account.and_then(|account| self.books().accounts.get(account).cloned());
        let (Some(account), Some(key)) = (account, key) else {
            return refuse(400, "accountDoesNotExist");
        };
        if !signed.is_signed_by(&key) {
            return refuse(401, "unauthorized");
        }
        if path == "/order" {
            return self.new_order(&base, account, &signed);
        }
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let numbers: Vec<usize> = parts.iter().filter_map(|part| part.parse().ok()).collect();
        if self.books().orders.get(numbers[0]).is_none_or(|order| order.account != account) {
            return refuse(403, "unauthorized");
        }
        match (parts[0], &numbers[..]) {
            ("order", &[order]) => self.order(&base, order, 200),
            ("authorization", &[order, name]) => self.authorization(&base, order, name),
            ("challenge", &[order, name]) => {
                self.look(order, name, parts[3], &key);
                // It has not looked yet, as far as it tells.
                let url = format!("{base}{path}");
                let token = token(order, name);
                respond(
                    200,
                    json!({ "type": parts[3], "url": url, "token": token, "status": "processing" }),
                )
            }
            ("finalize", &[order]) => {
                self.issue(order, &signed.payload);
                self.order(&base, order, 200)
            }
            ("certificate", &[order]) => {
                let body = self.books().orders[order].certificate.clone().unwrap();
                Response { status: 200, headers: Vec::new(), body }
            }
            _ => refuse(404, "malformed"),
        }
    }

    fn new_account(&self, base: &str, signed: &Signed) -> Response {
        let key = &signed.header["jwk"];
        if !signed.is_signed_by(key) {
            return refuse(401, "unauthorized");
        }
        if signed.payload["termsOfServiceAgreed"] != true
            || signed.payload["contact"] != json!(["mailto:admin@example.org"])
        {
            return refuse(403, "userActionRequired");
        }
        let mut books = self.books();
        books.accounts.push(key.clone());
        let location = format!("{base}/account/{}", books.accounts.len() - 1);
        let mut response = respond(201, json!({ "status": "valid" }));
        response.headers.push(("Location", location));
        response
    }

    fn new_order(&self, base: &str, account: usize, signed: &Signed) -> Response {
        let names = signed.payload["identifiers"].as_array().unwrap().iter();
        let names: Vec<String> =
            names.map(|name| name["value"].as_str().unwrap().to_owned()).collect();
        let number = {
            let mut books = self.books();
            let proved = vec![None; names.len()];
            books.orders.push(Order { account, names, proved, certificate: None });
            books.orders.len() - 1
        };
        let mut response = self.order(base, number, 201);
        response.headers.push(("Location", format!("{base}/order/{number}")));
        response
    }

    fn order(&self, base: &str, number: usize, status: u16) -> Response {
        let books = self.books();
        let order = &books.orders[number];
        let identifiers = order.names.iter().map(|name| json!({ "type": "dns", "value": name }));
        let authorizations =
            (0..order.names.len()).map(|name| format!("{base}/authorization/{number}/{name}"));
        let mut told = json!({
            "status": order.status(),
            "identifiers": identifiers.collect::<Vec<_>>(),
            "authorizations": authorizations.collect::<Vec<_>>(),
            "finalize": format!("{base}/finalize/{number}"),
        });
        if order.certificate.is_some() {
            told["certificate"] = json!(format!("{base}/certificate/{number}"));
        }
        respond(status, told)
    }

    fn authorization(&self, base: &str, order: usize, name: usize) -> Response {
        let challenges =
            ["http-01", "tls-alpn-01"].map(|kind| self.challenge(base, order, name, kind));
        let books = self.books();
        let order = &books.orders[order];
        respond(
            200,
            json!({ "identifier": { "type": "dns", "value": order.names[name] },
                    "status": status(order.proved[name]), "challenges": challenges }),
        )
    }

    fn challenge(&self, base: &str, order: usize, name: usize, kind: &str) -> Value {
        let proved = self.books().orders[order].proved[name];
        let mut told = json!({
            "type": kind,
            "url": format!("{base}/challenge/{order}/{name}/{kind}"),
            "token": token(order, name),
            "status": status(proved),
        });
        if proved == Some(false) {
            told["error"] = problem("unauthorized", "wrong answer");
        }
        told
    }

    /// Looks whether the server answers.
    fn look(&self, order: usize, name: usize, kind: &str, key: &Value) {
        let books = self.books();
        let (books, waited) =
            self.changed.wait_timeout_while(books, PATIENCE, |b| b.server.is_none()).unwrap();
        assert!(!waited.timed_out(), "nobody says where the server is");
        let (server, host) = (books.server.unwrap(), books.orders[order].names[name].clone());
        let is_distrustful = books.is_distrustful;
        drop(books);
        let token = token(order, name);
        let expected = jose::key_authorization(&token, key);
        let proved = match kind {
            "http-01" => challenge::http(server, &host, &token, &expected),
            _ => challenge::tls(server, &host, &expected),
        };
        self.books().orders[order].proved[name] = Some(proved && !is_distrustful);
    }

    fn issue(&self, order: usize, payload: &Value) {
        let request = jose::decode(payload["csr"].as_str().unwrap());
        let mut request = CertificateSigningRequestParams::from_der(&request.into()).unwrap();
        let mut books = self.books();
        assert_eq!(books.orders[order].status(), "ready");
        let wanted = request.params.subject_alt_names.iter().map(|name| match name {
            SanType::DnsName(name) => name.as_str().to_owned(),
            other => panic!("{other:?}"),
        });
        assert_eq!(wanted.collect::<Vec<_>>(), books.orders[order].names);
        let now = SystemTime::now();
        let left = if books.is_late { HOUR / 2 } else { HOUR * 24 * 90 };
        request.params.not_before = (now - HOUR * 2).into();
        request.params.not_after = (now + left).into();
        let certificate = request.signed_by(&self.issuer).unwrap();
        books.orders[order].certificate = Some(certificate.pem());
        books.issued.push(certificate.der().clone());
    }
}

/// Its own address, as the client knows it.
fn base(request: &Request) -> String {
    format!("https://{}", request.host)
}

fn status(proved: Option<bool>) -> &'static str {
    match proved {
        None => "pending",
        Some(true) => "valid",
        Some(false) => "invalid",
    }
}

fn token(order: usize, name: usize) -> String {
    format!("token-{order}-{name}")
}

fn number(url: &str, before: &str) -> Option<usize> {
    url.split_once(before)?.1.parse().ok()
}

fn respond(status: u16, body: Value) -> Response {
    Response { status, headers: Vec::new(), body: body.to_string() }
}

fn refuse(status: u16, kind: &str) -> Response {
    respond(status, problem(kind, "the test's authority refuses"))
}

fn problem(kind: &str, detail: &str) -> Value {
    json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail })
}
