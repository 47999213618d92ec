//! A connection with or without TLS, as one type.

use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::CloseNotify;
use super::records::Records;
use super::tickets::Tickets;
use crate::net::tcp::Tcp;
use crate::net::{Sealed, Stream};

/// A connection, control or data.
pub(crate) enum Channel<S> {
    /// In clear text.
    Clear(S),
    /// In clear text, of which some has been read already.
    Peeked(Box<Peeked<S>>),
    /// Under TLS; boxed, for clear sessions to stay small.
    Tls(Box<Secured<S>>),
    /// Being exchanged for another; ended to whoever asks.
    Gone,
}

/// A connection whose first octets have been read.
pub(crate) struct Peeked<S> {
    io: S,
    first: Vec<u8>,
}

/// A connection under TLS.
pub(crate) struct Secured<S> {
    stream: TlsStream<Records<S>>,
    close_notify: CloseNotify,
    /// Set when the peer ended it without close_notify: what it sent may have been cut off.
    truncated: Arc<AtomicBool>,
}

/// Shakes hands, reading at most `read_bytes_max` octets at a time then and later. `truncated` is
/// set if the peer ends the connection without close_notify; with `tickets`, some can be issued
/// later.
///
/// # Errors
/// The handshake failed; the client has been told why, as far as TLS lets it know.
pub(crate) async fn accept<S: Stream>(
    io: S,
    config: Arc<ServerConfig>,
    read_bytes_max: usize,
    close_notify: CloseNotify,
    truncated: Arc<AtomicBool>,
    tickets: Option<Tickets>,
) -> io::Result<Channel<S>> {
    let records = Records::new(io, read_bytes_max, tickets);
    match TlsAcceptor::from(config).accept(records).into_fallible().await {
        Ok(mut stream) => {
            let (records, connection) = stream.get_mut();
            records.begin(connection.negotiated_cipher_suite().map(|suite| suite.suite()));
            Ok(Channel::Tls(Box::new(Secured { stream, close_notify, truncated })))
        }
        Err((error, mut records)) => {
            // Behind the alert, so that it is not lost; whether that works changes nothing.
            let _ = records.shutdown().await;
            Err(error)
        }
    }
}

impl<S: Stream> Channel<S> {
    /// The connection in clear text, of which `first` has been read already.
    pub(crate) fn peeked(io: S, first: Vec<u8>) -> Channel<S> {
        match first.is_empty() {
            true => Channel::Clear(io),
            false => Channel::Peeked(Box::new(Peeked { io, first })),
        }
    }

    /// The TCP connection beneath, with or without TLS.
    pub(crate) fn beneath(&self) -> Option<&TcpStream> {
        match self {
            Channel::Clear(io) => io.tcp(),
            Channel::Peeked(peeked) => peeked.io.tcp(),
            Channel::Tls(secured) => secured.stream.get_ref().0.io().tcp(),
            Channel::Gone => None,
        }
    }

    /// The TLS of the connection.
    pub(crate) fn tls(&self) -> Option<&ServerConnection> {
        match self {
            Channel::Tls(secured) => Some(secured.stream.get_ref().1),
            _ => None,
        }
    }

    /// Puts a TLS 1.3 ticket before whatever is written next, where there are tickets.
    pub(crate) fn issue_ticket(&mut self) {
        if let Channel::Tls(secured) = self {
            secured.stream.get_mut().0.issue_ticket();
        }
    }

    /// The connection beneath. Octets that were read ahead are lost.
    pub(crate) fn into_io(self) -> Option<S> {
        match self {
            Channel::Clear(io) => Some(io),
            Channel::Peeked(peeked) => Some(peeked.io),
            Channel::Tls(secured) => Some(secured.stream.into_inner().0.into_parts().0),
            Channel::Gone => None,
        }
    }

