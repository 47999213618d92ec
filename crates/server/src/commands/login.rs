//! Logging in: what becomes of a certificate with USER, of PASS and of ACCT.
//!
//! Plugins are asked first, the server's own accounts behind them. Whatever fails is answered
//! alike: the same words, held back as long, counted and locked out by the same rules.

use std::sync::Arc;
use std::time::Duration;

use waft_core::auth::{Credentials, Secret, Verdict};
use waft_core::event::Happening;
use waft_core::hooks::{ACCT_ATTRIBUTE, Hooks, LoginDecision, LoginVerdict};
use waft_core::{Account, CertificateName, SessionFacts};
use waft_proto::command::printable;
use waft_proto::{Code, Reply};

use super::{Action, Answer, Refusal};
use crate::net::Network;
use crate::session::{LoggedIn, Login, Session};
use crate::shared::Full;

/// The one answer to a failed login, whatever failed: unknown users are not told apart.
const LOGIN_INCORRECT: &str = "Login incorrect.";

/// Octets of a user's name that plugins are asked about. Nobody has a longer one: whoever gives it is
/// unknown.
const USER_BYTES_MAX: usize = 255;

/// Why a login fails that a plugin asked twice for an account.
const NO_MORE: &str = "the account was not enough";

/// A try to log in.
struct Attempt {
    credentials: Credentials,
    /// The name of the credentials that a plugin put in their place.
    other_user: Option<String>,
    /// What the client gave with ACCT.
    account: Option<String>,
}

/// What came of it.
enum Outcome {
    Accepted(Arc<Account>),
    /// The client could not show who it is.
    Denied(&'static str),
    /// It has failed too often; nobody looks at what it offers.
    LockedOut,
    /// A plugin failed, which is no fault of the client.
    Failed,
    /// Nobody knows these credentials.
    Unknown,
    /// ACCT is awaited.
    Unfinished,
}

impl<N: Network> Session<N> {
    /// What a client with a certificate offers with USER. Behind CCC it counts no more: who speaks
    /// in clear text need not be who showed it.
    pub(super) fn certificate_credentials(&self, user: &str) -> Option<Credentials> {
        let tls = self.facts.tls.as_ref()?;
        let names = tls.peer_certificate_names.iter().filter_map(CertificateName::plain);
        Some(Credentials::Certificate {
            user: user.to_owned(),
            sha256: tls.peer_certificate_sha256.clone()?,
            names: names.map(str::to_owned).collect(),
        })
    }

    /// USER of a client with a certificate (RFC 4217, 15.1.2): it may be all that is needed.
    pub(super) async fn log_in_by_certificate(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        credentials: Credentials,
    ) -> Result<Option<Action>, Refusal> {
        self.login = Login::Nobody;
        let mut attempt = Attempt::new(credentials);
        match self.decide(hooks, &mut attempt).await? {
            Outcome::Unknown => Ok(None),
            Outcome::Accepted(account) => {
                let text = format!("User {} logged in by certificate.", attempt.credentials.user());
                self.log_in(&attempt, account)?;
                Ok(Some(Reply::new(Code::CERTIFICATE_ACCEPTED, text).into()))
            }
            outcome => self.conclude_login(attempt, outcome).await.map(Some),
        }
    }

    /// PASS: the authenticators decide.
    pub(super) async fn pass(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        argument: &[u8],
    ) -> Result<Action, Refusal> {
        let user = match std::mem::replace(&mut self.login, Login::Nobody) {
            Login::Named { user } => user,
            login => {
                self.login = login;
                return Err(Refusal::new(Code::BAD_SEQUENCE, "USER comes before PASS."));
            }
        };
        let password = Secret::new(argument.to_vec());
        let mut attempt = Attempt::new(Credentials::Password { user, password });
        let outcome = self.decide(hooks, &mut attempt).await?;
        self.conclude_login(attempt, outcome).await
    }

    /// ACCT where a plugin asked for it: the same credentials again, and an account besides.
    pub(super) async fn acct_of_login(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        argument: &[u8],
    ) -> Result<Action, Refusal> {
        let Login::Unfinished(_) = &self.login else { return self.acct().map(Action::from) };
        let Ok(account) = std::str::from_utf8(argument) else {
            return Err(Refusal::new(Code::BAD_PARAMETER, "Accounts are UTF-8."));
        };
        let login = std::mem::replace(&mut self.login, Login::Nobody);
        let Login::Unfinished(credentials) = login else { return self.acct().map(Action::from) };
        let mut attempt = Attempt::new(*credentials);
        attempt.account = Some(account.to_owned());
        let outcome = match self.decide(hooks, &mut attempt).await? {
            Outcome::Unfinished => Outcome::Denied(NO_MORE),
            outcome => outcome,
        };
        self.conclude_login(attempt, outcome).await
    }

