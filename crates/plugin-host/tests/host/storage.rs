//! Storages that components export: what they may say, and what becomes of them when they fail.

use std::sync::Arc;
use std::time::Duration;

use waft_core::hooks::HookSource;
use waft_core::storage::{
    Batch, ErrorKind, FileKind, Interrupted, Reader, Replace, Storage, StorageError, WriteMode,
};
use waft_core::{SessionFacts, SessionId, VirtualPath};
use waft_plugin_host::{Host, HostSettings, Limits, PluginSettings};

use crate::support::*;

const ALL: [(&str, &str); 7] = [
    ("abilities.0", "append"),
    ("abilities.1", "write-at-offset"),
    ("abilities.2", "rename"),
    ("abilities.3", "make-dir"),
    ("abilities.4", "remove"),
    ("abilities.5", "set-modified"),
    ("abilities.6", "free-space"),
];

/// The octets of `/made/LENGTH`.
fn made(length: u64) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

fn at(path: &str) -> VirtualPath {
    VirtualPath::root().join(path.as_bytes()).unwrap()
}

/// One instance, so that what is in its memory stays there.
fn one_instance(config: &[(&str, &str)]) -> PluginSettings {
    let limits = Limits { instances_max: 1, ..Limits::default() };
    PluginSettings { limits, ..plugin("vault", config) }
}

async fn vault(config: &[(&str, &str)]) -> (Directory, Host, Arc<dyn Storage>) {
    let (directory, host) = host_of(&component("tests/vault"), one_instance(config)).await;
    let storage = taken(&host);
    (directory, host, storage)
}

fn taken(host: &Host) -> Arc<dyn Storage> {
    host.storage("vault").for_session(&session()).unwrap()
}

async fn read_all(reader: &mut dyn Reader) -> Result<Vec<u8>, StorageError> {
    let mut all = Vec::new();
    loop {
        let piece = reader.read(Vec::with_capacity(100_000)).await?;
        if piece.is_empty() {
            return Ok(all);
        }
        all.extend(piece);
    }
}

async fn upload(storage: &dyn Storage, path: &str, mode: WriteMode, octets: &[u8]) {
    let mut writer = storage.open_write(&at(path), mode).await.unwrap();
    writer.write(octets.to_vec()).await.unwrap();
    writer.finish().await.unwrap();
}

async fn content(storage: &dyn Storage, path: &str) -> Vec<u8> {
    let mut reader = storage.open_read(&at(path), 0).await.unwrap();
    read_all(&mut *reader).await.unwrap()
}

async fn names(storage: &dyn Storage, path: &str) -> Result<Vec<String>, StorageError> {
    let mut directory = storage.open_directory(&at(path)).await?;
    let (mut names, mut batch) = (Vec::new(), Batch::default());
    loop {
        directory.read(&mut batch).await?;
        if batch.is_empty() {
            return Ok(names);
        }
        names.extend(batch.iter().map(|(name, _)| String::from_utf8(name.to_vec()).unwrap()));
    }
}

fn kind<T>(result: Result<T, StorageError>) -> ErrorKind {
    result.err().unwrap().kind()
}

#[tokio::test]
async fn files_are_read_and_written_in_pieces() {
    let (_directory, host, storage) = vault(&ALL).await;
    let mut reader = storage.open_read(&at("/made/1000000"), 300_000).await.unwrap();
    assert_eq!(reader.size(), Some(700_000));
    assert!(read_all(&mut *reader).await.unwrap() == made(1_000_000)[300_000..]);
    drop(reader);
    upload(&*storage, "/a", WriteMode::CreateNew, &made(1_000_000)).await;
    assert!(content(&*storage, "/a").await == made(1_000_000));
    upload(&*storage, "/a", WriteMode::At(3), b"xyz").await;
    upload(&*storage, "/a", WriteMode::Append, b"!").await;
    assert_eq!(content(&*storage, "/a").await, b"\x00\x01\x02xyz!");
    assert_eq!(host.status().plugins[0].counts.traps, 0);
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let (_directory, _host, storage) = vault(&ALL).await;
    upload(&*storage, "/a", WriteMode::Replace, b"old").await;
    let mut writer = storage.open_write(&at("/a"), WriteMode::Replace).await.unwrap();
    writer.write(b"new".to_vec()).await.unwrap();
    writer.abandon(Interrupted::Keep).await.unwrap();
    assert_eq!(content(&*storage, "/a").await, b"old");
}

