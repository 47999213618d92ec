//! Peers that do what they should not, and the replies they get.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waft_core::storage::Interrupted;
use waft_server::tls::{CloseNotify, Mode};

use super::client::{Client, Wire};
use super::world::World;

#[tokio::test]
async fn commands_behind_auth_are_never_executed() {
    let world = World::new(Mode::Explicit).await;
    let mut client = Client::connect(&world).await;
    client.reply().await;
    client.send(b"AUTH TLS\r\nUSER alice\r\nPASS secret\r\nMKD injected\r\n").await;
    assert_eq!(client.reply().await, "503 Nothing may follow AUTH: closing.");
    assert_eq!(client.line().await, None);
    assert_eq!(world.counts().logins, 0);
}

#[tokio::test]
async fn what_is_no_handshake_behind_auth_ends_the_session() {
    let world = World::new(Mode::Explicit).await;
    let mut client = Client::connect(&world).await;
    client.reply().await;
    client.expect("AUTH TLS", "234 ").await;
    client.send(b"USER alice\r\nPASS secret\r\n").await;
    // At most an alert comes, which is no line.
    let Wire::Clear(mut stream) = client.wire else { panic!("TLS") };
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(!rest.contains(&b'\n'));
    world.deserted().await;
    assert_eq!((world.counts().logins, world.counts().tls_handshakes_failed), (0, 1));
}

#[tokio::test]
async fn clear_text_on_an_implicit_listener_ends_the_session() {
    let world = World::new(Mode::Implicit).await;
    let mut client = Client::connect(&world).await;
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let Wire::Clear(mut stream) = client.wire else { panic!("TLS") };
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(!rest.contains(&b'\n'));
}

/// A ClientHello of TLS 1.1, with CBC suites only.
const OLD_HELLO: &[u8] = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x02\
    0123456789abcdef0123456789abcdef\x00\x00\x04\xc0\x14\x00\x35\x01\x00";

#[tokio::test]
async fn a_client_that_speaks_only_old_versions_gets_an_alert() {
    let world = World::new(Mode::Implicit).await;
    let client = Client::connect(&world).await;
    let Wire::Clear(mut stream) = client.wire else { panic!("TLS") };
    stream.write_all(OLD_HELLO).await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    // An alert: fatal, handshake_failure. What TLS 1.2 adds to a ClientHello is missed first.
    assert_eq!(rest, b"\x15\x03\x03\x00\x02\x02\x28");
    world.deserted().await;
    assert_eq!(world.counts().tls_handshakes_failed, 1);
}

#[tokio::test]
async fn a_client_of_an_implicit_port_on_an_explicit_one_is_answered_in_clear_text() {
    for mode in [Mode::Explicit, Mode::Require] {
        let world = World::new(mode).await;
        let mut client = Client::connect(&world).await;
        // It takes the greeting for a broken handshake and gives up.
        client.try_handshake().await.unwrap_err();
        assert_eq!(world.counts().logins, 0);
        let mut client = Client::explicit(&world).await;
        client.expect("NOOP", "200 ").await;
    }
}

#[tokio::test]
async fn another_protocol_under_tls_gets_no_answer() {
    let world = World::new(Mode::Implicit).await;
    let mut client = Client::connect(&world).await;
    client.handshake().await;
    client.reply().await;
    client.send(b"GET / HTTP/1.1\r\n").await;
    assert_eq!(client.line().await, None);
    assert_eq!(world.counts().foreign_protocols, 1);
}

/// Who sits between a browser and the server says AUTH in clear text, and hands the browser's
/// handshake on.
#[tokio::test]
async fn another_protocol_behind_auth_gets_no_answer() {
    let world = World::new(Mode::Require).await;
    for line in ["GET / HTTP/1.1", "POST /upload HTTP/1.1", "EHLO mail.example.org"] {
        let mut client = Client::connect(&world).await;
        client.reply().await;
        client.auth().await;
        client.send(format!("{line}\r\nUSER alice\r\nPASS secret\r\n").as_bytes()).await;
        assert_eq!(client.line().await, None, "{line}");
    }
    assert_eq!((world.counts().foreign_protocols, world.counts().logins), (3, 0));
    // Behind the first line it is a command that nobody knows.
    let mut client = Client::explicit(&world).await;
    client.expect("GET / HTTP/1.1", "500 ").await;
}

