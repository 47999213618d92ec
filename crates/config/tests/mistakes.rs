//! Every kind of mistake, with its exact words and place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fs;
use std::path::Path;

use waft_config::{Config, Mistake};

const LISTENER: &str = "[[listener]]\naddress = \"127.0.0.1:2121\"\n";
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamtsbW5vcA";

/// Makes a directory with one of everything that a configuration may name.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for name in ["root", "plugins"] {
        fs::create_dir(path.join(name)).unwrap();
    }
    for name in ["cert.pem", "key.pem", "plugins/one.wasm", "two.wasm", "root/three.wasm"] {
        write(&path.join(name), "");
    }
    directory
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    restrict(path, 0o600);
}

fn restrict(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn lines(list: &[Mistake], directory: &Path) -> Vec<String> {
    let here = format!("{}/", directory.display());
    list.iter()
        .map(|mistake| mistake.to_string().replace(&here, "").replace("\n  remedy: ", " -> "))
        .collect()
}

/// Loads `text` as `waft.toml` and returns what is said about it: mistakes, warnings.
fn told(directory: &Path, text: &str) -> (Vec<String>, Vec<String>) {
    let file = directory.join("waft.toml");
    write(&file, text);
    match Config::load(Some(&file)) {
        Ok((_, warnings)) => (Vec::new(), lines(&warnings.0, directory)),
        Err(mistakes) => {
            (lines(&mistakes.mistakes, directory), lines(&mistakes.warnings.0, directory))
        }
    }
}

/// Checks that `text`, with a listener behind it, has these mistakes and no others.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let directory = directory();
    let (mistakes, _) = told(directory.path(), &format!("{text}\n{LISTENER}"));
    assert_eq!(mistakes, expected, "{text}");
}

/// Checks that `text` has no mistakes, but these warnings and no others.
#[track_caller]
fn check_warnings(text: &str, expected: &[&str]) {
    let directory = directory();
    let (mistakes, warnings) = told(directory.path(), text);
    assert_eq!(mistakes, [""; 0], "{text}");
    assert_eq!(warnings, expected, "{text}");
}

