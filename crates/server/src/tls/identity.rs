//! A server's certificate and key.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::peer::dns_names;
use super::snapshot::provider;

/// A certificate with the chain that leads to it, its private key, and the names that it is for.
#[derive(Clone, Debug)]
pub struct Identity {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

/// A certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Nothing there.
    #[error("no certificate found")]
    NoCertificate,
    /// No key, or none of a known form.
    #[error("no private key found: {0}")]
    NoKey(pem::Error),
    /// Not PEM.
    #[error("not PEM: {0}")]
    Pem(#[from] pem::Error),
    /// The key is another certificate's.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// Anything else.
    #[error("not usable: {0}")]
    Unusable(rustls::Error),
}

impl Identity {
    /// From the contents of PEM files: the certificate first, then the chain, and the key.
    ///
    /// # Errors
    /// Something is missing, cannot be read, or does not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Identity, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(IdentityError::NoKey)?;
        Identity::from_der(chain, key)
    }

    /// From certificates, the server's first, and its key.
    ///
    /// # Errors
    /// As [`Identity::from_pem`].
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Identity, IdentityError> {
        let names = dns_names(chain.first().ok_or(IdentityError::NoCertificate)?);
        let provider: &CryptoProvider = &provider();
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => IdentityError::Mismatch,
            error => IdentityError::Unusable(error),
        })?;
        Ok(Identity { names, key: Arc::new(key) })
    }

    /// The names that the certificate is for, in lower case; `*.` stands for any one label.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// Whether it is for a host of that name.
    pub(super) fn serves(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|own| match own.strip_prefix("*.") {
            Some(suffix) => parent.is_some_and(|parent| parent.eq_ignore_ascii_case(suffix)),
            None => own.eq_ignore_ascii_case(name),
        })
    }
}