#[tokio::test]
async fn clients_that_offer_only_other_protocols_are_refused() {
    let world = World::new(Mode::Implicit).await;
    for (protocols, served) in [
        (vec![b"http/1.1".to_vec(), b"h2".to_vec()], false),
        (vec![b"h2".to_vec(), b"ftp".to_vec()], true),
        (vec![], true),
    ] {
        let mut client = Client::connect(&world).await;
        Arc::make_mut(&mut client.config).alpn_protocols = protocols;
        assert_eq!(client.try_handshake().await.is_ok(), served);
    }
}

#[tokio::test]
async fn a_handshake_that_is_broken_off_is_522_and_the_session_lives() {
    let world = World::new(Mode::Require).await;
    let mut client = Client::private(&world).await;
    for line in ["STOR file", "LIST"] {
        let stream = client.passive().await;
        client.expect(line, "150 ").await;
        drop(stream);
        assert_eq!(
            client.reply().await,
            "522 TLS handshake of data connection failed: the client closed the connection."
        );
        let mut stream = client.passive().await;
        client.expect(line, "150 ").await;
        stream.write_all(b"this is no handshake, but the file itself\r\n").await.unwrap();
        assert_eq!(
            client.reply().await,
            "522 TLS handshake of data connection failed: what came is no TLS."
        );
    }
    assert_eq!(world.file("file"), None);
    assert_eq!(world.counts().data_tls_failed, 4);
    client.store("STOR file", b"content").await;
}

#[tokio::test]
async fn a_handshake_that_stops_in_the_middle_is_522_and_the_session_lives() {
    let world = World::with(
        Mode::Require,
        |_| {},
        |settings| settings.timeouts.tls_handshake = Duration::from_millis(500),
    )
    .await;
    let mut client = Client::private(&world).await;
    world.server_has("file", b"before");
    let closed = "522 TLS handshake of data connection failed: the client closed the connection.";
    let late = "522 No TLS handshake on the data connection within 0.5 s.";
    for (line, goes_on, reply) in [
        ("STOR file", false, closed),
        ("APPE file", false, closed),
        ("RETR file", false, closed),
        ("STOR file", true, late),
        ("MLSD", true, late),
    ] {
        let mut stream = client.passive().await;
        client.expect(line, "150 ").await;
        stream.write_all(&OLD_HELLO[..20]).await.unwrap();
        if !goes_on {
            stream.shutdown().await.unwrap();
        }
        assert_eq!(client.reply().await, reply, "{line}");
    }
    assert_eq!(world.file("file").as_deref(), Some(&b"before"[..]));
    client.store("STOR file", b"content").await;
}

