//! Commands of a plugin's own, events, and timers.

use std::sync::Arc;
use std::time::Duration;

use waft_core::VirtualPath;
use waft_core::event::{Direction, Event, EventSink, Happening, TransferFailure};
use waft_core::hooks::{HookSource, SiteAnswer};
use waft_plugin_host::{EventCounts, Host, HostSettings, PluginSettings};
use waft_proto::Code;

use crate::support::*;

pub(crate) fn errands() -> Vec<u8> {
    component("tests/errands")
}

/// A plugin with one instance: what it remembers, the next call finds.
pub(crate) fn single(name: &str, config: &[(&str, &str)]) -> PluginSettings {
    let mut settings = plugin(name, config);
    settings.limits.instances_max = 1;
    settings
}

pub(crate) async fn run(host: &Host, name: &str, argument: Option<&[u8]>) -> String {
    let hooks = host.current();
    let site = hooks.site().expect("the plugin brings commands along");
    let SiteAnswer { reply, plugin, .. } = site.run(&session(), name, argument).await;
    format!("{plugin}: {}", text(&reply))
}

pub(crate) async fn heard(host: &Host) -> Vec<String> {
    host.drain_events(Duration::from_secs(30)).await;
    let answer = run(host, "SITE HEARD", None).await;
    let lines = answer.lines().skip(1).map(|line| line.trim_start_matches("211").trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

fn upload(name: &str, complete: bool) -> Happening {
    Happening::TransferEnded {
        direction: Direction::Upload,
        path: VirtualPath::root().join(name.as_bytes()).unwrap(),
        bytes: 3,
        elapsed: Duration::from_millis(5),
        failure: (!complete).then(|| TransferFailure {
            reason: "refused by a plugin",
            code: Code::UNAVAILABLE,
            plugin: Some("scan".into()),
        }),
    }
}

pub(crate) fn emit(host: &Host, what: Happening) {
    host.emit(Event { session: session(), what });
}

pub(crate) const FACTS: &str = "listener=outside user=alice tls=true";

#[tokio::test]
async fn a_command_of_a_plugin_is_announced_and_answered() {
    let (_directory, host) = host_of(&errands(), single("errands", &[])).await;
    let hooks = host.current();
    let site = hooks.site().unwrap();
    let names: Vec<_> = site.commands().iter().map(|command| command.name.as_str()).collect();
    assert_eq!(names, ["SITE ECHO", "XECHO", "SITE HEARD", "SITE TICKS"]);
    assert_eq!(site.commands()[0].help, "says what it was told");
    assert_eq!(site.features(), ["XECHO any text"]);
    let answer = run(&host, "SITE ECHO", Some("grüße".as_bytes())).await;
    assert_eq!(answer, "errands: 200 SITE ECHO of alice: grüße");
    assert_eq!(run(&host, "XECHO", None).await, "errands: 200 XECHO of alice: nothing");
    let answer = run(&host, "XECHO", Some(b"\xff")).await;
    assert_eq!(answer, "errands: 501 Argument is not UTF-8.");
    assert_eq!(run(&host, "XOTHER", None).await, ": 502 XOTHER is not implemented.");
}

#[tokio::test]
async fn an_answer_that_does_not_end_the_command_is_the_plugins_failure() {
    for answer in ["150 wait", "350 more", "421 bye", "999 what", "99 what", "200 a\u{0}b"] {
        let settings = single("errands", &[("answer", answer)]);
        let (_directory, host) = host_of(&errands(), settings).await;
        let said = run(&host, "SITE ECHO", None).await;
        assert_eq!(said, "errands: 451 Local error: plugin failed.", "{answer:?}");
        assert_eq!(host.status().plugins[0].counts.bad_verdicts, 1);
    }
}

#[tokio::test]
async fn a_command_has_one_owner_and_the_plugin_that_came_first_keeps_it() {
    let directory = Directory::new();
    directory.put("a.wasm", &errands());
    directory.put("b.wasm", &errands());
    let errors = load_errors(directory.settings()).await.to_string();
    assert!(errors.starts_with("plugin b ("), "{errors}");
    let taken = "brings SITE ECHO along, which the plugin a answers already; \
                 remedy: remove one of the two, or change what a is told to answer";
    assert!(errors.ends_with(taken), "{errors}");

    directory.remove("a.wasm");
    let host = load(directory.settings()).await;
    assert_eq!(run(&host, "XECHO", None).await, "b: 200 XECHO of alice: nothing");
    directory.put("a.wasm", &errands());
    let report = host.rescan().await;
    let said = said(&report);
    assert!(said[0].starts_with("a: Refused(CommandTaken"), "{said:?}");
    assert_eq!(run(&host, "XECHO", None).await, "b: 200 XECHO of alice: nothing");
    // Its rival gone, it is taken without a new file.
    directory.remove("b.wasm");
    host.rescan().await;
    host.rescan().await;
    assert_eq!(run(&host, "XECHO", None).await, "a: 200 XECHO of alice: nothing");
}

#[tokio::test]
async fn a_name_of_the_servers_own_cannot_be_claimed() {
    let directory = Directory::new();
    directory.put("errands.wasm", &errands());
    for (command, reason) in [
        ("RETR", "RETR is a command of the server itself"),
        ("SITE CHMOD", "SITE CHMOD is a command of the server itself"),
        ("X Y", "not a command's name: \"X Y\""),
    ] {
        let plugins = vec![single("errands", &[("commands.0", command)])];
        let settings = HostSettings { plugins, ..directory.settings() };
        let errors = load_errors(settings).await.to_string();
        assert!(errors.contains(&format!("describe failed: {reason}")), "{errors}");
    }
}

#[tokio::test]
async fn events_arrive_in_their_order_and_only_those_that_are_wanted() {
    let settings = single("errands", &[("events.0", "transfer.*"), ("events.1", "auth.fail")]);
    let (_directory, host) = host_of(&errands(), settings).await;
    emit(&host, Happening::SessionOpened);
    emit(&host, Happening::LoginFailed { user: "bob".to_owned(), reason: "unknown user" });
    emit(&host, upload("a", true));
    emit(&host, upload("b", false));
    emit(&host, Happening::LoggedIn);
    let expected = [
        format!("auth.fail {FACTS} user=bob reason=unknown user"),
        format!("transfer.upload.done {FACTS} path=/a bytes=3"),
        format!(
            "transfer.upload.fail {FACTS} path=/b bytes=3 reason=refused by a plugin code=550 plugin=scan"
        ),
    ];
    assert_eq!(heard(&host).await, expected);
    assert_eq!(host.status().plugins[0].events, Some(EventCounts::default()));
}

#[tokio::test]
async fn others_hear_that_a_plugin_broke_and_that_it_is_not_asked_for_a_while() {
    let directory = Directory::new();
    directory.put("errands.wasm", &errands());
    directory.put("bad.wasm", &hostile());
    let wanted = [("events.0", "plugin.trap"), ("events.1", "plugin.break")];
    let plugins = vec![
        single("errands", &wanted),
        plugin("bad", &[("command", "trap"), ("verbs.0", "NOOP")]),
    ];
    let host = load(HostSettings { plugins, ..directory.settings() }).await;
    for _ in 0..5 {
        ask(&host, "NOOP").await;
    }
    let heard = heard(&host).await;
    assert_eq!(heard.len(), 6, "{heard:?}");
    let trap = "plugin.trap plugin=bad hook=command-filter reason=trap: ";
    let traps = heard.iter().filter(|line| line.starts_with(trap)).count();
    assert_eq!(traps, 5, "{heard:?}");
    assert!(
        heard.contains(&"plugin.break plugin=bad hook=command-filter pause-ms=1000".to_owned())
    );
}

#[tokio::test]
async fn events_that_were_not_taken_come_again_and_wait_for_a_replaced_plugin() {
    let directory = Directory::new();
    directory.put("errands.wasm", &errands());
    let with = |refuse: &str| HostSettings {
        plugins: vec![single("errands", &[("events.0", "file.*"), ("refuse", refuse)])],
        ..directory.settings()
    };
    let host = load(with("2")).await;
    let removed =
        |name: &[u8]| Happening::FileRemoved { path: VirtualPath::root().join(name).unwrap() };
    emit(&host, removed(b"one"));
    emit(&host, removed(b"two"));
    let expected =
        [format!("file.remove {FACTS} path=/one"), format!("file.remove {FACTS} path=/two")];
    assert_eq!(heard(&host).await, expected);
    // Another version takes over what the one before never took.
    host.reconfigure(with("1000000")).await.unwrap();
    emit(&host, removed(b"three"));
    host.reconfigure(with("0")).await.unwrap();
    assert_eq!(heard(&host).await, [format!("file.remove {FACTS} path=/three")]);
}

#[tokio::test]
async fn too_many_events_cost_the_oldest_and_the_plugin_is_told() {
    let log = Log::listen();
    let (_directory, host) = host_of(&errands(), single("errands", &[("events.0", "*")])).await;
    // Nothing else runs on this thread meanwhile.
    for _ in 0..10_007 {
        emit(&host, Happening::SessionOpened);
    }
    host.drain_events(Duration::from_secs(60)).await;
    let heard = run(&host, "SITE HEARD", None).await;
    let lines: Vec<_> = heard.lines().collect();
    assert_eq!(lines[0], "errands: 211-10001 events");
    assert_eq!(lines[1].trim_start(), "events.dropped count=7");
    let counts = host.status().plugins[0].events;
    assert_eq!(counts, Some(EventCounts { dropped: 7, ..EventCounts::default() }));
    assert_eq!(log.lines_with("events dropped").len(), 1);
}

#[tokio::test]
async fn events_that_a_plugin_breaks_on_are_given_up_and_the_next_arrive() {
    let log = Log::listen();
    let config = [("events.0", "*"), ("trap_on", "session.open")];
    let (_directory, host) = host_of(&errands(), single("errands", &config)).await;
    emit(&host, Happening::SessionOpened);
    host.drain_events(Duration::from_secs(60)).await;
    assert_eq!(log.lines_with("events dropped: the plugin fails on them").len(), 1);
    let session = Arc::clone(&session());
    host.emit(Event { session, what: Happening::LoggedIn });
    host.drain_events(Duration::from_secs(60)).await;
    assert_eq!(
        host.status().plugins[0].events,
        Some(EventCounts { dropped: 1, ..EventCounts::default() })
    );
    let heard = log.lines_with("heard");
    let gap = heard.iter().filter(|line| line.contains("events.dropped count=1")).count();
    let next = heard.iter().filter(|line| line.contains("auth.ok")).count();
    assert_eq!((gap, next), (1, 1), "{heard:?}");
}

#[tokio::test]
async fn plugins_hear_what_becomes_of_other_plugins() {
    let directory = Directory::new();
    directory.put("errands.wasm", &errands());
    let plugins = vec![single("errands", &[("events.0", "plugin.*")])];
    let host = load(HostSettings { plugins, ..directory.settings() }).await;
    directory.put("echo.wasm", &echo());
    host.rescan().await;
    directory.put("bad.wasm", b"garbage");
    host.rescan().await;
    let heard = heard(&host).await;
    assert_eq!(heard[0], "plugin.load plugin=echo");
    assert!(heard[1].starts_with("plugin.refuse plugin=bad reason=not a WebAssembly"), "{heard:?}");
}

#[tokio::test]
async fn a_timer_rings_as_long_as_its_plugin_is_in_force() {
    let directory = Directory::new();
    directory.put("errands.wasm", &errands());
    let with = |timer: &[(&str, &str)]| HostSettings {
        plugins: vec![single("errands", timer)],
        ..directory.settings()
    };
    let host = load(with(&[("timer", "100")])).await;
    let rang = async {
        loop {
            let answer = run(&host, "SITE TICKS", None).await;
            if !matches!(answer.as_str(), "errands: 211 0" | "errands: 211 1") {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), rang).await.expect("it rings twice");
    let errors = host.reconfigure(with(&[("timer", "99")])).await.unwrap_err().to_string();
    assert!(errors.contains("timer.tick: shorter than 100ms: \"99ms\""), "{errors}");
    host.reconfigure(with(&[])).await.unwrap();
    assert_eq!(run(&host, "SITE TICKS", None).await, "errands: 211 0");
}
