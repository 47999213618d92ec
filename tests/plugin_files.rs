//! Files that plugins have a hand in: their contents on the way, and storages of their own, through
//! the server as it is run and real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::io::Write;
use std::process::Command;

use support::content::{assert_same, names, octets};
use support::ftp::{Ftp, Reply};
use support::handmade;
use support::log::Line;
use support::plugin::component;
use support::process::run;
use support::site::{PASSWORD, Site, hash, program};
use support::waft::Waft;

/// A site with the guest `customs`, so configured.
fn customs(config: &str) -> Site {
    let site = Site::new(&format!(
        "[plugins]\ndirectory = \"plugins.d\"\nquarantine = \"kept\"\n\
         [[plugin]]\nname = \"customs\"\n[plugin.config]\n{config}\n"
    ));
    site.make("kept");
    site.write("plugins.d/customs.wasm", component("tests/customs"));
    site
}

/// A site with the guest `vault`, one instance of it, as the storage of bob and at `/a/vault`.
fn vault(config: &str) -> Site {
    let hash = hash();
    let site = Site::new(&format!(
        "[[user]]\nname = \"bob\"\npassword = \"{hash}\"\nstorage = \"plugin:vault\"\n\
         [[mount]]\npath = \"/a/vault\"\nplugin = \"vault\"\n\
         [plugins]\ndirectory = \"plugins.d\"\n\
         [[plugin]]\nname = \"vault\"\n[plugin.limits]\ninstances = 1\n[plugin.config]\n{config}\n"
    ));
    site.write("plugins.d/vault.wasm", component("tests/vault"));
    site
}

const ABLE: &str = "abilities = [\"append\", \"write-at-offset\", \"rename\", \"make-dir\", \
                    \"remove\", \"set-modified\", \"free-space\"]";

fn bob(waft: &Waft) -> Ftp {
    let mut ftp = waft.connect();
    ftp.log_in("bob", PASSWORD);
    ftp
}

/// Uploads what will not be taken; returns the final reply.
fn offer(ftp: &mut Ftp, command: &str, octets: &[u8]) -> Reply {
    let mut data = ftp.begin(command);
    // The server may have closed it already.
    let _ = data.write_all(octets);
    drop(data);
    ftp.reply()
}

