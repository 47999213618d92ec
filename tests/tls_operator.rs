//! What an operator decides about TLS, seen from outside: who logs in by certificate, what is
//! demanded of whose data connections, which algorithms are spoken, what each listener offers, and
//! what happens to certificates that change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "tls_operator/authority.rs"]
mod authority;
#[path = "tls_operator/client.rs"]
mod client;
mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use authority::Authority;
use client::Ftps;
use support::client::client as program;
use support::ftp::Ftp;
use support::log::Line;
use support::plugin::component;
use support::process::{Finished, run};
use support::site::{PASSWORD, Site, hash};
use support::waft::{Waft, is_listening};

/// A site with a certificate, which asks clients for theirs, and an implicit listener; with these
/// lines in `[tls]`, and more behind that.
fn site(tls: &str, more: &str) -> (Site, Authority) {
    let site = Site::new("");
    let authority = Authority::new("Clients");
    site.write("clients.pem", authority.pem());
    renew(&site);
    site.write(
        "waft.toml",
        format!(
            "[log]\nformat = \"json\"\n[login]\nfailure_delay = \"0s\"\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\ntls = \"implicit\"\n\
             [tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n\
             client_certificates = \"optional\"\nclient_authorities = \"clients.pem\"\n\
             {tls}\n{more}\n"
        ),
    );
    restrict(&site.path("waft.toml"), 0o600);
    (site, authority)
}

