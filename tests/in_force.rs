//! What brings versions of plugins into force, in which order, and what outlives them, through the
//! server as it is run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::fs;

use rustix::process::Signal;
use support::control::Control;
use support::folder::site;
use support::ftp::Ftp;
use support::plugin::{another, component};
use support::site::{CHEAP_HASH, PASSWORD, Site, USER};
use support::waft::Waft;

/// Renames a file into the folder of plugins, as whoever exchanges one does.
fn put(site: &Site, name: &str, octets: impl AsRef<[u8]>) {
    site.write("plugins.d/.new", octets);
    fs::rename(site.path("plugins.d/.new"), site.path("plugins.d").join(name)).unwrap();
}

fn digest(waft: &Waft) -> String {
    let plugins = Control::connect(&waft.path("state/control.sock")).plugins();
    plugins["plugins"][0]["sha256"].as_str().unwrap().to_owned()
}

#[test]
fn a_version_that_fails_on_probation_gives_way_to_the_one_before() {
    let site = site(
        "[[plugin]]\nname = \"hostile\"\n[plugin.config]\ncommand = \"trap\"\nverbs = [\"NOOP\"]\n",
    );
    let first = component("tests/hostile");
    put(&site, "hostile.wasm", &first);
    let waft = site.serve();
    let before = digest(&waft);
    let second = another(&first);
    waft.and_wait(
        |site| put(site, "hostile.wasm", &second),
        "the new version",
        |line| line.message() == "plugin replaced",
    );
    assert_ne!(digest(&waft), before);
    let mut ftp = waft.log_in();
    for _ in 0..5 {
        ftp.expect("NOOP", 451);
    }
    let told = waft.log.wait("the rollback", |line| {
        line.message() == "plugin rolled back, the version before is in force again"
    });
    assert!(told.field("reason").ends_with(": it failed on probation"), "{told:?}");
    assert_eq!(digest(&waft), before);
    // Its content is not taken again, until an operator asks for it.
    let reload = ["plugin", "reload", "hostile", "--config", "waft.toml"];
    put(&waft.site, "hostile.wasm", &first);
    waft.waft(&reload, "").succeeded();
    assert_eq!(digest(&waft), before);
    ftp.expect("PWD", 257);
}

/// What `command-policy` takes and `tests/hostile` does not, and the other way round.
const DENYING: &str = "[config]\ndeny = [\"CWD\"]\n";
const TRAPPING: &str = "[config]\ncommand = \"trap\"\nverbs = [\"NOOP\"]\n";

const ROLLED_BACK: &str = "plugin rolled back, the version before is in force again";

/// A server with `command-policy` as `p`, its settings beside it: `more` stands in both versions of
/// them.
fn policy(more: &str) -> Waft {
    let site = site("debounce = \"500ms\"\n");
    put(&site, "p.wasm", component("command-policy"));
    put(&site, "p.toml", format!("{more}{DENYING}"));
    site.serve()
}

/// Exchanges both files for those of the hostile one.
fn exchange(waft: &Waft, more: &str, message: &str) {
    let both = |site: &Site| {
        put(site, "p.wasm", component("tests/hostile"));
        put(site, "p.toml", format!("{more}{TRAPPING}"));
    };
    waft.and_wait(both, message, |line| line.message() == message);
}

/// The digests of the component in force and of its settings.
fn version(waft: &Waft) -> [String; 2] {
    let plugins = Control::connect(&waft.path("state/control.sock")).plugins();
    ["sha256", "config_sha256"].map(|key| plugins["plugins"][0][key].as_str().unwrap().to_owned())
}

