//! curl, here with OpenSSL, which keeps the last TLS 1.3 ticket and uses it once.

use std::fmt::Write as _;
use std::path::Path;

use crate::matrix::{Cell, Client, Protection, Transfer, transfers};
use crate::support::PATIENCE;
use crate::support::client::{client, seconds};
use crate::support::process::{run, run_for};
use crate::support::site::{PASSWORD, USER};
use crate::support::tls::{Mode, Secured, Version};

pub(crate) struct Curl;

impl Client for Curl {
    fn session(&self, server: &Secured, cell: Cell, home: &Path) -> Option<()> {
        let mut config = String::new();
        for transfer in transfers() {
            let mut url = url(server, cell);
            match transfer {
                Transfer::Upload(number) => {
                    url.push_str(&Transfer::name(number));
                    writeln!(config, "upload-file = local.bin").unwrap();
                }
                Transfer::Download(number) => {
                    let name = Transfer::name(number);
                    url.push_str(&name);
                    writeln!(config, "output = got-{name}").unwrap();
                }
                Transfer::List => writeln!(config, "list-only").unwrap(),
            }
            writeln!(config, "url = \"{url}\"\n{}next", options(server, cell)).unwrap();
        }
        std::fs::write(home.join("curlrc"), config.strip_suffix("next\n").unwrap()).unwrap();
        // Some versions (7.88) sleep up to a second before each data connection of a session.
        let mut curl = client("curl", home)?;
        let done = run_for(PATIENCE * 4, curl.args(["-q", "-K", "curlrc"]), b"").succeeded();
        // The listings: of one file, of two, and so on.
        let names = (0..33).flat_map(|last| (0..=last).map(Transfer::name));
        let mut listed = done.lines();
        let mut expected: Vec<_> = names.collect();
        listed.sort();
        expected.sort();
        assert_eq!(listed, expected, "{cell}");
        Some(())
    }

    fn upload(&self, server: &Secured, cell: Cell, home: &Path, from: &Path, name: &str) {
        let from = from.to_str().unwrap();
        once(server, cell, home, name, &["-T", from]);
    }

    fn download(&self, server: &Secured, cell: Cell, home: &Path, name: &str, to: &Path) {
        once(server, cell, home, name, &["-o", to.to_str().unwrap()]);
    }
}

fn once(server: &Secured, cell: Cell, home: &Path, name: &str, arguments: &[&str]) {
    std::fs::write(home.join("curlrc"), options(server, cell)).unwrap();
    let mut curl = client("curl", home).unwrap();
    curl.args(["-q", "-K", "curlrc"]).args(arguments).arg(url(server, cell) + name);
    run(&mut curl, b"").succeeded();
}

fn url(server: &Secured, cell: Cell) -> String {
    let scheme = match cell.mode {
        Mode::Explicit => "ftp",
        Mode::Implicit => "ftps",
    };
    format!("{scheme}://localhost:{}/", server.port_of(cell.mode))
}

/// What every transfer needs, in the form of curl's configuration files.
fn options(server: &Secured, cell: Cell) -> String {
    let version = match cell.version {
        Version::Tls12 => "tls-max = 1.2",
        Version::Tls13 => "tlsv1.3",
    };
    let protection = match cell.protection {
        Protection::Private => "ssl-reqd",
        Protection::Clear => "ftp-ssl-control",
    };
    let certificate = server.path("cert.pem");
    format!(
        "silent\nshow-error\nmax-time = {}\nuser = \"{USER}:{PASSWORD}\"\ncacert = \"{}\"\n\
         {version}\n{protection}\n",
        seconds(),
        certificate.display()
    )
}
