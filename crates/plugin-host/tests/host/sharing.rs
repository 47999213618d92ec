//! Transfers that share an instance: what they have of each other, and what becomes of them together.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use waft_core::event::Direction;
use waft_core::hooks::{ContentStream, ContentVerdict, HookSource};
use waft_core::storage::{ErrorKind, WriteMode};
use waft_core::{SessionId, VirtualPath};
use waft_plugin_host::{Host, HostSettings, Isolation, OnError, PluginSettings, Refusal};

use crate::support::*;

const MARKED: [(&str, &str); 2] = [("upload", "transform"), ("mark", "!")];

/// A plugin whose instances as many transfers have.
fn sharing(share: usize, config: &[(&str, &str)]) -> PluginSettings {
    PluginSettings { share, ..plugin("p", config) }
}

async fn customs(settings: PluginSettings) -> (Directory, Host) {
    host_of(&component("tests/customs"), settings).await
}

/// An upload of the session of that number.
async fn upload(host: &Host, id: u64) -> Box<dyn ContentStream> {
    transfer(host, id, Direction::Upload).await
}

async fn push(stream: &mut Box<dyn ContentStream>, octets: &[u8]) -> Vec<u8> {
    let pushed = stream.push(octets.to_vec()).await;
    pushed.unwrap_or_else(|refusal| panic!("{}", text(&refusal.reply)))
}

/// What comes behind the octets, or the refusal.
async fn finish(stream: Box<dyn ContentStream>) -> String {
    match stream.finish().await {
        ContentVerdict::Accept(tail) => String::from_utf8(tail).unwrap(),
        ContentVerdict::Refuse(refusal) => text(&refusal.reply),
        ContentVerdict::Quarantine(_) => panic!("quarantined"),
    }
}

/// Instances that rest, and all others.
fn instances(host: &Host) -> (usize, usize) {
    let status = host.status().plugins.remove(0);
    (status.instances_idle, status.instances_busy)
}

