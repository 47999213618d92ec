//! Two hundred sessions that transfer files are not disturbed by plugins that do everything that a
//! plugin must not do, in other sessions, at the same time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::PATIENCE;
use support::control::Control;
use support::crowd::{self, Crowd};
use support::misdeeds;
use support::waft::Waft;

/// Sessions that are not to be disturbed.
const SESSIONS: usize = 200;

/// What each of them waits between two transfers: at full speed there would be nothing to disturb but
/// a queue for the processor.
const PAUSE: Duration = Duration::from_millis(100);

/// So often each misdeed is done: more often than a plugin may fail before it is not asked for a
/// while, which must make no difference to the client.
const ROUNDS: usize = 6;

/// What memory may be left over of all that: the allocator keeps some for the next time.
const LEFT_OVER: u64 = 64 << 20;

#[test]
fn a_crowd_transfers_undisturbed_beside_plugins_that_misbehave() {
    let (site, silent) = misdeeds::site();
    let waft = site.serve();
    let mut crowd = Crowd::gather(&waft, SESSIONS, PAUSE);
    let alone = crowd.transfer_beside(|| ());
    let memory = waft.resident_bytes();
    let beside = crowd.transfer_beside(|| misdeeds::commit(&waft, &silent, ROUNDS));
    misdeeds::expect_reasons(&waft);
    // Not through the macros, whose output the test harness swallows.
    let stated = format!("\nalone: {alone}\nbeside misdeeds: {beside}\n");
    std::io::stderr().write_all(stated.as_bytes()).unwrap();
    expect_memory_back(&waft, memory);
    expect_instances_back(&waft);
    // And the server goes on, for those who were there and for those who come.
    crowd.transfer_beside(|| ());
    assert_eq!(crowd::log_in(&waft).fetch("NLST /brittle"), b"/brittle/made\r\n/brittle/sink\r\n");
}

fn expect_memory_back(waft: &Waft, before: u64) {
    let deadline = Instant::now() + PATIENCE;
    let mut client = waft.connect();
    while waft.resident_bytes() > before + LEFT_OVER {
        let now = waft.resident_bytes() >> 20;
        assert!(Instant::now() < deadline, "{} MiB before, {now} MiB now", before >> 20);
        client.expect("NOOP", 200);
    }
}

/// Nothing is in use any more, and no instance is kept that grew beyond what it should.
fn expect_instances_back(waft: &Waft) {
    let mut control = Control::connect(&waft.path("ask.sock"));
    let deadline = Instant::now() + PATIENCE;
    let mut status = control.plugins();
    while !status["plugins"].as_array().unwrap().iter().all(rests) {
        assert!(Instant::now() < deadline, "{status}");
        status = control.plugins();
    }
}

fn rests(plugin: &Value) -> bool {
    let [busy, idle, memory] = ["instances_busy", "instances_idle", "memory_bytes"]
        .map(|count| plugin[count].as_u64().unwrap());
    busy == 0 && idle <= 64 && memory <= idle * (4 << 20)
}