#[tokio::test]
async fn names_are_made_listed_renamed_and_removed() {
    let (_directory, _host, storage) = vault(&ALL).await;
    storage.make_directory(&at("/d")).await.unwrap();
    upload(&*storage, "/d/b", WriteMode::Replace, b"1").await;
    upload(&*storage, "/d/a", WriteMode::Replace, b"22").await;
    assert_eq!(names(&*storage, "/").await.unwrap(), ["d", "made", "sink"]);
    assert_eq!(names(&*storage, "/d").await.unwrap(), ["a", "b"]);
    assert_eq!(kind(storage.remove_directory(&at("/d")).await), ErrorKind::NotEmpty);
    let refused = storage.rename(&at("/d/a"), &at("/d/b"), Replace::Never).await;
    assert_eq!(kind(refused), ErrorKind::Exists);
    storage.rename(&at("/d/a"), &at("/d/b"), Replace::File).await.unwrap();
    assert_eq!(storage.resume_offset(&at("/d/b")).await.unwrap(), 2);
    let time = waft_proto::Timestamp::from_seconds(1_000);
    storage.facts().unwrap().set_modified(&at("/d/b"), time).await.unwrap();
    assert_eq!(storage.stat(&at("/d/b")).await.unwrap().modified, Some(time));
    storage.remove_file(&at("/d/b")).await.unwrap();
    storage.remove_directory(&at("/d")).await.unwrap();
    assert_eq!(kind(storage.stat(&at("/d")).await), ErrorKind::NotFound);
    assert_eq!(storage.space().unwrap().available(&at("/")).await.unwrap(), 1 << 30);
    assert_eq!(storage.stat(&at("/")).await.unwrap().kind, FileKind::Directory);
}

#[tokio::test]
async fn what_it_cannot_do_is_refused_without_a_call() {
    let (_directory, host, storage) = vault(&[]).await;
    assert!(storage.facts().is_none() && storage.space().is_none());
    let path = &at("/a");
    let calls = host.status().plugins[0].counts.calls;
    for mode in [WriteMode::Append, WriteMode::At(1)] {
        assert_eq!(kind(storage.check_write(path, mode).await), ErrorKind::Unsupported);
    }
    assert_eq!(kind(storage.make_directory(path).await), ErrorKind::Unsupported);
    assert_eq!(kind(storage.remove_file(path).await), ErrorKind::Unsupported);
    let renamed = storage.rename(path, &at("/b"), Replace::File).await;
    assert_eq!(kind(renamed), ErrorKind::Unsupported);
    assert_eq!(host.status().plugins[0].counts.calls, calls);
}

#[tokio::test]
async fn uploads_are_judged_before_they_begin() {
    let (_directory, _host, storage) = vault(&[("abilities.0", "append")]).await;
    upload(&*storage, "/a", WriteMode::Replace, b"abc").await;
    let check = async |path: &str, mode| match storage.check_write(&at(path), mode).await {
        Ok(()) => None,
        Err(error) => Some(error.kind()),
    };
    assert_eq!(check("/a", WriteMode::CreateNew).await, Some(ErrorKind::Exists));
    assert_eq!(check("/a", WriteMode::At(4)).await, Some(ErrorKind::BadOffset));
    assert_eq!(check("/a", WriteMode::At(1)).await, Some(ErrorKind::Unsupported));
    assert_eq!(check("/a", WriteMode::At(3)).await, None, "going on at the end is appending");
    assert_eq!(check("/made", WriteMode::Replace).await, Some(ErrorKind::IsADirectory));
    assert_eq!(check("/no/a", WriteMode::Replace).await, Some(ErrorKind::NotFound));
    assert_eq!(check("/a/b", WriteMode::Replace).await, Some(ErrorKind::NotADirectory));
    let offset = storage.open_read(&at("/a"), 4).await;
    assert_eq!(kind(offset), ErrorKind::BadOffset);
}

#[tokio::test]
async fn listings_that_no_server_shows_are_the_plugins_failure() {
    for listing in ["slash", "line-end", "large", "stuck"] {
        let (_directory, host, storage) = vault(&[("listing", listing)]).await;
        assert_eq!(kind(names(&*storage, "/").await), ErrorKind::Io, "{listing}");
        assert_eq!(host.status().plugins[0].counts.bad_verdicts, 1, "{listing}");
    }
}

#[tokio::test]
async fn a_listing_that_never_ends_is_ended() {
    let (_directory, _host, storage) = vault(&[("listing", "endless")]).await;
    assert_eq!(kind(names(&*storage, "/").await), ErrorKind::TooManyEntries);
}

#[tokio::test]
async fn more_octets_than_asked_for_are_the_plugins_failure() {
    let (_directory, host, storage) = vault(&[("too_much", "true")]).await;
    let mut reader = storage.open_read(&at("/made/10"), 0).await.unwrap();
    assert_eq!(kind(read_all(&mut *reader).await), ErrorKind::Io);
    assert_eq!(host.status().plugins[0].counts.bad_verdicts, 1);
}

