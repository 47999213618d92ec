//! Who shares an instance, what single hooks may take, and what their failures count as.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use waft_core::event::Direction;
use waft_core::hooks::{ContentVerdict, FileOp, HookSource, Hooks};
use waft_core::storage::WriteMode;
use waft_core::{SessionFacts, SessionId, VirtualPath};
use waft_plugin_host::{
    CallLimits, Grants, Hook, Host, HostSettings, Isolation, OnError, PluginSettings, Refusal,
};

use crate::support::*;

const HOUR: Duration = Duration::from_secs(3600);

/// A plugin that counts NOOP, and makes a reply of ALLO that is none.
fn counting(isolation: Isolation) -> PluginSettings {
    let config = [("count", "NOOP"), ("answer.ALLO", "150 more")];
    PluginSettings { isolation, ..plugin("p", &config) }
}

/// The number of the call, as the instance counts.
async fn count(host: &Host, session: &Arc<SessionFacts>) -> String {
    count_in(&host.current(), session).await
}

/// The same of the instance that these hooks have for the session.
async fn count_in(hooks: &Arc<dyn Hooks>, session: &Arc<SessionFacts>) -> String {
    let said = ask_of(&**hooks, session, "NOOP").await;
    said.rsplit_once("instance ").map_or(said.clone(), |(_, count)| count.to_owned())
}

/// Instances that rest, and all others.
fn instances(host: &Host) -> (usize, usize) {
    let status = host.status().plugins.remove(0);
    (status.instances_idle, status.instances_busy)
}

const DENIED: &str = "p fails: 451 Local error: plugin failed.";

#[tokio::test]
async fn sessions_share_instances_unless_the_operator_says_otherwise() {
    let (_directory, host) = host_of(&echo(), counting(Isolation::Pool)).await;
    let (one, other) = (session_of(1), session_of(2));
    let counts = [count(&host, &one).await, count(&host, &other).await, count(&host, &one).await];
    assert_eq!(counts, ["1", "2", "3"]);
    assert_eq!(ask_in(&host, &one, "ALLO").await, DENIED);
    assert_eq!(count(&host, &one).await, "1", "a new instance after a failure");
}

#[tokio::test]
async fn a_session_has_an_instance_of_its_own_until_it_ends() {
    let (_directory, host) = host_of(&echo(), counting(Isolation::Session)).await;
    let (one, other) = (session_of(1), session_of(2));
    let counts = [count(&host, &one).await, count(&host, &other).await, count(&host, &one).await];
    assert_eq!(counts, ["1", "1", "2"]);
    assert_eq!(ask_in(&host, &one, "ALLO").await, DENIED);
    let counts = [count(&host, &one).await, count(&host, &other).await];
    assert_eq!(counts, ["1", "2"], "a failure costs the session's own instance");
    // One more is for what no session asks for.
    assert_eq!(instances(&host), (3, 0));
    drop(one);
    assert_eq!(instances(&host), (2, 0));
    assert_eq!(count(&host, &session_of(1)).await, "1");
    assert_eq!(instances(&host), (2, 0));
}

#[tokio::test]
async fn plugins_run_where_others_have_all_the_places_of_few_and_where_one_is_left() {
    const VERBS: [&str; 5] = ["PWD", "CWD", "CDUP", "SIZE", "NOOP"];
    let named = |verb: &&str| plugin(&verb.to_lowercase(), &[("deny.0", verb)]);
    let directory = Directory::new();
    for plugin in VERBS.iter().map(named) {
        directory.put(&format!("{}.wasm", plugin.name), &component("command-policy"));
    }
    let plugins = |which: &[&str]| HostSettings {
        plugins: which.iter().map(named).collect(),
        ..directory.settings()
    };
    // Each may have 64 instances, of the 256 that there are for those with few.
    let host = load(plugins(&VERBS)).await;
    for verb in VERBS {
        let denied = format!("{} answers: 502", verb.to_lowercase());
        let said = ask(&host, verb).await;
        assert!(said.starts_with(&denied), "{said}");
    }
    drop(host);
    let host = load(plugins(&["NOOP"])).await;
    let said = ask(&host, "NOOP").await;
    assert!(said.starts_with("noop answers: 502"), "{said}");
}

