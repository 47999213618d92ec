//! Certificates made and checked, and listeners that get TLS and lose it. Clients and what an operator
//! decides are in `tests/ftps.rs` and `tests/tls_operator.rs` of the workspace.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use waft::Running;
use waft_config::Config;

fn waft(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_waft")).args(arguments).output().unwrap()
}

/// A directory with a certificate, its key, a configuration and files to serve.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Site {
        let site = Site(tempfile::tempdir().unwrap());
        fs::create_dir(site.path("files")).unwrap();
        site.renew();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Makes a certificate in place of the one before.
    fn renew(&self) {
        for file in ["cert.pem", "key.pem"] {
            let _ = fs::remove_file(self.path(file));
        }
        let (certificate, key) = (self.text("cert.pem"), self.text("key.pem"));
        let made = waft(&["cert", "self-signed", "--certificate", &certificate, "--key", &key]);
        assert!(made.status.success(), "{made:?}");
    }

    /// Two listeners, explicit and implicit.
    fn config(&self) -> Config {
        let hash = waft_accounts::hash_password(b"secret").unwrap();
        let text = format!(
            "[tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\nname = \"explicit\"\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\nname = \"implicit\"\ntls = \"implicit\"\n\
             [[user]]\nname = \"alice\"\npassword = \"{hash}\"\nroot = \"files\"\n"
        );
        fs::write(self.path("waft.toml"), &text).unwrap();
        Config::from_text(&self.path("waft.toml"), &text).unwrap().0
    }

    fn check(&self) -> (Option<i32>, String) {
        let done = waft(&["check", "--config", &self.text("waft.toml")]);
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    }
}

/// The code of the greeting on an implicit listener, if the client trusts that certificate.
fn greeting(address: SocketAddr, certificate: &[u8]) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream =
        BufReader::new(StreamOwned::new(connection, TcpStream::connect(address).unwrap()));
    let mut line = String::new();
    stream.read_line(&mut line)?;
    stream.get_mut().write_all(b"QUIT\r\n")?;
    stream.read_to_string(&mut String::new())?;
    Ok(line[..3].to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_gets_and_loses_tls_on_the_same_port() {
    let site = Site::new();
    let tls = site.config();
    let mut clear = tls.clone();
    clear.listeners[1].tls = waft_config::TlsMode::Off;
    let mut running = Running::start(clear.clone()).await.unwrap();
    let address = running.addresses()[1];
    let certificate = fs::read(site.path("cert.pem")).unwrap();
    greeting(address, &certificate).unwrap_err();
    running.reload(tls).await.unwrap();
    assert_eq!(running.addresses()[1], address);
    assert_eq!(greeting(address, &certificate).unwrap(), "220");
    running.reload(clear).await.unwrap();
    greeting(address, &certificate).unwrap_err();
}

#[test]
fn check_finds_keys_that_do_not_fit_and_files_that_hold_nothing() {
    let site = Site::new();
    site.config();
    let (code, told) = site.check();
    assert_eq!(code, Some(0), "{told}");

    let file = site.text("waft.toml");
    let key = fs::read(site.path("key.pem")).unwrap();
    site.renew();
    let other = fs::read(site.path("key.pem")).unwrap();
    fs::write(site.path("key.pem"), key).unwrap();
    let (code, told) = site.check();
    let shown = site.text("key.pem");
    assert_eq!(code, Some(2));
    assert!(
        told.contains(&format!(
            "error: {file}:3:15: tls.private_key: the private key does not belong to the \
             certificate: {shown}\n  remedy: name the key that the certificate was made for\n"
        )),
        "{told}"
    );

    fs::write(site.path("key.pem"), "").unwrap();
    let (code, told) = site.check();
    assert_eq!(code, Some(2));
    assert!(
        told.contains(&format!("{file}:3:15: tls.private_key: no private key found")),
        "{told}"
    );

    fs::write(site.path("key.pem"), other).unwrap();
    fs::write(site.path("cert.pem"), "").unwrap();
    let (code, told) = site.check();
    assert_eq!(code, Some(2));
    assert!(
        told.contains(&format!("{file}:2:15: tls.certificate: no certificate found")),
        "{told}"
    );
}

#[test]
fn a_certificate_is_made_once_and_its_key_is_nobody_elses_business() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    let key = fs::metadata(site.path("key.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let (certificate, key) = (site.text("cert.pem"), site.text("key.pem"));
    let before = fs::read(&certificate).unwrap();
    let again = waft(&["cert", "self-signed", "--certificate", &certificate, "--key", &key]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(fs::read(&certificate).unwrap(), before);
}
