//! The promise of waft, end to end: a component dropped into a folder changes what the server does,
//! for clients that are connected already, and what is in flight is not disturbed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;

use rustix::process::Signal;
use support::content::{assert_file, assert_same, octets};
use support::ftp::{Ftp, Midway};
use support::log::Line;
use support::plugin::{component, with_text};
use support::site::{Site, configuration};
use support::waft::Waft;

/// The plugin, named as its file.
const POLICY: &str = "command-policy";

/// Where an operator drops it.
const DROPPED: &str = "plugins.d/command-policy.wasm";

/// Where an operator writes its settings.
const SETTINGS: &str = "conf.d/policy.toml";

/// What the component says where its settings do not.
const ITS_OWN: &str = "Command not implemented. \
     (ACTIVE mode is not supported - use PASSIVE instead!)";

/// What another build of it says.
const ANOTHER: &str = "Command not implemented. \
     (Active mode went out of use here - try passive mode)";

/// What an operator wants it to say.
const OPERATORS: &str = "Active mode is off at files.example.org: use EPSV, or PASV.";

/// Octets of a download, more than all buffers between the two ends hold: it cannot run ahead of a
/// client that does not read.
const LONG: usize = 24 << 20;

const FOLDER: &str = "[plugins]\ndirectory = \"plugins.d\"\ndebounce = \"100ms\"\n";

fn settings(message: &str) -> String {
    format!(
        "[[plugin]]\nname = \"{POLICY}\"\n[plugin.config]\ndeny = [\"active-mode\"]\n{message}\n"
    )
}

fn message(text: &str) -> String {
    format!("message = \"{text}\"")
}

/// A server with an empty plugin folder, and a long file.
fn empty_folder(settings: &str) -> Waft {
    let site = Site::new(FOLDER);
    site.make("plugins.d");
    site.write("alice/long.bin", octets(LONG, 1));
    if !settings.is_empty() {
        site.write(SETTINGS, settings);
    }
    site.serve()
}

/// Whether a line tells what has become of the plugin.
fn plugin(what: &str) -> impl Fn(&Line) -> bool {
    move |line: &Line| {
        let told = line.message().strip_prefix("plugin ");
        line.field("plugin") == POLICY && told.is_some_and(|told| told.starts_with(what))
    }
}

/// Whether a line tells that the configuration was read again.
fn reloaded(line: &Line) -> bool {
    line.message() == "configuration reloaded"
}

/// Asks for active mode in both ways.
fn ask_for_active_mode(client: &mut Ftp) -> [(u16, String); 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, eprt) = Ftp::own_port(&listener);
    [format!("PORT {port}"), format!("EPRT {eprt}")].map(|command| {
        let reply = client.command(&command);
        assert_eq!(reply.lines.len(), 1, "{reply:?}");
        (reply.code, reply.text().to_owned())
    })
}

#[track_caller]
fn refuses_with(client: &mut Ftp, text: &str) {
    let expected = (502, text.to_owned());
    assert_eq!(ask_for_active_mode(client), [expected.clone(), expected]);
}

/// Transfers over passive mode, in both ways of asking for it, and in all directions.
#[track_caller]
fn passive_transfers_go_on(client: &mut Ftp, waft: &Waft) {
    let octets = octets(100_000, 2);
    client.put("STOR passive.bin", &octets);
    assert_file(&waft.file("passive.bin"), &octets);
    let address = client.pasv();
    let data = support::ftp::connect(address);
    client.expect("RETR passive.bin", 150);
    assert_same(&client.fetch_rest(data), &octets, "passive.bin");
    assert!(String::from_utf8(client.fetch("NLST")).unwrap().contains("passive.bin\r\n"));
    client.expect("DELE passive.bin", 250);
}

