//! Guests that misbehave: each time one call is settled by the policy, and the next one works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use waft_plugin_host::{Host, HostSettings, Limits, OnError, PluginSettings};

use crate::support::*;

/// Short limits, so that the tests are short.
fn bad(name: &str, config: &[(&str, &str)]) -> PluginSettings {
    let limits = Limits {
        cpu: Some(Duration::from_millis(30)),
        // However few of them it gets on a busy machine.
        wall: Some(Duration::from_secs(60)),
        memory: 8 * 1024 * 1024,
        ..Limits::default()
    };
    PluginSettings { limits, ..plugin(name, config) }
}

const DENIED: &str = "bad fails: 451 Local error: plugin failed.";

/// What tells how often others got their turn on this thread.
fn others() -> Arc<AtomicU64> {
    let turns = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&turns);
    tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    turns
}

/// A host of a guest that was quick with NOOP, commits `misdeed` with DELE, and may compute for so long.
async fn quick_but_for(misdeed: &str, cpu: Duration) -> (Directory, Host) {
    let config = [("command", misdeed), ("verbs.0", "DELE"), ("harmless.0", "NOOP")];
    let mut settings = plugin("bad", &config);
    settings.limits.cpu = Some(cpu);
    settings.limits.wall = Some(Duration::from_secs(60));
    let (directory, host) = host_of(&hostile(), settings).await;
    let mut quick = 0;
    // However busy the machine is, some calls in a row are, which the host measures likewise.
    for _ in 0..10_000 {
        let began = Instant::now();
        assert_eq!(ask(&host, "NOOP").await, "pass");
        quick = if began.elapsed() <= Duration::from_millis(1) { quick + 1 } else { 0 };
        if quick == 16 {
            return (directory, host);
        }
    }
    panic!("it is never quick");
}

#[tokio::test]
async fn who_was_quick_stays_on_its_thread_is_stopped_all_the_same_and_gives_way_from_then_on() {
    for (misdeed, reason) in [
        ("loop", "over its computing time: 20ms"),
        ("recursion", "trap: "),
        ("trap", "trap: wasm trap: wasm `unreachable` instruction executed < "),
        ("line-end", "bad verdict: "),
    ] {
        let (_directory, host) = quick_but_for(misdeed, Duration::from_millis(20)).await;
        let turns = others();
        let mut meanwhile = Vec::new();
        for round in 0..2 {
            if round > 0 {
                // What broke is gone: there is another instance, which need not be made first.
                assert_eq!(ask(&host, "NOOP").await, "pass");
            }
            tokio::task::yield_now().await;
            let before = turns.load(Ordering::Relaxed);
            assert_eq!(ask(&host, "DELE a").await, DENIED, "{misdeed}");
            meanwhile.push(turns.load(Ordering::Relaxed) - before);
            let error = host.status().plugins.remove(0).last_error.unwrap();
            assert!(error.reason.starts_with(reason), "{misdeed}: {}", error.reason);
        }
        assert_eq!(meanwhile[0], 0, "{misdeed}: nobody waits meanwhile");
        assert!(meanwhile[1] > 0 || misdeed != "loop", "{misdeed}: {meanwhile:?}");
    }
}

#[tokio::test]
async fn who_may_compute_for_long_gives_way_however_quick_it_was() {
    let (_directory, host) = quick_but_for("loop", Duration::from_millis(60)).await;
    let turns = others();
    tokio::task::yield_now().await;
    let before = turns.load(Ordering::Relaxed);
    assert_eq!(ask(&host, "DELE a").await, DENIED);
    assert!(turns.load(Ordering::Relaxed) > before);
}

/// What a command of a guest that commits `misdeed` comes to, and which counter says so.
async fn commit(misdeed: &str, on_error: OnError) -> (String, &'static str) {
    let config = [("command", misdeed), ("verbs.0", "DELE")];
    let mut settings = PluginSettings { on_error, ..bad("bad", &config) };
    if misdeed != "loop" {
        // Long enough for all that ends by itself.
        settings.limits.cpu = Some(Duration::from_secs(60));
    }
    let (_directory, host) = host_of(&hostile(), settings).await;
    let verdict = ask(&host, "DELE a").await;
    let status = host.status().plugins.remove(0);
    let counts = status.counts;
    let counter = match (counts.traps, counts.timeouts, counts.bad_verdicts) {
        (0, 0, 0) => "good",
        (1, 0, 0) => "trap",
        (0, 1, 0) => "timeout",
        (0, 0, 1) => "bad verdict",
        other => panic!("{misdeed}: {other:?}"),
    };
    let survivors = usize::from(counter == "good");
    assert_eq!(status.instances_idle, survivors, "{misdeed}: a failed instance is not used again");
    assert_eq!(ask(&host, "DELE a").await, verdict, "{misdeed}: the next call is made anew");
    assert_eq!(host.status().plugins[0].counts.calls, 2, "{misdeed}");
    (verdict, counter)
}

