//! Clients of implicit listeners that plugins do not let in.

use std::path::Path;
use std::sync::Arc;

use waft_server::tls::Mode;

use super::client::Client;
use super::world::World;
use crate::support::parts::Plugins;

/// A server that begins with TLS, and a plugin that follows the rule.
async fn world(rule: &str) -> World {
    let plugins = Plugins::default();
    plugins.add(rule, Path::new("/"));
    World::hooked(Mode::Implicit, |_| {}, |_| {}, Arc::new(plugins)).await
}

#[tokio::test]
async fn a_client_that_is_dropped_costs_no_handshake() {
    let world = world("connect drop").await;
    Client::connect(&world).await.try_handshake().await.unwrap_err();
    let counts = world.counts();
    assert_eq!(counts.connections_dropped, 1);
    assert_eq!((counts.tls_handshakes, counts.tls_handshakes_failed), (0, 0));
}

#[tokio::test]
async fn a_client_that_is_rejected_hears_why_under_tls() {
    let world = world("connect reject 554 Not from there.").await;
    let mut client = Client::connect(&world).await;
    client.handshake().await;
    assert_eq!(client.reply().await, "554 Not from there.");
    assert_eq!(client.line().await, None);
    let counts = world.counts();
    assert_eq!((counts.connections_rejected, counts.tls_handshakes), (1, 1));
}
