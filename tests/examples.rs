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

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::client::{client, seconds};
use support::content::{assert_file, assert_same, octets};
use support::ftp::Ftp;
use support::log::Log;
use support::plugin::{component, tools};
use support::process::{Finished, run, run_for};
use support::site::{PASSWORD, Site, hash, program};
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
        line.field("plugin") == name
            && line.message().starts_with("plugin ")
            && line.message() != "plugin is being compiled"
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
    fs::create_dir(&directory).unwrap();
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

/// Every hook, with a name that would break the plugin if anything in its sources were called so.
const RUST: [(&str, &str); 10] = [
    ("connection-filter", "self"),
    ("command-filter", "std"),
    ("reply-filter", "core"),
    ("authenticator", "reply"),
    ("file-filter", "plugin"),
    ("content-filter", "waft"),
    ("storage", "string"),
    ("event-sink", "result"),
    ("site-command", "session"),
    ("timer", "wit-bindgen"),
];

/// The kit is that of this repository, and what it needs is compiled once for all of them.
#[test]
fn an_author_begins_with_every_hook_in_rust() {
    let library = ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"];
    let library = run(Command::new("rustc").args(library), b"").succeeded().stdout();
    if !Path::new(library.trim_end()).is_dir() {
        skipped("no library for wasm32-unknown-unknown: rustup target add wasm32-unknown-unknown");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let published = "git = \"https://github.com/waft-ftp/waft\"";
    let local = format!("path = {:?}", root.join("crates/plugin-sdk"));
    let site = Site::new("");
    for (hook, name) in RUST {
        let new = ["plugin", "new", name, "--lang", "rust", "--hook", hook];
        site.waft(&new, "").succeeded();
        let manifest = fs::read_to_string(site.path(name).join("Cargo.toml")).unwrap();
        assert!(manifest.contains(published), "{manifest}");
        site.write(format!("{name}/Cargo.toml"), manifest.replace(published, &local));
        fs::copy(root.join("Cargo.lock"), site.path(name).join("Cargo.lock")).unwrap();
        let mut test = program();
        test.args(["plugin", "test", name]).current_dir(site.path(""));
        test.env("CARGO_TARGET_DIR", site.path("cargo")).env_remove("CARGO_BUILD_TARGET");
        run_for(COMPILING, &mut test, b"").succeeded();
        assert!(site.path(format!("{name}/build/{name}.wasm")).is_file());
    }
}

/// Says that a test could not be made, past the harness, which swallows what is printed.
fn skipped(why: &str) {
    let notice = format!("\n*** SKIPPED, and nothing was tested: {why}\n\n");
    io::stderr().write_all(notice.as_bytes()).unwrap();
}

/// The hooks whose beginnings are no examples: those are built and tried as they are.
const JAVASCRIPT: [&str; 8] = [
    "connection-filter",
    "reply-filter",
    "authenticator",
    "file-filter",
    "content-filter",
    "storage",
    "site-command",
    "timer",
];
const PYTHON: [&str; 8] = [
    "connection-filter",
    "reply-filter",
    "file-filter",
    "content-filter",
    "storage",
    "event-sink",
    "site-command",
    "timer",
];

/// Every engine takes the server half a minute to compile. So all beginnings in a language are put
/// into one plugin, whose scenarios are those of all of them; `source` is a file of a beginning by
/// its hook, `whole` what puts them together.
fn an_author_begins_with_all(
    hooks: &[&str],
    language: &str,
    source: &dyn Fn(&str, &str) -> String,
    whole: (&str, String),
) {
    let site = Site::new("");
    let mut worlds = String::new();
    for hook in hooks {
        // A keyword of WIT and of both languages.
        let begun = format!("{hook}/import");
        site.make(hook);
        site.waft(&["plugin", "new", &begun, "--lang", language, "--hook", hook], "").succeeded();
        let read = |file: &str| fs::read_to_string(site.path(&begun).join(file)).unwrap();
        let world = read("wit/world.wit");
        assert!(world.starts_with("package example:%import;\n"), "{world}");
        worlds.push_str(world.split_once('{').unwrap().1.split_once('}').unwrap().0);
        site.write(format!("import/scenarios/{hook}.txt"), read("scenario.txt"));
        site.write("import/wit/deps/waft-plugin.wit", read("wit/deps/waft-plugin.wit"));
        if *hook == "authenticator" {
            site.write("import/plugin.toml", read("plugin.toml"));
        }
        for entry in fs::read_dir(site.path(&begun)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".js") || name.ends_with(".py") {
                site.write(format!("import/{}", source(hook, &name)), read(&name));
            }
        }
    }
    let world = format!("package example:%import;\n\nworld plugin {{{worlds}}}\n");
    site.write("import/wit/world.wit", world);
    site.write(format!("import/{}", whole.0), whole.1);
    let mut test = program();
    test.args(["plugin", "test", "import", "--tools"]).arg(tools()).current_dir(site.path(""));
    let played = run_for(COMPILING, &mut test, b"").succeeded();
    for hook in hooks {
        let line = format!("import/scenarios/{hook}.txt: as expected\n");
        assert!(played.stderr().contains(&line), "{}", played.story());
    }
}

