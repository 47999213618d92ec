use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use waft_plugin_sdk::testing::{
    TestSession, advance_clock, answer_http, counted, hash_of, offer_password, response, set_clock,
};
use waft_plugin_sdk::{Account, CertificateOffer, Secret};

use super::*;

const URL: &str = "https://login.example.org/ftp";

fn plugin(values: &[(&str, &str)]) -> AuthHttp {
    let values = [("url", URL)].iter().chain(values).copied();
    AuthHttp::new(&Settings::of(values).with_secret("token", Secret::new("t0ken"))).unwrap()
}

fn mistakes(settings: &Settings) -> Vec<String> {
    AuthHttp::new(settings).unwrap_err().lines().map(str::to_owned).collect()
}

/// The plugin's decision about alice where the service answers that, and what it was asked.
fn decide(plugin: &AuthHttp, status: u16, body: &str) -> (AuthDecision, Option<Request>) {
    decide_of(plugin, &Credentials::with_password("alice", "pässwörd"), status, body)
}

fn decide_of(
    plugin: &AuthHttp,
    credentials: &Credentials,
    status: u16,
    body: &str,
) -> (AuthDecision, Option<Request>) {
    let asked: Rc<RefCell<Option<Request>>> = Rc::default();
    let (seen, body) = (Rc::clone(&asked), body.to_owned());
    answer_http(move |request| {
        *seen.borrow_mut() = Some(request.clone());
        Ok(response(status, body.as_bytes()))
    });
    let session = TestSession::new().listener("public").remote_ip("192.0.2.7").tls();
    let decision = plugin.authenticate(session.session(), credentials);
    (decision, asked.take())
}