#[tokio::test]
async fn whatever_a_guest_does_with_a_command_its_policy_answers() {
    for (misdeed, counter) in [
        ("loop", "timeout"),
        ("recursion", "trap"),
        ("memory", "trap"),
        ("trap", "trap"),
        ("huge-line", "trap"),
        ("gib-line", "trap"),
        ("many-lines", "bad verdict"),
        ("no-lines", "bad verdict"),
        ("code-999", "bad verdict"),
        ("code-0", "bad verdict"),
        ("code-150", "bad verdict"),
        ("line-end", "bad verdict"),
        ("nul", "bad verdict"),
        ("rewrite-to-pasv", "bad verdict"),
        ("rewrite-to-user", "bad verdict"),
        ("rewrite-line-end", "bad verdict"),
        ("rewrite-huge", "bad verdict"),
        ("rewrite-empty", "bad verdict"),
    ] {
        let denied = (DENIED.to_owned(), counter);
        assert_eq!(commit(misdeed, OnError::Deny).await, denied, "{misdeed}");
        let allowed = ("pass".to_owned(), counter);
        assert_eq!(commit(misdeed, OnError::Allow).await, allowed, "{misdeed}");
    }
}

/// What a client sent may be why, so nobody but that client is to notice.
#[tokio::test]
async fn a_verdict_that_is_too_long_lets_nothing_pass_and_is_not_held_against_the_plugin() {
    for (misdeed, what) in [("rewrite-long", "an argument"), ("long-line", "a reply line")] {
        for on_error in [OnError::Deny, OnError::Allow] {
            let config = [("command", misdeed), ("reply", misdeed), ("verbs.0", "DELE")];
            let settings = PluginSettings { on_error, ..bad("bad", &config) };
            let (_directory, host) = host_of(&hostile(), settings).await;
            for _ in 0..8 {
                assert_eq!(ask(&host, "DELE a").await, DENIED);
                let done = reword(&host, Some("DELE a"), reply(250, "Done.")).await;
                assert_eq!(done, "250 Done.");
            }
            let status = host.status().plugins.remove(0);
            assert_eq!(status.counts.not_made, 0, "{misdeed}");
            assert!(status.counts.bad_verdicts >= 8, "{misdeed}");
            assert!(!status.breaker_open && status.instances_idle == 1, "it goes on as it is");
            let reason = status.last_error.unwrap().reason;
            assert!(reason.starts_with(&format!("bad verdict: {what} of over 4")), "{reason}");
        }
    }
}

/// As long as a line may be, so that no length of what a client sends is a plugin's mistake.
#[tokio::test]
async fn what_a_guest_was_shown_it_may_pass_on_with_words_of_its_own() {
    let config = [("command", "long-line"), ("reply", "long-line")];
    let (_directory, host) = host_of(&hostile(), bad("bad", &config)).await;
    let argument = "y".repeat(6000);
    let answered = ask(&host, format!("CWD {argument}")).await;
    assert_eq!(answered, format!("bad answers: 200 {}", "x".repeat(10_000)));
    let reworded = reword(&host, Some("CWD a"), reply(200, &argument)).await;
    assert_eq!(reworded, format!("bad: 200 {}", "x".repeat(10_000)));
    let status = host.status().plugins.remove(0);
    assert_eq!((status.counts.bad_verdicts, status.counts.calls), (0, 2));
}

#[tokio::test]
async fn what_is_odd_but_allowed_is_carried_out() {
    for (misdeed, verdict) in [
        ("flood-log", "pass"),
        ("flood-scratch", "pass"),
        ("code-226", "bad answers: 226 made up"),
        ("close-200", "bad closes: 200 bye"),
        ("close-421", "bad closes: 421 bye"),
    ] {
        assert_eq!(commit(misdeed, OnError::Deny).await, (verdict.to_owned(), "good"));
    }
}

