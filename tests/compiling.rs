//! Large components, which the server has compiled by a process of its own making.
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
use support::PATIENCE;
use support::control::Control;
use support::plugin::component;
use support::site::Site;
use support::waft::Waft;

const COMPONENT: &str = "plugins.d/command-policy.wasm";

/// What is compiled apart is larger than this.
const LARGE: usize = 4 << 20;

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
fn a_large_component_is_compiled_in_another_process_and_runs_in_this_one() {
    let site = site();
    // A custom section without a name.
    let filler = section(0, &[0].repeat(LARGE));
    site.write(COMPONENT, [component("command-policy"), filler].concat());
    let waft = site.serve();
    waft.log.wait("where it was compiled", |line| {
        line.message() == "component compiled in another process"
    });
    waft.log_in().expect("CWD /", 502);
    assert_eq!(waft.children(), [0; 0]);
    // One that is small is not worth it.
    let small = waft.and_wait(
        |site| site.write(COMPONENT, [component("command-policy"), section(0, &[0, 1])].concat()),
        "the next version",
        |line| line.message() == "plugin replaced" || line.message().contains("another process"),
    );
    assert_eq!(small.message(), "plugin replaced");
}

/// Has a server compile for long, and returns the process that does.
fn compiling(waft: &Waft) -> Pid {
    // A module in a component that nothing uses, and that is compiled all the same.
    waft.write(COMPONENT, [component("command-policy"), section(1, &laborious())].concat());
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(child) = waft.children().first() {
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
    assert_eq!(control.ask(&serde_json::json!({ "ask": "status" }))["plugins"]["loading"], 1);
    let told = waft.log.wait("the word", |line| line.message() == "plugin is being compiled");
    assert_eq!(told.field("plugin"), "command-policy");
    let mark = waft.log.mark();
    kill_process(child, Signal::KILL).unwrap();
    waft.log
        .wait_since(mark, "the refusal", |line| line.message().starts_with("plugin not replaced"));
    let plugins = control.plugins();
    assert_eq!(plugins["loading"], serde_json::json!([]));
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
