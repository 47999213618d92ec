//! Who has to have signed components: a public key of Ed25519 (RFC 8032), in PEM (RFC 8410).

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use waft_config::{Config, Mistake};
use waft_plugin_host::Signer;
use zeroize::Zeroizing;

use crate::findings::mistake;

/// What goes before the key itself in a SubjectPublicKeyInfo of Ed25519, in DER.
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Octets of the key.
const KEY_BYTES: usize = 32;

/// Reads the public key, where signatures are demanded.
///
/// # Errors
///
/// There is none in the file.
pub(crate) fn signer(config: &Config) -> Result<Option<Signer>, Mistake> {
    let Some(file) = &config.plugins.public_key else { return Ok(None) };
    let shown = file.display();
    let wrong = |message: String| {
        let remedy = "make a pair of keys: openssl genpkey -algorithm ed25519 -out KEY.pem; openssl \
                      pkey -in KEY.pem -pubout -out PUBLIC.pem; and name PUBLIC.pem here";
        mistake(config, "plugins.public_key", message, remedy)
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(format!("{error}: {shown}")))?;
    let signer = of_public_key(&text);
    signer.map(Some).ok_or_else(|| wrong(format!("no public key of Ed25519: {shown}")))
}

/// Returns whoever has the private half of a public key in PEM, if it is one of Ed25519.
pub(crate) fn of_public_key(pem: &str) -> Option<Signer> {
    key(pem).map(|key| Signer { key, verify })
}

/// Signs a component with a private key in PEM (PKCS #8), if it is one of Ed25519.
pub(crate) fn sign(pem: &str, component: &[u8]) -> Option<Vec<u8>> {
    let der = Zeroizing::new(der(pem, "PRIVATE KEY")?);
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok()?;
    Some(pair.sign(component).as_ref().to_vec())
}

fn key(pem: &str) -> Option<Vec<u8>> {
    let der = der(pem, "PUBLIC KEY")?;
    let key = der.strip_prefix(&PREFIX)?;
    (key.len() == KEY_BYTES).then(|| key.to_vec())
}

/// What stands between the lines that begin and end a thing of that name.
fn der(pem: &str, name: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {name}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {name}-----"))?;
    let body: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
    STANDARD.decode(&*body).ok()
}

fn verify(key: &[u8], component: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(component, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::signature::KeyPair;

    use super::*;

    #[test]
    fn a_key_is_read_and_verifies_what_its_owner_has_signed() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let public = pair.public_key().as_ref();
        let body = STANDARD.encode([&PREFIX, public].concat());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        let read = key(&pem).unwrap();
        assert_eq!(read, public);
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let body = STANDARD.encode(pkcs8.as_ref());
        let private = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let signature = sign(&private, b"component").unwrap();
        assert_eq!(signature, pair.sign(b"component").as_ref());
        assert_eq!(sign(&pem, b"component"), None);
        assert!(verify(&read, b"component", signature.as_ref()));
        assert!(!verify(&read, b"another", signature.as_ref()));
        assert!(!verify(&read, b"component", b"short"));
        for broken in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", &body] {
            assert_eq!(key(broken), None, "{broken}");
        }
    }
}
