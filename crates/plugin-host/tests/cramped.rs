//! Processes with little address space: one of their own, as it has one limit.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "host/support.rs"]
#[allow(dead_code, reason = "most of it is for others")]
mod support;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::*;
use tokio::sync::{Mutex, OnceCell};
use waft_plugin_host::{HostSettings, Isolation, PluginSettings, Refusal, State, What};

/// The limit is everybody's: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Has the process's engine made where there is little address space, once.
async fn cramp() {
    static CRAMPED: OnceCell<()> = OnceCell::const_new();
    limit(LITTLE);
    let cramped = CRAMPED.get_or_init(async || {
        let log = Log::listen();
        waft_plugin_host::inspect(&echo()).await.unwrap();
        assert_eq!(log.lines_with("allocating on demand").len(), 1);
    });
    cramped.await;
}

/// Too little for a pool of instances, enough for some.
const LITTLE: u64 = 8 << 30;

/// Octets that the process may map from now on, in all.
fn limit(octets: u64) {
    let maximum = getrlimit(Resource::As).maximum;
    setrlimit(Resource::As, Rlimit { current: Some(octets), maximum }).unwrap();
}

/// Octets that it has mapped.
fn mapped() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    pages * u64::try_from(rustix::param::page_size()).unwrap()
}

#[tokio::test]
async fn plugins_run_where_there_is_little_address_space() {
    let _alone = ALONE.lock().await;
    cramp().await;
    let directory = Directory::new();
    let names = [("a", "XA"), ("b", "XB"), ("c", "XC"), ("d", "XD")];
    for (name, _) in names {
        directory.put(&format!("{name}.wasm"), &echo());
    }
    let plugins =
        names.map(|(name, verb)| plugin(name, &[(&*format!("answer.{verb}"), "200 yes")])).into();
    let host = load(HostSettings { plugins, ..directory.settings() }).await;
    for (name, verb) in names {
        assert_eq!(ask(&host, verb).await, format!("{name} answers: 200 yes"));
    }
}

#[tokio::test]
async fn where_the_system_gives_no_more_memory_the_operator_hears_what_to_raise() {
    let _alone = ALONE.lock().await;
    cramp().await;
    let log = Log::listen();
    let directory = Directory::new();
    directory.put("own.wasm", &echo());
    let own =
        PluginSettings { isolation: Isolation::Session, ..plugin("own", &[("count", "NOOP")]) };
    directory.put("hog.wasm", &hostile());
    let hog = plugin("hog", &[("command", "memory"), ("verbs.0", "SYST")]);
    let host = load(HostSettings { plugins: vec![own, hog], ..directory.settings() }).await;
    let first = ask_in(&host, &session_of(1), "NOOP").await;
    assert!(first.ends_with("instance 1"), "{first}");
    // Less than the stack of another instance takes, enough for all else.
    limit(mapped() + (1 << 20));
    let second = ask_in(&host, &session_of(2), "NOOP").await;
    assert_eq!(second, "own fails: 451 Local error: plugin failed.");
    let is_told = |told: &str| {
        for words in [
            "the system gives no more memory: ",
            "MiB of address space: start it with more, by ulimit -v or LimitAS= in its systemd unit",
        ] {
            assert!(told.contains(words), "{told}");
        }
    };
    // One that wants more while it works has less than its own limit allows.
    let hog = ask(&host, "SYST").await;
    assert_eq!(hog, "hog fails: 451 Local error: plugin failed.");
    let told = log.lines_with("plugin failed");
    assert_eq!(told.len(), 2, "{told:?}");
    told.iter().for_each(|told| is_told(told));
    assert!(told[1].contains("trap as the system gives no more memory: "), "{}", told[1]);
    let status = host.status().plugins;
    let (own, hog) = (&status[1], &status[0]);
    assert_eq!((own.state, own.counts.not_made, own.counts.traps), (State::Active, 1, 0));
    assert_eq!((hog.state, hog.counts.not_made, hog.counts.traps), (State::Active, 0, 1));
    for plugin in [own, hog] {
        let error = plugin.last_error.clone().unwrap();
        is_told(&format!("{}; {}", error.reason, error.remedy.unwrap()));
    }
    // What it had is there again.
    limit(mapped() + (1 << 20));
    directory.put("late.wasm", &echo());
    let changes = host.reload(None).await.unwrap();
    assert!(matches!(changes[0].what, What::Refused(Refusal::Unmapped(_))), "{changes:?}");
    is_told(&log.lines_with("plugin not loaded")[0]);
    let absent = host.status().absent.remove(0);
    is_told(&format!("{}; {}", absent.reason, absent.remedy.unwrap()));
    limit(LITTLE);
    let second = ask_in(&host, &session_of(2), "NOOP").await;
    assert!(second.ends_with("instance 1"), "{second}");
    assert_eq!(said_of(&host.reload(None).await.unwrap()), ["late: Loaded"]);
}

fn said_of(changes: &[waft_plugin_host::Change]) -> Vec<String> {
    changes.iter().map(|change| format!("{}: {:?}", change.plugin, change.what)).collect()
}