#[tokio::test]
async fn each_call_has_an_instance_of_its_own() {
    let (_directory, host) = host_of(&echo(), counting(Isolation::Call)).await;
    let one = session_of(1);
    let counts = [count(&host, &one).await, count(&host, &one).await, count(&host, &one).await];
    assert_eq!(counts, ["1", "1", "1"]);
    assert_eq!(instances(&host), (0, 0));
}

#[tokio::test]
async fn instances_of_sessions_are_bounded_and_further_sessions_wait() {
    let mut settings = counting(Isolation::Session);
    settings.limits.sessions_max = 1;
    settings.limits.queue = Duration::from_millis(20);
    let (directory, host) = host_of(&echo(), settings.clone()).await;
    let (one, other) = (session_of(1), session_of(2));
    assert_eq!(count(&host, &one).await, "1");
    assert_eq!(ask_in(&host, &other, "NOOP").await, DENIED);
    assert_eq!(host.status().plugins[0].counts.not_made, 1);
    settings.limits.queue = HOUR;
    let settings = HostSettings { plugins: vec![settings], ..directory.settings() };
    host.reconfigure(settings).await.unwrap();
    assert_eq!(count(&host, &one).await, "1", "another version, another instance");
    let ((), counted) = tokio::join!(
        async {
            tokio::task::yield_now().await;
            drop(one);
        },
        count(&host, &other)
    );
    assert_eq!(counted, "1");
}

#[tokio::test]
async fn sessions_that_could_take_all_memory_are_refused_with_what_fits() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let settings = |sessions| {
        let mut p = counting(Isolation::Session);
        p.limits.sessions_max = sessions;
        let (plugins, memory_budget) = (vec![p], 16 << 20);
        HostSettings { plugins, memory_budget, ..directory.settings() }
    };
    let errors = load_errors(settings(256)).await;
    let Refusal::SessionsTooLarge { sessions: 256, wanted, budget } = errors.0[0].refusal else {
        panic!("{errors}")
    };
    assert_eq!((wanted % 256, budget), (0, 16 << 20));
    let fit = budget / (wanted / 256);
    let remedy = errors.0[0].refusal.remedy().unwrap();
    assert!(remedy.starts_with(&format!("set sessions = {fit} or less")), "{remedy}");
    let fit = usize::try_from(fit).unwrap();
    let host = load(settings(fit)).await;
    // Nor is there less memory, while they may come.
    let less = HostSettings { memory_budget: 15 << 20, ..settings(fit) };
    let errors = host.reconfigure(less).await.unwrap_err();
    assert!(matches!(errors.0[0].refusal, Refusal::SessionsTooLarge { .. }), "{errors}");
}

#[tokio::test]
async fn plugins_whose_instances_have_no_room_together_are_refused_with_what_they_need() {
    let directory = Directory::new();
    let names = ["a", "b", "c"];
    for name in names {
        directory.put(&format!("{name}.wasm"), &echo());
    }
    let each = memory_of(&directory, &plugin("a", &[])).await;
    let settings = |memory_budget| {
        let plugins = names.map(|name| plugin(name, &[("answer.NOOP", "200 yes")])).to_vec();
        HostSettings { plugins, memory_budget, ..directory.settings() }
    };
    let errors = load_errors(settings(2 * each)).await;
    assert_eq!((errors.0.len(), &*errors.0[0].plugin), (1, "c"), "{errors}");
    let Refusal::KeptTooLarge { own, wanted, budget } = errors.0[0].refusal else {
        panic!("{errors}")
    };
    assert_eq!((own, wanted, budget), (each, 3 * each, 2 * each));
    let remedy = errors.0[0].refusal.remedy().unwrap();
    assert!(remedy.starts_with("set memory_budget = \""), "{remedy}");
    // Those that keep no instance need no room to be there.
    let mut none = settings(each);
    none.plugins.iter_mut().for_each(|plugin| plugin.limits.instances_min = 0);
    let host = load(none).await;
    assert_eq!(ask(&host, "NOOP").await, "a answers: 200 yes");
    // One that comes while the others are there is not taken, and they go on.
    let host = load(settings(3 * each)).await;
    directory.put("d.wasm", &echo());
    let mut more = settings(3 * each);
    more.plugins.push(plugin("d", &[]));
    host.reconfigure(more).await.unwrap_err();
    assert_eq!(host.status().plugins.len(), 3);
    assert_eq!(ask(&host, "NOOP").await, "a answers: 200 yes");
}

