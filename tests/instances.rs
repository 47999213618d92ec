//! Who shares an instance of a plugin, what single hooks may take, and how transfers of versions that
//! were replaced are ended: from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use support::content::{assert_same, octets};
use support::ftp::{Ftp, Midway, Reply};
use support::handmade;
use support::log::Line;
use support::plugin::component;
use support::process::Finished;
use support::site::Site;
use support::waft::Waft;

const PLUGINS: &str = "[plugins]\ndirectory = \"plugins.d\"\n[control]\nsocket = \"ask.sock\"\n";

const CONTROL: [&str; 2] = ["--config", "waft.toml"];

/// More than the buffers between a server and a client that does not read.
const LARGE: usize = 16 << 20;

fn ask(waft: &Waft, arguments: &[&str]) -> Finished {
    waft.waft(&[arguments, &CONTROL].concat(), "")
}

/// What `waft check` says where something is wrong.
fn checked(site: &Site) -> String {
    let told = site.waft(&[&["check"][..], &CONTROL].concat(), "");
    assert_eq!(told.status.code(), Some(2), "{}", told.stderr());
    told.stderr().replace(site.path("").to_str().unwrap(), "")
}

#[test]
fn plugins_that_have_no_room_in_memory_budget_together_are_told_by_check_and_start() {
    let plugins = "memory_budget = \"2MiB\"\n[control]";
    let site = Site::new(&PLUGINS.replace("[control]", plugins));
    for name in ["one", "two"] {
        site.write(format!("plugins.d/{name}.wasm"), component("tests/echo-verdict"));
    }
    let told = checked(&site);
    for part in [
        ": plugins.memory_budget: plugin two (plugins.d/two.wasm): the instances that all plugins keep take 3 MiB, and \
         memory_budget is 2 MiB",
        "set memory_budget = \"3MiB\" or more in [plugins]",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let started = site.waft(&[&["serve"][..], &CONTROL].concat(), "");
    assert!(!started.status.success());
    assert!(started.stderr().contains("plugins.memory_budget"), "{}", started.stderr());
}

/// A server with these plugins in its folder, and room for a bit more than one of `echo-verdict`.
fn with_little_memory(plugins: &[&str], more: &str) -> Waft {
    let budget = format!("memory_budget = \"2MiB\"\n{more}[control]");
    let site = Site::new(&PLUGINS.replace("[control]", &budget));
    for name in plugins {
        site.write(format!("plugins.d/{name}.wasm"), component("tests/echo-verdict"));
    }
    site.serve()
}

fn memory_budget(waft: &Waft, bytes: &str, message: &str) -> Line {
    let entry = format!("[plugins]\nmemory_budget = \"{bytes}\"\n");
    waft.and_wait(
        |site| site.write("conf.d/memory.toml", entry),
        message,
        |line| line.message() == message,
    )
}

#[test]
fn a_reload_with_less_memory_than_plugins_keep_is_refused_and_changes_nothing() {
    let waft = with_little_memory(&["one"], "on_load_error = \"disable\"\n");
    let refused = "configuration not reloaded: the one before stays in force";
    let mark = waft.log.mark();
    memory_budget(&waft, "1MiB", refused);
    let mistake = waft.log.wait_since(mark, "the mistake", |line| {
        line.message().contains("plugin one (") && line.field("key") == "plugins.memory_budget"
    });
    let told = "the instances that all plugins keep take 2 MiB, and memory_budget is 1 MiB";
    assert!(mistake.message().contains(told), "{mistake:?}");
    assert!(mistake.field("place").ends_with("conf.d/memory.toml:2:17"), "{mistake:?}");
    assert!(mistake.field("remedy").starts_with("set memory_budget = \"2MiB\""), "{mistake:?}");
    // What was in force is, and so is the budget: there is room for none beside it, but for it again.
    waft.log_in().expect("NOOP", 200);
    assert_eq!(ask(&waft, &["plugin", "reload"]).succeeded().stdout(), "nothing has changed\n");
    for bytes in ["3MiB", "2MiB"] {
        memory_budget(&waft, bytes, "configuration reloaded");
    }
}

#[test]
fn a_version_before_for_which_there_is_no_memory_any_more_is_not_taken() {
    let waft = with_little_memory(&["late"], "");
    let drop_in = |name: &str, component: Vec<u8>, message: &str| {
        let write = |site: &Site| site.write(format!("plugins.d/{name}.wasm"), component);
        waft.and_wait(write, message, |line| {
            line.message() == message && line.field("plugin") == name
        });
    };
    drop_in("late", handmade::liar("XLIE"), "plugin replaced");
    drop_in("one", component("tests/echo-verdict"), "plugin loaded");
    let refused = ask(&waft, &["plugin", "rollback", "late"]);
    assert_eq!(refused.status.code(), Some(1));
    let expected = "error: the version before of late is not taken: the instances that all plugins keep \
                    take 3 MiB, and memory_budget is 2 MiB: its own are 2 MiB of that\n  \
                    remedy: set memory_budget = \"3MiB\" or more in [plugins]";
    assert!(refused.stderr().starts_with(expected), "{}", refused.stderr());
    // Nothing has changed, and with memory it is taken.
    memory_budget(&waft, "3MiB", "configuration reloaded");
    let told = ask(&waft, &["plugin", "rollback", "late"]).succeeded().stdout();
    assert!(told.starts_with("late: rolled back from "), "{told}");
}

#[test]
fn a_plugins_memory_is_shared_as_the_operator_says() {
    let plugin = |isolation: &str, verb: &str| {
        format!(
            "[[plugin]]\nname = \"{isolation}\"\nisolation = \"{isolation}\"\n\
             [plugin.config]\ncount = \"{verb}\"\n"
        )
    };
    let plugins = [plugin("pool", "NOOP"), plugin("session", "SYST"), plugin("call", "FEAT")];
    let site = Site::new(&format!("{PLUGINS}{}", plugins.concat()));
    for name in ["pool", "session", "call"] {
        site.write(format!("plugins.d/{name}.wasm"), component("tests/echo-verdict"));
    }
    let waft = site.serve();
    // How often session and instance were asked, as they know it.
    let counts = |client: &mut Ftp| {
        ["NOOP", "SYST", "FEAT"].map(|verb| client.expect(verb, 200).text().to_owned())
    };
    let told = |session: u32, [pool, own, call]: [u32; 3]| {
        [pool, own, call].map(|instance| format!("session {session}, instance {instance}"))
    };
    let (mut one, mut other) = (waft.log_in(), waft.log_in());
    assert_eq!(counts(&mut one), told(1, [1, 1, 1]));
    assert_eq!(counts(&mut other), told(1, [2, 1, 1]));
    assert_eq!(counts(&mut one), told(2, [3, 2, 1]));
    one.expect("QUIT", 221);
    one.expect_end();
    assert_eq!(counts(&mut waft.log_in()), told(1, [4, 1, 1]));
    assert_eq!(counts(&mut other), told(2, [5, 2, 1]));
}

#[test]
fn a_plugin_that_could_take_all_memory_for_its_sessions_is_told_by_check() {
    let plugin = "[[plugin]]\nname = \"own\"\npath = \"own.wasm\"\nisolation = \"session\"\n";
    let site = Site::new(&format!("[plugins]\nmemory_budget = \"16MiB\"\n{plugin}"));
    site.write("own.wasm", component("tests/echo-verdict"));
    let told = checked(&site);
    let line = "plugin.0.isolation: plugin own (own.wasm): an instance of its own for each of 256 \
                sessions takes ";
    assert!(told.contains(line) && told.contains("and memory_budget is 16 MiB"), "{told}");
    assert!(told.contains("remedy: set sessions = "), "{told}");
}

#[test]
fn hooks_have_budgets_and_policies_of_their_own() {
    let plugin = "[[plugin]]\nname = \"strict\"\n[plugin.on_error_by_hook]\n\
                  command_filter = \"allow\"\n[plugin.limits]\ncpu = \"1h\"\nwall = \"1h\"\n\
                  command_filter = { cpu = \"30ms\" }\n\
                  [plugin.config]\ncommand = \"loop\"\nverbs = [\"NOOP\"]\n";
    let site = Site::new(&format!("{PLUGINS}{plugin}"));
    site.write("plugins.d/strict.wasm", component("tests/hostile"));
    let waft = site.serve();
    waft.log_in().expect("NOOP", 200);
    let failed = waft.log.wait("the failure", |line| line.message() == "plugin failed");
    assert_eq!(failed.field("hook"), "command-filter");
    assert_eq!(failed.field("reason"), "over its computing time: 30ms");
}

/// A server whose plugin sees what passes, with a file to download and one to replace.
fn customs(more: &str) -> Waft {
    let plugins = PLUGINS.replace("[control]", &format!("{more}[control]"));
    let site = Site::new(&format!(
        "{plugins}[[plugin]]\nname = \"customs\"\n\
         [plugin.config]\nupload = \"inspect\"\ndownload = \"inspect\"\n\
         [[plugin]]\nname = \"errands\"\nlimits = {{ instances = 1 }}\n\
         [plugin.config]\nevents = [\"plugin.drain\"]\n"
    ));
    site.write("plugins.d/customs.wasm", component("tests/customs"));
    site.write("plugins.d/errands.wasm", component("tests/errands"));
    site.write("alice/large", octets(LARGE, 1));
    site.write("alice/old", octets(1000, 2));
    site.serve()
}

fn midway(waft: &Waft) -> Midway {
    Midway::begin([waft.log_in(), waft.log_in()], "large", "old", &octets(LARGE, 3))
}

/// Puts another version of the plugin in force.
fn replace(waft: &Waft) {
    let other = [&component("tests/customs")[..], &[0, 3, 1, b'v', 1]].concat();
    let rename = |site: &Site| {
        site.write("plugins.d/new.part", other);
        std::fs::rename(site.path("plugins.d/new.part"), site.path("plugins.d/customs.wasm"))
            .unwrap();
    };
    waft.and_wait(rename, "the other version", |line| {
        line.message() == "plugin replaced" && line.field("plugin") == "customs"
    });
}

/// Both transfers have ended because of the plugin, and nothing is left of them.
fn expect_ended(waft: &Waft, midway: Midway) {
    let drained = waft.log.wait("the drain", |line| line.message() == "plugin drained by force");
    assert_eq!(drained.field("plugin"), "customs");
    let [(mut downloading, mut source), (mut uploading, _sending)] = midway.parts();
    let mut rest = Vec::new();
    // The end, or a reset: it is no whole file in either case.
    let _ = source.read_to_end(&mut rest);
    assert!(rest.len() < LARGE / 2, "{}", rest.len());
    for client in [&mut downloading, &mut uploading] {
        let lines = vec!["426 Transfer ended: its plugins were replaced.".to_owned()];
        assert_eq!(client.reply(), Reply { code: 426, lines });
        client.expect("NOOP", 200);
    }
    assert_same(&waft.read("old"), &octets(1000, 2), "the file that was to be replaced");
    let mut names: Vec<_> =
        waft.file("").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["large", "old"]);
    waft.log.wait("the event", |line: &Line| {
        line.message() == "heard"
            && line.field("fields").contains("plugin.drain plugin=customs transfers=2")
    });
    downloading.put("STOR new", &octets(1000, 4));
    assert_same(&uploading.fetch("RETR new"), &octets(1000, 4), "a transfer behind it");
}

