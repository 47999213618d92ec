//! What commands about TLS do to a session: the exact replies.

use waft_server::tls::{DataProtection, Identity, Mode, TlsSettings};

use super::client::{Client, Wire};
use super::world::{World, self_signed};

#[tokio::test]
async fn levels_are_agreed_upon_in_order_and_only_under_tls() {
    let world = World::new(Mode::Explicit).await;
    let mut client = Client::connect(&world).await;
    client.reply().await;
    for (line, reply) in [
        ("AUTH KERBEROS_V4", "504 Unknown security mechanism."),
        ("PBSZ 0", "503 PBSZ comes after AUTH."),
        ("PROT P", "503 PROT comes after PBSZ."),
        ("CCC", "533 The connection is not protected."),
    ] {
        assert_eq!(client.command(line).await, reply);
    }
    assert_eq!(client.command("AUTH tls").await, "234 TLS it is, go ahead.");
    client.handshake().await;
    for (line, reply) in [
        ("PROT P", "503 PROT comes after PBSZ."),
        ("PBSZ", "501 Syntax: PBSZ 0"),
        ("PBSZ x", "501 Syntax: PBSZ 0"),
        ("PBSZ -1", "501 Syntax: PBSZ 0"),
        ("PBSZ 4294967296", "501 Syntax: PBSZ 0"),
        ("PBSZ 16384", "200 PBSZ=0"),
        ("PBSZ 0", "200 PBSZ=0"),
        ("PROT S", "536 Not a level of TLS: use PROT P."),
        ("PROT E", "536 Not a level of TLS: use PROT P."),
        ("PROT X", "504 Unknown level: use PROT P."),
        ("PROT c", "200 Data connections are in clear text."),
        ("PROT p", "200 Data connections are protected."),
        ("AUTH TLS", "503 The connection is protected already."),
        ("CCC", "534 CCC is not allowed here."),
    ] {
        assert_eq!(client.command(line).await, reply, "{line}");
    }
    client.login().await;
    assert_eq!(client.fetch("NLST").await.0, b"");
}

#[tokio::test]
async fn all_names_of_tls_begin_it_and_tls_p_protects_data_as_well() {
    let world = World::new(Mode::Explicit).await;
    for (name, is_private) in [("TLS", false), ("TLS-C", false), ("SSL", false), ("TLS-P", true)] {
        let mut client = Client::connect(&world).await;
        client.reply().await;
        client.expect(&format!("AUTH {name}"), "234 ").await;
        client.handshake().await;
        client.login().await;
        if is_private {
            client.fetch("NLST").await;
        } else {
            client.fetch_clear("NLST").await;
        }
    }
}

#[tokio::test]
async fn user_in_clear_text_is_told_what_to_do_where_tls_is_required() {
    let world = World::new(Mode::Require).await;
    let mut client = Client::connect(&world).await;
    client.reply().await;
    assert_eq!(
        client.command("USER alice").await,
        "530 Logins need TLS here: use AUTH TLS first (explicit FTP over TLS)."
    );
    client.expect("PASS secret", "503 ").await;
    client.auth().await;
    client.login().await;

    let world = World::new(Mode::Explicit).await;
    let mut client = Client::connect(&world).await;
    client.reply().await;
    client.login().await;
    client.fetch_clear("NLST").await;
}

#[tokio::test]
async fn auth_starts_everything_over() {
    let world = World::new(Mode::Explicit).await;
    std::fs::create_dir(world.root.path().join("directory")).unwrap();
    let mut client = Client::connect(&world).await;
    client.reply().await;
    client.login().await;
    client.expect("CWD directory", "250 ").await;
    client.expect("EPSV ALL", "200 ").await;
    client.expect("REST 5", "350 ").await;
    client.auth().await;
    client.expect("PWD", "530 ").await;
    client.login().await;
    client.expect("PWD", "257 \"/\"").await;
    client.expect("PASV", "227 ").await;
}

#[tokio::test]
async fn feat_shows_what_holds_for_the_session() {
    let has = |reply: &str, feature: &str| {
        reply.lines().any(|line| line.strip_prefix(' ') == Some(feature))
    };
    let world = World::tls(Mode::Explicit, |tls| tls.ccc = true).await;
    let mut client = Client::connect(&world).await;
    client.reply().await;
    let clear = client.command("FEAT").await;
    client.auth().await;
    let protected = client.command("FEAT").await;
    for (feature, before, after) in [
        ("AUTH TLS", true, false),
        ("CCC", false, true),
        ("PBSZ", true, true),
        ("PROT", true, true),
    ] {
        assert_eq!(has(&clear, feature), before, "{feature} in clear text");
        assert_eq!(has(&protected, feature), after, "{feature} under TLS");
    }
}

#[tokio::test]
async fn rein_ends_what_auth_began_and_keeps_what_is_implicit() {
    let world = World::new(Mode::Require).await;
    let mut client = Client::private(&world).await;
    client.expect("REIN", "220 ").await;
    // The next command comes in the same packet as the end of TLS.
    client.end_tls(b"USER alice\r\n").await;
    assert!(client.reply().await.starts_with("530 Logins need TLS here"));
    client.expect("PBSZ 0", "503 ").await;
    client.auth().await;
    client.login().await;
    client.expect("PROT P", "503 ").await;

    let world = World::new(Mode::Implicit).await;
    let mut client = Client::connect(&world).await;
    client.handshake().await;
    client.reply().await;
    client.login().await;
    client.expect("PROT C", "200 ").await;
    client.expect("REIN", "220 ").await;
    client.login().await;
    // Protected from the beginning, as at the beginning.
    client.fetch("NLST").await;
}