fn fails(plugin: &AuthHttp, status: u16, body: &str) -> String {
    match decide(plugin, status, body).0 {
        AuthDecision::Fail(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_service_is_asked_with_all_that_is_known() {
    let (_, request) = decide(&plugin(&[]), 404, "");
    let request = request.unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", URL));
    assert_eq!(request.timeout_ms, Some(5000));
    let headers: Vec<_> = request.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert!(headers.contains(&("authorization", "Bearer t0ken")), "{headers:?}");
    assert!(headers.contains(&("content-type", "application/json")), "{headers:?}");
    let question: Value = serde_json::from_slice(&request.body).unwrap();
    let expected = json!({
        "version": 1,
        "user": "alice",
        "password": "pässwörd",
        "session": 1,
        "remote": { "ip": "192.0.2.7", "port": 40_000 },
        "listener": "public",
        "protocol": "ftps",
        "tls": {
            "version": "TLSv1.3",
            "cipher": "TLS13_AES_256_GCM_SHA384",
            "server_name": null,
            "certificate_sha256": null,
        },
    });
    assert_eq!(question, expected);
}

#[test]
fn the_secret_has_the_header_that_the_operator_wants() {
    let (_, request) = decide(&plugin(&[("header", "x-api-key")]), 404, "");
    assert!(request.unwrap().headers.contains(&("x-api-key".to_owned(), "t0ken".to_owned())));
    let settings = Settings::of([("url", URL)]).with_secret("token", Secret::new("Basic abc"));
    let (_, request) = decide(&AuthHttp::new(&settings).unwrap(), 404, "");
    let basic = ("authorization".to_owned(), "Basic abc".to_owned());
    assert!(request.unwrap().headers.contains(&basic));
}

#[test]
fn an_account_is_what_the_service_says() {
    let body = json!({
        "user": "alice@example.org", "storage": "plugin:vault", "home": "/a",
        "permissions": ["list", "write"], "limits": { "max.sessions": 2, "tls.resumption": "off" },
        "groups": ["staff", "web"], "attributes": { "quota": 5, "site": "north", "trial": false },
    });
    let account = Account::new("alice@example.org", "plugin:vault")
        .root("/a")
        .permit(["list", "write"])
        .limit("max.sessions", 2)
        .limit("tls.resumption", "off")
        .group("staff")
        .group("web")
        .attribute("quota", "5")
        .attribute("site", "north")
        .attribute("trial", "false");
    let (decision, _) = decide(&plugin(&[("max_sessions", "9")]), 200, &body.to_string());
    assert_eq!(decision, AuthDecision::Accept(account));
}

#[test]
fn what_the_service_does_not_say_the_operator_did() {
    let plugin = plugin(&[("root", "/srv/{user}"), ("groups", "web"), ("max_sessions", "3")]);
    let account = |root: &str| {
        let account = Account::new("alice", root).permit(["list", "read"]).group("web");
        AuthDecision::Accept(account.limit("max.sessions", 3))
    };
    assert_eq!(decide(&plugin, 200, "{}").0, account("local:/srv/alice"));
    assert_eq!(decide(&plugin, 200, r#"{"root":"/home/a"}"#).0, account("local:/home/a"));
    assert_eq!(counted("logins_total"), 2);
}

#[test]
fn the_service_refuses_and_knows_nothing_of_others() {
    let plugin = plugin(&[("root", "/srv/{user}")]);
    let deny = |reason: &str| AuthDecision::Deny(Some(reason.to_owned()));
    assert_eq!(decide(&plugin, 401, "").0, deny("the service answers: 401"));
    assert_eq!(decide(&plugin, 403, r#"{"reason":"has left"}"#).0, deny("has left"));
    assert_eq!(decide(&plugin, 404, "").0, AuthDecision::Abstain);
}

#[test]
fn whatever_is_not_a_clear_answer_lets_nobody_in() {
    let plugin = plugin(&[("root", "/srv/{user}")]);
    for status in [201, 204, 302, 400, 429, 500, 503] {
        assert_eq!(fails(&plugin, status, "{}"), format!("the service answers: {status}"));
    }
    for body in ["", "OK", "[]", r#"{"permision":[]}"#, r#"{"groups":"a"}"#] {
        assert!(fails(&plugin, 200, body).starts_with("the answer is no account: "), "{body}");
    }
    for (body, reason) in [
        (r#"{"user":"../bob"}"#, "not a name for a directory: ../bob"),
        (r#"{"user":".."}"#, "not a name for a directory: .."),
        (r#"{"root":"a"}"#, "root: an absolute directory is wanted: a"),
        (r#"{"root":"/a","storage":"local:/b"}"#, "the answer has both root and storage"),
        (r#"{"limits":{"a":[]}}"#, "limits: a text, a number or a boolean is wanted: a"),
    ] {
        assert_eq!(fails(&plugin, 200, body), reason);
    }
    let reason = "neither the answer nor the settings say where the files are: root";
    assert_eq!(fails(&self::plugin(&[]), 200, "{}"), reason);
    answer_http(|_| Err(http::Error::Timeout));
    let session = TestSession::new();
    let alice = Credentials::with_password("alice", "x");
    let reason = "the service cannot be asked: it took too long".to_owned();
    assert_eq!(plugin.authenticate(session.session(), &alice), AuthDecision::Fail(reason));
}

#[test]
fn without_the_grant_passwords_nobody_gets_in_and_the_remedy_is_told() {
    let hidden = Credentials::of_user("alice");
    let (decision, request) = decide_of(&plugin(&[("root", "/srv")]), &hidden, 200, "{}");
    assert_eq!(request, None);
    let AuthDecision::Fail(reason) = decision else { panic!("{decision:?}") };
    assert!(reason.contains("grant passwords = true"), "{reason}");
}

#[test]
fn the_server_verifies_by_the_services_hash_where_the_operator_wants() {
    let plugin = plugin(&[("passwords", "verify"), ("root", "/srv/{user}")]);
    let body = json!({ "password_hash": hash_of("right") }).to_string();
    let hidden = Credentials::of_user("alice");
    offer_password("wrong");
    let (decision, request) = decide_of(&plugin, &hidden, 200, &body);
    assert_eq!(decision, AuthDecision::Deny(None));
    let question: Value = serde_json::from_slice(&request.unwrap().body).unwrap();
    assert_eq!(question.get("password"), None);
    offer_password("right");
    let (decision, _) = decide_of(&plugin, &hidden, 200, &body);
    assert!(matches!(decision, AuthDecision::Accept(_)), "{decision:?}");
    let (decision, _) = decide_of(&plugin, &hidden, 200, "{}");
    let reason = "the service answers without password_hash".to_owned();
    assert_eq!(decision, AuthDecision::Fail(reason));
    let (decision, _) = decide_of(&plugin, &hidden, 200, r#"{"password_hash":"x"}"#);
    assert!(matches!(decision, AuthDecision::Fail(_)), "{decision:?}");
}

#[test]
fn certificates_are_the_services_business_only_where_the_operator_says_so() {
    let names = vec!["alice.example.org".to_owned()];
    let offer = CertificateOffer { user: "alice".to_owned(), sha256: "ab".repeat(32), names };
    let certificate = Credentials::Certificate(offer);
    let (decision, request) = decide_of(&plugin(&[("root", "/srv")]), &certificate, 200, "{}");
    assert_eq!((decision, request), (AuthDecision::Abstain, None));
    let wanted = plugin(&[("root", "/srv"), ("certificates", "true"), ("passwords", "verify")]);
    let (decision, request) = decide_of(&wanted, &certificate, 200, "{}");
    assert!(matches!(decision, AuthDecision::Accept(_)), "{decision:?}");
    let question: Value = serde_json::from_slice(&request.unwrap().body).unwrap();
    let expected = json!({ "sha256": "ab".repeat(32), "names": ["alice.example.org"] });
    assert_eq!(question["certificate"], expected);
}

#[test]
fn good_answers_hold_for_a_while_and_for_the_same_password_alone() {
    set_clock(0);
    let plugin = plugin(&[("root", "/srv"), ("cache", "1m")]);
    let asked: Rc<Cell<u32>> = Rc::default();
    let log_in = |password: &str, status: u16| {
        let asked = Rc::clone(&asked);
        answer_http(move |_| {
            asked.set(asked.get() + 1);
            Ok(response(status, b"{}"))
        });
        let session = TestSession::new();
        plugin.authenticate(session.session(), &Credentials::with_password("alice", password))
    };
    assert!(matches!(log_in("right", 200), AuthDecision::Accept(_)));
    assert!(matches!(log_in("right", 500), AuthDecision::Accept(_)));
    assert_eq!(asked.get(), 1);
    assert!(matches!(log_in("wrong", 401), AuthDecision::Deny(_)));
    assert!(matches!(log_in("wrong", 401), AuthDecision::Deny(_)));
    assert_eq!(asked.get(), 3);
    advance_clock(Duration::from_secs(60));
    assert!(matches!(log_in("right", 401), AuthDecision::Deny(_)));
    assert_eq!(asked.get(), 4);
}

#[test]
fn answers_are_kept_only_where_they_let_in_and_a_new_password_fits_at_once() {
    set_clock(0);
    let plugin = plugin(&[("root", "/srv"), ("cache", "1m"), ("passwords", "verify")]);
    let asked: Rc<Cell<u32>> = Rc::default();
    let log_in = |password: &str, status: u16, hash: &str| {
        let (times, hash) = (Rc::clone(&asked), hash.to_owned());
        let asked = Rc::clone(&times);
        answer_http(move |_| {
            asked.set(asked.get() + 1);
            let body = json!({ "password_hash": hash });
            Ok(response(status, body.to_string().as_bytes()))
        });
        offer_password(password);
        let session = TestSession::new();
        let decision = plugin.authenticate(session.session(), &Credentials::of_user("alice"));
        let outcome = match decision {
            AuthDecision::Accept(_) => "in",
            AuthDecision::Deny(_) => "out",
            other => panic!("{other:?}"),
        };
        (outcome, times.get())
    };
    let (old, new) = (hash_of("old"), hash_of("new"));
    // What did not fit is not kept: neither the hash nor that the service knew the user.
    assert_eq!(log_in("wrong", 200, &old), ("out", 1));
    assert_eq!(log_in("old", 200, &old), ("in", 2));
    assert_eq!(log_in("old", 500, &old), ("in", 2));
    assert_eq!(log_in("wrong", 200, &old), ("out", 3));
    assert_eq!(log_in("wrong", 500, &old), ("out", 4));
    assert_eq!(log_in("old", 500, &old), ("in", 4));
    assert_eq!(log_in("new", 200, &new), ("in", 5));
    assert_eq!(log_in("new", 500, &new), ("in", 5));
    assert_eq!(log_in("old", 200, &new), ("out", 6));
    // Who is refused now is not let in by what was kept.
    assert_eq!(log_in("wrong", 401, &new), ("out", 7));
    assert_eq!(log_in("new", 401, &new), ("out", 8));
}

#[test]
fn passwords_do_not_go_in_clear_text_unless_the_operator_says_so() {
    for url in ["http://127.0.0.1:8080/a", "http://localhost/a", "http://[::1]:80", "https://a"] {
        assert!(AuthHttp::new(&Settings::of([("url", url)])).is_ok(), "{url}");
    }
    for url in ["http://login.example.org", "http://localhost.example.org", "http://10.0.0.1:80/"] {
        let mistake = mistakes(&Settings::of([("url", url)])).join("\n");
        assert!(mistake.starts_with("url: ") && mistake.contains("clear_text = true"), "{mistake}");
        let settings = Settings::of([("url", url), ("clear_text", "true")]);
        assert!(AuthHttp::new(&settings).is_ok(), "{url}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let settings = Settings::of([
        ("header", "x key"),
        ("timeout", "9s"),
        ("passwords", "hash"),
        ("cache", "0s"),
        ("root", "srv"),
        ("max_sessions", "0"),
        ("permissions", "reed"),
        ("clear_txt", "true"),
    ]);
    assert_eq!(
        mistakes(&settings.with_secret("token", Secret::new("a\nb"))),
        [
            "url: is missing; it is where the service is asked",
            "header: not a header's name: x key",
            "token: the secret is not one line of printable text",
            "timeout: a time above 0 and up to 8s is wanted",
            "passwords: \"send\" or \"verify\" is wanted, not: hash",
            "cache: a time above 0 and up to 3600s is wanted",
            "root: an absolute directory is wanted, such as /srv/ftp/{user}",
            "max_sessions: a number above 0 is wanted",
            "permissions: no permission, did you mean read: reed",
            "unknown key: clear_txt",
        ]
    );
    let settings = Settings::of([("url", URL), ("header", "x-key")]);
    assert_eq!(
        mistakes(&settings),
        ["header: there is no secret for it: grant token = \"file:PATH\""]
    );
}
