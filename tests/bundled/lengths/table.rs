//! All bundled plugins: settings that show them whatever a client makes up, what each hook gets of it,
//! and what a client is told, word for word.

use serde_json::json;

use super::{arguments, deep, longest, make_deep, name};
use crate::eicar;
use crate::support::ftp::{Ftp, Reply};
use crate::support::plugin::pasted;
use crate::support::process::run;
use crate::support::site::{Site, program};
use crate::support::waft::Waft;
use crate::support::web::{Request, Web};

/// What a hook gets of what a client has made up.
pub(super) enum Gets {
    /// This, at its longest.
    Longest(&'static str),
    /// Nothing, for that reason.
    Nothing(&'static str),
}
use Gets::{Longest, Nothing};

/// A bundled plugin.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Every hook that it has.
    pub(super) hooks: &'static [(&'static str, Gets)],
    /// Its configuration, and what it needs in the site.
    pub(super) entry: fn(&Site, &Web) -> String,
    /// What a command is answered with, by the answer of a server without the plugin; `None` where it
    /// words replies itself.
    pub(super) says: Option<fn(&str, &Reply) -> Vec<String>>,
    /// What more clients send, with the exact replies.
    pub(super) drive: fn(&Waft, &Web),
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "command-policy",
        hooks: &[
            ("command-filter", Longest("arguments of every verb")),
            ("reply-filter", Longest("the arguments of what is replied to")),
        ],
        entry: |_, _| named("command-policy", COMMAND_POLICY),
        says: None,
        drive: |waft, _| {
            let mut alice = waft.log_in();
            for verb in ["DELE", "SITE", "OPTS", "CLNT"] {
                let [letters, ..] = arguments(verb);
                let shown = shown(&letters);
                let expected = format!("502 {verb} {shown} is not for alice in /: {shown}");
                assert_eq!(alice.command(&format!("{verb} {letters}")).lines, [expected]);
            }
            put_by_longest_path(waft, &mut alice);
        },
    },
    Case {
        name: "reply-texts",
        hooks: &[
            ("command-filter", Longest("the argument of LANG and FEAT")),
            ("reply-filter", Longest("the arguments of what is replied to, and the directory")),
        ],
        entry: |_, _| named("reply-texts", REPLY_TEXTS),
        says: None,
        drive: |waft, _| {
            let mut alice = waft.log_in();
            let [letters, ..] = arguments("SIZE");
            let expected = format!("550 No such file or directory.: {}", shown(&letters));
            assert_eq!(alice.command(&format!("SIZE {letters}")).lines, [expected]);
            let user = "u".repeat(8000);
            let expected = format!("331 {}?", shown(&user));
            assert_eq!(waft.connect().command(&format!("USER {user}")).lines, [expected]);
            put_by_longest_path(waft, &mut alice);
        },
    },
    Case {
        name: "client-quirks",
        hooks: &[
            ("command-filter", Longest("arguments of every verb")),
            ("reply-filter", Longest("the arguments of what is replied to")),
        ],
        entry: |_, _| named("client-quirks", CLIENT_QUIRKS),
        says: None,
        drive: |waft, _| {
            let mut alice = waft.log_in();
            let [letters, ..] = arguments("XTELL");
            let expected = format!("200 {0} {0}", shown(&letters));
            assert_eq!(alice.command(&format!("XTELL {letters}")).lines, [expected]);
            let [letters, ..] = arguments("CWD");
            let reply = alice.command(&format!("CWD {letters}"));
            assert_eq!(reply.lines, ["550 No such file or directory."]);
            put_by_longest_path(waft, &mut alice);
        },
    },
    Case {
        name: "auth-file",
        hooks: &[("authenticator", Longest("the name of a user, and the password"))],
        entry: |site, _| {
            let base = site.path("").canonicalize().unwrap();
            site.write(format!("ftp/{}/a.txt", name()), "a");
            site.write("htpasswd", format!("{}:{}\n", name(), hash_of(&"p".repeat(1024))));
            pasted("auth-file")
                .replace("/srv/ftp", &base.join("ftp").display().to_string())
                .replace("/etc/waft/htpasswd", &base.join("htpasswd").display().to_string())
        },
        says: Some(the_same),
        drive: |waft, _| {
            let mut client = waft.connect();
            client.expect(&format!("USER {}", name()), 331);
            // As long as a line may be; of what has a hash, 1024 octets are the longest.
            let wrong = client.command(&format!("PASS {}", password()));
            assert_eq!(wrong.lines, ["530 Login incorrect."]);
            client.log_in(&name(), &"p".repeat(1024));
            assert_eq!(client.fetch("RETR a.txt"), b"a");
        },
    },
    Case {
        name: "auth-http",
        hooks: &[("authenticator", Longest("the name of a user, and the password"))],
        entry: |site, web| {
            site.write(format!("ftp/{}/a.txt", name()), "a");
            auth_http(site, web)
        },
        says: Some(the_same),
        drive: |waft, web| {
            web.so_far();
            let mut client = waft.connect();
            client.log_in(&name(), &password());
            let asked = web.next().json();
            assert_eq!((&asked["user"], &asked["password"]), (&json!(name()), &json!(password())));
            assert_eq!(client.fetch("RETR a.txt"), b"a");
        },
    },
    Case {
        name: "gatekeeper",
        hooks: &[
            (
                "connection-filter",
                Nothing("a client has sent nothing yet, and has an address alone"),
            ),
            ("event-sink", Longest("the name of a user who failed to log in")),
        ],
        // So many fail here that nobody would be left.
        entry: |_, _| pasted("gatekeeper").replace("limit = 5,", "limit = 100000,"),
        says: Some(the_same),
        drive: |waft, _| {
            let mut client = waft.connect();
            client.expect(&format!("USER {}", "u".repeat(8000)), 331);
            let reply = client.command(&format!("PASS {}", password()));
            assert_eq!(reply.lines, ["530 Login incorrect."]);
        },
    },
    Case {
        name: "upload-rules",
        hooks: &[
            ("file-filter", Longest("paths of uploads, and new names")),
            ("content-filter", Longest("paths of uploads")),
        ],
        entry: |_, _| named("upload-rules", UPLOAD_RULES),
        says: Some(the_same),
        drive: |waft, _| {
            let mut alice = waft.log_in();
            put_by_longest_path(waft, &mut alice);
            make_deep(&mut alice);
            let deep = deep();
            alice.epsv();
            let refused = ["553 Files of that name are not taken here."];
            assert_eq!(alice.command(&format!("STOR {deep}/y.exe")).lines, refused);
            let [letters, ..] = arguments("STOR");
            let virus = format!("{}.exe", &letters[..letters.len() - 4]);
            assert_eq!(alice.command(&format!("STOR {virus}")).lines, refused);
            alice.put(&format!("STOR {deep}/x"), b"x");
            assert_eq!(waft.read(format!("{deep}/x")), b"x");
            alice.expect(&format!("RNFR {}", longest("RNFR", &format!("{deep}/x"))), 350);
            let to = longest("RNTO", &format!("{deep}/y.exe"));
            assert_eq!(alice.command(&format!("RNTO {to}")).lines, refused);
        },
    },
    Case {
        name: "checksum",
        hooks: &[
            ("file-filter", Longest("paths of what is written, removed and renamed")),
            ("content-filter", Longest("paths of uploads")),
            ("site-command", Longest("the argument of SITE CHECKSUM")),
        ],
        entry: |_, _| pasted("checksum"),
        says: Some(with_checksums),
        drive: |waft, _| {
            let mut alice = waft.log_in();
            make_deep(&mut alice);
            let file = format!("{}/x", deep());
            alice.put(&format!("STOR {}", longest("STOR", &file)), b"abc");
            let told = [
                "213-bytes 3",
                " sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "213 md5 900150983cd24fb0d6963f7d28e17f72",
            ];
            let ask = format!("SITE CHECKSUM {}", longest("SITE CHECKSUM", &file));
            assert_eq!(alice.command(&ask).lines, told);
            alice.expect(&format!("RNFR {}", longest("RNFR", &file)), 350);
            let to = format!("{}/y", deep());
            alice.expect(&format!("RNTO {}", longest("RNTO", &to)), 250);
            assert_eq!(alice.command(&ask).lines, [UNKNOWN_SUM]);
            assert!(!waft.log.text().contains("checksums\",\"error"), "kept and forgotten");
        },
    },
    Case {
        name: "encrypt",
        hooks: &[("content-filter", Longest("paths of uploads and downloads"))],
        entry: |site, _| {
            site.write("key", format!("{}\n", "c0".repeat(32)));
            let key = site.path("key").canonicalize().unwrap();
            // A pattern that a long path is tried on in many ways.
            pasted("encrypt")
                .replace("/etc/waft/key-2026", &key.display().to_string())
                .replace("keys =", "paths = [\"*d*d*d*d*/x\", \"/x\"]\nplain = \"pass\"\nkeys =")
        },
        says: Some(the_same),
        drive: |waft, _| {
            let mut alice = waft.log_in();
            make_deep(&mut alice);
            let file = format!("{}/x", deep());
            alice.put(&format!("STOR {}", longest("STOR", &file)), b"secret");
            assert_eq!(waft.read(&file).len(), 49 + 6 + 16);
            assert_eq!(alice.fetch(&format!("RETR {}", longest("RETR", &file))), b"secret");
        },
    },
    Case {
        name: "memory-storage",
        hooks: &[("storage", Longest("paths of every operation"))],
        entry: |_, _| pasted("memory-storage"),
        says: Some(the_same),
        drive: |waft, _| {
            let mut alice = waft.log_in();
            alice.expect("CWD scratch", 250);
            make_deep(&mut alice);
            let file = format!("{}/x", deep());
            alice.put(&format!("STOR {}", longest("STOR", &format!("scratch/{file}"))), b"x");
            assert_eq!(alice.fetch(&format!("RETR {file}")), b"x");
            // Deeper than its path may be, a client gets nowhere; and neither in many small steps.
            alice.expect(&format!("CWD {}", deep()), 250);
            alice.expect(&format!("MKD {}", "d".repeat(255)), 257);
            alice.expect(&format!("CWD {}", "d".repeat(255)), 250);
            assert_eq!(alice.command("MKD d").lines, [NO_NAME]);
            assert_eq!(alice.command(&format!("MKD {}", "n".repeat(256))).lines, [NO_NAME]);
            alice.expect("CWD /scratch", 250);
            for _ in 0..256 {
                alice.expect("MKD s", 257);
                alice.expect("CWD s", 250);
            }
            assert_eq!(alice.command("MKD s").lines, [NO_NAME]);
        },
    },
    Case {
        name: "webhook",
        hooks: &[("event-sink", Longest("paths, and names of users"))],
        entry: |site, web| {
            site.write("hook-key", "s3cr3t\n");
            pasted("webhook")
                .replace("https://hooks.example.org/ftp", &web.url("/hook"))
                .replace("/etc/waft/webhook-key", &site.path("hook-key").display().to_string())
                .replace("[plugin.grant]", "[plugin.grant]\nhttp_private = true")
        },
        says: Some(the_same),
        drive: |waft, web| {
            let mut alice = waft.log_in();
            make_deep(&mut alice);
            let file = format!("{}/x", deep());
            alice.put(&format!("STOR {}", longest("STOR", &file)), b"x");
            while !posted(&web.next(), "transfer.upload.done", &format!("/{file}")) {}
        },
    },
];

