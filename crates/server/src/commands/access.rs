//! Who is at the other end: USER, PASS, ACCT, REIN, QUIT, HOST.

use std::sync::Arc;

use waft_core::auth::{AuthenticatorError, Credentials, Secret, Verdict};
use waft_core::event::Happening;
use waft_core::{Account, CertificateName};
use waft_proto::arguments::{Host, parse_host};
use waft_proto::{Code, Reply};

use super::{Action, Answer, Refusal};
use crate::net::Network;
use crate::session::{LoggedIn, Login, Session};
use crate::shared::Full;

/// The one answer to a failed login, whatever failed: unknown users are not told apart.
const LOGIN_INCORRECT: &str = "Login incorrect.";

impl<N: Network> Session<N> {
    /// USER: 331 for everybody, known or not.
    ///
    /// Where TLS is required, it is required here already, so that nobody sends a password in
    /// clear text.
    pub(super) async fn user(&mut self, argument: &[u8]) -> Result<Action, Refusal> {
        if self.security.is_required() && self.control.tls().is_none() {
            return Err(Refusal::new(
                Code::NOT_LOGGED_IN,
                "Logins need TLS here: use AUTH TLS first (explicit FTP over TLS).",
            ));
        }
        if let Login::In(_) = self.login {
            return Err(Refusal::new(Code::NOT_LOGGED_IN, "Already logged in; REIN starts over."));
        }
        let Ok(user) = std::str::from_utf8(argument) else {
            return Err(Refusal::new(Code::BAD_PARAMETER, "User names are UTF-8."));
        };
        let user = user.to_owned();
        if let Some(credentials) = self.certificate_credentials(&user)
            && let Some(action) = self.log_in_by_certificate(&credentials).await?
        {
            return Ok(action);
        }
        self.login = Login::Named { user };
        Ok(Reply::new(Code::NEED_PASSWORD, "Password, please.").into())
    }

    /// What a client with a certificate offers with USER. Behind CCC it counts no more: who speaks
    /// in clear text need not be who showed it.
    fn certificate_credentials(&self, user: &str) -> Option<Credentials> {
        let tls = self.facts.tls.as_ref()?;
        let names = tls.peer_certificate_names.iter().filter_map(CertificateName::plain);
        Some(Credentials::Certificate {
            user: user.to_owned(),
            sha256: tls.peer_certificate_sha256.clone()?,
            names: names.map(str::to_owned).collect(),
        })
    }

    /// USER of a client with a certificate (RFC 4217, 15.1.2): it may be all that is needed.
    async fn log_in_by_certificate(
        &mut self,
        credentials: &Credentials,
    ) -> Result<Option<Action>, Refusal> {
        let user = credentials.user();
        self.login = Login::Nobody;
        if self.shared.guard.is_locked_out(self.facts.peer.ip(), Some(user)) {
            return Ok(Some(self.login_failed(user, "locked out")));
        }
        match self.authenticator.authenticate(&self.facts, credentials).await {
            Ok(Verdict::Abstain) => Ok(None),
            Ok(Verdict::Accept(account)) => {
                let text = format!("User {user} logged in by certificate.");
                self.log_in(user, account)?;
                Ok(Some(Reply::new(Code::CERTIFICATE_ACCEPTED, text).into()))
            }
            Ok(Verdict::Deny { reason }) => Ok(Some(self.refuse_login(credentials, reason).await)),
            Err(error) => Err(undecided(&error)),
        }
    }

    /// PASS: the authenticator decides.
    pub(super) async fn pass(&mut self, argument: &[u8]) -> Result<Action, Refusal> {
        let user = match std::mem::replace(&mut self.login, Login::Nobody) {
            Login::Named { user } => user,
            login => {
                self.login = login;
                return Err(Refusal::new(Code::BAD_SEQUENCE, "USER comes before PASS."));
            }
        };
        let address = self.facts.peer.ip();
        if self.shared.guard.is_locked_out(address, Some(&user)) {
            return Ok(self.login_failed(&user, "locked out"));
        }
        let password = Secret::new(argument.to_vec());
        let credentials = Credentials::Password { user, password };
        let verdict = self.authenticator.authenticate(&self.facts, &credentials).await;
        let user = credentials.user();
        let reason = match verdict {
            Ok(Verdict::Accept(account)) => return self.log_in(user, account),
            Ok(Verdict::Deny { reason }) => reason,
            Ok(Verdict::Abstain) => "unknown user",
            Err(error) => return Err(undecided(&error)),
        };
        Ok(self.refuse_login(&credentials, reason).await)
    }

