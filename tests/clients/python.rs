//! Python's ftplib, which is in more programs than any other library.

use std::path::Path;

use crate::support::client::client;
use crate::support::process::run;
use crate::support::site::{PASSWORD, Site, USER};
use crate::support::waft::Waft;

/// Runs a part of the tour, which looks at all that it gets itself.
fn tour(part: &str, waft: &Waft) {
    let home = waft.make("home");
    let Some(mut python) = client("python3", &home) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/tour.py");
    let address = waft.address();
    python.arg("-B").arg(script).args([part, &address.ip().to_string(), &waft.port()]);
    run(python.args([USER, PASSWORD]), b"").succeeded();
}

#[test]
fn ftplib_makes_fills_lists_renames_and_removes() {
    let waft = Site::new("").serve();
    tour("files", &waft);
    assert_eq!(crate::support::content::names(&waft.file("")), [""; 0]);
}

#[test]
fn ftplib_resumes_in_both_directions() {
    tour("resume", &Site::new("").serve());
}

#[test]
fn ftplib_transfers_lines() {
    tour("lines", &Site::new("").serve());
}

#[test]
fn ftplib_may_use_active_mode_where_it_is_on() {
    tour("active", &Site::new("[active]\nmode = \"on\"\n").serve());
}

#[test]
fn ftplib_reaches_a_listener_over_ipv6() {
    let waft = Site::over_ipv6("[active]\nmode = \"on\"\n").serve();
    tour("files", &waft);
    tour("active", &waft);
}
