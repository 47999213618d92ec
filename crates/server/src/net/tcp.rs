//! The network over TCP.
//!
//! Data connections are opened without `TCP_NODELAY`: what goes over them are whole buffers, and
//! the end of the stream pushes out the rest at once. The pump corks them where that wins.
//!
//! The reactor hears of a listener for a data connection only if the client is not there yet when
//! the transfer begins, and of the connection only when somebody has to wait for it: most clients
//! are there, a small file is sent or has arrived at once, and both would only cost calls and wake
//! their session's thread for nothing.

mod connection;

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, acceptfrom_with, bind, ipproto, socket_with, sockopt,
};
use tokio::net::{TcpListener, TcpSocket};

use super::{DataListener, Network};
pub use connection::Tcp;

/// Connections that may wait to be accepted at a passive port: the client's, and strangers that
/// would otherwise keep it out.
const BACKLOG: i32 = 128;

/// How sockets are made: none waits, and no other program inherits one.
const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// TCP, by the system's sockets. Needs a tokio runtime with IO.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpNetwork;

/// A listener for one passive data connection.
#[derive(Debug)]
pub struct TcpDataListener {
    listener: std::net::TcpListener,
    port: u16,
}

impl DataListener for TcpDataListener {
    type Stream = Tcp;

    fn port(&self) -> u16 {
        self.port
    }

    async fn accept(&self) -> io::Result<(Tcp, SocketAddr)> {
        match accept_now(&self.listener) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let listener = TcpListener::from_std(self.listener.try_clone()?)?;
                let (stream, peer) = listener.accept().await?;
                Ok((Tcp::Watched(stream), peer))
            }
            accepted => {
                let (stream, peer) = accepted?;
                Ok((Tcp::Unwatched(stream), peer))
            }
        }
    }
}

impl Network for TcpNetwork {
    type Stream = Tcp;
    type Listener = TcpDataListener;

    fn listen(&self, address: SocketAddr) -> io::Result<TcpDataListener> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = socket_with(family, SocketType::STREAM, FLAGS, Some(ipproto::TCP))?;
        if address.port() != 0 {
            // Else every download would block its passive port for the minute of TIME_WAIT.
            sockopt::set_socket_reuseaddr(&socket, true)?;
        }
        if address.is_ipv6() && address.ip().is_unspecified() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        let listener = std::net::TcpListener::from(socket);
        let port = match address.port() {
            0 => listener.local_addr()?.port(),
            port => port,
        };
        Ok(TcpDataListener { listener, port })
    }

    async fn connect(&self, from: IpAddr, to: SocketAddr) -> io::Result<Tcp> {
        let socket = socket_for(to)?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(from, 0))?;
        socket.connect(to).await.map(Tcp::Watched)
    }

    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// Accepts a connection that is there already, without telling any reactor of it.
///
/// # Errors
/// `WouldBlock` where there is none.
pub(crate) fn accept_now(
    listener: &std::net::TcpListener,
) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    let (socket, peer) = acceptfrom_with(listener, FLAGS)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((OwnedFd::into(socket), peer))
}

fn socket_for(address: SocketAddr) -> io::Result<TcpSocket> {
    match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_port_can_be_listened_on_again_right_after_a_transfer() {
        let free = TcpNetwork.listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap().port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free));
        let listener = TcpNetwork.listen(address).unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        // The server closes first: its end of the connection stays in TIME_WAIT.
        drop((listener, server));
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        drop(client);
        let again = TcpNetwork.listen(address).unwrap();
        let busy = TcpNetwork.listen(address).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(again.port(), address.port());
    }

    #[tokio::test]
    async fn any_ipv6_address_is_no_ipv4_address() {
        let listener = TcpNetwork.listen((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
        TcpStream::connect((Ipv6Addr::LOCALHOST, listener.port())).await.unwrap();
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, listener.port())).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn names_are_resolved_and_addresses_are_their_own_names() {
        let localhost = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert_eq!(TcpNetwork.resolve("127.0.0.1").await.unwrap(), [localhost]);
        assert!(TcpNetwork.resolve("localhost").await.unwrap().contains(&localhost));
    }
}
