//! `auth-http`: accounts of a web service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use serde_json::{Value, json};

use crate::support::client::{client, seconds};
use crate::support::ftp::Ftp;
use crate::support::log::Line;
use crate::support::plugin::pasted;
use crate::support::process::run;
use crate::support::site::{PASSWORD, USER, hash};
use crate::support::waft::Waft;
use crate::support::web::{Request, Web};

/// A server that asks that service, with the README's configuration changed like that.
fn server(web: &Web, changes: &[(&str, &str)]) -> Waft {
    let site = super::site("auth-http", &[]);
    let base = site.path("").canonicalize().unwrap();
    site.write("token", "t0ken\n");
    for user in ["bob", "carol"] {
        site.write(format!("ftp/{user}/a.txt"), user);
    }
    let mut entry = pasted("auth-http")
        .replace("https://login.example.org/ftp", &web.url("/ftp"))
        .replace("/srv/ftp", &base.join("ftp").display().to_string())
        .replace("/etc/waft/login-token", &base.join("token").display().to_string())
        .replace("[plugin.grant]", "[plugin.grant]\nhttp_private = true");
    for (old, new) in changes {
        assert!(entry.contains(old), "the README does not have {old}:\n{entry}");
        entry = entry.replace(old, new);
    }
    site.write("conf.d/plugin.toml", entry);
    site.serve()
}

/// What the service says: bob may come in, carol has left, everybody else is none of its business.
fn answer(request: &Request) -> (u16, String) {
    let question = request.json();
    match (question["user"].as_str().unwrap(), question["password"].as_str()) {
        ("bob", Some("right")) => (200, json!({ "groups": ["staff"] }).to_string()),
        ("bob", _) => (401, String::new()),
        ("carol", _) => (403, json!({ "reason": "has left" }).to_string()),
        _ => (404, String::new()),
    }
}

/// The code that a login ends with.
fn log_in(waft: &Waft, user: &str, password: &str) -> (u16, Ftp) {
    let mut client = waft.connect();
    client.expect(&format!("USER {user}"), 331);
    (client.command(&format!("PASS {password}")).code, client)
}

fn undecided(waft: &Waft) -> Line {
    waft.log.wait("who could not be decided about", |line| {
        line.message() == "login could not be decided by plugin"
    })
}

