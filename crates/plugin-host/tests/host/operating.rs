//! What an operator does to plugins, and what is done for the operator: versions that fail give way
//! to the ones before.

use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use waft_core::hooks::{ConnectVerdict, FileOp, FileVerdict, HookSource, WriteKind};
use waft_core::{SessionId, VirtualPath};
use waft_plugin_host::{
    CompilerProcess, HostSettings, OnLoadError, OperateError, PluginSettings, Refusal, Signer,
    State, What,
};

use crate::support::*;

/// Another component with the behaviour of `bytes`: a custom section more.
fn variant(bytes: &[u8], tag: u8) -> Vec<u8> {
    let mut other = bytes.to_vec();
    other.extend([0, 3, 1, b'v', tag]);
    other
}

/// A plugin that answers PORT, and traps on NOOP if its component is the hostile one.
fn settings(directory: &Directory) -> HostSettings {
    let config = [("command", "trap"), ("verbs.0", "NOOP")];
    HostSettings { plugins: vec![plugin("p", &config)], ..directory.settings() }
}

const DENIED: &str = "p fails: 451 Local error: plugin failed.";

#[tokio::test]
async fn a_version_that_fails_on_probation_gives_way_to_the_one_before_and_is_not_taken_again() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let log = Log::listen();
    let host = load(settings(&directory)).await;
    let first = host.status().plugins[0].sha256.clone();
    directory.put("p.wasm", &variant(&hostile(), 1));
    assert_eq!(host.rescan().await.generation, 2);
    let second = host.status().plugins.remove(0);
    let second = format!("{} with config {}", second.sha256, second.config_sha256);
    for _ in 0..5 {
        assert_eq!(ask(&host, "NOOP").await, DENIED);
    }
    let report = report(&host, 3).await;
    assert!(matches!(&report.changes[0].what, What::RolledBack(_)), "{report:?}");
    let status = host.status().plugins.remove(0);
    assert_eq!((status.sha256.as_str(), status.since_generation), (first.as_str(), 3));
    assert_eq!(
        status.trouble.unwrap(),
        format!("rolled back from {second}: it failed on probation")
    );
    assert_eq!(log.lines_with("plugin rolled back").len(), 1);
    // The file is as it was: no news, though it was touched.
    directory.put("p.wasm", &variant(&hostile(), 1));
    assert_eq!(host.rescan().await.sequence, 3);
    // Another content is another version.
    directory.put("p.wasm", &variant(&hostile(), 2));
    assert_eq!(said(&host.rescan().await), ["p: Replaced"]);
    // The first one failed as well, but nothing was before it.
    directory.put("p.wasm", &variant(&hostile(), 1));
    let report = host.rescan().await;
    assert!(
        matches!(&report.changes[0].what, What::Kept(Refusal::RolledBack { .. })),
        "{report:?}"
    );
    let changes = host.reload(Some("p")).await.unwrap();
    assert_eq!(changes[0].what, What::Replaced, "the operator wants it tried again");
}

#[tokio::test]
async fn a_version_stays_on_probation_when_its_settings_change() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let host = load(settings(&directory)).await;
    let first = host.status().plugins[0].sha256.clone();
    directory.put("p.wasm", &variant(&hostile(), 1));
    assert_eq!(said(&host.rescan().await), ["p: Replaced"]);
    let mut changed = settings(&directory);
    changed.plugins[0].config.push(("verbs.1".to_owned(), "PWD".to_owned()));
    host.reconfigure(changed).await.unwrap();
    for _ in 0..5 {
        assert_eq!(ask(&host, "PWD").await, DENIED);
    }
    let report = report(&host, 4).await;
    assert!(matches!(&report.changes[0].what, What::RolledBack(_)), "{report:?}");
    assert_eq!(host.status().plugins[0].sha256, first);
}

