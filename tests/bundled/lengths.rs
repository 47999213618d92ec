//! What a client sends at its longest is no failure of a bundled plugin, and none that counts of any
//! other: else it could have plugins not asked, for everybody.

use serde_json::json;

use crate::eicar;
use crate::support::ftp::Ftp;
use crate::support::plugin::pasted;
use crate::support::site::Site;
use crate::support::waft::Waft;
use crate::support::web::Web;

/// Octets of the longest command line.
const LINE_BYTES: usize = 8 * 1024;

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
const CHECKSUM: &str = "[plugin.grant]\nkv = \"4MiB\"\n";
const UPLOAD_RULES: &str = "[plugin.config]\nallow = [\"x\", \"A*\", \"İ*\"]\ndeny = [\"*.exe\"]\n";

/// A server with that plugin, and with no limit to what somebody may try.
fn server(name: &str, settings: &str) -> Waft {
    let site = super::site(name, &[]);
    let limits = "[limits]\nlogin_attempts = 0\n";
    let text = String::from_utf8(std::fs::read(site.path("waft.toml")).unwrap()).unwrap();
    let guard = "[login]\nattempts_per_address = 0\nattempts_per_account = 0";
    site.write("waft.toml", text.replace("[login]", guard) + limits);
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

/// Verbs that end a session or a login, or whose argument is a password.
const APART: [&str; 6] = ["ABOR", "PASS", "QUIT", "REIN", "USER", "ACCT"];

/// The verbs that the server has, and words that it has not.
fn verbs(client: &mut Ftp) -> Vec<String> {
    let help = client.expect("HELP", 214);
    let words = help.lines.iter().flat_map(|line| line.split_whitespace());
    let is_verb =
        |word: &&str| (3..=4).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_uppercase());
    let known = words.filter(is_verb).filter(|word| !APART.contains(word)).map(str::to_owned);
    let known: Vec<String> = known.collect();
    assert!(known.len() > 40, "{help:?}");
    let more = ["CD", "GET", "LANG", "SITE CHECKSUM", "SITE CHMOD 644", "SITE UTIME", "XTELL"];
    known.into_iter().chain(more.map(str::to_owned)).collect()
}

/// Sends each verb with each argument; every one gets its reply, and `LIST` does so afterwards.
fn send_all(client: &mut Ftp, verbs: &[String]) {
    for verb in verbs {
        for argument in arguments(verb) {
            let reply = client.command(&format!("{verb} {argument}"));
            assert_ne!(reply.code, 451, "{verb}: {:?}", &reply.lines[0]);
            if reply.code == 150 {
                client.reply();
            }
        }
    }
}

#[test]
fn a_client_at_its_longest_makes_no_bundled_plugin_fail() {
    for (name, settings) in [
        ("command-policy", COMMAND_POLICY),
        ("reply-texts", REPLY_TEXTS),
        ("client-quirks", CLIENT_QUIRKS),
        ("checksum", CHECKSUM),
        ("upload-rules", UPLOAD_RULES),
    ] {
        // What the policy denies is not asked for; the list comes from a server without it.
        let verbs = verbs(&mut Site::new("").serve().connect());
        let waft = server(name, settings);
        let mut stranger = waft.connect();
        for user in arguments("USER") {
            stranger.expect(&format!("USER {user}"), 331);
            stranger.expect(&format!("PASS {user}"), 530);
        }
        send_all(&mut stranger, &verbs);
        let mut alice = waft.log_in();
        send_all(&mut alice, &verbs);
        if name != "checksum" {
            // A valid upload, whose name on the way takes the whole line.
            let [_, path, ..] = arguments("STOR");
            alice.put(&format!("STOR {path}"), &eicar()[..10]);
            assert_eq!(waft.read("x"), eicar()[..10]);
        }
        alice.expect("TYPE A", 200);
        alice.expect("QUIT", 221);
        let mut other = waft.log_in();
        other.expect("CWD /", 250);
        waft.log.wait("the last word", |line| line.field("reason") == "quit");
        assert!(!waft.log.text().contains("plugin failed"), "{name}");
    }
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
    let site = super::site("auth-http", &[]);
    let base = site.path("").canonicalize().unwrap();
    site.write("token", "t0ken\n");
    site.write("ftp/carol/a.txt", "carol");
    let entry = pasted("auth-http")
        .replace("https://login.example.org/ftp", &web.url("/ftp"))
        .replace("/srv/ftp", &base.join("ftp").display().to_string())
        .replace("/etc/waft/login-token", &base.join("token").display().to_string())
        .replace("[plugin.grant]", "[plugin.grant]\nhttp_private = true");
    site.write("conf.d/plugin.toml", entry);
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
    let line = waft.log.wait("the failure", |line| line.message() == "login failed");
    assert_eq!(line.field("reason"), "unknown user");
    assert!(!waft.log.text().contains("plugin failed"));
}