    /// Ends TLS, by close_notify both ways, and not the connection. Returns what followed the
    /// peer's close_notify: the beginning of the clear text.
    ///
    /// # Errors
    /// The connection broke, or the peer went on under TLS.
    pub(crate) async fn end_tls(self) -> io::Result<(Channel<S>, Vec<u8>)> {
        let Channel::Tls(mut secured) = self else {
            return Ok((self, Vec::new()));
        };
        let stream = &mut secured.stream;
        stream.get_mut().1.send_close_notify();
        stream.flush().await?;
        if stream.read(&mut [0]).await? > 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (io, ahead) = secured.stream.into_inner().0.into_parts();
        Ok((Channel::Clear(io), ahead))
    }
}

impl<S: Stream> Stream for Channel<S> {
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Channel::Clear(io) => io.tcp(),
            _ => None,
        }
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Channel::Clear(io) => io.socket(),
            _ => None,
        }
    }

    fn move_here(&mut self) -> io::Result<()> {
        match self {
            Channel::Clear(io) => io.move_here(),
            Channel::Peeked(peeked) => peeked.io.move_here(),
            Channel::Tls(secured) => secured.stream.get_mut().0.io_mut().move_here(),
            Channel::Gone => Ok(()),
        }
    }

    fn into_tcp(self) -> Result<Tcp, Channel<S>> {
        match self {
            Channel::Clear(io) => io.into_tcp().map_err(Channel::Clear),
            channel => Err(channel),
        }
    }

    fn into_sealed(self) -> Result<Sealed, Channel<S>> {
        let Channel::Tls(secured) = self else { return Err(self) };
        if secured.stream.get_ref().0.io().tcp().is_none() {
            return Err(Channel::Tls(secured));
        }
        let Secured { stream, close_notify, truncated } = *secured;
        let (records, tls) = stream.into_inner();
        let (io, ahead) = records.into_parts();
        match io.into_tcp() {
            Ok(Tcp::Watched(tcp)) => {
                Ok(Sealed { tcp, tls: Box::new(tls), ahead, close_notify, truncated })
            }
            // Not a stream that says of itself that it is TCP.
            _ => Err(Channel::Gone),
        }
    }

    /// The client's close_notify may still be under way.
    fn into_rest(self) -> Option<Box<dyn AsyncRead + Send + Unpin>> {
        match self {
            Channel::Tls(_) => Some(Box::new(self.into_io()?)),
            _ => None,
        }
    }
}

impl<S: Stream> AsyncRead for Channel<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Channel::Clear(io) => Pin::new(io).poll_read(cx, buf),
            Channel::Peeked(peeked) if !peeked.first.is_empty() => {
                let length = peeked.first.len().min(buf.remaining());
                buf.put_slice(peeked.first.get(..length).unwrap_or_default());
                peeked.first.drain(..length);
                Poll::Ready(Ok(()))
            }
            Channel::Peeked(peeked) => Pin::new(&mut peeked.io).poll_read(cx, buf),
            Channel::Tls(secured) => secured.poll_read(cx, buf),
            Channel::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl<S: Stream> Secured<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            // rustls' word for an end of the connection before an end of TLS.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.truncated.store(true, Ordering::Relaxed);
                match self.close_notify {
                    CloseNotify::Lenient => Poll::Ready(Ok(())),
                    CloseNotify::Strict => Poll::Ready(Err(error)),
                }
            }
            read => read,
        }
    }
}

impl<S: Stream> AsyncWrite for Channel<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Channel::Clear(io) => Pin::new(io).poll_write(cx, data),
            Channel::Peeked(peeked) => Pin::new(&mut peeked.io).poll_write(cx, data),
            Channel::Tls(secured) => Pin::new(&mut secured.stream).poll_write(cx, data),
            Channel::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Channel::Clear(io) => Pin::new(io).poll_flush(cx),
            Channel::Peeked(peeked) => Pin::new(&mut peeked.io).poll_flush(cx),
            Channel::Tls(secured) => Pin::new(&mut secured.stream).poll_flush(cx),
            Channel::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Under TLS: close_notify, then the end of the connection's half.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Channel::Clear(io) => Pin::new(io).poll_shutdown(cx),
            Channel::Peeked(peeked) => Pin::new(&mut peeked.io).poll_shutdown(cx),
            Channel::Tls(secured) => Pin::new(&mut secured.stream).poll_shutdown(cx),
            Channel::Gone => Poll::Ready(Ok(())),
        }
    }
}
