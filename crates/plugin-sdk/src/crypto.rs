//! What is slow or awkward inside a sandbox, done by the server. Needs no grant.

#[cfg(target_arch = "wasm32")]
use crate::bindings::base::waft::plugin::crypto as server;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::crypto as server;

/// Random octets, fit for keys and tokens.
///
/// In a plugin's own tests they are the same in every run.
pub fn random(length: u32) -> Vec<u8> {
    server::random(length)
}

/// The SHA-256 of some octets.
///
/// ```
/// use waft_plugin_sdk::crypto;
///
/// assert_eq!(crypto::sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
/// ```
pub fn sha256(data: &[u8]) -> Vec<u8> {
    server::sha256(data)
}

/// The HMAC-SHA-256 of some octets.
///
/// ```
/// use waft_plugin_sdk::crypto;
///
/// let signature = crypto::hmac_sha256(b"Jefe", b"what do ya want for nothing?");
/// assert_eq!(signature[..4], [0x5b, 0xdc, 0xc1, 0x46]);
/// ```
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    server::hmac_sha256(key, data)
}

/// Whether a password fits a hash: an argon2, bcrypt, scrypt or sha-crypt string.
///
/// It is computed on the server's own threads, and costs nothing of the call's computing time.
/// In a plugin's own tests, hashes are made by `testing::hash_of`.
///
/// # Errors
/// What is wrong with the hash.
pub fn verify_password(hash: &str, password: &str) -> Result<bool, String> {
    server::verify_password(hash, password)
}

/// Whether the password that the client offers in this call of
/// [`authenticate`](crate::Authenticator::authenticate) fits a hash. False in all other calls.
///
/// # Errors
/// What is wrong with the hash.
pub fn verify_offered(hash: &str) -> Result<bool, String> {
    server::verify_offered(hash)
}
