//! Which certificate a client gets: that of the host it names (SNI).

use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Identity;

/// Certificates by name.
#[derive(Debug)]
pub(super) struct Resolver {
    identities: Vec<Identity>,
}

impl Resolver {
    pub(super) fn new(identities: Vec<Identity>) -> Resolver {
        Resolver { identities }
    }

    /// Whether a certificate is for that host.
    pub(super) fn serves(&self, name: &str) -> bool {
        self.identities.iter().any(|identity| identity.serves(name))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = |name: &str| self.identities.iter().find(|identity| identity.serves(name));
        let identity = hello.server_name().and_then(named).or(self.identities.first())?;
        Some(Arc::clone(identity.key()))
    }
}
