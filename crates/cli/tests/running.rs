//! A server inside the test: started, reloaded and shut down by calls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use waft::{Running, StartError};
use waft_config::Config;

fn config(root: &Path, text: &str) -> Config {
    Config::from_text(&root.join("waft.toml"), text).unwrap().0
}

const ONE: &str = "[server]\nname = \"one\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n";
const TWO: &str = "[server]\nname = \"two\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
                   [[listener]]\naddress = \"127.0.0.2:0\"\n";

async fn greeting(address: SocketAddr) -> (BufReader<TcpStream>, String) {
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    (stream, line)
}

#[tokio::test]
async fn a_server_is_started_reloaded_and_shut_down() {
    let root = tempfile::tempdir().unwrap();
    let mut running = Running::start(config(root.path(), ONE)).await.unwrap();
    let [address] = running.addresses().try_into().unwrap();
    let (mut client, line) = greeting(address).await;
    assert!(line.starts_with("220") && line.contains("one"), "{line}");

    running.reload(config(root.path(), TWO)).await.unwrap();
    let [kept, added] = running.addresses().try_into().unwrap();
    assert_eq!(kept, address);
    assert!(greeting(added).await.1.contains("two"));
    client.write_all(b"NOOP\r\n").await.unwrap();
    let mut line = String::new();
    client.read_line(&mut line).await.unwrap();
    assert!(line.starts_with("200"), "{line}");

    running.shut_down(pending()).await;
    line.clear();
    client.read_line(&mut line).await.unwrap();
    assert!(line.starts_with("421"), "{line}");
    for address in [kept, added] {
        assert!(TcpStream::connect(address).await.is_err());
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_acted_on_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("broken.wasm"), "no component").unwrap();
    let broken = format!("{TWO}[[plugin]]\nname = \"broken\"\npath = \"broken.wasm\"\n");
    let broken = config(root.path(), &broken);
    let refused = Running::start(broken.clone()).await.err().unwrap();
    assert!(matches!(refused, StartError::Configuration(_)), "{refused}");

    let mut running = Running::start(config(root.path(), ONE)).await.unwrap();
    let before = running.addresses();
    let mistakes = running.reload(broken).await.unwrap_err();
    assert_eq!(mistakes.mistakes[0].key, "plugin.0.path");
    assert_eq!(running.addresses(), before);
    assert!(greeting(before[0]).await.1.contains("one"));
    running.shut_down(pending()).await;
}
