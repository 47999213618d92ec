//! What a client sends at its longest is no failure of a bundled plugin, and none that counts of any
//! other: else it could have plugins not asked, for everybody.
//!
//! [`table`] has all of them, with what each of their hooks gets of it. Where a plugin leaves replies as
//! they are, every one of them is compared with that of a server without it.

#[path = "lengths/table.rs"]
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::control::Control;
use crate::support::ftp::{Ftp, Reply};
use crate::support::site::{Site, configuration};
use crate::support::waft::Waft;
use crate::support::web::Web;
use table::{CASES, Case, Gets};

/// Octets of the longest command line.
const LINE_BYTES: usize = 8 * 1024;

/// What every site has: no limit to what somebody may try, and a socket to ask on.
const MORE: &str = "[login]\nfailure_delay = \"0s\"\nattempts_per_address = 0\n\
                    attempts_per_account = 0\n[limits]\nlogin_attempts = 0\n\
                    [control]\nsocket = \"ask.sock\"\n[plugins]\ndirectory = \"plugins.d\"\n";

/// A site with that plugin, and no configuration of it.
fn site(name: &str) -> Site {
    let site = super::site(name, &[]);
    let named = configuration(MORE).replace("[[listener]]", "[[listener]]\nname = \"public\"");
    site.write("waft.toml", named);
    site.write("conf.d/plugin.toml", "");
    site
}

fn server(name: &str, settings: &str) -> Waft {
    let site = site(name);
    site.write("conf.d/plugin.toml", format!("[[plugin]]\nname = \"{name}\"\n{settings}"));
    site.serve()
}

/// The longest arguments of a verb: of letters, of a path to a short name, of what grows where it is
/// written in lower case, and of what is often taken away.
fn arguments(verb: &str) -> [String; 5] {
    let room = LINE_BYTES - verb.len() - " \r\n".len() - 1;
    let letters = format!("/mnt/{}", "A".repeat(room - 5));
    let path = format!("{}x", "./".repeat((room - 1) / 2));
    let growing = "İ".repeat(room / 2);
    let trimmed = format!(" -a \"C:\\{}\" ", "~\\".repeat((room - 10) / 2));
    let encoded = "%41".repeat(room / 3);
    [letters, path, growing, trimmed, encoded]
}

/// A path that is as long as one command can say, and leads to that file.
fn longest(verb: &str, path: &str) -> String {
    let room = LINE_BYTES - verb.len() - " \r\n".len() - 1 - path.len();
    format!("/{}{path}", "./".repeat((room - 1) / 2))
}

/// The longest name that a file may have.
fn name() -> String {
    "n".repeat(255)
}

/// The longest path that most disks take, without its slash at the beginning.
fn deep() -> String {
    vec!["d".repeat(255); 15].join("/")
}

/// Makes [`deep`] where the session is.
fn make_deep(client: &mut Ftp) {
    let whole = deep();
    for (end, _) in whole.match_indices('/').chain([(whole.len(), "")]) {
        client.expect(&format!("MKD {}", &whole[..end]), 257);
    }
}

/// Verbs that end a session or a login, or whose argument is a password.
const APART: [&str; 5] = ["PASS", "QUIT", "REIN", "USER", "ACCT"];

/// Commands within others, and words that the server has not.
const MORE_VERBS: [&str; 13] = [
    "CD",
    "GET",
    "LANG",
    "XTELL",
    "SITE CHECKSUM",
    "SITE CHMOD 644",
    "SITE UTIME",
    "SITE HELP",
    "OPTS UTF8",
    "OPTS MLST",
    "OPTS HASH",
    "OPTS MODE Z LEVEL",
    "HELP SITE",
];

/// The verbs that a server without plugins has, and some more.
fn verbs(client: &mut Ftp) -> Vec<String> {
    let help = client.expect("HELP", 214);
    let words = help.lines.iter().flat_map(|line| line.split_whitespace());
    let is_verb =
        |word: &&str| (3..=4).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_uppercase());
    let known = words.filter(is_verb).filter(|word| !APART.contains(word)).map(str::to_owned);
    let known: Vec<String> = known.collect();
    assert!(known.len() > 40, "{help:?}");
    known.into_iter().chain(MORE_VERBS.map(str::to_owned)).collect()
}

