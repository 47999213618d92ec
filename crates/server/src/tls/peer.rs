//! What a handshake has shown of the client, and what certificates say.

use std::fmt::Write as _;

use rustls::pki_types::CertificateDer;
use rustls::{ProtocolVersion, ServerConnection};
use sha2::{Digest, Sha256};
use waft_core::CertificateName;
use waft_core::session::TlsFacts;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::x509::X509Name;

use super::algorithms::suite_name;

/// What is known of a connection after its handshake.
pub(crate) fn facts(connection: &ServerConnection) -> TlsFacts {
    TlsFacts {
        version: version(connection.protocol_version()),
        cipher: connection.negotiated_cipher_suite().map(suite_name).unwrap_or_default(),
        server_name: connection.server_name().map(str::to_owned),
        peer_certificate_sha256: certificate(connection).map(digest),
        peer_certificate_names: certificate(connection).map(names).unwrap_or_default(),
    }
}

/// The client's certificate, which has been verified.
pub(crate) fn certificate(connection: &ServerConnection) -> Option<&CertificateDer<'static>> {
    connection.peer_certificates()?.first()
}

/// The names that a certificate gives its owner. What cannot be told exactly is left out.
fn names(certificate: &CertificateDer<'_>) -> Vec<CertificateName> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let mut names = Vec::new();
    if let Ok(Some(alternative)) = parsed.subject_alternative_name() {
        names.extend(alternative.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(CertificateName::Dns((*name).to_owned())),
            GeneralName::RFC822Name(name) => Some(CertificateName::Email((*name).to_owned())),
            GeneralName::URI(name) => Some(CertificateName::Uri((*name).to_owned())),
            _ => None,
        }));
    }
    let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    names.extend(common.map(|name| CertificateName::Common(name.to_owned())));
    names.extend(subject(parsed.subject()));
    names
}

/// All attributes; nothing where one of them is no text, for part of a subject is another one.
fn subject(name: &X509Name<'_>) -> Option<CertificateName> {
    let attributes: Option<Vec<(String, String)>> = name
        .iter_attributes()
        .map(|attribute| {
            let kind = attribute.attr_type();
            let key =
                oid2abbrev(kind, oid_registry()).map_or_else(|_| kind.to_string(), Into::into);
            Some((key, attribute.as_str().ok()?.to_owned()))
        })
        .collect();
    attributes.filter(|attributes| !attributes.is_empty()).map(CertificateName::Subject)
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

pub(super) fn version(version: Option<ProtocolVersion>) -> String {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    }
}
