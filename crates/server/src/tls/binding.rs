//! Tickets that belong to one control session.
//!
//! rustls can carry data of ours in its tickets, but hands it back for TLS 1.3 only. So the binding
//! is made one layer below, in the same way for both versions: what is sealed into a ticket, or
//! kept under a session identifier, begins with the control session's token. A data connection
//! can resume nothing that begins with another token: it shakes hands in full instead, and
//! "resumed" means "resumed from this control session".
//!
//! A control connection may resume an earlier session's ticket, which saves a returning client
//! time, and gets new tickets at once. By session identifier it may not: there the client would
//! keep the earlier session's, with which no data connection could be opened.

use std::io;
use std::sync::Arc;

use rustls::server::{ProducesTickets, StoresServerSessions};

const TOKEN_BYTES: usize = 16;

/// What tells a control session's tickets from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binding([u8; TOKEN_BYTES]);

impl Binding {
    /// One that nobody has had before.
    pub(crate) fn new() -> io::Result<Binding> {
        let mut token = [0; TOKEN_BYTES];
        getrandom::fill(&mut token)?;
        Ok(Binding(token))
    }

    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        [&self.0, plain].concat()
    }
}

/// For which connection tickets are made and accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A control connection.
    Control {
        /// Whether it may resume an earlier session.
        resume: bool,
    },
    /// A data connection.
    Data,
}

/// Tickets of one control session, made by what makes them for the listener.
#[derive(Debug)]
pub(super) struct BoundTickets {
    pub(super) binding: Binding,
    pub(super) purpose: Use,
    pub(super) inner: Arc<dyn ProducesTickets>,
}

impl ProducesTickets for BoundTickets {
    fn enabled(&self) -> bool {
        self.inner.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.inner.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.inner.encrypt(&self.binding.seal(plain))
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let plain = self.inner.decrypt(ticket)?;
        let (token, plain) = plain.split_first_chunk()?;
        let accepted = match self.purpose {
            Use::Control { resume } => resume,
            Use::Data => *token == self.binding.0,
        };
        accepted.then(|| plain.to_vec())
    }
}

/// TLS 1.2 sessions by their identifiers, for clients without tickets.
#[derive(Debug)]
pub(super) struct BoundSessions {
    pub(super) binding: Binding,
    pub(super) purpose: Use,
    pub(super) inner: Arc<dyn StoresServerSessions>,
}

impl StoresServerSessions for BoundSessions {
    fn put(&self, id: Vec<u8>, plain: Vec<u8>) -> bool {
        self.inner.put(id, self.binding.seal(&plain))
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        if self.purpose != Use::Data {
            return None;
        }
        let plain = self.inner.get(id)?;
        let (token, plain) = plain.split_first_chunk()?;
        (*token == self.binding.0).then(|| plain.to_vec())
    }

    /// TLS 1.3 would take; it has tickets here.
    fn take(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        self.inner.can_cache()
    }
}