#[test]
fn a_component_and_the_settings_beside_it_go_back_together() {
    let waft = policy("");
    let first = version(&waft);
    exchange(&waft, "", "plugin replaced");
    let second = version(&waft);
    let mut ftp = waft.log_in();
    ftp.expect("CWD /", 250);
    let mark = waft.log.mark();
    (0..5).for_each(|_| drop(ftp.expect("NOOP", 451)));
    let told = waft.log.wait_since(mark, "the rollback", |line| line.message() == ROLLED_BACK);
    assert_eq!((told.field("plugin"), told.value("generation").as_u64()), ("p", Some(3)));
    assert!(told.field("remedy").contains("waft plugin reload p"), "{told:?}");
    assert_eq!(version(&waft), first);
    ftp.expect("NOOP", 200);
    ftp.expect("CWD /", 502);
    let told = waft.site.waft(&["plugin", "status", "p", "--config", "waft.toml"], "");
    let told = told.succeeded().stdout();
    let [component, config] = second;
    let reason =
        format!("rolled back from {component} with config {config}: it failed on probation");
    for part in [reason.as_str(), &first[0], &first[1], "\nconfig digest "] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // An operator may try it once more, and go back by hand.
    waft.waft(&["plugin", "reload", "p", "--config", "waft.toml"], "").succeeded();
    ftp.expect("CWD /", 250);
    waft.waft(&["plugin", "rollback", "p", "--config", "waft.toml"], "").succeeded();
    ftp.expect("CWD /", 502);
}

#[test]
fn a_component_and_the_settings_beside_it_are_tried_together() {
    let waft = policy("canary = \"50%\"\n");
    exchange(&waft, "canary = \"50%\"\n", "plugin tried on a share of sessions");
    let (mut new, mut old) = (Vec::new(), Vec::new());
    for mut ftp in (0..12).map(|_| waft.log_in()) {
        if ftp.command("CWD /").code == 250 { new.push(ftp) } else { old.push(ftp) }
    }
    assert!((3..=9).contains(&new.len()), "{}", new.len());
    old.iter_mut().for_each(|ftp| drop(ftp.expect("NOOP", 200)));
    // It fails where it is tried alone, and is given up.
    let mark = waft.log.mark();
    (0..5).for_each(|at| {
        let at = at % new.len();
        new[at].expect("NOOP", 451);
    });
    waft.log.wait_since(mark, "the end of the trial", |line| line.message() == ROLLED_BACK);
    new.iter_mut().chain(&mut old).for_each(|ftp| drop(ftp.expect("CWD /", 502)));
}

#[test]
fn settings_alone_are_on_probation_and_go_back() {
    let entry = |verb: &str| {
        format!(
            "[[plugin]]\nname = \"hostile\"\n[plugin.config]\ncommand = \"trap\"\n\
             verbs = [\"{verb}\"]\n"
        )
    };
    let site = site(&entry("ALLO"));
    put(&site, "hostile.wasm", component("tests/hostile"));
    let waft = site.serve();
    let first = version(&waft);
    let text = fs::read_to_string(waft.path("waft.toml")).unwrap();
    let reload = |text: &str| {
        let is = |line: &support::log::Line| line.message() == "configuration reloaded";
        waft.and_wait(|site| site.write("waft.toml", text), "the configuration", is);
    };
    let other = text.replace("ALLO", "NOOP");
    reload(&other);
    let mut ftp = waft.log_in();
    let mark = waft.log.mark();
    (0..5).for_each(|_| drop(ftp.expect("NOOP", 451)));
    waft.log.wait_since(mark, "the rollback", |line| line.message() == ROLLED_BACK);
    assert_eq!(version(&waft), first);
    ftp.expect("NOOP", 200);
    // The same is not taken again, whatever else is written.
    reload(&other.replace("name = \"hostile\"\n", "name = \"hostile\"\npriority = 7\n"));
    ftp.expect("NOOP", 200);
    reload(&other.replace("NOOP", "STAT"));
    ftp.expect("NOOP", 200);
    ftp.expect("STAT", 451);
}

