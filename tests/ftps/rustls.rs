//! A client with rustls, which keeps some TLS 1.3 tickets and uses each once.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::matrix::{Cell, Client, Protection, Transfer, transfers};
use crate::support::ftps::Ftps;
use crate::support::site::{PASSWORD, USER};
use crate::support::tls::Secured;

pub(crate) struct Rustls;

impl Client for Rustls {
    fn session(&self, server: &Secured, cell: Cell, home: &Path) -> Option<()> {
        let mut ftps = logged_in(server, cell);
        let content = std::fs::read(home.join("local.bin")).unwrap();
        let mut names = Vec::new();
        for transfer in transfers() {
            match transfer {
                Transfer::Upload(number) => {
                    let name = Transfer::name(number);
                    ftps.put(&format!("STOR {name}"), &mut &*content);
                    names.push(name);
                }
                Transfer::Download(number) => {
                    let name = Transfer::name(number);
                    let mut file = File::create(home.join(format!("got-{name}"))).unwrap();
                    ftps.get(&format!("RETR {name}"), &mut file);
                }
                Transfer::List => {
                    let mut listed = Vec::new();
                    ftps.get("NLST", &mut listed);
                    let listed = String::from_utf8(listed).unwrap();
                    let mut listed: Vec<_> = listed.split_terminator("\r\n").collect();
                    listed.sort();
                    assert_eq!(listed, names, "{cell}");
                }
            }
        }
        ftps.quit();
        Some(())
    }

    fn upload(&self, server: &Secured, cell: Cell, _: &Path, from: &Path, name: &str) {
        let mut ftps = logged_in(server, cell);
        let file = File::open(from).unwrap();
        ftps.put(&format!("STOR {name}"), &mut BufReader::with_capacity(1 << 20, file));
        ftps.quit();
    }

    fn download(&self, server: &Secured, cell: Cell, _: &Path, name: &str, to: &Path) {
        let mut ftps = logged_in(server, cell);
        ftps.get(&format!("RETR {name}"), &mut File::create(to).unwrap());
        ftps.quit();
    }
}

fn logged_in(server: &Secured, cell: Cell) -> Ftps {
    let mut ftps = Ftps::connect(server, cell.mode, cell.version);
    ftps.log_in(USER, PASSWORD);
    ftps.protect_data(cell.protection == Protection::Private);
    ftps
}
