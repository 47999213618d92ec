//! The network as sessions use it, so that the same session runs over TCP and over memory.

pub mod memory;
pub mod tcp;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::tls::CloseNotify;
use tcp::Tcp;

/// A connection: control or data.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static {
    /// The TCP connection beneath, where the runtime waits for it.
    fn tcp(&self) -> Option<&TcpStream>;

    /// The socket of the TCP connection beneath, whether or not the runtime waits for it.
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.tcp().map(AsFd::as_fd)
    }

    /// Has the runtime that this is called in wait for it, instead of the one that has so far.
    ///
    /// # Errors
    /// There are no more descriptors for the reactor; the connection is gone.
    fn move_here(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The TCP connection itself, where there is nothing else to this stream.
    ///
    /// # Errors
    /// Gives the stream back.
    fn into_tcp(self) -> Result<Tcp, Self>
    where
        Self: Sized;

    /// The TCP connection and the TLS over it, where there is nothing else to this stream.
    ///
    /// # Errors
    /// Gives the stream back.
    fn into_sealed(self) -> Result<Sealed, Self>
    where
        Self: Sized,
    {
        Err(self)
    }

    /// What is to be read to its end in the background once our half is ended: closed earlier, the
    /// connection would be reset, and what the other end has not read yet be lost.
    fn into_rest(self) -> Option<Box<dyn AsyncRead + Send + Unpin>>
    where
        Self: Sized,
    {
        None
    }
}

/// A TCP connection under TLS, taken apart.
#[derive(Debug)]
pub struct Sealed {
    pub(crate) tcp: TcpStream,
    pub(crate) tls: Box<ServerConnection>,
    /// What was read from the connection and TLS has not had yet.
    pub(crate) ahead: Vec<u8>,
    /// How an upload has to end.
    pub(crate) close_notify: CloseNotify,
    /// Set when it has not ended so.
    pub(crate) truncated: Arc<AtomicBool>,
}

/// A listener for one passive data connection.
pub trait DataListener: Send + Sync + 'static {
    /// What it accepts.
    type Stream: Stream;

    /// The port that clients connect to.
    fn port(&self) -> u16;

    /// Waits for the next connection; tells who connected. Safe to drop and call again.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

/// Opens connections.
pub trait Network: Send + Sync + 'static {
    /// The connections it opens.
    type Stream: Stream;
    /// The listeners it opens.
    type Listener: DataListener<Stream = Self::Stream>;

    /// Listens for data connections; port 0 leaves the choice to the system.
    ///
    /// # Errors
    /// `AddrInUse` where another listener has the port.
    fn listen(&self, address: SocketAddr) -> io::Result<Self::Listener>;

    /// Connects from the address `from` to an active client.
    fn connect(
        &self,
        from: IpAddr,
        to: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// The addresses that a name stands for.
    fn resolve(&self, name: &str) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send;
}
