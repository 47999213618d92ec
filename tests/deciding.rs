//! Plugins that decide who is served, who logs in and what is done to files, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::os::unix::fs::symlink;

use support::ftp::{Ftp, connect};
use support::log::Line;
use support::plugin::component;
use support::site::{PASSWORD, Site, USER, hash};
use support::waft::Waft;

/// A site with a component in its folder, with that entry.
fn site(name: &str, entry: &str) -> Site {
    let site = Site::new("[login]\nfailure_delay = \"0s\"\n[plugins]\ndirectory = \"plugins.d\"\n");
    site.write(format!("plugins.d/{name}.wasm"), component(&format!("tests/{name}")));
    site.write("conf.d/plugin.toml", format!("[[plugin]]\nname = \"{name}\"\n{entry}\n"));
    site
}

/// A server whose plugin decides about connections and files.
fn deciding(config: &str) -> Waft {
    site("decider", &format!("[plugin.config]\n{config}")).serve()
}

/// A server whose plugin lets in `bob`, who has the usual password and his files in `guests/bob`,
/// and by other rules others.
fn with_porter(rules: &str) -> Waft {
    let site = site("porter", "");
    let guests = site.make("guests/bob").parent().unwrap().canonicalize().unwrap();
    site.write("guests/bob/a.txt", "hello");
    symlink(site.path("alice"), site.path("guests/mallory")).unwrap();
    let (guests, hash) = (guests.display(), hash());
    site.write(
        "conf.d/plugin.toml",
        format!(
            "[[plugin]]\nname = \"porter\"\n\
             [plugin.grant]\nstorage = [\"{guests}\"]\n\
             [plugin.config]\nlogin = [\"bob verify {hash}\", {rules}]\n\
             storage = \"local:{guests}/bob\"\npermissions = [\"list\", \"read\"]\n\
             limits = [\"max.sessions = 1\"]\ngroups = [\"staff\", \"web\"]\n"
        ),
    );
    site.serve()
}

fn text(client: &mut Ftp, command: &str, code: u16) -> String {
    client.expect(command, code).text().to_owned()
}

/// A line of the plugin about that.
fn told<'a>(plugin: &'a str, message: &'a str) -> impl Fn(&Line) -> bool + 'a {
    move |line: &Line| line.message() == message && line.field("plugin") == plugin
}

#[test]
fn a_plugins_account_is_confined_to_what_the_operator_grants() {
    let waft = with_porter("\"carol accept\"");
    let mut client = waft.connect();
    client.expect("USER bob", 331);
    assert_eq!(text(&mut client, "PASS wrong", 530), "Login incorrect.");
    client.log_in("bob", PASSWORD);
    assert_eq!(client.fetch("RETR a.txt"), b"hello");
    assert_eq!(text(&mut client, "PWD", 257), "\"/\" is the working directory.");
    client.expect("CWD ..", 250);
    client.expect("SIZE /bob/a.txt", 550);
    client.expect("DELE a.txt", 550);
    // One session at a time, and not more.
    let mut second = waft.connect();
    second.expect("USER bob", 331);
    second.expect(&format!("PASS {PASSWORD}"), 530);
    let line = waft.log.wait("who was accepted", told("porter", "accepted by plugin"));
    assert_eq!((line.field("user"), line.field("account")), ("bob", "guest"));
    // Whom the plugin does not know, the server's own accounts may.
    waft.connect().log_in(USER, PASSWORD);
}

#[test]
fn no_link_leads_a_plugins_account_out_of_what_is_granted() {
    let waft = with_porter("\"carol accept\"");
    let site = std::fs::read_to_string(waft.path("conf.d/plugin.toml")).unwrap();
    std::fs::write(waft.path("conf.d/plugin.toml"), site.replace("/bob\"", "/mallory\"")).unwrap();
    waft.signal(rustix::process::Signal::HUP);
    waft.log.wait("reloading", |line| line.message() == "configuration reloaded");
    let mut client = waft.connect();
    client.expect("USER carol", 331);
    assert_eq!(text(&mut client, "PASS x", 530), "Login incorrect.");
    let line = waft.log.wait("the storage", told("porter", "account cannot be opened"));
    assert!(line.field("storage").ends_with("guests/mallory"), "{line:?}");
}

#[test]
fn a_plugins_account_has_no_more_sessions_than_every_account() {
    let waft = with_porter("\"carol accept\"");
    let entry = std::fs::read_to_string(waft.path("conf.d/plugin.toml")).unwrap();
    let entry = entry.replace("\"max.sessions = 1\"", "");
    let entry = format!("[limits]\nsessions_per_user = 2\n{entry}");
    waft.and_wait(
        |site| site.write("conf.d/plugin.toml", entry),
        "reloading",
        |line| line.message() == "configuration reloaded",
    );
    // Both are the account "guest".
    let (mut first, mut second, mut third) = (waft.connect(), waft.connect(), waft.connect());
    first.log_in("bob", PASSWORD);
    second.log_in("carol", PASSWORD);
    third.expect("USER bob", 331);
    let refused = text(&mut third, &format!("PASS {PASSWORD}"), 530);
    assert_eq!(refused, "Too many sessions of this account.");
}

