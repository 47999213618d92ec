//! Versions of a plugin, which are a component and its settings: they come into force, are tried and
//! go back as one.

use std::fs;
use std::path::Path;

use waft_core::SessionId;
use waft_core::hooks::HookSource;
use waft_plugin_host::{
    Grants, Host, HostSettings, KvGrant, OperateError, PluginSettings, PluginStatus, Refusal,
    SettingsReader, What,
};

use crate::support::*;

/// Another component with the behaviour of `bytes`: a custom section more.
fn variant(bytes: &[u8], tag: u8) -> Vec<u8> {
    let mut other = bytes.to_vec();
    other.extend([0, 3, 1, b'v', tag]);
    other
}

fn settings(directory: &Directory, plugin: PluginSettings) -> HostSettings {
    HostSettings { plugins: vec![plugin], ..directory.settings() }
}

/// What only `command-policy` takes.
fn denying() -> PluginSettings {
    plugin("p", &[("deny.0", "CWD")])
}

/// What only the hostile one takes: it traps on NOOP.
fn trapping() -> PluginSettings {
    plugin("p", &[("command", "trap"), ("verbs.0", "NOOP")])
}

/// What `echo` answers PORT with.
fn answering(words: &str) -> PluginSettings {
    plugin("p", &[("answer.PORT", words)])
}

fn canary(plugin: PluginSettings, percent: u8) -> PluginSettings {
    PluginSettings { canary_percent: Some(percent), ..plugin }
}

const CWD_DENIED: &str = "p answers: 502 Command not implemented.";

fn status(host: &Host) -> PluginStatus {
    host.status().plugins.remove(0)
}

/// What tells a version from others.
fn version(status: &PluginStatus) -> (String, String) {
    (status.sha256.clone(), status.config_sha256.clone())
}

async fn fail(host: &Host) {
    for _ in 0..5 {
        assert_eq!(ask(host, "NOOP").await, "p fails: 451 Local error: plugin failed.");
    }
}

/// A host whose plugin was `command-policy` and is the hostile component, both with settings of
/// their own.
async fn exchanged(directory: &Directory) -> (Host, PluginStatus) {
    directory.put("p.wasm", &component("command-policy"));
    let host = load(settings(directory, denying())).await;
    let first = status(&host);
    directory.put("p.wasm", &hostile());
    host.reconfigure(settings(directory, trapping())).await.unwrap();
    (host, first)
}

#[tokio::test]
async fn a_version_goes_back_with_the_settings_that_it_had() {
    let directory = Directory::new();
    let log = Log::listen();
    let (host, first) = exchanged(&directory).await;
    let second = status(&host);
    assert!(version(&first) != version(&second), "{second:?}");
    fail(&host).await;
    let told = report(&host, 3).await;
    assert!(matches!(&told.changes[0].what, What::RolledBack(_)), "{told:?}");
    assert_eq!(ask(&host, "CWD /").await, CWD_DENIED);
    let now = status(&host);
    assert_eq!(version(&now), version(&first));
    let (sha256, config) = version(&second);
    let reason = format!("rolled back from {sha256} with config {config}: ");
    assert_eq!(now.trouble.unwrap(), format!("{reason}it failed on probation"));
    let line = log.lines_with("plugin rolled back").remove(0);
    assert!(line.contains("generation=3") && line.contains("remedy="), "{line}");
    // The same is not taken again: be the file touched, the configuration read, or the rest of it new.
    directory.put("p.wasm", &hostile());
    assert_eq!(host.rescan().await.sequence, 3);
    host.reconfigure(settings(&directory, trapping())).await.unwrap();
    assert_eq!((host.rescan().await.sequence, host.generation()), (3, 3));
    let mut slower = trapping();
    slower.limits.instances_max = 3;
    host.reconfigure(settings(&directory, slower.clone())).await.unwrap();
    assert_eq!((version(&status(&host)), host.generation()), (version(&first), 4));
    assert_eq!(ask(&host, "CWD /").await, CWD_DENIED);
    // Until the operator asks for it.
    assert_eq!(host.reload(Some("p")).await.unwrap()[0].what, What::Replaced);
    assert_eq!(version(&status(&host)), version(&second));
    host.rollback("p").await.unwrap();
    // Or something of it is another.
    let other = PluginSettings { config: denying().config, ..slower };
    directory.put("p.wasm", &variant(&component("command-policy"), 1));
    host.reconfigure(settings(&directory, other)).await.unwrap();
    assert_ne!(version(&status(&host)), version(&first));
}

