//! Asks every function of every service, and says what came of it, a line a service.

use crate::bindings::waft::plugin::http::Request;
use crate::bindings::waft::plugin::sessions::Session;
use crate::bindings::waft::plugin::{clock, config, control, crypto, http, kv, log, metrics};
use crate::pairs;

/// What all of them say.
pub(crate) fn ask(session: &Session) -> Vec<String> {
    log::emit(log::Level::Info, "asking", &pairs([("since", "0.1.0")]));
    vec![
        of_session(session),
        of_config(),
        of_clock(),
        of_crypto(),
        of_metrics(),
        of_kv().unwrap_or_else(|error| format!("kv {error:?}")),
        of_http(),
        of_control().unwrap_or_else(|error| format!("control {error}")),
    ]
}

fn of_session(session: &Session) -> String {
    let known = session.id() > 0 && session.remote_port() > 0 && !session.listener().is_empty();
    let connected = session.get("connected").unwrap_or_default();
    let text = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    format!(
        "session {known} {} {} {} {} {} {} {}",
        session.remote_ip(),
        session.tls().map_or_else(|| "clear".to_owned(), |tls| tls.version),
        text(session.user()),
        session.cwd(),
        text(session.attribute("groups")),
        text(session.attribute("colour")),
        String::from_utf8_lossy(&connected),
    )
}

fn of_config() -> String {
    let secret = config::secret("word").unwrap_or_default();
    let hidden = config::all().iter().all(|(key, _)| key != "word");
    let missing = config::get("nothing").is_none();
    format!("config {} {hidden} {missing}", String::from_utf8_lossy(&secret))
}

fn of_clock() -> String {
    let earlier = clock::monotonic_ns();
    format!("clock {} {}", clock::now_ms() > 1_700_000_000_000, clock::monotonic_ns() >= earlier)
}

fn of_crypto() -> String {
    let hash = config::get("hash").unwrap_or_default();
    format!(
        "crypto {} {} {} {:?} {:?} {}",
        crypto::random(16).len(),
        hexadecimal(&crypto::sha256(b"abc")),
        hexadecimal(&crypto::hmac_sha256(b"key", b"abc")),
        crypto::verify_password(&hash, "wrong"),
        crypto::verify_offered(&hash),
        crypto::verify_password("nonsense", "").is_err(),
    )
}

fn of_metrics() -> String {
    metrics::counter("asked", 1, &pairs([("since", "0.1.0")]));
    metrics::gauge("age", 0.5, &[]);
    metrics::histogram("size", 2.5, &[]);
    "metrics".to_owned()
}

fn of_kv() -> Result<String, kv::Error> {
    kv::set("ask/a", b"1", None)?;
    kv::set("ask/b", b"2", Some(60_000))?;
    kv::compare_and_set("ask/a", Some(b"1"), Some(b"3"))?;
    let conflict = matches!(kv::compare_and_set("ask/a", None, None), Err(kv::Error::Conflict));
    kv::delete("ask/b")?;
    kv::delete("ask/n")?;
    let number = kv::increment("ask/n", 5, None)?;
    let keys = kv::keys("ask/", None, 10)?.join(",");
    let value = kv::get("ask/a")?.unwrap_or_default();
    Ok(format!("kv {conflict} {number} {keys} {}", String::from_utf8_lossy(&value)))
}

fn of_http() -> String {
    let get = |url: String| {
        http::fetch(&Request {
            method: "GET".to_owned(),
            url,
            headers: pairs([("x-since", "0.1.0")]),
            body: Vec::new(),
            timeout_ms: Some(4_000),
        })
    };
    let answered = match get(config::get("url").unwrap_or_default()) {
        Ok(response) => {
            let known = response.headers.iter().any(|(name, _)| name == "content-length");
            format!("{} {known} {}", response.status, String::from_utf8_lossy(&response.body))
        }
        Err(error) => format!("{error:?}"),
    };
    let denied = get("http://192.0.2.1/".to_owned());
    format!("http {answered} {}", matches!(denied, Err(http::Error::Denied(_))))
}

fn of_control() -> Result<String, String> {
    control::ban("192.0.2.0/24", 60, "as told")?;
    control::unban("192.0.2.0/24")?;
    Ok(format!("control {}", control::disconnect(u64::MAX, "nobody")))
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().take(4).map(|octet| format!("{octet:02x}")).collect()
}
