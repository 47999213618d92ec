//! What operators see of plugins: numbers, and lines of the log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::fs;
use std::io::{Read, Write};

use support::log::Line;
use support::plugin::{component, with_text};
use support::prometheus::Page;
use support::site::Site;
use support::waft::Waft;

const METRICS: &str = "[metrics]\nlisten = \"127.0.0.1:0\"\n";

/// A site with components in its folder, with these entries.
fn site(components: &[(&str, &str)], entries: &str) -> Site {
    let site = Site::new(&format!("[plugins]\ndirectory = \"plugins.d\"\n{METRICS}"));
    for (name, from) in components {
        site.write(format!("plugins.d/{name}.wasm"), component(from));
    }
    site.write("conf.d/plugins.toml", entries);
    site
}

/// A server whose plugin `p` asks services for whatever a command says.
fn asking(more: &str) -> Waft {
    let entry = format!(
        "[[plugin]]\nname = \"p\"\n[plugin.grant]\nkv = \"1 MiB\"\nhttp = []\ncontrol = true\n{more}"
    );
    site(&[("p", "tests/services")], &entry).serve()
}

const P: (&str, &str) = ("plugin", "p");

#[test]
fn the_numbers_of_calls_waits_and_services_are_there_for_each_plugin() {
    let waft = asking("");
    let mut client = waft.log_in();
    client.expect("XKV set a 12345", 200);
    client.expect("XGET http://192.0.2.1/", 500);
    let page = Page::of(&waft);
    let hook = ("hook", "command-filter");
    assert_eq!(page.value("waft_plugin_calls_total", &[P, hook, ("result", "ok")]), 2.0);
    assert_eq!(page.value("waft_plugin_call_seconds_count", &[P, hook]), 2.0);
    assert_eq!(page.value("waft_plugin_wait_seconds_count", &[P]), 2.0);
    assert_eq!(page.value("waft_plugin_wait_seconds_bucket", &[P, ("le", "+Inf")]), 2.0);
    assert!(page.value("waft_plugin_cpu_ticks_total", &[P]) >= 0.0);
    let denied = [P, ("result", "denied")];
    assert_eq!(page.value("waft_plugin_http_requests_total", &denied), 1.0);
    assert_eq!(page.value("waft_plugin_kv_bytes", &[P]), 70.0);
    assert_eq!(page.value("waft_plugin_kv_bytes_max", &[P]), f64::from(1 << 20));
    assert_eq!(page.value("waft_plugin_reload_total", &[P, ("result", "loaded")]), 1.0);
    assert_eq!(page.value("waft_plugin_canary_ratio", &[P]), 0.0);
    assert_eq!(page.value("waft_plugin_up", &[P]), 1.0);
    for (name, kind) in [
        ("waft_plugin_wait_seconds", "histogram"),
        ("waft_plugin_cpu_ticks_total", "counter"),
        ("waft_plugin_kv_bytes", "gauge"),
    ] {
        assert_eq!(page.kind(name), kind, "{name}");
    }
}

#[test]
fn a_plugin_that_computes_for_long_is_seen_to() {
    let entry = "[[plugin]]\nname = \"p\"\n[plugin.limits]\ncpu = \"200ms\"\nwall = \"60s\"\n\
                 [plugin.config]\ncommand = \"loop\"\nverbs = [\"NOOP\"]\n";
    let waft = site(&[("p", "tests/hostile")], entry).serve();
    waft.log_in().expect("NOOP", 451);
    let page = Page::of(&waft);
    assert!(page.value("waft_plugin_cpu_ticks_total", &[P]) >= 20.0, "{page:?}");
    assert_eq!(page.value("waft_plugin_timeouts_total", &[P]), 1.0);
}

