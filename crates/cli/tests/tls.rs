//! TLS from outside: certificates made, checked and exchanged, and clients with other TLS libraries
//! than the server's: curl (OpenSSL), lftp (GnuTLS), Python's ftplib. Where a client is missing its
//! test is skipped, loudly.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail by panicking, and tell what they skip"
)]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, Issuer, KeyPair, date_time_ymd};
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

    /// Two listeners, explicit and implicit, which insist on resumption or not.
    fn config(&self, resumption: &str) -> Config {
        let hash = waft_accounts::hash_password(b"secret").unwrap();
        let text = format!(
            "[tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n\
             resumption = \"{resumption}\"\n\
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

/// The program, if it is installed.
fn client(name: &str) -> Option<Command> {
    let found = Command::new(name).arg("--version").stdout(Stdio::null()).status();
    if found.is_err() {
        eprintln!("SKIPPED: {name} is not installed");
        return None;
    }
    let mut command = Command::new(name);
    command.stdin(Stdio::null());
    Some(command)
}

fn content() -> Vec<u8> {
    (0..500_000_u32).flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect()
}

async fn finished(mut command: Command) -> String {
    let done = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let [out, err] = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(done.status.success(), "{out}{err}");
    out
}

/// Where the server answers: with TLS by AUTH, and with TLS from the beginning.
fn places(running: &Running) -> [(&'static str, SocketAddr); 2] {
    let addresses = running.addresses();
    [("explicit", addresses[0]), ("implicit", addresses[1])]
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_works_with_both_versions_and_ways() {
    if client("curl").is_none() {
        return;
    }
    let site = Site::new();
    let running = Running::start(&site.config("report")).await.unwrap();
    fs::write(site.path("local"), content()).unwrap();
    for (mode, address) in places(&running) {
        let scheme = if mode == "implicit" { "ftps" } else { "ftp" };
        let url = format!("{scheme}://localhost:{}/", address.port());
        for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
            let curl = || {
                let mut curl = client("curl").unwrap();
                curl.args(["-q", "-sS", "--max-time", "60", "--ssl-reqd", "-u", "alice:secret"]);
                curl.arg("--cacert").arg(site.path("cert.pem")).args(version);
                curl
            };
            let mut upload = curl();
            upload.arg("-T").arg(site.path("local")).arg(format!("{url}file"));
            finished(upload).await;
            assert!(fs::read(site.path("files/file")).unwrap() == content());
            let mut download = curl();
            for n in 0..5 {
                download.arg(format!("{url}file")).arg("-o").arg(site.path(&format!("got{n}")));
            }
            finished(download).await;
            for n in 0..5 {
                assert!(fs::read(site.path(&format!("got{n}"))).unwrap() == content());
            }
            let mut list = curl();
            list.args(["-l", &url]);
            assert_eq!(finished(list).await, "file\n");
            fs::remove_file(site.path("files/file")).unwrap();
        }
    }
}

/// OpenSSL's own cache keeps one ticket and uses it once.
#[tokio::test(flavor = "multi_thread")]
async fn curl_downloads_many_files_in_one_session_where_resumption_is_required() {
    let Some(mut curl) = client("curl") else { return };
    let site = Site::new();
    let running = Running::start(&site.config("require")).await.unwrap();
    fs::write(site.path("files/file"), "content").unwrap();
    curl.args(["-q", "-sS", "--max-time", "60", "-u", "alice:secret", "--cacert"]);
    curl.arg(site.path("cert.pem"));
    curl.args(vec![format!("ftps://localhost:{}/file", running.addresses()[1].port()); 30]);
    assert_eq!(finished(curl).await, "content".repeat(30));
    let counts = running.server().counts();
    assert_eq!((counts.data_tls_resumed, counts.data_tls_not_resumed), (30, 0));
    assert_eq!(counts.sessions_opened, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lftp_works_with_both_versions_and_ways_where_resumption_is_required() {
    if client("lftp").is_none() {
        return;
    }
    let site = Site::new();
    let running = Running::start(&site.config("require")).await.unwrap();
    fs::write(site.path("local"), content()).unwrap();
    for (mode, address) in places(&running) {
        let scheme = if mode == "implicit" { "ftps" } else { "ftp" };
        for version in ["1.2", "1.3"] {
            let mut lftp = client("lftp").unwrap();
            let transfers = "put local -o file; get file -o got; cls;".repeat(4);
            let script = format!(
                "set ssl:ca-file cert.pem; set ftp:ssl-force true; set ftp:ssl-protect-data true; \
                 set ssl:priority NORMAL:-VERS-ALL:+VERS-TLS{version}; set cmd:fail-exit true; \
                 set net:max-retries 1; set net:timeout 30; set xfer:clobber true; \
                 open -u alice,secret {scheme}://localhost:{}; {transfers}",
                address.port()
            );
            lftp.current_dir(site.path("")).args(["--norc", "-c", &script]);
            finished(lftp).await;
            assert!(fs::read(site.path("got")).unwrap() == content());
            fs::remove_file(site.path("got")).unwrap();
        }
    }
    assert_eq!(running.server().counts().data_tls_not_resumed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn python_resumes_one_session_for_a_hundred_transfers_with_both_versions_and_ways() {
    if client("python3").is_none() {
        return;
    }
    let site = Site::new();
    let running = Running::start(&site.config("require")).await.unwrap();
    for (mode, address) in places(&running) {
        for version in ["1.2", "1.3"] {
            let mut python = client("python3").unwrap();
            python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/session.py"));
            python.arg(site.path("cert.pem")).arg(address.port().to_string());
            python.args([mode, version, "34"]);
            // Uploads, downloads and listings.
            assert_eq!(finished(python).await, "102\n", "{mode} {version}");
        }
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
async fn a_new_certificate_serves_new_sessions_and_a_bad_one_changes_nothing() {
    let site = Site::new();
    let config = site.config("report");
    let mut running = Running::start(&config).await.unwrap();
    let address = running.addresses()[1];
    let first = fs::read(site.path("cert.pem")).unwrap();
    assert_eq!(greeting(address, &first).unwrap(), "220");

    site.renew();
    running.reload(&config).await.unwrap();
    let second = fs::read(site.path("cert.pem")).unwrap();
    assert_eq!(running.addresses()[1], address);
    assert_eq!(greeting(address, &second).unwrap(), "220");
    greeting(address, &first).unwrap_err();

    fs::write(site.path("cert.pem"), &first).unwrap();
    let wrong = running.reload(&config).await.unwrap_err();
    assert_eq!(wrong.mistakes[0].key, "tls.private_key");
    assert_eq!(greeting(address, &second).unwrap(), "220");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_gets_and_loses_tls_on_the_same_port() {
    let site = Site::new();
    let tls = site.config("report");
    let mut clear = tls.clone();
    clear.listeners[1].tls = waft_config::TlsMode::Off;
    let mut running = Running::start(&clear).await.unwrap();
    let address = running.addresses()[1];
    let certificate = fs::read(site.path("cert.pem")).unwrap();
    greeting(address, &certificate).unwrap_err();
    running.reload(&tls).await.unwrap();
    assert_eq!(running.addresses()[1], address);
    assert_eq!(greeting(address, &certificate).unwrap(), "220");
    running.reload(&clear).await.unwrap();
    greeting(address, &certificate).unwrap_err();
}

#[test]
fn check_finds_keys_that_do_not_fit_and_files_that_hold_nothing() {
    let site = Site::new();
    site.config("report");
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
fn check_warns_of_certificates_that_clients_will_not_accept() {
    let site = Site::new();
    site.config("report");
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "Authority");
    let authority = Issuer::new(params, KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "Leaf");
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2001, 1, 1);
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &authority).unwrap();
    fs::write(site.path("cert.pem"), leaf.pem()).unwrap();
    fs::write(site.path("key.pem"), key.serialize_pem()).unwrap();
    let (code, told) = site.check();
    assert_eq!(code, Some(0), "{told}");
    let place = format!("warning: {}:2:15: tls.certificate: ", site.text("waft.toml"));
    assert!(told.contains(&format!("{place}expired ")), "{told}");
    assert!(told.contains("days ago: CN=Leaf\n  remedy: renew it\n"), "{told}");
    let missing = format!(
        "{place}no certificate of CN=Authority, who issued that of CN=Leaf\n  remedy: append it to \
         the file"
    );
    assert!(told.contains(&missing), "{told}");
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