/// A plugin with an instance for each of two sessions, that takes some 4 MiB where it is told to.
fn growing(directory: &Directory, memory: usize, memory_budget: u64) -> HostSettings {
    let mut p = PluginSettings {
        isolation: Isolation::Session,
        grants: Grants::without_effect(),
        ..plugin("p", &[])
    };
    p.limits.memory = memory;
    p.limits.sessions_max = 2;
    p.limits.queue = Duration::from_secs(60);
    // Long enough on a busy machine.
    (p.limits.cpu, p.limits.wall) = (Some(HOUR), Some(HOUR));
    HostSettings { plugins: vec![p], memory_budget, ..directory.settings() }
}

/// Has the session's instance take memory.
async fn grow(host: &Host, session: &Arc<SessionFacts>) {
    assert_eq!(ask_in(host, session, "XKEYS many k 4000").await, "p answers: 200 4000");
}

#[tokio::test]
async fn what_a_session_keeps_in_memory_is_kept_while_there_is_room_for_it() {
    let directory = Directory::new();
    directory.put("p.wasm", &component("tests/foreigner"));
    let (one, other) = (session_of(1), session_of(2));
    let memory = |host: &Host| host.status().plugins[0].memory_bytes;
    let host = load(growing(&directory, 64 << 20, 512 << 20)).await;
    let first = memory(&host);
    grow(&host, &one).await;
    assert_eq!(instances(&host), (2, 0));
    let grown = memory(&host) - first;
    assert!(grown > first + (4 << 20) - (1 << 19), "{grown}");
    // Too much of what it may have itself.
    let host = load(growing(&directory, grown + (1 << 16), 512 << 20)).await;
    grow(&host, &one).await;
    assert_eq!(instances(&host), (1, 0));
    // More than is left of what all may have.
    let room_of = |bytes: usize| u64::try_from(bytes).unwrap();
    let host = load(growing(&directory, 64 << 20, room_of(first + grown - (1 << 16)))).await;
    assert_eq!(ask_in(&host, &one, "XKEYS many k 4000").await, DENIED);
    assert_eq!((instances(&host), memory(&host)), ((1, 0), first));
    let status = host.status().plugins.remove(0);
    assert!(!status.breaker_open);
    let reason = status.last_error.unwrap().reason;
    let spent = "trap as the memory of all plugins is spent, see memory_budget in [plugins]: ";
    assert!(reason.starts_with(spent), "{reason}");
    // There is room, until somebody waits for it.
    let host = load(growing(&directory, 64 << 20, room_of(first + grown))).await;
    grow(&host, &one).await;
    assert_eq!((instances(&host), memory(&host)), ((2, 0), first + grown));
    let asked = tokio::join!(
        ask_in(&host, &other, "XKEYS has other"),
        ask_in(&host, &one, "XKEYS has other")
    );
    let answer = "p answers: 200 false".to_owned();
    assert_eq!(asked, (answer.clone(), answer));
    assert_eq!((instances(&host), memory(&host)), ((2, 0), 2 * first));
}