/// Waits until so many rest and so many do not: what a transfer leaves behind goes by itself.
async fn settled(host: &Host, wanted: (usize, usize)) {
    while instances(host) != wanted {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn as_many_transfers_as_may_share_one_instance() {
    let (_directory, host) = customs(sharing(8, &MARKED)).await;
    let host = Arc::new(host);
    let opening = (0..8).map(|id| {
        let host = Arc::clone(&host);
        tokio::spawn(async move { upload(&host, id).await })
    });
    let opening: Vec<_> = opening.collect();
    let mut streams = Vec::new();
    for opening in opening {
        streams.push(opening.await.unwrap());
    }
    assert_eq!(instances(&host).1, 1);
    let ninth = upload(&host, 8).await;
    assert_eq!(instances(&host).1, 2);
    let passing = (b'a'..).zip(streams).map(|(letter, mut stream)| {
        tokio::spawn(async move {
            let mut out = Vec::new();
            for length in 1..100 {
                out.extend(push(&mut stream, &vec![letter; length * 100]).await);
            }
            (letter, out, finish(stream).await)
        })
    });
    let passing: Vec<_> = passing.collect();
    for passing in passing {
        let (letter, out, tail) = passing.await.unwrap();
        assert!(out == vec![letter.to_ascii_uppercase(); 495_000], "{}", char::from(letter));
        assert_eq!(tail, "!");
    }
    assert_eq!(finish(ninth).await, "!");
    // How many rest depends on how many asked at the same time whether they were wanted.
    while instances(&host).1 > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(host.status().plugins[0].counts.traps, 0);
}

#[tokio::test]
async fn an_instance_rests_when_the_last_of_its_transfers_has_ended_and_serves_others_then() {
    let (_directory, host) = customs(sharing(2, &MARKED)).await;
    for _ in 0..3 {
        let (one, other) = (upload(&host, 1).await, upload(&host, 2).await);
        drop(one);
        tokio::task::yield_now().await;
        // The other one answered whether the second is wanted.
        assert_eq!(instances(&host), (1, 1));
        assert_eq!(finish(other).await, "!");
        settled(&host, (2, 0)).await;
    }
}

#[tokio::test]
async fn readers_and_writers_of_a_storage_share_instances() {
    let settings = PluginSettings { name: "vault".to_owned(), ..sharing(8, &[]) };
    let (_directory, host) = host_of(&component("tests/vault"), settings).await;
    let storage = host.storage("vault").for_session(&session()).unwrap();
    let at = |path: &str| VirtualPath::root().join(path.as_bytes()).unwrap();
    let made = |length: u64| (0..length).map(|place| (place % 251) as u8).collect::<Vec<_>>();
    let mut readers = Vec::new();
    for length in 1..=4 {
        readers.push(storage.open_read(&at(&format!("/made/{length}00000")), 0).await.unwrap());
    }
    let mut writers = Vec::new();
    for name in ["/sink/a", "/sink/b", "/sink/c", "/sink/d"] {
        writers.push(storage.open_write(&at(name), WriteMode::Replace).await.unwrap());
    }
    assert_eq!(instances(&host).1, 1);
    let mut read = vec![Vec::new(); readers.len()];
    for place in (0..100_000).step_by(10_000) {
        for (reader, read) in readers.iter_mut().zip(&mut read) {
            read.extend(reader.read(Vec::with_capacity(40_000)).await.unwrap());
        }
        for writer in &mut writers {
            writer.write(made(100_000)[place..place + 10_000].to_vec()).await.unwrap();
        }
    }
    for (length, read) in (1..).zip(read) {
        assert!(read == made(length * 100_000), "{length}: {}", read.len());
    }
    for writer in writers {
        assert_eq!(writer.finish().await.unwrap().size, 100_000);
    }
    drop(readers);
    settled(&host, (2, 0)).await;
}

#[tokio::test]
async fn a_transfer_that_breaks_the_instance_ends_those_that_share_it() {
    let config = [&MARKED[..], &[("trap_on", "BOMB")]].concat();
    let (_directory, host) = customs(sharing(2, &config)).await;
    let log = Log::listen();
    let (mut one, mut other) = (upload(&host, 1).await, upload(&host, 2).await);
    let mut third = upload(&host, 3).await;
    assert_eq!(
        (push(&mut one, b"a").await, push(&mut other, b"b").await),
        (b"A".into(), b"B".into())
    );
    let refused = "451 Local error: plugin failed.";
    assert_eq!(text(&one.push(b"a BOMB".to_vec()).await.unwrap_err().reply), refused);
    // The seat of the one that is gone is no seat for somebody new.
    let fourth = upload(&host, 4).await;
    assert_eq!(text(&other.push(b"b".to_vec()).await.unwrap_err().reply), refused);
    assert_eq!(push(&mut third, b"c").await, b"C");
    assert_eq!((finish(third).await, finish(fourth).await), ("!".into(), "!".into()));
    let why = "the instance that it shared is gone, with the call of another transfer";
    let told = log.lines_with(why);
    assert!(told.len() == 1 && told[0].contains("session=2"), "{told:?}");
    let status = host.status().plugins.remove(0);
    assert_eq!((status.counts.traps, status.counts.not_made), (1, 1));
    assert!(status.last_error.unwrap().reason.starts_with("trap: "), "what it was told first");
}

#[tokio::test]
async fn who_only_inspects_is_passed_over_where_the_instance_is_gone_and_the_policy_says_so() {
    let config = [("upload", "inspect"), ("trap_on", "BOMB")];
    let settings = PluginSettings { on_error: OnError::Allow, ..sharing(2, &config) };
    let (_directory, host) = customs(settings).await;
    let (mut one, mut other) = (upload(&host, 1).await, upload(&host, 2).await);
    assert_eq!(push(&mut one, b"a BOMB").await, b"a BOMB");
    assert_eq!(
        (push(&mut other, b"b").await, push(&mut one, b"c").await),
        (b"b".into(), b"c".into())
    );
    assert_eq!((finish(one).await, finish(other).await), (String::new(), String::new()));
}

#[tokio::test]
async fn so_many_failures_of_one_instance_are_one_failure() {
    let config = [&MARKED[..], &[("trap_on", "BOMB")]].concat();
    let (_directory, host) = customs(sharing(8, &config)).await;
    let mut streams = Vec::new();
    for id in 0..8 {
        streams.push(upload(&host, id).await);
    }
    for stream in &mut streams {
        stream.push(b"BOMB".to_vec()).await.unwrap_err();
    }
    let status = host.status().plugins.remove(0);
    assert_eq!((status.counts.traps, status.counts.not_made), (1, 7));
    assert!(!status.breaker_open);
}

#[tokio::test]
async fn a_transfer_that_is_given_up_in_the_middle_of_a_call_leaves_the_others_alone() {
    let config = [&MARKED[..], &[("work_on", "MILL")]].concat();
    let mut settings = sharing(2, &config);
    settings.limits.cpu = Some(Duration::from_secs(3600));
    settings.limits.wall = Some(Duration::from_secs(3600));
    let (_directory, host) = customs(settings).await;
    let (mut one, mut other) = (upload(&host, 1).await, upload(&host, 2).await);
    let mut working = one.push(b"MILL".to_vec());
    poll_fn(|context| {
        assert!(working.as_mut().poll(context).is_pending(), "it gives way");
        Poll::Ready(())
    })
    .await;
    drop(working);
    drop(one);
    assert_eq!(push(&mut other, b"b").await, b"B");
    assert_eq!(finish(other).await, "!");
    settled(&host, (2, 0)).await;
    assert_eq!(host.status().plugins[0].counts.not_made, 0);
}

#[tokio::test]
async fn transfers_end_with_the_version_that_they_began_with_whoever_shares_it() {
    let directory = Directory::new();
    directory.put("p.wasm", &component("tests/customs"));
    let with = |mark| HostSettings {
        plugins: vec![sharing(8, &[("upload", "transform"), ("mark", mark)])],
        ..directory.settings()
    };
    let host = load(with("1")).await;
    let (mut one, other) = (upload(&host, 1).await, upload(&host, 2).await);
    host.reconfigure(with("2")).await.unwrap();
    let later = upload(&host, 3).await;
    let status = host.status();
    assert_eq!((status.plugins[0].instances_busy, status.draining[0].instances), (1, 1));
    assert_eq!(push(&mut one, b"a").await, b"A");
    assert_eq!([finish(one).await, finish(later).await, finish(other).await], ["1", "2", "1"]);
    assert_eq!(host.drain("p", Duration::from_secs(60)).await, Ok(0));
}

#[tokio::test]
async fn transfers_that_share_are_ended_by_force_one_and_all() {
    let directory = Directory::new();
    let vault = component("tests/vault");
    directory.put("vault.wasm", &vault);
    let settings =
        PluginSettings { name: "vault".to_owned(), canary_percent: Some(50), ..sharing(8, &[]) };
    let host = load(HostSettings { plugins: vec![settings], ..directory.settings() }).await;
    directory.put("vault.wasm", &[&vault[..], &[0, 3, 1, b'v', 1]].concat());
    host.rescan().await;
    let id = (1..).find(|id| host.current_for(SessionId(*id)).generation() == 2).unwrap();
    let storage = host.storage("vault").for_session(&session_of(id)).unwrap();
    let path = VirtualPath::root().join(b"/made/1000000").unwrap();
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(storage.open_read(&path, 0).await.unwrap());
    }
    assert_eq!(instances(&host).1, 1);
    host.promote("vault").await.unwrap();
    assert_eq!(host.drain("vault", Duration::ZERO).await, Ok(1));
    assert_eq!(host.force_drain("vault", Duration::from_secs(60)).await, Ok(0));
    for reader in &mut readers {
        let error = reader.read(Vec::with_capacity(1000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}

#[tokio::test]
async fn instances_that_nobody_shares_and_imports_that_wait_are_refused() {
    for isolation in [Isolation::Session, Isolation::Call] {
        let directory = Directory::new();
        directory.put("p.wasm", &component("tests/customs"));
        let plugins = vec![PluginSettings { isolation, ..sharing(2, &MARKED) }];
        let errors = load_errors(HostSettings { plugins, ..directory.settings() }).await;
        assert_eq!(errors.0[0].refusal, Refusal::SharesAlone);
    }
    for (guest, import) in [
        ("tests/services", "waft:plugin/http@0.1.1 (fetch)"),
        ("tests/porter", "waft:plugin/crypto@0.1.1 (verify-offered)"),
    ] {
        let directory = Directory::new();
        directory.put("p.wasm", &component(guest));
        let grants = waft_plugin_host::Grants::without_effect();
        let plugins = vec![PluginSettings { grants, ..sharing(2, &[]) }];
        let errors = load_errors(HostSettings { plugins, ..directory.settings() }).await;
        let imports = vec![import.to_owned()];
        assert_eq!(errors.0[0].refusal, Refusal::SharesWaits { imports });
    }
}

#[tokio::test]
async fn what_two_transfers_share_is_charged_once() {
    let directory = Directory::new();
    directory.put("p.wasm", &component("tests/customs"));
    let mut settings = sharing(8, &MARKED);
    settings.limits.queue = Duration::from_millis(1);
    let host = load(HostSettings { plugins: vec![settings.clone()], ..directory.settings() }).await;
    let memory = host.status().plugins[0].memory_bytes;
    let memory_budget = u64::try_from(2 * memory).unwrap();
    let host =
        load(HostSettings { plugins: vec![settings], memory_budget, ..directory.settings() }).await;
    let mut streams = Vec::new();
    for id in 0..8 {
        streams.push(upload(&host, id).await);
    }
    // The other instance is for single calls.
    assert_eq!((instances(&host), host.status().plugins[0].memory_bytes), ((1, 1), 2 * memory));
}
