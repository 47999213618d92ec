//! How many octets a second pass through a storage and a content filter, on one core, without a
//! network and without a disk.
//!
//! `cargo xtask plugins && cargo run --release -p waft-plugin-host --example data_path`
#![expect(clippy::print_stdout, reason = "this is what the example is for")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use waft_core::event::Direction;
use waft_core::hooks::{ContentVerdict, HookSource, Passage};
use waft_core::session::Scratch;
use waft_core::storage::{Storage, WriteMode};
use waft_core::{SessionFacts, SessionId, VirtualPath};
use waft_plugin_host::{Host, HostSettings, PluginSettings};

/// Octets of one transfer.
const LENGTH: usize = 256 << 20;

/// Octets at a time.
const CHUNK: usize = 256 << 10;

/// Of so many transfers, the fastest counts.
const ROUNDS: usize = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let plugin = |name: &str, guest: &str, config: &[(&str, &str)]| PluginSettings {
        path: Some(component(guest)),
        config: config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        ..PluginSettings::named(name)
    };
    let both = [("upload", "inspect"), ("download", "transform")];
    let plugins = vec![plugin("vault", "vault", &[]), plugin("customs", "customs", &both)];
    let host = Host::load(HostSettings { plugins, ..HostSettings::default() }).await?;
    let session = session()?;
    let storage = host.storage("vault").for_session(&session).ok_or("no storage")?;
    measure("storage: read", async || read(&*storage).await).await?;
    measure("storage: write", async || write(&*storage).await).await?;
    measure("content: inspect", async || pass(&host, &session, Direction::Upload).await).await?;
    measure("content: transform", async || pass(&host, &session, Direction::Download).await).await
}

async fn measure(
    what: &str,
    transfer: impl AsyncFn() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        transfer().await?;
        best = best.min(began.elapsed());
    }
    println!("{what}: {:.1} GB/s", LENGTH as f64 / best.as_secs_f64() / 1e9);
    Ok(())
}

async fn read(storage: &dyn Storage) -> Result<(), Box<dyn Error>> {
    let path = VirtualPath::root().join(format!("made/{LENGTH}").as_bytes())?;
    let mut reader = storage.open_read(&path, 0).await?;
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        buffer.clear();
        buffer = reader.read(buffer).await?;
        if buffer.is_empty() {
            return Ok(());
        }
    }
}

async fn write(storage: &dyn Storage) -> Result<(), Box<dyn Error>> {
    let path = VirtualPath::root().join(b"sink/file")?;
    let pattern: Vec<u8> = (0..CHUNK + 251).map(|place| (place % 251) as u8).collect();
    let mut writer = storage.open_write(&path, WriteMode::Replace).await?;
    let mut buffer = Vec::with_capacity(CHUNK);
    for number in 0..LENGTH / CHUNK {
        let octets = pattern.get(number * CHUNK % 251..).unwrap_or_default();
        buffer.extend_from_slice(octets.get(..CHUNK).unwrap_or_default());
        buffer = writer.write(buffer).await?;
    }
    writer.finish().await?;
    Ok(())
}

async fn pass(
    host: &Host,
    session: &Arc<SessionFacts>,
    direction: Direction,
) -> Result<(), Box<dyn Error>> {
    let path = VirtualPath::root().join(b"file")?;
    let session = Arc::clone(session);
    let passage = Passage { session, direction, path, size: None, partial: false };
    let hooks = host.current();
    let filters = hooks.content().ok_or("no filter")?;
    let wanted = filters.wanted(passage).await.map_err(|_| "refused")?.ok_or("not wanted")?;
    let mut stream = wanted.open().await.map_err(|_| "refused")?;
    let mut chunk = vec![b' '; CHUNK];
    for _ in 0..LENGTH / CHUNK {
        chunk = stream.push(chunk).await.map_err(|_| "refused")?;
    }
    match stream.finish().await {
        ContentVerdict::Accept(_) => Ok(()),
        _ => Err("refused".into()),
    }
}

/// A guest of the tests.
fn component(name: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let directory = std::env::var_os("WAFT_PLUGINS").map_or(workspace, PathBuf::from);
    directory.join("tests").join(name).with_extension("wasm")
}

fn session() -> Result<Arc<SessionFacts>, Box<dyn Error>> {
    Ok(Arc::new(SessionFacts {
        id: SessionId(1),
        peer: "127.0.0.1:1".parse()?,
        local: "127.0.0.1:21".parse()?,
        listener: "127.0.0.1:21".into(),
        tls: None,
        user: None,
        cwd: VirtualPath::root(),
        attributes: Arc::new([]),
        scratch: Arc::new(Scratch::default()),
    }))
}