/// The octets of `/made/LENGTH`.
fn made(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

#[test]
fn a_refused_upload_leaves_the_old_file_and_nothing_else() {
    let waft =
        customs("upload = \"inspect\"\nrefuse = \"EVIL\"\nreply = \"552 Not that.\"").serve();
    let mut ftp = waft.log_in();
    ftp.put("STOR a.txt", b"good");
    let refused = offer(&mut ftp, "STOR a.txt", b"so EVIL");
    assert_eq!(refused.lines, ["552 Not that."]);
    assert_eq!(offer(&mut ftp, "STOR b.txt", b"EVIL").code, 552);
    assert_eq!(offer(&mut ftp, "APPE a.txt", b" and EVIL").code, 552);
    assert_eq!(waft.read("a.txt"), b"good");
    assert_eq!(names(&waft.file("")), ["a.txt"]);
    ftp.put("APPE a.txt", b", better");
    assert_eq!(waft.read("a.txt"), b"good, better");
    waft.log.wait("the refusal", |line| {
        line.message() == "contents refused by plugin" && line.field("plugin") == "customs"
    });
}

#[test]
fn a_transfer_that_fails_is_told_with_reason_code_and_plugin() {
    let site = customs(
        "upload = \"inspect\"\nrefuse = \"EVIL\"\nquarantine = \"ODD\"\n\
         [[plugin]]\nname = \"errands\"\n[plugin.config]\nevents = [\"transfer.upload.fail\"]",
    );
    site.write("plugins.d/errands.wasm", component("tests/errands"));
    let waft = site.serve();
    let mut ftp = waft.log_in();
    assert_eq!(offer(&mut ftp, "STOR a.txt", b"so EVIL").code, 550);
    assert_eq!(offer(&mut ftp, "STOR b.txt", b"so ODD").code, 550);
    let _data = ftp.begin("STOR c.txt");
    ftp.send("ABOR");
    assert_eq!((ftp.reply().code, ftp.reply().code), (426, 226));
    for told in [
        "path=/a.txt bytes=7 reason=refused by a plugin code=550 plugin=customs",
        "path=/b.txt bytes=6 reason=put in quarantine by a plugin code=550 plugin=customs",
        "path=/c.txt bytes=0 reason=aborted by the client code=426\"",
    ] {
        waft.log
            .wait(told, |line| line.message() == "heard" && line.field("fields").contains(told));
    }
}

#[test]
fn a_refusal_in_the_middle_ends_the_upload() {
    let config = "upload = \"inspect\"\nrefuse = \"EVIL\"\nat_once = true";
    let waft = customs(config).serve();
    let mut ftp = waft.log_in();
    let mut bad = b"EVIL".to_vec();
    bad.extend(octets(4 << 20, 1));
    assert_eq!(offer(&mut ftp, "STOR a.bin", &bad).lines, ["550 Not that."]);
    assert_eq!(names(&waft.file("")), [""; 0]);
    ftp.put("STOR a.bin", b"good");
}

#[test]
fn an_upload_that_breaks_off_before_the_verdict_is_not_kept() {
    let waft = customs("upload = \"inspect\"").serve();
    let mut ftp = waft.log_in();
    let mut data = ftp.begin("STOR a.bin");
    data.write_all(&octets(1 << 20, 1)).unwrap();
    ftp.send("ABOR");
    assert_eq!((ftp.reply().code, ftp.reply().code), (426, 226));
    assert_eq!(names(&waft.file("")), [""; 0]);
}

#[test]
fn quarantine_keeps_an_upload_where_nobody_is_served_from() {
    let waft = customs(
        "upload = \"inspect\"\nquarantine = \"ODD\"\nreply = \"226 Taken for inspection.\"",
    )
    .serve();
    let mut ftp = waft.log_in();
    ftp.expect("MKD in", 257);
    let taken = offer(&mut ftp, "STOR in/a b.txt", b"an ODD one");
    assert_eq!(taken.lines, ["226 Taken for inspection."]);
    assert_eq!(names(&waft.file("in")), [""; 0]);
    let kept = names(&waft.path("kept"));
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].ends_with("Z_alice_customs_in%2Fa%20b.txt"), "{kept:?}");
    assert_eq!(std::fs::read(waft.path("kept").join(&kept[0])).unwrap(), b"an ODD one");
}

#[test]
fn bytes_change_on_their_way_and_text_is_translated_around_that() {
    let config = "upload = \"transform\"\ndownload = \"transform\"\nmark = \"!\"";
    let waft = customs(config).serve();
    let mut ftp = waft.log_in();
    ftp.put("STOR a.txt", b"Hello");
    assert_eq!(waft.read("a.txt"), b"hELLO!");
    let data = ftp.epsv();
    let opening = ftp.expect("RETR a.txt", 150);
    assert!(!opening.text().contains("bytes"), "nobody knows how many: {opening:?}");
    assert_eq!(ftp.fetch_rest(data), b"Hello!!");
    let large = octets(3 << 20, 7);
    ftp.put("STOR large", &large);
    let mut back = ftp.fetch("RETR large");
    assert_eq!(back.split_off(large.len()), b"!!");
    assert_same(&back, &large, "what came back");
    // The filter sees line ends as they are in the file.
    ftp.expect("TYPE A", 200);
    ftp.put("STOR lines", b"a\r\nb\r\n");
    assert_eq!(waft.read("lines"), b"A\nB\n!");
    assert_eq!(ftp.fetch("RETR lines"), b"a\r\nb\r\n!!");
}

#[test]
fn parts_of_files_are_refused_where_bytes_change() {
    let waft = customs("upload = \"transform\"\ndownload = \"transform\"").serve();
    waft.site.write("alice/a.txt", b"Hello");
    let mut ftp = waft.log_in();
    for first in ["REST 2", "RANG 1 3"] {
        let _data = ftp.epsv();
        ftp.expect(first, 350);
        ftp.expect("RETR a.txt", 504);
    }
    // What is stored is not what a client gets.
    for command in ["SIZE a.txt", "HASH a.txt", "XCRC a.txt"] {
        ftp.expect(command, 504);
    }
    ftp.expect("SIZE b.txt", 550);
    let _data = ftp.epsv();
    ftp.expect("APPE a.txt", 504);
    ftp.expect("REST 2", 350);
    ftp.expect("STOR a.txt", 504);
    assert_eq!(waft.read("a.txt"), b"Hello");
    // Nothing of that is left over.
    assert_eq!(ftp.fetch("RETR a.txt"), b"hELLO");
}