/// Commands and what they were answered.
type Told = Vec<(String, usize, Reply)>;

/// Sends each verb with each argument; every one gets its reply, and none that says that a plugin
/// failed.
fn send_all(client: &mut Ftp, verbs: &[String], told: &mut Told) {
    for verb in verbs {
        for (at, argument) in arguments(verb).into_iter().enumerate() {
            let reply = client.command(&format!("{verb} {argument}"));
            assert_ne!(reply.code, 451, "{verb}: {:?}", &reply.lines[0]);
            let more = reply.code == 150;
            told.push((verb.clone(), at, reply));
            if more {
                told.push((verb.clone(), at, client.reply()));
            }
        }
    }
}

/// What a stranger and an account send at their longest, and the replies.
fn talk(waft: &Waft, verbs: &[String]) -> Told {
    let mut told = Told::new();
    let mut stranger = waft.connect();
    for verb in ["USER", "PASS", "ACCT", "REIN"].repeat(2) {
        for (at, argument) in arguments(verb).into_iter().enumerate() {
            if verb == "PASS" {
                stranger.expect(&format!("USER {}", "u".repeat(255)), 331);
            }
            told.push((verb.to_owned(), at, stranger.command(&format!("{verb} {argument}"))));
        }
    }
    send_all(&mut stranger, verbs, &mut told);
    let mut alice = waft.log_in();
    send_all(&mut alice, verbs, &mut told);
    alice.expect("TYPE A", 200);
    told
}

/// What two servers have to say alike: not what the time and the file system make up.
fn alike(lines: &[String]) -> Vec<String> {
    let is_number = |letter: char| letter.is_ascii_digit();
    let of_numbers = |text: &str| text.split(is_number).collect::<String>();
    let alike = |line: &String| {
        let facts = line[3..].split(';').filter(|fact| !fact.starts_with("unique="));
        format!("{}{}", &line[..3], facts.map(of_numbers).collect::<Vec<_>>().join(";"))
    };
    lines.iter().map(alike).collect()
}

/// The replies that are not what they should be.
fn differences(with: &Told, without: &Told, says: fn(&str, &Reply) -> Vec<String>) -> Vec<String> {
    let mut differ = Vec::new();
    for ((verb, at, reply), (_, _, bare)) in with.iter().zip(without) {
        let lines = says(verb, bare);
        if alike(&reply.lines) != alike(&lines) {
            differ.push(format!("{verb} {at}: {:.120?} {:.120?}", reply.lines, lines));
        }
    }
    differ
}

/// How the plugin is, once all of its hooks were called and every event is with it.
fn status(waft: &Waft, case: &Case) -> Value {
    let mut control = Control::connect(&waft.path("ask.sock"));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let plugins = control.plugins();
        let plugin = &plugins["plugins"][0];
        let hooks = plugin["calls_by_hook"].as_array().unwrap();
        let called = |name: &str| hooks.iter().any(|it| it["hook"] == name && it["calls"] != 0);
        let waiting = plugin["events"]["waiting"].as_u64().unwrap_or(0);
        if case.hooks.iter().all(|(hook, _)| called(hook)) && waiting == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{}: some hook is not called: {plugin}", case.name);
        thread::yield_now();
    }
    let told = waft.waft(&["plugin", "status", "--json", "--config", "waft.toml"], "").succeeded();
    let all: Value = serde_json::from_slice(&told.stdout).unwrap();
    all[0].clone()
}

/// Checks that nothing is counted against the plugin, in any of its hooks, which are those of the
/// table.
fn assert_unharmed(waft: &Waft, case: &Case) {
    let name = case.name;
    let plugin = status(waft, case);
    assert_eq!((&plugin["name"], &plugin["state"]), (&json!(name), &json!("active")));
    let hooks: BTreeSet<&str> = case.hooks.iter().map(|(hook, _)| *hook).collect();
    let has: BTreeSet<&str> =
        plugin["hooks"].as_array().unwrap().iter().map(|hook| hook.as_str().unwrap()).collect();
    assert_eq!(hooks, has, "{name}");
    for count in [&plugin["counts"]].into_iter().chain(plugin["calls_by_hook"].as_array().unwrap())
    {
        for what in ["traps", "timeouts", "bad_verdicts", "not_made"] {
            assert_eq!(count[what], 0, "{name}: {what}: {count}");
        }
    }
    assert_eq!((&plugin["last_error"], &plugin["breaker_open"]), (&Value::Null, &json!(false)));
    let log = waft.log.text();
    for wrong in ["plugin failed", "could not be decided by plugin", "\"ERROR\""] {
        assert!(!log.contains(wrong), "{name}: {wrong}");
    }
}

