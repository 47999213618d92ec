//! TLS of listeners: what the operator decides, made ready for handshakes, and exchangeable.
//!
//! A [`Tls`] belongs to one listener. What it was made of can be exchanged at any time: handshakes
//! to come use the new certificates and rules, sessions keep what they shook hands with. Tickets
//! are bound to control sessions (`binding`) and renewed as they are spent (`tickets`); a control
//! connection reads whole records (`records`) so that TLS can end and clear text go on, and both
//! kinds of stream are one type (`channel`).
//!
//! What is *not* here: files, and when they change; who answers AUTH, PBSZ and PROT.

mod algorithms;
mod binding;
mod channel;
mod identity;
mod peer;
mod records;
mod resolver;
mod snapshot;
mod tickets;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use waft_core::Resumption;

pub use algorithms::{Algorithms, UnknownAlgorithm};
pub use identity::{Concern, Identity, IdentityError, certificates_from_pem};

pub(crate) use binding::Binding;
pub(crate) use channel::{Channel, accept};
pub(crate) use peer::{certificate, digest, facts};
pub(crate) use snapshot::Snapshot;
pub(crate) use tickets::Tickets;

/// What TLS means on a listener that offers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// AUTH starts it; logins in clear text work as well.
    Explicit,
    /// AUTH starts it; USER in clear text is refused.
    Require,
    /// The connection begins with the handshake.
    Implicit,
}

/// The oldest protocol version that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinimumVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// What a missing close_notify at the end of an upload means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseNotify {
    /// The end of the file; it is counted and logged.
    Lenient,
    /// A broken transfer: 426.
    Strict,
}

/// Which data connections are accepted under TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataProtection {
    /// Those that the client chooses with PROT.
    Any,
    /// Only protected ones: PROT C is refused with 534, transfers without PROT P with 521.
    Private,
}

/// A certificate.
pub type Certificate = CertificateDer<'static>;

/// Certificates of clients, with the authorities that issue them.
#[derive(Clone, Debug, Default)]
pub enum ClientCertificates {
    /// None are asked for.
    #[default]
    None,
    /// Those that clients have are verified.
    Optional(Vec<Certificate>),
    /// Without one there is no handshake.
    Required(Vec<Certificate>),
}

/// TLS of one listener.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// How it begins.
    pub mode: Mode,
    /// Certificates with their keys; the first serves clients that name no host or an unknown one.
    pub identities: Vec<Identity>,
    /// The oldest version.
    pub minimum_version: MinimumVersion,
    /// Cipher suites and key exchange groups.
    pub algorithms: Algorithms,
    /// What is demanded of data connections, where an account has no rule of its own.
    pub resumption: Resumption,
    /// How uploads have to end.
    pub close_notify: CloseNotify,
    /// Whether data connections must be protected.
    pub data_protection: DataProtection,
    /// Certificates of clients.
    pub client_certificates: ClientCertificates,
    /// Whether CCC may end TLS on the control connection.
    pub ccc: bool,
    /// TLS 1.3 tickets that a control connection gets with its handshake. One more comes with each
    /// data connection that is set up, in place of the one that it will spend.
    pub tickets: usize,
}

impl TlsSettings {
    /// The settings as they are where the operator says no more than that.
    pub fn new(mode: Mode, identity: Identity) -> TlsSettings {
        TlsSettings {
            mode,
            identities: vec![identity],
            minimum_version: MinimumVersion::Tls12,
            algorithms: Algorithms::default(),
            resumption: Resumption::Report,
            close_notify: CloseNotify::Lenient,
            data_protection: DataProtection::Any,
            client_certificates: ClientCertificates::None,
            ccc: false,
            tickets: 2,
        }
    }
}

/// TLS cannot work that way.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate.
    #[error("no certificate")]
    NoIdentity,
    /// No authority for the certificates of clients.
    #[error("no usable authority for client certificates: {0}")]
    Authorities(String),
    /// No client of the oldest version could shake hands.
    #[error("no cipher suite for the minimum version: {version}")]
    NoCipherSuite {
        /// The oldest version.
        version: String,
    },
    /// Likewise, with a certificate that has such a key.
    #[error("no cipher suite for the minimum version, {version}, and the certificate's key: {key}")]
    NoCipherSuiteForKey {
        /// The oldest version.
        version: String,
        /// The kind of key.
        key: String,
    },
    /// Likewise.
    #[error("no key exchange group for the minimum version: {version}")]
    NoGroup {
        /// The oldest version.
        version: String,
    },
    /// The cryptography refuses.
    #[error("cannot set up TLS: {0}")]
    Setup(#[from] rustls::Error),
}

/// TLS of a listener, exchangeable while it is in use.
#[derive(Debug)]
pub struct Tls {
    snapshot: ArcSwap<Snapshot>,
}

impl Tls {
    /// Makes it ready for handshakes.
    ///
    /// # Errors
    /// There is no certificate, nobody to verify those of clients, or no algorithm for the oldest
    /// version.
    pub fn new(settings: TlsSettings) -> Result<Tls, TlsError> {
        Ok(Tls { snapshot: ArcSwap::from_pointee(Snapshot::new(settings)?) })
    }

    /// Exchanges everything, for handshakes to come.
    ///
    /// # Errors
    /// As [`Tls::new`]; what was in use stays in use.
    pub fn exchange(&self, settings: TlsSettings) -> Result<(), TlsError> {
        self.snapshot.store(Arc::new(Snapshot::new(settings)?));
        Ok(())
    }

    /// What handshakes use now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }
}
