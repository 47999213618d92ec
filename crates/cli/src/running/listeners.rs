//! The listeners: bound once, kept while the configuration names them.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use waft_config::{Listener, Origin};
use waft_server::net::tcp::TcpNetwork;
use waft_server::tls::Tls;
use waft_server::{Listening, Server};

use crate::assemble;

/// Connections that may wait to be accepted: all devices of a site reconnect at once after an
/// outage. The system cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: cannot listen on {address}: {}\n  remedy: {}", self.reason(), self.remedy())]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Where it was written.
    pub origin: Origin,
    /// What the system says.
    pub source: io::Error,
}

/// The listeners of one server, in the order of the configuration.
pub(super) struct Listeners {
    open: Vec<Open>,
}

/// A bound listener.
struct Open {
    /// The address as it was configured: the port may be 0.
    wanted: SocketAddr,
    families: Families,
    name: Arc<str>,
    socket: TcpListener,
    address: SocketAddr,
    listening: Option<Listening>,
    tls: Option<Arc<Tls>>,
}

/// Whose connections a listener takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Families {
    /// Those of its address's family.
    Own,
    /// Those of IPv4, too.
    Both,
}

impl Families {
    /// `[::]` stands for all addresses, IPv4 included, unless another listener has the port there:
    /// so `[::]:21` alone is enough, and `0.0.0.0:21` beside it is fine.
    fn of(listener: &Listener, all: &[Listener]) -> Self {
        let address = listener.address;
        let taken = |other: &Listener| {
            other.address.is_ipv4() && other.address.port() == address.port() && address.port() != 0
        };
        match address.is_ipv6() && address.ip().is_unspecified() && !all.iter().any(taken) {
            true => Self::Both,
            false => Self::Own,
        }
    }
}

impl Listeners {
    /// Binds what can be bound; the rest comes back as errors. Clients can connect, and wait.
    pub(super) fn bind(wanted: &[Listener]) -> (Self, Vec<BindError>) {
        let (mut open, mut failed) = (Vec::with_capacity(wanted.len()), Vec::new());
        for listener in wanted {
            match Open::bind(listener, Families::of(listener, wanted)) {
                Ok(listener) => open.push(listener),
                Err(error) => failed.push(error),
            }
        }
        (Self { open }, failed)
    }

    /// Accepts sessions on all of them: `wanted` is what they were bound for.
    ///
    /// # Errors
    ///
    /// The system refuses to hand a socket over.
    pub(super) fn accept(
        &mut self,
        wanted: &[Listener],
        tls: Option<&assemble::Tls>,
        server: &Arc<Server<TcpNetwork>>,
    ) -> io::Result<()> {
        let mut both = self.open.iter_mut().zip(wanted);
        both.try_for_each(|(open, listener)| open.accept(listener, tls, server))
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.open.iter().map(|listener| listener.address).collect()
    }

    /// Closes what is no longer wanted, binds what is new, and leaves alone what stays. Returns
    /// what could not be bound.
    pub(super) fn go_by(
        &mut self,
        wanted: &[Listener],
        tls: Option<&assemble::Tls>,
        server: &Arc<Server<TcpNetwork>>,
    ) -> Vec<BindError> {
        let mut before: Vec<Open> = std::mem::take(&mut self.open);
        let mut kept: Vec<Option<Open>> = wanted
            .iter()
            .map(|listener| {
                let wanted = (listener.address, Families::of(listener, wanted));
                let found = before.iter().position(|o| (o.wanted, o.families) == wanted)?;
                Some(before.remove(found))
            })
            .collect();
        // First, for a new one may want the port of an old one, on other addresses.
        for closed in before {
            tracing::info!(address = %closed.address, listener = %closed.name, "listener closed");
        }
        let mut failed = Vec::new();
        for (listener, kept) in wanted.iter().zip(&mut kept) {
            let open = match kept.take() {
                Some(open) if open.goes_by(listener, tls) => Ok(open),
                Some(open) => open.changed(listener, tls, server),
                None => Open::bind(listener, Families::of(listener, wanted))
                    .and_then(|open| open.accepting(listener, tls, server)),
            };
            match open {
                Ok(open) => self.open.push(open),
                Err(error) => failed.push(error),
            }
        }
        failed
    }
}

impl Open {
    fn bind(listener: &Listener, families: Families) -> Result<Self, BindError> {
        let socket =
            socket(listener.address, families).map_err(|source| BindError::of(listener, source))?;
        let address = socket.local_addr().map_err(|source| BindError::of(listener, source))?;
        let name = Arc::from(listener.name.as_str());
        let wanted = listener.address;
        Ok(Self { wanted, families, name, socket, address, listening: None, tls: None })
    }

    fn accept(
        &mut self,
        listener: &Listener,
        tls: Option<&assemble::Tls>,
        server: &Arc<Server<TcpNetwork>>,
    ) -> io::Result<()> {
        let socket = tokio::net::TcpListener::from_std(self.socket.try_clone()?)?;
        let settings = tls.and_then(|tls| tls.settings(listener));
        let tls = settings.map(Tls::new).transpose().map_err(io::Error::other)?;
        self.tls = tls.map(Arc::new);
        let (name, tls) = (Arc::clone(&self.name), self.tls.clone());
        self.listening = Some(server.listen(socket, waft_server::Listener { name, tls })?);
        Ok(())
    }