#[tokio::test]
async fn names_that_are_not_unicode_are_refused_and_not_changed() {
    let (_directory, _host, storage) = vault(&ALL).await;
    let path = VirtualPath::root().join(b"\xff").unwrap();
    assert_eq!(kind(storage.stat(&path).await), ErrorKind::BadName);
    assert_eq!(kind(storage.open_directory(&path).await), ErrorKind::BadName);
    assert_eq!(kind(storage.make_directory(&path).await), ErrorKind::BadName);
    assert_eq!(kind(storage.check_write(&path, WriteMode::Replace).await), ErrorKind::BadName);
}

#[tokio::test]
async fn a_trap_ends_the_transfer_and_costs_one_instance() {
    let (_directory, host, storage) = vault(&[("fail.read", "trap"), ("fail.write", "trap")]).await;
    let mut reader = storage.open_read(&at("/made/10"), 0).await.unwrap();
    assert_eq!(kind(read_all(&mut *reader).await), ErrorKind::Io);
    assert_eq!(kind(read_all(&mut *reader).await), ErrorKind::Io, "there is no instance any more");
    let mut writer = storage.open_write(&at("/a"), WriteMode::Replace).await.unwrap();
    assert_eq!(kind(writer.write(b"x".to_vec()).await), ErrorKind::Io);
    writer.abandon(Interrupted::Delete).await.unwrap();
    assert_eq!(host.status().plugins[0].counts.traps, 2);
    assert_eq!(storage.stat(&at("/made/10")).await.unwrap().size, 10);
}

#[tokio::test]
async fn open_files_stay_with_their_version_and_names_go_on_with_the_next() {
    let directory = Directory::new();
    directory.put("vault.wasm", &component("tests/vault"));
    let with = |config: &[(&str, &str)]| HostSettings {
        plugins: vec![one_instance(config)],
        ..directory.settings()
    };
    let host = load(with(&ALL)).await;
    let storage = taken(&host);
    let mut reader = storage.open_read(&at("/made/500000"), 0).await.unwrap();
    let mut writer = storage.open_write(&at("/sink/a"), WriteMode::Replace).await.unwrap();
    let mut before = reader.read(Vec::with_capacity(1000)).await.unwrap();
    host.reconfigure(with(&[("fail.stat", "busy"), ("fail.read", "trap")])).await.unwrap();
    assert_eq!(kind(storage.stat(&at("/made/1")).await), ErrorKind::Busy);
    before.extend(read_all(&mut *reader).await.unwrap());
    assert!(before == made(500_000));
    writer.write(made(1000)).await.unwrap();
    assert_eq!(writer.finish().await.unwrap().size, 1000);
}

#[tokio::test]
async fn a_transfer_whose_session_is_served_by_another_version_is_ended_by_force_too() {
    let log = Log::listen();
    let directory = Directory::new();
    directory.put("vault.wasm", &component("tests/vault"));
    let plugins = vec![PluginSettings { canary_percent: Some(50), ..one_instance(&ALL) }];
    let host = load(HostSettings { plugins, ..directory.settings() }).await;
    directory.put("vault.wasm", &[&component("tests/vault")[..], &[0, 3, 1, b'v', 1]].concat());
    host.rescan().await;
    let id = (1..).map(SessionId).find(|id| host.current_for(*id).generation() == 2).unwrap();
    let session = Arc::new(SessionFacts { id, ..(*session()).clone() });
    let storage = host.storage("vault").for_session(&session).unwrap();
    let mut reader = storage.open_read(&at("/made/1000000"), 0).await.unwrap();
    let mut writer = storage.open_write(&at("/sink/a"), WriteMode::Replace).await.unwrap();
    reader.read(Vec::with_capacity(1000)).await.unwrap();
    host.promote("vault").await.unwrap();
    assert_eq!(host.drain("vault", Duration::ZERO).await, Ok(1));
    assert_eq!(host.force_drain("vault", Duration::from_secs(10)).await, Ok(0));
    assert_eq!(kind(reader.read(Vec::with_capacity(1000)).await), ErrorKind::Io);
    assert_eq!(kind(writer.write(made(1000)).await), ErrorKind::Io);
    let told = log.lines_with("plugin drained by force");
    assert!(told.len() == 1 && told[0].contains("transfers=2"), "{told:?}");
    assert_eq!(content(&*storage, "/made/1000").await, made(1000));
    assert!(log.lines_with("plugin failed").is_empty());
}

