//! What the service is asked.

use serde_json::{Value, json};
use waft_plugin_sdk::{Credentials, Secret, Session};

use crate::config::Passwords;

/// Of the shape of what is asked; it grows where something is taken away or means something else.
const VERSION: u32 = 1;

/// The body of the request.
pub(crate) fn body(
    session: Session<'_>,
    credentials: &Credentials,
    passwords: Passwords,
) -> Vec<u8> {
    let tls = session.tls();
    let mut question = json!({
        "version": VERSION,
        "user": credentials.user(),
        "session": session.id(),
        "remote": { "ip": session.remote_ip(), "port": session.remote_port() },
        "listener": session.listener(),
        "protocol": if tls.is_some() { "ftps" } else { "ftp" },
        "tls": tls.map(|tls| json!({
            "version": tls.version,
            "cipher": tls.cipher,
            "server_name": tls.server_name,
            "certificate_sha256": tls.peer_cert_sha256,
        })),
    });
    let (key, value) = proof(credentials, passwords);
    if let (Some(key), Some(object)) = (key, question.as_object_mut()) {
        object.insert(key.to_owned(), value);
    }
    question.to_string().into_bytes()
}

/// By what a client proves who it is, under its name in the question.
fn proof(credentials: &Credentials, passwords: Passwords) -> (Option<&'static str>, Value) {
    match credentials {
        Credentials::Certificate(offer) => {
            (Some("certificate"), json!({ "sha256": offer.sha256, "names": offer.names }))
        }
        Credentials::Password(offer) if passwords == Passwords::Send => {
            let text = offer.password.as_ref().and_then(Secret::text);
            (Some("password"), text.into())
        }
        Credentials::Password(_) => (None, Value::Null),
    }
}

/// All that an answer may hang on, without the numbers of session and port: the same for two
/// questions that have the same answer.
pub(crate) fn key(
    session: Session<'_>,
    credentials: &Credentials,
    passwords: Passwords,
) -> Vec<u8> {
    let tls = session.tls();
    let key = json!([
        credentials.user(),
        proof(credentials, passwords).0,
        proof(credentials, passwords).1,
        session.remote_ip(),
        session.listener(),
        tls.map(|tls| json!([tls.version, tls.cipher, tls.server_name, tls.peer_cert_sha256])),
    ]);
    key.to_string().into_bytes()
}
