//! The directory of plugins: whom it is left to, and what lies in it that is no component, through the
//! server as it is run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use support::folder::{COMPONENT, KEPT, answer, deny, site, until};
use support::plugin::{another, component};
use support::site::Site;
use support::waft::Waft;

fn link(site: &Site, name: &str, target: &str) {
    symlink(target, site.path(name)).unwrap();
}

fn reload(waft: &Waft) -> String {
    let done = waft.site.waft(&["plugin", "reload", "--config", "waft.toml"], "");
    done.stdout() + &done.stderr()
}

/// Checks that `waft check` tells this of the site, with its remedy.
#[track_caller]
fn assert_told(site: &Site, expected: &[&str]) {
    let checked = site.waft(&["check", "--config", "waft.toml"], "");
    let here = fs::canonicalize(site.path("")).unwrap().display().to_string();
    let told = checked.stderr().replace(&format!("{here}/"), "");
    assert_eq!(checked.status.code(), Some(2), "{told}");
    for expected in expected {
        assert!(told.contains(expected), "{expected}\n--- is not in\n{told}");
    }
}

#[test]
fn what_a_client_uploads_never_comes_into_force_through_a_link() {
    let site = site("");
    site.write("alice/up.wasm", component("command-policy"));
    link(&site, COMPONENT, "../alice/up.wasm");
    assert_told(
        &site,
        &[
            "plugin command-policy (",
            "leads to alice/up.wasm, and alice can change code there: it is within the root of that \
             account",
            "remedy: move alice/up.wasm out of every root",
        ],
    );
    let site = self::site("on_load_error = \"disable\"\n");
    site.write("lib/one.wasm", component("command-policy"));
    site.write("plugins.d/command-policy.toml", deny("One."));
    link(&site, COMPONENT, "../lib/one.wasm");
    let waft = site.serve();
    assert_eq!(answer(&waft), ["502 One."]);
    let mut ftp = waft.log_in();
    let other = another(&component("command-policy"));
    ftp.put("STOR up.wasm", &other);
    let line = until(
        &waft,
        |site| {
            link(site, "plugins.d/.next", "../alice/up.wasm");
            fs::rename(site.path("plugins.d/.next"), site.path(COMPONENT)).unwrap();
        },
        KEPT,
    );
    assert!(line.field("reason").contains("alice can change code there"), "{line:?}");
    let told = reload(&waft);
    assert!(told.contains("alice can change code there"), "{told}");
    assert_eq!(answer(&waft), ["502 One."]);
}

#[test]
fn nor_do_settings_scenarios_and_signatures_through_one() {
    for part in ["command-policy.toml", "command-policy.scenario.txt"] {
        let site = site("");
        site.write(COMPONENT, component("command-policy"));
        site.write("alice/set.txt", deny("One."));
        link(&site, &format!("plugins.d/{part}"), "../alice/set.txt");
        let told = "leads to alice/set.txt, and alice can change code there";
        assert_told(
            &site,
            &[&format!("plugins.d/{part}: {told}"), "remedy: move alice/set.txt out"],
        );
    }
    let site = site("public_key = \"public.pem\"\n");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    site.write("key.pem", key.serialize_pem());
    site.write("public.pem", key.public_key_pem());
    site.write(COMPONENT, component("command-policy"));
    site.waft(&["plugin", "sign", COMPONENT, "--key", "key.pem"], "").succeeded();
    let signature = format!("{COMPONENT}.sig");
    fs::rename(site.path(&signature), site.path("alice/up.sig")).unwrap();
    link(&site, &signature, "../alice/up.sig");
    assert_told(&site, &[&format!("{signature}: leads to alice/up.sig, and alice can change")]);
}

