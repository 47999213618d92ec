//! What an operator relies on: who gets in, what is logged, how the server is reconfigured and how
//! it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::Value;
use support::content::{assert_file, assert_same, names, octets};
use support::ftp::{Ftp, Midway, Reply};
use support::log::Line;
use support::plugin::component;
use support::site::{PASSWORD, Site, USER, configuration, hash};
use support::waft::Waft;

/// Failures are answered at once, so that tests need not wait.
const AT_ONCE: &str = "[login]\nfailure_delay = \"0s\"\n";

/// Octets of a download, more than all buffers between the two ends hold.
const LONG: usize = 24 << 20;

fn reloaded(line: &Line) -> bool {
    line.message() == "configuration reloaded"
}

/// One failed login.
#[track_caller]
fn fail(ftp: &mut Ftp, user: &str, password: &str) -> [Reply; 2] {
    [ftp.command(&format!("USER {user}")), ftp.command(&format!("PASS {password}"))]
}

#[test]
fn nobody_learns_which_users_there_are() {
    let waft = Site::new(AT_ONCE).serve();
    let replies = |user: &str| {
        let mut ftp = waft.connect();
        let replies = [(); 3].map(|()| fail(&mut ftp, user, "wrong"));
        ftp.expect_end();
        replies
    };
    let known = replies(USER);
    assert_eq!(known, replies("nobody"));
    assert_eq!(
        known.map(|[user, pass]| (user.code, pass.code)),
        [(331, 530), (331, 530), (331, 421)]
    );
}

#[test]
fn an_account_is_locked_out_for_an_address_that_guesses() {
    let hash = hash();
    let waft = Site::new(&format!(
        "{AT_ONCE}attempts_per_account = 2\n\
         [[user]]\nname = \"bob\"\npassword = \"{hash}\"\nroot = \"alice\"\n"
    ))
    .serve();
    let [_, wrong] = fail(&mut waft.connect(), USER, "wrong");
    fail(&mut waft.connect(), USER, "wrong");
    // The right password comes too late, and is answered like a wrong one.
    let [_, right] = fail(&mut waft.connect(), USER, PASSWORD);
    assert_eq!(right, wrong);
    waft.connect().log_in("bob", PASSWORD);
    waft.log.wait("lock-out", |line| {
        line.message() == "login failed" && line.field("reason") == "locked out"
    });
}

#[test]
fn an_address_is_locked_out_that_guesses_names() {
    let waft = Site::new(&format!("{AT_ONCE}attempts_per_address = 3\n")).serve();
    let mut connected = waft.log_in();
    for user in ["root", "admin", "test"] {
        assert_eq!(fail(&mut waft.connect(), user, "guess")[1].code, 530);
    }
    assert_eq!(fail(&mut waft.connect(), USER, PASSWORD)[1].code, 530);
    connected.expect("NOOP", 200);
}

#[test]
fn accounts_are_added_changed_and_removed_while_the_server_runs() {
    let site = Site::new(&format!("{AT_ONCE}[users]\nfile = \"users.toml\"\n"));
    site.write("users.toml", "");
    site.make("carol");
    let waft = site.serve();
    let refused = |password: &str| {
        assert_eq!(fail(&mut waft.connect(), "carol", password)[1].code, 530);
    };
    let change = |arguments: &[&str], input: &str| {
        let arguments = [&["user"], arguments, &["--file", "users.toml"]].concat();
        let act = |site: &Site| drop(site.waft(&arguments, input).succeeded());
        waft.and_wait(act, "reload", reloaded);
    };
    refused("first");
    change(&["add", "carol", "--root", "carol", "--password-stdin"], "first\n");
    let mut connected = waft.connect();
    connected.log_in("carol", "first");
    connected.put("STOR hers.txt", b"hers");
    assert_file(&waft.path("carol/hers.txt"), b"hers");

    change(&["passwd", "carol", "--password-stdin"], "second\n");
    refused("first");
    waft.connect().log_in("carol", "second");

    let listed = waft.waft(&["user", "list", "--file", "users.toml", "--json"], "").succeeded();
    let listed: Value = serde_json::from_str(&listed.stdout()).unwrap();
    assert!(listed.to_string().contains("carol"), "{listed}");
    assert!(!listed.to_string().contains("argon2"), "{listed}");

    change(&["remove", "carol"], "");
    refused("second");
    // Whoever is in stays in.
    assert_eq!(connected.fetch("RETR hers.txt"), b"hers");
    let file = String::from_utf8(std::fs::read(waft.path("users.toml")).unwrap()).unwrap();
    assert!(!file.contains("carol"), "{file}");
}

