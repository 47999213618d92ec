//! Plugins that bring commands along, hear events and keep time, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::time::Instant;

use rustix::process::Signal;
use support::PATIENCE;
use support::control::Control;
use support::ftp::Ftp;
use support::log::Line;
use support::plugin::component;
use support::site::{PASSWORD, Site, USER};
use support::waft::Waft;

/// A site with the guest in its folder.
fn site() -> Site {
    let site = Site::new("[plugins]\ndirectory = \"plugins.d\"\n");
    site.write("plugins.d/errands.wasm", component("tests/errands"));
    site
}

/// The same with a state directory.
fn lasting() -> Site {
    let site = site();
    let text = std::fs::read_to_string(site.path("waft.toml")).unwrap();
    site.write("waft.toml", text.replace("[server]\n", "[server]\nstate = \"state\"\n"));
    site.make("state");
    site
}

/// A server with the guest in its folder.
fn server(settings: &str) -> Waft {
    let site = site();
    let plugin = "[[plugin]]\nname = \"errands\"\nlimits = { instances = 1 }\n[plugin.config]\n";
    site.write("conf.d/errands.toml", format!("{plugin}{settings}\n"));
    site.serve()
}

fn text(client: &mut Ftp, command: &str, code: u16) -> String {
    client.expect(command, code).lines.join("\n")
}

/// Whether a line tells that the guest heard an event that begins like that.
fn heard(beginning: &str) -> impl Fn(&Line) -> bool {
    move |line: &Line| {
        let told = line.field("fields");
        line.message() == "heard" && told.contains(&format!("event=\"{beginning}"))
    }
}

#[test]
fn a_plugins_commands_are_told_of_and_answered_like_the_servers_own() {
    let waft = server("");
    let mut client = waft.connect();
    for command in ["SITE ECHO hello", "XECHO hello", "OPTS XECHO a"] {
        let expected = if command.starts_with("OPTS") { 501 } else { 530 };
        client.expect(command, expected);
    }
    client.log_in(USER, PASSWORD);
    assert_eq!(client.expect("site echo hello", 200).text(), "SITE ECHO of alice: hello");
    assert_eq!(client.expect("xecho", 200).text(), "XECHO of alice: nothing");
    client.expect("XECHO \u{1}", 200);
    client.expect("SITE NONE", 500);
    client.expect("XNONE", 500);
    let features = text(&mut client, "FEAT", 211);
    assert!(features.contains("SITE CHMOD;HELP;UTIME;ECHO;HEARD;TICKS"), "{features}");
    assert!(features.contains("XECHO any text"), "{features}");
    assert!(text(&mut client, "HELP", 214).contains("XECHO"));
    let help = client.expect("HELP XECHO", 214);
    assert_eq!(help.text(), "XECHO - says what it was told");
    let site = text(&mut client, "HELP SITE", 214);
    assert!(site.contains("ECHO - says what it was told"), "{site}");
    let line = waft.log.wait("the command of a plugin", |line| {
        line.message() == "command of a plugin" && line.field("command") == "XECHO"
    });
    assert_eq!(line.field("plugin"), "errands");
}

#[test]
fn a_plugins_command_waits_for_the_end_of_a_transfer() {
    let waft = server("");
    let mut client = waft.log_in();
    let data = client.begin("STOR slow.bin");
    client.send("XECHO after");
    client.send("NOOP");
    client.put_rest(data, b"whole");
    assert_eq!(client.reply().text(), "XECHO of alice: after");
    assert_eq!(client.reply().code, 200);
    assert_eq!(std::fs::read(waft.file("slow.bin")).unwrap(), b"whole");
}

#[test]
fn a_plugin_hears_what_a_client_did() {
    let waft = server("events = [\"session.*\", \"transfer.*\", \"file.*\", \"auth.*\"]");
    let mut client = waft.connect();
    client.expect("USER alice", 331);
    client.expect("PASS wrong", 530);
    client.log_in(USER, PASSWORD);
    client.put("STOR a.txt", b"12345");
    assert_eq!(client.fetch("RETR a.txt"), b"12345");
    client.expect("RNFR a.txt", 350);
    client.expect("RNTO b.txt", 250);
    client.expect("DELE b.txt", 250);
    client.expect("QUIT", 221);
    for beginning in [
        "session.open listener=",
        "auth.fail listener=",
        "auth.ok listener=",
        "transfer.upload.done listener=",
        "transfer.download.done listener=",
        "file.rename listener=",
        "file.remove listener=",
        "session.close listener=",
    ] {
        waft.log.wait(beginning, heard(beginning));
    }
    let line = waft.log.wait("the upload", heard("transfer.upload.done"));
    let told = line.field("fields");
    assert!(told.ends_with("user=alice tls=false path=/a.txt bytes=5\""), "{told}");
}

