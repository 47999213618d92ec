//! Cipher suites and key exchange groups by their names.
//!
//! Names are those of the IANA registry; where rustls spells one differently, its spelling is taken
//! as well. What there is to choose from is what rustls has: no suite without forward secrecy or
//! without authenticated encryption.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{ProtocolVersion, SupportedCipherSuite};

use super::{Identity, TlsError};

/// The cipher suites, the best first: AES-128-GCM is the fastest where the processor knows AES.
const CIPHER_SUITES: [SupportedCipherSuite; 9] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The cipher suites and the key exchange groups that are spoken, the most welcome first.
#[derive(Clone, Debug)]
pub struct Algorithms {
    cipher_suites: Vec<SupportedCipherSuite>,
    groups: Vec<&'static dyn SupportedKxGroup>,
}

/// All cipher suites, and the groups that rustls offers.
impl Default for Algorithms {
    fn default() -> Algorithms {
        let groups = aws_lc_rs::DEFAULT_KX_GROUPS.to_vec();
        Algorithms { cipher_suites: CIPHER_SUITES.to_vec(), groups }
    }
}

/// There is nothing of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown: {name}")]
pub struct UnknownAlgorithm {
    /// The name.
    pub name: String,
    /// Which of the names it was, from 0.
    pub at: usize,
    /// The names that there are.
    pub known: Vec<String>,
}

impl Algorithms {
    /// These cipher suites and no others, in that order.
    ///
    /// # Errors
    /// The first name that is not known.
    pub fn with_cipher_suites(self, names: &[String]) -> Result<Algorithms, UnknownAlgorithm> {
        let known = CIPHER_SUITES.map(|suite| (suite_name(suite), suite));
        Ok(Algorithms { cipher_suites: pick(names, &known, "TLS13_", "TLS_")?, ..self })
    }

    /// These key exchange groups and no others, in that order.
    ///
    /// # Errors
    /// The first name that is not known.
    pub fn with_groups(self, names: &[String]) -> Result<Algorithms, UnknownAlgorithm> {
        let known: Vec<_> =
            aws_lc_rs::ALL_KX_GROUPS.iter().map(|group| (group_name(*group), *group)).collect();
        Ok(Algorithms { groups: pick(names, &known, "", "")?, ..self })
    }

    /// The cryptography: aws-lc, with these.
    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        Arc::new(CryptoProvider {
            cipher_suites: self.cipher_suites.clone(),
            kx_groups: self.groups.clone(),
            ..aws_lc_rs::default_provider()
        })
    }

    /// Whether a client that speaks no newer version can shake hands, whichever certificate it
    /// asks for.
    pub(super) fn check(
        &self,
        oldest: ProtocolVersion,
        identities: &[Identity],
    ) -> Result<(), TlsError> {
        let version = super::peer::version(Some(oldest));
        let of_version = |suite: &&SupportedCipherSuite| suite.version().version == oldest;
        if !self.cipher_suites.iter().any(|suite| of_version(&suite)) {
            return Err(TlsError::NoCipherSuite { version });
        }
        if !self.groups.iter().any(|group| group.usable_for_version(oldest)) {
            return Err(TlsError::NoGroup { version });
        }
        for identity in identities {
            let algorithm = identity.key().key.algorithm();
            let mut suites = self.cipher_suites.iter().filter(of_version);
            if !suites.any(|suite| suite.usable_for_signature_algorithm(algorithm)) {
                return Err(TlsError::NoCipherSuiteForKey {
                    version,
                    key: format!("{algorithm:?}"),
                });
            }
        }
        Ok(())
    }
}

/// The registered name of a suite; rustls writes those of TLS 1.3 in its own way.
pub(super) fn suite_name(suite: SupportedCipherSuite) -> String {
    suite.suite().as_str().unwrap_or_default().replacen("TLS13_", "TLS_", 1)
}

fn group_name(group: &dyn SupportedKxGroup) -> String {
    group.name().as_str().unwrap_or_default().to_owned()
}

/// What stands under each of the names; `alias` at the beginning of one stands for `prefix`.
fn pick<T: Copy>(
    names: &[String],
    known: &[(String, T)],
    alias: &str,
    prefix: &str,
) -> Result<Vec<T>, UnknownAlgorithm> {
    let find = |(at, name): (usize, &String)| {
        let upper = name.to_ascii_uppercase();
        let wanted =
            upper.strip_prefix(alias).map_or(upper.clone(), |rest| format!("{prefix}{rest}"));
        let found = known.iter().find(|(known, _)| known.eq_ignore_ascii_case(&wanted));
        found.map(|(_, algorithm)| *algorithm).ok_or_else(|| UnknownAlgorithm {
            name: name.clone(),
            at,
            known: known.iter().map(|(name, _)| name.clone()).collect(),
        })
    };
    names.iter().enumerate().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_are_those_of_the_registry_or_of_rustls() {
        let names = ["tls_aes_256_gcm_sha384", "TLS13_CHACHA20_POLY1305_SHA256"];
        let made = Algorithms::default().with_cipher_suites(&owned(&names)).unwrap();
        let made: Vec<String> = made.cipher_suites.into_iter().map(suite_name).collect();
        assert_eq!(made, ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]);
        let made = Algorithms::default().with_groups(&owned(&["x25519", "SecP384r1"])).unwrap();
        let made: Vec<String> = made.groups.into_iter().map(group_name).collect();
        assert_eq!(made, ["X25519", "secp384r1"]);
    }

    #[test]
    fn an_unknown_name_is_told_with_all_that_are_known() {
        let names = owned(&["TLS_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA"]);
        let error = Algorithms::default().with_cipher_suites(&names).unwrap_err();
        assert_eq!((error.at, error.name.as_str()), (1, "TLS_RSA_WITH_AES_128_CBC_SHA"));
        assert_eq!(error.known.len(), 9);
        assert_eq!(error.known.first().map(String::as_str), Some("TLS_AES_128_GCM_SHA256"));
        let error = Algorithms::default().with_groups(&owned(&["secp521r1"])).unwrap_err();
        assert!(error.known.iter().any(|name| name == "X25519MLKEM768"), "{error:?}");
    }
}