#[test]
fn a_plugins_accounts_are_never_given_the_folder_of_plugins() {
    let waft = with_porter("\"carol accept\"");
    let guests = waft.path("guests").canonicalize().unwrap().display().to_string();
    let all = waft.path("").canonicalize().unwrap().display().to_string();
    let entry = std::fs::read_to_string(waft.path("conf.d/plugin.toml")).unwrap();
    let entry = entry.replace(&format!("{guests}/bob"), &all).replace(&guests, &all);
    let entry = entry.replace("\"list\", \"read\"", "\"write\"");
    let mistake = waft.and_wait(
        |site| site.write("conf.d/plugin.toml", entry),
        "the mistake",
        |line| line.message().contains("an account of porter can change code here"),
    );
    assert_eq!(mistake.field("key"), "plugins.directory");
    assert!(mistake.field("place").contains("waft.toml:"), "{mistake:?}");
    waft.log.wait("the end of it", |line| {
        line.message() == "configuration not reloaded: the one before stays in force"
    });
    // Who gets in has what was granted before.
    let mut client = waft.connect();
    client.log_in("bob", PASSWORD);
    assert_eq!(client.fetch("NLST"), b"a.txt\r\n");
    client.expect("CWD plugins.d", 550);
}

#[test]
fn an_authenticator_denies_asks_for_an_account_and_breaks() {
    let waft =
        with_porter("\"carol deny not today\", \"dan need 42\", \"eve trap\", \"fay as bob\"");
    let mut client = waft.connect();
    for user in ["carol", "eve"] {
        client.expect(&format!("USER {user}"), 331);
        assert_eq!(text(&mut client, "PASS x", 530), "Login incorrect.");
    }
    let line = waft.log.wait("a denial", told("porter", "denied by plugin"));
    assert_eq!((line.field("user"), line.field("reason")), ("carol", "not today"));
    waft.log.wait("a failure", told("porter", "login could not be decided by plugin"));
    let mut client = waft.connect();
    client.expect("USER dan", 331);
    client.expect("PASS x", 332);
    client.expect("ACCT 42", 230);
    // Replaced for those behind, among whom is no bob.
    let mut client = waft.connect();
    client.expect("USER fay", 331);
    client.expect(&format!("PASS {PASSWORD}"), 530);
    let line = waft.log.wait("a name", told("porter", "credentials replaced by plugin"));
    assert_eq!((line.field("original"), line.field("user")), ("fay", "bob"));
}

#[test]
fn an_account_that_says_too_much_of_itself_is_refused_alone() {
    let waft = with_porter("\"carol deny not today\"");
    let entry = std::fs::read_to_string(waft.path("conf.d/plugin.toml")).unwrap();
    let entry = format!("{entry}attributes = {{ note = \"{}\" }}\n", "x".repeat(20_000));
    waft.and_wait(
        |site| site.write("conf.d/plugin.toml", entry),
        "reloading",
        |line| line.message() == "configuration reloaded",
    );
    // More often than a plugin may fail before it is not asked for a while.
    for _ in 0..8 {
        let mut client = waft.connect();
        client.expect("USER bob", 331);
        assert_eq!(text(&mut client, &format!("PASS {PASSWORD}"), 530), "Login incorrect.");
    }
    let line = waft.log.wait("the failure", told("porter", "plugin failed"));
    let reason = "bad verdict: an account with 2 attributes of 20019 bytes, at most 64 and 16384";
    assert_eq!(line.field("reason"), reason);
    assert!(line.field("remedy").starts_with("have it tell "), "{line:?}");
    let mut client = waft.connect();
    client.expect("USER carol", 331);
    client.expect("PASS x", 530);
    waft.log.wait("a denial", told("porter", "denied by plugin"));
}

#[test]
fn who_guesses_at_a_plugins_accounts_is_locked_out() {
    let waft = with_porter("\"carol deny\"");
    for _ in 0..10 {
        let mut client = waft.connect();
        client.expect("USER bob", 331);
        client.expect("PASS wrong", 530);
    }
    let mut client = waft.connect();
    client.expect("USER bob", 331);
    client.expect(&format!("PASS {PASSWORD}"), 530);
    waft.log.wait("lock-out", |line| {
        line.message() == "login failed" && line.field("reason") == "locked out"
    });
}

