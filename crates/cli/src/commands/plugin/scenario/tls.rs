//! The clients' side of TLS: they trust the server's own certificate and nobody else's.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What clients know the server as.
pub(in super::super) const NAME: &str = "ftp.example.org";

/// The TLS of one client: its data connections resume the session of its control connection.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

/// Whom clients trust.
#[derive(Clone)]
pub(super) struct Trust(Arc<RootCertStore>);

impl Trust {
    /// Trusts the certificate in a file.
    pub(super) fn read(certificate: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let found = CertificateDer::from_pem_file(certificate);
        roots.add(found.with_context(|| certificate.display().to_string())?)?;
        Ok(Self(Arc::new(roots)))
    }

    /// The TLS of another client.
    pub(super) fn client(&self) -> anyhow::Result<Tls> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.0))
            .with_no_client_auth();
        Ok(Tls(TlsConnector::from(Arc::new(config))))
    }
}

impl Tls {
    /// Begins TLS on a connection to the server.
    pub(super) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}