#[test]
fn an_account_may_do_what_it_is_permitted_and_nothing_else() {
    let hash = hash();
    let site = Site::new(&format!(
        "[[user]]\nname = \"box\"\npassword = \"{hash}\"\nroot = \"box\"\npermissions = [\"write\"]\n\
         [[user]]\nname = \"reader\"\npassword = \"{hash}\"\nroot = \"box\"\n\
         permissions = [\"list\", \"read\"]\n"
    ));
    site.make("box");
    let waft = site.serve();
    let mut dropping = waft.connect();
    dropping.log_in("box", PASSWORD);
    dropping.put("STOR in.bin", &octets(100_000, 1));
    drop(dropping.epsv());
    for (command, code) in [
        // Replacing a file takes what was there.
        ("STOR in.bin", 553),
        ("RETR in.bin", 550),
        ("LIST", 550),
        ("NLST", 550),
        ("MLSD", 550),
        ("DELE in.bin", 550),
        ("RNFR in.bin", 550),
        ("MKD sub", 550),
        ("RMD sub", 550),
    ] {
        dropping.expect(command, code);
    }
    let mut reading = waft.connect();
    reading.log_in("reader", PASSWORD);
    assert_same(&reading.fetch("RETR in.bin"), &octets(100_000, 1), "in.bin");
    assert_eq!(reading.fetch("NLST"), b"in.bin\r\n");
    drop(reading.epsv());
    for command in ["STOR new.bin", "APPE in.bin", "STOU", "DELE in.bin", "MKD sub"] {
        reading.expect(command, 550);
    }
    reading.expect("REST 5", 350);
    reading.expect("STOR in.bin", 550);
    assert_eq!(names(&waft.path("box")), ["in.bin"]);
    assert_file(&waft.path("box/in.bin"), &octets(100_000, 1));
}

#[test]
fn anonymous_users_look_and_fetch_and_leave_things_only_where_they_may() {
    let site = Site::new("[anonymous]\nroot = \"public\"\n");
    site.write("public/read.me", "welcome");
    let waft = site.serve();
    let mut guest = waft.connect();
    guest.log_in("anonymous", "guest@example.org");
    assert_eq!(guest.fetch("RETR read.me"), b"welcome");
    drop(guest.epsv());
    guest.expect("STOR new.bin", 550);

    let upload = configuration("[anonymous]\nroot = \"public\"\nupload = true\n");
    waft.and_wait(|site| site.write("waft.toml", &upload), "reload", reloaded);
    let mut guest = waft.connect();
    guest.log_in("ftp", "guest@example.org");
    guest.put("STOR new.bin", b"from a guest");
    assert_file(&waft.path("public/new.bin"), b"from a guest");
    drop(guest.epsv());
    guest.expect("STOR read.me", 553);
    guest.expect("DELE new.bin", 550);
    assert_file(&waft.path("public/read.me"), b"welcome");
}

#[test]
fn a_wrong_configuration_changes_nothing_and_every_mistake_is_told_with_its_place() {
    let waft = Site::new("").serve();
    let right = configuration("").replace("files.example.org", "other.example.org");
    let wrong = right.replace("[log]", "[timeouts]\nidle = \"soon\"\n[log]\ncolour = true");
    let last = |line: &Line| line.message().starts_with("configuration not reloaded");
    let mark = waft.log.mark();
    waft.and_wait(|site| site.write("waft.toml", &wrong), "refusal", last);
    let told: Vec<_> = waft.log.since(mark).into_iter().filter(Line::is_alarming).collect();
    let line = |key: &str| 1 + wrong.lines().position(|line| line.starts_with(key)).unwrap();
    for key in ["idle", "colour"] {
        let place = format!("waft.toml:{}:", line(key));
        let found = told.iter().find(|line| line.field("place").contains(&place));
        let found = found.unwrap_or_else(|| panic!("{place}\n{}", waft.log.text()));
        assert!(!found.field("remedy").is_empty(), "{}", found.text);
    }
    assert!(greeting(&waft).contains("files.example.org"));
    waft.log_in().expect("NOOP", 200);

    waft.and_wait(|site| site.write("waft.toml", &right), "reload", reloaded);
    assert!(greeting(&waft).contains("other.example.org"));
}

fn greeting(waft: &Waft) -> String {
    let mut ftp = Ftp::of(support::ftp::connect(waft.address()));
    ftp.reply().text().to_owned()
}

