//! Stand-ins for the server, for a plugin's own tests.
//!
//! [`TestSession`] stands for a session; of the services, each test has its own: a test runs on a
//! thread, and what is set here holds for that thread alone. The clock is the machine's until
//! [`set_clock`]; the store begins empty, and nobody else changes it but by [`meanwhile_kv`];
//! requests are denied until [`answer_http`]; passwords are those of [`hash_of`] and
//! [`offer_password`].

pub(crate) mod clock;
pub(crate) mod control;
pub(crate) mod crypto;
pub(crate) mod http;
pub(crate) mod kv;
pub(crate) mod metrics;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::{Session, TlsInfo};

pub use clock::{advance_clock, set_clock};
pub use control::{banned, disconnected};
pub use crypto::{hash_of, offer_password};
pub use http::{answer_http, response};
pub use kv::{fail_kv, meanwhile_kv};
pub use metrics::{counted, observed};

/// A session with made-up facts.
///
/// ```
/// use waft_plugin_sdk::testing::TestSession;
///
/// let session = TestSession::new().user("alice").remote_ip("192.0.2.7");
/// assert_eq!(session.session().user().as_deref(), Some("alice"));
/// assert_eq!(session.session().tls(), None);
/// ```
#[derive(Debug, Clone)]
pub struct TestSession {
    pub(crate) id: u64,
    pub(crate) remote_ip: String,
    pub(crate) remote_port: u16,
    pub(crate) listener: String,
    pub(crate) tls: Option<TlsInfo>,
    pub(crate) user: Option<String>,
    pub(crate) cwd: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) kept: RefCell<BTreeMap<String, Vec<u8>>>,
    skipped: RefCell<BTreeSet<String>>,
}

impl TestSession {
    /// A session over loopback, in clear text, before login.
    pub fn new() -> Self {
        Self {
            id: 1,
            remote_ip: "127.0.0.1".to_owned(),
            remote_port: 40_000,
            listener: "127.0.0.1:21".to_owned(),
            tls: None,
            user: None,
            cwd: "/".to_owned(),
            attributes: BTreeMap::new(),
            kept: RefCell::default(),
            skipped: RefCell::default(),
        }
    }

    /// With the client at this address.
    pub fn remote_ip(mut self, address: &str) -> Self {
        address.clone_into(&mut self.remote_ip);
        self
    }

    /// With the client connected to the listener of this name.
    pub fn listener(mut self, name: &str) -> Self {
        name.clone_into(&mut self.listener);
        self
    }

    /// With the control connection under TLS.
    pub fn tls(mut self) -> Self {
        self.tls = Some(TlsInfo {
            version: "TLSv1.3".to_owned(),
            cipher: "TLS13_AES_256_GCM_SHA384".to_owned(),
            server_name: None,
            peer_cert_sha256: None,
        });
        self
    }

    /// With this user logged in.
    pub fn user(mut self, name: &str) -> Self {
        self.user = Some(name.to_owned());
        self
    }

    /// With this working directory.
    pub fn cwd(mut self, path: &str) -> Self {
        path.clone_into(&mut self.cwd);
        self
    }

    /// With a fact that [`Session::attribute`] returns.
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What a hook is given.
    pub fn session(&self) -> Session<'_> {
        Session::test(self)
    }

    /// The verbs that the plugin need not be asked about any more.
    pub fn skipped(&self) -> Vec<String> {
        self.skipped.borrow().iter().cloned().collect()
    }

    pub(crate) fn skip(&self, verbs: &[&str]) {
        self.skipped.borrow_mut().extend(verbs.iter().copied().map(str::to_owned));
    }

    pub(crate) fn keep(&self, key: &str, value: Option<&[u8]>) {
        let mut kept = self.kept.borrow_mut();
        match value {
            Some(value) => drop(kept.insert(key.to_owned(), value.to_owned())),
            None => drop(kept.remove(key)),
        }
    }
}

impl Default for TestSession {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_in_a_session_is_found_again() {
        let session = TestSession::new();
        session.session().set("count", Some(&[3])).unwrap();
        assert_eq!(session.session().get("count"), Some(vec![3]));
        session.session().set("count", None).unwrap();
        assert_eq!(session.session().get("count"), None);
    }

    #[test]
    fn what_a_plugin_skips_is_remembered() {
        let session = TestSession::new();
        session.session().skip_commands(&["RETR", "NOOP"]);
        session.session().skip_commands(&["RETR"]);
        assert_eq!(session.skipped(), ["NOOP", "RETR"]);
    }

    #[test]
    fn a_session_under_tls_says_so() {
        let session = TestSession::new().tls();
        assert_eq!(session.session().tls().unwrap().version, "TLSv1.3");
    }
}