#[tokio::test]
async fn without_probation_a_version_that_fails_stays() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let host = load(HostSettings { probation: Duration::ZERO, ..settings(&directory) }).await;
    directory.put("p.wasm", &variant(&hostile(), 1));
    host.rescan().await;
    for _ in 0..5 {
        ask(&host, "NOOP").await;
    }
    let status = host.status().plugins.remove(0);
    assert_eq!((status.state, status.since_generation), (State::Broken, 2));
    let error = status.last_error.unwrap();
    assert_eq!(error.hook, "command-filter");
    assert!(error.reason.starts_with("trap: "), "{}", error.reason);
}

#[tokio::test]
async fn an_operator_rolls_back_by_hand_once() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let host = load(settings(&directory)).await;
    let none = host.rollback("p").await.unwrap_err();
    assert_eq!(none, OperateError::NoVersionBefore("p".to_owned()));
    let first = host.status().plugins[0].sha256.clone();
    directory.put("p.wasm", &variant(&hostile(), 1));
    host.rescan().await;
    host.rollback("p").await.unwrap();
    assert_eq!(host.status().plugins[0].sha256, first);
    assert_eq!(host.rollback("p").await.unwrap_err(), none);
    assert_eq!(host.rollback("q").await.unwrap_err(), OperateError::Unknown("q".to_owned()));
}

#[tokio::test]
async fn a_plugin_is_taken_out_and_put_back_whatever_its_settings_say() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let mut settings = settings(&directory);
    settings.plugins[0].required = true;
    let host = load(settings.clone()).await;
    assert_eq!(ask(&host, "NOOP").await, DENIED);
    assert_eq!(host.disable("p").await.unwrap()[0].what, What::Disabled);
    assert_eq!(ask(&host, "NOOP").await, "pass");
    let absent = host.status().absent.remove(0);
    assert_eq!((absent.name.as_str(), absent.state), ("p", State::Disabled));
    // Neither other settings nor another file bring it back.
    settings.plugins[0].priority = 1;
    host.reconfigure(settings).await.unwrap();
    directory.put("p.wasm", &variant(&hostile(), 1));
    host.rescan().await;
    assert_eq!(ask(&host, "NOOP").await, "pass");
    assert!(matches!(host.disable("p").await, Err(OperateError::AlreadyDisabled(_))));
    assert_eq!(host.enable("p").await.unwrap()[0].what, What::Loaded);
    assert_eq!(ask(&host, "NOOP").await, DENIED);
    assert!(matches!(host.enable("p").await, Err(OperateError::NotDisabled(_))));
}

#[tokio::test]
async fn an_earlier_version_drains_until_nothing_uses_it() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let host = load(settings(&directory)).await;
    let used = host.current();
    directory.put("p.wasm", &variant(&hostile(), 1));
    host.rescan().await;
    assert_eq!(host.drain("p", Duration::ZERO).await.unwrap(), 1);
    let old = host.status().draining.remove(0);
    assert_eq!((old.state, old.since_generation), (State::Draining, 1));
    let (left, ()) = tokio::join!(host.drain("p", Duration::from_secs(60)), async { drop(used) });
    assert_eq!(left.unwrap(), 0);
    assert!(host.status().draining.is_empty());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn components_are_compiled_behind_all_others_but_for_those_at_the_start() {
    let directory = Directory::new();
    let told = directory.file("priorities");
    // It is given all only once its priority is what it will be.
    let script = format!("cat > /dev/null; cut -d' ' -f19 /proc/$$/stat >> {}", told.display());
    let arguments = vec!["-c".into(), script.into()];
    let compiler = Some(CompilerProcess { program: "/bin/sh".into(), arguments });
    // What other tests had compiled is not taken.
    let mut settings = HostSettings { compiler, state: None, ..settings(&directory) };
    settings.plugins[0].on_load_error = OnLoadError::Disable;
    directory.put("p.wasm", &variant(&hostile(), 1));
    let host = load(settings).await;
    directory.put("p.wasm", &variant(&hostile(), 2));
    host.rescan().await;
    let own = rustix::process::getpriority_process(None).unwrap();
    assert_eq!(std::fs::read_to_string(told).unwrap(), format!("{own}\n19\n"));
}

