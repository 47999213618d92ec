//! `[tls.acme]`: what an authority is asked for, and what is shown until it has answered.

use rcgen::{CertificateParams, DnType, KeyPair};
use waft_acme::{Challenge, Settings};
use waft_config::{Acme, AcmeChallenge, Config, TlsHost};
use waft_server::tls::Identity;

/// Translates what is asked for.
pub(crate) fn acme_settings(acme: &Acme) -> Settings {
    Settings {
        names: acme.names.clone(),
        authority: acme.authority.clone(),
        authority_certificate: acme.authority_certificate.clone(),
        contact: acme.contact.clone(),
        terms_agreed: acme.terms_of_service_agreed,
        challenge: match acme.challenge {
            AcmeChallenge::Http01 => Challenge::Http01,
            AcmeChallenge::TlsAlpn01 => Challenge::TlsAlpn01,
        },
        account_file: acme.account_file(),
        certificate_file: acme.certificate_file(),
    }
}

/// Returns what asks for that certificate, where an authority does issue it.
pub(super) fn of<'c>(config: &'c Config, entry: &TlsHost) -> Option<&'c Acme> {
    let tls = config.tls.as_ref().filter(|tls| tls.key == entry.key)?;
    tls.acme.as_ref()
}

/// Makes a certificate that nobody has signed, for as long as there is none: clients that verify
/// see that, and no client is spoken to in clear text because of it.
///
/// # Errors
///
/// The cryptography refuses.
pub(super) fn stand_in(acme: &Acme) -> anyhow::Result<Identity> {
    let mut params = CertificateParams::new(acme.names.clone())?;
    if let Some(name) = acme.names.first() {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Identity::from_der(vec![certificate.der().clone()], key.into())?)
}