#[tokio::test]
async fn a_file_that_was_opened_behind_a_reload_is_ended_by_force_too() {
    let directory = Directory::new();
    directory.put("vault.wasm", &component("tests/vault"));
    let with = |config: &[(&str, &str)]| {
        let plugins = vec![one_instance(&[&ALL[..], config].concat())];
        HostSettings { plugins, ..directory.settings() }
    };
    let host = load(with(&[])).await;
    let own = |id| Arc::new(SessionFacts { id: SessionId(id), ..(*session()).clone() });
    let open = async |session: &Arc<SessionFacts>| {
        let storage = host.storage("vault").for_session(session).unwrap();
        storage.open_read(&at("/made/1000000"), 0).await.unwrap()
    };
    // The command began with the first version, and its file is opened with the second.
    let (late, hooks) = (own(8), host.current());
    host.reconfigure(with(&[("fail.list", "busy")])).await.unwrap();
    let mut file = open(&late).await;
    let _first = hooks.withdrawn_for(late.id);
    // This one goes on with the second in all.
    let (usual, hooks) = (own(9), host.current());
    let mut other = open(&usual).await;
    let second = hooks.withdrawn_for(usual.id);
    host.reconfigure(with(&[])).await.unwrap();
    let left = host.force_drain("vault", Duration::ZERO).await;
    assert!(left.unwrap() >= 1);
    assert_eq!(kind(file.read(Vec::with_capacity(1000)).await), ErrorKind::Io);
    second.await;
    let read = other.read(Vec::with_capacity(1000)).await;
    assert!(read.is_ok(), "its session ends it, with a reply of its own");
}

#[tokio::test]
async fn a_storage_may_come_and_go() {
    let directory = Directory::new();
    let settings = HostSettings { plugins: vec![one_instance(&ALL)], ..directory.settings() };
    let host = load(settings).await;
    let storage = taken(&host);
    assert_eq!(kind(storage.stat(&at("/made/1")).await), ErrorKind::Io);
    directory.put("vault.wasm", &component("tests/vault"));
    host.rescan().await;
    assert_eq!(storage.stat(&at("/made/1")).await.unwrap().size, 1);
    directory.remove("vault.wasm");
    host.rescan().await;
    assert_eq!(kind(storage.stat(&at("/made/1")).await), ErrorKind::Io);
}

#[tokio::test]
async fn transfers_wait_for_each_other_and_not_for_single_calls() {
    let mut settings = one_instance(&ALL);
    settings.limits.transfers_max = 1;
    settings.limits.queue = Duration::from_millis(1);
    let (_directory, host) = host_of(&component("tests/vault"), settings).await;
    let storage = taken(&host);
    let first = storage.open_read(&at("/made/10"), 0).await.unwrap();
    assert_eq!(kind(storage.open_read(&at("/made/10"), 0).await), ErrorKind::Io);
    assert_eq!(storage.stat(&at("/made/10")).await.unwrap().size, 10);
    drop(first);
    // Its instance comes back as soon as the guest has dropped the reader.
    let mut second = storage.open_read(&at("/made/10"), 0).await;
    while second.is_err() {
        second = storage.open_read(&at("/made/10"), 0).await;
    }
    assert_eq!(read_all(&mut *second.unwrap()).await.unwrap(), made(10));
}

#[tokio::test]
async fn memory_for_instances_is_bounded_in_all() {
    let directory = Directory::new();
    directory.put("vault.wasm", &component("tests/vault"));
    let mut plugin = one_instance(&ALL);
    plugin.limits.queue = Duration::from_millis(1);
    let memory_budget = memory_of(&directory, &plugin).await;
    let settings = HostSettings { plugins: vec![plugin], memory_budget, ..directory.settings() };
    let host = load(settings).await;
    let storage = taken(&host);
    let reader = storage.open_read(&at("/made/10"), 0).await.unwrap();
    let log = Log::listen();
    assert_eq!(kind(storage.stat(&at("/made/10")).await), ErrorKind::Io);
    assert_eq!(log.lines_with("memory_budget").len(), 1);
    drop(reader);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_outlive_a_hundred_swaps() {
    const LENGTH: u64 = 600_000;
    let directory = Directory::new();
    directory.put("vault.wasm", &component("tests/vault"));
    let with = |number: usize| {
        let mut plugin = plugin("vault", &ALL);
        plugin.priority = i32::try_from(number).unwrap();
        HostSettings { plugins: vec![plugin], ..directory.settings() }
    };
    let host = load(with(0)).await;
    let storage = taken(&host);
    let mut transfers = tokio::task::JoinSet::new();
    for number in 0..100_u64 {
        let storage = Arc::clone(&storage);
        transfers.spawn(async move {
            let length = LENGTH + number;
            if number % 2 == 0 {
                assert!(content(&*storage, &format!("/made/{length}")).await == made(length));
            } else {
                upload(&*storage, "/sink/x", WriteMode::Replace, &made(length)).await;
            }
        });
    }
    for number in 1..=100 {
        host.reconfigure(with(number)).await.unwrap();
    }
    while let Some(done) = transfers.join_next().await {
        done.unwrap();
    }
    assert_eq!(host.generation(), 101);
}