#[test]
fn a_reload_is_for_new_sessions() {
    let site = Site::new("[passive]\naddress = \"local\"\n");
    let waft = site.serve();
    let mut connected = waft.log_in();
    let changed = configuration("[passive]\naddress = \"203.0.113.7\"\n");
    waft.and_wait(
        |site| {
            site.write("waft.toml", &changed);
            waft.signal(Signal::HUP);
        },
        "reload",
        reloaded,
    );
    assert_eq!(connected.pasv().ip(), waft.address().ip());
    let mut new = waft.log_in();
    assert_eq!(new.pasv().ip().to_string(), "203.0.113.7");
    // EPSV promises the address of the control connection.
    new.expect("EPSV", 502);
    connected.expect("EPSV", 229);
}

/// A server with a download and an upload under way.
fn busy(more: &str) -> (Waft, Midway, Vec<u8>) {
    let site = Site::new(more);
    site.write("alice/long.bin", octets(LONG, 1));
    let waft = site.serve();
    let sent = octets(3 << 20, 2);
    let [head, tail] = support::ftp::halves(&sent);
    let midway = Midway::begin([waft.log_in(), waft.log_in()], "long.bin", "up.bin", head);
    let tail = tail.to_vec();
    (waft, midway, tail)
}

fn stop(waft: &Waft) {
    let shutting_down = |line: &Line| line.message() == "shutting down";
    waft.and_wait(|_| waft.signal(Signal::TERM), "shutdown", shutting_down);
}