/// Gives a file another mode.
fn restrict(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Makes the site's certificate anew.
fn renew(site: &Site) {
    for file in ["cert.pem", "key.pem"] {
        let _ = fs::remove_file(site.path(file));
    }
    site.waft(&["cert", "self-signed"], "").succeeded();
}

/// An account with the usual password, whose root is alice's.
fn user(name: &str, more: &str) -> String {
    let hash = hash();
    format!("[[user]]\nname = \"{name}\"\npassword = \"{hash}\"\nroot = \"alice\"\n{more}\n")
}

/// curl with a certificate, or without.
fn curl(waft: &Waft, certificate: Option<&str>, arguments: &[&str]) -> Option<Finished> {
    let mut curl = program("curl", &waft.path(""))?;
    curl.current_dir(waft.path("")).args(["--silent", "--show-error", "--cacert", "cert.pem"]);
    if let Some(name) = certificate {
        curl.args(["--cert", &format!("{name}.pem"), "--key", &format!("{name}.key")]);
    }
    Some(run(curl.args(arguments), b""))
}

fn url(waft: &Waft, user: &str, file: &str) -> String {
    format!("ftps://{user}@localhost:{}/{file}", waft.port())
}

#[test]
fn a_certificate_logs_in_instead_of_a_password_or_beside_it() {
    let bare = "[[user]]\nname = \"device\"\nroot = \"alice\"\ncertificates = [\"cn:device\"]\n";
    let more = [
        user("alice", "certificates = [\"email:alice@example.org\"]"),
        user("bob", "certificates = [\"cn:bob\"]\ncertificate_login = \"with_password\""),
        user("carol", ""),
        bare.to_owned(),
    ];
    let (site, authority) = site("", &more.concat());
    for (name, email) in [("alice", "alice@example.org"), ("bob", ""), ("device", "")] {
        authority.issue(&site, name, email);
    }
    let waft = site.serve();
    let correct = format!("PASS {PASSWORD}");
    for (certificate, talk) in [
        (Some("alice"), &[("USER alice", "232 User alice logged in by certificate.")][..]),
        (Some("alice"), &[("USER bob", "530 Login incorrect."), (&correct, "503 ")]),
        (Some("alice"), &[("USER carol", "530 Login incorrect.")]),
        (Some("bob"), &[("USER alice", "530 Login incorrect.")]),
        (Some("bob"), &[("USER bob", "331 "), ("PASS wrong", "530 Login incorrect.")]),
        (Some("bob"), &[("USER bob", "331 "), (&correct, "230 User bob logged in.")]),
        (None, &[("USER bob", "331 "), (&correct, "530 Login incorrect.")]),
        (None, &[("USER alice", "331 "), (&correct, "230 ")]),
        (None, &[("USER device", "331 "), (&correct, "530 Login incorrect.")]),
        (Some("device"), &[("USER device", "232 ")]),
    ] {
        let mut ftps = Ftps::connect(&waft, waft.address(), certificate);
        for (command, reply) in talk {
            let told = ftps.command(command);
            assert!(told.starts_with(reply), "{certificate:?} {command}: {told}");
        }
    }
    for reason in ["not the certificate of this account", "certificate missing", "no password"] {
        waft.log.wait(reason, |line| line.field("reason") == reason);
    }
}

#[test]
fn a_plugin_maps_certificates_to_accounts() {
    let porter = "[plugins]\ndirectory = \"plugins.d\"\n[[plugin]]\nname = \"porter\"\n\
                  [plugin.grant]\nstorage = [\"guests\"]\n[plugin.config]\n\
                  login = [\"dave certificate dave@example.org\", \"erin certificate nobody\"]\n\
                  root = \"/\"\npermissions = [\"list\", \"read\"]\n";
    let (site, authority) = site("", porter);
    let guests = site.make("guests");
    let text = fs::read_to_string(site.path("waft.toml")).unwrap();
    site.write("waft.toml", format!("{text}storage = \"local:{}\"\n", guests.display()));
    site.write("plugins.d/porter.wasm", component("tests/porter"));
    site.write("guests/file", "content");
    authority.issue(&site, "dave", "dave@example.org");
    authority.issue(&site, "carol", "carol@example.org");
    let waft = site.serve();
    for (certificate, command, reply) in [
        (Some("dave"), "USER dave", "232 "),
        (Some("carol"), "USER dave", "530 Login incorrect."),
        (Some("dave"), "USER erin", "530 Login incorrect."),
        (None, "USER dave", "331 "),
    ] {
        let mut ftps = Ftps::connect(&waft, waft.address(), certificate);
        let told = ftps.command(command);
        assert!(told.starts_with(reply), "{certificate:?} {command}: {told}");
    }
    let told = waft.log.wait("the login", |line| line.message() == "accepted by plugin");
    let fields = ["plugin", "hook", "user", "account"].map(|name| told.field(name));
    assert_eq!(fields, ["porter", "authenticator", "dave", "guest"]);
    let file = url(&waft, "dave:", "file");
    let Some(fetched) = curl(&waft, Some("dave"), &[&file]) else { return };
    assert_eq!(fetched.succeeded().stdout(), "content");
}

#[test]
fn curl_logs_in_by_certificate_and_is_refused_under_another_name() {
    let more = [
        user("alice", "certificates = [\"subject:CN=alice\"]"),
        user("bob", "certificates = [\"cn:bob\"]\ncertificate_login = \"with_password\""),
    ];
    let (site, authority) = site("", &more.concat());
    authority.issue(&site, "alice", "");
    authority.issue(&site, "bob", "");
    site.write("alice/file", "content");
    let waft = site.serve();
    let (alice, bob) = (url(&waft, "alice:", "file"), url(&waft, "bob:wrong", "file"));
    let right = url(&waft, &format!("bob:{PASSWORD}"), "file");
    let Some(by_certificate) = curl(&waft, Some("alice"), &[&alice]) else { return };
    assert_eq!(by_certificate.succeeded().stdout(), "content");
    assert_eq!(curl(&waft, Some("bob"), &[&right]).unwrap().succeeded().stdout(), "content");
    for (certificate, url) in
        [(Some("bob"), &alice), (Some("bob"), &bob), (Some("alice"), &right), (None, &right)]
    {
        let refused = curl(&waft, certificate, &[url]).unwrap();
        // CURLE_LOGIN_DENIED
        assert_eq!(refused.status.code(), Some(67), "{}", refused.story());
    }
}

#[test]
fn an_accounts_own_rule_about_resumption_goes_before_the_listeners() {
    for (general, own, code) in [("require", "off", 0), ("off", "require", 1)] {
        let more = [user("alice", ""), user("bob", &format!("tls_resumption = \"{own}\""))];
        let (site, _) = site(&format!("resumption = \"{general}\""), &more.concat());
        site.write("alice/file", "content");
        let waft = site.serve();
        for (name, is_served) in [("alice", code == 1), ("bob", code == 0)] {
            let url = url(&waft, &format!("{name}:{PASSWORD}"), "file");
            // A client that resumes is served whatever the rule is.
            let Some(resuming) = curl(&waft, None, &[&url]) else { return };
            assert_eq!(resuming.succeeded().stdout(), "content");
            let other = curl(&waft, None, &["--no-sessionid", &url]).unwrap();
            assert_eq!(other.status.success(), is_served, "{general}, {own}: {}", other.story());
        }
        let refusal = "TLS session of data connection not resumed";
        waft.log.wait(refusal, |line| line.field("error") == refusal);
    }
}

#[test]
fn the_chosen_algorithms_are_spoken_and_no_others() {
    let chosen = "cipher_suites = [\"TLS_CHACHA20_POLY1305_SHA256\", \
                  \"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256\"]\n\
                  key_exchange_groups = [\"secp384r1\"]\n";
    let (site, _) = site(chosen, &user("alice", ""));
    let waft = site.serve();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let ftps = Ftps::of_version(&waft, waft.address(), version).unwrap();
        let suite = format!("{:?}", ftps.tls().negotiated_cipher_suite().unwrap().suite());
        assert!(suite.ends_with("CHACHA20_POLY1305_SHA256"), "{suite}");
        let group = ftps.tls().negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, rustls::NamedGroup::secp384r1);
    }
    let newer = "cipher_suites = [\"TLS_AES_256_GCM_SHA384\"]\nminimum_version = \"1.3\"\n";
    let (site, _) = self::site(newer, &user("alice", ""));
    let waft = site.serve();
    assert!(Ftps::of_version(&waft, waft.address(), &rustls::version::TLS12).is_err());
    let ftps = Ftps::of_version(&waft, waft.address(), &rustls::version::TLS13).unwrap();
    let suite = ftps.tls().negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_AES_256_GCM_SHA384);
}