#[test]
fn what_a_plugin_counts_is_told_beside_the_servers_numbers() {
    let waft = asking("");
    let mut client = waft.log_in();
    for command in [
        "count refused 2",
        "gauge level -1.5",
        "gauge odd NaN",
        "observe took 0.2",
        // Names that the samples of another metric have, and what is no name.
        "count took_sum 1",
        "observe refused 1",
        "count no-name 1",
    ] {
        client.expect(&format!("XMETER {command}"), 200);
    }
    let page = Page::of(&waft);
    let own = |name: &str| format!("waft_plugin_user_{name}");
    assert_eq!(page.value(&own("refused"), &[P, ("by", "test")]), 2.0);
    assert_eq!(page.value(&own("level"), &[P]), -1.5);
    assert!(page.value(&own("odd"), &[P]).is_nan());
    assert_eq!(page.value(&own("took_bucket"), &[P, ("le", "0.1")]), 0.0);
    assert_eq!(page.value(&own("took_bucket"), &[P, ("le", "0.5")]), 1.0);
    assert_eq!(page.value(&own("took_sum"), &[P]), 0.2);
    assert_eq!(page.kind(&own("took")), "histogram");
    let line =
        waft.log.wait("what was dropped", |line| line.message() == "metric of a plugin dropped");
    assert_eq!((line.field("plugin"), line.field("metric")), ("p", "took_sum"));
}

#[test]
fn a_version_that_is_tried_has_series_of_its_own() {
    let entry = "[[plugin]]\nname = \"p\"\ncanary = \"99%\"\n[plugin.config]\n\
                 answer.NOOP = \"200 hello\"\n";
    let waft = site(&[("p", "tests/echo-verdict")], entry).serve();
    let mut client = waft.log_in();
    client.expect("NOOP", 200);
    let put = |octets: &[u8]| {
        fs::write(waft.path("new.wasm"), octets).unwrap();
        fs::rename(waft.path("new.wasm"), waft.path("plugins.d/p.wasm")).unwrap();
    };
    let other =
        with_text(component("tests/echo-verdict"), "a reply is wanted", "a reply is needed");
    put(&other);
    waft.log.wait("the trial", |line| line.message() == "plugin tried on a share of sessions");
    client.expect("NOOP", 200);
    let page = Page::of(&waft);
    let calls = |more: &[(&str, &str)]| {
        let labels = [&[P, ("hook", "command-filter"), ("result", "ok")], more].concat();
        page.value("waft_plugin_calls_total", &labels)
    };
    assert_eq!((calls(&[]), calls(&[("canary", "true")])), (1.0, 1.0));
    assert_eq!(page.value("waft_plugin_canary_ratio", &[P]), 0.99);
    put(b"garbage");
    waft.log.wait("the refusal", |line| line.message().starts_with("plugin not replaced"));
    let page = Page::of(&waft);
    for result in ["loaded", "tried", "kept"] {
        let labels = [P, ("result", result)];
        assert_eq!(page.value("waft_plugin_reload_total", &labels), 1.0, "{result}");
    }
}

