//! TLS: certificates and keys are read here, each listener gets its settings.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use waft_config::{Config, Listener, Mistake, TlsHost};
use waft_core::Resumption;
use waft_server::tls::{
    self, Algorithms, Certificate, ClientCertificates, CloseNotify, Concern, DataProtection,
    Identity, IdentityError, MinimumVersion, Mode, TlsError, TlsSettings, UnknownAlgorithm,
};

use crate::findings::mistake;

/// What the listeners with TLS have in common.
pub(crate) struct Tls {
    settings: TlsSettings,
}

/// Reads certificates and keys, where there are to be any.
///
/// # Errors
///
/// All that cannot be used.
pub(crate) fn tls(config: &Config) -> Result<Option<Tls>, Vec<Mistake>> {
    let Some(section) = &config.tls else { return Ok(None) };
    let mut mistakes = Vec::new();
    let mut identities = Vec::new();
    for entry in entries(config) {
        match identity(config, &entry) {
            Ok(identity) => identities.push(identity),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    let authorities = match &section.client_authorities {
        None => Ok(Vec::new()),
        Some(file) => authorities(config, file),
    };
    let authorities = authorities.unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        Vec::new()
    });
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let Some(first) = identities.first().cloned() else { return Ok(None) };
    let algorithms = algorithms(config, section).map_err(|mistake| vec![mistake])?;
    let settings = TlsSettings {
        algorithms,
        identities,
        minimum_version: match section.minimum_version {
            waft_config::TlsVersion::Tls12 => MinimumVersion::Tls12,
            waft_config::TlsVersion::Tls13 => MinimumVersion::Tls13,
        },
        close_notify: match section.close_notify {
            waft_config::CloseNotify::Lenient => CloseNotify::Lenient,
            waft_config::CloseNotify::Strict => CloseNotify::Strict,
        },
        data_protection: match section.data_connections {
            waft_config::DataProtection::Any => DataProtection::Any,
            waft_config::DataProtection::Private => DataProtection::Private,
        },
        client_certificates: match section.client_certificates {
            waft_config::ClientCertificates::None => ClientCertificates::None,
            waft_config::ClientCertificates::Optional => ClientCertificates::Optional(authorities),
            waft_config::ClientCertificates::Required => ClientCertificates::Required(authorities),
        },
        ccc: section.ccc,
        ..TlsSettings::new(Mode::Require, first)
    };
    // What is wrong only shows where it is put together; better now than with the first listener.
    if let Err(error) = tls::Tls::new(settings.clone()) {
        let (key, remedy) = misfit(&error);
        return Err(vec![mistake(config, key, error.to_string(), remedy)]);
    }
    Ok(Some(Tls { settings }))
}

/// Which key is to be changed where single parts are right and do not go together, and how.
fn misfit(error: &TlsError) -> (&'static str, &'static str) {
    match error {
        TlsError::NoCipherSuite { .. } => {
            ("tls.cipher_suites", "add one of that version, or change minimum_version")
        }
        TlsError::NoCipherSuiteForKey { .. } => {
            ("tls.cipher_suites", "add one for such keys, or change minimum_version")
        }
        TlsError::NoGroup { .. } => {
            ("tls.key_exchange_groups", "add x25519 or secp256r1, or change minimum_version")
        }
        TlsError::NoIdentity | TlsError::Authorities(_) | TlsError::Setup(_) => {
            ("tls.client_authorities", "name a PEM file with the certificates of authorities")
        }
    }
}

fn algorithms(config: &Config, section: &waft_config::Tls) -> Result<Algorithms, Mistake> {
    let unknown = |key: &str, error: &UnknownAlgorithm| {
        let remedy = format!("write one of {}", error.known.join(", "));
        mistake(config, &format!("tls.{key}.{}", error.at), error.to_string(), remedy)
    };
    let mut algorithms = Algorithms::default();
    if let Some(names) = &section.cipher_suites {
        let picked = algorithms.with_cipher_suites(names);
        algorithms = picked.map_err(|error| unknown("cipher_suites", &error))?;
    }
    if let Some(names) = &section.key_exchange_groups {
        let picked = algorithms.with_groups(names);
        algorithms = picked.map_err(|error| unknown("key_exchange_groups", &error))?;
    }
    Ok(algorithms)
}

