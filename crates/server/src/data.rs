//! Data connections: how a transfer gets its second connection, and what moves over it.
//!
//! PASV, EPSV, PORT and EPRT only fill a [`DataSetup`]; nobody connects or accepts before the
//! transfer command, which takes the setup out and [opens](DataSetup::open) it: one setup serves
//! one transfer at most (RFC 959, 3.2). What moves is the business of [`pump`].
//!
//! What is *not* here: which replies a transfer gets and when, files, permissions.

mod active;
mod passive;
pub(crate) mod pump;
mod secure;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use waft_proto::{Code, Reply};

use crate::net::Network;
use crate::settings::{Passive, Timeouts};

pub(crate) use active::{ActiveTarget, Refused, active_target};
pub(crate) use passive::{PassiveListener, Unresolved, announced, listen};
pub(crate) use pump::{Download, Encoding, Progress, PumpError, Upload, receive, send};
pub(crate) use secure::{DataTls, TlsFailure, refuse_hello, secure};

/// Where the next transfer's data connection comes from.
#[derive(Default)]
pub(crate) enum DataSetup<N: Network> {
    /// Nobody said; a transfer is refused.
    #[default]
    None,
    /// PASV or EPSV: the client connects to us.
    Passive(PassiveListener<N>),
    /// PORT or EPRT: we connect to the client.
    Active(ActiveTarget),
}

impl<N: Network> DataSetup<N> {
    /// Takes what was set up and leaves nothing: it serves one transfer.
    pub(crate) fn take(&mut self) -> DataSetup<N> {
        std::mem::take(self)
    }

    /// Opens the data connection: accepts or connects.
    ///
    /// Whoever connects to a passive port and is not `control_peer` is closed without a word, and
    /// the wait goes on. Dropping the future closes the listener.
    pub(crate) async fn open(
        self,
        network: &N,
        control_peer: IpAddr,
        passive: &Passive,
        timeouts: &Timeouts,
    ) -> Result<N::Stream, OpenError> {
        match self {
            DataSetup::None => Err(OpenError::NotSetUp),
            DataSetup::Passive(listener) => {
                listener.open(control_peer, &passive.peers, timeouts.data_accept).await
            }
            DataSetup::Active(target) => target.open(network, timeouts.data_connect).await,
        }
    }
}

/// Why there is no data connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// No PASV, EPSV, PORT or EPRT before the transfer.
    #[error("no data connection was set up: use PASV or EPSV first")]
    NotSetUp,
    /// The client did not connect.
    #[error(
        "no data connection arrived at port {port} within {} s: \
         a firewall may be blocking the passive ports", waited.as_secs_f64()
    )]
    NeverArrived {
        /// Where it was awaited.
        port: u16,
        /// For how long.
        waited: Duration,
    },
    /// The client could not be reached.
    #[error("cannot connect to {target}: {reason}; use passive mode")]
    ConnectFailed {
        /// The address that PORT or EPRT named.
        target: SocketAddr,
        /// What happened.
        reason: ConnectFailure,
    },
    /// The listener broke.
    #[error("cannot accept a data connection: {0}")]
    Accept(#[source] io::Error),
}

/// Why a client could not be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectFailure {
    /// Nobody listens there, or a firewall says so.
    #[error("connection refused")]
    Refused,
    /// No answer; the usual sign of a firewall on the client's side.
    #[error("no answer within {} s, a firewall may be in between", .0.as_secs_f64())]
    TimedOut(Duration),
    /// No way there.
    #[error("address not reachable")]
    Unreachable,
    /// Anything else.
    #[error("{0}")]
    Other(#[source] io::Error),
}

impl OpenError {
    /// What the client is told: 425 in every case.
    pub(crate) fn reply(&self) -> Reply {
        let text = match self {
            OpenError::Accept(_) => "cannot accept a data connection".to_owned(),
            OpenError::ConnectFailed { target, reason: ConnectFailure::Other(_) } => {
                format!("cannot connect to {target}; use passive mode")
            }
            _ => self.to_string(),
        };
        Reply::new(Code::CANNOT_OPEN_DATA, sentence(&text))
    }
}

/// A message as a sentence of a reply.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

#[cfg(test)]
mod tests;