    /// ACCT where nobody needs one.
    pub(super) fn acct(&mut self) -> Answer {
        match self.login {
            Login::Nobody => Err(Refusal::new(Code::BAD_SEQUENCE, "USER comes before ACCT.")),
            _ => Ok(Reply::new(Code::SUPERFLUOUS, "No account needed.")),
        }
    }

    /// Asks the plugins, and the server's own accounts where no plugin decides.
    async fn decide(
        &self,
        hooks: &Arc<dyn Hooks>,
        attempt: &mut Attempt,
    ) -> Result<Outcome, Refusal> {
        if self.is_locked_out(attempt.credentials.user()) {
            return Ok(Outcome::LockedOut);
        }
        let plugins = hooks.logins().filter(|_| is_name(attempt.credentials.user()));
        let Some(plugins) = plugins else {
            return self.decide_by_accounts(&attempt.credentials).await;
        };
        let facts = attempt.facts(&self.facts);
        let decision = plugins.authenticate(&facts, &attempt.credentials).await;
        let LoginDecision { verdict, replaced } = decision;
        let generation = hooks.generation();
        if let Some((credentials, _)) = &replaced {
            let (original, user) = (attempt.credentials.user(), credentials.user());
            if self.is_locked_out(user) {
                return Ok(Outcome::LockedOut);
            }
            attempt.other_user = Some(user.to_owned()).filter(|user| user != original);
        }
        match verdict {
            Some((verdict, plugin)) => {
                Ok(self.decided(generation, &plugin, attempt.credentials.user(), verdict))
            }
            None => {
                let credentials = replaced.as_ref().map(|(credentials, _)| credentials);
                self.decide_by_accounts(credentials.unwrap_or(&attempt.credentials)).await
            }
        }
    }

    async fn decide_by_accounts(&self, credentials: &Credentials) -> Result<Outcome, Refusal> {
        match self.authenticator.authenticate(&self.facts, credentials).await {
            Ok(Verdict::Accept(account)) => Ok(Outcome::Accepted(account)),
            Ok(Verdict::Deny { reason }) => Ok(Outcome::Denied(reason)),
            Ok(Verdict::Abstain) => Ok(Outcome::Unknown),
            Err(error) => {
                tracing::error!(%error, "login could not be decided");
                let (user, reason) = (credentials.user().to_owned(), "the server failed");
                self.emit(Happening::LoginUndecided { user, reason });
                Err(Refusal::new(Code::LOCAL_ERROR, "Login is not possible now."))
            }
        }
    }

    /// Notes what a plugin decided.
    fn decided(
        &self,
        generation: u64,
        plugin: &Arc<str>,
        user: &str,
        verdict: LoginVerdict,
    ) -> Outcome {
        let (counters, hook) = (&self.shared.counters, "authenticator");
        match verdict {
            LoginVerdict::Accept(account) => {
                counters.plugin_logins.add_one();
                let account_name = &account.name;
                tracing::info!(
                    %plugin,
                    generation,
                    hook,
                    user,
                    account = %account_name,
                    "accepted by plugin"
                );
                Outcome::Accepted(account)
            }
            LoginVerdict::Deny(reason) => {
                counters.plugin_login_denials.add_one();
                let reason = reason.map(|reason| printable(reason.as_bytes()).into_owned());
                tracing::info!(%plugin, generation, hook, user, reason, "denied by plugin");
                Outcome::Denied("denied by a plugin")
            }
            LoginVerdict::NeedAccount => {
                tracing::info!(%plugin, generation, hook, user, "account wanted by plugin");
                Outcome::Unfinished
            }
            LoginVerdict::Failed(reason) => {
                counters.plugin_login_denials.add_one();
                let reason = reason.map(|reason| printable(reason.as_bytes()).into_owned());
                let message = "login could not be decided by plugin";
                tracing::warn!(%plugin, generation, hook, user, reason, "{message}");
                Outcome::Failed
            }
        }
    }

    fn is_locked_out(&self, user: &str) -> bool {
        self.shared.guard.is_locked_out(self.facts.peer.ip(), Some(user))
    }