#[test]
fn a_link_through_a_folder_that_others_write_to_is_refused_and_one_within_the_folder_is_not() {
    let site = site("");
    site.write("open/inner/one.wasm", component("command-policy"));
    fs::set_permissions(site.path("open"), Permissions::from_mode(0o777)).unwrap();
    link(&site, COMPONENT, "../open/inner/one.wasm");
    assert_told(&site, &["open is writable by others (mode 777)", "remedy: chmod go-w ", "open"]);

    let site = self::site("");
    site.write("plugins.d/v1/one.wasm", component("command-policy"));
    site.write("plugins.d/v1/one.toml", deny("One."));
    site.write("plugins.d/v2/one.wasm", component("command-policy"));
    site.write("plugins.d/v2/one.toml", deny("Two."));
    link(&site, "plugins.d/now", "v1");
    link(&site, COMPONENT, "now/one.wasm");
    link(&site, "plugins.d/command-policy.toml", "now/one.toml");
    let waft = site.serve();
    assert_eq!(answer(&waft), ["502 One."]);
    let swap = |site: &Site| {
        link(site, "plugins.d/next", "v2");
        fs::rename(site.path("plugins.d/next"), site.path("plugins.d/now")).unwrap();
    };
    until(&waft, swap, "plugin replaced");
    assert_eq!(answer(&waft), ["502 Two."]);
    // Judged at every look, also where the file is the same.
    let open = |site: &Site| {
        fs::set_permissions(site.path("plugins.d/v2"), Permissions::from_mode(0o777)).unwrap();
        site.write("plugins.d/look", "");
    };
    let line = until(&waft, open, KEPT);
    assert!(line.field("reason").contains("v2 is writable by others (mode 777)"), "{line:?}");
}

/// What is told of a file with a second name, with its remedy, where `here` is the site.
fn told_of_names(here: &str, part: &str) -> (String, String) {
    let file = format!("{here}/plugins.d/{part}");
    let message = format!(
        "{file} has 2 names, and alice can change it if one of them is within {here}/alice"
    );
    let remedy =
        format!("make it a file of its own: cp -p {file} {file}.own && mv {file}.own {file}");
    (message, remedy)
}

#[test]
fn a_file_with_a_second_name_is_taken_and_told_of_everywhere_in_the_same_words() {
    for part in ["command-policy.wasm", "command-policy.toml", "command-policy.scenario.txt"] {
        let site = site("");
        let here = fs::canonicalize(site.path("")).unwrap().display().to_string();
        let text = fs::read_to_string(site.path("waft.toml")).unwrap();
        site.write("waft.toml", text.replace("plugins.d", &format!("{here}/plugins.d")));
        site.write(COMPONENT, component("command-policy"));
        site.write("plugins.d/command-policy.toml", deny("One."));
        site.write("plugins.d/command-policy.scenario.txt", "login\n");
        let file = site.path("plugins.d").join(part);
        fs::hard_link(&file, site.path("lib")).unwrap();
        let (message, remedy) = told_of_names(&here, part);
        let ask = |site: &Site, arguments: &[&str]| {
            let arguments = [arguments, &["--config", "waft.toml"]].concat();
            site.waft(&arguments, "")
        };
        let checked = ask(&site, &["check"]).succeeded().stderr();
        let expected = format!("plugin command-policy: {message}\n  remedy: {remedy}\n");
        assert!(checked.contains(&expected), "{checked}");
        assert_eq!(checked.matches("has 2 names").count(), 1, "{checked}");
        let waft = site.serve();
        let line = waft.log.wait("the concern", |line| line.message() == message);
        assert_eq!(
            (line.field("level"), line.field("plugin"), line.field("remedy")),
            ("WARN", "command-policy", &*remedy),
        );
        assert_eq!(answer(&waft), ["502 One."]);
        let listed = ask(&waft, &["plugin", "list"]).succeeded().stdout();
        let expected = format!("command-policy: {message}\n  remedy: {remedy}\n");
        assert!(listed.contains(&expected), "{listed}");
        let status = ask(&waft, &["plugin", "status"]).succeeded().stdout();
        let expected = format!("concern                 {message}\n  remedy: {remedy}\n");
        assert!(status.contains(&expected), "{status}");
        // It is told once, and not at every look.
        ask(&waft, &["plugin", "reload"]).succeeded();
        let times = waft.log.lines().iter().filter(|line| line.message() == message).count();
        assert_eq!(times, 1);
        // The remedy is one.
        let (_, command) = remedy.split_once(": ").unwrap();
        let done = std::process::Command::new("sh").args(["-c", command]).status().unwrap();
        assert!(done.success());
        ask(&waft, &["plugin", "reload"]).succeeded();
        let listed = ask(&waft, &["plugin", "list"]).succeeded().stdout();
        assert!(!listed.contains("remedy"), "{listed}");
        assert_eq!(answer(&waft), ["502 One."]);
    }
}