const NO_NAME: &str = "553 File name not allowed.";
const UNKNOWN_SUM: &str = "550 No checksum is known of that file.";

/// Texts that show all that a client has made up, as the READMEs offer them.
const COMMAND_POLICY: &str = r#"
[plugin.config]
deny = ["DELE", "SITE", "HELP", "OPTS", "CLNT", "HOST", "MFMT", "LANG"]
message = "{verb} {arg} is not for {user} in {cwd}: {arg}"
[plugin.config.replies]
150 = "{original} Please wait."
250 = "{arg} {original}"
550 = "{original} {arg}\n{arg} {cwd}"
500 = "{original} {arg}"
"#;
const REPLY_TEXTS: &str = r#"
[plugin.config.texts]
150 = "{original} ({arg})"
331 = "{arg}?"
530 = "{arg} {user}"
550 = "{original}: {arg}"
[[plugin.config.text]]
language = "de"
text = "{arg} in {cwd}: {original}"
"#;
const CLIENT_QUIRKS: &str = r#"
[[plugin.config.client]]
dialects = ["camera", "mainframe", "scanner", "typed", "windows"]
[[plugin.config.client.rule]]
from = "CWD /mnt/*"
to = "CWD /a/somewhat/longer/*"
[[plugin.config.client.rule]]
from = "XTELL *"
answer = "200 {arg} {arg}"
"#;
/// A pattern among them that a long name is tried on in many ways.
const UPLOAD_RULES: &str =
    "[plugin.config]\ndeny = [\"*.exe\", \"*A*A*A*A*B\", \"*İ*İ*İ*B\"]\nappend = true\n";