#[tokio::test]
async fn whatever_a_guest_does_with_a_reply_the_reply_stays() {
    for misdeed in [
        "loop",
        "recursion",
        "memory",
        "trap",
        "huge-line",
        "many-lines",
        "no-lines",
        "code-999",
        "code-0",
        "code-150",
        "code-550",
        "line-end",
        "nul",
    ] {
        let (_directory, host) = host_of(&hostile(), bad("bad", &[("reply", misdeed)])).await;
        let done = || reply(226, "Transfer complete.");
        assert_eq!(reword(&host, Some("RETR a"), done()).await, "226 Transfer complete.");
        assert_eq!(reword(&host, Some("RETR a"), done()).await, "226 Transfer complete.");
        assert_eq!(host.status().plugins[0].counts.calls, 2, "{misdeed}");
    }
}

#[tokio::test]
async fn quit_works_with_a_broken_plugin() {
    let (_directory, host) = host_of(&hostile(), bad("bad", &[("command", "trap")])).await;
    assert_eq!(ask(&host, "QUIT").await, "pass");
    assert_eq!(ask(&host, "NOOP").await, DENIED);
}

#[tokio::test]
async fn a_guest_that_waits_too_long_in_all_is_stopped() {
    let mut settings = bad("bad", &[("command", "loop")]);
    settings.limits.cpu = Some(Duration::from_secs(600));
    settings.limits.wall = Some(Duration::from_millis(300));
    let (_directory, host) = host_of(&hostile(), settings).await;
    let log = Log::listen();
    assert_eq!(ask(&host, "NOOP").await, DENIED);
    assert_eq!(log.lines_with("over its time: 300ms").len(), 1);
}

/// Has other threads on all processors for more than a tick.
fn let_others_compute() {
    let until = Instant::now() + Duration::from_millis(15);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| while Instant::now() < until {});
        }
    });
}

#[tokio::test]
async fn a_guest_that_others_have_the_processor_of_is_not_stopped() {
    let (_directory, host) = host_of(&hostile(), bad("bad", &[("command", "mutter")])).await;
    let log = Log::listen_and(let_others_compute);
    assert_eq!(ask(&host, "NOOP").await, "pass");
    // Five times what it may compute itself.
    assert_eq!(log.lines_with(" mutter ").len(), 10);
}

/// Threads that compute, four for each processor, until this is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn start() -> Busy {
        let stop = Arc::<AtomicBool>::default();
        for _ in 0..4 * thread::available_parallelism().map_or(1, usize::from) {
            let stop = Arc::clone(&stop);
            thread::spawn(move || while !stop.load(Ordering::Relaxed) {});
        }
        Busy(stop)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_guest_that_computes_is_stopped_on_a_busy_machine() {
    let mut settings = plugin("bad", &[("command", "loop"), ("reply", "loop")]);
    settings.limits.wall = Some(Duration::from_secs(60));
    let (_directory, host) = host_of(&hostile(), settings).await;
    let _busy = Busy::start();
    let log = Log::listen();
    assert_eq!(ask(&host, "NOOP").await, DENIED);
    assert_eq!(log.lines_with("over its computing time: 20ms").len(), 1);
    assert_eq!(reword(&host, Some("NOOP"), reply(200, "okay")).await, "200 okay");
    assert_eq!(log.lines_with("over its computing time: 10ms").len(), 1);
}

#[tokio::test]
async fn a_failure_is_logged_with_its_reason() {
    let log = Log::listen();
    for (misdeed, reason) in [
        ("loop", "over its computing time: 30ms"),
        ("memory", "trap at the memory limit of 8388608 bytes"),
        ("trap", "trap: wasm trap: wasm `unreachable` instruction executed < "),
        ("code-999", "bad verdict: no reply code: 999"),
        ("rewrite-to-pasv", "bad verdict: PASV may be denied but not rewritten"),
    ] {
        let (_directory, host) = host_of(&hostile(), bad("bad", &[("command", misdeed)])).await;
        ask(&host, "RETR a").await;
        let lines = log.lines_with(reason);
        assert_eq!(lines.len(), 1, "{misdeed}: {:?}", log.lines_with("WARN"));
        for part in
            ["WARN", "plugin=\"bad\"", "generation=1", "session=7", "hook=\"command-filter\""]
        {
            assert!(lines[0].contains(part), "{}", lines[0]);
        }
    }
}

#[tokio::test]
async fn a_flood_of_log_lines_is_held_back() {
    let log = Log::listen();
    let mut settings = plugin("bad", &[("command", "flood-log")]);
    settings.limits.cpu = Some(Duration::from_secs(60));
    settings.limits.wall = Some(Duration::from_secs(60));
    let (_directory, host) = host_of(&hostile(), settings).await;
    assert_eq!(ask(&host, "NOOP").await, "pass");
    let dropped = host.status().plugins[0].counts.log_lines_dropped;
    let written = log.lines_with(" flood ").len() as u64;
    assert_eq!(dropped + written, 100_000);
    assert!(dropped > written, "{dropped} dropped, {written} written");
}