/// Does something to the folder while a transfer of each direction waits in its middle, waits until
/// the log tells that it took effect, and lets the transfers go on.
fn swap(waft: &Waft, act: impl FnOnce(&Site), what: &str) -> Line {
    let sent = octets(3 << 20, 3);
    let [head, tail] = support::ftp::halves(&sent);
    let midway = Midway::begin([waft.log_in(), waft.log_in()], "long.bin", "meanwhile.bin", head);
    let line = waft.and_wait(act, &format!("plugin {what}"), plugin(what));
    assert!(!waft.file("meanwhile.bin").exists(), "an upload is seen before it is complete");
    assert_same(&midway.finish(tail).0, &octets(LONG, 1), "long.bin");
    assert_file(&waft.file("meanwhile.bin"), &sent);
    fs::remove_file(waft.file("meanwhile.bin")).unwrap();
    line
}

#[test]
fn a_connected_client_follows_what_happens_to_the_folder() {
    let waft = empty_folder("");
    let policy = component(POLICY);
    let mut client = waft.log_in();
    let [built_in, for_eprt] = ask_for_active_mode(&mut client);
    assert_eq!(built_in.0, 502);
    assert_eq!(built_in, for_eprt);
    assert_ne!(built_in.1, OPERATORS);

    // The settings first: a plugin that is not there yet is no mistake.
    waft.and_wait(|site| site.write(SETTINGS, settings(&message(OPERATORS))), "reload", reloaded);
    refuses_with(&mut client, &built_in.1);

    swap(&waft, |site| site.write(DROPPED, &policy), "loaded");
    refuses_with(&mut client, OPERATORS);
    passive_transfers_go_on(&mut client, &waft);

    // Without a text of the operator's, the component has one of its own.
    swap(&waft, |site| site.write(SETTINGS, settings("")), "replaced");
    refuses_with(&mut client, ITS_OWN);

    swap(
        &waft,
        |site| site.write(DROPPED, with_text(policy.clone(), ITS_OWN, ANOTHER)),
        "replaced",
    );
    refuses_with(&mut client, ANOTHER);
    passive_transfers_go_on(&mut client, &waft);

    let refusal = swap(&waft, |site| site.write(DROPPED, "garbage\n".repeat(999)), "not replaced");
    assert!(refusal.is_alarming(), "{}", refusal.text);
    assert!(refusal.text.contains("not a WebAssembly component"), "{}", refusal.text);
    assert!(refusal.text.contains(DROPPED), "{}", refusal.text);
    refuses_with(&mut client, ANOTHER);
    passive_transfers_go_on(&mut client, &waft);

    // Looking at the folder again, for whatever reason, does not tell it again.
    waft.and_wait(|_| waft.signal(Signal::HUP), "reload", reloaded);
    let told = waft.log.lines().iter().filter(|line| plugin("not replaced")(line)).count();
    assert_eq!(told, 1, "{}", waft.log.text());
    refuses_with(&mut client, ANOTHER);

    swap(&waft, |site| fs::remove_file(site.path(DROPPED)).unwrap(), "removed");
    refuses_with(&mut client, &built_in.1);
    passive_transfers_go_on(&mut client, &waft);

    swap(&waft, |site| site.write(DROPPED, &policy), "loaded");
    refuses_with(&mut client, ITS_OWN);
    client.expect("QUIT", 221);
    client.expect_end();
}

#[test]
fn a_component_that_is_renamed_into_the_folder_is_loaded() {
    let waft = empty_folder(&settings(&message(OPERATORS)));
    let mut client = waft.log_in();
    waft.write("upload/policy.part", component(POLICY));
    let rename = |site: &Site| {
        fs::rename(site.path("upload/policy.part"), site.path(DROPPED)).unwrap();
    };
    waft.and_wait(rename, "plugin loaded", plugin("loaded"));
    refuses_with(&mut client, OPERATORS);
}

