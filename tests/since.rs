//! Plugins that were built for an earlier version of the interface go on, whatever was added since:
//! there is one guest for each version that was released, and every hook and service of that version
//! is driven through the server as it is now.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread;
use std::time::Instant;

use support::PATIENCE;
use support::ftp::Ftp;
use support::plugin::component;
use support::site::{CHEAP_HASH, PASSWORD, Site, USER};
use support::waft::Waft;

/// The guest of 0.1.0.
const GUEST: &str = "since-0-1-0";

/// A service that answers with a word; returns its URL.
fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut octets = [0; 1024];
            let mut asked = 0;
            while !octets[..asked].windows(4).any(|end| end == b"\r\n\r\n") {
                asked += stream.read(&mut octets[asked..]).unwrap();
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

/// A server with the guest of 0.1.0 and nothing else.
fn server() -> Waft {
    let url = service();
    let site = Site::new(&format!(
        "[login]\nfailure_delay = \"0s\"\n[plugins]\ndirectory = \"plugins.d\"\n\
         [[plugin]]\nname = \"{GUEST}\"\n\
         [plugin.grant]\nkv = \"1MiB\"\nhttp = [\"{url}\"]\nhttp_private = true\ncontrol = true\n\
         secrets = {{ word = \"file:word\" }}\n\
         [plugin.config]\nhash = \"{CHEAP_HASH}\"\nurl = \"{url}/\"\n"
    ));
    site.write("word", "swordfish");
    site.write(format!("plugins.d/{GUEST}.wasm"), component(&format!("tests/{GUEST}")));
    site.serve()
}

fn old(waft: &Waft) -> Ftp {
    let mut ftp = waft.connect();
    ftp.log_in("old", PASSWORD);
    ftp
}

#[track_caller]
fn lines(ftp: &mut Ftp, command: &str, expected: &[&str]) {
    assert_eq!(ftp.command(command).lines, expected, "{command}");
}

#[test]
fn commands_replies_and_logins_are_decided_as_in_0_1_0() {
    let waft = server();
    let mut ftp = waft.connect();
    for (user, password) in [("old", "wrong"), ("lost", PASSWORD)] {
        ftp.expect(&format!("USER {user}"), 331);
        ftp.expect(&format!("PASS {password}"), 530);
    }
    let mut ftp = old(&waft);
    lines(&mut ftp, "ALLO 10", &["202 There was room in those days."]);
    lines(&mut ftp, "XPWD", &["257 \"/\" is the working directory."]);
    lines(&mut ftp, "NOOP", &["200 NOOP was fine."]);
    lines(&mut ftp, "XBYE", &["221 So long."]);
    ftp.expect_end();
    // The server's own accounts are none of its business.
    waft.log_in();
}

#[test]
fn files_are_kept_and_decided_about_as_in_0_1_0() {
    let waft = server();
    let mut ftp = old(&waft);
    ftp.put("STOR a.txt", b"hello");
    ftp.put("APPE a.txt", b", you");
    assert_eq!(ftp.fetch("RETR alias"), b"hello, you");
    ftp.expect("REST 7", 350);
    assert_eq!(ftp.fetch("RETR a.txt"), b"you");
    ftp.put("STOR b.up", b"upper");
    assert_eq!(ftp.fetch("RETR b.up"), b"UPPER!");
    let mut data = ftp.begin("STOR c.bad");
    data.write_all(b"octets").unwrap();
    data.shutdown(Shutdown::Write).unwrap();
    assert_eq!(ftp.reply().lines, ["550 Not these 6 octets."]);
    ftp.put("STOR hidden.txt", b"x");
    ftp.put("STOR kept", b"x");
    assert_eq!(ftp.fetch("NLST"), b"a.txt\r\nb.up\r\nkept\r\n");
    lines(&mut ftp, "DELE kept", &["550 Kept."]);
    ftp.expect("RNFR hidden.txt", 350);
    ftp.expect("RNTO shown.txt", 250);
    ftp.expect("DELE b.up", 250);
    assert_eq!(ftp.fetch("NLST"), b"a.txt\r\nkept\r\nshown.txt\r\n");
    assert_eq!(ftp.expect("AVBL", 213).text(), "1048576");
    ftp.expect("MKD d", 504);
    // And files that are not its own.
    let mut ftp = waft.log_in();
    ftp.put("STOR b.up", b"upper");
    assert_eq!(waft.read("b.up"), b"UPPER!");
}

#[test]
fn services_commands_events_and_timers_are_those_of_0_1_0() {
    let waft = server();
    let mut ftp = old(&waft);
    lines(&mut ftp, "XOLD and gold", &["200 XOLD: and gold"]);
    assert!(ftp.expect("FEAT", 211).lines.contains(&" XOLD any text".to_owned()));
    lines(
        &mut ftp,
        "SITE SERVICES",
        &[
            "211-session true 127.0.0.1 clear old / staff blue yes",
            " config swordfish true true",
            " clock true true",
            " crypto 16 ba7816bf 9c196e32 Ok(false) Ok(false) true",
            " metrics",
            " kv true 5 ask/a,ask/n 3",
            " http 200 true hello true",
            "211 control false",
        ],
    );
    waft.log
        .wait("what it says", |line| line.message() == "asking" && line.field("plugin") == GUEST);
    ftp.put("STOR a.txt", b"12345");
    let counted = ["211-uploaded 5", "211 ticked true"];
    // Events and ticks come when they come.
    let deadline = Instant::now() + PATIENCE;
    let mut told = Vec::new();
    while told != counted {
        assert!(Instant::now() < deadline, "{told:?}");
        told = ftp.command("SITE COUNTS").lines;
    }
}

#[test]
fn commands_are_skipped_as_in_0_1_1_until_who_a_session_is_changes() {
    let guest = "since-0-1-1";
    let site = Site::new(
        "[login]\nfailure_delay = \"0s\"\n[plugins]\ndirectory = \"plugins.d\"\n\
         [[plugin]]\nname = \"since-0-1-1\"\n",
    );
    site.write(format!("plugins.d/{guest}.wasm"), component(&format!("tests/{guest}")));
    let waft = site.serve();
    let mut ftp = waft.log_in();
    let own = ["202 There was room in those days."];
    lines(&mut ftp, "ALLO 10", &own);
    ftp.expect("SYST", 215);
    lines(&mut ftp, "ALLO 10", &["200 There is space for that."]);
    // Moving about changes nothing, nor does another session, and verbs of nobody's are never skipped.
    ftp.expect("CWD /", 250);
    lines(&mut ftp, "ALLO 10", &["200 There is space for that."]);
    lines(&mut waft.log_in(), "ALLO 10", &own);
    lines(&mut ftp, "XOLD", &own);
    lines(&mut ftp, "XOLD", &own);
    // Another login is another session to the plugin.
    ftp.expect("REIN", 220);
    ftp.log_in(USER, PASSWORD);
    lines(&mut ftp, "ALLO 10", &own);
    ftp.expect("SYST", 215);
}
