//! `crypto`: what is slow or awkward in a sandbox, and passwords that a guest need not see.
//!
//! Verifying a password waits for a core to be free. A guest gets an error before its own time is
//! up: whoever is stopped while it waits loses its instance.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout_at;
use waft_core::auth::Secret;

use crate::bindings::waft::plugin::crypto::Host;
use crate::guest::Guest;
use crate::limits;

impl Host for Guest {
    fn random(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        self.note_more();
        let count = u64::from(len).min(limits::RANDOM_BYTES_MAX);
        let mut octets = vec![0; usize::try_from(count).unwrap_or_default()];
        // Fewer octets, or others, would be taken for random ones.
        getrandom::fill(&mut octets).map_err(wasmtime::Error::new)?;
        Ok(octets)
    }

    fn sha256(&mut self, data: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        Ok(Sha256::digest(data).to_vec())
    }

    fn hmac_sha256(&mut self, key: Vec<u8>, data: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        // Keys of any length do.
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(wasmtime::Error::new)?;
        mac.update(&data);
        Ok(mac.finalize().into_bytes().to_vec())
    }

    async fn verify_password(
        &mut self,
        hash: String,
        password: String,
    ) -> wasmtime::Result<Result<bool, String>> {
        Ok(self.verify(&hash, &Secret::new(password.into_bytes())).await)
    }

    async fn verify_offered(&mut self, hash: String) -> wasmtime::Result<Result<bool, String>> {
        let Some(offered) = self.offered.clone() else { return Ok(Ok(false)) };
        Ok(self.verify(&hash, &offered).await)
    }
}

impl Guest {
    async fn verify(&mut self, hash: &str, password: &Secret) -> Result<bool, String> {
        let verifier = self.identity.services.passwords.clone();
        let verifier = verifier.ok_or("no passwords are verified here")?;
        let patience = self.deadline.checked_sub(limits::ANSWER_MARGIN).unwrap_or(self.deadline);
        match timeout_at(patience, verifier.verify(hash, password)).await {
            Ok(verified) => verified.map_err(|error| error.to_string()),
            Err(_) => Err("not verified in time".to_owned()),
        }
    }
}
