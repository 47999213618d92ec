//! What two hundred sessions notice of plugins that do everything that a plugin must not do: how long
//! their transfers take alone, and beside that, by turns.
//!
//! `cargo xtask plugins && cargo bench --workspace --bench crowd`; with `WAFT_PROGRAM=FILE` before it,
//! another build of the server than the one that this makes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "it fails by panicking, and prints what it measures"
)]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::crowd::Crowd;
use support::misdeeds;

/// Sessions that transfer.
const SESSIONS: usize = 200;

/// What each of them waits between two transfers.
const PAUSE: Duration = Duration::from_millis(100);

/// So often both are measured.
const TURNS: usize = 3;

/// So often each misdeed is done in a turn.
const ROUNDS: usize = 20;

fn main() {
    for _ in 0..TURNS {
        // Plugins that failed so often are not asked for a while.
        let (site, silent) = misdeeds::site();
        let waft = site.serve();
        let mut crowd = Crowd::gather(&waft, SESSIONS, PAUSE);
        let began = Instant::now();
        let beside = crowd.transfer_beside(|| misdeeds::commit(&waft, &silent, ROUNDS));
        println!("beside misdeeds: {beside}");
        // For as long: when all begin at once they are in each other's way.
        let until = Instant::now() + began.elapsed();
        let alone = crowd.transfer_beside(|| {
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                thread::park_timeout(left);
            }
        });
        println!("alone:           {alone}");
    }
}
