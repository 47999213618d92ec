//! `authenticator`: one plugin's verdict on credentials. Closed on failure, whatever the settings
//! say: nobody gets in because something broke.
//!
//! A plugin sees a clear password only where it is granted; all others have it verified.

mod account;

use std::sync::Arc;

use waft_core::SessionFacts;
use waft_core::auth::{Credentials, Secret};
use wasmtime::Store;
use zeroize::Zeroize as _;

use crate::artifact::Exports;
use crate::bindings::exports::waft::plugin::authenticator as wire;
use crate::capability::log::shortened;
use crate::errors::Failure;
use crate::guest::{Caller, Guest};
use crate::hook::Hook;
use crate::limits;
use crate::onlooker::Told;
use crate::plugin::Plugin;

pub(crate) use account::Admitted;

/// What one plugin wants done with credentials, checked.
#[derive(Debug)]
pub(crate) enum Verdict {
    Abstain,
    Accept(Box<Admitted>),
    Deny(Option<String>),
    Replace(Credentials),
    NeedAccount,
    /// Why is known where the plugin said so.
    Failed(Option<String>),
}

impl Told for Verdict {
    fn told(&self) -> String {
        let because = |reason: &Option<String>| reason.as_ref().map(|r| format!(" {r}"));
        match self {
            Verdict::Abstain => "abstain".to_owned(),
            Verdict::Accept(admitted) => format!("accept {}", admitted.name()),
            Verdict::Deny(reason) => format!("deny{}", because(reason).unwrap_or_default()),
            Verdict::Replace(credentials) => format!("replace {}", offered(credentials)),
            Verdict::NeedAccount => "need-account".to_owned(),
            Verdict::Failed(reason) => format!("fail{}", because(reason).unwrap_or_default()),
        }
    }
}

/// What is offered, in words.
fn offered(credentials: &Credentials) -> String {
    let what = match credentials {
        Credentials::Password { .. } => "password",
        Credentials::Certificate { .. } => "certificate",
    };
    format!("{what} of {}", credentials.user())
}

/// Asks `plugin` about `credentials`.
pub(crate) async fn ask(
    plugin: &Plugin,
    generation: u64,
    session: &Arc<SessionFacts>,
    credentials: &Credentials,
) -> Verdict {
    let caller = Caller { hook: Hook::Authenticator, generation };
    let mut shown = shown(credentials, plugin.settings.grants.passwords);
    let ask = async |exports: &Exports, store: &mut Store<Guest>, session| {
        if let Credentials::Password { password, .. } = credentials {
            store.data_mut().offered = Some(password.clone());
        }
        match &exports.login {
            Some(hook) => hook.call_authenticate(store, session, &shown).await,
            None => Ok(wire::AuthDecision::Abstain),
        }
    };
    let check = |said| check(plugin, credentials, said);
    let verdict = plugin.ask(caller, session, || offered(credentials), ask, check).await;
    if let wire::Credentials::Password(offer) = &mut shown {
        offer.password.zeroize();
    }
    verdict.unwrap_or(Verdict::Failed(None))
}

fn shown(credentials: &Credentials, with_password: bool) -> wire::Credentials {
    match credentials {
        Credentials::Password { user, password } => {
            let text = std::str::from_utf8(password.expose()).ok().filter(|_| with_password);
            let password = text.map(str::to_owned);
            wire::Credentials::Password(wire::PasswordOffer { user: user.clone(), password })
        }
        Credentials::Certificate { user, sha256, names } => {
            let (user, sha256, names) = (user.clone(), sha256.clone(), names.clone());
            wire::Credentials::Certificate(wire::CertificateOffer { user, sha256, names })
        }
    }
}

fn check(
    plugin: &Plugin,
    old: &Credentials,
    decision: wire::AuthDecision,
) -> Result<Verdict, Failure> {
    match decision {
        wire::AuthDecision::Abstain => Ok(Verdict::Abstain),
        wire::AuthDecision::Accept(account) => {
            let admitted = Admitted::new(account, &plugin.settings.grants);
            admitted.map(|admitted| Verdict::Accept(Box::new(admitted)))
        }
        wire::AuthDecision::Deny(reason) => {
            let reason = reason.map(|text| shortened(&text, limits::DENIAL_BYTES_MAX));
            Ok(Verdict::Deny(reason))
        }
        wire::AuthDecision::Replace(new) => replaced(old, new).map(Verdict::Replace),
        wire::AuthDecision::NeedAccount => Ok(Verdict::NeedAccount),
        // Not the plugin's own failure, which would count against it.
        wire::AuthDecision::Fail(reason) => {
            Ok(Verdict::Failed(Some(shortened(&reason, limits::DENIAL_BYTES_MAX))))
        }
    }
}

/// The credentials to go on with: a certificate is what TLS has verified, and nobody makes one up.
fn replaced(old: &Credentials, new: wire::Credentials) -> Result<Credentials, Failure> {
    let credentials = match (old, new) {
        (Credentials::Password { password, .. }, wire::Credentials::Password(new)) => {
            let other = new.password.map(|text| Secret::new(text.into_bytes()));
            let password = other.unwrap_or_else(|| password.clone());
            Credentials::Password { user: new.user, password }
        }
        (Credentials::Certificate { sha256, names, .. }, wire::Credentials::Certificate(new))
            if *sha256 == new.sha256 && *names == new.names =>
        {
            Credentials::Certificate { user: new.user, sha256: new.sha256, names: new.names }
        }
        _ => {
            let reason = "replaces a certificate, or one kind of credentials by another";
            return Err(Failure::Verdict(reason.to_owned()));
        }
    };
    account::check_name(credentials.user())?;
    Ok(credentials)
}