    /// Whether it can go on as it is, with other certificates at most, which it then has.
    fn goes_by(&self, listener: &Listener, tls: Option<&assemble::Tls>) -> bool {
        let settings = tls.and_then(|tls| tls.settings(listener));
        *self.name == *listener.name
            && match (&self.tls, settings) {
                (None, None) => true,
                (Some(tls), Some(settings)) => tls.exchange(settings).is_ok(),
                _ => false,
            }
    }

    fn accepting(
        mut self,
        listener: &Listener,
        tls: Option<&assemble::Tls>,
        server: &Arc<Server<TcpNetwork>>,
    ) -> Result<Self, BindError> {
        self.accept(listener, tls, server).map_err(|source| BindError::of(listener, source))?;
        Ok(self)
    }

    /// Goes on under another name, or with TLS or without, on the same socket: no client is turned
    /// away meanwhile.
    fn changed(
        mut self,
        listener: &Listener,
        tls: Option<&assemble::Tls>,
        server: &Arc<Server<TcpNetwork>>,
    ) -> Result<Self, BindError> {
        self.name = Arc::from(listener.name.as_str());
        self.accepting(listener, tls, server)
    }
}

/// The task that accepts ends when it gets to it; the port must be free at once, for whoever binds
/// it next.
impl Drop for Open {
    fn drop(&mut self) {
        self.listening = None;
        // Fails only where it does not listen any more.
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Both);
    }
}

/// Binds a socket that has nothing to do with the listeners: `[::]` stands for all addresses.
pub(super) fn alone(address: SocketAddr) -> io::Result<TcpListener> {
    match address.is_ipv6() && address.ip().is_unspecified() {
        true => socket(address, Families::Both),
        false => socket(address, Families::Own),
    }
}

/// Binds a listener, whatever the system's default for IPv4 over IPv6 is.
fn socket(address: SocketAddr, families: Families) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Else a restart would have to wait for the connections of the run before.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(families == Families::Own)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl BindError {
    fn of(listener: &Listener, source: io::Error) -> Self {
        Self { address: listener.address, origin: listener.origin.clone(), source }
    }

    fn reason(&self) -> String {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => "the address is in use".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            io::ErrorKind::AddrNotAvailable => "this machine does not have the address".to_owned(),
            _ => self.source.to_string(),
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        let port = self.address.port();
        match self.source.kind() {
            io::ErrorKind::AddrInUse => {
                format!("stop who listens there (see: ss -ltnp sport = :{port}), or take another")
            }
            io::ErrorKind::PermissionDenied if port < 1024 => {
                let program = std::env::current_exe().unwrap_or_else(|_| "waft".into());
                let program = program.display();
                format!(
                    "let waft have low ports: setcap cap_net_bind_service=+ep {program}; or start \
                     it as root with run_as in [server]; or take a port from 1024 on"
                )
            }
            io::ErrorKind::AddrNotAvailable => {
                "take one of this machine (see: ip address), or 0.0.0.0 for all of them".to_owned()
            }
            _ => "take another address".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn listener(address: &str) -> Listener {
        let text = format!("[[listener]]\naddress = \"{address}\"\ntls = \"off\"\n");
        let (config, _) = waft_config::Config::from_text("waft.toml".as_ref(), &text).unwrap();
        config.listeners.into_iter().next().unwrap()
    }

    #[test]
    fn every_reason_comes_with_its_remedy() {
        let told = |port: u16, kind: io::ErrorKind| {
            let listener = listener(&format!("192.0.2.1:{port}"));
            BindError::of(&listener, kind.into()).to_string()
        };
        let start = "waft.toml:1:1: cannot listen on 192.0.2.1:";
        let low = told(21, io::ErrorKind::PermissionDenied);
        assert!(low.starts_with(&format!("{start}21: permission denied\n  remedy: ")), "{low}");
        assert!(low.contains("setcap cap_net_bind_service=+ep /"), "{low}");
        let high = told(2121, io::ErrorKind::PermissionDenied);
        assert_eq!(high, format!("{start}2121: permission denied\n  remedy: take another address"));
        assert!(told(2121, io::ErrorKind::AddrInUse).contains("ss -ltnp sport = :2121"));
        assert!(told(2121, io::ErrorKind::AddrNotAvailable).contains("0.0.0.0"));
    }

    #[test]
    fn what_can_be_bound_is_bound_although_something_else_cannot() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = [
            listener("127.0.0.1:0"),
            listener(&taken.local_addr().unwrap().to_string()),
            listener("127.0.0.1:0"),
        ];
        let (listeners, failed) = Listeners::bind(&wanted);
        assert_eq!(listeners.addresses().len(), 2);
        let [failed] = failed.try_into().unwrap();
        assert_eq!(failed.address, taken.local_addr().unwrap());
    }

    #[test]
    fn all_addresses_of_ipv6_are_those_of_ipv4_too_unless_they_have_a_listener_of_their_own() {
        let wanted = [listener("[::]:0")];
        let (alone, failed) = Listeners::bind(&wanted);
        assert!(failed.is_empty(), "{failed:?}");
        let port = alone.addresses()[0].port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        TcpStream::connect(("::1", port)).unwrap();
        drop(alone);

        let wanted = [listener(&format!("[::]:{port}")), listener(&format!("0.0.0.0:{port}"))];
        let (both, failed) = Listeners::bind(&wanted);
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!(both.addresses(), [wanted[0].address, wanted[1].address]);
    }
}
