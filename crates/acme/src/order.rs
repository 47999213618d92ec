//! One order: from the account to the certificate (RFC 8555, section 7).

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use crate::answers::Answers;
use crate::error::Error;
use crate::store::{Store, Validity};
use crate::{Challenge, Settings};

/// How long the authority may take for one step, such as looking at the answers.
const STEP_MAX: Duration = Duration::from_secs(180);

const POLLING: RetryPolicy = RetryPolicy::new().timeout(STEP_MAX);

/// Orders a certificate for a new key, and keeps both.
///
/// # Errors
///
/// The authority was not reached or refuses, or files cannot be written. What was kept before is
/// kept still.
pub(crate) async fn certificate(
    settings: &Settings,
    store: &Store,
    answers: &Answers,
) -> Result<Validity, Error> {
    store.prepare()?;
    let names: Vec<_> = settings.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = order(settings, store, &names).await?;
    prove(&mut order, settings.challenge, answers).await?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(settings.names.clone())?;
    params.distinguished_name = DistinguishedName::new();
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&POLLING).await?;
    store.keep_certificate(&key.serialize_pem(), &chain, &settings.names)
}

/// Makes an order, with another account where the authority does not know the one that is kept: it
/// may have begun anew, as those for tests do.
async fn order(settings: &Settings, store: &Store, names: &[Identifier]) -> Result<Order, Error> {
    let order = NewOrder::new(names);
    let ordered = account(settings, store).await?.new_order(&order).await;
    match ordered.map_err(Error::from) {
        Err(error) if error.is_unknown_account() => {
            tracing::warn!(%error, "another account is made");
            store.forget_account()?;
            Ok(account(settings, store).await?.new_order(&order).await?)
        }
        ordered => ordered,
    }
}

/// Returns the account with the authority: the one that is kept, or a new one, which is kept then.
async fn account(settings: &Settings, store: &Store) -> Result<Account, Error> {
    let builder = match &settings.authority_certificate {
        Some(file) => Account::builder_with_root(file)?,
        None => Account::builder()?,
    };
    if let Some(credentials) = store.account()? {
        return Ok(builder.from_credentials(credentials).await?);
    }
    let contact: Vec<String> =
        settings.contact.iter().map(|address| format!("mailto:{address}")).collect();
    let new = NewAccount {
        contact: &contact.iter().map(String::as_str).collect::<Vec<_>>(),
        terms_of_service_agreed: settings.terms_agreed,
        only_return_existing: false,
    };
    let (account, credentials) = builder.create(&new, settings.authority.clone(), None).await?;
    store.keep_account(&credentials)?;
    tracing::info!(authority = settings.authority, account = account.id(), "account made");
    Ok(account)
}

/// Answers a challenge for each name, and waits until the authority has seen the answers.
async fn prove(order: &mut Order, kind: Challenge, answers: &Answers) -> Result<(), Error> {
    let (wanted, word) = match kind {
        Challenge::Http01 => (ChallengeType::Http01, "http-01"),
        Challenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
    };
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // It may be remembered from an order before.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let mut challenge = authorization
            .challenge(wanted.clone())
            .ok_or_else(|| Error::NotOffered { name: name.clone(), challenge: word })?;
        answers.add(&name, &challenge.token, &challenge.key_authorization())?;
        challenge.set_ready().await.map_err(|error| Error::of_challenge(&name, error))?;
    }
    match order.poll_ready(&POLLING).await {
        Ok(OrderStatus::Ready) => Ok(()),
        Ok(_) => Err(unproved(order).await),
        // The order may tell less than the challenge that made it fail.
        Err(error @ instant_acme::Error::Api(_)) => match unproved(order).await {
            unproved @ Error::Unproved { .. } => Err(unproved),
            _ => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Says which name the authority does not believe, and why.
async fn unproved(order: &mut Order) -> Error {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = match authorization {
            Ok(authorization) => authorization,
            Err(error) => return error.into(),
        };
        if let Err(error) = authorization.refresh().await {
            return error.into();
        }
        let name = authorization.identifier().to_string();
        if let Some(problem) = authorization.challenges.iter().find_map(|c| c.error.clone()) {
            return Error::Unproved { name, problem: Box::new(problem) };
        }
    }
    instant_acme::Error::Str("a reason for the refusal").into()
}
