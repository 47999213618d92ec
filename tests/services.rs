//! What plugins reach beside their hooks, from outside: what is granted is there, nothing else is,
//! and WASI leads nowhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use support::ftp::{Ftp, connect};
use support::log::Line;
use support::plugin::component;
use support::prometheus::Page;
use support::site::Site;
use support::waft::Waft;
use support::web::Web;

/// A server with one of the guests that ask for whatever a command says, with that entry.
fn server(guest: &str, entry: &str) -> Waft {
    let site = Site::new(
        "[plugins]\ndirectory = \"plugins.d\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n\
         [login]\nfailure_delay = \"0s\"\n",
    );
    site.write(format!("plugins.d/{guest}.wasm"), component(&format!("tests/{guest}")));
    site.write("conf.d/plugin.toml", format!("[[plugin]]\nname = \"{guest}\"\n{entry}\n"));
    site.serve()
}

/// Grants of everything, and these URLs.
fn grants(urls: &str, private: bool) -> String {
    let control = "[plugin.limits]\ninstances = 1\ncpu = \"60s\"\nwall = \"60s\"\n[plugin.grant]\n";
    format!("{control}kv = \"1 MiB\"\nhttp = [{urls}]\nhttp_private = {private}\ncontrol = true")
}

/// A web service that says nothing but that; its URL, and the same by another name of the machine.
fn saying(words: &'static str) -> (Web, String, String) {
    let web = Web::serve(move |_| (200, words.to_owned()));
    let (url, by_name) = (web.url(""), web.url("").replace("127.0.0.1", "localhost"));
    (web, url, by_name)
}

#[track_caller]
fn text(client: &mut Ftp, command: &str, code: u16) -> String {
    client.expect(command, code).text().to_owned()
}

fn about<'a>(plugin: &'a str, message: &'a str) -> impl Fn(&Line) -> bool + 'a {
    move |line: &Line| line.message() == message && line.field("plugin") == plugin
}

/// Whether a line tells in which call of the plugin it was written.
fn names_its_call(line: &Line) -> bool {
    line.field("hook") == "command-filter"
        && line.value("generation") == 1
        && line.value("session").is_u64()
}

#[test]
fn a_plugin_ends_sessions() {
    let waft = server("services", &grants("", false));
    let mut client = waft.log_in();
    let mut other = waft.log_in();
    // Sessions are counted from 1.
    assert_eq!(text(&mut client, "XCTL kick 2 Bye.", 200), "true");
    assert_eq!(other.reply().lines, ["421 Bye."]);
    other.expect_end();
    let line = waft.log.wait("who did it", about("services", "plugin ends a session"));
    assert!(names_its_call(&line) && line.value("disconnected") == 2, "{line:?}");
    assert_eq!(text(&mut client, "XCTL kick 1000000 Bye.", 200), "false");
}

#[test]
fn a_plugin_bans_addresses_and_lets_them_in_again() {
    let waft = server("services", &grants("", false));
    let mut client = waft.log_in();
    assert_eq!(text(&mut client, "XCTL ban 127.0.0.0/8 600", 200), "done");
    let mut banned = Ftp::of(connect(waft.address()));
    assert_eq!(banned.reply().lines, ["421 Your address is banned."]);
    banned.expect_end();
    let line = waft.log.wait("who did it", about("services", "plugin bans addresses"));
    assert!(names_its_call(&line) && line.field("network") == "127.0.0.0/8", "{line:?}");
    assert_eq!(text(&mut client, "XCTL unban 127.0.0.0/8", 200), "done");
    waft.log_in();
    assert_eq!(Page::of(&waft).value("waft_connections_banned_total", &[]), 1.0);
}

#[test]
fn a_web_service_is_asked_by_its_url_and_then_by_its_address() {
    let (_fine, granted, _) = saying("fine");
    let (_secret, other, by_name) = saying("secret");
    let urls = format!("\"{granted}/v1\", \"{by_name}\"");
    for private in [true, false] {
        let waft = server("services", &grants(&urls, private));
        let mut client = waft.log_in();
        for url in [format!("{other}/"), format!("{granted}/v2")] {
            let told = text(&mut client, &format!("XGET {url}"), 500);
            assert!(told.contains("the grant http does not cover"), "{told}");
        }
        let line = waft.log.wait("a denial", about("services", "request of a plugin denied"));
        assert!(names_its_call(&line), "{line:?}");
        let by_name = format!("XGET {by_name}/");
        if private {
            assert_eq!(text(&mut client, &format!("XGET {granted}/v1"), 200), "200 fine");
            assert_eq!(text(&mut client, &by_name, 200), "200 secret");
        } else {
            let told = text(&mut client, &by_name, 500);
            assert!(told.contains("localhost is out of bounds"), "{told}");
        }
        let page = Page::of(&waft);
        let requests = |result| {
            let labels = [("plugin", "services"), ("result", result)];
            page.value("waft_plugin_http_requests_total", &labels)
        };
        let (ok, denied) = if private { (2.0, 2.0) } else { (0.0, 3.0) };
        assert_eq!((requests("ok"), requests("denied")), (ok, denied));
    }
}

