//! Guests of released versions of the interface: each is taken with all its hooks, and decides.

use waft_plugin_host::{Grants, PluginSettings};

use crate::support::*;

const HOOKS: [&str; 10] = [
    "authenticator",
    "command-filter",
    "connection-filter",
    "content-filter",
    "event-sink",
    "file-filter",
    "reply-filter",
    "site-command",
    "storage",
    "timer",
];

#[tokio::test]
async fn a_guest_of_0_1_0_has_all_its_hooks() {
    let settings = PluginSettings {
        grants: Grants::without_effect(),
        ..plugin("old", &[("hash", "of nobody")])
    };
    let (_directory, host) = host_of(&component("tests/since-0-1-0"), settings).await;
    let status = host.status().plugins.remove(0);
    let mut hooks = status.hooks.clone();
    hooks.sort_unstable();
    assert_eq!(hooks, HOOKS);
    assert_eq!(status.component, "since-0-1-0 0.1.0");
    assert_eq!(ask(&host, "ALLO 1").await, "old answers: 202 There was room in those days.");
    assert_eq!(ask(&host, "XPWD").await, "old rewrites: PWD");
    assert_eq!(ask(&host, "XBYE").await, "old closes: 221 So long.");
    assert_eq!(ask(&host, "PWD").await, "pass");
    assert_eq!(reword(&host, Some("NOOP"), reply(200, "x")).await, "old: 200 NOOP was fine.");
    assert_eq!(reword(&host, Some("PWD"), reply(257, "x")).await, "257 x");
}
