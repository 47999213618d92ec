//! A TCP connection that the reactor need not know.

use std::io::{self, IoSlice};
use std::net;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::net::Stream;

/// A TCP connection, watched by the reactor from the moment that somebody waits for it.
#[derive(Debug)]
pub enum Tcp {
    /// The reactor tells when there is something to do.
    Watched(TcpStream),
    /// The reactor does not know it; it does not block.
    Unwatched(net::TcpStream),
    /// The reactor would not have it: closed.
    Gone,
}

impl Tcp {
    /// The connection as the reactor watches it, from now on if it has not so far.
    ///
    /// # Errors
    /// There are no more descriptors for the reactor; the connection is gone.
    pub fn watched(&mut self) -> io::Result<&mut TcpStream> {
        if let Tcp::Unwatched(_) = self
            && let Tcp::Unwatched(stream) = std::mem::replace(self, Tcp::Gone)
        {
            *self = Tcp::Watched(TcpStream::from_std(stream)?);
        }
        match self {
            Tcp::Watched(stream) => Ok(stream),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The connection without a reactor.
    ///
    /// # Errors
    /// It is gone.
    pub fn into_unwatched(self) -> io::Result<net::TcpStream> {
        match self {
            Tcp::Watched(stream) => stream.into_std(),
            Tcp::Unwatched(stream) => Ok(stream),
            Tcp::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl From<TcpStream> for Tcp {
    fn from(stream: TcpStream) -> Tcp {
        Tcp::Watched(stream)
    }
}

impl Stream for Tcp {
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Tcp::Watched(stream) => Some(stream),
            _ => None,
        }
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Tcp::Watched(stream) => Some(stream.as_fd()),
            Tcp::Unwatched(stream) => Some(stream.as_fd()),
            Tcp::Gone => None,
        }
    }

    fn move_here(&mut self) -> io::Result<()> {
        if let Tcp::Watched(_) = self {
            *self = Tcp::Unwatched(std::mem::replace(self, Tcp::Gone).into_unwatched()?);
        }
        self.watched().map(drop)
    }

    fn into_tcp(self) -> Result<Tcp, Tcp> {
        Ok(self)
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.watched()?).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.watched()?).poll_write(cx, data)
    }

    // TLS writes its records together: one by one, each but the first of a handshake would wait for
    // the client's delayed acknowledgement of the one before (RFC 896, RFC 1122 section 4.2.3.2).
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.watched()?).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.watched()?).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.watched()?).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn pieces_are_written_together() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        client.set_nonblocking(true).unwrap();
        server.set_nonblocking(true).unwrap();
        let mut tcp = Tcp::Unwatched(server);
        assert!(tcp.is_write_vectored());
        let pieces = [IoSlice::new(b"one "), IoSlice::new(b"two")];
        assert_eq!(tcp.write_vectored(&pieces).await.unwrap(), 7);
        drop(tcp);
        let mut all = String::new();
        Tcp::Unwatched(client).read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "one two");
    }
}
