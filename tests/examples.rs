//! The examples, each built from its source and dropped into the folder of a server.
//!
//! A component in JavaScript or Python brings its engine along, which takes the server half a
//! minute to compile, and longer on a busy machine: it is dropped while the server runs, and
//! waited for with more patience than anything else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::process::Command;
use std::time::Duration;

use support::client::{client, seconds};
use support::content::{assert_file, assert_same, octets};
use support::plugin::component;
use support::process::{Finished, run};
use support::site::{PASSWORD, Site, hash};
use support::waft::Waft;
use support::web::Web;

/// How long the compiling of an engine may take on a machine that does other things.
const COMPILING: Duration = Duration::from_secs(600);

const FOLDER: &str = "[plugins]\ndirectory = \"plugins.d\"\ndebounce = \"100ms\"\n";

/// A server into whose folder an example has been dropped under its own name, with settings.
fn server(name: &str, language: &str, settings: &str) -> Waft {
    let site = Site::new(FOLDER);
    site.make("plugins.d");
    site.make("home");
    // The plugin's own settings come last: what follows them would be taken for more of them.
    site.write("conf.d/plugin.toml", format!("[[plugin]]\nname = \"{name}\"\n{settings}\n"));
    let waft = site.serve();
    let mark = waft.log.mark();
    waft.write(format!("plugins.d/{name}.wasm"), component(&format!("examples/{name}-{language}")));
    let line = waft.log.wait_longer(COMPILING, mark, "that it is loaded", |line| {
        line.field("plugin") == name && line.message().starts_with("plugin ")
    });
    assert_eq!(line.message(), "plugin loaded", "{line:?}");
    waft
}

/// curl with none of its user's settings, told to give up in time.
fn curl(waft: &Waft) -> Option<Command> {
    let mut curl = client("curl", &waft.path("home"))?;
    curl.args(["-q", "-sS", "--max-time", &seconds()]);
    Some(curl)
}

/// What curl and the server said to each other, and how it ended.
fn conversation(waft: &Waft, arguments: &[&str], url: &str) -> Option<Finished> {
    Some(run(curl(waft)?.arg("-v").args(arguments).arg(url), b""))
}

/// A line that the server sent.
#[track_caller]
fn assert_said(finished: &Finished, line: &str) {
    let said = format!("< {line}");
    assert!(finished.stderr().lines().any(|own| own == said), "{line}\n{}", finished.story());
}

/// Active mode is refused, in words of the operator's if there are any, and nothing else is.
fn refuses_active_mode(language: &str) {
    let settings = "[plugin.config]\nmessage = \"Call the help desk.\"";
    let waft = server("passive-only", language, settings);
    waft.write("alice/a.txt", "over there\n");
    // curl asks with EPRT, then with PORT, then gives up.
    let Some(refused) = conversation(&waft, &["--ftp-port", "-"], &waft.url("a.txt")) else {
        return;
    };
    assert!(!refused.status.success());
    assert_said(&refused, "502 Call the help desk.");
    let fetched = conversation(&waft, &[], &waft.url("a.txt")).unwrap().succeeded();
    assert_eq!(fetched.stdout(), "over there\n");
}

#[test]
fn active_mode_is_refused_in_rust() {
    refuses_active_mode("rust");
}

#[test]
fn active_mode_is_refused_in_c() {
    refuses_active_mode("c");
}

#[test]
fn active_mode_is_refused_in_javascript() {
    refuses_active_mode("javascript");
}

#[test]
fn active_mode_is_refused_in_python() {
    refuses_active_mode("python");
}

#[test]
fn a_command_of_its_own_is_answered_in_c() {
    let waft = server("whoami", "c", "");
    let arguments = ["--quote", "SITE WHOAMI", "--quote", "*SITE WHOAMI else"];
    let Some(finished) = conversation(&waft, &arguments, &waft.url("")) else { return };
    let finished = finished.succeeded();
    for line in [
        "211-user: alice",
        " address: 127.0.0.1",
        "211 encryption: none",
        "501 SITE WHOAMI takes no argument.",
    ] {
        assert_said(&finished, line);
    }
    let told = conversation(&waft, &["--quote", "HELP SITE"], &waft.url("")).unwrap().succeeded();
    assert!(told.stderr().contains("how the server sees you"), "{}", told.story());
}

