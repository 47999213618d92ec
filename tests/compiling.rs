//! Components, which the server has compiled by a process of its own making.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use support::PATIENCE;
use support::control::Control;
use support::folder;
use support::ftp::{Ftp, connect};
use support::log::Line;
use support::plugin::component;
use support::site::{PASSWORD, Site, USER};
use support::waft::{Starting, Waft, is_listening};

const COMPONENT: &str = "plugins.d/command-policy.wasm";

fn site() -> Site {
    let settings = "[config]\ndeny = [\"CWD\"]\n";
    let site =
        Site::new("[plugins]\ndirectory = \"plugins.d\"\n[control]\nsocket = \"ask.sock\"\n");
    site.write("plugins.d/command-policy.toml", settings);
    site
}

/// A number as WebAssembly has it.
fn number(mut number: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    while number >= 0x80 {
        octets.push(number as u8 | 0x80);
        number >>= 7;
    }
    octets.push(number as u8);
    octets
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], number(content.len()).as_slice(), content].concat()
}

/// A module with more code than is compiled in a moment.
fn laborious() -> Vec<u8> {
    const FUNCTIONS: usize = 2000;
    // No locals; a number and its loss, again and again; the end.
    let body = [&[0][..], &[0x41, 1, 0x1a].repeat(1000), &[0x0b]].concat();
    let body = [number(body.len()), body].concat();
    let count = number(FUNCTIONS);
    let functions = [&count[..], &[0].repeat(FUNCTIONS)].concat();
    let bodies = [&count[..], &body.repeat(FUNCTIONS)].concat();
    let sections = [section(1, &[1, 0x60, 0, 0]), section(3, &functions), section(10, &bodies)];
    [b"\0asm\x01\0\0\0".as_slice(), &sections.concat()].concat()
}

#[test]
fn a_component_is_compiled_in_another_process_and_runs_in_this_one() {
    let site = site();
    site.write(COMPONENT, component("command-policy"));
    let waft = site.serve();
    let apart = |line: &Line| line.message() == "component compiled in another process";
    waft.log.wait("where it was compiled", apart);
    waft.log_in().expect("CWD /", 502);
    assert_eq!(waft.children(), [0; 0]);
    let mark = waft.log.mark();
    waft.write(COMPONENT, [component("command-policy"), section(0, &[0, 1])].concat());
    waft.log.wait_since(mark, "where the next version was", apart);
    waft.log.wait_since(mark, "the next version", |line| line.message() == "plugin replaced");
    waft.log_in().expect("CWD /", 502);
}

/// A component that takes long to be compiled: it has a module that nothing uses.
fn slow() -> Vec<u8> {
    [component("command-policy"), section(1, &laborious())].concat()
}

/// Has a server compile for long, and returns the process that does.
fn compiling(waft: &Waft) -> Pid {
    waft.write(COMPONENT, slow());
    compiler(|| waft.children())
}

/// Waits for the only child of a server, which compiles.
fn compiler(children: impl Fn() -> Vec<i32>) -> Pid {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(child) = children().first() {
            return Pid::from_raw(*child).unwrap();
        }
        assert!(Instant::now() < deadline, "nobody compiles");
    }
}

#[test]
fn what_is_being_compiled_is_told_beside_the_version_in_force() {
    let site = site();
    site.write(COMPONENT, component("command-policy"));
    let waft = site.serve();
    let child = compiling(&waft);
    // It takes as long as this looks.
    kill_process(child, Signal::STOP).unwrap();
    let mut control = Control::connect(&waft.path("ask.sock"));
    let plugins = control.plugins();
    let (now, new) = (&plugins["plugins"][0], &plugins["loading"][0]);
    assert_eq!((&now["state"], &new["state"]), (&"active".into(), &"loading".into()));
    assert_eq!((&new["name"], &new["step"]), (&"command-policy".into(), &"compile".into()));
    assert_ne!(now["sha256"], new["sha256"]);
    let waft_plugin = |command| {
        let arguments = ["plugin", command, "--config", "waft.toml"];
        waft.waft(&arguments, "").succeeded().stdout()
    };
    let listed = waft_plugin("list");
    assert!(listed.contains("\ncommand-policy: loading: being compiled, for "), "{listed}");
    let status = waft_plugin("status");
    for part in
        ["\nstate                   loading\n", "\ndoing                   being compiled\n"]
    {
        assert!(status.contains(part), "{part}: {status}");
    }
    assert_eq!(control.ask(&json!({ "ask": "status" }))["plugins"]["loading"], 1);
    let told = waft.log.wait("the word", |line| line.message() == "plugin is being compiled");
    assert_eq!(told.field("plugin"), "command-policy");
    let mark = waft.log.mark();
    kill_process(child, Signal::KILL).unwrap();
    waft.log
        .wait_since(mark, "the refusal", |line| line.message().starts_with("plugin not replaced"));
    let plugins = control.plugins();
    assert_eq!(plugins["loading"], json!([]));
    assert!(plugins["plugins"][0]["trouble"].as_str().unwrap().starts_with("cannot be compiled: "));
}

#[test]
fn a_process_that_dies_while_it_compiles_costs_the_new_version_only() {
    let site = site();
    site.write(COMPONENT, component("command-policy"));
    let waft = site.serve();
    let mark = waft.log.mark();
    kill_process(compiling(&waft), Signal::KILL).unwrap();
    let kept = waft.log.wait_since(mark, "the refusal", |line| {
        line.message() == "plugin not replaced, the version before stays in force"
    });
    let reason = "cannot be compiled: its process ended: signal: 9 (SIGKILL)";
    assert_eq!(kept.field("reason"), reason);
    waft.log_in().expect("CWD /", 502);
}

