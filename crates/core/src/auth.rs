//! Who may log in: the trait that an authenticator implements.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::BoxFuture;
use crate::account::Account;
use crate::session::SessionFacts;

/// A secret that is wiped from memory when dropped and cannot be printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the octets over.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// The octets.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What the client offers to prove who it is.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A name and a password.
    Password {
        /// The name from USER.
        user: String,
        /// The argument of PASS.
        password: Secret,
    },
    /// A name, and a certificate that TLS has verified. Asked at USER, before any password: who
    /// abstains leaves the decision to the password, who denies refuses the name.
    Certificate {
        /// The name from USER.
        user: String,
        /// SHA-256 of the certificate, in hexadecimal.
        sha256: String,
        /// Names of the certificate's subject: DNS names, mail addresses and URIs of
        /// subjectAltName, then common names.
        names: Vec<String>,
    },
}

impl Credentials {
    /// The name that the client gave.
    pub fn user(&self) -> &str {
        match self {
            Credentials::Password { user, .. } | Credentials::Certificate { user, .. } => user,
        }
    }
}

/// What an authenticator says of credentials.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Not an account of this authenticator; the next one is asked.
    Abstain,
    /// Logged in.
    Accept(Arc<Account>),
    /// Refused: unknown user, wrong password, account disabled. Which of them, the client never
    /// learns; `reason` is for the log.
    Deny {
        /// Why, for the log.
        reason: &'static str,
    },
}

/// An authenticator could not decide, through no fault of the client: 451.
#[derive(Debug, thiserror::Error)]
#[error("authenticator {name} failed: {reason}")]
pub struct AuthenticatorError {
    /// The authenticator.
    pub name: String,
    /// What went wrong.
    pub reason: String,
}

/// Decides who may log in.
///
/// The decision on an unknown user must take as long as the one on a wrong password.
pub trait Authenticator: Send + Sync {
    /// Decides on credentials.
    fn authenticate<'a>(
        &'a self,
        session: &'a SessionFacts,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Verdict, AuthenticatorError>>;
}

/// Remembers failures to log in and tells who must wait.
pub trait LoginGuard: Send + Sync {
    /// Whether an address, or an account at that address, is locked out now.
    fn is_locked_out(&self, address: IpAddr, user: Option<&str>) -> bool;

    /// Notes a failure; tells how long the 530 reply is to be held back.
    fn note_failure(&self, address: IpAddr, user: &str) -> std::time::Duration;

    /// How long a reply would be held back if this were a failure; notes nothing. For logins that
    /// fail through no fault of the client. A guard that holds nothing back need not say so.
    fn delay(&self, _: IpAddr, _: &str) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    /// Notes a success: the account's failures from that address are forgotten.
    fn note_success(&self, address: IpAddr, user: &str);
}

/// A password could not be verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// What it was to be held against is no stored password; in words.
    #[error("{0}")]
    BadHash(String),
    /// More passwords wait to be verified than may.
    #[error("too many logins at once")]
    Overloaded,
}

/// Verifies passwords against stored ones, off the threads that serve sessions.
pub trait PasswordVerifier: Send + Sync {
    /// Whether `password` is the one that `hash`, a PHC or modular-crypt string, was made from.
    fn verify<'a>(
        &'a self,
        hash: &'a str,
        password: &'a Secret,
    ) -> BoxFuture<'a, Result<bool, VerifyError>>;
}
