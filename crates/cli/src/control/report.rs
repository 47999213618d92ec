//! What the server tells of itself and of what has changed, as JSON.

use serde_json::{Map, Value, json};
use waft_plugin_host::{Change, Host};
use waft_server::Server;
use waft_server::net::tcp::TcpNetwork;

/// The server: its sessions, what it has counted, and how many plugins are how.
pub(super) fn server(server: &Server<TcpNetwork>, host: &Host) -> Value {
    let counts: Map<String, Value> =
        server.counts().named().map(|(name, count)| (name.to_owned(), count.into())).collect();
    let status = host.status();
    let broken = status.plugins.iter().filter(|plugin| plugin.breaker_open).count();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "sessions": server.sessions(),
        "counts": counts,
        "plugins": {
            "generation": status.generation,
            "in_force": status.plugins.len(),
            "broken": broken,
            "shadow": status.plugins.iter().filter(|plugin| plugin.shadow).count(),
            "absent": status.absent.len(),
            "loading": status.loading.len(),
            "draining": status.draining.len(),
        },
    })
}

/// What happened to a plugin.
pub(super) fn change(change: &Change) -> Value {
    let refusal = change.what.refusal();
    json!({
        "plugin": change.plugin,
        "file": change.file.to_string_lossy(),
        "what": change.what.name(),
        "reason": refusal.map(ToString::to_string),
        "remedy": refusal.and_then(waft_plugin_host::Refusal::remedy),
    })
}
