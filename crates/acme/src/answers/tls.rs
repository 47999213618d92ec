//! tls-alpn-01 (RFC 8737): a certificate in a handshake.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::error::Error;

/// The protocol that the authority asks for (RFC 8737, section 6.2).
const PROTOCOL: &[u8] = b"acme-tls/1";

/// Certificates by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates(Arc<Mutex<HashMap<String, Arc<CertifiedKey>>>>);

impl Certificates {
    /// Makes the certificate for a name, with the digest of the answer.
    pub(super) fn add(&self, name: &str, digest: &[u8]) -> Result<(), Error> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let keys = aws_lc_rs::default_provider().key_provider;
        let key = keys
            .load_private_key(key.into())
            .map_err(|error| Error::Unusable(error.to_string()))?;
        // Not `from_der`, which refuses certificates with extensions that it does not know.
        let key = CertifiedKey::new(vec![certificate.der().clone()], key);
        self.locked(|certificates| certificates.insert(name.to_owned(), Arc::new(key)));
        Ok(())
    }

    pub(super) fn clear(&self) {
        self.locked(HashMap::clear);
    }

    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn locked<T>(&self, with: impl FnOnce(&mut HashMap<String, Arc<CertifiedKey>>) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Certificates {
    /// Nothing for those who do not ask for the protocol: they are no authorities.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        let is_asked = hello.alpn()?.any(|protocol| protocol == PROTOCOL);
        is_asked.then(|| self.locked(|certificates| certificates.get(&name).cloned())).flatten()
    }
}

/// Shows the certificate and ends.
pub(super) async fn answer(stream: TcpStream, acceptor: TlsAcceptor) {
    if let Ok(mut stream) = acceptor.accept(stream).await {
        // Nothing is said over it; the authority may have closed already.
        let _ = stream.shutdown().await;
    }
}