fn user(more: &str) -> String {
    format!("[[user]]\nname = \"al\"\npassword = \"{HASH}\"\nroot = \"root\"\n{more}\n")
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_the_way_to_write_it() {
    let duration = "write a number and a unit, for example \"5m\"";
    let size = "write a number and a unit, for example \"64KiB\" or \"10MB\"";
    let path = "write a path between double quotes";
    for (key, kind, remedy) in [
        ("timeouts.idle = \"5x\"", "a duration: \"5x\"", duration),
        ("timeouts.idle = 5", "a duration: 5", duration),
        ("timeouts.idle = \"-5m\"", "a duration: \"-5m\"", duration),
        ("timeouts.data_accept = 0", "a duration above 0: 0", duration),
        ("limits.line_bytes = \"8 kib\"", "a size above 0: \"8 kib\"", size),
        ("limits.ascii_size_bytes = -1", "a size: -1", size),
        (
            "limits.sessions = \"many\"",
            "a whole number: \"many\"",
            "write a whole number, without quotes",
        ),
        ("limits.sessions = -1", "a whole number: -1", "write 0 or more"),
        ("transfers.deflate_level = 10", "a whole number from 1 to 9: 10", "write 9 or less"),
        (
            "transfers.deflate = \"yes\"",
            "true or false: \"yes\"",
            "write true or false, without quotes",
        ),
        ("transfers.interrupted = \"kep\"", "one of the words: \"kep\"", "did you mean \"keep\"?"),
        (
            "log.level = \"loud\"",
            "one of the words: \"loud\"",
            "write one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
        ),
        (
            "passive.ports = \"50000\"",
            "a range of ports: \"50000\"",
            "write the lowest and the highest port, for example \"49152-49999\"",
        ),
        (
            "passive.ports = \"50010-50000\"",
            "a range of ports: \"50010-50000\"",
            "write the lowest and the highest port, for example \"49152-49999\"",
        ),
        (
            "passive.address = \"::1\"",
            "\"local\", an IPv4 address or a host name: \"::1\"",
            "write \"local\", an IPv4 address such as \"203.0.113.7\" or a name such as \
             \"ftp.example.org\"; the reply to PASV cannot carry anything else",
        ),
        (
            "active.lan = \"10.0.0.0/8\"",
            "a list: \"10.0.0.0/8\"",
            "write it between brackets: [ … ]",
        ),
        ("server.state = 7", "a path: 7", path),
        ("server.state = \"\"", "a path: \"\"", path),
        (
            "server.name = \"\"",
            "a name: \"\"",
            "write a name between double quotes, without control characters",
        ),
        (
            "server.greeting = \"a\\u0007\"",
            "text: \"a\\u{7}\"",
            "write text between double quotes; \\n starts a new line, other control characters \
             cannot stand in a reply",
        ),
        ("server = 1", "a table: 1", "write it as a table: [server]"),
        (
            "user = 1",
            "a list of tables: 1",
            "write each entry as a table of its own, in double brackets",
        ),
        ("user = [1]", "a table: 1", "write each entry as a table of its own, in double brackets"),
    ] {
        let (name, value) = key.split_once(" = ").unwrap();
        let name = if value == "[1]" { "user.0" } else { name };
        let column = key.find(" = ").unwrap() + if value == "[1]" { 5 } else { 4 };
        let expected = format!("waft.toml:1:{column}: {name}: not {kind} -> {remedy}");
        check(key, &[&expected]);
    }
}

#[test]
fn an_item_of_a_list_is_told_by_its_number_and_place() {
    check(
        "[active]\nlan = [\n  \"10.0.0.0/8\",\n  \"10.0.0.0/33\",\n]",
        &["waft.toml:4:3: active.lan.1: not a network: \"10.0.0.0/33\" -> write an address and a \
           prefix length, for example \"10.0.0.0/8\" or \"fd00::/8\""],
    );
}

#[test]
fn unknown_keys_are_refused_and_the_likely_one_named() {
    check(
        "[timeouts]\nidel = \"5m\"",
        &["waft.toml:2:1: timeouts.idel: unknown key -> did you mean idle?"],
    );
    check(
        "[timeouts]\ndata-accept = \"5m\"",
        &["waft.toml:2:1: timeouts.data-accept: unknown key -> did you mean data_accept?"],
    );
    check("[limit]\n", &["waft.toml:1:2: limit: unknown key -> did you mean limits?"]);
    check(
        "[tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\nciphers = 1",
        &["waft.toml:4:1: tls.ciphers: unknown key -> remove it; the keys here are certificate, \
           private_key, acme, host, minimum_version, cipher_suites, key_exchange_groups, resumption, \
           close_notify, data_connections, client_certificates, client_authorities, ccc"],
    );
    check(
        &user("quota = 1"),
        &["waft.toml:5:1: user.0.quota: unknown key -> remove it; the keys here are name, \
           password, root, storage, permissions, home, enabled, sessions, certificates, certificate_login, \
           tls_resumption, attributes"],
    );
}

#[test]
fn keys_that_must_be_there_are_missed_where_their_table_begins() {
    check(
        "[[user]]\npassword = \"$1$\"\n",
        &[
            "waft.toml:1:1: user.0.name: missing -> add name = …",
            "waft.toml:2:12: user.0.password: not a password hash; passwords are never written in \
             clear text -> make a hash with: waft user hash",
        ],
    );
    check(
        "[[user]]\nname = \"al\"\nroot = \"root\"\n",
        &["waft.toml:1:1: user.0.password: missing -> add password = …"],
    );
    check("[anonymous]", &["waft.toml:1:1: anonymous.root: missing -> add root = …"]);
    check(
        "[tls]\ncertificate = \"cert.pem\"",
        &["waft.toml:1:1: tls.private_key: missing -> add private_key = …, or [tls.acme]"],
    );
}

#[test]
fn an_account_has_a_password_or_certificates_that_somebody_asks_for() {
    let tls = "[tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n\
               client_certificates = \"optional\"\nclient_authorities = \"cert.pem\"\n";
    let bare = "[[user]]\nname = \"al\"\nroot = \"root\"\ncertificates = [\"cn:al\"]\n";
    check(&format!("{tls}{bare}"), &[]);
    check(&format!("{tls}{}", user("certificates = [\"cn:al\"]")), &[]);
    check(
        &format!("{bare}certificate_login = \"with_password\""),
        &[
            "waft.toml:1:1: user.0.password: missing -> add password = …",
            "waft.toml:4:16: user.0.certificates: nobody is asked for a certificate -> write \
             client_certificates = \"optional\" in [tls], or remove it here",
        ],
    );
    check(
        &user("certificate_login = \"with_password\""),
        &["waft.toml:5:21: user.0.certificate_login: no certificate is the account's, so that it \
           could never log in -> add certificates = [ … ]"],
    );
}

#[test]
fn syntax_is_told_together_with_what_could_be_understood() {
    check(
        "[timeouts]\nidle = 5m\nstall = \"soon\"\n[limits]\nsesions = 1",
        &[
            "waft.toml:2:8: string values must be quoted, expected literal string -> correct the \
             TOML syntax here",
            "waft.toml:3:9: timeouts.stall: not a duration: \"soon\" -> write a number and a unit, \
             for example \"5m\"",
            "waft.toml:5:1: limits.sesions: unknown key -> did you mean sessions?",
        ],
    );
}

#[test]
fn all_mistakes_are_told_at_once_sorted_by_place() {
    let text = format!(
        "[timeouts]\nidle = \"x\"\n[server]\nnam = \"a\"\n{}[passive]\nports = \"1\"",
        user("enabled = 1").replace("root = \"root\"", "root = \"gone\"")
    );
    check(
        &text,
        &[
            "waft.toml:2:8: timeouts.idle: not a duration: \"x\" -> write a number and a unit, for \
             example \"5m\"",
            "waft.toml:4:1: server.nam: unknown key -> did you mean name?",
            "waft.toml:8:8: user.0.root: no such directory: gone -> make it: mkdir -p gone",
            "waft.toml:9:11: user.0.enabled: not true or false: 1 -> write true or false, without \
             quotes",
            "waft.toml:11:9: passive.ports: not a range of ports: \"1\" -> write the lowest and \
             the highest port, for example \"49152-49999\"",
        ],
    );
}

#[test]
fn the_message_and_its_remedy_stand_on_two_lines() {
    let text = format!("[timeouts]\nidle = \"5x\"\n{LISTENER}");
    let mistakes = Config::from_text(Path::new("waft.toml"), &text).unwrap_err();
    let expected = "waft.toml:2:8: timeouts.idle: not a duration: \"5x\"\n  \
                    remedy: write a number and a unit, for example \"5m\"";
    assert_eq!(mistakes.to_string(), expected);
}

#[test]
fn passwords_in_clear_text_are_refused_and_not_repeated() {
    let text = user("").replace(HASH, "hunter2");
    check(
        &text,
        &["waft.toml:3:12: user.0.password: not a password hash; passwords are never written in \
           clear text -> make a hash with: waft user hash"],
    );
    let text = user("").replace("YWJjZGVmZ2hpamtsbW5vcA", "YWJ");
    check(
        &text,
        &["waft.toml:3:12: user.0.password: damaged password hash: it begins with $argon2id$ and \
           does not go on as it must -> paste the whole hash, or make a new one with: waft user \
           hash"],
    );
}

#[test]
fn permissions_are_words() {
    check(
        &user("permissions = [\"list\", \"reed\", \"fly\"]"),
        &[
            "waft.toml:5:24: user.0.permissions.1: not a permission: \"reed\" -> did you mean \
             \"read\"?",
            "waft.toml:5:32: user.0.permissions.2: not a permission: \"fly\" -> write one of \
             \"list\", \"read\", \"write\", \"append\", \"delete\", \"rename\", \"mkdir\"",
        ],
    );
}

#[test]
fn a_home_is_a_directory_as_clients_see_it() {
    for home in ["in", "/a/../b"] {
        let expected = format!(
            "waft.toml:5:8: user.0.home: not a directory as clients see it: {home:?} -> write it \
             from the root of the account, for example \"/incoming\""
        );
        check(&user(&format!("home = {home:?}")), &[&expected]);
    }
}

#[test]
fn names_and_addresses_are_used_once() {
    check(
        &format!("{}{}", user(""), user("")),
        &["waft.toml:7:8: user.1.name: used twice: al -> change it, or remove one of them: the \
           other is at waft.toml:2:8"],
    );
    check(
        &format!(
            "{LISTENER}name = \"a\"\n[[listener]]\naddress = \"127.0.0.1:2122\"\nname = \"a\""
        ),
        &[
            "waft.toml:6:8: listener.1.name: used twice: a -> change it, or remove one of them: \
             the other is at waft.toml:3:8",
            "waft.toml:8:11: listener.2.address: used twice: 127.0.0.1:2121 -> change it, or \
             remove one of them: the other is at waft.toml:2:11",
        ],
    );
    let plugin = "[[plugin]]\nname = \"p\"\npath = \"two.wasm\"\n";
    check(
        &format!("{plugin}{plugin}"),
        &["waft.toml:5:8: plugin.1.name: used twice: p -> change it, or remove one of them: the \
           other is at waft.toml:2:8"],
    );
    let rule = "[[passive.rule]]\nfrom = \"10.0.0.0/8\"\naddress = \"local\"\n";
    check(
        &format!("{rule}{rule}"),
        &[
            "waft.toml:5:8: passive.rule.1.from: used twice: 10.0.0.0/8 -> change it, or remove one \
           of them: the other is at waft.toml:2:8",
        ],
    );
    check(
        "[plugins]\ndirectory = \"plugins\"\norder = [\"one\", \"one\"]",
        &["waft.toml:3:17: plugins.order.1: used twice: one -> change it, or remove one of them: \
           the other is at waft.toml:3:10"],
    );
}

#[test]
fn any_number_of_listeners_may_pick_a_free_port() {
    check_warnings(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [anonymous]\nroot = \"root\"",
        &[],
    );
}

#[test]
fn there_is_something_to_listen_on() {
    let directory = directory();
    let (mistakes, _) = told(directory.path(), "[anonymous]\nroot = \"root\"\n");
    let expected = "waft.toml: listener: missing: there is nothing to listen on -> add \
                    [[listener]] with address = \"0.0.0.0:21\"";
    assert_eq!(mistakes, [expected]);
}

#[test]
fn tls_wants_a_certificate() {
    check(
        "[[listener]]\naddress = \"127.0.0.1:990\"\ntls = \"implicit\"",
        &["waft.toml:3:7: listener.0.tls: no certificate for \"implicit\" -> add [tls] with \
           certificate and private_key, or write tls = \"off\""],
    );
    check(
        "[tls]\ncertificate = \"gone.pem\"\nprivate_key = \"root\"",
        &[
            "waft.toml:2:15: tls.certificate: no such file or directory: gone.pem -> name a PEM \
             file that the server can read",
            "waft.toml:3:15: tls.private_key: not a file: root -> name a PEM file that the server \
             can read",
        ],
    );
}

#[test]
fn an_authority_is_asked_for_names_by_somebody_who_agrees() {
    check(
        "[tls.acme]\nnames = [\"192.0.2.1\", \"*.example.org\"]\ncontact = [\"admin\"]\n\
         authority = \"http://ca.example.org\"\ndirectory = \"acme\"\n",
        &[
            "waft.toml:1:1: tls.acme.address: missing -> add address = …",
            "waft.toml:2:10: tls.acme.names.0: not a host name: \"192.0.2.1\" -> write a name such \
             as \"ftp.example.org\"; the challenges are for neither addresses nor wildcards",
            "waft.toml:2:23: tls.acme.names.1: not a host name: \"*.example.org\" -> write a name \
             such as \"ftp.example.org\"; the challenges are for neither addresses nor wildcards",
            "waft.toml:3:12: tls.acme.contact.0: not a mail address: \"admin\" -> write one such as \
             \"admin@example.org\"",
            "waft.toml:4:13: tls.acme.authority: not a URL with https: \"http://ca.example.org\" -> \
             write one that begins with https://, for example \"https://ca.example.org/directory\"",
        ],
    );
    check(
        "[tls]\ncertificate = \"cert.pem\"\n[tls.acme]\nnames = []\nauthority_certificate = \
         \"gone.pem\"\naddress = \"127.0.0.1:2121\"\ndirectory = \"cert.pem\"\n",
        &[
            "waft.toml:2:15: tls.certificate: the certificate is that of [tls.acme] -> remove it, \
             or remove [tls.acme]",
            "waft.toml:3:1: tls.acme.terms_of_service_agreed: not agreed to the authority's terms of \
             service -> read them, and write terms_of_service_agreed = true",
            "waft.toml:4:9: tls.acme.names: no name to ask for -> name the server as clients connect \
             to it: names = [\"ftp.example.org\"]",
            "waft.toml:5:25: tls.acme.authority_certificate: no such file or directory: gone.pem -> \
             name a PEM file that the server can read",
            "waft.toml:6:11: tls.acme.address: used by a listener: 127.0.0.1:2121 -> take port 80 \
             for http-01, 443 for tls-alpn-01, or one that they lead to",
            "waft.toml:7:13: tls.acme.directory: not a directory: cert.pem -> name a directory",
        ],
    );
}

#[test]
fn roots_are_directories() {
    check(
        &user("").replace("\"root\"", "\"root/deep/er\""),
        &["waft.toml:4:8: user.0.root: no such directory: root/deep/er -> make it: mkdir -p \
           root/deep/er"],
    );
    check(
        "[anonymous]\nroot = \"cert.pem\"",
        &["waft.toml:2:8: anonymous.root: not a directory: cert.pem -> name a directory"],
    );
}

#[test]
fn the_files_of_an_account_are_in_one_place() {
    let user = |place: &str| user("").replace("root = \"root\"", place);
    check(
        &user(""),
        &["waft.toml:1:1: user.0.root: missing -> add root = …, or storage = \"plugin:NAME\""],
    );
    check(
        &user("root = \"root\"\nstorage = \"plugin:one\""),
        &[
            "waft.toml:4:8: user.0.root: not a path in the storage of a plugin -> write it from the \
           root of that storage, as in \"/in\"",
            "waft.toml:5:11: user.0.storage: no plugin of this name: one -> correct it, or add \
           [[plugin]] with name = \"one\" and path = …",
        ],
    );
    check(
        &user("storage = \"s3:bucket\""),
        &[
            "waft.toml:4:11: user.0.storage: not the storage of a plugin: s3:bucket -> write storage \
           = \"plugin:NAME\", or root = … for a directory",
        ],
    );
    check(
        "[[mount]]\npath = \"/\"\nplugin = \"one\"\n[[mount]]\npath = \"/a\"\nplugin = \"one\"\n\
         [[mount]]\npath = \"/a/\"\nplugin = \"one\"\n[plugins]\ndirectory = \"plugins\"",
        &[
            "waft.toml:2:8: mount.0.path: nothing can be mounted at the root -> name a directory; an \
             account whose files are all in a plugin has storage = \"plugin:NAME\"",
            "waft.toml:8:8: mount.2.path: used twice: /a -> change it, or remove one of them: the \
             other is at waft.toml:5:8",
        ],
    );
}

#[test]
fn what_is_said_of_single_hooks_and_instances_has_to_make_sense() {
    let plugin = "[[plugin]]\nname = \"one\"\npath = \"plugins/one.wasm\"\n";
    check(
        &format!(
            "{plugin}isolation = \"sesion\"\n[plugin.on_error_by_hook]\nauthenticator = \"allow\"\n\
             storage = \"allow\"\n[plugin.limits]\ninstances = {{ min = 9, max = 8 }}\n\
             command-filter = {{ wall = \"1s\" }}\ntimer = {{ wal = \"1s\" }}\nstorage = \"1s\"\n"
        ),
        &[
            "waft.toml:4:13: plugin.0.isolation: not one of the words: \"sesion\" -> did you mean \
             \"session\"?",
            "waft.toml:6:17: plugin.0.on_error_by_hook.authenticator: whoever it fails on would be let \
             in -> write \"deny\"",
            "waft.toml:7:1: plugin.0.on_error_by_hook.storage: unknown key -> remove it; the keys here \
             are connection_filter, authenticator, command_filter, file_filter, content_filter",
            "waft.toml:9:13: plugin.0.limits.instances: more are kept than there are at most: 9, 8 -> \
             lower min, or raise max",
            "waft.toml:10:1: plugin.0.limits.command-filter: unknown key -> did you mean \
             command_filter?",
            "waft.toml:11:11: plugin.0.limits.timer.wal: unknown key -> did you mean wall?",
            "waft.toml:12:11: plugin.0.limits.storage: not a table: \"1s\" -> write { wall = \"10s\" }, \
             with cpu or without",
        ],
    );
}

#[test]
fn nobody_is_served_from_the_quarantine() {
    let user = user("");
    check(
        &format!("{user}[plugins]\nquarantine = \"gone\""),
        &["waft.toml:7:14: plugins.quarantine: no such directory: gone -> make it: mkdir -p gone"],
    );
    check(
        &format!("{user}[plugins]\nquarantine = \"root\""),
        &[
            "waft.toml:7:14: plugins.quarantine: al can change what is kept away here: it is within \
           the root of that account -> move it out of every root",
        ],
    );
}

#[test]
fn anonymous_uploads_are_granted_separately() {
    let text = "[anonymous]\nroot = \"root\"\npermissions = [\"list\", \"write\"]";
    check(
        text,
        &["waft.toml:3:15: anonymous.permissions: uploads are granted separately: \"write\" -> \
           remove it, or add upload = true"],
    );
    check(&format!("{text}\nupload = true"), &[]);
    check(
        &format!("{}[anonymous]\nroot = \"root\"", user("").replace("\"al\"", "\"ftp\"")),
        &["waft.toml:2:8: user.0.name: anonymous users log in with this name: ftp -> rename the \
           account, or remove [anonymous]"],
    );
}

#[test]
fn the_users_file_is_there_and_holds_users_only() {
    check(
        "[users]\nfile = \"users.toml\"",
        &[
            "waft.toml:2:8: users.file: no such file or directory: users.toml -> make it with: waft \
           user add --file users.toml NAME",
        ],
    );
    let directory = directory();
    let users = format!("[server]\nname = \"a\"\n{}", user("rot = 1"));
    write(&directory.path().join("users.toml"), &users);
    let text = format!("[users]\nfile = \"users.toml\"\n{}{LISTENER}", user(""));
    let (mistakes, _) = told(directory.path(), &text);
    let expected = [
        "users.toml:1:2: server: unknown key -> remove it; the keys here are user",
        "users.toml:7:1: user.1.rot: unknown key -> did you mean root?",
    ];
    assert_eq!(mistakes, expected);
}

#[test]
fn an_account_is_either_inline_or_in_the_users_file() {
    let directory = directory();
    write(&directory.path().join("users.toml"), &user(""));
    let text = format!("[users]\nfile = \"users.toml\"\n{}{LISTENER}", user(""));
    let (mistakes, _) = told(directory.path(), &text);
    let expected = "users.toml:2:8: user.1.name: used twice: al -> change it, or remove one of \
                    them: the other is at waft.toml:4:8";
    assert_eq!(mistakes, [expected]);
}

#[test]
fn plugins_are_files_that_no_client_can_change() {
    check(
        "[[plugin]]\nname = \"p\"",
        &["waft.toml:1:1: plugin.0.path: missing -> add path = …, or directory in [plugins]"],
    );
    check(
        "[[plugin]]\nname = \"p\"\npath = \"gone.wasm\"",
        &["waft.toml:3:8: plugin.0.path: no such file or directory: gone.wasm -> name a \
           component: a file *.wasm"],
    );
    check(
        "[plugins]\ndirectory = \"gone\"",
        &["waft.toml:2:13: plugins.directory: no such directory: gone -> make it: mkdir -p gone"],
    );
    check(
        &format!("{}[[plugin]]\nname = \"p\"\npath = \"root/three.wasm\"", user("")),
        &["waft.toml:8:8: plugin.0.path: al can change code here: it is within the root of that \
           account -> move it out of every root"],
    );
    check(
        &format!(
            "{}[plugins]\ndirectory = \"plugins\"",
            user("").replace("root = \"root\"", "root = \".\"")
        ),
        &[
            "waft.toml:1:1: user: al can change password hashes here: it is within the root of that \
           account -> move it out of every root",
            "waft.toml:7:13: plugins.directory: al can change code here: it is within the root of \
           that account -> move it out of every root",
        ],
    );
    check(
        "[anonymous]\nroot = \".\"\n[plugins]\ndirectory = \"plugins\"",
        &[
            "waft.toml:4:13: plugins.directory: anonymous can read code here: it is within the root \
           of that account -> move it out of every root",
        ],
    );
    check(
        "[[plugin]]\nname = \"p\"\npath = \"root/three.wasm\"\nsha256 = \"abc\"",
        &[
            "waft.toml:4:10: plugin.0.sha256: not a SHA-256 in hexadecimal: \"abc\" -> write the line \
           that waft plugin inspect tells",
        ],
    );
    check(
        "[[plugin]]\nname = \"p\"\npath = \"root/three.wasm\"\ncanary = \"100%\"",
        &[
            "waft.toml:4:10: plugin.0.canary: not a share from 1% to 99%: \"100%\" -> write a number \
           and a percent sign, for example \"5%\"",
        ],
    );
}

#[test]
fn events_last_where_the_server_keeps_anything() {
    let plugin = "[[plugin]]\nname = \"p\"\npath = \"root/three.wasm\"\n[plugin.grant]\n";
    check(
        &format!("{plugin}durable_events = true"),
        &["waft.toml:5:18: plugin.0.grant.durable_events: nowhere to keep them -> set state in \
           [server], or take it from the grant"],
    );
    check(
        &format!("[server]\nstate = \".\"\n{plugin}durable_events = \"1KiB\""),
        &["waft.toml:7:18: plugin.0.grant.durable_events: not true, false or a size from 1MiB: \
           \"1KiB\" -> write true, false, or a size such as \"64MiB\""],
    );
}

#[test]
fn what_plugins_may_give_to_their_accounts_is_no_place_for_code() {
    let plugin = "[[plugin]]\nname = \"two\"\npath = \"two.wasm\"\n";
    check(
        &format!(
            "[plugins]\ndirectory = \"plugins\"\nquarantine = \"root\"\n\
             {plugin}quarantine = \"plugins\"\n[plugin.grant]\nstorage = [\".\"]\n"
        ),
        &[
            "waft.toml: an account of two can change the configuration here: it is within what that \
             plugin is granted for files -> move it out of every root, or grant the plugin another \
             directory",
            "waft.toml:2:13: plugins.directory: an account of two can change code here: it is within \
             what that plugin is granted for files -> move it out of every root, or grant the plugin \
             another directory",
            "waft.toml:3:14: plugins.quarantine: an account of two can change what is kept away here: \
             it is within what that plugin is granted for files -> move it out of every root, or \
             grant the plugin another directory",
            "waft.toml:6:8: plugin.0.path: an account of two can change code here: it is within what \
             that plugin is granted for files -> move it out of every root, or grant the plugin \
             another directory",
            "waft.toml:7:14: plugin.0.quarantine: an account of two can change what is kept away here: \
             it is within what that plugin is granted for files -> move it out of every root, or \
             grant the plugin another directory",
        ],
    );
}

#[test]
fn a_link_that_clients_can_exchange_is_no_way_to_code() {
    let directory = directory();
    std::os::unix::fs::symlink("../plugins", directory.path().join("root/link")).unwrap();
    let text = format!("[plugins]\ndirectory = \"root/link\"\n{LISTENER}{}", user(""));
    let (mistakes, _) = told(directory.path(), &text);
    let expected = "waft.toml:2:13: plugins.directory: al can change code here: it is within the root \
                    of that account -> move it out of every root";
    assert_eq!(mistakes, [expected]);
    let may_look = text.replace("root = \"root\"", "root = \"root\"\npermissions = [\"read\"]");
    let (mistakes, _) = told(directory.path(), &may_look);
    assert_eq!(mistakes, [""; 0]);
}

#[test]
fn nobody_is_served_what_the_server_keeps_to_itself() {
    let site = directory();
    write(&site.path().join("secret"), "");
    write(&site.path().join("users.toml"), &user(""));
    let text = "[anonymous]\nroot = \".\"\n[server]\nstate = \"not-yet/state\"\n\
                [users]\nfile = \"users.toml\"\n\
                [tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n\
                [[tls.host]]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n\
                [[plugin]]\nname = \"two\"\npath = \"two.wasm\"\n\
                [plugin.grant]\nsecrets = { pin = \"file:secret\", word = \"env:WORD\" }\n";
    let (mistakes, _) = told(site.path(), &format!("{text}{LISTENER}"));
    let told_of = |place: &str, what: &str| {
        format!(
            "{place}: anonymous can read {what} here: it is within the root of that account -> move \
             it out of every root"
        )
    };
    let expected = [
        told_of("waft.toml:4:9: server.state", "what the server keeps"),
        told_of("waft.toml:9:15: tls.private_key", "a key"),
        told_of("waft.toml:12:15: tls.host.0.private_key", "a key"),
        told_of("waft.toml:17:19: plugin.0.grant.secrets.pin", "a secret"),
        told_of("users.toml:1:1: user", "password hashes"),
    ];
    assert_eq!(mistakes, expected);
}

#[test]
fn nobody_changes_the_configuration_or_who_is_trusted() {
    let site = directory();
    let text = "[anonymous]\nroot = \".\"\nupload = true\n[plugins]\npublic_key = \"key.pem\"\n";
    let (mistakes, _) = told(site.path(), &format!("{text}{LISTENER}"));
    let expected = [
        "waft.toml: anonymous can change the configuration here: it is within the root of that \
         account -> move it out of every root",
        "waft.toml:5:14: plugins.public_key: anonymous can change whom the server trusts here: it is \
         within the root of that account -> move it out of every root",
    ];
    assert_eq!(mistakes, expected);
    let (mistakes, _) = told(site.path(), &format!("{text}{LISTENER}").replace("true", "false"));
    assert_eq!(mistakes, [""; 0]);
    // Nobody sees what is above a root.
    let text = "[anonymous]\nroot = \"root\"\nupload = true\n[server]\nstate = \".\"\n";
    let (mistakes, _) = told(site.path(), &format!("{text}{LISTENER}"));
    assert_eq!(mistakes, [""; 0]);
}

#[test]
fn settings_may_be_written_before_their_component_is_dropped_in() {
    let directory = directory();
    let section = "[plugins]\ndirectory = \"plugins\"\n[[plugin]]\nname = \"later\"\n";
    let (mistakes, warnings) = told(directory.path(), &format!("{section}{LISTENER}"));
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let expected = "waft.toml:4:8: plugin.0.name: not there yet: plugins/later.wasm -> put the \
                    component there; it is loaded then";
    assert!(warnings.contains(&expected.to_owned()), "{warnings:?}");
    check(
        &format!("{section}required = true"),
        &["waft.toml:3:1: plugin.0.path: no such file or directory: plugins/later.wasm -> name a \
           component: a file *.wasm"],
    );
}

#[test]
fn a_directory_of_plugins_that_everyone_can_write_to_is_refused() {
    let directory = directory();
    restrict(&directory.path().join("plugins"), 0o777);
    let text = format!("[plugins]\ndirectory = \"plugins\"\n{LISTENER}");
    let (mistakes, _) = told(directory.path(), &text);
    let expected = "waft.toml:2:13: plugins.directory: everyone on this machine can put code \
                    here: plugins -> chmod o-w plugins";
    assert_eq!(mistakes, [expected]);
}

#[test]
fn dotted_names_of_settings_are_used_once() {
    check(
        "[[plugin]]\nname = \"p\"\npath = \"two.wasm\"\n[plugin.config]\n\"a.b\" = 1\na.b = 2",
        &["waft.toml:4:1: plugin.0.config: two settings with the same dotted name: a.b -> rename \
           the key that has a dot in it"],
    );
}

#[test]
fn keys_that_are_at_odds_with_each_other_are_told() {
    check(
        "[limits]\nline_bytes = 100",
        &["waft.toml:2:14: limits.line_bytes: too short for a command with a file name: 100B -> \
           write \"512B\" or more"],
    );
    check(
        "[plugins.limits]\nmemory = \"5GiB\"\n[plugins]\nmemory_budget = \"8GiB\"",
        &["waft.toml:2:10: plugins.limits.memory: more memory than a component can have -> write \
           \"4GiB\" or less"],
    );
    check_warnings(
        &format!("[plugins]\nmemory_budget = \"4MiB\"\nlimits.memory = \"8MiB\"\n{LISTENER}"),
        &[
            "waft.toml: user: nobody can log in -> add [[user]], [anonymous] or a plugin that knows \
           accounts",
            "waft.toml:3:17: plugins.limits.memory: more memory for one instance than memory_budget \
           has for all -> lower it, or raise memory_budget in [plugins]",
        ],
    );
    check(
        "[active]\nmode = \"lan\"\nlan = []",
        &[
            "waft.toml:3:7: active.lan: no networks for mode \"lan\" -> name the networks, or write \
           mode = \"off\"",
        ],
    );
}

#[test]
fn files_that_cannot_be_read_are_told() {
    let directory = directory();
    let missing = directory.path().join("waft.toml");
    let mistakes = Config::load(Some(&missing)).unwrap_err();
    let expected = "waft.toml: no such file or directory -> name a file that can be read with \
                    --config";
    assert_eq!(lines(&mistakes.mistakes, directory.path()), [expected]);

    fs::write(&missing, b"a = \"\xff\"").unwrap();
    let mistakes = Config::load(Some(&missing)).unwrap_err();
    let expected = "waft.toml: not UTF-8 -> save it as UTF-8";
    assert_eq!(lines(&mistakes.mistakes, directory.path()), [expected]);

    write(&missing, LISTENER);
    fs::create_dir_all(directory.path().join("conf.d/10.toml")).unwrap();
    let mistakes = Config::load(Some(&missing)).unwrap_err();
    let expected = "conf.d/10.toml: is a directory -> make it readable, or remove it";
    assert_eq!(lines(&mistakes.mistakes, directory.path()), [expected]);
}

#[test]
fn what_an_operator_should_know_is_a_warning() {
    let anonymous = "[anonymous]\nroot = \"root\"\n";
    check_warnings(
        &format!("{anonymous}[[listener]]\naddress = \"0.0.0.0:2121\""),
        &["waft.toml:3:1: listener.0.tls: passwords and files cross the network in clear text -> \
           add [tls] with certificate and private_key, or say that it is meant: tls = \"off\""],
    );
    check_warnings(
        &format!("{anonymous}[[listener]]\naddress = \"0.0.0.0:2121\"\ntls = \"off\""),
        &[],
    );
    check_warnings(
        LISTENER,
        &[
            "waft.toml: user: nobody can log in -> add [[user]], [anonymous] or a plugin that knows \
           accounts",
        ],
    );
    check_warnings(
        &format!("[plugins]\ndirectory = \"plugins\"\norder = [\"one\", \"nine\"]\n{LISTENER}"),
        &[
            "waft.toml:3:17: plugins.order.1: no plugin of this name: nine -> correct it, or put the \
           component into the plugin directory",
        ],
    );
    check_warnings(
        &format!("{anonymous}[limits]\nsessions_per_address = 1000\n{LISTENER}"),
        &[
            "waft.toml: passive.ports: one client alone can take them all: 848 ports, 1000 sessions \
           -> widen the range, or lower sessions_per_address in [limits]",
        ],
    );
}

#[test]
fn secrets_that_everyone_can_read_are_warned_of() {
    let directory = directory();
    write(&directory.path().join("users.toml"), &user(""));
    restrict(&directory.path().join("users.toml"), 0o644);
    restrict(&directory.path().join("key.pem"), 0o644);
    let text = format!(
        "[users]\nfile = \"users.toml\"\n[tls]\ncertificate = \"cert.pem\"\n\
         private_key = \"key.pem\"\n{LISTENER}"
    );
    let (mistakes, warnings) = told(directory.path(), &text);
    assert_eq!(mistakes, [""; 0]);
    let expected = [
        "waft.toml:5:15: tls.private_key: everyone on this machine can read or change it: key.pem \
         -> chmod 600 key.pem",
        "users.toml: user: everyone on this machine can read or change these password hashes -> \
         chmod 600 users.toml",
    ];
    assert_eq!(warnings, expected);
}