#[test]
fn nothing_is_told_of_a_second_name_where_no_client_changes_files() {
    let site = site("");
    let text = fs::read_to_string(site.path("waft.toml")).unwrap();
    let root = "root = \"alice\"\n";
    let reads = format!("{root}permissions = [\"list\", \"read\"]\n");
    site.write("waft.toml", text.replace(root, &reads));
    site.write(COMPONENT, component("command-policy"));
    fs::hard_link(site.path(COMPONENT), site.path("alice/down.wasm")).unwrap();
    let checked = site.waft(&["check", "--config", "waft.toml"], "").succeeded().stderr();
    assert!(!checked.contains("2 names"), "{checked}");
}

#[test]
fn what_others_may_write_to_under_a_second_name_is_refused_under_the_first() {
    let site = site("");
    site.write(COMPONENT, component("command-policy"));
    site.write("plugins.d/command-policy.toml", deny("One."));
    site.write("open/here", "");
    fs::hard_link(site.path("plugins.d/command-policy.toml"), site.path("open/set.toml")).unwrap();
    let waft = site.serve();
    fs::set_permissions(waft.path("open/set.toml"), Permissions::from_mode(0o666)).unwrap();
    let told = reload(&waft);
    assert!(told.contains("command-policy.toml is writable by others (mode 666)"), "{told}");
    assert_eq!(answer(&waft), ["502 One."]);
}

fn pipe(site: &Site, name: &str) {
    let path = site.path(name);
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap();
}

/// Makes something of that name in a site.
type Make = dyn Fn(&Site, &str);

#[test]
fn what_is_no_file_is_told_and_not_passed_over() {
    let cases: [(&str, &Make, &str); 5] = [
        ("a pipe", &pipe, "a pipe, a socket or a device, not a file"),
        ("a directory", &|site, name| drop(site.make(name)), "a directory, not a file"),
        ("nowhere", &|site, name| link(site, name, "none"), "a link that leads nowhere: none"),
        ("a device", &|site, name| link(site, name, "/dev/zero"), "a pipe, a socket or a device"),
        ("empty", &|site, name| site.write(name, ""), "an empty file"),
    ];
    for (what, make, told) in cases {
        let site = site("");
        make(&site, COMPONENT);
        assert_told(&site, &[told, "\n  remedy: "]);
        for part in ["toml", "scenario.txt"] {
            // An empty scenario goes as it is written, and empty settings say nothing.
            if what == "empty" {
                continue;
            }
            let site = self::site("");
            site.write(COMPONENT, component("command-policy"));
            make(&site, &format!("plugins.d/command-policy.{part}"));
            assert_told(&site, &[&format!("command-policy.{part}: {told}"), "\n  remedy: "]);
        }
    }
    let site = site("");
    site.write(COMPONENT, "garbage");
    assert_told(&site, &["not a WebAssembly component", "remedy: build it anew, copy it beside"]);
}