    /// Carries out what was decided, and finds the reply.
    async fn conclude_login(
        &mut self,
        attempt: Attempt,
        outcome: Outcome,
    ) -> Result<Action, Refusal> {
        let is_decided = !matches!(outcome, Outcome::LockedOut | Outcome::Failed);
        let (reason, delay) = match outcome {
            Outcome::Accepted(account) => return self.log_in(&attempt, account),
            Outcome::Unfinished => {
                self.login = Login::Unfinished(Box::new(attempt.credentials));
                return Ok(Reply::new(Code::NEED_ACCOUNT, "Account, please.").into());
            }
            // Told at once, and not locked out for longer.
            Outcome::LockedOut => ("locked out", Duration::ZERO),
            Outcome::Failed => ("a plugin failed", self.delay(&attempt)),
            Outcome::Denied(reason) => (reason, self.note_failure(&attempt)),
            Outcome::Unknown => ("unknown user", self.note_failure(&attempt)),
        };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.control.broken() => {}
        }
        Ok(self.login_failed(attempt.credentials.user(), reason, is_decided))
    }

    /// Notes a failure under each name; tells how long the reply is held back.
    fn note_failure(&self, attempt: &Attempt) -> Duration {
        let address = self.facts.peer.ip();
        let noted = attempt.users().map(|user| self.shared.guard.note_failure(address, user));
        noted.max().unwrap_or_default()
    }

    fn delay(&self, attempt: &Attempt) -> Duration {
        let address = self.facts.peer.ip();
        let delays = attempt.users().map(|user| self.shared.guard.delay(address, user));
        delays.max().unwrap_or_default()
    }

    fn login_failed(&mut self, user: &str, reason: &'static str, is_decided: bool) -> Action {
        self.login_failures += 1;
        self.shared.counters.login_failures.add_one();
        let name = user.to_owned();
        self.emit(match is_decided {
            true => Happening::LoginFailed { user: name, reason },
            false => Happening::LoginUndecided { user: name, reason },
        });
        tracing::info!(user, reason, failures = self.login_failures, "login failed");
        let limit = self.settings.limits.login_attempts_max;
        if limit != 0 && self.login_failures >= limit {
            let reply = Reply::new(Code::NOT_AVAILABLE, "Too many failed logins: closing.");
            return Action::Close(reply, "too many failed logins");
        }
        Reply::new(Code::NOT_LOGGED_IN, LOGIN_INCORRECT).into()
    }

    fn log_in(&mut self, attempt: &Attempt, account: Arc<Account>) -> Result<Action, Refusal> {
        let user = attempt.credentials.user();
        let name = Arc::clone(&account.name);
        let places = account.sessions_max.map(|max| usize::try_from(max).unwrap_or(usize::MAX));
        let places = places.unwrap_or(self.settings.limits.sessions_per_account_max);
        let place = match self.shared.accounts.enter(Arc::clone(&name), 0, places) {
            Ok(place) => place,
            Err(Full::Total | Full::Key) => {
                tracing::info!(user, "login refused: too many sessions of the account");
                return Err(Refusal::new(
                    Code::NOT_LOGGED_IN,
                    "Too many sessions of this account.",
                ));
            }
        };
        for user in attempt.users() {
            self.shared.guard.note_success(self.facts.peer.ip(), user);
        }
        self.shared.counters.logins.add_one();
        let facts = self.facts_mut();
        facts.user = Some(Arc::clone(&name));
        facts.cwd = account.home.clone();
        facts.attributes = account.facts();
        tracing::Span::current().record("user", &*name);
        tracing::info!("logged in");
        self.emit(Happening::LoggedIn);
        let text = match account.anonymous {
            true => "Anonymous user logged in.".to_owned(),
            false => format!("User {user} logged in."),
        };
        self.login = Login::In(LoggedIn { account, _place: place });
        Ok(Reply::new(Code::LOGGED_IN, text).into())
    }
}

/// Whether a user can be called so. Plugins make accounts, paths and questions to others of a name;
/// no stranger is to make them fail by what none of these can hold.
fn is_name(user: &str) -> bool {
    user.len() <= USER_BYTES_MAX && !user.contains(char::is_control)
}

impl Attempt {
    fn new(credentials: Credentials) -> Attempt {
        Attempt { credentials, other_user: None, account: None }
    }

    /// The names that a failure counts for: else plugins that take a name apart would let one
    /// account be tried under many.
    fn users(&self) -> impl Iterator<Item = &str> {
        [self.credentials.user()].into_iter().chain(self.other_user.as_deref())
    }

    /// What plugins are told of the session.
    fn facts(&self, facts: &Arc<SessionFacts>) -> Arc<SessionFacts> {
        let Some(account) = &self.account else { return Arc::clone(facts) };
        let attributes = Arc::new([(ACCT_ATTRIBUTE.to_owned(), account.clone())]);
        let skips = Arc::default();
        Arc::new(SessionFacts { attributes, skips, ..SessionFacts::clone(facts) })
    }
}
