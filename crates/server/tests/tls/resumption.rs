//! Data connections resume the control connection's session, and no other.

use std::sync::Arc;

use rustls::client::Resumption as Memory;
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::{HandshakeKind, SupportedCipherSuite, version};
use tokio::io::AsyncReadExt;
use waft_core::Resumption;
use waft_server::tls::Mode;

use super::client::{Client, OneTicket, config, config_of};
use super::world::World;

const FULL: HandshakeKind = HandshakeKind::Full;
const TLS13_SUITES: [SupportedCipherSuite; 3] =
    [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];

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
    let world = World::tls(Mode::Require, |tls| tls.resumption = Resumption::Require).await;
    let mut client = Client::private(&world).await;
    assert_eq!(transfers(&mut client, 100).await, [RESUMED; 100]);
    assert_eq!(world.counts().data_tls_not_resumed, 0);
}

/// As OpenSSL's own cache does, and with it curl.
#[tokio::test]
async fn a_client_that_keeps_one_ticket_and_uses_it_once_resumes_again_and_again() {
    for suite in TLS13_SUITES {
        let world = World::tls(Mode::Require, |tls| tls.resumption = Resumption::Require).await;
        let mut client = one_ticket(&world, suite).await;
        for _ in 0..10 {
            assert_eq!(client.store("STOR one", b"content").await, RESUMED);
        }
        assert_eq!(transfers(&mut client, 20).await, [RESUMED; 20]);
        assert_eq!(client.tls().negotiated_cipher_suite().unwrap().suite(), suite.suite());
    }
}

/// Connected, with one ticket at a time, and PROT P.
async fn one_ticket(world: &World, suite: SupportedCipherSuite) -> Client {
    let mut config = config_of(world, &[suite]);
    config.resumption = Memory::store(Arc::new(OneTicket::default()));
    let mut client = Client::connect_with(world, config).await;
    client.reply().await;
    client.auth().await;
    client.login().await;
    client.prot("P").await;
    client
}

#[tokio::test]
async fn tickets_go_on_when_keys_change() {
    for suite in TLS13_SUITES {
        let world = World::tls(Mode::Implicit, |tls| tls.resumption = Resumption::Require).await;
        let mut config = config_of(&world, &[suite]);
        config.resumption = Memory::store(Arc::new(OneTicket::default()));
        let mut client = Client::connect_with(&world, config).await;
        client.handshake().await;
        client.reply().await;
        client.login().await;
        for _ in 0..3 {
            assert_eq!(transfers(&mut client, 3).await, [RESUMED; 3]);
            client.tls_mut().refresh_traffic_keys().unwrap();
        }
        assert_eq!(transfers(&mut client, 3).await, [RESUMED; 3]);
    }
}

#[tokio::test]
async fn a_ticket_comes_with_every_data_connection_that_is_set_up_under_prot_p_and_no_other() {
    let world = World::new(Mode::Require).await;
    let tickets = Arc::new(OneTicket::default());
    let mut config = config(&world, &[&version::TLS13], None);
    config.resumption = Memory::store(Arc::clone(&tickets) as _);
    let mut client = Client::connect_with(&world, config).await;
    client.reply().await;
    client.auth().await;
    client.login().await;
    assert_eq!(tickets.take_count(), 2);
    client.expect("EPSV", "229 ").await;
    client.prot("C").await;
    client.expect("PASV", "227 ").await;
    assert_eq!(tickets.take_count(), 0);
    client.prot("P").await;
    for (line, code, count) in [
        ("EPSV", "229 ", 1),
        ("PASV", "227 ", 1),
        ("EPSV ALL", "200 ", 0),
        ("EPSV 2", "522 ", 0),
        ("EPSV 1", "229 ", 1),
        ("NOOP", "200 ", 0),
    ] {
        client.expect(line, code).await;
        assert_eq!(tickets.take_count(), count, "{line}");
    }
    // What was written anew ends as it should.
    client.expect("REIN", "220 ").await;
    client.end_tls(b"NOOP\r\n").await;
    assert_eq!(client.reply().await, "200 NOOP okay.");
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