#[test]
fn a_filter_that_breaks_costs_the_transfer_and_not_the_session() {
    let waft = customs("upload = \"inspect\"\ndownload = \"inspect\"\ntrap = \"push\"").serve();
    waft.site.write("alice/a.txt", b"old");
    let mut ftp = waft.log_in();
    assert_eq!(offer(&mut ftp, "STOR a.txt", b"new").lines, ["451 Local error: plugin failed."]);
    assert_eq!(waft.read("a.txt"), b"old");
    let data = ftp.begin("RETR a.txt");
    assert_eq!(ftp.reply().code, 451);
    drop(data);
    ftp.expect("NOOP", 200);
}

#[test]
fn an_account_may_have_all_its_files_in_a_plugin() {
    let waft = vault(ABLE).serve();
    let mut ftp = bob(&waft);
    let large = octets(3 << 20, 3);
    ftp.expect("MKD d", 257);
    ftp.put("STOR d/large", &large);
    assert_eq!(ftp.expect("SIZE d/large", 213).text(), (3 << 20).to_string());
    assert_same(&ftp.fetch("RETR d/large"), &large, "what came back");
    ftp.expect("REST 3145720", 350);
    assert_eq!(ftp.fetch("RETR d/large"), large[3_145_720..]);
    ftp.expect("REST 10", 350);
    ftp.put("STOR d/large", b"xyz");
    ftp.put("APPE d/large", b"!");
    assert_eq!(ftp.fetch("RETR d/large"), [&large[..10], b"xyz!"].concat());
    assert_eq!(ftp.fetch("NLST d"), b"d/large\r\n");
    ftp.expect("MFMT 20200102030405 d/large", 213);
    assert_eq!(ftp.expect("MDTM d/large", 213).text(), "20200102030405");
    ftp.expect("RNFR d/large", 350);
    ftp.expect("RNTO small", 250);
    ftp.expect("RMD d", 250);
    ftp.expect("DELE small", 250);
    ftp.expect("DELE small", 550);
    assert_eq!(ftp.expect("AVBL", 213).text(), (1 << 30).to_string());
    assert_eq!(names(&waft.file("")), [""; 0]);
}

#[test]
fn an_upload_into_a_plugin_that_breaks_off_leaves_nothing() {
    let waft = vault(ABLE).serve();
    let mut ftp = bob(&waft);
    ftp.put("STOR f", b"old");
    let mut data = ftp.begin("STOR f");
    data.write_all(b"new").unwrap();
    ftp.send("ABOR");
    assert_eq!((ftp.reply().code, ftp.reply().code), (426, 226));
    assert_eq!(ftp.fetch("RETR f"), b"old");
    assert_eq!(ftp.fetch("NLST"), b"a\r\nf\r\nmade\r\nsink\r\n");
}

#[test]
fn what_a_storage_cannot_do_is_not_announced_and_refused_before_it_begins() {
    let waft = vault("").serve();
    let mut ftp = bob(&waft);
    let features = ftp.expect("FEAT", 211).lines;
    for feature in [" MFMT", " AVBL", " MFF Modify;UNIX.mode;"] {
        assert!(!features.iter().any(|line| line == feature), "{features:?}");
    }
    ftp.put("STOR f", b"abc");
    let _data = ftp.epsv();
    ftp.expect("APPE f", 504);
    ftp.expect("REST 1", 350);
    ftp.expect("STOR f", 504);
    ftp.expect("MKD d", 504);
    ftp.expect("DELE f", 504);
    ftp.expect("RNFR f", 504);
    ftp.expect("MFMT 20200102030405 f", 504);
    ftp.expect("AVBL", 504);
    ftp.expect("ALLO 10", 202);
    assert_eq!(ftp.fetch("RETR f"), b"abc");
}

