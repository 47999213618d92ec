//! Plugins that are swapped while they are used, again and again: transfers end on the version that
//! they began with, and nothing of what was swapped out is left.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::PATIENCE;
use support::content::{assert_file, assert_same, octets};
use support::control::Control;
use support::crowd::{self, CROWD};
use support::ftp::{Ftp, halves, send_rest};
use support::plugin::component;
use support::process::allow_descriptors;
use support::site::Site;
use support::waft::Waft;

/// Transfers that are in flight while plugins are swapped, each in a session of its own.
const TRANSFERS: usize = 1000;

/// Those of them that are downloads.
const DOWNLOADS: usize = 100;

/// So often plugins are swapped meanwhile.
const SWAPS: usize = 100;

/// Octets of a download, more than the buffers between the two ends hold where nobody reads.
const LONG: usize = 8 << 20;

/// Octets of an upload.
const SHORT: usize = 64 << 10;

/// File descriptors that this process needs: three for each session, and a few.
const DESCRIPTORS: u64 = 3 * TRANSFERS as u64 + 200;

/// What the server may take of memory while all that goes on.
const MEMORY_MAX: u64 = 4 << 30;

/// A server with a plugin that changes the bytes of all transfers, and puts a mark behind them.
struct Marking {
    waft: Waft,
    control: Control,
    /// How often it was swapped.
    swaps: usize,
    mark: String,
}

impl Marking {
    fn serve() -> Marking {
        let site = Site::new(&format!(
            "[limits]\nsessions_per_address = 0\n\
             [plugins]\ndirectory = \"plugins.d\"\nmemory_budget = \"4GiB\"\n{}",
            crowd::account()
        ));
        let text = fs::read_to_string(site.path("waft.toml")).unwrap();
        let text = text.replace("[server]\n", "[server]\nstate = \"state\"\n");
        site.write("waft.toml", text.replace("level = \"debug\"", "level = \"info\""));
        site.make("state");
        site.make(CROWD);
        site.write(format!("{CROWD}/long.bin"), octets(LONG, 1));
        site.write("plugins.d/customs.wasm", component("tests/customs"));
        site.write("conf.d/customs.toml", settings("v0"));
        let waft = site.serve();
        let control = Control::connect(&waft.path("state/control.sock"));
        Marking { waft, control, swaps: 0, mark: "v0".to_owned() }
    }

    /// Puts another version in force: by turns another component, and other settings.
    fn swap(&mut self) {
        let generation = self.control.plugins()["generation"].as_u64().unwrap();
        self.swaps += 1;
        if self.swaps.is_multiple_of(2) {
            self.mark = format!("v{}", self.swaps);
            self.waft.and_wait(
                |site| {
                    site.write("conf.d/customs.toml", settings(&self.mark));
                    self.waft.signal(Signal::HUP);
                },
                "the settings",
                |line| line.message() == "configuration reloaded",
            );
        } else {
            let (new, part) = (self.waft.path("plugins.d/customs.wasm"), "plugins.d/part");
            self.waft.write(part, variant(self.swaps));
            fs::rename(self.waft.path(part), new).unwrap();
            self.control.ask(&json!({ "ask": "reload", "plugin": "customs" }));
        }
        assert!(self.control.plugins()["generation"].as_u64().unwrap() > generation);
    }

    /// The plugin in force.
    fn in_force(&mut self) -> Value {
        self.control.plugins()["plugins"][0].clone()
    }

    /// Waits until no version but the one in force is used.
    fn drained(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.control.plugins();
            let is_idle = status["plugins"][0]["instances_busy"] == 0;
            if is_idle && status["draining"] == json!([]) {
                return;
            }
            assert!(Instant::now() < deadline, "{status}");
        }
    }

    /// The compiled components that the server has in its memory: what may be executed there and is
    /// of no file, or of one that was compiled.
    fn components(&self) -> usize {
        let maps = self.waft.proc("maps");
        let of_component = |line: &&str| {
            line.contains(" r-xp ") && (line.ends_with(" 0") || line.contains(".cwasm"))
        };
        maps.lines().map(str::trim_end).filter(of_component).count()
    }
}

