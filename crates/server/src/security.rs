//! TLS as one session has it: what its listener offers, what was agreed upon, and the handshakes.

use std::ops::ControlFlow;
use std::sync::Arc;

use waft_core::session::TlsFacts;
use waft_core::{Account, Resumption};

use crate::data::DataTls;
use crate::net::Network;
use crate::session::{Flow, Session};
use crate::tls::{self, Binding, DataProtection, Mode, Snapshot, Tls};

/// Whether data connections are protected: PROT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// They are in clear text.
    Clear,
    /// They are under TLS.
    Private,
}

/// TLS of one session.
pub(crate) struct Security {
    offer: Option<Offer>,
    agreed: Option<Box<Agreed>>,
    /// PBSZ was given, so that PROT may come.
    pub(crate) buffer_size_set: bool,
    /// PROT.
    pub(crate) protection: Protection,
}

/// What the listener offers.
struct Offer {
    tls: Arc<Tls>,
    /// As it was when the session began or shook hands.
    snapshot: Arc<Snapshot>,
}

/// What the handshake of the control connection established. CCC leaves it: data connections may
/// still be protected.
struct Agreed {
    binding: Binding,
    facts: Arc<TlsFacts>,
}

impl Security {
    pub(crate) fn new(tls: Option<Arc<Tls>>) -> Security {
        let offer = tls.map(|tls| Offer { snapshot: tls.snapshot(), tls });
        let mut security =
            Security { offer, agreed: None, buffer_size_set: false, protection: Protection::Clear };
        security.reset();
        security
    }

    /// Forgets what was agreed upon data connections (RFC 4217, 4 and 13). Where TLS is there from
    /// the beginning, they are protected from the beginning.
    pub(crate) fn reset(&mut self) {
        self.buffer_size_set = self.is_implicit();
        self.protection = match self.is_implicit() {
            true => Protection::Private,
            false => Protection::Clear,
        };
    }

    /// After REIN, CCC is forgotten with all else.
    pub(crate) fn forget_ccc(&mut self, is_protected: bool) {
        if !is_protected {
            self.agreed = None;
        }
    }

    /// What the listener offers; nothing where it has no TLS.
    pub(crate) fn offer(&self) -> Option<&Snapshot> {
        self.offer.as_ref().map(|offer| &*offer.snapshot)
    }

    fn mode(&self) -> Option<Mode> {
        self.offer().map(|offer| offer.settings.mode)
    }

    /// Whether the connection begins with a handshake.
    pub(crate) fn is_implicit(&self) -> bool {
        self.mode() == Some(Mode::Implicit)
    }

    /// Whether nobody logs in without TLS.
    pub(crate) fn is_required(&self) -> bool {
        matches!(self.mode(), Some(Mode::Require | Mode::Implicit))
    }

    /// Whether there was a handshake, and TLS or data connections under it go on.
    pub(crate) fn is_agreed(&self) -> bool {
        self.agreed.is_some()
    }

    /// Whether data connections must be protected.
    pub(crate) fn is_data_protection_required(&self) -> bool {
        let settings = self.offer().map(|offer| &offer.settings);
        settings.is_some_and(|settings| settings.data_protection == DataProtection::Private)
    }

    /// The host that the client named when it shook hands.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.agreed.as_ref()?.facts.server_name.as_deref()
    }

    /// Whether there is a certificate for that host.
    pub(crate) fn serves(&self, name: &str) -> bool {
        self.offer().is_some_and(|offer| offer.serves(name))
    }
}

impl<N: Network> Session<N> {
    /// Shakes hands on the control connection; what is offered is what the operator offers now.
    pub(crate) async fn begin_tls(&mut self) -> Flow {
        let Some(offer) = &mut self.security.offer else {
            return ControlFlow::Break("no TLS here");
        };
        offer.snapshot = offer.tls.snapshot();
        let Ok(binding) = Binding::new() else {
            tracing::error!("no random numbers");
            return ControlFlow::Break("no random numbers");
        };
        let (config, tickets) = offer.snapshot.for_control(binding);
        let limit = self.settings.timeouts.tls_handshake;
        let shaken = tokio::select! {
            shaken = self.control.begin_tls(config, tickets, limit) => shaken,
            farewell = self.guest.dismissed() => return ControlFlow::Break(farewell.reason()),
        };
        if let Err(error) = shaken {
            self.shared.counters.tls_handshakes_failed.add_one();
            tracing::info!(%error, "TLS handshake failed");
            return ControlFlow::Break("TLS handshake failed");
        }
        self.agree(binding)
    }

    fn agree(&mut self, binding: Binding) -> Flow {
        let Some(connection) = self.control.tls() else {
            return ControlFlow::Break("connection lost");
        };
        let facts = Arc::new(tls::facts(connection));
        self.shared.counters.tls_handshakes.add_one();
        tracing::info!(
            version = %facts.version,
            cipher = %facts.cipher,
            server_name = facts.server_name.as_deref(),
            client_certificate = facts.peer_certificate_sha256.as_deref(),
            "TLS begins"
        );
        self.security.agreed = Some(Box::new(Agreed { binding, facts: Arc::clone(&facts) }));
        self.facts_mut().tls = Some(facts);
        self.is_unheard = true;
        ControlFlow::Continue(())
    }

    /// Ends TLS on the control connection. Behind REIN nothing of it remains; behind CCC data
    /// connections are protected as before.
    pub(crate) async fn end_tls(&mut self, and_forget: bool) -> Flow {
        if !self.waiting.is_empty() {
            return ControlFlow::Break("commands before TLS ended");
        }
        let limit = self.settings.timeouts.tls_handshake;
        if let Err(error) = self.control.end_tls(limit).await {
            tracing::info!(%error, "TLS did not end in order");
            return ControlFlow::Break("TLS did not end in order");
        }
        self.facts_mut().tls = None;
        if and_forget {
            self.security.agreed = None;
        }
        tracing::info!("TLS ended");
        ControlFlow::Continue(())
    }

    /// Gives the client a ticket for the data connection that is being set up: it arrives before
    /// the reply that lets the client begin.
    pub(crate) fn issue_ticket(&mut self) {
        if self.security.protection == Protection::Private {
            self.control.issue_ticket();
        }
    }

    /// How the next data connection is protected; `None` is not at all.
    pub(crate) fn data_tls(&self) -> Option<DataTls> {
        let security = &self.security;
        let (offer, agreed) = (security.offer()?, security.agreed.as_ref()?);
        if security.protection == Protection::Clear {
            return None;
        }
        let account = self.account().ok();
        let resumption = resumption(offer, account.as_deref());
        Some(DataTls {
            config: offer.for_data(agreed.binding),
            limit: self.settings.timeouts.tls_handshake,
            resumption,
            close_notify: offer.settings.close_notify,
            truncated: Arc::default(),
            certificate: agreed.facts.peer_certificate_sha256.clone(),
        })
    }
}

/// What is demanded of data connections: the account's own rule goes before the listener's, so that
/// one account can be held to more than the others, or an old device to less.
fn resumption(offer: &Snapshot, account: Option<&Account>) -> Resumption {
    account.and_then(|account| account.resumption).unwrap_or(offer.settings.resumption)
}