#[test]
fn an_authenticator_that_would_fail_open_is_a_mistake_with_its_place() {
    let site = site("porter", "on_error = \"allow\"");
    let checked = site.waft(&["check", "--config", "waft.toml"], "");
    assert!(!checked.status.success());
    let told = checked.stderr() + &checked.stdout();
    assert!(told.contains("plugin.toml:3"), "{told}");
    assert!(told.contains("set on_error = \"deny\" for it"), "{told}");
}

#[test]
fn a_client_is_rejected_or_dropped_before_it_is_greeted() {
    let waft = deciding("connect = \"554 Not from there.\"");
    let mut client = Ftp::of(connect(waft.address()));
    assert_eq!(client.line().unwrap().trim_end(), "554 Not from there.");
    client.expect_end();
    let line = waft.log.wait("who", told("decider", "connection rejected by plugin"));
    assert!(line.span().to_string().contains("127.0.0.1"), "{line:?}");
    let waft = deciding("connect = \"drop\"");
    Ftp::of(connect(waft.address())).expect_end();
    waft.log.wait("who", told("decider", "connection dropped by plugin"));
}

#[test]
fn files_are_redirected_denied_and_hidden() {
    let waft = deciding(
        "files = [\"write /up.txt redirect /in/up.txt\", \"remove /keep.txt deny 550 Keep it.\"]\n\
         hide = [\"secret.txt\"]",
    );
    std::fs::create_dir(waft.file("in")).unwrap();
    std::fs::write(waft.file("keep.txt"), "k").unwrap();
    std::fs::write(waft.file("secret.txt"), "s").unwrap();
    let mut client = waft.log_in();
    client.put("STOR up.txt", b"up");
    assert_eq!(std::fs::read(waft.file("in/up.txt")).unwrap(), b"up");
    assert!(!waft.file("up.txt").exists());
    let line = waft.log.wait("a redirection", told("decider", "path redirected"));
    assert_eq!((line.field("original"), line.field("path")), ("/up.txt", "/in/up.txt"));
    assert_eq!(text(&mut client, "DELE keep.txt", 550), "Keep it.");
    let listed = String::from_utf8(client.fetch("NLST")).unwrap();
    let mut names: Vec<_> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["in", "keep.txt"]);
    let line = waft.log.wait("what is hidden", told("decider", "entries hidden by plugin"));
    assert_eq!(line.value("hidden"), 1);
    client.expect("SIZE secret.txt", 213);
}

#[test]
fn hooks_know_the_groups_and_the_limits_of_a_plugins_account() {
    let waft = with_porter("\"carol accept\"");
    let config = "[[plugin]]\nname = \"decider\"\n\
                  [plugin.config]\nfiles = [\"enter /x tell groups\", \"enter /y tell acct\", \
                  \"enter /z tell max.sessions\"]\n";
    std::fs::write(waft.path("plugins.d/decider.wasm"), component("tests/decider")).unwrap();
    std::fs::write(waft.path("conf.d/z.toml"), config).unwrap();
    waft.signal(rustix::process::Signal::HUP);
    waft.log.wait("reloading", |line| line.message() == "configuration reloaded");
    let mut client = waft.connect();
    client.log_in("bob", PASSWORD);
    assert_eq!(text(&mut client, "CWD x", 550), "staff,web");
    assert_eq!(text(&mut client, "CWD y", 550), "nothing");
    assert_eq!(text(&mut client, "CWD z", 550), "1");
}

#[test]
fn what_only_the_server_can_do_no_plugin_says_is_done() {
    let answers = "answer.AUTH = \"234 Go ahead\"\nanswer.REST = \"350 fine\"\n\
                   answer.STOR = \"226 Transfer complete.\"\nreply.USER = \"332 Account?\"\n\
                   answer.SITE = \"200 OK\"\nanswer.MODE = \"504 no\"\n";
    let waft = site("echo-verdict", &format!("[plugin.config]\n{answers}")).serve();
    let mut client = waft.connect();
    assert_eq!(text(&mut client, &format!("USER {USER}"), 331), "Password, please.");
    client.expect(&format!("PASS {PASSWORD}"), 230);
    client.expect("SITE anything", 200);
    assert_eq!(text(&mut client, "MODE Z", 504), "no");
    for command in ["AUTH TLS", "REST 5", "STOR a"] {
        assert_eq!(text(&mut client, command, 451), "Local error: plugin failed.");
    }
    for (hook, reason) in [
        ("reply-filter", "bad verdict: the reply 331 may not become 332: it tells what happened"),
        (
            "command-filter",
            "bad verdict: AUTH may be refused with 4yz or 5yz, not answered: only the server can do what it \
             asks for: 234",
        ),
    ] {
        let line = waft.log.wait("why", |line| {
            line.message() == "plugin failed" && line.field("reason") == reason
        });
        assert_eq!((line.field("plugin"), line.field("hook")), ("echo-verdict", hook));
    }
}