#[test]
fn transfers_of_an_earlier_version_go_on_until_an_operator_ends_them() {
    let waft = customs("");
    let midway = midway(&waft);
    replace(&waft);
    let mut client = waft.log_in();
    let later = client.begin("RETR large");
    let left = ask(&waft, &["plugin", "drain", "customs", "--timeout", "0"]);
    assert_eq!(left.status.code(), Some(3));
    assert!(left.stderr().starts_with("error: not drained within the time\n"), "{left:?}");
    assert_eq!(left.stdout(), "earlier versions still in use: 1\n");
    let drained = ask(&waft, &["plugin", "drain", "customs", "--force"]).succeeded();
    assert_eq!(drained.stdout(), "no earlier version is in use\n");
    expect_ended(&waft, midway);
    assert_same(&client.fetch_rest(later), &octets(LARGE, 1), "a download of the version in force");
    let asked = waft.log.wait("who asked", |line| {
        line.message() == "asked over the control socket" && line.field("what") == "drain by force"
    });
    assert_eq!(asked.field("plugin"), "customs");
}

#[test]
fn transfers_of_an_earlier_version_end_when_their_time_is_up() {
    let waft = customs("drain_timeout = \"1ms\"\n");
    let midway = midway(&waft);
    replace(&waft);
    expect_ended(&waft, midway);
}

