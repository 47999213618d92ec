//! What operators ask of a server that runs, and the numbers that it tells.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use serde_json::Value;
use support::log::Line;
use support::plugin::{another, component};
use support::process::Finished;
use support::prometheus::get;
use support::site::Site;
use support::waft::Waft;

const PLUGIN: &str = "[[plugin]]\nname = \"strict\"\n[plugin.config]\ncommand = \"trap\"\nverbs = \
                      [\"NOOP\"]\n";

const CONTROL: [&str; 2] = ["--config", "waft.toml"];

/// A server with a plugin that fails on NOOP.
fn server(more: &str) -> Waft {
    let plugins = "[plugins]\ndirectory = \"plugins.d\"\n[control]\nsocket = \"ask.sock\"\n";
    let site = Site::new(&format!("{plugins}{more}\n{PLUGIN}"));
    site.write("plugins.d/strict.wasm", component("tests/hostile"));
    site.serve()
}

fn ask(waft: &Waft, arguments: &[&str]) -> Finished {
    waft.waft(&[arguments, &CONTROL].concat(), "")
}

fn json(waft: &Waft, arguments: &[&str]) -> Value {
    let told = ask(waft, &[arguments, &["--json"]].concat()).succeeded();
    serde_json::from_slice(&told.stdout).unwrap()
}

#[test]
fn an_operator_sees_how_server_and_plugins_are() {
    let waft = server("");
    let mut client = waft.log_in();
    client.expect("NOOP", 451);
    let status = json(&waft, &["status"]);
    assert_eq!((&status["sessions"], &status["plugins"]["in_force"]), (&1.into(), &1.into()));
    assert_eq!((&status["counts"]["logins"], &status["pid"].is_u64()), (&1.into(), &true));
    let plugins = json(&waft, &["plugin", "list"]);
    let strict = &plugins["plugins"][0];
    assert_eq!((&strict["name"], &strict["state"]), (&"strict".into(), &"active".into()));
    assert_eq!((&strict["counts"]["calls"], &strict["counts"]["traps"]), (&2.into(), &1.into()));
    assert_eq!(strict["last_error"]["hook"], "command-filter");
    assert!(strict["p50_us"].as_u64() <= strict["p99_us"].as_u64(), "{strict}");
    let lines = ask(&waft, &["plugin", "list"]).succeeded().lines();
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(cells(&lines[0])[..3], ["NAME", "STATE", "GENERATION"]);
    let digest = &strict["sha256"].as_str().unwrap()[..12];
    assert_eq!(cells(&lines[1])[..5], ["strict", "active", "1", digest, "2"]);
    let told = ask(&waft, &["plugin", "status", "strict"]).succeeded().stdout();
    for part in ["calls                   2, 1 traps,", "last error", "command-filter: trap: "] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(ask(&waft, &["status"]).succeeded().stdout().contains("\nlogins                  1\n"));
}

