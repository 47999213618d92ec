//! Events that wait for their plugin on the disk.

use std::fs;
use std::time::Duration;

use waft_core::VirtualPath;
use waft_core::event::Happening;
use waft_plugin_host::{EventCounts, Host, HostSettings, PluginSettings};

use crate::errands::{FACTS, emit, errands, heard, run, single};
use crate::support::*;

/// A folder with the guest, and a state directory of its own.
struct Place {
    plugins: Directory,
    state: Directory,
}

impl Place {
    fn new() -> Place {
        let place = Place { plugins: Directory::new(), state: Directory::new() };
        place.plugins.put("errands.wasm", &errands());
        place
    }

    /// Settings of a guest that refuses so many batches, and of so many octets on the disk.
    fn settings(&self, refuse: &str, bytes: Option<u64>) -> HostSettings {
        let mut plugin = single("errands", &[("events.0", "*"), ("refuse", refuse)]);
        plugin.grants.durable_events = bytes;
        self.of(plugin)
    }

    fn of(&self, plugin: PluginSettings) -> HostSettings {
        let state = Some(self.state.path().to_owned());
        HostSettings { plugins: vec![plugin], state, ..self.plugins.settings() }
    }

    /// What a process does until its end: all that it did not write is lost.
    fn process<T>(&self, settings: HostSettings, life: impl AsyncFnOnce(&Host) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let host = load(settings).await;
            life(&host).await
        })
    }
}

const NEVER: &str = "1000000";
const ROOM: Option<u64> = Some(1 << 20);

fn remove(host: &Host, name: impl ToString) {
    let path = VirtualPath::root().join(name.to_string().as_bytes()).unwrap();
    emit(host, Happening::FileRemoved { path });
}

fn removed(names: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    let line = |name: &dyn ToString| format!("file.remove {FACTS} path=/{}", name.to_string());
    names.into_iter().map(|name| line(&name)).collect()
}

fn counts(host: &Host) -> EventCounts {
    host.status().plugins[0].events.unwrap()
}

#[test]
fn what_one_process_did_not_deliver_the_next_one_does_in_order() {
    let place = Place::new();
    place.process(place.settings(NEVER, ROOM), async |host| {
        (0..30).for_each(|number| remove(host, number));
        host.flush().await;
        let EventCounts { waiting, spooled, spooled_bytes, spooled_bytes_max, .. } = counts(host);
        assert_eq!((waiting, spooled, spooled_bytes_max), (30, 30, 1 << 20));
        assert!(spooled_bytes > 30 * 100, "{spooled_bytes}");
    });
    place.process(place.settings("1", ROOM), async |host| {
        // What comes meanwhile comes behind it.
        (30..50).for_each(|number| remove(host, number));
        assert_eq!(heard(host).await, removed(0..50));
        host.flush().await;
        let room = EventCounts { spooled_bytes_max: 1 << 20, ..EventCounts::default() };
        assert_eq!(counts(host), room);
    });
    place.process(place.settings("0", ROOM), async |host| {
        assert_eq!(heard(host).await, Vec::<String>::new());
    });
}

#[tokio::test]
async fn events_wait_for_a_plugin_that_is_exchanged_removed_and_back() {
    let place = Place::new();
    let host = load(place.settings(NEVER, ROOM)).await;
    remove(&host, "one");
    host.flush().await;
    place.plugins.remove("errands.wasm");
    host.rescan().await;
    assert!(host.status().plugins.is_empty());
    remove(&host, "unheard");
    host.drain_events(Duration::from_secs(30)).await;
    host.reconfigure(place.settings("0", ROOM)).await.unwrap();
    place.plugins.put("errands.wasm", &errands());
    host.rescan().await;
    remove(&host, "two");
    assert_eq!(heard(&host).await, removed(["one", "two"]));
}

#[tokio::test]
async fn what_waits_on_the_disk_is_delivered_without_the_grant_and_nothing_is_added() {
    let place = Place::new();
    let host = load(place.settings(NEVER, ROOM)).await;
    remove(&host, "one");
    host.flush().await;
    host.reconfigure(place.settings(NEVER, None)).await.unwrap();
    remove(&host, "two");
    host.flush().await;
    let EventCounts { waiting, spooled, spooled_bytes_max, .. } = counts(&host);
    assert_eq!((waiting, spooled, spooled_bytes_max), (2, 1, 0));
    host.reconfigure(place.settings("0", None)).await.unwrap();
    assert_eq!(heard(&host).await, removed(["one", "two"]));
}

#[tokio::test]
async fn a_full_spool_costs_the_oldest_and_the_plugin_is_told() {
    let log = Log::listen();
    let place = Place::new();
    let host = load(place.settings(NEVER, ROOM)).await;
    let mut sent = 0;
    // The first batch is on its way, and stays.
    while counts(&host).dropped == 0 {
        (sent..sent + 1000).for_each(|number| remove(&host, number));
        sent += 1000;
        host.flush().await;
    }
    let EventCounts { waiting, dropped, spooled_bytes, .. } = counts(&host);
    assert_eq!(waiting as u64 + dropped, sent);
    assert!(spooled_bytes <= 1 << 20, "{spooled_bytes}");
    assert_eq!(log.lines_with("events dropped: as many wait on disk as may").len(), 1);
    host.reconfigure(place.settings("0", ROOM)).await.unwrap();
    host.drain_events(Duration::from_secs(60)).await;
    assert_eq!(counts(&host).dropped, dropped);
    let told = run(&host, "SITE HEARD", None).await;
    assert!(told.starts_with(&format!("errands: 211-{} events", waiting + 1)), "{told}");
    let gap = format!("events.dropped count={dropped}");
    assert_eq!(log.lines_with(&gap).len() + told.matches(&gap).count(), 1, "{told}");
}

#[tokio::test]
async fn a_plugin_hears_events_though_the_disk_refuses_them() {
    let log = Log::listen();
    let place = Place::new();
    let in_the_way = place.state.file("events");
    fs::write(&in_the_way, "a file").unwrap();
    let host = load(place.settings("0", ROOM)).await;
    remove(&host, "one");
    assert_eq!(heard(&host).await, removed(["one"]));
    assert_eq!(counts(&host).spooled, 0);
    assert!(!log.lines_with("events are not kept on disk").is_empty());
    // As soon as it takes them, they last.
    fs::remove_file(&in_the_way).unwrap();
    host.flush().await;
    host.reconfigure(place.settings(NEVER, ROOM)).await.unwrap();
    remove(&host, "two");
    host.flush().await;
    assert_eq!(counts(&host).spooled, 1);
    host.reconfigure(place.settings("0", ROOM)).await.unwrap();
    assert_eq!(heard(&host).await, removed(["two"]));
}

#[tokio::test]
async fn a_batch_that_a_plugin_breaks_on_is_given_up_on_the_disk_too() {
    let place = Place::new();
    let mut breaking = single("errands", &[("events.0", "*"), ("trap_on", "session.open")]);
    breaking.grants.durable_events = ROOM;
    let host = load(place.of(breaking)).await;
    emit(&host, Happening::SessionOpened);
    host.drain_events(Duration::from_secs(60)).await;
    host.flush().await;
    let EventCounts { waiting, dropped, spooled_bytes, .. } = counts(&host);
    assert_eq!((waiting, dropped, spooled_bytes), (0, 1, 0));
}
