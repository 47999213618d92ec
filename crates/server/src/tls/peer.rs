//! What a handshake has shown of the client, and what certificates say.

use std::fmt::Write as _;

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion, ServerConnection};
use sha2::{Digest, Sha256};
use waft_core::session::TlsFacts;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What is known of a connection after its handshake.
pub(crate) fn facts(connection: &ServerConnection) -> TlsFacts {
    TlsFacts {
        version: version(connection.protocol_version()),
        cipher: cipher(connection.negotiated_cipher_suite().map(|suite| suite.suite())),
        server_name: connection.server_name().map(str::to_owned),
        peer_certificate_sha256: certificate(connection).map(digest),
    }
}

/// The client's certificate, which has been verified.
pub(crate) fn certificate(connection: &ServerConnection) -> Option<&CertificateDer<'static>> {
    connection.peer_certificates()?.first()
}

/// Names that a certificate gives its subject: DNS names, mail addresses and URIs of
/// subjectAltName, then common names.
pub(crate) fn certificate_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let mut names = Vec::new();
    if let Ok(Some(alternative)) = parsed.subject_alternative_name() {
        names.extend(alternative.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
                Some((*name).to_owned())
            }
            _ => None,
        }));
    }
    let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    names.extend(common.map(str::to_owned));
    names
}

/// The hosts that a certificate is for, in lower case.
pub(super) fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(alternative)) = parsed.subject_alternative_name() else { return Vec::new() };
    let names = alternative.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// SHA-256 of a certificate, in hexadecimal.
pub(crate) fn digest(certificate: &CertificateDer<'static>) -> String {
    Sha256::digest(certificate).iter().fold(String::with_capacity(64), |mut text, octet| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn version(version: Option<ProtocolVersion>) -> String {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The registered name; rustls writes the suites of TLS 1.3 in its own way.
fn cipher(suite: Option<CipherSuite>) -> String {
    let name = suite.and_then(|suite| suite.as_str()).unwrap_or_default();
    name.replacen("TLS13_", "TLS_", 1)
}
