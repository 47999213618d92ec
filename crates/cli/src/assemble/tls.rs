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

use super::acme;
use crate::findings::mistake;
use crate::process;

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

/// Tells what may keep clients from accepting the certificates, and the server from reading them
/// again. What cannot be read at all is a
/// mistake, and told elsewhere.
pub(crate) fn certificate_warnings(config: &Config) -> Vec<Mistake> {
    concerns(config).into_iter().chain(barriers(config)).collect()
}

/// Tells which files the server cannot read any more once it is who it is to be.
fn barriers(config: &Config) -> Vec<Mistake> {
    let Some(user) = &config.server.run_as else { return Vec::new() };
    let files = entries(config).into_iter().flat_map(|entry| {
        let key = |name: &str| format!("{}.{name}", entry.key);
        [(key("certificate"), entry.certificate), (key("private_key"), entry.private_key)]
    });
    files
        .filter_map(|(key, file)| {
            let barrier = process::barrier(config, &file)?;
            let remedy = match barrier.is_dir() {
                true => {
                    format!("let {user} enter it, or copy the file to where {user} may read it")
                }
                false => format!("chown {user} {}", barrier.display()),
            };
            let message = format!("the user {user} cannot get past: {}", barrier.display());
            Some(mistake(config, &key, message, remedy))
        })
        .collect()
}

/// Tells what clients may object to.
fn concerns(config: &Config) -> Vec<Mistake> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let readable = entries(config).into_iter();
    readable
        .filter_map(|entry| Some((identity(config, &entry).ok()?, entry)))
        .flat_map(|(identity, entry)| {
            identity.concerns(now).into_iter().map(move |concern| (concern, entry.clone()))
        })
        // The server renews it, and the authority knows what belongs to the chain.
        .filter(|(concern, entry)| {
            let is_ours = matches!(concern, Concern::ExpiresSoon { .. } | Concern::Unlinked { .. });
            !is_ours || acme::of(config, entry).is_none()
        })
        .map(|(concern, entry)| {
            let remedy = match concern {
                Concern::NotYetValid { .. } => "set the clock, or wait",
                Concern::Expired { .. } if acme::of(config, &entry).is_some() => {
                    "see the log of the server, which renews it"
                }
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
    if let Some(acme) = acme::of(config, entry)
        && !entry.certificate.exists()
    {
        return acme::stand_in(acme).map_err(|error| {
            mistake(config, &acme.key, error.to_string(), "correct names in [tls.acme]")
        });
    }
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
        let remedy = match acme::of(config, entry) {
            Some(_) => "remove the file: another one is asked for",
            None => remedy,
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
