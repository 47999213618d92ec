//! Certificates by ACME: from an authority that issues, one that refuses and one that is not there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "acme/authority.rs"]
mod authority;
#[path = "acme/challenge.rs"]
mod challenge;
#[path = "acme/https.rs"]
mod https;
#[path = "acme/jose.rs"]
mod jose;
mod support;

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use authority::Authority;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::ftp::connect;
use support::log::{Line, Mark};
use support::site::{PASSWORD, Site, USER};
use support::waft::Waft;

const NAME: &str = "ftp.example.org";

/// What an operator writes.
fn section(authority: &Authority, challenge: &str, names: &str) -> String {
    let (url, root) = (authority.url(), authority.certificate_file());
    let directory = authority.customer_directory();
    format!(
        "[tls.acme]\nnames = [{names}]\nterms_of_service_agreed = true\n\
         contact = [\"admin@example.org\"]\nauthority = \"{url}\"\n\
         authority_certificate = {root:?}\nchallenge = \"{challenge}\"\n\
         address = \"127.0.0.1:0\"\ndirectory = {directory:?}\n"
    )
}

fn start(authority: &Authority, challenge: &str) -> Waft {
    Site::new(&section(authority, challenge, &format!("\"{NAME}\""))).serve()
}

/// Waits until the server answers challenges, and tells the authority where.
fn lead_to(waft: &Waft, authority: &Authority) {
    let line = waft.log.wait("challenges", |line| line.message() == "challenges are answered");
    authority.find_names_at(Some(line.field("address").parse().unwrap()));
}

fn is_obtained(line: &Line) -> bool {
    line.message() == "certificate obtained"
}

fn is_failed(line: &Line) -> bool {
    line.message() == "no certificate obtained: what is in use stays in use"
}

/// Waits until a certificate has come and is in use.
fn wait_for_renewal(waft: &Waft, mark: Mark) {
    let has_come = Cell::new(false);
    waft.log.wait_since(mark, "certificate in use", |line| {
        has_come.set(has_come.get() || is_obtained(line));
        has_come.get() && line.message() == "configuration reloaded"
    });
}

/// Logs in under TLS as a client that trusts the authority; the certificate of the server, if it
/// is verified.
fn log_in(waft: &Waft, authority: &Authority) -> io::Result<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut clear = BufReader::new(connect(waft.address()));
    expect(&mut clear, "220")?;
    clear.get_mut().write_all(b"AUTH TLS\r\n")?;
    expect(&mut clear, "234")?;
    let name = ServerName::try_from(NAME).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut secured = BufReader::new(StreamOwned::new(connection, clear.into_inner()));
    for (command, code) in [("USER", "331"), ("PASS", "230")] {
        let argument = if command == "USER" { USER } else { PASSWORD };
        secured.get_mut().write_all(format!("{command} {argument}\r\n").as_bytes())?;
        expect(&mut secured, code)?;
    }
    let chain = secured.get_ref().conn.peer_certificates().unwrap();
    Ok(chain[0].clone().into_owned())
}

fn expect(stream: &mut impl BufRead, code: &str) -> io::Result<()> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    assert!(line.starts_with(&format!("{code} ")), "{code}: {line:?}");
    Ok(())
}