#[test]
fn a_user_of_a_web_service_logs_in() {
    let web = Web::serve(answer);
    let waft = server(&web, &[]);
    let home = waft.make("home");
    let url = format!("ftp://bob:right@{}/a.txt", waft.address());
    let Some(mut curl) = client("curl", &home) else { return };
    let fetched = run(curl.args(["-q", "-sS", "--max-time", &seconds(), &url]), b"").succeeded();
    assert_eq!(fetched.stdout(), "bob");
    let request = web.next();
    assert!(request.head.starts_with("POST /ftp HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("authorization"), "Bearer t0ken");
    let mut question = request.json();
    assert!(question["session"].take().is_u64() && question["remote"]["port"].take().is_u64());
    let expected = json!({
        "version": 1, "user": "bob", "password": "right", "session": null,
        "remote": { "ip": "127.0.0.1", "port": null },
        "listener": "public", "protocol": "ftp", "tls": null,
    });
    assert_eq!(question, expected);
    let (code, mut bob) = log_in(&waft, "bob", "right");
    assert_eq!(code, 230);
    bob.expect("TYPE I", 200);
    bob.put("STOR b.txt", b"new");
    assert_eq!(std::fs::read(waft.path("ftp/bob/b.txt")).unwrap(), b"new");
    bob.expect("DELE a.txt", 550);
}

#[test]
fn a_web_service_refuses_and_leaves_others_to_the_server() {
    let web = Web::serve(answer);
    let waft = server(&web, &[]);
    for (user, password) in [("bob", "wrong"), ("carol", "right"), ("dora", "right")] {
        assert_eq!(log_in(&waft, user, password).0, 530, "{user}");
    }
    let line = waft
        .log
        .wait("why", |line| line.message() == "denied by plugin" && line.field("user") == "carol");
    assert_eq!((line.field("plugin"), line.field("reason")), ("auth-http", "has left"));
    assert_eq!(log_in(&waft, USER, PASSWORD).0, 230);
}

#[test]
fn a_web_service_out_of_order_lets_nobody_in_and_locks_nobody_out() {
    let works = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&works);
    let web = Web::serve(move |request| match seen.load(Ordering::SeqCst) {
        true => answer(request),
        false => (500, "down".to_owned()),
    });
    let waft = server(&web, &[]);
    for _ in 0..12 {
        assert_eq!(log_in(&waft, "bob", "right").0, 530);
    }
    // Not even those whom the server knows itself: the service might have refused them.
    assert_eq!(log_in(&waft, USER, PASSWORD).0, 530);
    let line = undecided(&waft);
    assert_eq!(line.field("plugin"), "auth-http");
    assert_eq!(line.field("reason"), "the service answers: 500");
    works.store(true, Ordering::SeqCst);
    assert_eq!(log_in(&waft, "bob", "right").0, 230);
}

#[test]
fn a_web_service_that_does_not_answer_is_not_waited_for() {
    let (ended, end) = mpsc::channel::<()>();
    let web = Web::serve(move |_| {
        // Until the test is over.
        let _ = end.recv();
        (200, "{}".to_owned())
    });
    let waft = server(&web, &[("[plugin.grant]", "timeout = \"200ms\"\n[plugin.grant]")]);
    assert_eq!(log_in(&waft, "bob", "right").0, 530);
    let reason = "the service cannot be asked: it took too long";
    assert_eq!(undecided(&waft).field("reason"), reason);
    drop(ended);
}

#[test]
fn without_the_grant_the_log_tells_which_one_is_missing() {
    let web = Web::serve(answer);
    let waft = server(&web, &[("passwords = true ", "passwords = false ")]);
    assert_eq!(log_in(&waft, "bob", "right").0, 530);
    let line = undecided(&waft);
    assert!(line.field("reason").contains("grant passwords = true"), "{line:?}");
    assert!(web.so_far().is_empty());
}

#[test]
fn a_web_service_need_not_be_told_passwords() {
    let account = json!({ "password_hash": hash() }).to_string();
    let web = Web::serve(move |_| (200, account.clone()));
    let waft = server(
        &web,
        &[
            ("passwords = true ", "passwords = false "),
            ("[plugin.grant]", "passwords = \"verify\"\n[plugin.grant]"),
        ],
    );
    assert_eq!(log_in(&waft, "bob", "wrong").0, 530);
    let (code, mut bob) = log_in(&waft, "bob", PASSWORD);
    assert_eq!(code, 230);
    bob.expect("TYPE I", 200);
    assert_eq!(bob.fetch("RETR a.txt"), b"bob");
    for request in [web.next(), web.next()] {
        assert_eq!(request.json().get("password"), None::<&Value>);
    }
}

#[test]
fn a_wrong_setting_is_told_by_its_name() {
    let site = super::site("auth-http", &[("https://login.example.org", "http://10.0.0.1")]);
    site.write("token", "t0ken\n");
    let token = site.path("token").display().to_string();
    let entry = std::fs::read_to_string(site.path("conf.d/plugin.toml")).unwrap();
    let files = site.path("alice").display().to_string();
    let entry = entry.replace("/etc/waft/login-token", &token).replace("/srv/ftp", &files);
    site.write("conf.d/plugin.toml", entry);
    let checked = site.waft(&["check", "--config", "waft.toml"], "");
    assert!(!checked.status.success());
    let told = checked.stderr() + &checked.stdout();
    assert!(told.contains("url: others could read passwords"), "{told}");
}