#[test]
fn every_bundled_plugin_is_in_the_table() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let crates = fs::read_dir(plugins).unwrap().map(|entry| entry.unwrap().path());
    let crates = crates.filter(|it| it.join("Cargo.toml").is_file());
    let bundled: BTreeSet<String> =
        crates.map(|it| it.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let known: BTreeSet<String> = CASES.iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(known, bundled);
    for case in CASES {
        for (hook, gets) in case.hooks {
            let (Gets::Longest(what) | Gets::Nothing(what)) = gets;
            assert!(!what.is_empty(), "{}: {hook}", case.name);
        }
    }
}

#[test]
fn a_client_at_its_longest_makes_no_bundled_plugin_fail() {
    let bare = Site::new(MORE);
    bare.make("plugins.d");
    let bare = bare.serve();
    let verbs = verbs(&mut bare.connect());
    let without = talk(&bare, &verbs);
    // Every one is told that fails, and not the first alone.
    let failed: Vec<&str> = thread::scope(|scope| {
        let (verbs, without) = (&verbs, &without);
        let drive = |case| (case, scope.spawn(move || drive(case, verbs, without)));
        let driven: Vec<(&Case, _)> = CASES.iter().map(drive).collect();
        let failed = driven.into_iter().filter_map(|(case, it)| it.join().err().map(|_| case.name));
        failed.collect()
    });
    assert_eq!(failed, [""; 0]);
}

/// Has a server with the plugin hear all that clients send at their longest.
fn drive(case: &Case, verbs: &[String], without: &Told) {
    let web = Web::serve(table::answer);
    let site = site(case.name);
    let entry = (case.entry)(&site, &web);
    site.write("conf.d/plugin.toml", entry);
    let waft = site.serve();
    let with = talk(&waft, verbs);
    if let Some(says) = case.says {
        assert_eq!(with.len(), without.len(), "{}", case.name);
        let differ = differences(&with, without, says);
        assert!(differ.is_empty(), "{}:\n{}", case.name, differ.join("\n"));
    }
    (case.drive)(&waft, &web);
    assert_unharmed(&waft, case);
}

#[test]
fn a_long_name_gets_nobody_by_a_policy() {
    let waft = server(
        "command-policy",
        "on_error = \"allow\"\n[plugin.config]\ndeny = [\"delete\"]\n\
         message = \"{verb} {arg} is not for you\"\n",
    );
    waft.write("alice/victim", "mine");
    let mut alice = waft.log_in();
    let [letters, path, ..] = arguments("DELE victim");
    for _ in 0..6 {
        alice.expect(&format!("DELE {letters}"), 502);
        alice.expect(&format!("DELE {}victim", path.trim_end_matches('x')), 502);
    }
    alice.expect("DELE victim", 502);
    assert_eq!(waft.read("victim"), b"mine");
}

#[test]
fn a_stranger_shuts_no_authenticator_by_names_that_nobody_has() {
    // The service lets everybody in.
    let web = Web::serve(|_| (200, json!({}).to_string()));
    let site = site("auth-http");
    let base = site.path("").canonicalize().unwrap();
    site.write("ftp/carol/a.txt", "carol");
    site.write("conf.d/plugin.toml", table::auth_http(&site, &web));
    let waft = site.serve();
    for user in ["u".repeat(600), "u".repeat(8000), "a\u{1}b".to_owned()] {
        for _ in 0..3 {
            let mut stranger = waft.connect();
            stranger.expect(&format!("USER {user}"), 331);
            stranger.expect("PASS right", 530);
        }
    }
    let mut carol = waft.connect();
    carol.log_in("carol", "right");
    assert_eq!(carol.fetch("RETR a.txt"), b"carol");
    assert!(base.join("ftp/carol").is_dir());
    let line = waft.log.wait("the failure", |line| line.message() == "login failed");
    assert_eq!(line.field("reason"), "unknown user");
    assert!(!waft.log.text().contains("plugin failed"));
}