#[tokio::test]
async fn an_earlier_version_is_drained_by_force_while_a_component_is_looked_at() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let host = load(settings(&directory)).await;
    let used = host.current();
    let transfer = used.withdrawn();
    directory.put("p.wasm", &variant(&hostile(), 1));
    host.rescan().await;
    directory.put("p.wasm", &variant(&hostile(), 2));
    let mut look = pin!(host.rescan());
    // As far as it comes by itself: what it waits for is done in another thread.
    tokio::select! {
        biased;
        report = &mut look => panic!("{report:?}"),
        () = ready(()) => {}
    }
    tokio::select! {
        biased;
        left = host.force_drain("p", Duration::ZERO) => assert_eq!(left, Ok(1)),
        () = ready(()) => panic!("it waits"),
    }
    transfer.await;
    assert_eq!(said(&look.await), ["p: Replaced"]);
}

#[tokio::test]
async fn status_tells_of_what_is_not_there_and_why() {
    let directory = Directory::new();
    directory.put("broken.wasm", b"garbage");
    let disable = |name| PluginSettings {
        on_load_error: OnLoadError::Disable,
        ..PluginSettings::named(name)
    };
    let plugins = vec![disable("broken"), disable("later")];
    let host = load(HostSettings { plugins, ..directory.settings() }).await;
    let absent: Vec<_> =
        host.status().absent.into_iter().map(|p| (p.name, p.state, p.reason)).collect();
    assert_eq!(absent.len(), 2, "{absent:?}");
    assert_eq!((absent[0].0.as_str(), absent[0].1), ("broken", State::Rejected));
    assert_eq!(
        (absent[1].0.as_str(), absent[1].1, absent[1].2.as_str()),
        ("later", State::Waiting, "no such file")
    );
}

#[tokio::test]
async fn status_tells_of_calls_by_hook_and_of_memory() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let host = load(settings(&directory)).await;
    ask(&host, "NOOP").await;
    let status = host.status().plugins.remove(0);
    let command = &status.calls_by_hook[0];
    assert_eq!((command.hook, command.calls, command.traps), ("command-filter", 1, 1));
    assert_eq!(command.buckets.iter().sum::<u64>(), 1);
    assert!(status.p99 >= status.p50 && status.p50.is_some());
    assert_eq!((status.instances_idle, status.instances_busy, status.memory_bytes), (0, 0, 0));
    ask(&host, "PWD").await;
    directory.put("p.wasm", &variant(&hostile(), 1));
    host.rescan().await;
    let status = host.status().plugins.remove(0);
    assert_eq!(status.instances_idle, 1);
    assert!(status.memory_bytes >= 64 * 1024, "{}", status.memory_bytes);
}

#[tokio::test]
async fn a_component_of_another_digest_than_the_pinned_one_is_refused_with_both() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let pinned = "0".repeat(64);
    let mut settings = settings(&directory);
    settings.plugins[0].sha256 = Some(pinned.clone());
    let errors = load_errors(settings.clone()).await;
    let Refusal::Pinned { found, .. } = errors.0[0].refusal.clone() else { panic!("{errors}") };
    let told = errors.to_string();
    assert!(told.contains(&format!("has the digest {found}, and sha256 says {pinned}")), "{told}");
    assert!(told.contains(&format!("write sha256 = \"{found}\"")), "{told}");
    settings.plugins[0].sha256 = Some(found.to_uppercase());
    let host = load(settings).await;
    directory.put("p.wasm", &variant(&hostile(), 1));
    let report = host.rescan().await;
    assert!(matches!(&report.changes[0].what, What::Kept(Refusal::Pinned { .. })), "{report:?}");
    assert_eq!(host.status().plugins[0].sha256, found);
}