#[test]
fn an_author_begins_with_every_hook_in_javascript() {
    let camel = |hook: &str| {
        let mut words = hook.split('-').map(str::to_owned);
        let first = words.next().unwrap();
        words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
    };
    let imports = JAVASCRIPT.map(|hook| {
        let name = camel(hook);
        format!("import * as {name}_ from './{hook}.js';\nexport const {name} = {name}_.{name};\n")
    });
    let parts = JAVASCRIPT.map(|hook| format!("{}_.lifecycle", camel(hook))).join(", ");
    let whole = format!(
        "{}const parts = [{parts}];\n\
         const together = (said, key) => said.flatMap((one) => one[key]);\n\
         export const lifecycle = {{\n\
           describe() {{\n\
             const said = parts.map((part) => part.describe());\n\
             const lists = ['verbs', 'site', 'features', 'events', 'extra'];\n\
             const all = lists.map((key) => [key, together(said, key)]);\n\
             return {{ ...said[0], ...Object.fromEntries(all) }};\n\
           }},\n\
           init() {{ for (const part of parts) part.init(); }},\n\
         }};\n",
        imports.concat()
    );
    let source = |hook: &str, _: &str| format!("{hook}.js");
    an_author_begins_with_all(&JAVASCRIPT, "javascript", &source, ("plugin.js", whole));
}

#[test]
fn an_author_begins_with_every_hook_in_python() {
    let module = |hook: &str| format!("begun_{}", hook.replace('-', "_"));
    let class = |hook: &str| {
        let words = hook.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
        words.collect::<String>()
    };
    let imports = PYTHON.map(|hook| {
        let (module, class) = (module(hook), class(hook));
        format!("import {module}\n{class} = {module}.{class}\n")
    });
    let parts = PYTHON.map(|hook| format!("{}.Lifecycle()", module(hook))).join(", ");
    let whole = format!(
        "from wit_world import exports\n{}\
         PARTS = [{parts}]\n\
         class Lifecycle(exports.Lifecycle):\n    \
             def describe(self):\n        \
                 said = [part.describe() for part in PARTS]\n        \
                 for key in (\"verbs\", \"site\", \"features\", \"events\", \"extra\"):\n            \
                     setattr(said[0], key, [item for one in said for item in getattr(one, key)])\n        \
                 return said[0]\n    \
             def init(self):\n        \
                 for part in PARTS:\n            \
                     part.init()\n",
        imports.concat()
    );
    let source = |hook: &str, file: &str| match file {
        "plugin.py" => format!("{}.py", module(hook)),
        resources => resources.to_owned(),
    };
    an_author_begins_with_all(&PYTHON, "python", &source, ("plugin.py", whole));
}

/// `waft plugin run`, until it is dropped: what it prints, and what it logs.
struct Run {
    process: Child,
    printed: Log,
    log: Log,
}

impl Run {
    fn start(site: &Site, plugin: &str, more: &[&str]) -> Run {
        let mut run = program();
        run.args(["plugin", "run", plugin, "--listen", "127.0.0.1:0"]).args(more);
        run.current_dir(site.path(""));
        run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = run.spawn().unwrap();
        let printed = Log::collect(process.stdout.take().unwrap());
        let log = Log::collect(process.stderr.take().unwrap());
        Run { process, printed, log }
    }