/// A host of two plugins of the same component: one for uploads, one for downloads.
async fn customs_both_ways(memory_budget: u64) -> (Directory, Host) {
    let directory = Directory::new();
    let ways = [("up", "upload"), ("down", "download")];
    for (name, _) in ways {
        directory.put(&format!("{name}.wasm"), &component("tests/customs"));
    }
    let plugins = ways.map(|(name, way)| plugin(name, &[(way, "inspect")])).into();
    let host = load(HostSettings { plugins, memory_budget, ..directory.settings() }).await;
    (directory, host)
}

/// Instances that rest, and all others, of the plugin of that name.
fn instances_of(host: &Host, name: &str) -> (usize, usize) {
    let status = host.status();
    let plugin = status.plugins.iter().find(|plugin| plugin.name == name).unwrap();
    (plugin.instances_idle, plugin.instances_busy)
}

#[tokio::test]
async fn instances_that_rest_make_room_for_another_plugin_at_once() {
    let (_directory, host) = customs_both_ways(512 << 20).await;
    let each = host.status().plugins[0].memory_bytes;
    // Room for five: four of the one, one of the other.
    let (_directory, host) = customs_both_ways(u64::try_from(5 * each).unwrap()).await;
    let mut uploads = Vec::new();
    for id in 0..4 {
        uploads.push(transfer(&host, id, Direction::Upload).await);
    }
    for upload in uploads {
        assert!(matches!(upload.finish().await, ContentVerdict::Accept(_)));
    }
    assert_eq!(instances_of(&host, "up"), (4, 0));
    let mut downloads = Vec::new();
    for (id, left) in [(4, 4), (5, 3), (6, 2), (7, 1)] {
        downloads.push(transfer(&host, id, Direction::Download).await);
        assert_eq!(instances_of(&host, "up"), (left, 0), "no more of them than are in the way");
        assert_eq!(instances_of(&host, "down"), (0, downloads.len()));
    }
}

#[tokio::test]
async fn instances_that_grow_stay_within_what_all_may_have() {
    let directory = Directory::new();
    directory.put("vault.wasm", &component("tests/vault"));
    let (plugins, memory_budget) = (vec![plugin("vault", &[])], 16 << 20);
    let host = load(HostSettings { plugins, memory_budget, ..directory.settings() }).await;
    let storage = host.storage("vault").for_session(&session()).unwrap();
    let mut writers = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let path = VirtualPath::root().join(name.as_bytes()).unwrap();
        writers.push(storage.open_write(&path, WriteMode::Replace).await.unwrap());
    }
    let mut failed = 0;
    for writer in &mut writers {
        failed += usize::from(writer.write(vec![0; 2 << 20]).await.is_err());
        let memory = host.status().plugins[0].memory_bytes;
        assert!(memory <= 16 << 20, "{memory}");
    }
    assert!((1..6).contains(&failed), "{failed}");
    let status = host.status().plugins.remove(0);
    assert!(!status.breaker_open, "it is not the plugin's fault");
    assert!(status.last_error.unwrap().reason.contains("memory_budget"));
}

#[tokio::test]
async fn an_instance_that_grows_takes_the_room_of_those_that_rest() {
    let directory = Directory::new();
    directory.put("p.wasm", &component("tests/foreigner"));
    directory.put("up.wasm", &component("tests/customs"));
    let settings = |memory_budget| {
        let mut settings = growing(&directory, 64 << 20, memory_budget);
        settings.plugins.push(plugin("up", &[("upload", "inspect")]));
        settings
    };
    let host = load(settings(512 << 20)).await;
    let memory = |host: &Host| -> usize {
        host.status().plugins.iter().map(|plugin| plugin.memory_bytes).sum()
    };
    let one = session_of(1);
    grow(&host, &one).await;
    let after = memory(&host);
    // Room for the one that grows, but for an octet if a second instance of the other rests.
    let status = host.status();
    let each = status.plugins.iter().find(|plugin| plugin.name == "up").unwrap().memory_bytes;
    let host = load(settings(u64::try_from(after + each - 1).unwrap())).await;
    let uploads =
        [transfer(&host, 2, Direction::Upload).await, transfer(&host, 3, Direction::Upload).await];
    for upload in uploads {
        assert!(matches!(upload.finish().await, ContentVerdict::Accept(_)));
    }
    assert_eq!(instances_of(&host, "up"), (2, 0));
    grow(&host, &one).await;
    assert_eq!(instances_of(&host, "up"), (1, 0));
}