#[test]
fn a_plugin_that_is_required_outlives_its_file_and_one_that_cannot_be_loaded_stops_no_server() {
    let plugin = |name: &str, more: &str| {
        format!(
            "[[plugin]]\nname = \"{name}\"\n{more}\n[plugin.config]\ncommand = \"trap\"\n\
             verbs = [\"NOOP\"]\n"
        )
    };
    let broken = plugin("broken", "on_load_error = \"disable\"\non_error = \"deny\"");
    let site = Site::new(&format!("{PLUGINS}{}{broken}", plugin("needed", "required = true")));
    site.write("plugins.d/needed.wasm", component("tests/hostile"));
    site.write("plugins.d/broken.wasm", "garbage");
    let waft = site.serve();
    let mut client = waft.log_in();
    client.expect("NOOP", 451);
    let kept = waft.and_wait(
        |site| std::fs::remove_file(site.path("plugins.d/needed.wasm")).unwrap(),
        "that it stays",
        |line| line.message().starts_with("plugin not replaced"),
    );
    assert_eq!((kept.field("plugin"), kept.field("reason")), ("needed", "no such file"));
    client.expect("NOOP", 451);
    let listed = ask(&waft, &["plugin", "list"]).succeeded().stdout();
    assert!(listed.contains("broken: not a WebAssembly component"), "{listed}");
}