/// What `waft check` says, with the site's directory left out.
fn checked(site: &Site) -> String {
    let told = site.waft(&["check", "--config", "waft.toml"], "");
    told.stderr().replace(&site.path("").display().to_string(), "")
}

#[test]
fn check_refuses_algorithms_that_are_unknown_or_leave_nothing_to_speak() {
    for (tls, expected) in [
        (
            "cipher_suites = [\"TLS_AES_128_GCM_SHA256\", \"TLS_RSA_WITH_AES_128_CBC_SHA\"]",
            "waft.toml:13:44: tls.cipher_suites.1: unknown: TLS_RSA_WITH_AES_128_CBC_SHA\n  remedy: \
             write one of TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, ",
        ),
        (
            "key_exchange_groups = [\"secp521r1\"]",
            "waft.toml:13:24: tls.key_exchange_groups.0: unknown: secp521r1\n  remedy: write one of \
             X25519",
        ),
        (
            "minimum_version = \"1.3\"\ncipher_suites = [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]",
            "waft.toml:14:17: tls.cipher_suites: no cipher suite for the minimum version: TLSv1.3\n  \
             remedy: add one of that version, or change minimum_version\n",
        ),
        (
            "cipher_suites = [\"TLS_AES_128_GCM_SHA256\"]",
            "waft.toml:13:17: tls.cipher_suites: no cipher suite for the minimum version: TLSv1.2\n",
        ),
        (
            "cipher_suites = []",
            "waft.toml:13:17: tls.cipher_suites: no cipher suite for the minimum version: TLSv1.2\n",
        ),
        (
            "cipher_suites = [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]",
            "waft.toml:13:17: tls.cipher_suites: no cipher suite for the minimum version, TLSv1.2, \
             and the certificate's key: ECDSA\n  remedy: add one for such keys, or change \
             minimum_version\n",
        ),
        (
            "key_exchange_groups = [\"X25519MLKEM768\"]",
            "waft.toml:13:23: tls.key_exchange_groups: no key exchange group for the minimum \
             version: TLSv1.2\n  remedy: add x25519 or secp256r1, or change minimum_version\n",
        ),
    ] {
        let (site, _) = site(tls, &user("alice", ""));
        let told = checked(&site);
        assert!(told.contains(expected), "{tls}: {told}");
        assert!(told.ends_with("configuration is not valid: 1 mistake, 0 warnings\n"), "{told}");
    }
}

