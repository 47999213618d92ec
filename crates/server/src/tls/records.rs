//! Reads whole TLS records from a connection, and not one octet beyond.
//!
//! rustls takes whatever it is given. It is given one record at a time, so that what follows the
//! record that ends TLS stays here and can go on as clear text. The buffer also lets data
//! connections read in large pieces, while rustls asks for small ones.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use rustls::CipherSuite;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::tickets::{Numbered, Outbound, Tickets};

/// Octets read at a time at first; buffers of that size are not kept while nothing arrives.
const READ_BYTES_MIN: usize = 4 * 1024;

/// Octets before a record's content: type, version, length.
const HEADER_BYTES: usize = 5;

/// Octets that may wait to be written before rustls has to wait.
const WAITING_BYTES_MAX: usize = 32 * 1024;

/// A connection that hands out record after record.
pub(crate) struct Records<S> {
    io: S,
    buffer: Vec<u8>,
    /// Octets of `buffer` that were handed out.
    taken: usize,
    /// Octets of the current record that were not handed out yet.
    left: usize,
    /// Octets to read at a time: grows while reads fill it.
    read_bytes: usize,
    read_bytes_max: usize,
    ended: bool,
    outbound: Outbound,
}

impl<S: AsyncRead + Unpin> Records<S> {
    /// Over `io`, with reads of at most that many octets; with what it takes to send tickets later,
    /// if any are to be sent.
    pub(super) fn new(io: S, read_bytes_max: usize, tickets: Option<Tickets>) -> Records<S> {
        Records {
            outbound: tickets.map_or(Outbound::AsItIs, Outbound::watching),
            io,
            buffer: Vec::new(),
            taken: 0,
            left: 0,
            read_bytes: READ_BYTES_MIN,
            read_bytes_max,
            ended: false,
        }
    }

    /// The connection.
    pub(super) fn io(&self) -> &S {
        &self.io
    }

    /// The same, to be changed.
    pub(super) fn io_mut(&mut self) -> &mut S {
        &mut self.io
    }

    /// The connection, and what was read from it and not handed out.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        let Records { io, mut buffer, taken, .. } = self;
        buffer.drain(..taken.min(buffer.len()));
        (io, buffer)
    }

    /// The handshake is over, with that cipher suite.
    pub(super) fn begin(&mut self, suite: Option<CipherSuite>) {
        self.outbound.begin(suite);
    }

    /// Puts a ticket before whatever is written next, where there are tickets.
    pub(super) fn issue_ticket(&mut self) {
        if let Outbound::Numbered(numbered) = &mut self.outbound {
            // Without one the client shakes hands in full.
            let _ = numbered.issue();
        }
    }

    fn waiting(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    /// How much may be handed out now; nothing if a header is not complete.
    fn ready(&mut self) -> usize {
        if self.left == 0 {
            self.left = match *self.waiting() {
                [_, _, _, high, low, ..] => {
                    HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]))
                }
                // What ends within a header is no record; whoever reads it will say so.
                ref rest if self.ended => rest.len(),
                _ => 0,
            };
        }
        self.left.min(self.waiting().len())
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.reserve(self.read_bytes);
        // Nothing is lost when that future is dropped.
        let read = pin!(self.io.read_buf(&mut self.buffer)).poll(cx);
        if read.is_pending() && self.buffer.is_empty() && self.read_bytes == READ_BYTES_MIN {
            self.buffer = Vec::new();
        }
        let length = ready!(read)?;
        self.ended = length == 0;
        if length >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 4).min(self.read_bytes_max);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Records<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut ready = this.ready();
        while ready == 0 && !this.ended {
            ready!(this.poll_fill(cx))?;
            ready = this.ready();
        }
        let length = ready.min(buf.remaining());
        buf.put_slice(this.waiting().get(..length).unwrap_or_default());
        this.taken += length;
        this.left -= length;
        if this.waiting().is_empty() {
            this.buffer.clear();
            this.taken = 0;
            if this.read_bytes == READ_BYTES_MIN {
                this.buffer = Vec::new();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Records<S> {
    /// Takes pieces of which the octets count that are taken, from the first on.
    fn poll_write_pieces(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Outbound::Numbered(numbered) = &mut self.outbound else {
            let length = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, pieces))?;
            let mut left = length;
            for piece in pieces {
                let (taken, _) = piece.split_at(left.min(piece.len()));
                self.outbound.note(taken);
                left -= taken.len();
            }
            return Poll::Ready(Ok(length));
        };
        if numbered.ready().len() >= WAITING_BYTES_MAX {
            ready!(poll_drain(&mut self.io, numbered, cx))?;
        }
        for piece in pieces {
            numbered.push(piece).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        }
        if let Poll::Ready(Err(error)) = poll_drain(&mut self.io, numbered, cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.outbound {
            Outbound::Numbered(numbered) => poll_drain(&mut self.io, numbered, cx),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// Writes all that is ready to be written.
fn poll_drain<S: AsyncWrite + Unpin>(
    io: &mut S,
    numbered: &mut Numbered,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let ready = numbered.ready();
    while !ready.is_empty() {
        match ready!(Pin::new(&mut *io).poll_write(cx, ready))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            length => drop(ready.drain(..length)),
        }
    }
    // Nothing is held while nothing moves.
    *ready = Vec::new();
    Poll::Ready(Ok(()))
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Records<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_pieces(cx, &[io::IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_pieces(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
