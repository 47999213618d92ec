use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let (mut a, mut b) = MemoryStream::pair();
    a.write_all(b"question").await.unwrap();
    a.shutdown().await.unwrap();
    let mut question = String::new();
    b.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    assert_eq!(a.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);

    b.write_all(b"answer").await.unwrap();
    drop(b);
    let mut answer = String::new();
    a.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
}

#[tokio::test]
async fn writing_to_somebody_who_is_gone_fails() {
    let (mut a, b) = MemoryStream::pair();
    a.write_all(b"lost").await.unwrap();
    drop(b);
    assert_eq!(a.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(a.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_reset_reaches_whoever_waits_and_loses_what_was_under_way() {
    let (mut a, mut b) = MemoryStream::pair();
    b.write_all(b"lost").await.unwrap();
    b.reset();
    assert_eq!(a.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(a.write(&[0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);

    let (mut a, b) = MemoryStream::pair();
    let mut octet = [0];
    let (read, ()) = tokio::join!(a.read(&mut octet), async { b.reset() });
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_full_buffer_makes_the_writer_wait() {
    let (mut a, mut b) = MemoryStream::pair();
    let data: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let mut received = Vec::new();
    let writing = async {
        a.write_all(&data).await.unwrap();
        drop(a);
    };
    tokio::join!(writing, async { b.read_to_end(&mut received).await.unwrap() });
    assert!(received == data);
}

#[tokio::test]
async fn listeners_are_found_by_address_until_they_are_dropped() {
    let network = MemoryNetwork::new();
    let listener = network.listen(address(5000)).unwrap();
    let busy = network.client_listen(address(5000)).unwrap_err();
    assert_eq!(busy.kind(), io::ErrorKind::AddrInUse);
    let chosen = network.listen(address(0)).unwrap();
    assert_ne!(chosen.port(), 0);

    let from = SocketAddr::from(([192, 0, 2, 7], 40_000));
    let mut client = network.clone().client_connect(address(5000), from).unwrap();
    let (mut server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, from);
    server.write_all(b"x").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');

    let mut unaccepted = network.client_connect(address(5000), from).unwrap();
    drop(listener);
    let reset = unaccepted.read_u8().await.unwrap_err();
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    let refused = network.client_connect(address(5000), from).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    network.listen(address(5000)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_accepts_or_connects_to_a_silent_address_waits() {
    let network = MemoryNetwork::new();
    let listener = network.listen(address(5000)).unwrap();
    let wait = Duration::from_secs(5);
    assert!(tokio::time::timeout(wait, listener.accept()).await.is_err());
    network.silence(address(6000));
    let from = IpAddr::from([192, 0, 2, 9]);
    assert!(tokio::time::timeout(wait, network.connect(from, address(6000))).await.is_err());

    let connecting = network.connect(from, address(5000));
    let (connected, accepted) = tokio::join!(connecting, listener.accept());
    connected.unwrap();
    assert_eq!(accepted.unwrap().1.ip(), from);
}

#[tokio::test]
async fn names_have_the_addresses_that_they_were_given() {
    let network = MemoryNetwork::new();
    network.set_name("ftp.example.org", vec![address(0).ip()]);
    assert_eq!(network.resolve("ftp.example.org").await.unwrap(), [address(0).ip()]);
    let unknown = network.resolve("www.example.org").await.unwrap_err();
    assert_eq!(unknown.kind(), io::ErrorKind::NotFound);
}