/// A server whose transfers share instances, with a file to download.
fn shared(settings: &str) -> Waft {
    let site = Site::new(&format!(
        "{PLUGINS}[[plugin]]\nname = \"customs\"\nshare = 8\n[plugin.config]\n{settings}\n"
    ));
    site.write("plugins.d/customs.wasm", component("tests/customs"));
    site.write("alice/large", octets(LARGE, 1));
    site.serve()
}

/// A download that waits in the middle, and the octets that have come.
fn begin_download(waft: &Waft) -> (Ftp, TcpStream, Vec<u8>) {
    let mut client = waft.log_in();
    let mut data = client.begin("RETR large");
    let mut head = vec![0; 64 * 1024];
    data.read_exact(&mut head).unwrap();
    (client, data, head)
}

#[test]
fn transfers_share_an_instance_and_keep_its_version() {
    let waft = shared("download = \"transform\"");
    let begun: Vec<_> = (0..3).map(|_| begin_download(&waft)).collect();
    let told = ask(&waft, &["plugin", "status", "customs"]).succeeded().stdout();
    assert!(told.contains(" 1 busy"), "{told}");
    replace(&waft);
    let left = ask(&waft, &["plugin", "drain", "customs", "--timeout", "0"]);
    assert_eq!(left.stdout(), "earlier versions still in use: 1\n");
    let swap = |octet: u8| if octet.is_ascii_alphabetic() { octet ^ 0x20 } else { octet };
    let expected: Vec<_> = octets(LARGE, 1).into_iter().map(swap).collect();
    std::thread::scope(|scope| {
        for (mut client, data, mut octets) in begun {
            let expected = &expected;
            scope.spawn(move || {
                octets.append(&mut client.fetch_rest(data));
                assert_same(&octets, expected, "a download that shares");
            });
        }
    });
    ask(&waft, &["plugin", "drain", "customs"]).succeeded();
}

#[test]
fn a_transfer_that_breaks_its_instance_ends_the_others_in_it() {
    let waft = shared("download = \"inspect\"\nupload = \"inspect\"\ntrap_on = \"BOMB\"");
    let (mut downloading, mut data, _) = begin_download(&waft);
    let mut uploading = waft.log_in();
    let mut sink = uploading.begin("STOR bomb");
    sink.write_all(b"a BOMB").unwrap();
    sink.shutdown(Shutdown::Write).unwrap();
    let failed = Reply { code: 451, lines: vec!["451 Local error: plugin failed.".to_owned()] };
    assert_eq!(uploading.reply(), failed);
    // The end, or a reset: it is no whole file in either case.
    let _ = data.read_to_end(&mut Vec::new());
    assert_eq!(downloading.reply(), failed);
    assert!(!waft.file("bomb").exists());
    let lost = "the instance that it shared is gone, with the call of another transfer";
    waft.log.wait("why", |line| line.message() == "plugin failed" && line.field("reason") == lost);
    assert_same(&downloading.fetch("RETR large"), &octets(LARGE, 1), "a transfer behind it");
}

