//! A process with little address space: one of its own, as it has one engine.
#![cfg(target_os = "linux")]
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

use rustix::process::{Resource, Rlimit, setrlimit};
use support::*;
use waft_plugin_host::HostSettings;

#[tokio::test]
async fn plugins_run_where_there_is_little_address_space() {
    let space = Some(8 << 30);
    setrlimit(Resource::As, Rlimit { current: space, maximum: space }).unwrap();
    let log = Log::listen();
    let directory = Directory::new();
    let names = [("a", "XA"), ("b", "XB"), ("c", "XC"), ("d", "XD")];
    for (name, _) in names {
        directory.put(&format!("{name}.wasm"), &echo());
    }
    let plugins =
        names.map(|(name, verb)| plugin(name, &[(&*format!("answer.{verb}"), "200 yes")])).into();
    let host = load(HostSettings { plugins, ..directory.settings() }).await;
    assert_eq!(log.lines_with("allocating on demand").len(), 1);
    for (name, verb) in names {
        assert_eq!(ask(&host, verb).await, format!("{name} answers: 200 yes"));
    }
}
