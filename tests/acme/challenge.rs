//! The authority's look at the server: whoever answers must have the account's key.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use ::aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error,
    SignatureScheme, StreamOwned,
};
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::asn1_rs::oid;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::ftp::connect;

/// http-01: fetches the text.
pub(crate) fn http(address: SocketAddr, name: &str, token: &str, expected: &str) -> bool {
    let mut stream = connect(address);
    let request = format!(
        "GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: {name}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    head.starts_with("HTTP/1.1 200 ") && body == expected
}

/// tls-alpn-01: looks at the certificate.
pub(crate) fn tls(address: SocketAddr, name: &str, expected: &str) -> bool {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Identifier {
        name: name.to_owned(),
        digest: digest(&SHA256, expected.as_bytes()).as_ref().to_vec(),
        provider: Arc::clone(&provider),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(config), server).unwrap();
    let mut stream = StreamOwned::new(connection, connect(address));
    let ended = stream.read_to_end(&mut Vec::new());
    ended.is_ok() && stream.conn.alpn_protocol() == Some(b"acme-tls/1")
}

/// Verifies what RFC 8737, section 3, says that the certificate has to be.
#[derive(Debug)]
struct Identifier {
    name: String,
    digest: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl Identifier {
    fn is_in(&self, certificate: &CertificateDer<'_>) -> bool {
        let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        let identifier = oid!(1.3.6.1.5.5.7.1.31);
        let identifier = certificate.get_extension_unique(&identifier).unwrap().unwrap();
        let octet_string = [&[4, 32], &self.digest[..]].concat();
        names.value.general_names == [GeneralName::DNSName(&self.name)]
            && identifier.critical
            && identifier.value == octet_string
    }
}

impl ServerCertVerifier for Identifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.is_in(certificate) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    /// The connection is one of TLS 1.3.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
        // The certificate as such is refused by rustls, for the extension that it does not know.
        let key = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