#[test]
fn a_verdict_that_does_not_fit_costs_its_own_transfer_and_neither_the_instance_nor_the_breaker() {
    let failed = Reply { code: 451, lines: vec!["451 Local error: plugin failed.".to_owned()] };
    // More often than the breaker lets pass, and than one policy explains.
    const OFTEN: usize = 7;
    for (policy, at_once) in [("deny", "false"), ("allow", "false"), ("deny", "true")] {
        let long = "x".repeat(9000);
        let waft = shared(&format!(
            "download = \"transform\"\nupload = \"inspect\"\nrefuse = \"EVIL\"\n\
             at_once = \"{at_once}\"\nreply = \"550 {long}\"\n\
             [plugin.on_error_by_hook]\ncontent_filter = \"{policy}\""
        ));
        let (mut downloading, data, mut fetched) = begin_download(&waft);
        let mut beside = waft.log_in();
        let mut sink = beside.begin("STOR good");
        sink.write_all(b"begun ").unwrap();
        let mut evil = waft.log_in();
        for _ in 0..OFTEN {
            let mut data = evil.begin("STOR evil");
            data.write_all(b"this is EVIL").unwrap();
            data.shutdown(Shutdown::Write).unwrap();
            assert_eq!(evil.reply(), failed);
        }
        assert!(!waft.file("evil").exists());
        evil.put("STOR well", b"harmless");
        beside.put_rest(sink, b"and done");
        assert_eq!(waft.read("good"), b"begun and done");
        fetched.append(&mut downloading.fetch_rest(data));
        let swap = |octet: u8| if octet.is_ascii_alphabetic() { octet ^ 0x20 } else { octet };
        let expected: Vec<_> = octets(LARGE, 1).into_iter().map(swap).collect();
        assert_same(&fetched, &expected, "a download that shares");
        let told = ask(&waft, &["plugin", "status", "customs", "--json"]).succeeded();
        let status: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
        let status = &status[0];
        assert_eq!((&status["state"], &status["breaker_open"]), (&"active".into(), &false.into()));
        let counts = &status["counts"];
        assert_eq!(counts["bad_verdicts"], OFTEN, "{policy} {at_once}");
        for what in ["traps", "timeouts", "not_made"] {
            assert_eq!(counts[what], 0, "{what}: {policy} {at_once}");
        }
        let log = waft.log.text();
        assert!(!log.contains("the instance that it shared is gone"), "{policy} {at_once}");
        waft.log.wait("why", |line| {
            let reason = line.field("reason");
            line.message() == "plugin failed"
                && reason.starts_with("bad verdict: a reply line of over")
        });
    }
}

#[test]
fn what_cannot_share_is_told_by_check() {
    let check = |guest: &str, more: &str| {
        let plugin = format!("[[plugin]]\nname = \"p\"\npath = \"p.wasm\"\nshare = 8\n{more}");
        let site = Site::new(&plugin);
        site.write("p.wasm", component(guest));
        checked(&site)
    };
    let told = check("tests/customs", "isolation = \"call\"\n");
    let line = "plugin.0.share: plugin p (p.wasm): share has transfers share an instance, and \
                isolation has nobody share one";
    assert!(told.contains(line), "{told}");
    assert!(told.contains("remedy: remove share, or set isolation = \"pool\""), "{told}");
    let grant = "grant = { kv = \"1MiB\", control = true, http = [] }\n";
    let told = check("tests/services", grant);
    let line = "plugin.0.share: plugin p (p.wasm): share has transfers share an instance, and what it \
                imports can wait: waft:plugin/http@0.1.1 (fetch)";
    assert!(told.contains(line), "{told}");
    assert!(told.contains("remedy: remove share, or build it without these imports"), "{told}");
}
