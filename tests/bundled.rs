//! The bundled plugins, each with the configuration that its README tells to paste.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

#[path = "bundled/auth_http.rs"]
mod auth_http;
#[path = "bundled/client_quirks.rs"]
mod client_quirks;
#[path = "bundled/lengths.rs"]
mod lengths;
#[path = "bundled/webhook.rs"]
mod webhook;

use std::io::Write;
use std::net::Shutdown;

use support::ftp::{Ftp, Reply, connect};
use support::plugin::{component, pasted};
use support::site::{PASSWORD, Site, USER, configuration, hash};
use support::waft::Waft;

/// How a JPEG begins.
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\x00\x10JFIF";

/// A hash as `htpasswd -B` writes it, of `U*U`; it is among the test vectors of `crypt_blowfish`.
const BCRYPT: &str = "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

/// A site with a bundled plugin in its folder, and with the configuration of the plugin's README in
/// which each first text, which must be there, is replaced by the second.
fn site(name: &str, changes: &[(&str, &str)]) -> Site {
    let more = "[login]\nfailure_delay = \"0s\"\n[plugins]\ndirectory = \"plugins.d\"\n";
    let site = Site::new(more);
    let named = configuration(more).replace("[[listener]]", "[[listener]]\nname = \"public\"");
    site.write("waft.toml", named);
    site.write(format!("plugins.d/{name}.wasm"), component(name));
    let mut entry = pasted(name);
    for (old, new) in changes {
        assert!(entry.contains(old), "the README does not have {old}:\n{entry}");
        entry = entry.replace(old, new);
    }
    site.write("conf.d/plugin.toml", entry);
    site
}

fn server(name: &str, changes: &[(&str, &str)]) -> Waft {
    site(name, changes).serve()
}

/// The server's first reply, whatever it is, and the connection.
fn greeted(waft: &Waft) -> (Reply, Ftp) {
    let mut client = Ftp::of(connect(waft.address()));
    (client.reply(), client)
}

/// The reply to the whole of an upload.
fn upload(client: &mut Ftp, command: &str, octets: &[u8]) -> Reply {
    let mut data = client.begin(command);
    data.write_all(octets).unwrap();
    data.shutdown(Shutdown::Write).unwrap();
    client.reply()
}

