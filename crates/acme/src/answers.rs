//! The listener that the authority connects to, and what it finds there.
//!
//! Anybody can connect, at any time: outside of an order there is nothing to be found.

mod http;
mod tls;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::KeyAuthorization;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Challenge;
use crate::error::Error;

/// How long one connection may take, from the first octet to the last.
const CONNECTION_MAX: Duration = Duration::from_secs(10);

/// Connections at the same time; further ones wait.
const CONNECTIONS_MAX: usize = 64;

/// How long nobody is accepted when the system cannot accept, for want of descriptors mostly.
const UNACCEPTING: Duration = Duration::from_secs(1);

/// The answers to challenges.
#[derive(Debug)]
pub(crate) enum Answers {
    /// Texts by the path of a URL.
    Http(http::Texts),
    /// Certificates by name.
    Tls(tls::Certificates),
}

impl Answers {
    pub(crate) fn new(challenge: Challenge) -> Self {
        match challenge {
            Challenge::Http01 => Self::Http(http::Texts::default()),
            Challenge::TlsAlpn01 => Self::Tls(tls::Certificates::default()),
        }
    }

    /// Adds the answer for a name.
    pub(crate) fn add(
        &self,
        name: &str,
        token: &str,
        answer: &KeyAuthorization,
    ) -> Result<(), Error> {
        match self {
            Self::Http(texts) => texts.add(token, answer.as_str()),
            Self::Tls(certificates) => certificates.add(name, answer.digest().as_ref())?,
        }
        Ok(())
    }

    /// Removes all of them.
    pub(crate) fn clear(&self) {
        match self {
            Self::Http(texts) => texts.clear(),
            Self::Tls(certificates) => certificates.clear(),
        }
    }
}

/// Answers everybody who connects.
pub(crate) async fn serve(listener: TcpListener, answers: Arc<Answers>) {
    match &*answers {
        Answers::Http(texts) => {
            let texts = texts.clone();
            accept(listener, move |stream| http::answer(stream, texts.clone())).await;
        }
        Answers::Tls(certificates) => match certificates.acceptor() {
            Ok(acceptor) => {
                accept(listener, move |stream| tls::answer(stream, acceptor.clone())).await;
            }
            Err(error) => tracing::error!(%error, "challenges cannot be answered"),
        },
    }
}

async fn accept<F>(listener: TcpListener, answer: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(timeout(CONNECTION_MAX, answer(stream)));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection for a challenge");
                    sleep(UNACCEPTING).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
