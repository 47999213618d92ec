//! Hashes that are true, passwords that are not.

use std::cell::{Cell, RefCell};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// How a hash of [`hash_of`] begins.
const PREFIX: &str = "$test$";

thread_local! {
    static OFFERED: RefCell<Option<String>> = const { RefCell::new(None) };
    static DRAWN: Cell<u64> = const { Cell::new(0) };
}

/// A hash that fits a password, in this module's own form: real ones take long on purpose.
pub fn hash_of(password: &str) -> String {
    format!("{PREFIX}{password}")
}

/// Sets the password that the client offers in this test.
pub fn offer_password(password: &str) {
    OFFERED.set(Some(password.to_owned()));
}

pub(crate) fn random(length: u32) -> Vec<u8> {
    let length = usize::try_from(length).unwrap_or(0);
    let mut octets = Vec::with_capacity(length);
    while octets.len() < length {
        let block = sha256(&DRAWN.replace(DRAWN.get() + 1).to_be_bytes());
        octets.extend(block.iter().take(length - octets.len()));
    }
    octets
}

pub(crate) fn sha256(data: &[u8]) -> Vec<u8> {
    Sha256::digest(data).to_vec()
}

pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    // Keys of every length are fine: what this type calls an error does not happen.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn verify_password(hash: &str, password: &str) -> Result<bool, String> {
    let wanted = hash.strip_prefix(PREFIX);
    wanted.map(|wanted| wanted == password).ok_or_else(|| {
        "in a plugin's own tests, hashes are made by waft_plugin_sdk::testing::hash_of".to_owned()
    })
}

pub(crate) fn verify_offered(hash: &str) -> Result<bool, String> {
    OFFERED.with_borrow(|offered| match offered {
        Some(password) => verify_password(hash, password),
        None => Ok(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_octets_differ_and_have_the_length() {
        let (one, other) = (random(40), random(40));
        assert_eq!((one.len(), other.len()), (40, 40));
        assert_ne!(one, other);
    }

    #[test]
    fn without_an_offer_no_password_fits() {
        assert_eq!(verify_offered(&hash_of("")), Ok(false));
        assert!(verify_password("$2b$x", "y").is_err());
    }
}
