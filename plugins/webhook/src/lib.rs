//! Posts what happens on the server to a web service, signed.
//!
//! [`Webhook`] posts each batch that the server delivers, as [`json`] writes it. It keeps nothing:
//! what the service does not take is an error, whereupon the server delivers the same batch again
//! and no later one before it, so the order holds. A batch may come twice, where an answer was lost.

#![forbid(unsafe_code)]

mod json;

use std::time::Duration;

use waft_plugin_sdk::http::{self, Request};
use waft_plugin_sdk::{
    EVENTS, Event, EventSink, Interest, Plugin, Secret, Section, Settings, closest, crypto, log,
    metrics,
};

/// What is posted unless the operator says otherwise.
const DEFAULT_EVENTS: &str = "transfer.*";

/// The secret that bodies are signed with.
const KEY: &str = "key";

/// The secret that is sent along as a header, and that header.
const AUTHORIZATION: &str = "authorization";

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The server lends no request more than 80 % of the 30 s that a delivery may take.
const TIMEOUT_MAX: Duration = Duration::from_secs(24);

/// Octets of a body that the server sends for a plugin.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// Answers that say "later", though they begin as refusals do.
const LATER: [u16; 3] = [408, 425, 429];

/// Where events go.
#[derive(Debug)]
pub struct Webhook {
    url: String,
    events: Vec<String>,
    key: Option<Secret>,
    authorization: Option<Secret>,
    headers: Vec<(String, String)>,
    timeout: Duration,
    /// Whether events that the service refuses for good are dropped.
    drop_refused: bool,
}

impl Plugin for Webhook {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let url = root.url("url");
        if url.is_none() && root.text("url").is_none() {
            root.mistake("url", "is missing; it is where events are posted to");
        }
        let plugin = Self {
            url: url.unwrap_or_default(),
            events: events(&root),
            key: key(settings, &root),
            authorization: settings.secret(AUTHORIZATION),
            headers: headers(&root),
            timeout: timeout(&root),
            drop_refused: drop_refused(&root),
        };
        if plugin.authorization.as_ref().is_some_and(|secret| !is_value(secret.text())) {
            root.mistake(AUTHORIZATION, "the secret is not one line of printable text");
        }
        settings.finish().map(|()| plugin)
    }

    fn interest(&self) -> Interest {
        Interest::nothing().in_events(self.events.iter().cloned())
    }
}

impl EventSink for Webhook {
    fn on_events(&self, events: &[Event]) -> Result<(), String> {
        let body = json::array(events);
        if body.len() > BODY_MAX && events.len() > 1 {
            let (first, rest) = events.split_at(events.len() / 2);
            return self.on_events(first).and_then(|()| self.on_events(rest));
        }
        let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let status = match http::fetch(self.request(body)) {
            Ok(response) => response.status,
            // The body was not, so the answer is: there is one, and the next would be no shorter.
            Err(http::Error::TooLarge) => {
                log::warn(
                    "answer of the service too large to be read, taken for yes",
                    &[("events", &count.to_string())],
                );
                200
            }
            Err(error) => return Err(format!("the service cannot be asked: {}", reason(&error))),
        };
        if (200..300).contains(&status) {
            metrics::counter("events_posted_total", count, &[]);
            return Ok(());
        }
        let for_good = (400..500).contains(&status) && !LATER.contains(&status);
        if !(self.drop_refused && for_good) {
            return Err(format!("the service answers: {status}"));
        }
        metrics::counter("events_refused_total", count, &[]);
        log::error(
            "events refused by the service, dropped",
            &[("status", &status.to_string()), ("events", &count.to_string())],
        );
        Ok(())
    }
}