#[test]
fn wasi_http_goes_through_the_same_gate() {
    let (_fine, granted, _) = saying("fine");
    let (_secret, other, by_name) = saying("secret");
    let urls = format!("\"{granted}/v1\", \"{by_name}\"");
    for private in [true, false] {
        let waft = server("foreigner", &grants(&urls, private));
        let mut client = waft.log_in();
        for url in [format!("{other}/"), format!("{granted}/v2")] {
            let told = text(&mut client, &format!("XHTTP get {url}"), 500);
            assert!(told.contains("HttpRequestDenied"), "{told}");
        }
        waft.log.wait("a denial", about("foreigner", "request of a plugin denied"));
        let by_name = format!("XHTTP get {by_name}/");
        if private {
            let by_address = format!("XHTTP get {granted}/v1");
            assert_eq!(text(&mut client, &by_address, 200), "200 fine");
            assert_eq!(text(&mut client, &by_name, 200), "200 secret");
        } else {
            assert!(text(&mut client, &by_name, 500).contains("HttpRequestDenied"));
            waft.log.wait("the address", |line| line.field("reason").contains("out of bounds"));
        }
    }
}

#[test]
fn answers_that_are_not_read_keep_others_out_for_a_while_and_no_longer() {
    let (_fine, service, _) = saying("fine");
    let entry = grants(&format!("\"{service}\""), true);
    let waft = server("foreigner", &entry.replace("wall = \"60s\"", "wall = \"3s\""));
    let mut client = waft.log_in();
    assert_eq!(text(&mut client, &format!("XHTTP hold {service}/ 8"), 200), "8");
    // All places are taken, until the time of those requests is up. The guest still has them.
    let mut answers = (0..10).map(|_| client.command(&format!("XHTTP get {service}/")));
    let answer = answers.find(|reply| reply.code == 200).unwrap();
    assert_eq!(answer.text(), "200 fine");
}

#[test]
fn there_is_nothing_behind_wasi() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let waft = server("foreigner", &grants("", true));
    let mut client = waft.log_in();
    for (command, told) in [
        ("environment", "0 0 None"),
        ("files", "0"),
        ("input", "closed"),
        ("random", "true"),
        ("clocks", "true"),
        ("print on-output", "printed"),
        ("complain on-errors", "printed"),
    ] {
        assert_eq!(text(&mut client, &format!("XWASI {command}"), 200), told, "{command}");
    }
    let told = text(&mut client, &format!("XWASI connect 127.0.0.1 {port}"), 500);
    assert!(told.contains("access-denied"), "{told}");
    let told = text(&mut client, "XWASI resolve localhost", 500);
    assert!(told.contains("permanent-resolver-failure"), "{told}");
    for (text, level) in [("on-output", "INFO"), ("on-errors", "WARN")] {
        let line = waft.log.wait("what was printed", about("foreigner", text));
        assert!(line.field("level") == level && names_its_call(&line), "{line:?}");
    }
}

#[test]
fn wasi_config_and_wasi_logging_are_the_plugins_own() {
    let entry = format!("{}\n[plugin.config]\ngreeting = \"hello\"", grants("", false));
    let waft = server("foreigner", &entry);
    let mut client = waft.log_in();
    assert_eq!(text(&mut client, "XCONF greeting", 200), "hello");
    assert_eq!(text(&mut client, "XCONF PATH", 200), "none");
    assert_eq!(text(&mut client, "XLOG parser broken", 200), "logged");
    let line = waft.log.wait("the line", about("foreigner", "broken"));
    assert_eq!((line.field("level"), line.field("fields")), ("ERROR", "context=\"parser\""));
    assert!(names_its_call(&line), "{line:?}");
}

#[test]
fn wasi_keyvalue_is_the_plugins_store() {
    let waft = server("foreigner", &grants("", false));
    let mut client = waft.log_in();
    for (command, told) in [
        ("open default", "open"),
        ("set a 1", "done"),
        ("inc a 41", "42"),
        ("get a", "42"),
        ("has a", "true"),
        ("del a", "done"),
        ("has a", "false"),
        ("get a", "none"),
        ("inc n 7", "7"),
        ("many k 3", "3"),
        ("list", "k,n"),
    ] {
        assert_eq!(text(&mut client, &format!("XKEYS {command}"), 200), told, "{command}");
    }
    for (command, told) in [
        ("open elsewhere", "Error::NoSuchStore"),
        ("inc k 1", "Error::Other(\"not a number, negative, or too large\")"),
        ("many k 5000", "Error::Other(\"too much at once\")"),
        (&*format!("set {} v", "k".repeat(1025)), "Error::Other(\"a key has 1 to 1024 bytes\")"),
    ] {
        assert_eq!(text(&mut client, &format!("XKEYS {command}"), 500), told, "{command}");
    }
    let page = Page::of(&waft);
    let bytes = |name| page.value(name, &[("plugin", "foreigner")]);
    // n with 7, k with 1000 octets, other with none, and 64 for each.
    assert_eq!(bytes("waft_plugin_kv_bytes"), f64::from(1 + 1 + 1 + 1000 + 5 + 3 * 64));
    assert_eq!(bytes("waft_plugin_kv_bytes_max"), f64::from(1 << 20));
}

#[test]
fn who_imports_wasis_store_needs_the_grant_of_a_store() {
    let site = Site::new("[plugins]\ndirectory = \"plugins.d\"\n");
    site.write("plugins.d/foreigner.wasm", component("tests/foreigner"));
    site.write("conf.d/plugin.toml", "[[plugin]]\nname = \"foreigner\"\n");
    let checked = site.waft(&["check", "--config", "waft.toml"], "");
    assert!(!checked.status.success());
    let told = checked.stderr() + &checked.stdout();
    assert!(told.contains("imports wasi:keyvalue/store@0.2.0-draft"), "{told}");
    assert!(told.contains("kv = \"1 MiB\"\nhttp = "), "{told}");
}
