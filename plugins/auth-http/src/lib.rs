//! Asks a web service who may log in, and as whom.
//!
//! [`AuthHttp`] asks and decides; [`question`] is what it asks, [`answer`] what it makes of the
//! answer, [`config`] what the operator wrote, [`cache`] what it need not ask again.
//! Whatever is not a clear answer lets nobody in, and is no fault of the client.

#![forbid(unsafe_code)]

mod answer;
mod cache;
mod config;
mod question;

use waft_plugin_sdk::http::{self, Request, Response};
use waft_plugin_sdk::{
    AuthDecision, Authenticator, Credentials, PasswordOffer, Plugin, Session, Settings, crypto,
    metrics,
};

use crate::answer::Answer;
use crate::cache::Cache;
use crate::config::{Config, Passwords};

/// The service, and what is known from its last answers.
#[derive(Debug)]
pub struct AuthHttp {
    config: Config,
    cache: Option<Cache>,
}

impl Plugin for AuthHttp {
    fn new(settings: &Settings) -> Result<Self, String> {
        let config = Config::read(settings)?;
        let cache = config.cache.map(Cache::new);
        Ok(Self { config, cache })
    }
}

impl Authenticator for AuthHttp {
    fn authenticate(&self, session: Session<'_>, credentials: &Credentials) -> AuthDecision {
        let (outcome, decision) = match self.decide(session, credentials) {
            Ok(AuthDecision::Abstain) => ("unknown", AuthDecision::Abstain),
            Ok(AuthDecision::Accept(account)) => ("accepted", AuthDecision::Accept(account)),
            Ok(decision) => ("refused", decision),
            Err(reason) => ("failed", AuthDecision::Fail(reason)),
        };
        metrics::counter("logins_total", 1, &[("outcome", outcome)]);
        decision
    }
}

impl AuthHttp {
    fn decide(
        &self,
        session: Session<'_>,
        credentials: &Credentials,
    ) -> Result<AuthDecision, String> {
        match credentials {
            Credentials::Certificate(_) if !self.config.certificates => {
                return Ok(AuthDecision::Abstain);
            }
            Credentials::Password(PasswordOffer { password: None, .. })
                if self.config.passwords == Passwords::Send =>
            {
                return Err("the password is not shown to this plugin, or is not UTF-8: grant \
                     passwords = true, or say passwords = \"verify\""
                    .to_owned());
            }
            _ => {}
        }
        let body = question::body(session, credentials, self.config.passwords);
        let Some(cache) = &self.cache else {
            return match self.ask(body)? {
                Asked::Answer(answer) => self.admit(credentials, &answer),
                Asked::Decision(decision) => Ok(decision),
            };
        };
        let key = question::key(session, credentials, self.config.passwords);
        self.decide_by(cache, &key, credentials, body)
    }

    /// Asks what is not known, and keeps what lets the client in. What is kept may have the hash of
    /// an earlier password: where it does not fit, the service is asked all the same.
    fn decide_by(
        &self,
        cache: &Cache,
        key: &[u8],
        credentials: &Credentials,
        body: Vec<u8>,
    ) -> Result<AuthDecision, String> {
        let kept = cache.get(key);
        if let Some(kept) = &kept
            && let accepted @ AuthDecision::Accept(_) = self.admit(credentials, kept)?
        {
            return Ok(accepted);
        }
        let asked = match (self.ask(body), &kept) {
            // A guess stays a guess, and counts as one, while the service is out of reach.
            (Err(reason), Some(_)) => return Ok(AuthDecision::Deny(Some(reason))),
            (asked, _) => asked?,
        };
        if let (Some(kept), Asked::Answer(answer)) = (&kept, &asked)
            && kept.password_hash == answer.password_hash
        {
            return Ok(AuthDecision::Deny(None));
        }
        cache.forget(key);
        match asked {
            Asked::Answer(answer) => {
                let decision = self.admit(credentials, &answer)?;
                if matches!(decision, AuthDecision::Accept(_)) {
                    cache.put(key, &answer);
                }
                Ok(decision)
            }
            Asked::Decision(decision) => Ok(decision),
        }
    }

    fn ask(&self, body: Vec<u8>) -> Result<Asked, String> {
        let mut request = Request::post(&self.config.url, body)
            .timeout(self.config.timeout)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .header("user-agent", concat!("waft-auth-http/", env!("CARGO_PKG_VERSION")));
        if let Some((name, value)) = &self.config.header {
            request = request.header(name, value.text().unwrap_or_default());
        }
        let response = http::fetch(request)
            .map_err(|error| format!("the service cannot be asked: {}", reason(&error)))?;
        match response.status {
            200 => Answer::read(&response.body).map(Asked::Answer),
            401 | 403 => Ok(Asked::Decision(AuthDecision::Deny(Some(refusal(&response))))),
            404 => Ok(Asked::Decision(AuthDecision::Abstain)),
            status => Err(format!("the service answers: {status}")),
        }
    }

    /// What becomes of a client whom the service knows.
    fn admit(&self, credentials: &Credentials, answer: &Answer) -> Result<AuthDecision, String> {
        if let (Credentials::Password(_), Passwords::Verify) = (credentials, self.config.passwords)
        {
            let hash = answer.password_hash.as_ref();
            let hash = hash.ok_or("the service answers without password_hash")?;
            if !crypto::verify_offered(hash).map_err(|error| format!("password_hash: {error}"))? {
                return Ok(AuthDecision::Deny(None));
            }
        }
        answer.account(credentials.user(), &self.config.defaults).map(AuthDecision::Accept)
    }
}

/// What came of a question.
#[derive(Debug)]
enum Asked {
    Answer(Answer),
    Decision(AuthDecision),
}

fn reason(error: &http::Error) -> String {
    match error {
        http::Error::Denied(reason) => format!("denied: {reason}"),
        http::Error::Timeout => "it took too long".to_owned(),
        http::Error::TooLarge => "its answer is too large".to_owned(),
        http::Error::Network(reason) => reason.clone(),
    }
}

/// Why the service refuses, for the log.
fn refusal(response: &Response) -> String {
    let told = answer::reason(&response.body);
    told.unwrap_or_else(|| format!("the service answers: {}", response.status))
}

waft_plugin_sdk::export!(AuthHttp: authenticator);

#[cfg(test)]
mod tests;