impl Webhook {
    fn request(&self, body: Vec<u8>) -> Request {
        let signature = self.key.as_ref().map(|key| crypto::hmac_sha256(key.octets(), &body));
        let mut request = Request::post(&self.url, body)
            .timeout(self.timeout)
            .header("content-type", "application/json")
            .header("user-agent", concat!("waft-webhook/", env!("CARGO_PKG_VERSION")));
        if let Some(signature) = signature {
            let hex: String = signature.iter().map(|octet| format!("{octet:02x}")).collect();
            request = request.header("x-waft-signature", &format!("sha256={hex}"));
        }
        if let Some(value) = self.authorization.as_ref().and_then(Secret::text) {
            request = request.header(AUTHORIZATION, value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }
}

fn reason(error: &http::Error) -> String {
    match error {
        http::Error::Denied(reason) => format!("denied: {reason}"),
        http::Error::Timeout => "it took too long".to_owned(),
        http::Error::TooLarge => "too large".to_owned(),
        http::Error::Network(reason) => reason.clone(),
    }
}

/// The patterns of the events that are posted.
fn events(root: &Section<'_>) -> Vec<String> {
    let events = root.numbered_texts("events");
    for (key, pattern) in &events {
        let known = |event: &str| match pattern.strip_suffix('*') {
            Some(beginning) => event.starts_with(beginning),
            None => event == pattern,
        };
        if EVENTS.into_iter().any(known) {
            continue;
        }
        match closest(pattern, EVENTS) {
            Some(event) => {
                root.mistake(key, format_args!("no event, did you mean {event}: {pattern}"));
            }
            None => root.mistake(key, format_args!("no event has such a name: {pattern}")),
        }
    }
    match events.is_empty() {
        true => vec![DEFAULT_EVENTS.to_owned()],
        false => events.into_iter().map(|(_, pattern)| pattern).collect(),
    }
}

/// The key, which must be there unless the operator wants no signatures.
fn key(settings: &Settings, root: &Section<'_>) -> Option<Secret> {
    let key = settings.secret(KEY);
    let sign = root.flag("sign").unwrap_or(true);
    match &key {
        Some(key) if key.octets().is_empty() => root.mistake(KEY, "the secret is empty"),
        Some(_) if !sign => root.mistake("sign", "is false, and yet a secret key is granted"),
        None if sign => root.mistake(
            KEY,
            "is missing: grant it with secrets = { key = \"file:PATH\" }, or say sign = false",
        ),
        _ => {}
    }
    key
}

/// Headers of the operator's own.
fn headers(root: &Section<'_>) -> Vec<(String, String)> {
    let headers = root.entries("headers");
    for (name, value) in &headers {
        let key = format!("headers.{name}");
        let is_token = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !is_token || name.is_empty() {
            root.mistake(&key, "not a header's name");
        }
        if name.eq_ignore_ascii_case(AUTHORIZATION) {
            root.mistake(&key, "is a secret: grant secrets = { authorization = \"file:PATH\" }");
        }
        if !is_value(Some(value)) {
            root.mistake(&key, "one line of printable text is wanted");
        }
    }
    headers
}

fn is_value(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b)))
}

fn timeout(root: &Section<'_>) -> Duration {
    let timeout = root.duration("timeout").unwrap_or(DEFAULT_TIMEOUT);
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        root.mistake("timeout", "a time above 0 and up to 24s is wanted");
    }
    timeout
}

fn drop_refused(root: &Section<'_>) -> bool {
    match root.text("refused").as_deref() {
        None | Some("retry") => false,
        Some("drop") => true,
        Some(other) => {
            root.mistake("refused", format_args!("\"retry\" or \"drop\" is wanted, not: {other}"));
            false
        }
    }
}