#[test]
fn events_that_wait_are_delivered_before_the_server_ends() {
    let mut waft = server("events = [\"session.close\"]");
    waft.log_in().expect("QUIT", 221);
    waft.signal(Signal::TERM);
    assert!(waft.wait_for_end().success());
    waft.log.wait_for_end();
    assert!(waft.log.lines().iter().any(heard("session.close")), "{}", waft.log.text());
}

/// The names of the files that the guest heard of uploads of, which begin like that.
fn uploads_heard(waft: &Waft, beginning: &str) -> Vec<String> {
    let lines = waft.log.lines().into_iter().filter(heard("transfer.upload.done"));
    let names = lines.filter_map(|line| {
        let told = line.field("fields");
        let (name, _) = told.split_once("path=/")?.1.split_once(' ')?;
        Some(name.to_owned())
    });
    names.filter(|name| name.starts_with(beginning)).collect()
}

/// How many events wait for the guest, and how many of them on the disk.
fn waiting(control: &mut Control) -> (u64, u64) {
    let events = &control.plugins()["plugins"][0]["events"];
    (events["waiting"].as_u64().unwrap(), events["spooled"].as_u64().unwrap())
}

/// Waits until so many wait, all of them on the disk.
fn wait_for_spool(control: &mut Control, count: u64) {
    let deadline = Instant::now() + PATIENCE;
    while waiting(control) != (count, count) {
        assert!(Instant::now() < deadline, "{:?}", waiting(control));
    }
}

#[test]
fn events_that_are_to_last_outlive_a_crash_and_come_in_their_order() {
    const UPLOADS: usize = 120;
    let settings = |refusals: &str| {
        format!(
            "[[plugin]]\nname = \"errands\"\nlimits = {{ instances = 1, log_lines = 10000 }}\n\
             grant = {{ durable_events = true }}\n[plugin.config]\n\
             events = [\"transfer.*\"]\nrefuse = \"{refusals}\"\n"
        )
    };
    let site = lasting();
    site.write("conf.d/errands.toml", settings("1000000"));
    let mut waft = site.serve();
    let mut control = Control::connect(&waft.path("state/control.sock"));
    let (mut a, mut b) = (waft.log_in(), waft.log_in());
    for number in 0..UPLOADS {
        a.put(&format!("STOR a{number}"), b"a");
        b.put(&format!("STOR b{number}"), b"b");
    }
    wait_for_spool(&mut control, 2 * UPLOADS as u64);
    let told = waft.waft(&["plugin", "status", "errands", "--config", "waft.toml"], "");
    let told = told.succeeded().stdout();
    assert!(told.contains("events on disk          240, "), "{told}");
    waft.kill();
    waft.write("conf.d/errands.toml", settings("0"));
    waft.start_again();
    waft.log.wait("the last event", |line| line.field("fields").contains(" path=/b119 "));
    for which in ["a", "b"] {
        let all: Vec<String> = (0..UPLOADS).map(|number| format!("{which}{number}")).collect();
        assert_eq!(uploads_heard(&waft, which), all);
    }
    // What was delivered is not delivered again.
    let mut control = Control::connect(&waft.path("state/control.sock"));
    wait_for_spool(&mut control, 0);
    waft.log_in().put("STOR c", b"c");
    waft.signal(Signal::TERM);
    assert!(waft.wait_for_end().success());
    waft.start_again();
    waft.log_in().put("STOR d", b"d");
    waft.log.wait("the next event", |line| line.field("fields").contains(" path=/d "));
    assert_eq!(uploads_heard(&waft, ""), ["d"]);
}

#[test]
fn a_damaged_spool_is_put_aside_and_told() {
    let site = lasting();
    let entry = "[[plugin]]\nname = \"errands\"\ngrant = { durable_events = \"1MiB\" }\n\
                 config = { events = [\"auth.ok\"] }\n";
    site.write("conf.d/errands.toml", entry);
    site.write("state/events/errands.redb", "not a spool at all\n");
    let waft = site.serve();
    waft.log.wait("the damage", |line| {
        line.message() == "events on disk are damaged, put aside"
            && line.field("aside").ends_with("events/errands.redb.damaged")
    });
    waft.log_in();
    waft.log.wait("the event", heard("auth.ok"));
}

#[test]
fn events_cannot_last_where_there_is_no_place_for_them() {
    let site = site();
    let entry = "[[plugin]]\nname = \"errands\"\n\
                 grant = { durable_events = true }\n";
    site.write("conf.d/errands.toml", entry);
    let told = site.waft(&["check", "--config", "waft.toml"], "");
    assert!(!told.status.success());
    let place = "errands.toml:3:28: plugin.0.grant.durable_events: nowhere to keep them";
    assert!(told.stderr().contains(place), "{}", told.stderr());
}
