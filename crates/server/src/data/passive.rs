//! PASV and EPSV: the client connects to the server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::OpenError;
use crate::net::{DataListener, Network};
use crate::settings::{Advertised, Passive};
use crate::shared::Place;
use crate::time::within;

/// Ports tried before a range counts as used up. Smaller ranges are tried completely; of a larger
/// one, where a hundredth is free, a free port is missed once in 29,000 times.
const TRIES_MAX: u32 = 1024;

/// A port on which one data connection is awaited. Dropping it gives the port back.
pub(crate) struct PassiveListener<N: Network> {
    listener: N::Listener,
    /// Its place among the ports in use.
    _counted: Option<Place<Arc<str>>>,
}

/// No port to listen on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// All ports of the range are taken.
    #[error("all passive ports are in use")]
    Exhausted,
    /// The system refuses.
    #[error("cannot listen: {0}")]
    Io(#[from] io::Error),
}

/// Listens on a port of `ports` that nobody can foresee (RFC 2577, 8), on the address that the
/// client connected to. A range that includes port 0 leaves the choice to the system.
pub(crate) fn listen<N: Network>(
    network: &N,
    local: IpAddr,
    ports: &RangeInclusive<u16>,
) -> Result<PassiveListener<N>, ListenError> {
    let local = local.to_canonical();
    if *ports.start() == 0 {
        let listener = network.listen(SocketAddr::new(local, 0))?;
        return Ok(PassiveListener { listener, _counted: None });
    }
    for port in shuffled(ports)? {
        match network.listen(SocketAddr::new(local, port)) {
            Ok(listener) => return Ok(PassiveListener { listener, _counted: None }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ListenError::Exhausted)
}

/// The ports in a random order, each once, [`TRIES_MAX`] at most.
///
/// Steps of a random width that has no divisor in common with the number of ports lead through
/// all of them without a table.
fn shuffled(ports: &RangeInclusive<u16>) -> io::Result<impl Iterator<Item = u16> + use<>> {
    let first = *ports.start();
    let count = u32::from(ports.end().saturating_sub(first)) + u32::from(!ports.is_empty());
    let random = getrandom::u64()?;
    let [start, width] = [random >> 32, random & u64::from(u32::MAX)];
    let [start, width] = [start, width].map(|n| u32::try_from(n).unwrap_or(0) % count.max(1));
    let width = (width..).find(|&width| divisor(width, count) == 1).unwrap_or(1);
    let offsets = (0..count.min(TRIES_MAX)).map(move |n| {
        let steps = u64::from(n) * u64::from(width);
        (u64::from(start) + steps) % u64::from(count)
    });
    Ok(offsets.filter_map(move |offset| first.checked_add(offset.try_into().ok()?)))
}

/// The greatest common divisor.
fn divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl<N: Network> PassiveListener<N> {
    /// The port that the client is told.
    pub(crate) fn port(&self) -> u16 {
        self.listener.port()
    }

    /// The same, counted as long as it lives.
    pub(crate) fn counted(self, place: Option<Place<Arc<str>>>) -> PassiveListener<N> {
        PassiveListener { _counted: place, ..self }
    }

    /// Accepts the client within `limit` (zero is no limit) and nobody else.
    pub(super) async fn open(
        self,
        control_peer: IpAddr,
        peers: &[IpNet],
        limit: Duration,
    ) -> Result<N::Stream, OpenError> {
        match within(limit, self.accept(control_peer, peers)).await {
            Some(accepted) => accepted.map_err(OpenError::Accept),
            None => Err(OpenError::NeverArrived { port: self.port(), waited: limit }),
        }
    }

    async fn accept(&self, control_peer: IpAddr, peers: &[IpNet]) -> io::Result<N::Stream> {
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) if may_serve(control_peer, from.ip(), peers) => {
                    return Ok(stream);
                }
                Ok((_, from)) => {
                    tracing::info!(
                        stranger = %from, port = self.port(),
                        "closed a data connection from an address other than the client's"
                    );
                }
                // That connection is gone already; the next one may be the client's.
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether a data connection from `peer` may belong to the session of `control_peer`.
fn may_serve(control_peer: IpAddr, peer: IpAddr, peers: &[IpNet]) -> bool {
    let (control, data) = (control_peer.to_canonical(), peer.to_canonical());
    let together = |network: &IpNet| network.contains(&control) && network.contains(&data);
    control == data || peers.iter().any(together)
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Which address clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    /// What PASV tells; `None` where only EPSV can help, because the client came over IPv6 or the
    /// address has no IPv4 form.
    pub(crate) ipv4: Option<Ipv4Addr>,
    /// Whether it is the address that the client connected to. EPSV promises that (RFC 2428, 3),
    /// so it has to be refused where it is not.
    pub(crate) is_local: bool,
}

/// The name that clients should be told has no address at the moment.
#[derive(Debug, thiserror::Error)]
#[error("no address for the passive address {name}: {source}")]
pub(crate) struct Unresolved {
    /// The name.
    name: Arc<str>,
    /// Why not.
    source: io::Error,
}

/// The address that `client` is told, who connected to `local`: by the first rule that fits, or
/// the general one.
pub(crate) async fn announced<N: Network>(
    network: &N,
    passive: &Passive,
    client: IpAddr,
    local: IpAddr,
) -> Result<Announced, Unresolved> {
    let (client, local) = (client.to_canonical(), local.to_canonical());
    let rule = passive.rules.iter().find(|(from, _)| from.contains(&client));
    let candidates = match rule.map_or(&passive.address, |(_, address)| address) {
        Advertised::Local => vec![local],
        Advertised::Fixed(address) => vec![address.to_canonical()],
        Advertised::Name(name) => addresses(network, name).await?,
    };
    Ok(choose(&candidates, local))
}

async fn addresses<N: Network>(network: &N, name: &Arc<str>) -> Result<Vec<IpAddr>, Unresolved> {
    let failed = |source| Unresolved { name: Arc::clone(name), source };
    let found = network.resolve(name).await.map_err(failed)?;
    if found.is_empty() {
        return Err(failed(io::ErrorKind::NotFound.into()));
    }
    Ok(found)
}

fn choose(candidates: &[IpAddr], local: IpAddr) -> Announced {
    let is_local = candidates.contains(&local);
    let ipv4 = match local {
        IpAddr::V4(address) if is_local => Some(address),
        IpAddr::V4(_) => candidates.iter().find_map(|candidate| match candidate {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        }),
        IpAddr::V6(_) => None,
    };
    Announced { ipv4, is_local }
}