#[tokio::test]
async fn ccc_clears_the_control_connection_and_leaves_data_protected() {
    let world = World::tls(Mode::Require, |tls| tls.ccc = true).await;
    let mut client = Client::private(&world).await;
    assert_eq!(client.command("CCC").await, "200 Clear text from here on.");
    client.end_tls(b"NOOP\r\n").await;
    assert_eq!(client.reply().await, "200 NOOP okay.");
    assert!(matches!(client.wire, Wire::Clear(_)));
    assert_eq!(client.fetch("NLST").await.0, b"");
    for (line, reply) in [
        ("CCC", "533 The connection is not protected."),
        ("PBSZ 0", "533 Not after CCC."),
        ("PROT C", "533 Not after CCC."),
        ("AUTH TLS", "534 Not after CCC; REIN starts over."),
    ] {
        assert_eq!(client.command(line).await, reply);
    }
    client.expect("REIN", "220 ").await;
    client.expect("USER alice", "530 ").await;
    client.auth().await;
    client.login().await;
}

#[tokio::test]
async fn too_little_protection_is_refused_before_the_transfer() {
    let private = DataProtection::Private;
    let world = World::tls(Mode::Explicit, |tls| tls.data_protection = private).await;
    let mut client = Client::connect(&world).await;
    client.reply().await;
    client.login().await;
    let refused = "521 Data connections must be protected: use PROT P.";
    client.expect("EPSV", "229 ").await;
    assert_eq!(client.command("NLST").await, refused);
    assert_eq!(client.command("STOR file").await, refused);
    client.auth().await;
    client.login().await;
    client.expect("EPSV", "229 ").await;
    assert_eq!(client.command("NLST").await, refused);
    client.expect("PBSZ 0", "200 ").await;
    assert_eq!(
        client.command("PROT C").await,
        "534 Data connections must be protected: use PROT P."
    );
    client.expect("PROT P", "200 ").await;
    client.fetch("NLST").await;
    assert_eq!(world.file("file"), None);
}

#[tokio::test]
async fn commands_during_transfers_are_heard_under_tls() {
    let world = World::new(Mode::Require).await;
    let mut client = Client::private(&world).await;
    let stream = client.passive().await;
    client.expect("STOR file", "150 ").await;
    let stream = client.data_tls(stream).await.unwrap();
    client.expect("STAT", "211-").await;
    assert_eq!(client.command("ABOR").await, "426 Transfer aborted.");
    assert_eq!(client.reply().await, "226 Abort successful.");
    drop(stream);
    client.store("STOR file", b"content").await;
}

#[tokio::test]
async fn new_handshakes_use_a_new_certificate_and_old_sessions_go_on() {
    let mut world = World::new(Mode::Require).await;
    let mut old = Client::private(&world).await;
    let pair = self_signed(&["localhost"]);
    let new = pair.certificate.clone();
    world.tls.exchange(TlsSettings::new(Mode::Require, pair.identity())).unwrap();
    let bad = TlsSettings {
        identities: Vec::new(),
        ..TlsSettings::new(Mode::Require, self_signed(&["x"]).identity())
    };
    world.tls.exchange(bad).unwrap_err();
    old.store("STOR file", b"content").await;

    let mut distrusting = Client::connect(&world).await;
    distrusting.reply().await;
    distrusting.expect("AUTH TLS", "234 ").await;
    distrusting.try_handshake().await.unwrap_err();

    world.certificate = new;
    let mut client = Client::private(&world).await;
    assert_eq!(client.fetch("RETR file").await.0, b"content");
    assert_eq!(old.fetch("RETR file").await.0, b"content");
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused() {
    let (one, other) = (self_signed(&["localhost"]), self_signed(&["localhost"]));
    let error = Identity::from_der(vec![one.certificate], other.key).unwrap_err();
    assert_eq!(error.to_string(), "the private key does not belong to the certificate");
}

#[tokio::test]
async fn the_named_host_decides_the_certificate_and_host_must_agree() {
    let pair = self_signed(&["ftp.example.org", "*.example.net"]);
    let certificate = pair.certificate.clone();
    let mut world = World::tls(Mode::Explicit, |tls| tls.identities.push(pair.identity())).await;
    let default = std::mem::replace(&mut world.certificate, certificate);
    for (name, other) in [("ftp.example.org", "a.example.net"), ("b.example.net", "localhost")] {
        let mut client = Client::connect(&world).await;
        client.name = name;
        client.reply().await;
        client.auth().await;
        client.expect(&format!("HOST {}", name.to_uppercase()), "220 ").await;
        assert_eq!(
            client.command(&format!("HOST {other}")).await,
            "504 TLS began for another host."
        );
        assert_eq!(client.command("HOST unknown.example").await, "504 No such host here.");
        client.login().await;
    }
    world.certificate = default;
    Client::private(&world).await;
}