#[test]
fn where_a_key_is_named_a_component_needs_its_signature() {
    let site = site(
        "public_key = \"public.pem\"\n[[plugin]]\nname = \"command-policy\"\n[plugin.config]\n\
         deny = [\"CWD\"]\n",
    );
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    site.write("key.pem", key.serialize_pem());
    site.write("public.pem", key.public_key_pem());
    let first = component("command-policy");
    put(&site, "command-policy.wasm", &first);
    let checked = site.waft(&["check", "--config", "waft.toml"], "");
    assert_eq!(checked.status.code(), Some(2));
    assert!(checked.stderr().contains("has no signature: "), "{}", checked.stderr());
    let sign = |site: &Site| {
        let file = "plugins.d/command-policy.wasm";
        site.waft(&["plugin", "sign", file, "--key", "key.pem"], "").succeeded();
    };
    sign(&site);
    let waft = site.serve();
    waft.log_in().expect("CWD /", 502);
    let before = digest(&waft);
    let kept = waft.and_wait(
        |site| put(site, "command-policy.wasm", another(&first)),
        "the refusal",
        |line| line.message() == "plugin not replaced, the version before stays in force",
    );
    assert!(
        kept.field("reason").starts_with("is not signed by the key of [plugins]: "),
        "{kept:?}"
    );
    assert_eq!(digest(&waft), before);
    waft.and_wait(sign, "the new version", |line| line.message() == "plugin replaced");
    assert_ne!(digest(&waft), before);
    waft.log_in().expect("CWD /", 502);
}

#[test]
fn what_a_plugin_keeps_outlives_the_server_where_it_is_granted_so() {
    let grant = |name: &str, persistent| {
        format!(
            "[[plugin]]\nname = \"{name}\"\n[plugin.config]\nverbs = [\"XKV\"]\n[plugin.grant]\n\
             kv = {{ size = \"1 MiB\", persistent = {persistent} }}\nhttp = []\ncontrol = true\n"
        )
    };
    for (persistent, kept) in [(true, "1"), (false, "none")] {
        let site = site(&grant("services", persistent));
        put(&site, "services.wasm", component("tests/services"));
        let mut waft = site.serve();
        waft.log_in().expect("XKV set a 1", 200);
        waft.signal(Signal::TERM);
        waft.wait_for_end();
        waft.start_again();
        assert_eq!(waft.log_in().expect("XKV get a", 200).text(), kept);
    }
}

#[test]
fn plugins_are_asked_in_the_order_that_the_operator_writes() {
    let order = |first: &str, second: &str| {
        let entry = |name: &str| {
            format!(
                "[[plugin]]\nname = \"{name}\"\n[plugin.config]\ndeny = [\"CWD\"]\n\
                 message = \"By {name}.\"\n"
            )
        };
        format!("order = [\"{first}\", \"{second}\"]\n{}{}", entry("one"), entry("two"))
    };
    let site = site(&order("two", "one"));
    for name in ["one.wasm", "two.wasm"] {
        put(&site, name, component("command-policy"));
    }
    let waft = site.serve();
    let mut ftp = waft.log_in();
    assert_eq!(ftp.expect("CWD /", 502).text(), "By two.");
    let text = fs::read_to_string(waft.path("waft.toml")).unwrap();
    let other = text.replace(&order("two", "one"), &order("one", "two"));
    waft.and_wait(
        |site| site.write("waft.toml", other),
        "the other order",
        |line| line.message() == "configuration reloaded",
    );
    assert_eq!(ftp.expect("CWD /", 502).text(), "By one.");
}

/// A server with this policy, and an account `guest` beside the usual one.
fn with_policy(policy: &str) -> Waft {
    let site = site("");
    site.write("conf.d/policy.toml", policy);
    site.make("guest");
    site.write(
        "conf.d/guest.toml",
        format!("[[user]]\nname = \"guest\"\npassword = \"{CHEAP_HASH}\"\nroot = \"../guest\"\n"),
    );
    put(&site, "command-policy.wasm", component("command-policy"));
    site.serve()
}

/// How often it was asked.
fn calls(waft: &Waft) -> u64 {
    let plugins = Control::connect(&waft.path("state/control.sock")).plugins();
    plugins["plugins"][0]["counts"]["calls"].as_u64().unwrap()
}