#[test]
fn a_component_that_is_still_being_written_is_never_loaded() {
    let waft = empty_folder(&settings(""));
    let mut client = waft.log_in();
    let [(_, built_in), _] = ask_for_active_mode(&mut client);
    grow(&waft, &component(POLICY), "not loaded", "loaded", || {
        refuses_with(&mut client, &built_in)
    });
    refuses_with(&mut client, ITS_OWN);

    // Over a version that runs: that one runs on until the next is complete.
    let another = with_text(component(POLICY), ITS_OWN, ANOTHER);
    grow(&waft, &another, "not replaced", "replaced", || refuses_with(&mut client, ITS_OWN));
    refuses_with(&mut client, ANOTHER);
}

/// Writes a component piece by piece, each of which rests for so long that the server looks at it.
fn grow(waft: &Waft, component: &[u8], meanwhile: &str, then: &str, mut check: impl FnMut()) {
    let mark = waft.log.mark();
    waft.and_wait(|site| site.write(DROPPED, &component[..100]), meanwhile, plugin(meanwhile));
    check();
    let mut file = OpenOptions::new().append(true).open(waft.path(DROPPED)).unwrap();
    let (most, rest) = component[100..].split_at(component.len() / 2);
    waft.and_wait(|_| file.write_all(most).unwrap(), meanwhile, plugin(meanwhile));
    check();
    assert!(!waft.log.since(mark).iter().any(plugin(then)), "{}", waft.log.text());
    waft.and_wait(|_| file.write_all(rest).unwrap(), then, plugin(then));
}

#[test]
fn a_text_that_the_operator_edits_reaches_connected_clients() {
    let site = Site::new(&format!("{FOLDER}\n{}", settings(&message(OPERATORS))));
    site.write(DROPPED, component(POLICY));
    let waft = site.serve();
    let mut client = waft.log_in();
    refuses_with(&mut client, OPERATORS);

    let edited = |text: &str| configuration(&format!("{FOLDER}\n{}", settings(&message(text))));
    let edit = |site: &Site| site.write("waft.toml", edited("Passive mode, please."));
    waft.and_wait(edit, "plugin replaced", plugin("replaced"));
    refuses_with(&mut client, "Passive mode, please.");

    let edit = |site: &Site| {
        site.write("waft.toml", edited("Be passive."));
        waft.signal(Signal::HUP);
    };
    waft.and_wait(edit, "plugin replaced", plugin("replaced"));
    refuses_with(&mut client, "Be passive.");
}

#[test]
fn a_component_that_is_garbage_at_the_start_keeps_the_server_from_starting() {
    let site = Site::new(FOLDER);
    site.write(DROPPED, "garbage");
    let ended = site.waft(&["serve", "--config", "waft.toml"], "");
    assert_eq!(ended.status.code(), Some(2), "{}", ended.story());
    assert!(ended.stderr().contains("not a WebAssembly component"), "{}", ended.story());
    assert!(ended.stderr().contains("command-policy.wasm"), "{}", ended.story());
}

#[test]
fn a_component_that_breaks_costs_a_reply_and_not_the_session() {
    let hostile = |on_error: &str| {
        configuration(&format!(
            "[[plugin]]\nname = \"hostile\"\npath = \"components/hostile.wasm\"\n\
             on_error = \"{on_error}\"\n\
             [plugin.config]\ncommand = \"trap\"\nverbs = [\"NOOP\"]\n"
        ))
    };
    let site = Site::new("");
    site.write("waft.toml", hostile("deny"));
    site.write("components/hostile.wasm", component("tests/hostile"));
    let waft = site.serve();
    let mut client = waft.log_in();
    client.expect("NOOP", 451);
    let told = waft.log.wait("the failure", |line| line.message() == "plugin failed");
    assert!(told.field("reason").starts_with("trap"), "{}", told.text);
    passive_transfers_go_on(&mut client, &waft);
    client.expect("NOOP", 451);

    let allow = |site: &Site| site.write("waft.toml", hostile("allow"));
    waft.and_wait(allow, "plugin replaced", |line| line.message() == "plugin replaced");
    client.expect("NOOP", 200);
}