/// As good as a signature for tests: the key, and the last octet of the component.
fn verify(key: &[u8], component: &[u8], signature: &[u8]) -> bool {
    [key, &component[component.len() - 1..]].concat() == signature
}

#[tokio::test]
async fn where_signatures_are_demanded_a_component_waits_for_its_own() {
    let directory = Directory::new();
    directory.put("p.wasm", &variant(&hostile(), 1));
    let signer = Some(Signer { key: b"key".to_vec(), verify });
    let settings = HostSettings { signer, ..settings(&directory) };
    let errors = load_errors(settings.clone()).await.to_string();
    let signature = directory.file("p.wasm.sig");
    assert!(errors.contains(&format!("has no signature: {}", signature.display())), "{errors}");
    assert!(errors.contains("openssl pkeyutl -sign -rawin"), "{errors}");
    directory.put("p.wasm.sig", b"key\x01");
    let host = load(settings).await;
    // The component comes before its signature: the version before goes on until then.
    directory.put("p.wasm", &variant(&hostile(), 2));
    let report = host.rescan().await;
    assert!(
        matches!(&report.changes[0].what, What::Kept(Refusal::BadSignature { .. })),
        "{report:?}"
    );
    assert_eq!(host.rescan().await.sequence, report.sequence, "no news");
    directory.put("p.wasm.sig", b"key\x02");
    assert_eq!(said(&host.rescan().await), ["p: Replaced"]);
}

/// The generations that a thousand sessions are served by, and how many each.
fn served(host: &waft_plugin_host::Host) -> std::collections::BTreeMap<u64, usize> {
    let mut served = std::collections::BTreeMap::new();
    for id in 1..=1000 {
        *served.entry(host.current_for(SessionId(id)).generation()).or_default() += 1;
    }
    served
}

fn canary(directory: &Directory, percent: u8) -> HostSettings {
    let mut settings = settings(directory);
    settings.plugins[0].canary_percent = Some(percent);
    settings
}

#[tokio::test]
async fn a_canary_serves_its_share_of_sessions_until_it_is_promoted() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let host = load(HostSettings { probation: Duration::ZERO, ..canary(&directory, 20) }).await;
    let first = host.status().plugins[0].sha256.clone();
    directory.put("p.wasm", &variant(&hostile(), 1));
    assert_eq!(host.rescan().await.changes[0].what, What::Tried);
    let shares = served(&host);
    assert!((150..=250).contains(&shares[&2]) && shares[&1] + shares[&2] == 1000, "{shares:?}");
    let status = host.status();
    assert_eq!((status.plugins[0].sha256.as_str(), status.generation), (first.as_str(), 1));
    let tried = &status.canaries[0];
    assert_eq!((tried.state, tried.sha256 == first), (State::Canary, false));
    assert_eq!(host.rescan().await.sequence, 2, "no news");
    assert_eq!(host.promote("p").await.unwrap()[0].what, What::Promoted);
    assert_eq!(served(&host).into_keys().collect::<Vec<_>>(), [3]);
    assert_eq!(host.status().plugins[0].since_generation, 3, "as the log says");
    assert_eq!(host.promote("p").await.unwrap_err(), OperateError::NoCanary("p".to_owned()));
    host.rollback("p").await.unwrap();
    assert_eq!(host.status().plugins[0].sha256, first);
}

#[tokio::test]
async fn a_canary_that_fails_is_given_up_and_one_that_does_not_serves_all_in_time() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let host = load(canary(&directory, 50)).await;
    directory.put("p.wasm", &variant(&hostile(), 1));
    host.rescan().await;
    let id = (1..).map(SessionId).find(|id| host.current_for(*id).generation() == 2).unwrap();
    for _ in 0..5 {
        ask_of(&*host.current_for(id), &session(), "NOOP").await;
    }
    let rolled_back = report(&host, 3).await;
    assert!(matches!(&rolled_back.changes[0].what, What::RolledBack(_)), "{rolled_back:?}");
    assert_eq!(served(&host).into_keys().collect::<Vec<_>>(), [1]);
    directory.put("p.wasm", &variant(&hostile(), 2));
    assert_eq!(host.rescan().await.changes[0].what, What::Tried);
    assert_eq!(host.status().canaries[0].since_generation, 3, "a number of its own");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(report(&host, 5).await.changes[0].what, What::Promoted);
    assert!(host.status().canaries.is_empty());
}

