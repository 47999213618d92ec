//! Plugins that bring commands along, hear events and keep time, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use rustix::process::Signal;
use support::ftp::Ftp;
use support::log::Line;
use support::plugin::component;
use support::site::{PASSWORD, Site, USER};
use support::waft::Waft;

/// A server with the guest in its folder.
fn server(settings: &str) -> Waft {
    let site = Site::new("[plugins]\ndirectory = \"plugins.d\"\n");
    site.write("plugins.d/errands.wasm", component("tests/errands"));
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
    assert_eq!(text(&mut client, "site echo hello", 200), "SITE ECHO of alice: hello");
    assert_eq!(text(&mut client, "xecho", 200), "XECHO of alice: nothing");
    client.expect("XECHO \u{1}", 200);
    client.expect("SITE NONE", 500);
    client.expect("XNONE", 500);
    let features = text(&mut client, "FEAT", 211);
    assert!(features.contains("SITE CHMOD;HELP;UTIME;ECHO;HEARD;TICKS"), "{features}");
    assert!(features.contains("XECHO any text"), "{features}");
    assert!(text(&mut client, "HELP", 214).contains("XECHO"));
    assert_eq!(text(&mut client, "HELP XECHO", 214), "XECHO - says what it was told");
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