#[test]
fn ports_and_transfers_in_use_are_told() {
    let site = Site::new(&format!("{METRICS}[passive]\nports = \"20000-39999\"\n"));
    site.write("alice/large", vec![0; 64 << 20]);
    let waft = site.serve();
    let mut client = waft.log_in();
    client.expect("EPSV", 229);
    let mut other = waft.log_in();
    let mut download = other.begin("RETR large");
    // Once octets come, nobody is awaited any more.
    download.read_exact(&mut [0]).unwrap();
    let page = Page::of(&waft);
    let transfers = |page: &Page, kind| page.value("waft_transfers", &[("kind", kind)]);
    assert_eq!(page.value("waft_passive_ports", &[]), 20_000.0);
    assert_eq!(page.value("waft_passive_ports_in_use", &[]), 1.0);
    assert_eq!((transfers(&page, "download"), transfers(&page, "upload")), (1.0, 0.0));
    assert_eq!(page.value("waft_sessions", &[]), 2.0);
    assert_eq!(page.value("waft_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(page.value("waft_start_time_seconds", &[]) > 1.7e9);
    other.fetch_rest(download);
    // Another setup takes the place of the one before.
    client.expect("EPSV", 229);
    client.expect("QUIT", 221);
    client.expect_end();
    // The reply to what comes behind a transfer tells that it is over.
    other.expect("NOOP", 200);
    let page = Page::of(&waft);
    assert_eq!(page.value("waft_passive_ports_in_use", &[]), 0.0);
    assert_eq!(transfers(&page, "download"), 0.0);
    assert_eq!(page.value("waft_bytes_downloaded_total", &[]), f64::from(64 << 20));
}

/// Whether a line tells that of a plugin of the first generation.
fn told<'a>(plugin: &'a str, message: &'a str) -> impl Fn(&Line) -> bool + 'a {
    move |line: &Line| {
        line.message() == message
            && line.field("plugin") == plugin
            && line.value("generation") == 1
            && line.value("session").is_u64()
    }
}

#[test]
fn each_plugin_that_changes_a_reply_or_a_command_is_named_with_what_was_there_before() {
    let entry = |name: &str, config: &str| {
        format!("[[plugin]]\nname = \"{name}\"\n[plugin.config]\n{config}\n")
    };
    let first = entry("a", "rewrite.PWD = \"CWD x\"\nreply.NOOP = \"200 From a.\"");
    let second = entry("b", "rewrite.CWD = \"NOOP\"\nreply.NOOP = \"200 From b.\"");
    let echo = "tests/echo-verdict";
    let waft = site(&[("a", echo), ("b", echo)], &(first + &second)).serve();
    let mut client = waft.log_in();
    // Commands pass a and then b, replies b and then a.
    assert_eq!(client.expect("PWD", 200).lines, ["200 From a."]);
    let line = waft.log.wait("a's command", told("a", "command rewritten"));
    assert_eq!((line.field("original"), line.field("command")), ("PWD", "CWD x"));
    let line = waft.log.wait("b's command", told("b", "command rewritten"));
    assert_eq!((line.field("original"), line.field("command")), ("CWD x", "NOOP"));
    let line = waft.log.wait("b's reply", told("b", "reply reworded"));
    assert_eq!((line.field("original"), line.field("reply")), ("200 NOOP okay.", "200 From b."));
    let line = waft.log.wait("a's reply", told("a", "reply reworded"));
    assert_eq!((line.field("original"), line.field("reply")), ("200 From b.", "200 From a."));
}

#[test]
fn a_path_that_a_plugin_changed_and_a_file_that_it_refused_are_told_with_the_plugin() {
    let entry = "[[plugin]]\nname = \"decider\"\n[plugin.config]\n\
                 files = [\"write /up.txt redirect /in.txt\", \"remove /in.txt deny 550 Keep it.\"]\n\
                 [[plugin]]\nname = \"upload-rules\"\n";
    let components = [("decider", "tests/decider"), ("upload-rules", "upload-rules")];
    let waft = site(&components, entry).serve();
    let mut client = waft.log_in();
    client.put("STOR up.txt", b"text");
    let line = waft.log.wait("the path", told("decider", "path redirected"));
    assert_eq!((line.field("original"), line.field("path")), ("/up.txt", "/in.txt"));
    client.expect("DELE in.txt", 550);
    let is_of = |plugin: &'static str, message: &'static str| {
        move |line: &Line| {
            let named = line.field("plugin") == plugin && line.value("generation") == 1;
            named && line.message() == message
        }
    };
    waft.log.wait("a denial", is_of("decider", "denied by plugin"));
    let virus = [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR", "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"];
    let mut data = client.begin("STOR virus.txt");
    data.write_all(virus.concat().as_bytes()).unwrap();
    drop(data);
    assert!(client.reply().code >= 400);
    let line = waft.log.wait("a verdict", is_of("upload-rules", "contents refused by plugin"));
    assert_eq!(line.field("path"), "/virus.txt");
}

/// Whoever reads the log or counts verdicts sees what plugins decided, not what they broke on.
#[test]
fn a_call_that_failed_is_told_and_counted_as_no_decision_of_the_plugin() {
    let entries = "[metrics]\nlisten = \"127.0.0.1:0\"\n\
                   [[plugin]]\nname = \"hostile\"\n\
                   [plugin.config]\ncommand = \"trap\"\nverbs = [\"XTRAP\"]\n\
                   [[plugin]]\nname = \"decider\"\n\
                   [plugin.config]\nfiles = [\"remove /a.txt trap\"]\n\
                   [[plugin]]\nname = \"customs\"\n\
                   [plugin.config]\nupload = \"inspect\"\ntrap = \"push\"\n\
                   [[plugin]]\nname = \"errands\"\n\
                   [plugin.config]\nevents = [\"transfer.upload.fail\"]\n";
    let names = ["hostile", "decider", "customs", "errands"];
    let components = names.map(|name| (name, format!("tests/{name}")));
    let components: Vec<_> = components.iter().map(|(name, guest)| (*name, &**guest)).collect();
    let waft = site(&components, entries).serve();
    let mut client = waft.log_in();
    client.expect("XTRAP", 451);
    client.expect("DELE a.txt", 550);
    let mut data = client.begin("STOR b.txt");
    data.write_all(b"text").unwrap();
    drop(data);
    assert_eq!(client.reply().code, 451);
    for (plugin, message) in [
        ("hostile", "command could not be decided by plugin"),
        ("decider", "file operation could not be decided by plugin"),
        ("customs", "contents could not be decided by plugin"),
    ] {
        waft.log
            .wait("who failed", |line| line.message() == message && line.field("plugin") == plugin);
    }
    let failed = "path=/b.txt bytes=0 reason=a plugin failed code=451 plugin=customs";
    waft.log.wait("the event", |line| {
        line.message() == "heard" && line.field("fields").contains(failed)
    });
    for message in ["answered by plugin", "denied by plugin", "refused by plugin"] {
        assert!(!waft.log.text().contains(message), "{message}");
    }
    let page = Page::of(&waft);
    for counter in ["plugin_answers", "plugin_file_denials", "contents_refused"] {
        assert_eq!(page.value(&format!("waft_{counter}_total"), &[]), 0.0, "{counter}");
    }
}

/// A server whose plugin writes a line of the log about NOOP, with that level of the log.
fn logging(level: &str) -> Waft {
    let entry = "[[plugin]]\nname = \"p\"\n[plugin.config]\nlog = \"NOOP\"\n";
    let site = site(&[("p", "tests/echo-verdict")], entry);
    let written = fs::read_to_string(site.path("waft.toml")).unwrap();
    let level = format!("level = \"{level}\"");
    site.write("waft.toml", written.replace("level = \"debug\"", &level));
    site.serve()
}

#[test]
fn lines_of_a_plugin_tell_the_call_that_they_come_from_at_every_level() {
    let waft = logging("info");
    waft.log_in().expect("NOOP", 200);
    let line = waft.log.wait("the line", told("p", "seen"));
    assert_eq!(line.field("hook"), "command-filter");
    assert_eq!((&line.span()["name"], &line.span()["user"]), (&"session".into(), &"alice".into()));
}

#[test]
fn a_call_is_a_span_for_who_traces() {
    let waft = logging("trace");
    waft.log_in().expect("NOOP", 200);
    let line = waft.log.wait("the line", told("p", "seen"));
    let span = line.span();
    assert_eq!((&span["name"], &span["plugin"]), (&"call".into(), &"p".into()));
    assert_eq!((&span["generation"], &span["hook"]), (&1.into(), &"command-filter".into()));
    assert_eq!(span["session"], *line.value("session"));
}