fn the_same(_: &str, bare: &Reply) -> Vec<String> {
    bare.lines.clone()
}

fn with_checksums(verb: &str, bare: &Reply) -> Vec<String> {
    let mut lines = bare.lines.clone();
    match verb {
        "SITE CHECKSUM" if bare.code != 530 => vec![UNKNOWN_SUM.to_owned()],
        "SITE HELP" | "HELP SITE" if bare.code == 214 => {
            let own = " CHECKSUM - CHECKSUM <path>: of what you uploaded under that name";
            lines.insert(lines.len() - 1, own.to_owned());
            lines
        }
        _ => lines,
    }
}

/// What a text shows of it.
fn shown(argument: &str) -> String {
    format!("{}...", &argument[..512])
}

fn named(name: &str, settings: &str) -> String {
    format!("[[plugin]]\nname = \"{name}\"\n{settings}")
}

/// `auth-http` with the service of the test.
pub(super) fn auth_http(site: &Site, web: &Web) -> String {
    let base = site.path("").canonicalize().unwrap();
    site.write("token", "t0ken\n");
    pasted("auth-http")
        .replace("https://login.example.org/ftp", &web.url("/ftp"))
        .replace("/srv/ftp", &base.join("ftp").display().to_string())
        .replace("/etc/waft/login-token", &base.join("token").display().to_string())
        .replace("[plugin.grant]", "[plugin.grant]\nhttp_private = true")
}

/// A service that knows one user, of the longest name, and takes all that is posted.
pub(super) fn answer(request: &Request) -> (u16, String) {
    let is_known = || request.json()["user"] == name();
    match request.head.starts_with("POST /hook ") || is_known() {
        true => (200, json!({}).to_string()),
        false => (404, String::new()),
    }
}

fn posted(request: &Request, event: &str, path: &str) -> bool {
    let events = request.json();
    events.as_array().unwrap().iter().any(|it| it["name"] == event && it["path"] == path)
}

/// The longest password that a line has room for.
fn password() -> String {
    arguments("PASS")[0].clone()
}

/// A hash of a password, as an operator makes it.
fn hash_of(password: &str) -> String {
    let mut command = program();
    let made = run(command.args(["user", "hash", "--password-stdin"]), password.as_bytes());
    made.succeeded().stdout().trim_end().to_owned()
}

/// Puts a valid upload, whose name on the way takes the whole line.
fn put_by_longest_path(waft: &Waft, alice: &mut Ftp) {
    let [_, path, ..] = arguments("STOR");
    alice.put(&format!("STOR {path}"), &eicar()[..10]);
    assert_eq!(waft.read("x"), eicar()[..10]);
}