    /// Where it listens.
    fn address(&self) -> SocketAddr {
        let line = self.log.wait("listening", |line| line.text.contains("listening"));
        let address = line.text.split("address=").nth(1).unwrap();
        address.split(' ').next().unwrap().parse().unwrap()
    }

    /// A call that is printed, without the time that it took.
    fn call(&self, begin: &str) -> String {
        let line = self.printed.wait(begin, |line| line.text.trim_start().starts_with(begin));
        let (call, time) = line.text.rsplit_once(" (").unwrap();
        assert!(time.ends_with(" µs)") && time.as_bytes()[0].is_ascii_digit(), "{time}");
        call.trim_start().to_owned()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn every_call_is_printed_while_an_author_changes_the_plugin() {
    let site = Site::new("");
    site.waft(&["plugin", "new", "fresh", "--lang", "c"], "").succeeded();
    let source = fs::read_to_string(site.path("fresh/plugin.c")).unwrap();
    assert!(source.contains("{\"PORT\", \"EPRT\"}"));
    site.write("fresh/plugin.c", source.replace("{\"PORT\", \"EPRT\"}", "{\"PASS\"}"));
    let run = Run::start(&site, "fresh", &[]);
    let mut ftp = Ftp::connect(run.address());
    ftp.expect("USER alice", 331);
    ftp.expect("PASS Sw0rdfish-7", 502);
    let answer = "answer 502 Command not implemented. (ACTIVE mode is not supported - use PASSIVE \
                  instead!)";
    assert_eq!(run.call("1  "), format!("1  command-filter     PASS *** -> {answer}"));
    let mark = run.log.mark();
    site.write("fresh/plugin.c", &source);
    run.log.wait_since(mark, "the new version", |line| line.text.contains("plugin replaced"));
    ftp.expect("USER alice", 331);
    ftp.expect("PASS secret", 230);
    ftp.expect("PORT 127,0,0,1,200,10", 502);
    let call = format!("1  command-filter     PORT 127,0,0,1,200,10 -> {answer}");
    assert_eq!(run.call("1  command-filter     PORT"), call);
    for secret in ["Sw0rdfish-7", "PASS secret"] {
        assert!(!run.printed.text().contains(secret) && !run.log.text().contains(secret));
    }
}

#[test]
fn a_core_dump_is_written_of_a_plugin_that_breaks() {
    let site = Site::new("");
    site.waft(&["plugin", "new", "fresh", "--lang", "c"], "").succeeded();
    let source = fs::read_to_string(site.path("fresh/plugin.c")).unwrap();
    let broken =
        source.replace("  (void)session;\n", "  if (session.__handle) __builtin_trap();\n");
    assert_ne!(source, broken);
    site.write("fresh/plugin.c", broken);
    let run = Run::start(&site, "fresh", &["--coredump-on-trap"]);
    let mut ftp = Ftp::connect(run.address());
    ftp.expect("USER alice", 331);
    ftp.expect("PASS secret", 230);
    ftp.expect("PORT 127,0,0,1,200,10", 451);
    assert!(run.call("1  command-filter").contains("PORT 127,0,0,1,200,10 -> failed: trap: "));
    run.log.wait("the core dump", |line| line.text.contains("core dump written"));
    let dumps = fs::read_dir(site.path("fresh/build/state/coredumps")).unwrap();
    let dumps: Vec<_> = dumps.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert_eq!(dumps.len(), 1);
    assert!(dumps[0].starts_with(b"\0asm"));
    let section = dumps[0].windows(4).any(|octets| octets == b"core");
    assert!(section, "no section of a core dump");
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

#[test]
fn a_server_for_an_author_follows_the_settings_too() {
    let site = Site::new("");
    site.waft(&["plugin", "new", "fresh", "--lang", "c"], "").succeeded();
    let run = Run::start(&site, "fresh", &[]);
    run.address();
    site.write("fresh/plugin.toml", "priority = 5\nnonsense = 1\n");
    let told = |what: &str| run.log.wait(what, |line| line.text.contains(what)).text;
    let place = told("plugin.toml:2:1: ");
    assert!(place.contains("nonsense: unknown key"), "{place}");
    site.write("fresh/plugin.toml", "priority = 5\n");
    told("settings taken: fresh/plugin.toml");
}