#[tokio::test]
async fn a_version_that_is_replaced_gives_back_what_sessions_had_of_it() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let plugins = vec![counting(Isolation::Session)];
    let host = load(HostSettings { plugins, ..directory.settings() }).await;
    let one = session_of(1);
    assert_eq!(count(&host, &one).await, "1");
    directory.put("p.wasm", &[&echo()[..], &[0, 3, 1, b'v', 1]].concat());
    host.rescan().await;
    assert!(host.status().draining.is_empty());
    assert_eq!(count(&host, &one).await, "1");
    assert_eq!(instances(&host), (2, 0));
}

#[tokio::test]
async fn a_version_that_is_let_go_keeps_no_instances_while_something_still_uses_it() {
    for isolation in [Isolation::Pool, Isolation::Session] {
        let directory = Directory::new();
        directory.put("p.wasm", &echo());
        let settings = |percent| {
            let plugins =
                vec![PluginSettings { canary_percent: Some(percent), ..counting(isolation) }];
            HostSettings { plugins, ..directory.settings() }
        };
        let host = load(settings(50)).await;
        let (one, first) = (session_of(1), host.current());
        assert_eq!(count_in(&first, &one).await, "1");
        // A new version is tried: the one before is in force all the same.
        directory.put("p.wasm", &[&echo()[..], &[0, 3, 1, b'v', 1]].concat());
        host.rescan().await;
        assert_eq!(count_in(&first, &one).await, "2", "{isolation:?}");
        host.promote("p").await.unwrap();
        let left = || host.status().draining[0].instances;
        assert_eq!(left(), 0, "{isolation:?}");
        assert_eq!(count_in(&first, &one).await, "1", "{isolation:?}: what uses it makes its own");
        assert_eq!(left(), 0, "{isolation:?}: and keeps none");
        assert!(instances(&host).0 > 0, "{isolation:?}");
    }
}

#[tokio::test]
async fn a_transfer_of_a_version_that_is_let_go_leaves_no_instance_behind() {
    let settings = plugin("p", &[("upload", "transform"), ("mark", "!")]);
    let (directory, host) = host_of(&component("tests/customs"), settings).await;
    // The version is told of as long as something uses it.
    let _hooks = host.current();
    let mut stream = transfer(&host, 1, Direction::Upload).await;
    let status = host.status().plugins.remove(0);
    assert_eq!((status.instances_busy, status.instances_pinned), (1, 1));
    directory.remove("p.wasm");
    let settings = HostSettings { plugins: Vec::new(), ..directory.settings() };
    host.reconfigure(settings).await.unwrap();
    let left = || host.status().draining[0].instances;
    assert_eq!(left(), 1, "its own");
    assert_eq!(stream.push(b"abc".to_vec()).await.unwrap(), b"ABC");
    let ContentVerdict::Accept(tail) = stream.finish().await else { panic!("refused") };
    assert_eq!(tail, b"!");
    assert_eq!(left(), 0);
}

#[tokio::test]
async fn a_session_that_uses_two_versions_has_an_instance_of_each() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let plugins = vec![PluginSettings { canary_percent: Some(50), ..counting(Isolation::Session) }];
    let host = load(HostSettings { plugins, ..directory.settings() }).await;
    directory.put("p.wasm", &[&echo()[..], &[0, 3, 1, b'v', 1]].concat());
    host.rescan().await;
    let id = (1..).find(|id| host.current_for(SessionId(*id)).generation() == 2).unwrap();
    let (one, stable, tried) = (session_of(id), host.current(), host.current_for(SessionId(id)));
    for expected in ["1", "2", "3"] {
        assert_eq!(count_in(&stable, &one).await, expected);
        assert_eq!(count_in(&tried, &one).await, expected);
    }
    let resting = || {
        let status = host.status();
        (status.plugins[0].instances_idle, status.canaries[0].instances_idle)
    };
    assert_eq!(resting(), (2, 2));
    drop(one);
    assert_eq!(resting(), (1, 1), "the end of the session is that of both");
}