#[test]
fn every_error_of_a_storage_has_its_reply() {
    let codes = [
        ("not-found", 550),
        ("denied", 550),
        ("exists", 550),
        ("not-empty", 550),
        ("not-a-directory", 550),
        ("is-a-directory", 550),
        ("no-space", 452),
        ("quota", 552),
        ("unsupported", 504),
        ("bad-name", 553),
        ("busy", 450),
        ("io", 451),
        ("trap", 451),
    ];
    let waft = vault("").serve();
    let mut number = 0;
    for (error, code) in codes {
        let config = std::fs::read_to_string(waft.path("waft.toml")).unwrap();
        let (start, _) = config.split_once("[plugin.config]").unwrap();
        number += 1;
        let fail = format!("fail = {{ make-dir = \"{error}\", write = \"{error}\" }}");
        let config = format!("{start}[plugin.config]\n{ABLE}\n{fail}\n# {number}\n");
        waft.and_wait(
            |site| site.write("waft.toml", config),
            "new settings",
            |line| line.message() == "configuration reloaded",
        );
        let mut ftp = bob(&waft);
        ftp.expect("MKD x", code);
        let upload = offer(&mut ftp, "STOR f", b"abc");
        let expected = if error == "exists" { 553 } else { code };
        assert_eq!(upload.code, expected, "{error}: {upload:?}");
        ftp.expect("NOOP", 200);
    }
}

#[test]
fn a_storage_is_mounted_under_a_path_of_every_account() {
    let waft = vault(ABLE).serve();
    let mut ftp = waft.log_in();
    ftp.put("STOR own", b"own");
    assert_eq!(ftp.fetch("NLST"), b"a\r\nown\r\n");
    ftp.expect("CWD /a", 250);
    assert_eq!(ftp.fetch("NLST"), b"vault\r\n");
    ftp.expect("CWD vault", 250);
    ftp.put("STOR x", b"in the vault");
    assert_eq!(ftp.fetch("RETR /a/vault/x"), b"in the vault");
    assert_same(&ftp.fetch("RETR made/700000"), &made(700_000), "made up");
    ftp.expect("RNFR x", 350);
    let refused = ftp.expect("RNTO /x", 553);
    assert!(refused.text().contains("another storage"), "{refused:?}");
    ftp.expect("RMD /a/vault", 550);
    assert_eq!(names(&waft.file("")), ["own"]);
}

#[test]
fn a_listing_that_never_ends_is_ended_with_an_error() {
    let hash = hash();
    let site = Site::new(&format!(
        "[limits]\nlisting_entries = 5000\n\
         [[user]]\nname = \"bob\"\npassword = \"{hash}\"\nstorage = \"plugin:vault\"\n\
         [plugins]\ndirectory = \"plugins.d\"\n\
         [[plugin]]\nname = \"vault\"\n[plugin.config]\nlisting = \"endless\"\n"
    ));
    site.write("plugins.d/vault.wasm", component("tests/vault"));
    let waft = site.serve();
    let mut ftp = bob(&waft);
    let mut data = ftp.begin("NLST");
    let mut listing = Vec::new();
    let _ = std::io::Read::read_to_end(&mut data, &mut listing);
    assert_eq!(ftp.reply().code, 451);
    assert!(listing.len() < 1 << 20);
    ftp.expect("NOOP", 200);
}

#[test]
fn mistakes_about_places_are_told_with_line_and_remedy() {
    let hash = hash();
    let site = Site::new(&format!(
        "[[user]]\nname = \"bob\"\npassword = \"{hash}\"\nstorage = \"s3:bucket\"\n\
         [[user]]\nname = \"eve\"\npassword = \"{hash}\"\n\
         [[mount]]\npath = \"/\"\nplugin = \"vault\"\n\
         [plugins]\ndirectory = \"plugins.d\"\nquarantine = \"alice/kept\"\n"
    ));
    site.make("plugins.d");
    site.make("alice/kept");
    let checked = site.waft(&["check", "--config", "waft.toml"], "");
    let told = checked.stdout() + &checked.stderr();
    for what in [
        "not the storage of a plugin: s3:bucket",
        "write storage = \"plugin:NAME\"",
        "add root = …, or storage = \"plugin:NAME\"",
        "nothing can be mounted at the root",
        "no plugin of this name: vault",
        "alice can change what is kept away here: it is within the root of that account",
    ] {
        assert!(told.contains(what), "{what}: {told}");
    }
}

