//! The network in memory, so that whole sessions run in tests without sockets and in paused time.
//!
//! Connections behave like TCP where it matters to a session: bytes arrive in order, each direction
//! ends by itself, a full buffer makes the writer wait, and a connection can be
//! [reset](MemoryStream::reset). Unlike TCP, bytes that were never read do not turn a close into a
//! reset.
//!
//! What is *not* here: a control listener; a test makes a [pair](MemoryStream::pair) and hands one
//! end to the session.

mod stream;

pub use stream::MemoryStream;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{DataListener, Network};

/// The first of the ports given to listeners that leave the choice to the system.
const FIRST_FREE_PORT: u16 = 32768;

/// A network in memory. Clones are the same network.
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    places: HashMap<SocketAddr, Place>,
    names: HashMap<String, Vec<IpAddr>>,
}

/// What is at an address.
#[derive(Debug)]
enum Place {
    Listener(Arc<Queue>),
    /// Never answers, as behind a firewall.
    Silent,
}

/// Connections that wait to be accepted.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<VecDeque<(MemoryStream, SocketAddr)>>,
    arrived: Notify,
}

/// A listener in memory; dropping it frees its address and resets what it did not accept.
#[derive(Debug)]
pub struct MemoryListener {
    network: MemoryNetwork,
    address: SocketAddr,
    queue: Arc<Queue>,
}

impl MemoryNetwork {
    /// An empty network.
    pub fn new() -> MemoryNetwork {
        MemoryNetwork::default()
    }

    /// Connects as a client, from the address `from`, to a listener of the server.
    ///
    /// # Errors
    /// `ConnectionRefused` if nobody listens there.
    pub fn client_connect(&self, to: SocketAddr, from: SocketAddr) -> io::Result<MemoryStream> {
        let places = &lock(&self.shared).places;
        let Some(Place::Listener(queue)) = places.get(&to) else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let (ours, theirs) = MemoryStream::pair();
        lock(&queue.waiting).push_back((theirs, from));
        queue.arrived.notify_one();
        Ok(ours)
    }

    /// Listens as an active client.
    ///
    /// # Errors
    /// `AddrInUse` if somebody listens there.
    pub fn client_listen(&self, address: SocketAddr) -> io::Result<MemoryListener> {
        self.listen(address)
    }

    /// Makes an address swallow every attempt to connect, as a firewall does.
    pub fn silence(&self, address: SocketAddr) {
        lock(&self.shared).places.insert(address, Place::Silent);
    }

    /// Gives a name its addresses.
    pub fn set_name(&self, name: &str, addresses: Vec<IpAddr>) {
        lock(&self.shared).names.insert(name.to_owned(), addresses);
    }
}

impl Network for MemoryNetwork {
    type Stream = MemoryStream;
    type Listener = MemoryListener;

    fn listen(&self, mut address: SocketAddr) -> io::Result<MemoryListener> {
        let places = &mut lock(&self.shared).places;
        if address.port() == 0 {
            let mut free = (FIRST_FREE_PORT..=u16::MAX).map(|port| (address.ip(), port).into());
            address = free
                .find(|address| !places.contains_key(address))
                .ok_or(io::ErrorKind::AddrInUse)?;
        }
        if places.contains_key(&address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let queue = Arc::<Queue>::default();
        places.insert(address, Place::Listener(Arc::clone(&queue)));
        Ok(MemoryListener { network: self.clone(), address, queue })
    }

    async fn connect(&self, from: IpAddr, to: SocketAddr) -> io::Result<MemoryStream> {
        let silent = matches!(lock(&self.shared).places.get(&to), Some(Place::Silent));
        if silent {
            std::future::pending::<()>().await;
        }
        self.client_connect(to, SocketAddr::new(from, FIRST_FREE_PORT))
    }

    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        lock(&self.shared).names.get(name).cloned().ok_or(io::ErrorKind::NotFound.into())
    }
}

impl DataListener for MemoryListener {
    type Stream = MemoryStream;

    fn port(&self) -> u16 {
        self.address.port()
    }

    async fn accept(&self) -> io::Result<(MemoryStream, SocketAddr)> {
        loop {
            if let Some(accepted) = lock(&self.queue.waiting).pop_front() {
                return Ok(accepted);
            }
            self.queue.arrived.notified().await;
        }
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        lock(&self.network.shared).places.remove(&self.address);
        for (stream, _) in lock(&self.queue.waiting).drain(..) {
            stream.reset();
        }
    }
}

/// Nothing here leaves a value half changed, so a panic elsewhere does not make it wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
