//! PORT and EPRT: the server connects to the client.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use waft_proto::{Code, Reply};

use super::{ConnectFailure, OpenError};
use crate::net::Network;
use crate::settings::Active;
use crate::time::within;

/// Where the client listens, checked by [`active_target`]; nothing is connected yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActiveTarget {
    /// Where to.
    to: SocketAddr,
    /// The address that the client knows us by.
    from: IpAddr,
}

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Active mode is off for this client: 502.
    Disabled,
    /// Not the address of the control connection (RFC 2577, 3): 501.
    OtherAddress,
    /// A port below 1024 (RFC 2577, 3): 504.
    LowPort,
}

impl Refused {
    /// What the client is told.
    pub(crate) fn reply(self) -> Reply {
        match self {
            Refused::Disabled => Reply::new(
                Code::NOT_IMPLEMENTED,
                "Active mode is switched off here: use PASV or EPSV.",
            ),
            Refused::OtherAddress => Reply::new(
                Code::BAD_PARAMETER,
                "The address must be that of the control connection.",
            ),
            Refused::LowPort => Reply::new(Code::BAD_VALUE, "Ports below 1024 are refused."),
        }
    }
}

/// Checks the address that PORT or EPRT named against the client's own.
///
/// `local` is the server's end of the control connection: clients and the firewalls before them
/// expect the data connection to come from there.
pub(crate) fn active_target(
    argument: SocketAddr,
    control_peer: IpAddr,
    local: IpAddr,
    active: &Active,
) -> Result<ActiveTarget, Refused> {
    let peer = control_peer.to_canonical();
    if !active.allows(peer) {
        return Err(Refused::Disabled);
    }
    if argument.ip().to_canonical() != peer {
        return Err(Refused::OtherAddress);
    }
    if argument.port() < 1024 {
        return Err(Refused::LowPort);
    }
    Ok(ActiveTarget { to: SocketAddr::new(peer, argument.port()), from: local.to_canonical() })
}

impl ActiveTarget {
    /// Connects within `limit`; zero is no limit.
    pub(super) async fn open<N: Network>(
        self,
        network: &N,
        limit: Duration,
    ) -> Result<N::Stream, OpenError> {
        let reason = match within(limit, network.connect(self.from, self.to)).await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => failure(error, limit),
            None => ConnectFailure::TimedOut(limit),
        };
        Err(OpenError::ConnectFailed { target: self.to, reason })
    }
}

fn failure(error: io::Error, limit: Duration) -> ConnectFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectFailure::Refused,
        io::ErrorKind::TimedOut => ConnectFailure::TimedOut(limit),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ConnectFailure::Unreachable
        }
        _ => ConnectFailure::Other(error),
    }
}