#[test]
fn a_server_that_is_told_to_stop_finishes_its_transfers_first() {
    let (mut waft, midway, tail) = busy("");
    let mut idle = waft.log_in();
    stop(&waft);
    assert_eq!(idle.reply().code, 421);
    idle.expect_end();
    let refused = TcpStream::connect(waft.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    let (downloaded, sessions) = midway.finish(&tail);
    assert_same(&downloaded, &octets(LONG, 1), "long.bin");
    assert_file(&waft.file("up.bin"), &octets(3 << 20, 2));
    for mut session in sessions {
        assert_eq!(session.reply().code, 421);
        session.expect_end();
    }
    let status = waft.wait_for_end();
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let (mut waft, midway, _) = busy("");
    stop(&waft);
    waft.signal(Signal::TERM);
    ends_with_transfers_cut_off(&mut waft, midway);
}

#[test]
fn transfers_that_do_not_end_in_time_are_cut_off() {
    let (mut waft, midway, _) = busy("[timeouts]\ndrain = \"100ms\"\n");
    stop(&waft);
    ends_with_transfers_cut_off(&mut waft, midway);
}

fn ends_with_transfers_cut_off(waft: &mut Waft, midway: Midway) {
    for (mut session, mut data) in midway.parts() {
        assert_eq!(session.reply().code, 426);
        assert_eq!(session.reply().code, 421);
        session.expect_end();
        // However it ends: it does end.
        let _ = data.read_to_end(&mut Vec::new());
    }
    let status = waft.wait_for_end();
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(names(&waft.file("")), ["long.bin", "up.bin.partial"]);
}

#[test]
fn every_line_of_a_session_is_in_its_span_with_fixed_fields() {
    let waft = Site::new("").serve();
    let mut ftp = waft.log_in();
    ftp.put("STOR a.bin", b"octets");
    ftp.expect("QUIT", 221);
    let closed = waft.log.wait("the end", |line| line.message() == "session closed");
    let lines = waft.log.lines();
    assert!(lines.iter().all(Line::is_json), "{}", waft.log.text());
    let of_the_session = |line: &&Line| line.span()["name"] == "session";
    let mut seen = Vec::new();
    for line in lines.iter().filter(of_the_session) {
        let span = line.span().as_object().unwrap();
        assert_eq!(span["session"], 1, "{}", line.text);
        assert_eq!(span["listener"], "127.0.0.1:0", "{}", line.text);
        assert!(span["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{}", line.text);
        let logged_in = seen.contains(&"logged in");
        seen.push(line.message());
        assert_eq!(span.contains_key("user"), logged_in || line.message() == "logged in");
        assert!(
            span.keys()
                .all(|key| ["name", "session", "peer", "listener", "user"].contains(&key.as_str())),
            "{}",
            line.text
        );
    }
    for message in ["session opened", "command", "reply", "logged in", "upload", "session closed"] {
        assert!(seen.contains(&message), "{message}: {seen:?}");
    }
    let upload = lines.iter().find(|line| line.message() == "upload").unwrap();
    assert_eq!(upload.field("path"), "/a.bin");
    assert_eq!(upload.value("bytes"), 6);
    assert_eq!(upload.value("complete"), true);
    assert!(upload.value("elapsed_ms").is_number(), "{}", upload.text);
    assert_eq!(closed.field("reason"), "quit");
    assert_eq!(closed.span()["user"], USER);
}

#[test]
fn no_password_is_ever_logged() {
    let site = Site::new(&format!(
        "{AT_ONCE}[plugins]\ndirectory = \"plugins.d\"\n\
         [[plugin]]\nname = \"echo-verdict\"\n[plugin.config]\nlog = \"PASS\"\n"
    ));
    site.write("plugins.d/echo-verdict.wasm", component("tests/echo-verdict"));
    site.write("conf.d/log.toml", "[log]\nlevel = \"trace\"\n");
    let waft = site.serve();
    let secret = "Hunter2-never-seen";
    let mut ftp = waft.connect();
    // Before its time, in lower case, wrong, as the password of an account, too long, with a NUL.
    for line in [
        format!("PASS {secret}"),
        format!("USER {USER}\r\npass {secret}"),
        format!("USER nobody\r\nPASS  {secret} {secret}"),
        format!("USER {USER}\r\nACCT {secret}"),
        format!("PASS {}{secret}", "x".repeat(10_000)),
        format!("PASS {secret}\0{secret}"),
    ] {
        let commands = line.matches("\r\n").count() + 1;
        ftp.send(&line);
        for _ in 0..commands {
            ftp.reply();
        }
    }
    ftp.log_in(USER, PASSWORD);
    // While a transfer runs, and when it is too late.
    let data = ftp.begin("STOR a.bin");
    ftp.send(&format!("PASS {secret}"));
    ftp.put_rest(data, b"octets");
    ftp.reply();
    ftp.expect(&format!("ACCT {secret}"), 202);
    ftp.expect("QUIT", 221);
    waft.log.wait("the end", |line| line.message() == "session closed");
    waft.log.wait("what the plugin saw", |line| {
        line.field("plugin") == "echo-verdict" && line.text.contains("PASS")
    });
    let log = waft.log.text();
    assert!(log.contains("\"TRACE\"") || log.contains("\"DEBUG\""), "{log}");
    for secret in [secret, PASSWORD, "argon2"] {
        assert!(!log.contains(secret), "{secret}\n{log}");
    }
}

#[test]
fn nobody_is_served_the_state_of_the_server() {
    let site = Site::new("[anonymous]\nroot = \"pub\"\n[plugins]\ndirectory = \"plugins.d\"\n");
    site.make("pub");
    site.write("conf.d/state.toml", "[server]\nstate = \"../kept/state\"\n");
    site.write("plugins.d/command-policy.wasm", component("command-policy"));
    let waft = site.serve();
    assert!(waft.path("kept/state/plugins/key").exists());
    let wrong = waft.and_wait(
        |site| site.write("conf.d/wrong.toml", "[anonymous]\nroot = \"../kept\"\n"),
        "the mistake",
        |line| line.message().contains("anonymous can read what the server keeps here"),
    );
    assert_eq!(wrong.field("key"), "server.state");
    assert!(wrong.field("place").ends_with("state.toml:2:9"), "{wrong:?}");
    waft.log.wait("the end of it", |line| {
        line.message() == "configuration not reloaded: the one before stays in force"
    });
    let mut ftp = waft.connect();
    ftp.log_in("anonymous", "me@example.org");
    ftp.expect("SIZE state/plugins/key", 550);
    let told = waft.site.waft(&["serve", "--config", "waft.toml"], "");
    assert_eq!(told.status.code(), Some(2), "{}", told.stderr());
    assert!(told.stderr().contains("remedy: move it out of every root"), "{}", told.stderr());
}

#[test]
fn a_server_without_a_configuration_serves_a_directory() {
    let site = Site::new("");
    let account = format!("bob:{PASSWORD}");
    let root = site.path("alice").display().to_string();
    let plugin = site.path("command-policy.wasm").display().to_string();
    site.write("command-policy.wasm", component("command-policy"));
    let waft = Waft::start_as(
        site,
        &[
            "--root",
            &root,
            "--listen",
            "127.0.0.1:0",
            "--user",
            &account,
            "--plugin",
            &plugin,
            "--log-format",
            "json",
        ],
    );
    let mut ftp = waft.connect();
    ftp.log_in("bob", PASSWORD);
    ftp.put("STOR a.bin", &octets(100_000, 3));
    assert_file(&waft.file("a.bin"), &octets(100_000, 3));
    assert!(!waft.log.text().contains(PASSWORD));
}