/// Checks what `waft check` says of settings in `conf.d/p.toml`, beside which `p.wasm` lies.
#[track_caller]
fn assert_told(settings: &str, code: i32, expected: &[&str]) {
    let site = Site::new("");
    site.write("conf.d/p.wasm", component("command-policy"));
    site.write("conf.d/p.toml", settings);
    let checked = site.waft(&["check", "--config", "waft.toml"], "");
    let here = site.path("").display().to_string();
    let told = checked.stderr().replace("conf.d/", "").replace(&here, "");
    assert_eq!(checked.status.code(), Some(code), "{settings}\n{told}");
    for expected in expected {
        assert!(told.contains(expected), "{expected}\n--- is not in\n{told}");
    }
}

const P: &str = "[[plugin]]\nname = \"p\"\npath = \"p.wasm\"\n";

#[test]
fn what_a_plugin_says_of_its_settings_is_told_where_they_are_written() {
    assert_told(
        &format!("{P}[plugin.config]\nmessage = 5\n[plugin.config.nonsense]\na = [\"x\"]\n"),
        2,
        &[
            "p.toml:7:6: plugin.0.config.nonsense.a.0: plugin p: unknown key",
            "\n  remedy: write [plugin.config] as its documentation says",
        ],
    );
    assert_told(
        &format!("{P}[plugin.limits]\nmemory = \"64KiB\"\n"),
        2,
        &[
            "p.toml:5:10: plugin.0.limits.memory: plugin p (p.wasm): needs more memory than an instance \
           may have: 65536 bytes\n  remedy: raise memory in its limits",
        ],
    );
    assert_told(
        &format!("{P}limits = {{ instances = 0 }}\n"),
        2,
        &[
            "plugin.0.limits.instances: not a whole number from 1 to 10000: 0\n  remedy: write 1 or more",
        ],
    );
}

#[test]
fn grants_that_are_none_are_told_where_they_are_written() {
    assert_told(
        &format!("{P}[plugin.grant]\nhttp = [\"http://127.0.0.1/\", \"example.org\"]\n"),
        2,
        &["p.toml:5:30: plugin.0.grant.http.1: plugin p (p.wasm): the grant http: "],
    );
    assert_told(
        &format!("{P}[plugin.grant]\nstorage = [\"gone\", \"plugin:p\"]\n"),
        2,
        &[
            "p.toml:5:12: plugin.0.grant.storage.0: no such directory: gone\n  remedy: make it: ",
            "p.toml:5:20: plugin.0.grant.storage.1: not a directory: plugin:p\n  remedy: remove it: the \
             storages of plugins need no grant",
        ],
    );
    assert_told(
        &format!("{P}[plugin.grant]\nsecrets = {{ a = \"file:none\", b = \"credential:b\" }}\n"),
        2,
        &[
            "p.toml:5:17: plugin.0.grant.secrets.a: cannot be read: none: No such file or directory \
             (os error 2)\n  remedy: name a file that the server can read, which holds the secret alone",
            "p.toml:5:34: plugin.0.grant.secrets.b: no such credential: b: no credentials: not a service \
             of systemd that is given any\n  remedy: write LoadCredential=b:PATH in the unit of the \
             service",
        ],
    );
}

#[test]
fn what_is_said_of_a_plugin_in_vain_is_warned_of() {
    assert_told(
        &format!(
            "{P}[plugin.grant]\ncontrol = true\nkv = \"1MiB\"\n\
             [plugin.on_error_by_hook]\ncommand_filter = \"deny\"\nfile_filter = \"allow\"\n\
             [plugin.limits.timer]\nwall = \"1s\"\n"
        ),
        0,
        &[
            "p.toml:5:11: plugin.0.grant.control: plugin p has no use for it\n  remedy: remove it",
            "p.toml:6:6: plugin.0.grant.kv: plugin p has no use for it",
            "plugin.0.on_error_by_hook.file_filter: plugin p has no hook file-filter",
            "plugin.0.limits.timer: plugin p has no hook timer",
            // The accounts' own file is warned of as well.
            "5 warnings",
        ],
    );
}