/// What the plugin is told.
fn settings(mark: &str) -> String {
    format!(
        "[[plugin]]\nname = \"customs\"\nlimits = {{ transfers = {TRANSFERS} }}\n[plugin.config]\n\
         upload = \"transform\"\ndownload = \"transform\"\nmark = \"{mark}\"\n"
    )
}

/// The component with a custom section more.
fn variant(number: usize) -> Vec<u8> {
    let tag = (number as u16).to_le_bytes();
    [&component("tests/customs")[..], &[0, 4, 1, b'v', tag[0], tag[1]]].concat()
}

/// What becomes of octets.
fn changed(octets: &[u8], mark: &str) -> Vec<u8> {
    let swap = |octet: &u8| if octet.is_ascii_alphabetic() { octet ^ 0x20 } else { *octet };
    octets.iter().map(swap).chain(mark.bytes()).collect()
}

#[test]
fn a_thousand_transfers_outlive_a_hundred_swaps() {
    allow_descriptors(DESCRIPTORS);
    let mut marking = Marking::serve();
    let waft = &marking.waft;
    let downloads: Vec<(Ftp, TcpStream)> = (0..DOWNLOADS)
        .map(|_| {
            let mut ftp = crowd::log_in(waft);
            let data = ftp.begin("RETR long.bin");
            (ftp, data)
        })
        .collect();
    let upload = |number: usize| octets(SHORT, number as u64);
    let mut uploads: Vec<(Ftp, TcpStream)> = (DOWNLOADS..TRANSFERS)
        .map(|number| {
            let mut ftp = crowd::log_in(waft);
            let mut data = ftp.begin(&format!("STOR {number}.bin"));
            data.write_all(halves(&upload(number))[0]).unwrap();
            (ftp, data)
        })
        .collect();
    let mut witness = crowd::log_in(waft);
    assert_eq!(marking.in_force()["instances_busy"], TRANSFERS);
    for _ in 0..SWAPS {
        marking.swap();
        // Who is connected has the new version with the next command.
        witness.put("STOR witness.txt", b"Seen");
        let seen = changed(b"Seen", &marking.mark);
        assert_file(&marking.waft.path(format!("{CROWD}/witness.txt")), &seen);
    }
    let draining = marking.control.plugins()["draining"].clone();
    assert_eq!(draining.as_array().unwrap().len(), 1, "{draining}");
    assert_eq!(draining[0]["instances"], TRANSFERS, "{draining}");
    let memory = marking.waft.resident_bytes();
    assert!(memory < MEMORY_MAX, "{} MiB", memory >> 20);
    // All at once: after an upload that took long the server listens a moment whether its client has
    // died, and nine hundred moments are most of a minute.
    for (number, (_, data)) in (DOWNLOADS..).zip(&mut uploads) {
        send_rest(data, halves(&upload(number))[1]);
    }
    for (number, (mut ftp, _data)) in (DOWNLOADS..).zip(uploads) {
        ftp.expect_stored();
        let place = marking.waft.path(format!("{CROWD}/{number}.bin"));
        assert_file(&place, &changed(&upload(number), "v0"));
    }
    let expected = changed(&octets(LONG, 1), "v0");
    for (mut ftp, data) in downloads {
        assert_same(&ftp.fetch_rest(data), &expected, "long.bin");
    }
    marking.drained();
}

#[test]
fn nothing_is_left_of_what_was_swapped_out() {
    let mut marking = Marking::serve();
    let mut client = crowd::log_in(&marking.waft);
    let mut swap_and_use = |marking: &mut Marking| {
        marking.swap();
        client.put("STOR a.txt", b"Seen");
        let kept = changed(b"Seen", &marking.mark);
        assert_eq!(client.fetch("RETR a.txt"), changed(&kept, &marking.mark));
    };
    // The version in force and the one to go back to.
    (0..4).for_each(|_| swap_and_use(&mut marking));
    marking.drained();
    let before = (marking.in_force()["memory_bytes"].clone(), marking.components());
    assert_eq!(before.1, 2);
    (0..SWAPS).for_each(|_| swap_and_use(&mut marking));
    marking.drained();
    let after = (marking.in_force()["memory_bytes"].clone(), marking.components());
    assert_eq!(after, before);
}