#[tokio::test]
async fn a_plugin_counts_as_slow_when_a_call_fails_and_until_it_has_been_quick_for_a_while() {
    let config = [("answer.NOOP", "200 fine"), ("answer.SITE", "150 unfit")];
    let (_directory, host) = host_of(&echo(), plugin("echo", &config)).await;
    let (hooks, session) = (host.current(), session());
    let may_take_long = |line| hooks.may_take_long(&session, &command(line));
    assert!(!may_take_long("NOOP"), "nothing is known of it");
    assert_eq!(ask(&host, "SITE x").await, "echo fails: 451 Local error: plugin failed.");
    assert!(may_take_long("NOOP"));
    assert!(!may_take_long("PWD"), "it is not asked about that");
    let mut calls = 0;
    // However busy the machine is, some calls in a row are quick.
    while may_take_long("NOOP") {
        assert_eq!(ask(&host, "NOOP").await, "echo answers: 200 fine");
        calls += 1;
        assert!(calls < 10_000, "it is never quick");
    }
    assert!(calls >= 16, "{calls}");
}

#[tokio::test]
async fn a_transfer_has_an_instance_of_its_own_that_nobody_else_gets_where_that_is_wanted() {
    for (isolation, left) in [(Isolation::Pool, 1), (Isolation::Session, 1), (Isolation::Call, 0)] {
        let config = [("upload", "transform"), ("mark", "!")];
        let settings = PluginSettings { isolation, ..plugin("p", &config) };
        let (_directory, host) = host_of(&component("tests/customs"), settings).await;
        let mut stream = transfer(&host, 1, Direction::Upload).await;
        assert_eq!(stream.push(b"abc".to_vec()).await.unwrap(), b"ABC");
        assert_eq!(instances(&host).1, 1, "{isolation:?}");
        let ContentVerdict::Accept(tail) = stream.finish().await else { panic!("refused") };
        assert_eq!(tail, b"!");
        assert_eq!(instances(&host), (left, 0), "{isolation:?}");
    }
}

#[tokio::test]
async fn a_hook_has_a_budget_of_its_own() {
    let mut settings = plugin("p", &[("command", "loop"), ("verbs.0", "NOOP")]);
    settings.limits.cpu = Some(HOUR);
    settings.limits.wall = Some(HOUR);
    let own = CallLimits { cpu: Some(Duration::from_millis(20)), wall: None };
    settings.limits.by_hook = BTreeMap::from([(Hook::CommandFilter, own)]);
    let (_directory, host) = host_of(&hostile(), settings.clone()).await;
    assert_eq!(ask(&host, "NOOP").await, DENIED);
    let error = host.status().plugins.remove(0).last_error.unwrap();
    assert_eq!((error.hook, &*error.reason), ("command-filter", "over its computing time: 20ms"));
    let own = CallLimits { cpu: None, wall: Some(Duration::from_millis(20)) };
    settings.limits.by_hook = BTreeMap::from([(Hook::CommandFilter, own)]);
    let (_directory, host) = host_of(&hostile(), settings).await;
    assert_eq!(ask(&host, "NOOP").await, DENIED);
    let error = host.status().plugins.remove(0).last_error.unwrap();
    assert_eq!(error.reason, "over its time: 20ms");
}