#[tokio::test]
async fn an_operator_goes_back_by_hand_to_component_and_settings() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let host = load(settings(&directory, answering("502 old"))).await;
    directory.put("p.wasm", &variant(&echo(), 1));
    host.reconfigure(settings(&directory, answering("502 new"))).await.unwrap();
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 new");
    host.rollback("p").await.unwrap();
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 old");
}

#[tokio::test]
async fn settings_alone_are_a_version() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let harmless = plugin("p", &[("command", "trap"), ("verbs.0", "ALLO")]);
    let host = load(settings(&directory, harmless.clone())).await;
    let first = status(&host);
    host.reconfigure(settings(&directory, trapping())).await.unwrap();
    assert_eq!(status(&host).sha256, first.sha256);
    assert_ne!(status(&host).config_sha256, first.config_sha256);
    fail(&host).await;
    let told = report(&host, 3).await;
    assert!(matches!(&told.changes[0].what, What::RolledBack(_)), "{told:?}");
    assert_eq!(ask(&host, "NOOP").await, "pass");
    assert_eq!(version(&status(&host)), version(&first));
    host.reconfigure(settings(&directory, trapping())).await.unwrap();
    assert_eq!((ask(&host, "NOOP").await.as_str(), host.generation()), ("pass", 3));
    // Back to what is in force, and to what is bad once more.
    host.reconfigure(settings(&directory, harmless)).await.unwrap();
    assert_eq!((status(&host).trouble, host.generation()), (None, 3));
    host.reconfigure(settings(&directory, trapping())).await.unwrap();
    assert_eq!(ask(&host, "NOOP").await, "pass");
    assert!(status(&host).trouble.unwrap().starts_with("rolled back from "));
}

#[tokio::test]
async fn other_settings_than_its_own_make_no_version() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let host = load(settings(&directory, canary(trapping(), 50))).await;
    let first = version(&status(&host));
    for change in [
        |it: &mut PluginSettings| it.limits.instances_max = 3,
        |it: &mut PluginSettings| it.priority = 7,
        |it: &mut PluginSettings| it.canary_percent = Some(20),
        |it: &mut PluginSettings| it.required = true,
    ] {
        let mut changed = canary(trapping(), 50);
        change(&mut changed);
        host.reconfigure(settings(&directory, changed)).await.unwrap();
        let now = host.status();
        assert!(now.canaries.is_empty(), "{:?}", now.canaries);
        assert_eq!(version(&now.plugins[0]), first);
    }
    let none = host.rollback("p").await.unwrap_err();
    assert_eq!(none, OperateError::NoVersionBefore("p".to_owned()));
    fail(&host).await;
    assert_eq!(version(&status(&host)), first, "no probation");
}

#[tokio::test]
async fn what_the_operator_wants_of_any_version_stays_when_one_goes_back() {
    let directory = Directory::new();
    directory.put("p.wasm", &component("tests/services"));
    let granted = |bytes, verb: &str| PluginSettings {
        grants: Grants {
            kv: Some(KvGrant { bytes, persistent: false }),
            ..Grants::without_effect()
        },
        ..plugin("p", &[("verbs.0", verb)])
    };
    let host = load(settings(&directory, granted(9000, "XKV"))).await;
    host.reconfigure(settings(&directory, granted(9000, "XTWO"))).await.unwrap();
    host.reconfigure(settings(&directory, granted(5000, "XTWO"))).await.unwrap();
    assert_eq!(host.rollback("p").await.unwrap().len(), 1);
    assert_eq!(status(&host).counts.kv_bytes_max, 5000);
    // What cannot do without it does not come back.
    directory.put("p.wasm", &hostile());
    host.reconfigure(settings(&directory, trapping())).await.unwrap();
    let refused = host.rollback("p").await.unwrap_err();
    let OperateError::NotStarted { refusal, .. } = &refused else { panic!("{refused}") };
    assert!(matches!(refusal, Refusal::NotGranted { .. }), "{refusal:?}");
    let log = Log::listen();
    fail(&host).await;
    while log.lines_with("not rolled back").is_empty() {
        tokio::task::yield_now().await;
    }
    let line = log.lines_with("not rolled back").remove(0);
    assert!(line.contains("generation=5") && line.contains("remedy="), "{line}");
}