#[test]
fn an_operator_takes_a_plugin_out_and_in_and_goes_back_to_the_version_before() {
    let waft = server("");
    let mut client = waft.log_in();
    let told = ask(&waft, &["plugin", "disable", "strict"]).succeeded().stdout();
    assert_eq!(told, "strict: disabled\n");
    client.expect("NOOP", 200);
    let listed = ask(&waft, &["plugin", "list"]).succeeded().stdout();
    assert!(listed.contains("strict: disabled by the operator"), "{listed}");
    assert_eq!(
        ask(&waft, &["plugin", "enable", "strict"]).succeeded().stdout(),
        "strict: loaded\n"
    );
    client.expect("NOOP", 451);
    let refused = ask(&waft, &["plugin", "rollback", "strict"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        refused.stderr(),
        "error: no version before to go back to: strict\n  remedy: put the files and the settings of the \
         version before in their place\n"
    );
    let replaced = |line: &Line| line.message() == "plugin replaced";
    let drop_in = |site: &Site| {
        site.write("plugins.d/new.part", another(&component("tests/hostile")));
        std::fs::rename(site.path("plugins.d/new.part"), site.path("plugins.d/strict.wasm"))
            .unwrap();
    };
    waft.and_wait(drop_in, "the other version", replaced);
    let told = ask(&waft, &["plugin", "rollback", "strict"]).succeeded().stdout();
    assert!(told.starts_with("strict: rolled back from "), "{told}");
    assert_eq!(ask(&waft, &["plugin", "drain", "strict"]).succeeded().lines().len(), 1);
    let again = ask(&waft, &["plugin", "reload", "strict"]).succeeded().stdout();
    assert_eq!(again, "strict: replaced\n");
    let asked = waft.log.wait("who asked", |line| {
        line.message() == "asked over the control socket" && line.field("what") == "reload"
    });
    assert_eq!(asked.field("plugin"), "strict");
}

#[test]
fn a_new_version_is_tried_on_a_share_of_sessions_and_promoted() {
    let waft = server("");
    waft.site.write("conf.d/strict.toml", "[[plugin]]\nname = \"strict\"\ncanary = \"50%\"\n");
    waft.and_wait(
        |site| site.write("conf.d/more.toml", ""),
        "the reload",
        |line| line.message() == "configuration reloaded",
    );
    waft.site.write("plugins.d/strict.wasm", another(&component("tests/hostile")));
    ask(&waft, &["plugin", "reload"]);
    let status = json(&waft, &["plugin", "list"]);
    let (now, tried) = (&status["plugins"][0], &status["canaries"][0]);
    assert_eq!((&now["state"], &tried["state"]), (&"active".into(), &"canary".into()));
    assert_ne!(now["sha256"], tried["sha256"]);
    let told = ask(&waft, &["plugin", "promote", "strict"]).succeeded().stdout();
    assert_eq!(told, "strict: promoted\n");
    assert_eq!(json(&waft, &["plugin", "list"])["plugins"][0]["sha256"], tried["sha256"]);
}

/// A site with two plugins, one of which may bring commands along that are the other's.
fn rivals(first: &str, late: &str) -> Site {
    let site = Site::new(&format!(
        "[plugins]\ndirectory = \"plugins.d\"\n[control]\nsocket = \"ask.sock\"\n\
         [[plugin]]\nname = \"errands\"\n[[plugin]]\nname = \"late\"\n{late}\n"
    ));
    site.write("plugins.d/late.wasm", component(first));
    site
}

/// How often FEAT tells of the command, to each of some sessions.
fn owners(waft: &Waft) -> Vec<usize> {
    let mut sessions: Vec<_> = (0..4).map(|_| waft.log_in()).collect();
    let features = sessions.iter_mut().map(|session| session.expect("FEAT", 211).lines.join(";"));
    features.map(|features| features.matches("ECHO;").count()).collect()
}

#[test]
fn a_version_that_is_tried_takes_no_command_of_another_plugin() {
    let site = rivals("tests/echo-verdict", "canary = \"99%\"");
    site.write("plugins.d/errands.wasm", component("tests/errands"));
    let waft = site.serve();
    waft.and_wait(
        |site| site.write("plugins.d/late.wasm", component("tests/errands")),
        "the refusal",
        |line| {
            line.message() == "plugin not replaced, the version before stays in force"
                && line.text.contains("which the plugin errands answers already")
        },
    );
    assert_eq!(json(&waft, &["plugin", "list"])["canaries"], Value::Array(Vec::new()));
    assert_eq!(owners(&waft), [1; 4]);
}

#[test]
fn a_version_before_takes_no_command_of_another_plugin() {
    let waft = rivals("tests/errands", "").serve();
    for (file, component_name, message) in [
        ("late", "tests/echo-verdict", "plugin replaced"),
        ("errands", "tests/errands", "plugin loaded"),
    ] {
        waft.and_wait(
            |site| site.write(format!("plugins.d/{file}.wasm"), component(component_name)),
            message,
            |line| line.message() == message && line.field("plugin") == file,
        );
    }
    let refused = ask(&waft, &["plugin", "rollback", "late"]);
    assert_eq!(refused.status.code(), Some(1));
    let expected = "error: the version before of late is not taken: brings SITE ECHO along, which \
                    the plugin errands answers already\n  remedy: remove one of the two, ";
    assert!(refused.stderr().starts_with(expected), "{}", refused.stderr());
    assert_eq!(owners(&waft), [1; 4]);
}

#[test]
fn what_keeps_an_earlier_version_is_told_until_it_ends() {
    let waft = server("");
    let mut client = waft.log_in();
    let data = client.begin("STOR a");
    waft.site.write("plugins.d/strict.wasm", another(&component("tests/hostile")));
    let replaced = ask(&waft, &["plugin", "reload", "strict"]).succeeded().stdout();
    assert_eq!(replaced, "strict: replaced\n");
    let draining = &json(&waft, &["plugin", "list"])["draining"][0];
    assert_eq!((&draining["name"], &draining["state"]), (&"strict".into(), &"draining".into()));
    assert_eq!((&draining["transfers"], &draining["since_generation"]), (&1.into(), &1.into()));
    let listed = ask(&waft, &["plugin", "list"]).succeeded().stdout();
    assert!(
        listed.contains("\nstrict: draining generation 1: transfers: 1, instances: "),
        "{listed}"
    );
    let status = ask(&waft, &["plugin", "status", "strict"]).succeeded().stdout();
    assert!(status.contains("\ntransfers               1\n"), "{status}");
    assert_eq!(ask(&waft, &["plugin", "drain", "strict", "--timeout", "0"]).status.code(), Some(3));
    client.put_rest(data, b"abc");
    ask(&waft, &["plugin", "drain", "strict"]).succeeded();
    assert_eq!(json(&waft, &["plugin", "list"])["draining"], Value::Array(Vec::new()));
}

#[test]
fn a_plugin_in_the_shadow_decides_nothing_and_is_logged() {
    let control = "[control]\nsocket = \"ask.sock\"\n";
    let site = Site::new(&format!("[plugins]\ndirectory = \"plugins.d\"\n{control}"));
    site.write("plugins.d/strict.wasm", component("tests/hostile"));
    let shadow = PLUGIN.replace("[plugin.config]", "shadow = true\n[plugin.config]");
    site.write("conf.d/strict.toml", shadow);
    let waft = site.serve();
    waft.log_in().expect("NOOP", 200);
    let told = waft.log.wait("what it would have done", |line| {
        line.message() == "plugin would have failed the command"
    });
    let fields = ["plugin", "hook", "verb", "command"].map(|name| told.field(name));
    assert_eq!(fields, ["strict", "command-filter", "NOOP", "NOOP"]);
    assert_eq!(told.value("code"), 451);
    let listed = ask(&waft, &["plugin", "list"]).succeeded().stdout();
    assert!(listed.contains("strict  shadow "), "{listed}");
    let told = "strict: only listened to, would have acted: 1\n";
    assert!(listed.contains(told), "{listed}");
    let status = ask(&waft, &["plugin", "status", "strict"]).succeeded().stdout();
    assert!(status.contains("would have acted        1\n"), "{status}");
    let shown = &json(&waft, &["plugin", "list"])["plugins"][0];
    assert_eq!((&shown["shadow"], &shown["differed"]), (&Value::Bool(true), &Value::from(1)));
}

#[test]
fn a_file_that_is_not_taken_is_told_with_its_reason() {
    let waft = server("");
    waft.site.write("plugins.d/strict.wasm", "garbage");
    let told = ask(&waft, &["plugin", "reload", "strict"]);
    assert_eq!(told.status.code(), Some(1));
    let listed = ask(&waft, &["plugin", "list"]).succeeded().stdout();
    assert!(listed.contains("strict: not a WebAssembly component"), "{listed}");
    let unknown = ask(&waft, &["plugin", "reload", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
    let expected = "error: no plugin of this name: nobody\n  remedy: see waft plugin list\n";
    assert_eq!(unknown.stderr(), expected);
}

#[test]
fn the_socket_is_its_owners_alone_and_gone_with_the_server() {
    let mut waft = server("");
    let socket = waft.path("ask.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    waft.signal(rustix::process::Signal::TERM);
    waft.wait_for_end();
    assert!(!socket.exists());
    let told = ask(&waft, &["status"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(told.stderr().starts_with("error: no server runs here: "), "{}", told.stderr());
}

#[test]
fn a_socket_that_nobody_serves_any_more_is_taken_over_and_one_that_is_served_is_not() {
    let plugins = "[server]\nstate = \"state\"\n";
    let text = |site: &Site| {
        let written = std::fs::read_to_string(site.path("waft.toml")).unwrap();
        site.write("waft.toml", written.replace("[server]\n", plugins));
    };
    let site = Site::new("");
    text(&site);
    site.make("state");
    // Dropped, a listener leaves its file behind.
    drop(UnixListener::bind(site.path("state/control.sock")).unwrap());
    let waft = site.serve();
    ask(&waft, &["status"]).succeeded();
    let other = Site::new("");
    let state = format!("[server]\nstate = \"{}\"\n", waft.path("state").display());
    let written = std::fs::read_to_string(other.path("waft.toml")).unwrap();
    other.write("waft.toml", written.replace("[server]\n", &state));
    let other = other.serve();
    let told =
        other.log.wait("the refusal", |line| line.message().starts_with("no control socket"));
    assert_eq!(told.field("error"), "another server serves it");
    ask(&waft, &["status"]).succeeded();
}

#[test]
fn without_a_socket_the_remedy_is_told() {
    let site = Site::new("");
    let told = site.waft(&[&["status"][..], &CONTROL].concat(), "");
    assert_eq!(told.status.code(), Some(1));
    assert!(told.stderr().contains("remedy: set state in [server], or socket in [control]"));
}

#[test]
fn a_monitoring_system_reads_the_numbers() {
    let waft = server("[metrics]\nlisten = \"127.0.0.1:0\"\n");
    let told = waft.log.wait("the address", |line| line.message() == "metrics are told");
    let address = told.field("address");
    waft.log_in().expect("NOOP", 451);
    let page = get(address, "/metrics");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    for line in [
        "waft_logins_total 1",
        "waft_plugin_generation 1",
        "waft_plugin_up{plugin=\"strict\"} 1",
        "waft_plugin_calls_total{plugin=\"strict\",hook=\"command-filter\",result=\"trap\"} 1",
        "waft_plugin_calls_total{plugin=\"strict\",hook=\"command-filter\",result=\"ok\"} 0",
        "waft_plugin_call_seconds_count{plugin=\"strict\",hook=\"command-filter\"} 1",
        "waft_plugin_traps_total{plugin=\"strict\"} 1",
        "# TYPE waft_plugin_call_seconds histogram",
    ] {
        assert!(page.lines().any(|told| told == line), "{line}: {page}");
    }
    assert!(get(address, "/").starts_with("HTTP/1.1 404 "));
}
