//! lftp with GnuTLS, which takes the session of the control connection for every data connection.

use std::fmt::Write as _;
use std::path::Path;

use crate::matrix::{Cell, Client, Protection, Transfer, transfers};
use crate::support::client::{client, seconds};
use crate::support::process::{Finished, run};
use crate::support::site::{PASSWORD, USER};
use crate::support::tls::{Mode, Secured};

pub(crate) struct Lftp;

impl Client for Lftp {
    fn session(&self, server: &Secured, cell: Cell, home: &Path) -> Option<()> {
        let mut lines = String::new();
        for transfer in transfers() {
            match transfer {
                Transfer::Upload(number) => {
                    writeln!(lines, "put local.bin -o {}", Transfer::name(number))
                }
                Transfer::Download(number) => {
                    writeln!(lines, "get {0} -o got-{0}", Transfer::name(number))
                }
                // As `nlist`, but never from memory.
                Transfer::List => writeln!(lines, "renlist"),
            }
            .unwrap();
        }
        let done = lftp(server, cell, home, &lines)?;
        let names = (0..33).flat_map(|last| (0..=last).map(Transfer::name));
        let mut listed = done.lines();
        let mut expected: Vec<_> = names.collect();
        listed.sort();
        expected.sort();
        assert_eq!(listed, expected, "{cell}");
        Some(())
    }

    fn upload(&self, server: &Secured, cell: Cell, home: &Path, from: &Path, name: &str) {
        lftp(server, cell, home, &format!("put {} -o {name}\n", from.display()));
    }

    fn download(&self, server: &Secured, cell: Cell, home: &Path, name: &str, to: &Path) {
        lftp(server, cell, home, &format!("get {name} -o {}\n", to.display()));
    }
}

/// Runs lines of lftp, the first that fails of which ends it.
fn lftp(server: &Secured, cell: Cell, home: &Path, lines: &str) -> Option<Finished> {
    let scheme = match cell.mode {
        Mode::Explicit => "ftp",
        Mode::Implicit => "ftps",
    };
    let protect = cell.protection == Protection::Private;
    let script = format!(
        "set cmd:fail-exit true\nset net:max-retries 1\nset net:timeout {}\n\
         set xfer:clobber true\nset ftp:sync-mode on\n\
         set ssl:ca-file {}\nset ssl:priority NORMAL:-VERS-ALL:+VERS-TLS{}\n\
         set ftp:ssl-force true\n\
         set ftp:ssl-protect-data {protect}\nset ftp:ssl-protect-list {protect}\n\
         open -u {USER},{PASSWORD} {scheme}://localhost:{}\n{lines}\nexit 0\n",
        seconds(),
        server.path("cert.pem").display(),
        cell.version.number(),
        server.port_of(cell.mode),
    );
    std::fs::write(home.join("script"), script).unwrap();
    let mut lftp = client("lftp", home)?;
    Some(run(lftp.args(["--norc", "-f", "script"]), b"").succeeded())
}