/// The generations that a thousand sessions are served by, and how many each.
fn served(host: &Host) -> std::collections::BTreeMap<u64, usize> {
    let mut served = std::collections::BTreeMap::new();
    for id in 1..=1000 {
        *served.entry(host.current_for(SessionId(id)).generation()).or_default() += 1;
    }
    served
}

async fn ask_canary(host: &Host, line: &str) -> String {
    let in_force = host.generation();
    let of_canary = |id: &SessionId| host.current_for(*id).generation() != in_force;
    let id = (1..1000).map(SessionId).find(of_canary).expect("a session of the share");
    ask_of(&*host.current_for(id), &session_of(id.0), line).await
}

#[tokio::test]
async fn component_and_settings_are_tried_as_one() {
    let directory = Directory::new();
    directory.put("p.wasm", &component("command-policy"));
    let host = load(settings(&directory, canary(denying(), 50))).await;
    directory.put("p.wasm", &hostile());
    host.reconfigure(settings(&directory, canary(trapping(), 50))).await.unwrap();
    assert_eq!(report(&host, 2).await.changes[0].what, What::Tried);
    assert_eq!(served(&host).len(), 2);
    assert_eq!(ask(&host, "CWD /").await, CWD_DENIED);
    assert_eq!(ask_canary(&host, "CWD /").await, "pass");
    // Another share is no other trial.
    host.reconfigure(settings(&directory, canary(trapping(), 20))).await.unwrap();
    let shares = served(&host);
    assert!(shares.values().any(|share| (150..=250).contains(share)), "{shares:?}");
    for _ in 0..5 {
        ask_canary(&host, "NOOP").await;
    }
    let told = report(&host, 4).await;
    assert!(matches!(&told.changes[0].what, What::RolledBack(_)), "{told:?}");
    assert_eq!(served(&host).len(), 1);
    assert_eq!(ask(&host, "CWD /").await, CWD_DENIED);
    directory.put("p.wasm", &hostile());
    assert_eq!(host.rescan().await.sequence, 4);
}

#[tokio::test]
async fn nothing_is_tried_beside_a_version_that_has_lost_what_it_needs() {
    let directory = Directory::new();
    directory.put("p.wasm", &component("tests/services"));
    let granted = PluginSettings {
        grants: Grants::without_effect(),
        ..canary(plugin("p", &[("verbs.0", "XKV")]), 50)
    };
    let host = load(settings(&directory, granted)).await;
    let log = Log::listen();
    directory.put("p.wasm", &hostile());
    host.reconfigure(settings(&directory, canary(trapping(), 50))).await.unwrap();
    assert_eq!(said(&report(&host, 2).await), ["p: Replaced"]);
    assert_eq!(served(&host).len(), 1);
    let line = log.lines_with("the version before cannot go on").remove(0);
    for part in ["plugin=\"p\"", "generation=2", "reason=imports waft:plugin/kv", "remedy="] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn a_version_that_was_taken_out_is_put_back_with_its_settings() {
    let directory = Directory::new();
    directory.put("p.wasm", &component("command-policy"));
    let host = load(settings(&directory, denying())).await;
    host.disable("p").await.unwrap();
    directory.put("p.wasm", b"garbage");
    host.reconfigure(settings(&directory, trapping())).await.unwrap();
    host.enable("p").await.unwrap();
    assert_eq!(ask(&host, "CWD /").await, CWD_DENIED);
    directory.put("p.wasm", &hostile());
    assert_eq!(said(&host.rescan().await), ["p: Replaced"]);
    host.rollback("p").await.unwrap();
    assert_eq!(ask(&host, "CWD /").await, CWD_DENIED);
}

#[tokio::test]
async fn settings_alone_are_tried_and_promoted() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let host = load(settings(&directory, canary(answering("502 old"), 50))).await;
    host.reconfigure(settings(&directory, canary(answering("502 new"), 50))).await.unwrap();
    assert_eq!(report(&host, 2).await.changes[0].what, What::Tried);
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 old");
    assert_eq!(ask_canary(&host, "PORT 1").await, "p answers: 502 new");
    let now = host.status();
    assert_eq!(now.plugins[0].sha256, now.canaries[0].sha256);
    assert_ne!(now.plugins[0].config_sha256, now.canaries[0].config_sha256);
    directory.put("p.wasm", &echo());
    assert_eq!(host.rescan().await.sequence, 2);
    assert_eq!(host.promote("p").await.unwrap()[0].what, What::Promoted);
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 new");
    host.rollback("p").await.unwrap();
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 old");
    // What is tried goes when the operator takes it back.
    host.reconfigure(settings(&directory, canary(answering("502 third"), 50))).await.unwrap();
    assert_eq!(served(&host).len(), 2);
    host.reconfigure(settings(&directory, canary(answering("502 old"), 50))).await.unwrap();
    assert_eq!(served(&host).len(), 1);
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 old");
}

