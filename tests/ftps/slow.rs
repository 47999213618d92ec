//! Clients that stop in the middle of a large transfer, in clear text and under TLS: whoever waits for
//! them, it is not their session, nor any other on its thread.

use std::io::{Read, Write};

use crate::matrix::Protection;
use crate::support::content::{assert_same, octets};
use crate::support::ftps::Ftps;
use crate::support::site::{PASSWORD, Site, USER};
use crate::support::tls::{Mode, Secured, Version};

/// More than all buffers between server and client hold.
const LARGE_BYTES: usize = 64 << 20;

const STALLED: &str = "426 Transfer stalled: nothing moved for too long.\r\n";
const BROKEN: &str = "426 Data connection broken.\r\n";

/// A server with one thread for all sessions, which gives up a transfer that does not move.
fn server() -> (Secured, Vec<u8>) {
    let site = Site::new("[timeouts]\nstall = \"500ms\"");
    let config = std::fs::read_to_string(site.path("waft.toml")).unwrap();
    site.write("waft.toml", config.replace("[server]", "[server]\nworker_threads = 1"));
    let content = octets(LARGE_BYTES, 7);
    site.write("alice/large", &content);
    (Secured::serve(site, "require"), content)
}

fn logged_in(server: &Secured, protection: Protection) -> Ftps {
    let mut ftps = Ftps::connect(server, Mode::Explicit, Version::Tls13);
    ftps.log_in(USER, PASSWORD);
    ftps.protect_data(protection == Protection::Private);
    ftps
}

/// How far the transfer is, by STAT.
fn progress(ftps: &mut Ftps) -> String {
    ftps.command("STAT", "211-");
    let mut found = None;
    loop {
        let line = ftps.reply("");
        match line.strip_prefix("211 ") {
            Some(_) => return found.expect("no transfer in progress"),
            None if line.contains("Transfer in progress") => found = Some(line),
            None => {}
        }
    }
}

fn everybody_is_served(server: &Secured, ftps: &mut Ftps) {
    progress(ftps);
    let mut other = logged_in(server, Protection::Private);
    let mut listed = Vec::new();
    other.get("NLST large", &mut listed);
    assert_eq!(listed, b"large\r\n");
    other.quit();
}

#[test]
fn a_client_that_reads_no_more_delays_nobody_and_is_given_up() {
    let (server, _) = server();
    for protection in [Protection::Clear, Protection::Private] {
        let mut ftps = logged_in(&server, protection);
        let mut data = ftps.open("RETR large");
        data.read_exact(&mut [0; 100_000]).unwrap();
        everybody_is_served(&server, &mut ftps);
        assert_eq!(ftps.reply("426 "), STALLED, "{protection:?}");
        ftps.command("NOOP", "200 ");
        ftps.quit();
    }
}

#[test]
fn a_client_that_sends_no_more_delays_nobody_and_is_given_up() {
    let (server, content) = server();
    for protection in [Protection::Clear, Protection::Private] {
        // In the session's task, and in a thread.
        for length in [100, 10_000_000] {
            let mut ftps = logged_in(&server, protection);
            let mut data = ftps.open("STOR upload");
            data.write_all(&content[..length]).unwrap();
            everybody_is_served(&server, &mut ftps);
            assert_eq!(ftps.reply("426 "), STALLED, "{protection:?} {length}");
            assert!(!server.file("upload").exists());
            let kept = server.read("upload.partial");
            assert!(!kept.is_empty() && kept.len() <= length);
            assert_same(&kept, &content[..kept.len()], "upload.partial");
            ftps.quit();
        }
    }
}

#[test]
fn a_client_that_pauses_gets_everything() {
    let (server, content) = server();
    for protection in [Protection::Clear, Protection::Private] {
        let mut ftps = logged_in(&server, protection);
        let mut data = ftps.open("RETR large");
        let mut received = vec![0; 100_000];
        data.read_exact(&mut received).unwrap();
        // Until the server waits.
        let mut before = String::new();
        loop {
            let now = progress(&mut ftps);
            if now == before {
                break;
            }
            before = now;
        }
        data.read_to_end(&mut received).unwrap();
        assert_same(&received, &content, &format!("{protection:?}"));
        drop(data);
        ftps.reply("226 ");
        ftps.quit();
    }
}

#[test]
fn a_client_that_disappears_is_a_broken_connection() {
    let (server, _) = server();
    for protection in [Protection::Clear, Protection::Private] {
        let mut ftps = logged_in(&server, protection);
        let mut data = ftps.open("RETR large");
        data.read_exact(&mut [0; 100_000]).unwrap();
        // With octets that it has not read: the system resets the connection.
        drop(data);
        assert_eq!(ftps.reply("426 "), BROKEN, "{protection:?}");
        ftps.quit();
    }
}