#[test]
fn a_link_that_leads_nowhere_any_more_leaves_the_version_in_force() {
    let site = site("");
    site.write("lib/one.wasm", component("command-policy"));
    site.write("plugins.d/command-policy.toml", deny("One."));
    link(&site, COMPONENT, "../lib/one.wasm");
    let waft = site.serve();
    fs::remove_file(waft.path("lib/one.wasm")).unwrap();
    let told = reload(&waft);
    assert!(told.contains("a link that leads nowhere: ../lib/one.wasm"), "{told}");
    assert_eq!(answer(&waft), ["502 One."]);
}

#[test]
fn what_was_disabled_comes_back_as_it_was_where_its_file_was_spoilt_meanwhile() {
    let site = site("");
    site.write(COMPONENT, component("command-policy"));
    site.write("plugins.d/command-policy.toml", deny("One."));
    let waft = site.serve();
    let ask =
        |what| waft.site.waft(&["plugin", what, "command-policy", "--config", "waft.toml"], "");
    ask("disable").succeeded();
    assert_eq!(waft.log_in().command("CWD /").code, 250);
    waft.site.write("plugins.d/.new", "garbage");
    fs::rename(waft.path("plugins.d/.new"), waft.path(COMPONENT)).unwrap();
    let told = ask("enable");
    assert_eq!(told.status.code(), Some(1));
    let expected = "command-policy: kept: not a WebAssembly component";
    assert!(told.stdout().starts_with(expected), "{told:?}");
    assert_eq!(answer(&waft), ["502 One."]);
}

#[test]
fn a_scenario_that_is_not_there_makes_no_sense() {
    let site = site("");
    site.write(COMPONENT, component("command-policy"));
    let told = site.waft(&["plugin", "test", COMPONENT, "--scenario", "missing.txt"], "");
    assert_eq!(told.status.code(), Some(2), "{told:?}");
    assert!(told.stderr().contains("missing.txt: No such file"), "{told:?}");
}

#[test]
fn a_pattern_is_no_host_that_is_granted() {
    let site = Site::new(
        "[plugins]\ndirectory = \"plugins.d\"\n[[plugin]]\nname = \"auth-http\"\n\
         [plugin.grant]\nhttp = [\"https://*.example.org\"]\n",
    );
    site.write("plugins.d/auth-http.wasm", component("auth-http"));
    assert_told(
        &site,
        &[
            "a host is granted by its whole name, not by a pattern: https://*.example.org",
            "\n  remedy: ",
        ],
    );
}

#[test]
fn an_archive_is_unpacked_into_the_folder_of_a_server_that_runs_and_is_in_force() {
    let author = site("");
    let scenario = "login\n> CWD /\n< 502 Packed.\n";
    author.write("command-policy.wasm", component("command-policy"));
    author.write("command-policy.toml", deny("Packed."));
    author.write("command-policy.scenario.txt", scenario);
    author.waft(&["plugin", "pack", "command-policy.wasm"], "").succeeded();
    let waft = site("").serve();
    assert_eq!(waft.log_in().command("CWD /").code, 250);
    let archive = author.path("command-policy.tar").display().to_string();
    let unpack = |site: &Site, more: &[&str]| {
        let command = ["plugin", "unpack", &archive, "--into", "plugins.d"];
        site.waft(&[&command, more].concat(), "").succeeded()
    };
    let unpacked = |site: &Site| assert_eq!(unpack(site, &[]).lines()[2], COMPONENT);
    until(&waft, unpacked, "plugin loaded");
    assert_eq!(answer(&waft), ["502 Packed."]);
    // The next version, beside sessions that go on.
    author.write("command-policy.wasm", another(&component("command-policy")));
    author.write("command-policy.toml", deny("Packed again."));
    author.write("command-policy.scenario.txt", scenario.replace("Packed", "Packed again"));
    author.waft(&["plugin", "pack", "command-policy.wasm"], "").succeeded();
    until(&waft, |site| drop(unpack(site, &["--overwrite"])), "plugin replaced");
    assert_eq!(answer(&waft), ["502 Packed again."]);
}
