//! Who may log in, by what plugins know: asked before the server's own accounts.

use std::sync::Arc;

use crate::BoxFuture;
use crate::account::Account;
use crate::auth::Credentials;
use crate::session::SessionFacts;

/// The fact by which an authenticator learns the argument of ACCT.
pub const ACCT_ATTRIBUTE: &str = "acct";

/// What a plugin decided about credentials.
#[derive(Clone, Debug)]
pub enum LoginVerdict {
    /// Logged in.
    Accept(Arc<Account>),
    /// Refused, like a wrong password. The reason is for the log.
    Deny(Option<String>),
    /// The client is to give an account with ACCT; then the plugins are asked again.
    NeedAccount,
    /// It could not decide: refused, through no fault of the client. The reason is for the log.
    Failed(Option<String>),
}

/// What the plugins decided about credentials.
#[derive(Clone, Debug, Default)]
pub struct LoginDecision {
    /// The decision and the plugin that made it; `None` leaves it to the server's own accounts.
    pub verdict: Option<(LoginVerdict, Arc<str>)>,
    /// The credentials that the decision is about and the last plugin that changed them, unless
    /// they are the client's.
    pub replaced: Option<(Credentials, Arc<str>)>,
}

/// Decides who may log in.
///
/// The decision on an unknown user must take as long as the one on a wrong password.
pub trait LoginFilter: Send + Sync {
    /// Decides on credentials; the session's [`ACCT_ATTRIBUTE`] is what the client gave with ACCT.
    fn authenticate<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, LoginDecision>;
}
