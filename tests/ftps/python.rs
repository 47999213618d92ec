//! Python's ftplib, told to hand the control connection's session on, which it does not by itself.

use std::path::Path;

use crate::matrix::{Cell, Client, Protection, Transfer, transfers};
use crate::support::client::client;
use crate::support::process::run;
use crate::support::site::{PASSWORD, USER};
use crate::support::tls::{Mode, Secured};

pub(crate) struct Python;

impl Client for Python {
    fn session(&self, server: &Secured, cell: Cell, home: &Path) -> Option<()> {
        let work: Vec<_> = transfers()
            .map(|transfer| match transfer {
                Transfer::Upload(number) => format!("put local.bin {}", Transfer::name(number)),
                Transfer::Download(number) => format!("get {0} got-{0}", Transfer::name(number)),
                Transfer::List => "list".to_owned(),
            })
            .collect();
        python(server, cell, home, &work)
    }

    fn upload(&self, server: &Secured, cell: Cell, home: &Path, from: &Path, name: &str) {
        python(server, cell, home, &[format!("put {} {name}", from.display())]);
    }

    fn download(&self, server: &Secured, cell: Cell, home: &Path, name: &str, to: &Path) {
        python(server, cell, home, &[format!("get {name} {}", to.display())]);
    }
}

/// Does what the lines say; the script looks at listings itself.
fn python(server: &Secured, cell: Cell, home: &Path, work: &[String]) -> Option<()> {
    let mut python = client("python3", home)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/ftps/session.py");
    let mode = match cell.mode {
        Mode::Explicit => "explicit",
        Mode::Implicit => "implicit",
    };
    let protection = match cell.protection {
        Protection::Clear => "C",
        Protection::Private => "P",
    };
    python.arg("-B").arg(script).arg(server.path("cert.pem"));
    python.args([&server.port_of(cell.mode), mode, cell.version.number(), protection]);
    run(python.args([USER, PASSWORD]), work.join("\n").as_bytes()).succeeded();
    Some(())
}