#[test]
fn users_of_its_own_log_in_in_python() {
    let files = tempfile::tempdir().unwrap();
    let (directory, hash) = (files.path().join("bob"), hash());
    std::fs::create_dir(&directory).unwrap();
    let settings = format!(
        "[plugin.grant]\nstorage = [{:?}]\n[plugin.config.user.bob]\nhash = \"{hash}\"\n\
         directory = {directory:?}\npermissions = [\"list\", \"read\", \"write\"]",
        files.path()
    );
    let waft = server("auth-list", "python", &settings);
    waft.write("home/new.txt", "of bob\n");
    let url = |password: &str| format!("ftp://bob:{password}@{}/new.txt", waft.address());
    let arguments = ["--upload-file", "new.txt"];
    let Some(finished) = conversation(&waft, &arguments, &url(PASSWORD)) else { return };
    finished.succeeded();
    assert_file(&directory.join("new.txt"), b"of bob\n");
    let refused = conversation(&waft, &[], &url("wrong")).unwrap();
    assert!(!refused.status.success());
    assert!(refused.stderr().contains("< 530 "), "{}", refused.story());
    // Nobody took the server's own account away.
    conversation(&waft, &[], &waft.url("")).unwrap().succeeded();
}

#[test]
fn files_of_its_own_are_kept_in_rust() {
    let user = format!(
        "[[user]]\nname = \"box\"\npassword = \"{}\"\nstorage = \"plugin:kv-storage\"\n\
         [[plugin]]\nname = \"kv-storage\"\n[plugin.grant]\nkv = \"4MiB\"\n",
        hash()
    );
    let site = Site::new(&format!("{FOLDER}{user}"));
    site.write("plugins.d/kv-storage.wasm", component("examples/kv-storage-rust"));
    let content = octets(300_000, 1);
    site.write("home/big.bin", &content);
    let waft = site.serve();
    let url = |path: &str| format!("ftp://box:{PASSWORD}@{}/{path}", waft.address());
    let upload = ["--ftp-create-dirs", "--upload-file", "big.bin"];
    let Some(finished) = conversation(&waft, &upload, &url("in/big.bin")) else { return };
    finished.succeeded();
    let listed = conversation(&waft, &["-l"], &url("in/")).unwrap().succeeded();
    assert_eq!(listed.lines(), ["big.bin"]);
    let fetched = conversation(&waft, &[], &url("in/big.bin")).unwrap().succeeded();
    assert_same(&fetched.stdout, &content, "big.bin");
    let rest = conversation(&waft, &["--range", "250000-"], &url("in/big.bin")).unwrap();
    assert_same(&rest.succeeded().stdout, &content[250_000..], "the rest of big.bin");
    let moved = ["--quote", "RNFR in/big.bin", "--quote", "RNTO b.bin", "--quote", "RMD in", "-l"];
    let listed = conversation(&waft, &moved, &url("")).unwrap().succeeded();
    assert_eq!(listed.lines(), ["b.bin"]);
}

#[test]
fn a_web_service_is_told_of_uploads_in_javascript() {
    let service = Web::serve(|_| (204, String::new()));
    let url = service.url("/ftp");
    let settings = format!(
        "[plugin.grant]\nhttp = [\"{url}\"]\nhttp_private = true\n\
         [plugin.config]\nurl = \"{url}\"\nevents = [\"transfer.upload.*\"]"
    );
    let waft = server("webhook", "javascript", &settings);
    waft.write("home/new.txt", "of alice\n");
    let upload = ["--upload-file", "new.txt"];
    let Some(finished) = conversation(&waft, &upload, &waft.url("new.txt")) else { return };
    finished.succeeded();
    let mut names = Vec::new();
    while !names.contains(&"transfer.upload.done".to_owned()) {
        let request = service.next_within(COMPILING);
        assert!(request.head.starts_with("POST /ftp HTTP/1.1\r\n"), "{}", request.head);
        for event in request.json().as_array().unwrap() {
            assert!(event["session"].is_u64() && event["time"].is_string(), "{event}");
            names.push(event["name"].as_str().unwrap().to_owned());
        }
    }
    assert!(names.iter().all(|name| name.starts_with("transfer.upload.")), "{names:?}");
}