/// Translates what is demanded of data connections.
pub(super) fn resumption(policy: waft_config::TlsResumption) -> Resumption {
    match policy {
        waft_config::TlsResumption::Off => Resumption::Off,
        waft_config::TlsResumption::Report => Resumption::Report,
        waft_config::TlsResumption::Require => Resumption::Require,
    }
}

impl Tls {
    /// What holds for a listener; nothing where it is without TLS.
    pub(crate) fn settings(&self, listener: &Listener) -> Option<TlsSettings> {
        let mode = match listener.tls {
            waft_config::TlsMode::Off => return None,
            waft_config::TlsMode::Explicit => Mode::Explicit,
            waft_config::TlsMode::Require => Mode::Require,
            waft_config::TlsMode::Implicit => Mode::Implicit,
        };
        let resumption = resumption(listener.tls_resumption);
        Some(TlsSettings { mode, resumption, ..self.settings.clone() })
    }
}

/// Tells what may keep clients from accepting the certificates. What cannot be read at all is a
/// mistake, and told elsewhere.
pub(crate) fn certificate_warnings(config: &Config) -> Vec<Mistake> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let readable = entries(config).into_iter();
    readable
        .filter_map(|entry| Some((identity(config, &entry).ok()?, entry)))
        .flat_map(|(identity, entry)| {
            identity.concerns(now).into_iter().map(move |concern| (concern, entry.clone()))
        })
        .map(|(concern, entry)| {
            let remedy = match concern {
                Concern::NotYetValid { .. } => "set the clock, or wait",
                Concern::Expired { .. } | Concern::ExpiresSoon { .. } => "renew it",
                Concern::Unlinked { .. } => {
                    "append it to the file: most authorities call that the full chain"
                }
            };
            mistake(config, &format!("{}.certificate", entry.key), concern.to_string(), remedy)
        })
        .collect()
}

/// The certificate for everybody, and those for certain hosts.
fn entries(config: &Config) -> Vec<TlsHost> {
    let Some(tls) = &config.tls else { return Vec::new() };
    let own = TlsHost {
        certificate: tls.certificate.clone(),
        private_key: tls.private_key.clone(),
        key: tls.key.clone(),
        origin: tls.origin.clone(),
    };
    std::iter::once(own).chain(tls.host.iter().cloned()).collect()
}

fn identity(config: &Config, entry: &TlsHost) -> Result<Identity, Mistake> {
    let [certificate, key] = ["certificate", "private_key"].map(|k| format!("{}.{k}", entry.key));
    let chain = read(config, &entry.certificate, &certificate)?;
    let secret = read(config, &entry.private_key, &key)?;
    Identity::from_pem(&chain, &secret).map_err(|error| {
        let (key, file, remedy) = match error {
            IdentityError::NoKey(_) => {
                (key, &entry.private_key, "name a private key in PEM, without a passphrase")
            }
            IdentityError::Mismatch => {
                (key, &entry.private_key, "name the key that the certificate was made for")
            }
            _ => (certificate, &entry.certificate, "name a certificate in PEM, and the chain"),
        };
        mistake(config, &key, format!("{error}: {}", file.display()), remedy)
    })
}

fn authorities(config: &Config, file: &Path) -> Result<Vec<Certificate>, Mistake> {
    let key = "tls.client_authorities";
    tls::certificates_from_pem(&read(config, file, key)?).map_err(|error| {
        let remedy = "name a PEM file with the certificates of authorities";
        mistake(config, key, format!("{error}: {}", file.display()), remedy)
    })
}

fn read(config: &Config, file: &Path, key: &str) -> Result<Vec<u8>, Mistake> {
    fs::read(file).map_err(|error| {
        let message = format!("cannot be read: {}: {error}", file.display());
        let remedy = "let the user that the server runs as read it";
        mistake(config, key, message, remedy)
    })
}
