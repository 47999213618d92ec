//! Signed requests (RFC 8555, section 6.2).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

/// A request whose signature has not been looked at.
pub(crate) struct Signed {
    body: Value,
    pub(crate) header: Value,
    /// `null` for POST-as-GET.
    pub(crate) payload: Value,
}

impl Signed {
    pub(crate) fn parse(body: &[u8]) -> Signed {
        let body: Value = serde_json::from_slice(body).unwrap();
        let part = |name: &str| {
            let octets = decode(body[name].as_str().unwrap());
            if octets.is_empty() { Value::Null } else { serde_json::from_slice(&octets).unwrap() }
        };
        let (header, payload) = (part("protected"), part("payload"));
        Signed { body, header, payload }
    }

    /// Whether the owner of that key has signed it.
    pub(crate) fn is_signed_by(&self, key: &Value) -> bool {
        let part = |name: &str| self.body[name].as_str().unwrap();
        let point =
            [vec![4], decode(key["x"].as_str().unwrap()), decode(key["y"].as_str().unwrap())];
        let message = format!("{}.{}", part("protected"), part("payload"));
        self.header["alg"] == "ES256"
            && UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.concat())
                .verify(message.as_bytes(), &decode(part("signature")))
                .is_ok()
    }
}

/// What a key answers a challenge with (RFC 8555, section 8.1; RFC 7638).
pub(crate) fn key_authorization(token: &str, key: &Value) -> String {
    let (x, y) = (&key["x"], &key["y"]);
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":{x},"y":{y}}}"#);
    let thumbprint = digest(&SHA256, canonical.as_bytes());
    format!("{token}.{}", BASE64_URL_SAFE_NO_PAD.encode(thumbprint))
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}