#[tokio::test]
async fn a_failure_counts_by_hook() {
    let config = [("connect", "trap"), ("files.0", "write /a trap")];
    for (connection, file) in [(OnError::Allow, OnError::Deny), (OnError::Deny, OnError::Allow)] {
        let own = [(Hook::ConnectionFilter, connection), (Hook::FileFilter, file)];
        let on_error_by_hook = BTreeMap::from(own);
        let settings = PluginSettings { on_error_by_hook, ..plugin("p", &config) };
        let (_directory, host) = host_of(&component("tests/decider"), settings).await;
        let hooks = host.current();
        let served = hooks.connections().unwrap().on_connect(&session()).await;
        let served = matches!(served, waft_core::hooks::ConnectVerdict::Serve);
        let path = VirtualPath::root().join(b"/a").unwrap();
        let write = FileOp::Write(path, waft_core::hooks::WriteKind::Create);
        let passed = hooks.files().unwrap().on_file(&session(), &write).await;
        let passed = matches!(passed, waft_core::hooks::FileVerdict::Pass);
        assert_eq!((served, passed), (connection == OnError::Allow, file == OnError::Allow));
    }
}

#[tokio::test]
async fn whoever_decides_about_logins_is_closed_on_failure_by_whatever_setting() {
    let directory = Directory::new();
    directory.put("p.wasm", &component("tests/porter"));
    let settings = |general, own: Option<OnError>| {
        let on_error_by_hook = own.map(|own| (Hook::Authenticator, own)).into_iter().collect();
        let p = PluginSettings { on_error: general, on_error_by_hook, ..plugin("p", &[]) };
        HostSettings { plugins: vec![p], ..directory.settings() }
    };
    for (general, own) in [(OnError::Allow, None), (OnError::Deny, Some(OnError::Allow))] {
        let errors = load_errors(settings(general, own)).await;
        assert_eq!(errors.0[0].refusal, Refusal::AllowsLogins);
    }
    load(settings(OnError::Allow, Some(OnError::Deny))).await;
}

#[tokio::test]
async fn what_is_dropped_in_goes_by_what_holds_for_all() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let mut settings = directory.settings();
    settings.dropped_in.limits.memory = 64 * 1024;
    let errors = load_errors(settings).await;
    assert!(matches!(errors.0[0].refusal, Refusal::Memory { limit: 65536 }), "{errors}");
    assert_eq!(errors.0[0].plugin, "p");
}

/// Whether a generation is withdrawn by now.
async fn is_withdrawn(hooks: &Arc<dyn Hooks>) -> bool {
    tokio::select! {
        biased;
        () = hooks.withdrawn() => true,
        () = ready(()) => false,
    }
}

#[tokio::test]
async fn transfers_of_earlier_versions_are_ended_by_force_alone() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let settings = |count: &str| HostSettings {
        plugins: vec![plugin("p", &[("count", count)])],
        ..directory.settings()
    };
    let log = Log::listen();
    let host = load(settings("NOOP")).await;
    let first = host.current();
    let transfer = first.withdrawn();
    assert_eq!(host.force_drain("p", Duration::ZERO).await, Ok(0), "it is in force");
    host.reconfigure(settings("PWD")).await.unwrap();
    assert_eq!(host.drain("p", Duration::ZERO).await, Ok(1));
    assert!(!is_withdrawn(&first).await);
    assert_eq!(host.force_drain("p", Duration::ZERO).await, Ok(1));
    transfer.await;
    assert!(!is_withdrawn(&host.current()).await);
    drop(first);
    assert_eq!(host.drain("p", HOUR).await, Ok(0));
    let told = log.lines_with("plugin drained by force");
    assert!(told.len() == 1 && told[0].contains("transfers=1"), "{told:?}");
}

#[tokio::test]
async fn transfers_of_earlier_versions_have_as_long_as_the_operator_gives_them() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let settings = |count: &str| {
        let plugins = vec![plugin("p", &[("count", count)])];
        HostSettings { plugins, drain_timeout: Some(HOUR), ..directory.settings() }
    };
    let host = load(settings("NOOP")).await;
    let first = host.current();
    host.reconfigure(settings("PWD")).await.unwrap();
    let second = host.current();
    tokio::time::pause();
    assert!(!is_withdrawn(&first).await);
    first.withdrawn().await;
    assert!(!is_withdrawn(&second).await, "in force, it has no end");
}
