//! `webhook`: events for a web service.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use aws_lc_rs::hmac;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::client::{client, seconds};
use crate::support::control::Control;
use crate::support::plugin::pasted;
use crate::support::process::run;
use crate::support::site::Site;
use crate::support::waft::Waft;
use crate::support::web::Web;

const KEY: &str = "s3cr3t";

/// A server that posts its events there.
fn server(url: &str, changes: &[(&str, &str)]) -> Waft {
    server_of(super::site("webhook", &[]), url, changes)
}

/// A site with a state directory.
fn lasting() -> Site {
    let site = super::site("webhook", &[]);
    let text = std::fs::read_to_string(site.path("waft.toml")).unwrap();
    site.write("waft.toml", text.replace("[server]\n", "[server]\nstate = \"state\"\n"));
    site.make("state");
    site
}

fn server_of(site: Site, url: &str, changes: &[(&str, &str)]) -> Waft {
    site.write("key", format!("{KEY}\n"));
    let mut entry = pasted("webhook")
        .replace("https://hooks.example.org/ftp", url)
        .replace("/etc/waft/webhook-key", &site.path("key").display().to_string())
        .replace("[plugin.grant]", "[plugin.grant]\nhttp_private = true");
    for (old, new) in changes {
        assert!(entry.contains(old), "the README does not have {old}:\n{entry}");
        entry = entry.replace(old, new);
    }
    site.write("conf.d/plugin.toml", entry);
    site.serve()
}

/// The events of all batches up to one of that name.
fn events_until(web: &Web, name: &str) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    while !events.iter().any(|event| event["name"] == name) {
        events.extend(web.next().json().as_array().unwrap().iter().cloned());
    }
    events
}

#[test]
fn a_web_service_is_told_of_uploads_and_can_tell_who_tells() {
    let web = Web::serve(|_| (204, String::new()));
    let waft = server(&web.url("/ftp"), &[]);
    let home = waft.make("home");
    waft.write("home/new.txt", "of alice\n");
    let Some(mut curl) = client("curl", &home) else { return };
    curl.args(["-q", "-sS", "--max-time", &seconds(), "--upload-file", "new.txt"]);
    run(curl.arg(waft.url("new.txt")), b"").succeeded();
    let request = web.next();
    assert!(request.head.starts_with("POST /ftp HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("content-type"), "application/json");
    let signature = request.header("x-waft-signature").strip_prefix("sha256=").unwrap();
    let octets: Vec<u8> = (0..signature.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&signature[at..at + 2], 16).unwrap())
        .collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    hmac::verify(&key, &request.body, &octets).unwrap();
    let told = request.json();
    let event = &told[0];
    assert_eq!(event["name"], "transfer.upload.done");
    assert_eq!((&event["user"], &event["path"]), (&"alice".into(), &"/new.txt".into()));
    assert_eq!((&event["bytes"], &event["tls"]), (&9.into(), &false.into()));
    assert!(event["id"].is_u64() && event["session"].is_u64() && event["listener"] == "public");
    let time = event["time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 24, "{time}");
}

#[test]
fn what_a_web_service_does_not_take_comes_again_before_all_later() {
    let asked = AtomicUsize::new(0);
    let web = Web::serve(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0..2 => (503, String::new()),
        _ => (200, String::new()),
    });
    let waft = server(&web.url("/ftp"), &[]);
    let mut client = waft.log_in();
    client.put("STOR a.txt", b"a");
    let refused = web.next().json();
    let line =
        waft.log.wait("a refusal", |line| line.message() == "events not taken, trying again");
    assert_eq!(line.field("reason"), "the service answers: 503");
    client.put("STOR b.txt", b"b");
    assert_eq!(client.fetch("RETR b.txt"), b"b");
    assert_eq!(web.next().json(), refused);
    let events = events_until(&web, "transfer.download.done");
    assert_eq!(events[0], refused[0]);
    let ids: Vec<u64> = events.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let paths: Vec<_> = events.iter().map(|event| event["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/a.txt", "/b.txt", "/b.txt"]);
}

#[test]
fn only_the_events_that_are_named_are_posted_and_what_is_refused_may_be_dropped() {
    let asked = AtomicUsize::new(0);
    let web = Web::serve(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => (422, String::new()),
        _ => (200, String::new()),
    });
    let waft = server(
        &web.url("/ftp"),
        &[("events = [\"transfer.*\", ", "refused = \"drop\"\nevents = [\"file.*\", ")],
    );
    let mut client = waft.connect();
    client.expect("USER alice", 331);
    client.expect("PASS wrong", 530);
    assert_eq!(web.next().json()[0]["name"], "auth.fail");
    let line = waft.log.wait("what was dropped", |line| {
        line.message() == "events refused by the service, dropped"
    });
    assert_eq!(line.field("plugin"), "webhook");
    let mut client = waft.log_in();
    client.put("STOR a.txt", b"a");
    client.expect("DELE a.txt", 250);
    let events = events_until(&web, "file.remove");
    assert_eq!(events.len(), 1, "{events:?}");
}

#[test]
fn a_mistake_in_the_settings_is_told_by_its_name() {
    let site = super::site("webhook", &[("transfer.*", "transfer.upload.don")]);
    site.write("key", KEY);
    let key = site.path("key").display().to_string();
    let entry = std::fs::read_to_string(site.path("conf.d/plugin.toml")).unwrap();
    site.write("conf.d/plugin.toml", entry.replace("/etc/waft/webhook-key", &key));
    let checked = site.waft(&["check", "--config", "waft.toml"], "");
    assert!(!checked.status.success());
    let told = checked.stderr() + &checked.stdout();
    assert!(told.contains("events.0: no event, did you mean transfer.upload.done"), "{told}");
}

#[test]
fn events_for_a_service_that_cannot_be_reached_outlive_a_crash() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}/ftp");
    let durable = [("[plugin.grant]", "[plugin.grant]\ndurable_events = true")];
    let mut waft = server_of(lasting(), &url, &durable);
    let mut control = Control::connect(&waft.path("state/control.sock"));
    let mut client = waft.log_in();
    for number in 0..3 {
        client.put(&format!("STOR {number}"), b"a");
    }
    let deadline = Instant::now() + PATIENCE;
    while control.plugins()["plugins"][0]["events"]["spooled"] != 3 {
        assert!(Instant::now() < deadline, "{}", control.plugins());
    }
    waft.kill();
    let web = Web::serve(|_| (200, String::new()));
    let entry = std::fs::read_to_string(waft.path("conf.d/plugin.toml")).unwrap();
    waft.write("conf.d/plugin.toml", entry.replace(&url, &web.url("/ftp")));
    waft.start_again();
    let mut client = waft.log_in();
    client.put("STOR later", b"a");
    client.expect("DELE later", 250);
    assert_eq!(client.fetch("RETR 0"), b"a");
    let events = events_until(&web, "transfer.download.done");
    let paths: Vec<_> = events.iter().map(|event| event["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/0", "/1", "/2", "/later", "/0"]);
    let ids: Vec<u64> = events.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}