#[tokio::test]
async fn what_is_in_the_shadow_is_logged_and_not_done() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let log = Log::listen();
    let shadow = |config: &[(&str, &str)]| {
        let p = PluginSettings { shadow: true, ..plugin("p", config) };
        HostSettings { plugins: vec![p], ..directory.settings() }
    };
    let host = load(shadow(&[("answer.PORT", "502 no")])).await;
    assert_eq!(ask(&host, "PORT 1,2,3,4,5,6").await, "pass");
    let told = log.lines_with("plugin would have answered the command");
    assert_eq!(told.len(), 1, "{:?}", log.lines_with("would"));
    for field in [
        "plugin=\"p\"",
        "session=7",
        "hook=\"command-filter\"",
        "verb=\"PORT\"",
        "code=502",
        "reply=\"502 no\"",
    ] {
        assert!(told[0].contains(field), "{field}: {told:?}");
    }
    let status = &host.status().plugins[0];
    assert_eq!((status.state, status.shadow, status.differed), (State::Shadow, true, 1));
}

#[tokio::test]
async fn what_hears_of_events_hears_of_a_version_that_is_rolled_back_and_of_one_that_is_drained() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    directory.put("errands.wasm", &component("tests/errands"));
    let mut settings = settings(&directory);
    let mut sink =
        plugin("errands", &[("events.0", "plugin.rollback"), ("events.1", "plugin.drain")]);
    sink.limits.instances_max = 1;
    settings.plugins.push(sink);
    let host = load(settings).await;
    let first = host.status().plugins.iter().find(|p| p.name == "p").unwrap().sha256.clone();
    directory.put("p.wasm", &variant(&hostile(), 1));
    host.rescan().await;
    for _ in 0..5 {
        assert_eq!(ask(&host, "NOOP").await, DENIED);
    }
    report(&host, 3).await;
    let status = host.status();
    let p = status.plugins.iter().find(|p| p.name == "p").unwrap();
    let second = p.trouble.clone().unwrap();
    assert_eq!(p.sha256, first);
    let old = host.current();
    let transfer = old.withdrawn();
    directory.put("p.wasm", &variant(&hostile(), 2));
    host.rescan().await;
    assert_eq!(host.force_drain("p", Duration::ZERO).await, Ok(1));
    transfer.await;
    drop(old);
    host.drain_events(Duration::from_secs(30)).await;
    let hooks = host.current();
    let heard = hooks.site().unwrap().run(&session(), "SITE HEARD", None).await;
    let heard = text(&heard.reply);
    let expected = [
        format!("plugin.rollback plugin=p reason={second}"),
        "plugin.drain plugin=p transfers=1".to_owned(),
    ];
    for line in expected {
        assert!(heard.lines().any(|told| told.trim_start_matches("211").trim() == line), "{heard}");
    }
}

/// A plugin in the shadow, and its host.
async fn shadow(bytes: &[u8], config: &[(&str, &str)]) -> (Directory, waft_plugin_host::Host) {
    host_of(bytes, PluginSettings { shadow: true, ..plugin("p", config) }).await
}

