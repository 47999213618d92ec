//! Who is at the other end: USER, REIN, QUIT, HOST.

use std::sync::Arc;

use waft_core::hooks::Hooks;
use waft_proto::arguments::{Host, parse_host};
use waft_proto::{Code, Reply};

use super::{Action, Answer, Refusal};
use crate::net::Network;
use crate::session::{Login, Session};

impl<N: Network> Session<N> {
    /// USER: 331 for everybody, known or not.
    ///
    /// Where TLS is required, it is required here already, so that nobody sends a password in
    /// clear text.
    pub(super) async fn user(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        argument: &[u8],
    ) -> Result<Action, Refusal> {
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
            && let Some(action) = self.log_in_by_certificate(hooks, credentials).await?
        {
            return Ok(action);
        }
        self.login = Login::Named { user };
        Ok(Reply::new(Code::NEED_PASSWORD, "Password, please.").into())
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
