//! Data connections resume the control connection's session, and no other.

use std::sync::Arc;

use rustls::client::Resumption as Memory;
use rustls::{HandshakeKind, version};
use tokio::io::AsyncReadExt;
use waft_core::Resumption;
use waft_server::tls::Mode;

use super::client::{Client, Keeping, config};
use super::world::World;

const FULL: HandshakeKind = HandshakeKind::Full;
const RESUMED: HandshakeKind = HandshakeKind::Resumed;

async fn transfers(client: &mut Client, count: usize) -> Vec<HandshakeKind> {
    let mut kinds = Vec::new();
    for n in 0..count {
        kinds.push(match n % 3 {
            0 => client.store("STOR file", b"content").await,
            1 => client.fetch("RETR file").await.1,
            _ => client.fetch("MLSD").await.1,
        });
    }
    kinds
}

#[tokio::test]
async fn a_hundred_transfers_resume_a_tls_1_2_session() {
    let world = World::tls(Mode::Require, |tls| tls.resumption = Resumption::Require).await;
    let mut client = Client::connect_with(&world, config(&world, &[&version::TLS12], None)).await;
    client.reply().await;
    client.auth().await;
    client.login().await;
    client.prot("P").await;
    assert_eq!(transfers(&mut client, 100).await, [RESUMED; 100]);
    assert_eq!(world.counts().data_tls_resumed, 100);
}

#[tokio::test]
async fn a_tls_1_2_session_resumes_without_tickets() {
    let world = World::tls(Mode::Require, |tls| tls.resumption = Resumption::Require).await;
    let mut config = config(&world, &[&version::TLS12], None);
    config.resumption = Memory::in_memory_sessions(16)
        .tls12_resumption(rustls::client::Tls12Resumption::SessionIdOnly);
    let mut client = Client::connect_with(&world, config).await;
    client.reply().await;
    client.auth().await;
    client.login().await;
    client.prot("P").await;
    assert_eq!(transfers(&mut client, 12).await, [RESUMED; 12]);
}

#[tokio::test]
async fn a_hundred_transfers_resume_a_tls_1_3_session_with_a_ticket_for_each() {
    let world = World::tls(Mode::Require, |tls| {
        tls.resumption = Resumption::Require;
        tls.tickets = 100;
    })
    .await;
    let mut config = config(&world, &[&version::TLS13], None);
    config.resumption = Memory::store(Arc::new(Keeping::default()));
    let mut client = Client::connect_with(&world, config).await;
    client.reply().await;
    client.auth().await;
    client.login().await;
    client.prot("P").await;
    assert_eq!(transfers(&mut client, 100).await, [RESUMED; 100]);
}

#[tokio::test]
async fn a_client_that_uses_tickets_once_resumes_as_often_as_it_has_got_some() {
    let world = World::new(Mode::Require).await;
    let mut client = Client::private(&world).await;
    let mut expected = [RESUMED; 10];
    expected[8..].fill(FULL);
    assert_eq!(transfers(&mut client, 10).await, expected);
    assert_eq!(world.counts().data_tls_not_resumed, 2);
}

#[tokio::test]
async fn tickets_for_downloads_let_a_client_that_uses_tickets_once_go_on() {
    let world = World::tls(Mode::Require, |tls| tls.resumption = Resumption::Require).await;
    world.put("file", b"content");
    let mut client = Client::private(&world).await;
    for _ in 0..50 {
        assert_eq!(client.fetch("RETR file").await.1, RESUMED);
        assert_eq!(client.fetch("LIST").await.1, RESUMED);
    }
}

/// Counts what arrives behind the handshake: tickets are encrypted, but they have a length.
#[tokio::test]
async fn data_connections_get_no_tickets() {
    let world = World::new(Mode::Require).await;
    let mut client = Client::private(&world).await;
    let stream = client.passive().await;
    client.expect("STOR file", "150 ").await;
    let stream = client.data_tls(stream).await.unwrap();
    let (mut tcp, mut tls) = stream.into_inner();
    tls.send_close_notify();
    let mut octets = Vec::new();
    tls.write_tls(&mut octets).unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut tcp, &octets).await.unwrap();
    let mut rest = Vec::new();
    tcp.read_to_end(&mut rest).await.unwrap();
    // A record with close_notify: header, alert, content type, tag.
    assert_eq!(rest.len(), 5 + 2 + 1 + 16);
    assert_eq!(client.reply().await, "226 Transfer complete.");
}

#[tokio::test]
async fn a_session_resumes_no_ticket_of_another() {
    for version in [&version::TLS12, &version::TLS13] {
        let world = World::tls(Mode::Require, |tls| tls.resumption = Resumption::Require).await;
        let mut clients = Vec::new();
        for _ in 0..2 {
            let config = config(&world, &[version], None);
            let mut client = Client::connect_with(&world, config).await;
            client.reply().await;
            client.auth().await;
            client.login().await;
            client.prot("P").await;
            clients.push(client);
        }
        let [first, second] = &mut clients[..] else { panic!("two clients") };
        std::mem::swap(&mut first.config, &mut second.config);
        let stream = first.passive().await;
        first.expect("STOR file", "150 ").await;
        let stream = first.data_tls(stream).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(FULL));
        assert_eq!(first.reply().await, "522 TLS session of data connection not resumed.");
        assert_eq!(world.file("file"), None);
        drop(stream);
        std::mem::swap(&mut first.config, &mut second.config);
        assert_eq!(first.store("STOR file", b"content").await, RESUMED);
    }
}

#[tokio::test]
async fn what_resumes_nothing_is_served_and_counted_unless_resumption_is_required() {
    for (policy, reply) in [
        (Resumption::Off, "226 Transfer complete."),
        (Resumption::Report, "226 Transfer complete."),
        (Resumption::Require, "522 TLS session of data connection not resumed."),
    ] {
        let world = World::tls(Mode::Require, |tls| tls.resumption = policy).await;
        let mut config = config(&world, &[&version::TLS13], None);
        config.resumption = Memory::disabled();
        let mut client = Client::connect_with(&world, config).await;
        client.reply().await;
        client.auth().await;
        client.login().await;
        client.prot("P").await;
        let stream = client.passive().await;
        client.expect("NLST", "150 ").await;
        let mut stream = client.data_tls(stream).await.unwrap();
        let mut content = Vec::new();
        stream.read_to_end(&mut content).await.unwrap();
        assert_eq!(client.reply().await, reply);
        assert_eq!(world.counts().data_tls_not_resumed, 1);
        client.expect("NOOP", "200 ").await;
    }
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_on_the_control_connection_and_then_its_new_session() {
    for version in [&version::TLS12, &version::TLS13] {
        let world = World::tls(Mode::Require, |tls| tls.resumption = Resumption::Require).await;
        let config = Arc::new(config(&world, &[version], None));
        for kind in [FULL, RESUMED, RESUMED] {
            let mut client = Client::connect_with(&world, Arc::clone(&config)).await;
            client.reply().await;
            client.auth().await;
            client.login().await;
            assert_eq!(client.tls().handshake_kind(), Some(kind));
            client.prot("P").await;
            assert_eq!(client.fetch("NLST").await.1, RESUMED);
        }
    }
}
