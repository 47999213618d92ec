//! Accounts from the configuration: who may log in, and who must wait.
//!
//! Three parts that share no state. [`LocalAccounts`] decides on credentials; it is made anew for
//! every configuration and costs little. What must outlive a configuration stands beside it: the
//! [`Verifier`], which works on passwords (a bounded number of them at a time, off the reactor) and
//! remembers for a while what was right, and the [`Lockout`], which remembers what went wrong,
//! where and to whom. [`hash_password`] and [`validate_hash`] serve whoever writes accounts down.
//!
//! What is *not* here: reading configuration files, replies, sessions, accounts of other sources.
#![forbid(unsafe_code)]

mod accounts;
mod certificates;
mod hash;
mod lockout;
mod memory;
mod verifier;

pub use accounts::{AccountSpec, AnonymousSpec, LocalAccounts, Mistake};
pub use certificates::CertificateLogin;
pub use hash::{HashError, hash_password, validate_hash};
pub use lockout::{Lockout, LockoutOptions};
pub use verifier::{Verifier, VerifierOptions};