/// Begins a plugin, builds it and plays its scenario, as its author would.
fn an_author_begins_with(language: &str, hook: &str) {
    let site = Site::new("");
    let new = ["plugin", "new", "fresh", "--lang", language, "--hook", hook];
    let made = site.waft(&new, "").succeeded();
    assert!(made.stdout().contains("fresh/scenario.txt\n"), "{}", made.story());
    site.waft(&["plugin", "test", "fresh"], "").succeeded();
    let unchanged = site.path("fresh/build/fresh.wasm").metadata().unwrap().modified().unwrap();
    let built = site.waft(&["plugin", "build", "fresh"], "").succeeded();
    assert_eq!(built.stdout().trim_end(), site.path("fresh/build/fresh.wasm").to_str().unwrap());
    let after = site.path("fresh/build/fresh.wasm").metadata().unwrap().modified().unwrap();
    assert_eq!(unchanged, after);
}

/// Tests of new plugins in C: each is made, built and played.
macro_rules! new_plugins_in_c {
    ($($test:ident: $hook:literal,)+) => {
        $(#[test]
        fn $test() {
            an_author_begins_with("c", $hook);
        })+
    };
}

new_plugins_in_c! {
    an_author_begins_with_connections_in_c: "connection-filter",
    an_author_begins_with_commands_in_c: "command-filter",
    an_author_begins_with_replies_in_c: "reply-filter",
    an_author_begins_with_logins_in_c: "authenticator",
    an_author_begins_with_files_in_c: "file-filter",
    an_author_begins_with_contents_in_c: "content-filter",
    an_author_begins_with_a_storage_in_c: "storage",
    an_author_begins_with_events_in_c: "event-sink",
    an_author_begins_with_a_command_in_c: "site-command",
    an_author_begins_with_a_timer_in_c: "timer",
}

#[test]
fn a_scenario_that_goes_otherwise_is_told_with_the_conversation() {
    let site = Site::new("");
    site.waft(&["plugin", "new", "fresh", "--lang", "c"], "").succeeded();
    site.write("fresh/scenario.txt", "login\n> PORT 127,0,0,1,200,10\n< 200 {any}\n");
    let failed = site.waft(&["plugin", "test", "fresh"], "");
    assert_eq!(failed.status.code(), Some(1), "{}", failed.story());
    for part in [
        "error: fresh/scenario.txt:3: expected: < 200 {any}\n  got:      < 502 Command not",
        "\n  the conversation so far:\n    < 220 ",
        "\n    > PORT 127,0,0,1,200,10\n    < 502 Command not",
        "\n  the server's log:\n    INFO plugin loaded plugin=\"fresh\"",
    ] {
        assert!(failed.stderr().contains(part), "{part}\n{}", failed.story());
    }
    site.write("fresh/scenario.txt", "login\nhello\n");
    let refused = site.waft(&["plugin", "test", "fresh"], "");
    assert_eq!(refused.status.code(), Some(2), "{}", refused.story());
    assert!(refused.stderr().contains("scenario.txt:2: not a step: hello"), "{}", refused.story());
}

#[test]
fn a_new_plugin_takes_no_place_that_is_taken() {
    let site = Site::new("");
    site.make("taken");
    let refused = site.waft(&["plugin", "new", "taken", "--lang", "python"], "");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.story());
    assert!(refused.stderr().contains("cannot make taken"), "{}", refused.story());
    let refused = site.waft(&["plugin", "new", "a", "--lang", "c", "--hook", "nonsense"], "");
    assert!(refused.stderr().contains("no such hook: nonsense; there are: connection-filter, "));
}
