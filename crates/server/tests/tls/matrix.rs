//! Everything that should work, in all its combinations.

use std::io::Write;

use rustls::{HandshakeKind, SupportedProtocolVersion, version};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waft_server::tls::Mode;

use super::client::{Client, config};
use super::world::World;

static VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

async fn logged_in(
    world: &World,
    mode: Mode,
    version: &'static SupportedProtocolVersion,
) -> Client {
    let config = config(world, &[version], None);
    let mut client = Client::connect_with(world, config).await;
    if mode == Mode::Implicit {
        client.handshake().await;
        assert!(client.reply().await.starts_with("220 "));
    } else {
        assert!(client.reply().await.starts_with("220 "));
        client.auth().await;
    }
    client.login().await;
    assert_eq!(client.tls().protocol_version(), Some(version.version));
    client
}

#[tokio::test]
async fn uploads_downloads_and_listings_work_in_every_mode_version_and_protection() {
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    for mode in [Mode::Explicit, Mode::Require, Mode::Implicit] {
        for version in VERSIONS {
            let world = World::new(mode).await;
            let mut client = logged_in(&world, mode, version).await;
            client.prot("P").await;
            client.store("STOR p.bin", &content).await;
            assert_eq!(world.file("p.bin").as_ref(), Some(&content));
            assert_eq!(client.fetch("RETR p.bin").await.0, content);
            let (listing, kind) = client.fetch("NLST").await;
            assert_eq!(listing, b"p.bin\r\n");
            assert_eq!(kind, HandshakeKind::Resumed);
            client.store("STOR empty", b"").await;
            assert_eq!(client.fetch("RETR empty").await.0, b"");

            client.prot("C").await;
            client.store_clear("STOR c.bin", &content).await;
            assert_eq!(client.fetch_clear("RETR c.bin").await, content);
            assert_eq!(client.fetch_clear("NLST").await, b"c.bin\r\nempty\r\np.bin\r\n");
            client.expect("QUIT", "221 ").await;
            assert_eq!(client.line().await, None);
        }
    }
}

#[tokio::test]
async fn a_large_file_arrives_as_it_was_in_both_directions() {
    let world = World::new(Mode::Require).await;
    let content: Vec<u8> =
        (0..16_u32 << 20).flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect();
    assert_eq!(content.len(), 64 << 20);
    let digest = Sha256::digest(&content);
    for version in VERSIONS {
        let mut client = logged_in(&world, Mode::Require, version).await;
        client.prot("P").await;
        client.store("STOR big", &content).await;
        assert_eq!(Sha256::digest(world.file("big").unwrap()), digest);
        assert_eq!(Sha256::digest(client.fetch("RETR big").await.0), digest);
    }
}

#[tokio::test]
async fn records_of_all_sizes_arrive_in_their_order() {
    let world = World::new(Mode::Require).await;
    // Many of one octet, some that are gathered with them, some that are not.
    let mut sizes = vec![1; 70_000];
    for size in [2, 4095, 4096, 1, 1, 5000, 300, 16_384, 0, 16_384, 4095, 1] {
        sizes.extend([size; 20]);
        sizes.extend([1; 50]);
    }
    let content: Vec<u8> = (0..sizes.iter().sum::<usize>() as u32)
        .map(|n| (n.wrapping_mul(0x9e37_79b1) >> 24) as u8)
        .collect();
    for version in VERSIONS {
        let mut client = logged_in(&world, Mode::Require, version).await;
        client.prot("P").await;
        let stream = client.passive().await;
        client.expect("STOR file", "150 ").await;
        let mut stream = client.data_tls(stream).await.unwrap();
        stream.get_mut().1.set_buffer_limit(None);
        let mut rest = &content[..];
        for size in &sizes {
            let (record, others) = rest.split_at(*size);
            stream.get_mut().1.writer().write_all(record).unwrap();
            rest = others;
        }
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(client.reply().await, "226 Transfer complete.");
        assert!(world.file("file").unwrap() == content);
    }
}

#[tokio::test]
async fn translation_and_compression_work_under_tls() {
    let world = World::new(Mode::Explicit).await;
    let mut client = Client::private(&world).await;
    client.expect("TYPE A", "200 ").await;
    client.store("STOR text", b"one\r\ntwo\r\n").await;
    assert_eq!(world.file("text").as_deref(), Some(&b"one\ntwo\n"[..]));
    assert_eq!(client.fetch("RETR text").await.0, b"one\r\ntwo\r\n");
    client.expect("TYPE I", "200 ").await;
    client.expect("MODE Z", "200 ").await;
    let (packed, _) = client.fetch("RETR text").await;
    client.store("STOR copy", &packed).await;
    assert_eq!(world.file("copy").as_deref(), Some(&b"one\ntwo\n"[..]));
}

#[tokio::test]
async fn a_download_of_a_file_that_became_shorter_is_not_ended_as_if_it_were_complete() {
    let world = World::new(Mode::Require).await;
    let file = std::fs::File::create(world.root.path().join("log")).unwrap();
    for version in VERSIONS {
        // More than the network takes while the client reads nothing.
        file.set_len(256 << 20).unwrap();
        let mut client = logged_in(&world, Mode::Require, version).await;
        client.prot("P").await;
        let stream = client.passive().await;
        client.expect("RETR log", "150 ").await;
        let mut stream = client.data_tls(stream).await.unwrap();
        // Who has got octets knows that the file is open and its size promised.
        stream.read_exact(&mut [0; 1]).await.unwrap();
        file.set_len(0).unwrap();
        // What an end without close_notify is to rustls.
        let error = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap_err();
        let kinds = [std::io::ErrorKind::UnexpectedEof, std::io::ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.kind()), "{error}");
        assert!(client.reply().await.starts_with("451 "));
    }
}
