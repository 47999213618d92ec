//! Certificates of clients.

use rustls::version;
use waft_server::tls::{ClientCertificates, Mode};

use super::client::{Client, config};
use super::world::{Pair, World, clients};

async fn shaken(world: &World, pair: Option<Pair>) -> Client {
    let config = config(world, &[&version::TLS13], pair);
    let mut client = Client::connect_with(world, config).await;
    client.reply().await;
    client.expect("AUTH TLS", "234 ").await;
    client.handshake().await;
    client
}

#[tokio::test]
async fn a_certificate_logs_its_user_in_and_nobody_else() {
    let (authority, mut pairs) = clients(&["alice", "bob", "nobody"]);
    let optional = ClientCertificates::Optional(vec![authority]);
    let world = World::tls(Mode::Require, |tls| tls.client_certificates = optional).await;
    let (nobody, bob, alice) = (pairs.pop(), pairs.pop(), pairs.pop());

    let mut client = shaken(&world, alice).await;
    assert_eq!(client.command("USER bob").await, "530 Login incorrect.");
    assert_eq!(client.command("USER alice").await, "232 User alice logged in by certificate.");
    client.prot("P").await;
    client.store("STOR file", b"content").await;

    let mut client = shaken(&world, bob).await;
    assert_eq!(client.command("USER alice").await, "530 Login incorrect.");
    client.expect("PASS secret", "503 ").await;

    // Nobody decides on that one: the password does.
    let mut client = shaken(&world, nobody).await;
    client.login().await;
    let mut client = shaken(&world, None).await;
    client.login().await;
}

#[tokio::test]
async fn where_certificates_are_required_nobody_shakes_hands_without() {
    let (authority, mut pairs) = clients(&["alice"]);
    let (_, mut strangers) = clients(&["alice"]);
    let required = ClientCertificates::Required(vec![authority]);
    let world = World::tls(Mode::Implicit, |tls| tls.client_certificates = required).await;
    for pair in [None, strangers.pop()] {
        let mut client =
            Client::connect_with(&world, config(&world, &[&version::TLS13], pair)).await;
        // In TLS 1.3 the client is done before the server has seen its certificate.
        if client.try_handshake().await.is_ok() {
            assert_eq!(client.line().await, None);
        }
    }
    let config = config(&world, &[&version::TLS13], pairs.pop());
    let mut client = Client::connect_with(&world, config).await;
    client.handshake().await;
    client.reply().await;
    client.expect("USER alice", "232 ").await;
    client.fetch("NLST").await;
}

#[tokio::test]
async fn a_data_connection_shows_the_same_certificate_or_resumes() {
    let (authority, mut pairs) = clients(&["alice", "nobody"]);
    let optional = ClientCertificates::Optional(vec![authority]);
    let world = World::tls(Mode::Require, |tls| tls.client_certificates = optional).await;
    let other = config(&world, &[&version::TLS13], pairs.pop());
    let mut client = shaken(&world, pairs.pop()).await;
    client.expect("USER alice", "232 ").await;
    client.prot("P").await;
    for other in [other, config(&world, &[&version::TLS13], None)] {
        let own = std::mem::replace(&mut client.config, other.into());
        let stream = client.passive().await;
        client.expect("STOR file", "150 ").await;
        let stream = client.data_tls(stream).await.unwrap();
        assert_eq!(
            client.reply().await,
            "522 Client certificate of data connection is not that of the control connection."
        );
        drop(stream);
        client.config = own;
    }
    // Full handshakes with the right certificate serve as well.
    for _ in 0..10 {
        client.store("STOR file", b"content").await;
    }
}