/// Passwords must not come in clear text, whatever certificate there is.
fn refuse_clear_text(waft: &Waft) {
    waft.connect().expect(&format!("USER {USER}"), 530);
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The only entry of a directory.
fn only(directory: &Path) -> std::path::PathBuf {
    let mut entries = std::fs::read_dir(directory).unwrap();
    let entry = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    entry
}

fn a_certificate_is_obtained_by(challenge: &str) {
    let authority = Authority::start();
    let waft = start(&authority, challenge);
    refuse_clear_text(&waft);
    log_in(&waft, &authority).unwrap_err();
    let mark = waft.log.mark();
    lead_to(&waft, &authority);
    wait_for_renewal(&waft, mark);
    assert_eq!([log_in(&waft, &authority).unwrap()], authority.issued()[..]);
    refuse_clear_text(&waft);

    let directory = only(&authority.customer_directory());
    assert_eq!(mode(&directory), 0o700);
    for file in ["account.json", "certificate.pem"] {
        assert_eq!(mode(&directory.join(file)), 0o600);
    }
}

#[test]
fn a_certificate_is_obtained_by_http_and_used_at_once() {
    a_certificate_is_obtained_by("http-01");
}

#[test]
fn a_certificate_is_obtained_by_tls_and_used_at_once() {
    a_certificate_is_obtained_by("tls-alpn-01");
}

#[test]
fn a_certificate_is_kept_until_another_one_comes_which_an_authority_may_refuse() {
    let authority = Authority::start();
    authority.be_late(true);
    let waft = start(&authority, "http-01");
    lead_to(&waft, &authority);
    waft.log.wait("certificate", is_obtained);
    drop(waft);
    let first = authority.issued()[0].clone();

    // It is due at once.
    authority.find_names_at(None);
    authority.be_late(false);
    authority.distrust(true);
    let waft = start(&authority, "http-01");
    assert_eq!(log_in(&waft, &authority).unwrap(), first);
    lead_to(&waft, &authority);
    let failed = waft.log.wait("failure", is_failed);
    assert_eq!(
        failed.field("error"),
        "the authority does not see that this is ftp.example.org: wrong answer (unauthorized)"
    );
    assert_eq!(
        failed.field("remedy"),
        "let port 80 of ftp.example.org lead to address in [tls.acme], from everywhere: the \
         authority connects to it for http-01"
    );
    assert_eq!(failed.value("retry_in_seconds"), 60);
    assert_eq!(log_in(&waft, &authority).unwrap(), first);
    assert_eq!(authority.accounts(), 1);
    drop(waft);

    authority.find_names_at(None);
    authority.distrust(false);
    authority.forget_accounts();
    let waft = start(&authority, "http-01");
    assert_eq!(log_in(&waft, &authority).unwrap(), first);
    let mark = waft.log.mark();
    lead_to(&waft, &authority);
    wait_for_renewal(&waft, mark);
    assert_eq!(log_in(&waft, &authority).unwrap(), authority.issued()[1]);
    assert_eq!((authority.issued().len(), authority.accounts()), (2, 1));
}

#[test]
fn other_names_need_another_certificate_and_the_same_ones_none() {
    let authority = Authority::start();
    let waft = start(&authority, "tls-alpn-01");
    let mark = waft.log.mark();
    lead_to(&waft, &authority);
    wait_for_renewal(&waft, mark);

    let mark = waft.log.mark();
    let names = format!("\"www.example.org\", \"{NAME}\"");
    let text = support::site::configuration(&section(&authority, "tls-alpn-01", &names));
    waft.write("waft.toml", &text);
    // It answers where it did before.
    wait_for_renewal(&waft, mark);
    let obtained = waft.log.wait_since(mark, "certificate", is_obtained);
    assert_eq!(obtained.field("names"), "www.example.org, ftp.example.org");
    assert_eq!(obtained.value("days"), 90);
    assert_eq!(log_in(&waft, &authority).unwrap(), authority.issued()[1]);
    drop(waft);

    let site = Site::new("");
    site.write("waft.toml", &text);
    let waft = site.serve();
    assert_eq!(log_in(&waft, &authority).unwrap(), authority.issued()[1]);
    assert_eq!(authority.issued().len(), 2);
}

#[test]
fn the_server_serves_although_there_is_no_authority_and_nobody_speaks_in_clear_text() {
    let authority = Authority::start();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("https://localhost:{}/directory", nobody.port());
    let text = section(&authority, "http-01", &format!("\"{NAME}\""));
    let waft = Site::new(&text.replace(&authority.url(), &url)).serve();
    let failed = waft.log.wait("failure", is_failed);
    assert_eq!(failed.field("remedy"), format!("let the server reach {url}"));
    assert!(failed.field("error").contains("Connection refused"), "{}", failed.text);
    refuse_clear_text(&waft);
    waft.connect().expect("AUTH TLS", 234);
    log_in(&waft, &authority).unwrap_err();
}

#[test]
fn check_asks_nobody() {
    let authority = TcpListener::bind("127.0.0.1:0").unwrap();
    authority.set_nonblocking(true).unwrap();
    let site = Site::new(&format!(
        "[tls.acme]\nnames = [\"{NAME}\"]\nterms_of_service_agreed = true\n\
         authority = \"https://localhost:{}/directory\"\naddress = \"127.0.0.1:0\"\n\
         directory = \"acme\"\n",
        authority.local_addr().unwrap().port()
    ));
    let checked = site.waft(&["check", "--config", "waft.toml"], "").succeeded();
    assert!(checked.stderr().contains("configuration is valid: 1 listener, 1 account"));
    assert_eq!(authority.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(!site.path("acme").exists());
}