#[tokio::test]
async fn a_guest_that_fails_to_start_is_not_loaded() {
    for (misdeed, reason) in [
        ("loop", "over its computing time"),
        ("recursion", "out of bounds memory access"),
        ("memory", "needs more memory than an instance may have: 8388608 bytes"),
        ("trap", "unreachable"),
        ("fail", "refused to start,"),
    ] {
        let directory = Directory::new();
        directory.put("bad.wasm", &hostile());
        let plugins = vec![bad("bad", &[("start", misdeed)])];
        let errors = load_errors(HostSettings { plugins, ..directory.settings() }).await;
        assert_eq!(errors.0.len(), 1);
        let error = errors.to_string();
        assert!(error.starts_with("plugin bad (") && error.contains(reason), "{misdeed}: {error}");
    }
}

#[tokio::test]
async fn what_a_guest_says_stays_on_one_line() {
    let directory = Directory::new();
    directory.put("bad.wasm", &hostile());
    let plugins = vec![bad("bad", &[("start", "fail")])];
    let errors = load_errors(HostSettings { plugins, ..directory.settings() }).await;
    let said = "init failed: refused to start,; as told\\u{0}; remedy: ";
    let errors = errors.to_string();
    assert!(errors.contains(said) && !errors.contains('\n'), "{errors}");
}

#[tokio::test]
async fn a_mistake_in_its_settings_is_shown_as_the_plugin_says_it() {
    let directory = Directory::new();
    directory.put("bad.wasm", &hostile());
    let plugins = vec![bad("bad", &[("command", "smile"), ("nonsense", "1")])];
    let errors = load_errors(HostSettings { plugins, ..directory.settings() }).await.to_string();
    assert!(errors.contains("init failed: command: no such misdeed: smile"), "{errors}");
    assert!(errors.contains("nonsense"), "{errors}");
}

#[tokio::test]
async fn a_plugin_that_fails_again_and_again_is_not_asked_for_a_while() {
    let (_directory, host) = host_of(&hostile(), bad("bad", &[("command", "trap")])).await;
    tokio::time::pause();
    let log = Log::listen();
    for _ in 0..7 {
        assert_eq!(ask(&host, "NOOP").await, DENIED);
    }
    let status = host.status().plugins.remove(0);
    assert!(status.breaker_open);
    assert_eq!((status.counts.traps, status.counts.not_made), (5, 2));
    assert_eq!(log.lines_with("plugin failed too often").len(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&host, "NOOP").await, DENIED);
    assert_eq!(host.status().plugins[0].counts.traps, 6, "it was asked again");
}

#[tokio::test]
async fn calls_wait_for_a_free_instance_only_so_long_and_the_others_go_on() {
    let mut settings = bad("bad", &[("command", "loop"), ("verbs.0", "NOOP"), ("verbs.1", "PWD")]);
    settings.limits.instances_max = 1;
    settings.limits.cpu = Some(Duration::from_millis(300));
    settings.limits.queue = Duration::from_millis(20);
    let (_directory, host) = host_of(&hostile(), settings).await;
    let log = Log::listen();
    // The busy guest must let the other session in: there is only one thread here.
    let (first, second) = tokio::join!(ask(&host, "NOOP"), ask(&host, "PWD"));
    assert_eq!((first.as_str(), second.as_str()), (DENIED, DENIED));
    assert_eq!(log.lines_with("no free instance within 20ms").len(), 1);
    assert_eq!(host.status().plugins[0].counts.timeouts, 1);
}

#[tokio::test]
async fn a_call_that_its_session_gave_up_costs_its_instance() {
    let mut settings = bad("bad", &[("command", "loop"), ("verbs.0", "NOOP")]);
    settings.limits.instances_max = 1;
    settings.limits.cpu = Some(Duration::from_secs(600));
    settings.limits.wall = Some(Duration::from_secs(600));
    let (_directory, host) = host_of(&hostile(), settings).await;
    let gave_up = tokio::time::timeout(Duration::from_millis(20), ask(&host, "NOOP")).await;
    assert!(gave_up.is_err());
    assert_eq!(host.status().plugins[0].instances_idle, 0);
    assert_eq!(ask(&host, "PWD").await, "pass");
    assert_eq!(reword(&host, Some("PWD"), reply(257, "x")).await, "257 x");
}
