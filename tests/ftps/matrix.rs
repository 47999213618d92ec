//! The combinations, and what each has to do.

use std::fmt;
use std::path::Path;

use crate::curl::Curl;
use crate::large::Large;
use crate::lftp::Lftp;
use crate::python::Python;
use crate::rustls::Rustls;
use crate::support::content::{assert_file, octets};
use crate::support::log::Line;
use crate::support::site::Site;
use crate::support::tls::{Mode, Secured, Version};

/// Whether data connections are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    Clear,
    Private,
}

/// One combination.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) version: Version,
    pub(crate) mode: Mode,
    pub(crate) protection: Protection,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS {}, {:?}, {:?}", self.version.number(), self.mode, self.protection)
    }
}

/// All that there are. There is none that one of the four clients could not do: curl has
/// `--ftp-ssl-control` for PROT C, lftp `ftp:ssl-protect-data`, ftplib `prot_c()`.
fn cells() -> impl Iterator<Item = Cell> {
    use Protection::{Clear, Private};
    [Version::Tls12, Version::Tls13].into_iter().flat_map(|version| {
        [Mode::Explicit, Mode::Implicit].into_iter().flat_map(move |mode| {
            [Private, Clear].into_iter().map(move |protection| Cell { version, mode, protection })
        })
    })
}

/// One transfer of a session.
#[derive(Clone, Copy)]
pub(crate) enum Transfer {
    /// `local.bin` to this name.
    Upload(u32),
    /// From the name of the upload before to `got-` and that name.
    Download(u32),
    /// Of the directory.
    List,
}

impl Transfer {
    /// The name of a file.
    pub(crate) fn name(number: u32) -> String {
        format!("file-{number:02}")
    }
}

const UPLOADS: usize = 34;
const DOWNLOADS: usize = 33;
const LISTINGS: usize = 33;

/// A hundred: upload, download, list, over and over.
pub(crate) fn transfers() -> impl Iterator<Item = Transfer> {
    let all = (0..).flat_map(|n| [Transfer::Upload(n), Transfer::Download(n), Transfer::List]);
    all.take(UPLOADS + DOWNLOADS + LISTINGS)
}

/// A client.
pub(crate) trait Client {
    /// Makes [`transfers`] in one session in the directory `home`; nothing if the client is not
    /// there.
    fn session(&self, server: &Secured, cell: Cell, home: &Path) -> Option<()>;

    /// Uploads a file.
    fn upload(&self, server: &Secured, cell: Cell, home: &Path, from: &Path, name: &str);

    /// Downloads a file.
    fn download(&self, server: &Secured, cell: Cell, home: &Path, name: &str, to: &Path);
}

/// The content of the small files: some records of TLS.
fn content() -> Vec<u8> {
    octets(50_001, 1)
}

/// Plays every combination, all at the same time: some clients wait more than they work.
fn play(client: &(impl Client + Sync)) {
    let large = Large::shared();
    std::thread::scope(|scope| {
        for cell in cells() {
            let large = &large;
            scope.spawn(move || play_one(client, cell, large));
        }
    });
}

fn play_one(client: &impl Client, cell: Cell, large: &Large) -> Option<()> {
    let server = Secured::serve(Site::new(""), "require");
    let (home, mark) = (server.make("home"), server.log.mark());
    server.write("home/local.bin", content());
    client.session(&server, cell, &home)?;
    for number in 0..UPLOADS as u32 {
        assert_file(&server.file(Transfer::name(number)), &content());
    }
    for number in 0..DOWNLOADS as u32 {
        assert_file(&home.join(format!("got-{}", Transfer::name(number))), &content());
    }
    server.log.wait(&format!("the session's end: {cell}"), is_closed);
    check(cell, &server.log.since(mark));
    // How TLS began makes no difference to data connections.
    if cell.mode == Mode::Explicit {
        let got = home.join("large");
        large.alone(|from| {
            client.upload(&server, cell, &home, from, "large");
            assert_eq!(Large::digest(&server.file("large")), large.digest, "{cell}");
            client.download(&server, cell, &home, "large", &got);
            assert_eq!(Large::digest(&got), large.digest, "{cell}");
            std::fs::remove_file(server.file("large")).unwrap();
            std::fs::remove_file(got).unwrap();
        });
    }
    Some(())
}

fn is_closed(line: &Line) -> bool {
    line.message() == "session closed"
}

/// What the log must tell of a session's hundred transfers.
fn check(cell: Cell, lines: &[Line]) {
    let count = |is: &dyn Fn(&Line) -> bool| lines.iter().filter(|line| is(line)).count();
    assert_eq!(count(&is_closed), 1, "{cell}: one session");
    let version = format!("TLSv{}", cell.version.number());
    let begins = count(&|line| line.message() == "TLS begins" && line.field("version") == version);
    assert_eq!(begins, 1, "{cell}: one handshake of that version");
    let complete = |what: &str| {
        count(&|line| line.message() == what && line.value("complete") == &serde_json::json!(true))
    };
    assert_eq!(complete("upload"), UPLOADS, "{cell}: uploads");
    assert_eq!(complete("download"), DOWNLOADS, "{cell}: downloads");
    assert!(complete("listing") >= LISTINGS, "{cell}: listings");
    let last = lines.iter().rev().find(|line| line.field("command").starts_with("PROT "));
    let private =
        last.map_or(cell.mode == Mode::Implicit, |line| line.field("command") == "PROT P");
    assert_eq!(private, cell.protection == Protection::Private, "{cell}: protection");
    let unresumed = "TLS session of data connection not resumed";
    assert_eq!(count(&|line| line.message() == unresumed), 0, "{cell}: resumption");
    let alarming: Vec<_> = lines.iter().filter(|line| line.is_alarming()).collect();
    assert!(alarming.is_empty(), "{cell}: {alarming:#?}");
}

#[test]
fn curl_with_openssl_works_in_every_combination() {
    play(&Curl);
}

#[test]
fn lftp_with_gnutls_works_in_every_combination() {
    play(&Lftp);
}

#[test]
fn ftplib_works_in_every_combination() {
    play(&Python);
}

#[test]
fn a_client_with_rustls_works_in_every_combination() {
    play(&Rustls);
}