#[test]
fn check_refuses_names_of_certificates_that_are_none() {
    let more = "certificates = [\"cn:alice\", \"alice@example.org\", \"subject:alice\"]";
    let (site, _) = site("", &user("alice", more));
    let told = checked(&site);
    for expected in [
        "user.0.certificates.1: not one of dns:, email:, uri:, cn: and subject: with a name: \
         \"alice@example.org\"\n  remedy: write it as in \"email:alice@example.org\", ",
        "user.0.certificates.2: not a list of attributes such as CN=alice,O=Example: \"alice\"\n",
    ] {
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn check_knows_what_is_wrong_with_keys_and_chains() {
    let (site, authority) = site("", &user("alice", ""));
    fs::copy(site.path("key.pem"), site.path("other.pem")).unwrap();
    let place = "waft.toml:10:15: tls.private_key: ";
    for (days, expected) in [
        (-900..-20, "expired 20 days ago: CN=server\n  remedy: renew it\n"),
        (5..900, "not valid yet: CN=server\n  remedy: set the clock, or wait\n"),
        (-5..8, "expires in 8 days: CN=server\n  remedy: renew it\n"),
        (
            -5..900,
            "no certificate of CN=Clients, who issued that of CN=server\n  remedy: append it to the \
             file: most authorities call that the full chain\n",
        ),
    ] {
        let (certificate, key) = authority.server(days);
        site.write("cert.pem", certificate);
        site.write("key.pem", key);
        let told = checked(&site);
        assert!(told.contains(&format!("waft.toml:9:15: tls.certificate: {expected}")), "{told}");
    }
    let (certificate, key) = authority.server(-5..900);
    site.write("cert.pem", format!("{certificate}{}", authority.pem()));
    let told = checked(&site);
    let expected = format!(
        "{place}the private key does not belong to the certificate: key.pem\n  remedy: name the key \
         that the certificate was made for\n"
    );
    assert!(told.contains(&expected), "{told}");
    site.write("key.pem", key);
    assert!(checked(&site).ends_with("0 warnings\n"), "{}", checked(&site));
    restrict(&site.path("key.pem"), 0o644);
    let told = checked(&site);
    let expected = format!(
        "{place}everyone on this machine can read or change it: key.pem\n  remedy: chmod 600 "
    );
    assert!(told.contains(&expected), "{told}");
}

#[test]
fn a_changed_certificate_is_noticed_and_a_bad_one_is_told_and_changes_nothing() {
    let (site, _) = site("", &user("alice", ""));
    let waft = site.serve();
    let shown = || Ftps::connect(&waft, waft.address(), None).certificate();
    let first = shown();
    let mut old = Ftps::connect(&waft, waft.address(), None);
    // Two files change, one after the other; in between they may not fit each other.
    let mark = waft.log.mark();
    renew(&waft.site);
    let is_reloaded = |line: &Line| line.message() == "configuration reloaded";
    waft.log.wait_since(mark, "the reload", is_reloaded);
    let second = shown();
    assert_ne!(first, second);
    assert_eq!(old.command("NOOP"), "200 NOOP okay.");

    let refused = "configuration not reloaded: the one before stays in force";
    waft.and_wait(
        |site| site.write("key.pem", "no key"),
        "the refusal",
        |line| line.message() == refused,
    );
    let why = waft.log.lines().into_iter().rfind(|line| line.field("key") == "tls.private_key");
    let why = why.unwrap();
    assert!(why.message().starts_with("no private key found"), "{}", why.text);
    assert_eq!(why.field("remedy"), "name a private key in PEM, without a passphrase");
    assert_eq!(shown(), second);
}

#[test]
fn every_listener_has_its_own_mode_and_clear_text_has_to_be_asked_for() {
    let site = Site::new("");
    renew(&site);
    let listener = |name: &str, tls: &str| {
        format!("[[listener]]\naddress = \"127.0.0.1:0\"\nname = \"{name}\"\n{tls}\n")
    };
    let text = [
        listener("default", ""),
        listener("require", "tls = \"require\""),
        listener("explicit", "tls = \"explicit\""),
        listener("implicit", "tls = \"implicit\""),
        listener("another", "tls = \"implicit\""),
        listener("off", "tls = \"off\""),
        "[log]\nformat = \"json\"\n[tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n"
            .to_owned(),
        user("alice", ""),
    ];
    site.write("waft.toml", text.concat());
    let waft = site.serve();
    let address = |name: &str| -> SocketAddr {
        let line = waft.log.wait(name, |line| is_listening(line) && line.field("listener") == name);
        line.field("address").parse().unwrap()
    };
    for (name, user, auth) in
        [("default", 530, 234), ("require", 530, 234), ("explicit", 331, 234), ("off", 331, 502)]
    {
        let mut ftp = Ftp::connect(address(name));
        let refused = ftp.expect("USER alice", user);
        let told = "Logins need TLS here: use AUTH TLS first (explicit FTP over TLS).";
        assert_eq!(refused.text() == told, user == 530, "{refused:?}");
        // The connection is kept.
        ftp.expect("AUTH TLS", auth);
    }
    for name in ["implicit", "another"] {
        let mut ftps = Ftps::connect(&waft, address(name), None);
        assert_eq!(ftps.command("USER alice"), "331 Password, please.");
    }
}
