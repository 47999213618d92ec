//! A server's certificate and key.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::peer::dns_names;

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

/// The certificates in a PEM file: those of authorities, for example.
///
/// # Errors
/// There is none, or they cannot be read.
pub fn certificates_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
    match certificates.is_empty() {
        true => Err(IdentityError::NoCertificate),
        false => Ok(certificates),
    }
}

/// What may keep clients from accepting a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Concern {
    /// Its time has not come.
    #[error("not valid yet: {subject}")]
    NotYetValid {
        /// Whose certificate.
        subject: String,
    },
    /// Its time is over.
    #[error("expired {days} days ago: {subject}")]
    Expired {
        /// Whose certificate.
        subject: String,
        /// Whole days since then.
        days: i64,
    },
    /// Its time will soon be over.
    #[error("expires in {days} days: {subject}")]
    ExpiresSoon {
        /// Whose certificate.
        subject: String,
        /// Whole days until then.
        days: i64,
    },
    /// The certificate of who issued it does not follow in the chain.
    #[error("no certificate of {issuer}, who issued that of {subject}")]
    Unlinked {
        /// Whose certificate.
        subject: String,
        /// Who issued it.
        issuer: String,
    },
}

const DAY: i64 = 24 * 60 * 60;

/// Days before its end at which a certificate should have been replaced.
const SOON: i64 = 14;

impl Identity {
    /// From the contents of PEM files: the certificate first, then the chain, and the key.
    ///
    /// # Errors
    /// Something is missing, cannot be read, or does not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Identity, IdentityError> {
        let chain = certificates_from_pem(chain)?;
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
        let provider = aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => IdentityError::Mismatch,
            error => IdentityError::Unusable(error),
        })?;
        Ok(Identity { names, key: Arc::new(key) })
    }

    /// The names that the certificate is for, in lower case; `*.` stands for any one label.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What may keep clients from accepting the certificate at a moment, in seconds since 1970.
    pub fn concerns(&self, now: i64) -> Vec<Concern> {
        concerns(&self.key.cert, now)
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

fn concerns(chain: &[CertificateDer<'static>], now: i64) -> Vec<Concern> {
    let parsed: Vec<X509Certificate<'_>> = chain
        .iter()
        .filter_map(|certificate| Some(X509Certificate::from_der(certificate).ok()?.1))
        .collect();
    let mut concerns: Vec<Concern> =
        parsed.iter().filter_map(|certificate| untimely(certificate, now)).collect();
    for (at, certificate) in parsed.iter().enumerate() {
        let is_linked = match parsed.get(at + 1) {
            Some(next) => certificate.issuer() == next.subject(),
            // What follows the last one of several is what clients have.
            None => at > 0 || certificate.issuer() == certificate.subject(),
        };
        if !is_linked {
            let subject = certificate.subject().to_string();
            concerns.push(Concern::Unlinked { subject, issuer: certificate.issuer().to_string() });
        }
    }
    concerns
}

fn untimely(certificate: &X509Certificate<'_>, now: i64) -> Option<Concern> {
    let subject = certificate.subject().to_string();
    let validity = certificate.validity();
    let left = validity.not_after.timestamp().saturating_sub(now);
    if now < validity.not_before.timestamp() {
        return Some(Concern::NotYetValid { subject });
    }
    if left < 0 {
        return Some(Concern::Expired { subject, days: -left / DAY });
    }
    (left < SOON * DAY).then_some(Concern::ExpiresSoon { subject, days: left / DAY })
}