#[tokio::test]
async fn octets_that_nobody_sealed_break_an_upload_off() {
    let world = World::with(
        Mode::Require,
        |_| {},
        |settings| settings.transfers.interrupted = Interrupted::Delete,
    )
    .await;
    let mut client = Client::private(&world).await;
    world.server_has("file", b"before");
    for forged in [&b"\x17\x03\x03\x00\x20forged, though of the right length!"[..], b"no TLS\r\n"] {
        let stream = client.passive().await;
        client.expect("STOR file", "150 ").await;
        let mut stream = client.data_tls(stream).await.unwrap();
        stream.write_all(b"content").await.unwrap();
        stream.flush().await.unwrap();
        let (mut tcp, _) = stream.into_inner();
        tcp.write_all(forged).await.unwrap();
        assert!(client.reply().await.starts_with("426 "));
        assert_eq!(world.file("file").as_deref(), Some(&b"before"[..]));
    }
    client.store("STOR file", b"content").await;
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_data_connection_is_told_what_it_said() {
    let world = World::new(Mode::Require).await;
    let mut client = Client::private(&world).await;
    let own = client.name;
    client.name = "elsewhere.example";
    let stream = client.passive().await;
    client.expect("LIST", "150 ").await;
    client.data_tls(stream).await.unwrap_err();
    let reply = client.reply().await;
    assert_eq!(
        reply,
        "522 TLS handshake of data connection failed: the client says BadCertificate."
    );
    client.name = own;
    client.fetch("LIST").await;
}

#[tokio::test]
async fn a_handshake_that_never_comes_is_522() {
    let world = World::with(
        Mode::Require,
        |_| {},
        |settings| {
            settings.timeouts.tls_handshake = Duration::from_millis(500);
        },
    )
    .await;
    let mut client = Client::private(&world).await;
    let stream = client.passive().await;
    client.expect("RETR missing", "550 ").await;
    client.expect("NLST", "150 ").await;
    assert_eq!(client.reply().await, "522 No TLS handshake on the data connection within 0.5 s.");
    drop(stream);
    client.expect("NOOP", "200 ").await;
}

#[tokio::test]
async fn a_handshake_on_a_clear_channel_is_stored_nowhere() {
    let world = World::new(Mode::Require).await;
    let mut client = Client::explicit(&world).await;
    let stream = client.passive().await;
    client.expect("STOR file", "150 ").await;
    let (handshake, reply) = tokio::join!(
        async { Client::connect(&world).await.data_tls(stream).await },
        client.reply()
    );
    handshake.unwrap_err();
    assert_eq!(reply, "522 TLS on a data connection that PROT says is in clear text.");
    assert_eq!(world.file("file"), None);
    // What only begins like one is a file like any other.
    for content in [&b"\x16\x03"[..], b"\x16\x03\x01\x02\x00\x02", b"", b"\x16", b"text"] {
        client.store_clear("STOR file", content).await;
        assert_eq!(world.file("file").as_deref(), Some(content));
    }
}

/// Uploads and ends the connection without close_notify.
async fn cut_off(client: &mut Client, line: &str, content: &[u8]) -> String {
    let stream = client.passive().await;
    client.expect(line, "150 ").await;
    let mut stream = client.data_tls(stream).await.unwrap();
    stream.write_all(content).await.unwrap();
    stream.flush().await.unwrap();
    let (mut tcp, _) = stream.into_inner();
    tcp.shutdown().await.unwrap();
    client.reply().await
}

#[tokio::test]
async fn an_upload_without_close_notify_is_counted_where_that_is_lenient() {
    let world = World::new(Mode::Require).await;
    let mut client = Client::private(&world).await;
    assert_eq!(cut_off(&mut client, "STOR file", b"content").await, "226 Transfer complete.");
    assert_eq!(world.file("file").as_deref(), Some(&b"content"[..]));
    assert_eq!(world.counts().close_notify_missing, 1);
}

#[tokio::test]
async fn an_upload_without_close_notify_is_incomplete_where_that_is_strict() {
    let world = World::with(
        Mode::Require,
        |tls| tls.close_notify = CloseNotify::Strict,
        |settings| settings.transfers.interrupted = Interrupted::Delete,
    )
    .await;
    let mut client = Client::private(&world).await;
    client.store("STOR file", b"before").await;
    assert_eq!(
        cut_off(&mut client, "STOR file", b"content").await,
        "426 Upload ended without close_notify: it may be cut off."
    );
    assert_eq!(world.file("file").as_deref(), Some(&b"before"[..]));
    assert_eq!(world.counts().close_notify_missing, 1);
    client.store("STOR file", b"after").await;
    assert_eq!(world.file("file").as_deref(), Some(&b"after"[..]));
}

/// Clients that give up end TLS as those do that have sent all, and then close both connections.
#[tokio::test]
async fn an_upload_whose_client_is_gone_after_close_notify_is_not_published() {
    let world = World::on_this_thread(Mode::Require).await;
    world.server_has("file", b"before");
    let mut client = Client::private(&world).await;
    let stream = client.passive().await;
    client.expect("STOR file", "150 ").await;
    let mut stream = client.data_tls(stream).await.unwrap();
    stream.write_all(b"half of the content").await.unwrap();
    stream.flush().await.unwrap();
    // Only what took its time is given a moment at its end.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3)).await;
    tokio::time::resume();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the server has read it all");
    drop(client);
    while world.counts().sessions_closed == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.file("file").as_deref(), Some(&b"before"[..]));
    assert_eq!(world.file("file.partial").as_deref(), Some(&b"half of the content"[..]));
}

#[tokio::test]
async fn who_goes_on_under_tls_behind_rein_is_disconnected() {
    let world = World::new(Mode::Explicit).await;
    let mut client = Client::private(&world).await;
    client.expect("REIN", "220 ").await;
    client.send(b"USER alice\r\n").await;
    assert_eq!(client.line().await, None);
}

#[tokio::test]
async fn commands_behind_ccc_under_tls_end_the_session() {
    let world = World::tls(Mode::Explicit, |tls| tls.ccc = true).await;
    let mut client = Client::private(&world).await;
    client.send(b"CCC\r\nMKD injected\r\n").await;
    assert_eq!(client.reply().await, "200 Clear text from here on.");
    assert_eq!(client.line().await, None);
    assert!(!world.root.path().join("injected").exists());
}