/// The test file of virus scanners, which would find it in this file were it whole.
fn eicar() -> Vec<u8> {
    let halves = [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR", "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"];
    halves.concat().into_bytes()
}

/// A server whose accounts are in a password file too: `bob`, with bcrypt, and `carol`, with
/// argon2.
fn with_password_file() -> Waft {
    let site = site("auth-file", &[]);
    let base = site.path("").canonicalize().unwrap();
    for name in ["bob", "carol"] {
        site.write(format!("ftp/{name}/a.txt"), name);
    }
    site.write("htpasswd", format!("# members\nbob:{BCRYPT}\ncarol:{}\n", hash()));
    let entry = pasted("auth-file")
        .replace("/srv/ftp", &base.join("ftp").display().to_string())
        .replace("/etc/waft/htpasswd", &base.join("htpasswd").display().to_string());
    site.write("conf.d/plugin.toml", entry);
    site.serve()
}

#[test]
fn users_of_a_password_file_log_in() {
    let waft = with_password_file();
    for (user, password) in [("bob", "U*U"), ("carol", PASSWORD)] {
        let mut client = waft.connect();
        client.log_in(user, password);
        assert_eq!(client.fetch("RETR a.txt"), user.as_bytes());
        client.put("STOR b.txt", b"new");
        assert_eq!(std::fs::read(waft.path(format!("ftp/{user}/b.txt"))).unwrap(), b"new");
        client.expect("DELE a.txt", 550);
        client.expect("SIZE /../bob/../carol/a.txt", 550);
    }
}

#[test]
fn users_of_a_password_file_need_their_passwords() {
    let waft = with_password_file();
    for (user, password) in [("bob", "U*V"), ("carol", "U*U"), ("dora", PASSWORD)] {
        let mut client = waft.connect();
        client.expect(&format!("USER {user}"), 331);
        client.expect(&format!("PASS {password}"), 530);
    }
    // Whom the file does not have, the server's own accounts may.
    waft.log_in();
}

#[test]
fn denied_networks_are_kept_out_and_allowed_ones_are_not() {
    let deny = ("203.0.113.0/24", "127.0.0.0/24");
    let waft = server("gatekeeper", &[deny]);
    let (reply, mut client) = greeted(&waft);
    assert_eq!(reply.lines, ["421 Not for you, for now."]);
    client.expect_end();
    let line = waft.log.wait("who was kept out", |line| line.message() == "kept out");
    assert_eq!(line.field("plugin"), "gatekeeper");
    let waft = server("gatekeeper", &[deny, ("10.0.0.0/8", "127.0.0.1/32")]);
    waft.log_in();
}

#[test]
fn clients_are_banned_after_failed_logins() {
    let waft =
        server("gatekeeper", &[("limit = 5, within = \"10m\"", "limit = 2, within = \"1d\"")]);
    let mut client = waft.connect();
    for _ in 0..2 {
        client.expect("USER alice", 331);
        client.expect("PASS wrong", 530);
    }
    waft.log.wait("the ban", |line| line.message() == "banned after failed logins");
    let (reply, mut banned) = greeted(&waft);
    assert_eq!(reply.code, 421);
    banned.expect_end();
}

#[test]
fn nobody_is_banned_because_the_login_service_is_down() {
    let service = "http://127.0.0.1:9/login";
    let site = site("gatekeeper", &[("limit = 5, within = \"10m\"", "limit = 2, within = \"1d\"")]);
    for name in ["auth-http", "tests/errands"] {
        let file = format!("plugins.d/{}.wasm", name.trim_start_matches("tests/"));
        site.write(file, component(name));
    }
    site.write(
        "conf.d/others.toml",
        format!(
            "[[plugin]]\nname = \"auth-http\"\n[plugin.config]\nurl = \"{service}\"\n\
             [plugin.grant]\nhttp = [\"{service}\"]\nhttp_private = true\npasswords = true\n\
             [[plugin]]\nname = \"errands\"\nlimits = {{ instances = 1 }}\n\
             [plugin.config]\nevents = [\"auth.*\"]\n"
        ),
    );
    let waft = site.serve();
    for _ in 0..3 {
        let mark = waft.log.mark();
        let mut client = waft.connect();
        client.expect("USER alice", 331);
        client.expect(&format!("PASS {PASSWORD}"), 530);
        waft.log.wait_since(mark, "what the plugins heard", |line| {
            let told = line.field("fields");
            line.message() == "heard"
                && told.contains("event=\"auth.undecided ")
                && told.contains("reason=a plugin failed")
        });
    }
    assert_eq!(greeted(&waft).0.code, 220);
}

#[test]
fn clients_that_connect_too_often_are_kept_out() {
    let waft =
        server("gatekeeper", &[("limit = 30, within = \"1m\"", "limit = 2, within = \"1d\"")]);
    for expected in [220, 220, 421] {
        assert_eq!(greeted(&waft).0.code, expected);
    }
}

#[test]
fn replies_are_worded_as_the_operator_wants() {
    let waft = server("reply-texts", &[]);
    let (greeting, mut client) = greeted(&waft);
    assert_eq!(greeting.lines, ["220-Example Inc.", "220 All is logged."]);
    client.log_in(USER, PASSWORD);
    assert_eq!(client.expect("SIZE a.txt", 550).text(), "Die Datei gibt es nicht: a.txt");
    client.put("STOR a.txt", b"a");
    assert_eq!(client.expect("CWD a.txt", 550).text(), "Not a directory.");
}

#[test]
fn a_client_chooses_the_language_of_texts() {
    let waft = server("reply-texts", &[("public = \"de\"", "")]);
    let (_, mut client) = greeted(&waft);
    client.log_in(USER, PASSWORD);
    assert_eq!(client.expect("SIZE a.txt", 550).text(), "No such file or directory.");
    client.expect("LANG de-AT", 200);
    assert_eq!(client.expect("SIZE a.txt", 550).text(), "Die Datei gibt es nicht: a.txt");
    client.expect("LANG en", 200);
    assert_eq!(client.expect("SIZE a.txt", 550).text(), "No such file or directory.");
}

#[test]
fn uploads_that_are_not_what_they_should_be_leave_the_old_file() {
    let waft = server("upload-rules", &[]);
    let mut client = waft.log_in();
    client.put("STOR a.jpg", JPEG);
    let found = upload(&mut client, "STOR a.jpg", &eicar());
    assert_eq!((found.code, found.text()), (550, "A virus was found."));
    let disguised = upload(&mut client, "STOR a.jpg", b"%PDF-1.7");
    assert_eq!(disguised.code, 550);
    assert_eq!(waft.read("a.jpg"), JPEG);
    assert_eq!(support::content::names(&waft.file("")), ["a.jpg"]);
}

#[test]
fn names_that_are_not_allowed_are_not_taken() {
    let waft = server("upload-rules", &[]);
    let mut client = waft.log_in();
    client.put("STOR a.jpg", JPEG);
    client.epsv();
    for command in ["STOR a.exe", "STOR .a.jpg", "APPE a.exe"] {
        client.expect(command, 553);
    }
    client.expect("APPE a.jpg", 550);
    client.expect("RNFR a.jpg", 350);
    client.expect("RNTO a.exe", 553);
    assert_eq!(support::content::names(&waft.file("")), ["a.jpg"]);
}

#[test]
fn a_client_is_told_the_checksums_of_its_upload() {
    let waft = server("checksum", &[]);
    let mut client = waft.log_in();
    client.expect("MKD pub", 257);
    client.put("STOR pub/a.txt", b"abc");
    client.expect("CWD pub", 250);
    let told = client.expect("SITE CHECKSUM a.txt", 213);
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let md5 = "900150983cd24fb0d6963f7d28e17f72";
    let lines = ["213-bytes 3", &format!(" sha256 {sha256}"), &format!("213 md5 {md5}")];
    assert_eq!(told.lines, lines);
    let line = waft.log.wait("it", |line| line.message() == "checksums of an upload");
    assert_eq!(line.field("plugin"), "checksum");
}

#[test]
fn checksums_are_forgotten_with_what_they_were_of() {
    let waft = server("checksum", &[]);
    let mut client = waft.log_in();
    client.expect("SITE CHECKSUM a.txt", 550);
    client.put("STOR a.txt", b"abc");
    client.expect("SITE CHECKSUM a.txt", 213);
    client.put("APPE a.txt", b"def");
    client.expect("SITE CHECKSUM a.txt", 550);
    client.put("STOR a.txt", b"abc");
    client.expect("RNFR a.txt", 350);
    client.expect("RNTO b.txt", 250);
    client.expect("SITE CHECKSUM a.txt", 550);
    client.expect("SITE CHECKSUM", 501);
}