waft_plugin_sdk::export!(Webhook: event_sink);

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use waft_plugin_sdk::Value;
    use waft_plugin_sdk::testing::{answer_http, counted, response};

    use super::*;

    const URL: &str = "https://hooks.example.org/ftp";

    /// What was posted so far.
    type Posted = Rc<RefCell<Vec<Request>>>;

    fn webhook(values: &[(&str, &str)]) -> Webhook {
        let values = [("url", URL)].iter().chain(values).copied();
        Webhook::new(&Settings::of(values).with_secret(KEY, Secret::new("s3cr3t"))).unwrap()
    }

    fn post(webhook: &Webhook, status: u16) -> (Result<(), String>, Posted) {
        let posted = Posted::default();
        let seen = Rc::clone(&posted);
        answer_http(move |request| {
            seen.borrow_mut().push(request.clone());
            Ok(response(status, b""))
        });
        (webhook.on_events(&[Event::new("auth.fail"), Event::new("auth.ok")]), posted)
    }

    fn header(request: &Request, name: &str) -> Option<String> {
        let mut headers = request.headers.iter();
        headers.find(|(own, _)| own == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn a_batch_is_posted_and_signed() {
        let (posted, requests) = post(&webhook(&[("headers.x-site", "north")]), 204);
        assert_eq!(posted, Ok(()));
        let requests = requests.borrow();
        let [request] = requests.as_slice() else { panic!("{requests:?}") };
        assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", URL));
        assert_eq!(request.timeout_ms, Some(10_000));
        let expected: String = crypto::hmac_sha256(b"s3cr3t", &request.body)
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        let signature = header(request, "x-waft-signature").unwrap();
        assert_eq!(signature, format!("sha256={expected}"));
        assert_eq!(header(request, "x-site").as_deref(), Some("north"));
        assert_eq!(header(request, AUTHORIZATION), None);
        let told: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((&told[0]["name"], &told[1]["name"]), (&"auth.fail".into(), &"auth.ok".into()));
        assert_eq!(counted("events_posted_total"), 2);
    }

    #[test]
    fn without_a_signature_the_operator_has_said_so() {
        let settings = Settings::of([("url", URL), ("sign", "false")])
            .with_secret(AUTHORIZATION, Secret::new("Bearer abc"));
        let (_, requests) = post(&Webhook::new(&settings).unwrap(), 200);
        assert_eq!(header(&requests.borrow()[0], "x-waft-signature"), None);
        assert_eq!(header(&requests.borrow()[0], AUTHORIZATION).as_deref(), Some("Bearer abc"));
    }

    #[test]
    fn what_the_service_does_not_take_comes_again() {
        for status in [301, 400, 404, 429, 500, 503] {
            let expected = Err(format!("the service answers: {status}"));
            assert_eq!(post(&webhook(&[]), status).0, expected);
        }
        let said = |error: http::Error| {
            answer_http(move |_| Err(error.clone()));
            webhook(&[]).on_events(&[Event::new("auth.ok")]).unwrap_err()
        };
        assert_eq!(said(http::Error::Timeout), "the service cannot be asked: it took too long");
        let denied = said(http::Error::Denied("not granted".to_owned()));
        assert_eq!(denied, "the service cannot be asked: denied: not granted");
    }

    #[test]
    fn an_answer_that_is_too_large_is_taken_for_yes() {
        answer_http(|_| Err(http::Error::TooLarge));
        assert_eq!(webhook(&[]).on_events(&[Event::new("auth.ok")]), Ok(()));
        assert_eq!(counted("events_posted_total"), 1);
    }

    #[test]
    fn what_is_too_much_for_one_request_goes_in_several() {
        let large = |id: u64| {
            let path = Value::Text("p".repeat(BODY_MAX / 2));
            let mut event = Event::new("auth.ok").with("path", path);
            event.id = id;
            event
        };
        let posted = Posted::default();
        let seen = Rc::clone(&posted);
        answer_http(move |request| {
            seen.borrow_mut().push(request.clone());
            Ok(response(204, b""))
        });
        assert_eq!(webhook(&[]).on_events(&[large(1), large(2), large(3)]), Ok(()));
        let read = |request: &Request| {
            assert!(request.body.len() <= BODY_MAX);
            let events: Vec<serde_json::Value> = serde_json::from_slice(&request.body).unwrap();
            events.iter().map(|event| event["id"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        let ids: Vec<u64> = posted.borrow().iter().flat_map(read).collect();
        assert_eq!((ids, counted("events_posted_total")), (vec![1, 2, 3], 3));
    }

    #[test]
    fn what_is_refused_for_good_may_be_dropped() {
        let dropping = webhook(&[("refused", "drop")]);
        for status in [400, 410, 422] {
            assert_eq!(post(&dropping, status).0, Ok(()));
        }
        assert_eq!(counted("events_refused_total"), 6);
        for status in [408, 425, 429, 302, 500] {
            assert!(post(&dropping, status).0.is_err(), "{status}");
        }
    }

    #[test]
    fn only_the_events_that_are_posted_are_wanted() {
        let wanted = |patterns: &[&str]| Interest::nothing().in_events(patterns.iter().copied());
        assert_eq!(webhook(&[]).interest(), wanted(&["transfer.*"]));
        let some = webhook(&[("events.0", "auth.fail"), ("events.1", "session.*")]);
        assert_eq!(some.interest(), wanted(&["auth.fail", "session.*"]));
        assert_eq!(webhook(&[("events", "*")]).interest(), wanted(&["*"]));
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let settings = Settings::of([
            ("url", "hooks.example.org"),
            ("events.0", "transfer.upload.don"),
            ("events.1", "upload.*"),
            ("timeout", "25s"),
            ("refused", "ignore"),
            ("headers.x y", "1"),
            ("headers.authorization", "Bearer abc"),
            ("headers.x-a", "a\nb"),
            ("urll", "x"),
        ])
        .with_secret(AUTHORIZATION, Secret::new("a\nb"));
        assert_eq!(
            Webhook::new(&settings).unwrap_err().lines().collect::<Vec<_>>(),
            [
                "url: a URL such as https://login.example.org/v1 is wanted",
                "events.0: no event, did you mean transfer.upload.done: transfer.upload.don",
                "events.1: no event has such a name: upload.*",
                "key: is missing: grant it with secrets = { key = \"file:PATH\" }, \
                 or say sign = false",
                "headers.x y: not a header's name",
                "headers.authorization: is a secret: \
                 grant secrets = { authorization = \"file:PATH\" }",
                "headers.x-a: one line of printable text is wanted",
                "timeout: a time above 0 and up to 24s is wanted",
                "refused: \"retry\" or \"drop\" is wanted, not: ignore",
                "authorization: the secret is not one line of printable text",
                "unknown key, did you mean url: urll",
            ]
        );
        let mistake = Webhook::new(&Settings::of([("sign", "false")])).unwrap_err();
        assert_eq!(mistake, "url: is missing; it is where events are posted to");
        let settings = Settings::of([("url", URL), ("sign", "false")]);
        let mistake = Webhook::new(&settings.with_secret(KEY, Secret::new("k"))).unwrap_err();
        assert_eq!(mistake, "sign: is false, and yet a secret key is granted");
    }
}