#[tokio::test]
async fn replies_connections_and_files_are_as_they_were_for_what_is_in_the_shadow() {
    let log = Log::listen();
    let (_directory, host) = shadow(&echo(), &[("reply.PWD", "257 elsewhere")]).await;
    let said = reword(&host, Some("PWD"), reply(257, "\"/\" is current.")).await;
    assert_eq!(said, "257 \"/\" is current.");
    let (_directory, host) = shadow(&echo(), &[("reply.NOOP", "200 so what")]).await;
    assert_eq!(reword(&host, Some("NOOP"), reply(200, "Fine.")).await, "200 Fine.");
    let decider = component("tests/decider");
    let config = [
        ("connect", "421 not you"),
        ("files.0", "write /a deny 550 not that"),
        ("files.1", "write /b redirect /c"),
        ("hide.0", "a"),
    ];
    let (_directory, host) = shadow(&decider, &config).await;
    let hooks = host.current();
    let connected = hooks.connections().unwrap().on_connect(&session()).await;
    assert!(matches!(connected, ConnectVerdict::Serve), "{connected:?}");
    let files = hooks.files().unwrap();
    for name in ["/a", "/b"] {
        let path = VirtualPath::root().join(name.as_bytes()).unwrap();
        let op = FileOp::Write(path, WriteKind::Create);
        let verdict = files.on_file(&session(), &op).await;
        assert!(matches!(verdict, FileVerdict::Pass), "{verdict:?}");
    }
    for (deed, fields) in [
        (
            "would have reworded the reply",
            ["verb=\"NOOP\"", "original=\"200 Fine.\"", "reply=\"200 so what\""],
        ),
        (
            "would have rejected the connection",
            ["hook=\"connection-filter\"", "code=421", "reply=\"421 not you\""],
        ),
        ("would have denied it", ["op=\"write\"", "path=/a", "reply=\"550 not that\""]),
        ("would have redirected the path", ["op=\"write\"", "original=/b", "path=/c"]),
    ] {
        let told = log.lines_with(deed);
        let is_it = |line: &&String| fields.iter().all(|field| line.contains(field));
        assert_eq!(told.iter().filter(is_it).count(), 1, "{fields:?}: {told:?}");
    }
}

#[tokio::test]
async fn what_is_in_the_shadow_and_fails_stops_nobody() {
    let (_directory, host) = shadow(&hostile(), &[("command", "trap"), ("verbs.0", "NOOP")]).await;
    assert_eq!(ask(&host, "NOOP").await, "pass");
    let config = [("connect", "trap"), ("files.0", "write /a trap")];
    let (_directory, host) = shadow(&component("tests/decider"), &config).await;
    let hooks = host.current();
    let connected = hooks.connections().unwrap().on_connect(&session()).await;
    assert!(matches!(connected, ConnectVerdict::Serve), "{connected:?}");
    let op = FileOp::Write(VirtualPath::root().join(b"/a").unwrap(), WriteKind::Create);
    let verdict = hooks.files().unwrap().on_file(&session(), &op).await;
    assert!(matches!(verdict, FileVerdict::Pass), "{verdict:?}");
}

#[tokio::test]
async fn what_hears_of_events_hears_of_calls_of_others_that_failed() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    directory.put("errands.wasm", &component("tests/errands"));
    let mut settings = settings(&directory);
    let mut sink =
        plugin("errands", &[("events.0", "plugin.trap"), ("events.1", "plugin.timeout")]);
    sink.limits.instances_max = 1;
    settings.plugins.push(sink);
    let host = load(settings).await;
    assert_eq!(ask(&host, "NOOP").await, DENIED);
    let status = host.status();
    let p = status.plugins.iter().find(|p| p.name == "p").unwrap();
    let reason = p.last_error.clone().unwrap().reason;
    assert!(reason.starts_with("trap: "), "{reason}");
    host.drain_events(Duration::from_secs(30)).await;
    let hooks = host.current();
    let heard = hooks.site().unwrap().run(&session(), "SITE HEARD", None).await;
    let heard = text(&heard.reply);
    let expected = format!("plugin.trap plugin=p hook=command-filter reason={reason}");
    assert!(heard.contains(&expected), "{expected}\n{heard}");
}