    /// Refuses a login, as late as the guard wants it.
    async fn refuse_login(&mut self, credentials: &Credentials, reason: &'static str) -> Action {
        let user = credentials.user();
        let delay = self.shared.guard.note_failure(self.facts.peer.ip(), user);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.control.broken() => {}
        }
        self.login_failed(user, reason)
    }

    fn login_failed(&mut self, user: &str, reason: &'static str) -> Action {
        self.login_failures += 1;
        self.shared.counters.login_failures.add_one();
        self.emit(Happening::LoginFailed { user: user.to_owned(), reason });
        tracing::info!(user, reason, failures = self.login_failures, "login failed");
        let limit = self.settings.limits.login_attempts_max;
        if limit != 0 && self.login_failures >= limit {
            let reply = Reply::new(Code::NOT_AVAILABLE, "Too many failed logins: closing.");
            return Action::Close(reply, "too many failed logins");
        }
        Reply::new(Code::NOT_LOGGED_IN, LOGIN_INCORRECT).into()
    }

    fn log_in(&mut self, user: &str, account: Arc<Account>) -> Result<Action, Refusal> {
        let name = Arc::clone(&account.name);
        let places = usize::try_from(account.sessions_max).unwrap_or(usize::MAX);
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
        self.shared.guard.note_success(self.facts.peer.ip(), user);
        self.shared.counters.logins.add_one();
        let facts = self.facts_mut();
        facts.user = Some(Arc::clone(&name));
        facts.cwd = account.home.clone();
        facts.attributes = Arc::clone(&account.attributes);
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

    /// ACCT: nobody needs one here.
    pub(super) fn acct(&mut self) -> Answer {
        match self.login {
            Login::Nobody => Err(Refusal::new(Code::BAD_SEQUENCE, "USER comes before ACCT.")),
            _ => Ok(Reply::new(Code::SUPERFLUOUS, "No account needed.")),
        }
    }

    /// REIN: as if the client had just connected (RFC 959, 4.1.1; RFC 4217, 13): TLS that AUTH
    /// began ends behind the reply.
    pub(super) fn rein(&mut self) -> Action {
        self.reset();
        let reply = Reply::new(Code::READY, "Ready for a new user.");
        match self.control.tls().is_some() && !self.security.is_implicit() {
            true => Action::EndTls { reply, and_forget: true },
            false => {
                self.security.forget_ccc(self.control.tls().is_some());
                reply.into()
            }
        }
    }

    /// QUIT.
    pub(super) fn quit(&self) -> Action {
        Action::Close(Reply::new(Code::CLOSING, "Goodbye."), "quit")
    }

    /// HOST (RFC 7151): there is one host, which has the server's name and its addresses.
    pub(super) fn host(&mut self, argument: &[u8]) -> Answer {
        if !matches!(self.login, Login::Nobody) {
            return Err(Refusal::new(Code::BAD_SEQUENCE, "HOST comes before USER."));
        }
        let (known, name) = match parse_host(argument)? {
            Host::Name(name) if name.eq_ignore_ascii_case(&self.settings.name) => {
                (true, self.settings.name.to_string())
            }
            Host::Name(name) => (self.security.serves(name), name.to_ascii_lowercase()),
            Host::Address(address) => {
                (address == self.facts.local.ip(), self.settings.name.to_string())
            }
        };
        if !known {
            return Err(Refusal::new(Code::BAD_VALUE, "No such host here."));
        }
        // The certificate that the client was shown is that other host's (RFC 7151, 3.2.2).
        if self.security.server_name().is_some_and(|agreed| !agreed.eq_ignore_ascii_case(&name)) {
            return Err(Refusal::new(Code::BAD_VALUE, "TLS began for another host."));
        }
        Ok(Reply::new(Code::READY, format!("{name} it is.")))
    }
}

fn undecided(error: &AuthenticatorError) -> Refusal {
    tracing::error!(%error, "login could not be decided");
    Refusal::new(Code::LOCAL_ERROR, "Login is not possible now.")
}
