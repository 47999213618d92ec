//! What handshakes use: rustls' configuration, complete but for what belongs to one session.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{ProtocolVersion, RootCertStore, ServerConfig, version};

use super::binding::{Binding, BoundSessions, BoundTickets, Use};
use super::resolver::Resolver;
use super::tickets::Tickets;
use super::{ClientCertificates, MinimumVersion, TlsError, TlsSettings};

/// TLS 1.2 sessions of clients without tickets that are remembered, in a few hundred octets each.
const SESSIONS_MAX: usize = 4096;

/// Tickets that a client gets at most if it asks for a number of them (RFC 9149).
const REQUESTED_TICKETS_MAX: usize = 64;

/// Protocols by ALPN. Clients that offer none are served; those that offer only others are not.
const CONTROL_PROTOCOLS: &[&[u8]] = &[b"ftp"];
const DATA_PROTOCOLS: &[&[u8]] = &[b"ftp-data", b"ftp"];

/// What handshakes use, until it is exchanged. Tickets made with one do not open another.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// What the operator decided; without the certificates, which are in `resolver`.
    pub(crate) settings: TlsSettings,
    resolver: Arc<Resolver>,
    control: ServerConfig,
}

impl Snapshot {
    pub(super) fn new(mut settings: TlsSettings) -> Result<Snapshot, TlsError> {
        let identities = std::mem::take(&mut settings.identities);
        if identities.is_empty() {
            return Err(TlsError::NoIdentity);
        }
        let (oldest, versions): (_, &[_]) = match settings.minimum_version {
            MinimumVersion::Tls12 => {
                (ProtocolVersion::TLSv1_2, &[&version::TLS13, &version::TLS12])
            }
            MinimumVersion::Tls13 => (ProtocolVersion::TLSv1_3, &[&version::TLS13]),
        };
        settings.algorithms.check(oldest, &identities)?;
        let resolver = Arc::new(Resolver::new(identities));
        let provider = settings.algorithms.provider();
        let verifier = verifier(&settings.client_certificates, &provider)?;
        let mut control = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&resolver) as _);
        control.ignore_client_order = true;
        control.alpn_protocols = CONTROL_PROTOCOLS.iter().map(|name| name.to_vec()).collect();
        control.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
        control.ticketer = Ticketer::new()?;
        control.send_tls13_tickets = settings.tickets;
        control.max_tls13_tickets = settings.tickets.max(REQUESTED_TICKETS_MAX);
        Ok(Snapshot { settings, resolver, control })
    }

    /// Whether a certificate is for that host.
    pub(crate) fn serves(&self, name: &str) -> bool {
        self.resolver.serves(name)
    }

    /// For the handshake of a control connection, whose tickets get that binding, and for tickets
    /// that it gets later.
    pub(crate) fn for_control(&self, binding: Binding) -> (Arc<ServerConfig>, Tickets) {
        // A certificate may have been revoked since: it is shown anew for every session.
        let resume = matches!(self.settings.client_certificates, ClientCertificates::None);
        let mut config = self.bound(binding, Use::Control { resume });
        // What is sealed again begins with the binding already.
        let tickets = Tickets::new(Arc::clone(&self.control.ticketer));
        config.key_log = tickets.key_log();
        (Arc::new(config), tickets)
    }

    /// For the handshake of a data connection of the control session with that binding. It gets no
    /// tickets: clients that upload do not read them, and closing unread octets resets the
    /// connection.
    pub(crate) fn for_data(&self, binding: Binding) -> Arc<ServerConfig> {
        let mut config = self.bound(binding, Use::Data);
        config.alpn_protocols = DATA_PROTOCOLS.iter().map(|name| name.to_vec()).collect();
        config.send_tls13_tickets = 0;
        config.max_tls13_tickets = 0;
        Arc::new(config)
    }

    fn bound(&self, binding: Binding, purpose: Use) -> ServerConfig {
        let mut config = self.control.clone();
        let tickets = BoundTickets { binding, purpose, inner: config.ticketer };
        let sessions = BoundSessions { binding, purpose, inner: config.session_storage };
        config.ticketer = Arc::new(tickets);
        config.session_storage = Arc::new(sessions);
        config
    }
}

fn verifier(
    certificates: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let (authorities, is_required) = match certificates {
        ClientCertificates::None => return Ok(WebPkiClientVerifier::no_client_auth()),
        ClientCertificates::Optional(authorities) => (authorities, false),
        ClientCertificates::Required(authorities) => (authorities, true),
    };
    let roots = Arc::new(roots(authorities)?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| TlsError::Authorities(error.to_string()))
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| TlsError::Authorities(error.to_string()))?;
    }
    Ok(roots)
}
