//! Places of instances that last, of all plugins together: a process of its own, as they are the process's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "host/support.rs"]
#[allow(dead_code, reason = "most of it is for others")]
mod support;

use support::*;
use waft_core::event::Direction;
use waft_core::hooks::ContentVerdict;
use waft_plugin_host::{HostSettings, Isolation, PluginSettings};

/// As many as sessions of all plugins may have.
const SESSIONS: usize = 2048;

#[tokio::test]
async fn transfers_have_places_left_when_sessions_have_all_of_theirs() {
    let directory = Directory::new();
    directory.put("own.wasm", &echo());
    directory.put("up.wasm", &component("tests/customs"));
    let mut own =
        PluginSettings { isolation: Isolation::Session, ..plugin("own", &[("count", "NOOP")]) };
    own.limits.sessions_max = SESSIONS;
    let plugins = vec![own, plugin("up", &[("upload", "inspect")])];
    let settings = HostSettings { plugins, memory_budget: 16 << 30, ..directory.settings() };
    let host = load(settings).await;
    let mut sessions = Vec::new();
    for id in 0..u64::try_from(SESSIONS).unwrap() {
        let session = session_of(id);
        let said = ask_in(&host, &session, "NOOP").await;
        assert!(said.ends_with("instance 1"), "{id}: {said}");
        sessions.push(session);
    }
    let stream = transfer(&host, 0, Direction::Upload).await;
    assert!(matches!(stream.finish().await, ContentVerdict::Accept(_)));
    let further = ask_in(&host, &session_of(1 << 40), "NOOP").await;
    assert_eq!(further, "own fails: 451 Local error: plugin failed.");
}