#[test]
fn what_a_policy_skips_of_a_session_ends_with_its_login_and_with_the_policy() {
    let rule = |user: &str| {
        format!(
            "[[plugin]]\nname = \"command-policy\"\n[[plugin.config.rule]]\n\
             commands = [\"NOOP\", \"STAT *\"]\nusers = [\"{user}\"]\n"
        )
    };
    let waft = with_policy(&rule("guest"));
    let mut ftp = waft.log_in();
    let before = calls(&waft);
    (0..5).for_each(|_| drop(ftp.expect("NOOP", 200)));
    ftp.expect("STAT /", 212);
    assert_eq!(calls(&waft), before + 1, "it is asked once about all that it does not deny");
    // Others are asked about on their own, and so is whoever logs in on the same connection.
    let mut guest = waft.connect();
    guest.log_in("guest", PASSWORD);
    guest.expect("NOOP", 502);
    ftp.expect("REIN", 220);
    ftp.log_in("guest", PASSWORD);
    ftp.expect("NOOP", 502);
    ftp.expect("STAT /", 502);
    ftp.expect("REIN", 220);
    ftp.log_in(USER, PASSWORD);
    ftp.expect("NOOP", 200);
    waft.and_wait(
        |site| site.write("conf.d/policy.toml", rule(USER)),
        "the other policy",
        |line| line.message() == "plugin replaced",
    );
    ftp.expect("NOOP", 502);
    guest.expect("NOOP", 200);
}

#[test]
fn a_policy_about_words_is_asked_about_no_other_argument() {
    let waft = with_policy(
        "[[plugin]]\nname = \"command-policy\"\n[plugin.config]\n\
         deny = [\"SITE CHMOD\", \"STAT *\", \"DELE secret.txt\", \"DELE old.txt\", \"ALLO\"]\n",
    );
    let mut ftp = waft.log_in();
    let before = calls(&waft);
    for (line, code) in
        [("SITE HELP", 214), ("STAT", 211), ("DELE notes.txt", 550), ("DELE notes secret.txt", 550)]
    {
        ftp.expect(line, code);
    }
    assert_eq!(calls(&waft), before);
    let denied =
        ["SITE CHMOD 644 a", "site  chmod", "STAT /", "DELE secret.txt", "dele OLD.TXT", "ALLO 1"];
    for line in denied {
        ftp.expect(line, 502);
    }
    assert_eq!(calls(&waft), before + denied.len() as u64);
}

#[test]
fn what_a_policy_lets_pass_is_asked_once_for_all_that_are_alike() {
    let rule = |word: &str, remembered: &str| {
        format!(
            "[[plugin]]\nname = \"command-policy\"\n{remembered}[[plugin.config.rule]]\n\
             commands = [\"SIZE {word}\"]\n[[plugin.config.rule]]\ncommands = [\"SIZE notes.txt\"]\n\
             users = [\"guest\"]\n"
        )
    };
    let waft = with_policy(&rule("secret.txt", ""));
    let processors = std::thread::available_parallelism().unwrap().get() as u64;
    let times = 8 * processors;
    let ask = |ftp: &mut Ftp| {
        let before = calls(&waft);
        (0..times).for_each(|_| drop(ftp.expect("SIZE notes.txt", 550)));
        calls(&waft) - before
    };
    let mut ftp = waft.log_in();
    let first = ask(&mut ftp);
    // Each processor learns it the second time, and again where the session moves on between question and
    // answer.
    assert!((2..=4 * processors).contains(&first), "{first} calls");
    let second = ask(&mut waft.log_in());
    assert!(first + second <= 4 * processors, "{first} and {second} calls");
    let plugins = || Control::connect(&waft.path("state/control.sock")).plugins();
    assert!(plugins()["plugins"][0]["remembered_commands"].as_u64().unwrap() >= 1);
    // What it refuses it is asked about each time, and who is another one as well.
    let before = calls(&waft);
    (0..5).for_each(|_| drop(ftp.expect("SIZE secret.txt", 502)));
    let mut guest = waft.connect();
    guest.log_in("guest", PASSWORD);
    guest.expect("SIZE notes.txt", 502);
    assert_eq!(calls(&waft), before + 6);
    let replace = |text: String| {
        waft.and_wait(
            |site| site.write("conf.d/policy.toml", text),
            "the other policy",
            |line| line.message() == "plugin replaced",
        );
    };
    replace(rule("notes.txt", ""));
    ftp.expect("SIZE notes.txt", 502);
    replace(rule("secret.txt", "limits = { remembered_commands = 0 }\n"));
    assert_eq!(ask(&mut ftp), times);
    assert_eq!(plugins()["plugins"][0]["remembered_commands"], 0);
}