#[test]
fn a_plugin_that_the_system_has_no_memory_for_is_told_with_what_bounds_it() {
    let site = Site::new("");
    site.write("conf.d/p.wasm", handmade::vast());
    site.write("conf.d/p.toml", format!("{P}[plugin.limits]\nmemory = \"4GiB\"\n"));
    let check = "ulimit -v 2900000 && exec \"$0\" check --config waft.toml";
    let mut bounded = Command::new("/bin/sh");
    bounded.arg("-c").arg(check).arg(program().get_program()).current_dir(site.path(""));
    let checked = run(&mut bounded, b"");
    assert_eq!(checked.status.code(), Some(2), "{}", checked.story());
    for words in [
        "conf.d/p.toml:3:8: plugin.0.path: plugin p (",
        "): the system gives no more memory: Cannot allocate memory",
        "\n  remedy: the server may have 2832 MiB of address space: start it with more, by ulimit -v or \
         LimitAS= in its systemd unit",
    ] {
        assert!(checked.stderr().contains(words), "{words}\n--- is not in\n{}", checked.stderr());
    }
}

#[test]
fn limits_that_add_up_to_more_than_there_is_are_warned_of_with_their_line() {
    let site = Site::new("");
    let plugin = |name: &str| {
        format!("[[plugin]]\nname = \"{name}\"\npath = \"{name}.wasm\"\n[plugin.limits]\n")
    };
    for (name, limits) in [("p", "transfers = 2000\n"), ("q", "queue = \"2s\"\ntransfers = 49\n")] {
        site.write(format!("conf.d/{name}.wasm"), component("tests/customs"));
        site.write(format!("conf.d/{name}.toml"), format!("{}{limits}", plugin(name)));
    }
    let checked = site.waft(&["check", "--config", "waft.toml"], "").succeeded();
    let warning =
        "transfers of all plugins may take 2049 instances, and there are 2048: p 2000, q 49";
    let remedy = "lower transfers in the limits of some plugins, or set share for some; whoever finds \
                  none waits for queue";
    let told =
        format!("conf.d/q.toml:6:13: plugin.1.limits.transfers: {warning}\n  remedy: {remedy}");
    assert!(checked.stderr().contains(&told), "{told}\n--- is not in\n{}", checked.stderr());
    let waft = site.serve();
    let is_it = |line: &Line| line.message() == warning;
    let logged = waft.log.wait("the warning", is_it);
    assert!(logged.field("place").ends_with("conf.d/q.toml:6:13"), "{}", logged.text);
    assert_eq!(logged.field("remedy"), remedy);
    let change = |site: &Site| {
        site.write("conf.d/q.toml", format!("{}\ntransfers = 49\n", plugin("q")));
    };
    let logged = waft.and_wait(change, "the warning", is_it);
    assert!(logged.field("place").ends_with("conf.d/q.toml:6:13"), "{}", logged.text);
}

#[test]
fn files_are_in_plugins_that_are_storages() {
    let hash = hash();
    let bob = format!("[[user]]\nname = \"bob\"\npassword = \"{hash}\"\nstorage = \"plugin:p\"\n");
    let no_storage = "plugin p (p.wasm): has no hook storage, and is where files should be\n  remedy: name \
                      a plugin that has the hook storage";
    let mount = "[[mount]]\npath = \"/m\"\nplugin = ";
    let of_mount = format!("p.toml:6:10: mount.0.plugin: {no_storage}");
    assert_told(&format!("{P}{mount}\"p\"\n"), 2, &[&of_mount]);
    let of_user = format!("user.1.storage: {no_storage}");
    assert_told(&format!("{P}{bob}"), 2, &[&of_user]);
    assert_told(
        &format!("{P}{mount}\"nobody\"\n"),
        2,
        &[
            "p.toml:6:10: mount.0.plugin: no plugin of this name: nobody\n  remedy: correct it, or add \
           [[plugin]] with name = \"nobody\" and path = …",
        ],
    );
}

#[test]
fn a_storage_gives_way_to_no_component_that_is_none() {
    let waft = vault(ABLE).serve();
    let mut ftp = bob(&waft);
    ftp.put("STOR f", b"kept");
    waft.and_wait(
        |site| site.write("plugins.d/vault.wasm", component("command-policy")),
        "the refusal",
        |line| line.message() == "plugin not replaced, the version before stays in force",
    );
    assert_eq!(ftp.fetch("RETR f"), b"kept");
    assert_eq!(bob(&waft).fetch("RETR f"), b"kept");
}