#[tokio::test]
async fn a_trial_goes_on_for_its_time_when_its_share_changes() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let host = load(settings(&directory, canary(answering("502 old"), 50))).await;
    host.reconfigure(settings(&directory, canary(answering("502 new"), 50))).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(40)).await;
    host.reconfigure(settings(&directory, canary(answering("502 new"), 20))).await.unwrap();
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 old");
    tokio::time::advance(std::time::Duration::from_secs(21)).await;
    assert_eq!(report(&host, 4).await.changes[0].what, What::Promoted);
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 new");
}

#[tokio::test]
async fn a_version_that_has_not_stood_its_probation_is_none_to_go_back_to() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let host = load(settings(&directory, answering("502 good"))).await;
    for words in ["502 second", "502 third"] {
        host.reconfigure(settings(&directory, answering(words))).await.unwrap();
    }
    host.rollback("p").await.unwrap();
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 good");
}

/// Settings of `KEY VALUE` a line.
fn lines(_: &Path, octets: &[u8]) -> PluginSettings {
    let mut settings = PluginSettings::named("");
    for line in std::str::from_utf8(octets).unwrap().lines() {
        match line.split_once(' ').unwrap() {
            ("sha256", digest) => settings.sha256 = Some(digest.to_owned()),
            (key, value) => settings.config.push((key.to_owned(), value.to_owned())),
        }
    }
    settings
}

#[tokio::test]
async fn settings_beside_a_component_come_back_whole() {
    let directory = Directory::new();
    let beside = Some(SettingsReader::new(|file, octets| Ok(lines(file, octets))));
    let folder = HostSettings { beside, ..directory.settings() };
    directory.put("p.wasm", &component("command-policy"));
    directory.put("p.toml", b"deny.0 CWD\n");
    let host = load(folder.clone()).await;
    directory.put("p.wasm", &hostile());
    directory.put("p.toml", b"verbs.0 NOOP\ncommand trap\n");
    assert_eq!(said(&host.rescan().await), ["p: Replaced"]);
    let pin = status(&host).sha256;
    let text = format!("verbs.0 NOOP\ncommand trap\nsha256 {pin}\n");
    directory.put("p.toml", text.as_bytes());
    host.rescan().await;
    fail(&host).await;
    let told = report(&host, 4).await;
    assert!(matches!(&told.changes[0].what, What::RolledBack(_)), "{told:?}");
    assert_eq!(ask(&host, "CWD /").await, CWD_DENIED);
    // A file that is touched, or gone, is another matter each.
    directory.put("p.toml", text.as_bytes());
    assert_eq!(host.rescan().await.sequence, 4);
    fs::remove_file(directory.file("p.toml")).unwrap();
    assert_eq!(said(&host.rescan().await), ["p: Replaced"]);
    host.rollback("p").await.unwrap();
    assert_eq!(ask(&host, "CWD /").await, CWD_DENIED);
}