/// How much of the code that components were compiled to a server has in memory, in KiB; nothing where none
/// is mapped.
#[cfg(target_os = "linux")]
fn in_memory(waft: &Waft) -> Option<usize> {
    let smaps = waft.proc("smaps");
    // A mapping begins with where it is, and ends with what its pages are for.
    let mappings = smaps.split_inclusive("\nVmFlags: ").filter(|it| it.contains(".cwasm"));
    let code = mappings.filter(|it| it.contains(" r-xp "));
    let resident = code.map(|mapping| {
        let resident = mapping.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        resident.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap()
    });
    resident.reduce(|one, other| one + other)
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_at_rest_lets_go_of_code_of_plugins_and_runs_it_again() {
    let site = folder::site("");
    let settings = "[[config.rule]]\ncommands = [\"CWD /one\", \"CWD /two\"]\n";
    site.write(folder::SETTINGS, settings);
    site.write(folder::COMPONENT, component("command-policy"));
    let waft = site.serve();
    let mut client = waft.log_in();
    client.expect("CWD /one", 502);
    loop {
        let mark = waft.log.mark();
        if in_memory(&waft).expect("it is mapped") == 0 {
            break;
        }
        let given_back = |line: &Line| line.message() == "memory that is not in use given back";
        waft.log.wait_since(mark, "what is given back", given_back);
    }
    client.expect("CWD /two", 502);
    client.expect("CWD /", 250);
}

#[test]
fn a_plugin_without_a_version_before_decides_nothing_while_it_is_compiled() {
    let site = site();
    let waft = site.serve();
    let mut client = waft.log_in();
    let child = compiling(&waft);
    kill_process(child, Signal::STOP).unwrap();
    let mut control = Control::connect(&waft.path("ask.sock"));
    let plugins = control.plugins();
    let new = &plugins["loading"][0];
    assert_eq!((&new["name"], &new["state"]), (&"command-policy".into(), &"loading".into()));
    assert_eq!((&plugins["plugins"], &plugins["absent"]), (&json!([]), &json!([])));
    let status = waft.waft(&["plugin", "status", "--config", "waft.toml"], "").succeeded().stdout();
    assert!(status.contains("\nstate                   loading\n"), "{status}");
    // Clients are served as without it, as long as it takes.
    assert_eq!(client.command("CWD /").code, 250);
    assert_eq!(waft.log_in().command("CWD /").code, 250);
    let mark = waft.log.mark();
    kill_process(child, Signal::CONT).unwrap();
    waft.log.wait_since(mark, "the plugin", |line| line.message() == "plugin loaded");
    assert_eq!(client.command("CWD /").code, 502);
    assert_eq!(control.plugins()["loading"], json!([]));
}

#[test]
fn a_server_that_starts_serves_nobody_before_every_plugin_is_in_force() {
    let site = site();
    site.write(COMPONENT, slow());
    let starting = Starting::begin(site);
    let address = starting.bound();
    let child = compiler(|| starting.children());
    kill_process(child, Signal::STOP).unwrap();
    // The kernel takes the connection, and what the client sends ahead.
    let mut early = Ftp::of(connect(address));
    early.send("FEAT");
    starting.log.wait("the word", |line| line.message() == "plugin is being compiled");
    let asked = starting.site.waft(&["plugin", "status", "--config", "waft.toml"], "");
    assert_eq!(asked.status.code(), Some(1));
    assert!(asked.stderr().contains("nobody serves the control socket"), "{asked:?}");
    assert!(!early.has_anything_to_read());
    assert!(!starting.log.lines().iter().any(is_listening));
    kill_process(child, Signal::CONT).unwrap();
    let waft = starting.ready();
    assert_eq!(early.reply().code, 220);
    assert_eq!(early.reply().code, 211);
    early.log_in(USER, PASSWORD);
    early.expect("CWD /", 502);
    let told: Vec<_> = waft.log.lines().iter().map(|line| line.message().to_owned()).collect();
    let place = |message: &str| told.iter().position(|it| it == message).unwrap();
    assert!(place("plugin loaded") < place("listening"), "{told:?}");
}

#[test]
fn a_start_whose_compiler_dies_goes_by_on_load_error() {
    for (policy, starts) in [("refuse_start", false), ("disable", true)] {
        let site = site();
        let settings = format!("on_load_error = \"{policy}\"\n[config]\ndeny = [\"CWD\"]\n");
        site.write("plugins.d/command-policy.toml", settings);
        site.write(COMPONENT, slow());
        let mut starting = Starting::begin(site);
        kill_process(compiler(|| starting.children()), Signal::KILL).unwrap();
        let reason = "cannot be compiled: its process ended: signal: 9 (SIGKILL)";
        if !starts {
            assert_eq!(starting.wait_for_end().code(), Some(2));
            assert!(starting.log.text().contains(reason), "{}", starting.log.text());
            continue;
        }
        let waft = starting.ready();
        waft.log_in().expect("CWD /", 250);
        let plugins = Control::connect(&waft.path("ask.sock")).plugins();
        let absent = &plugins["absent"][0];
        assert_eq!((&absent["state"], &absent["reason"]), (&"rejected".into(), &reason.into()));
    }
}
