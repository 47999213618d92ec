//! One end of a connection in memory.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::lock;
use crate::net::Stream;
use crate::net::tcp::Tcp;

/// Octets that a direction holds before its writer has to wait.
const CAPACITY: usize = 64 * 1024;

/// One end of a connection in memory. Dropping it ends both directions.
#[derive(Debug)]
pub struct MemoryStream {
    incoming: Arc<Mutex<Direction>>,
    outgoing: Arc<Mutex<Direction>>,
}

/// What flows one way.
#[derive(Debug, Default)]
struct Direction {
    buffer: VecDeque<u8>,
    state: State,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The writer has finished; what is in the buffer can still be read.
    Finished,
    /// The reader is gone.
    Abandoned,
    /// The connection was reset.
    Reset,
}

impl Direction {
    fn enter(&mut self, state: State) {
        if self.state != State::Reset {
            self.state = state;
        }
        self.wake_reader();
        self.wake_writer();
    }

    fn wake_reader(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn wake_writer(&mut self) {
        self.writer.take().into_iter().for_each(Waker::wake);
    }
}

impl MemoryStream {
    /// A connection: both its ends.
    pub fn pair() -> (MemoryStream, MemoryStream) {
        let [there, back] = [(), ()].map(|()| Arc::<Mutex<Direction>>::default());
        (
            MemoryStream { incoming: Arc::clone(&back), outgoing: Arc::clone(&there) },
            MemoryStream { incoming: there, outgoing: back },
        )
    }

    /// Breaks the connection: the other end gets `ConnectionReset`, and what was under way is lost.
    pub fn reset(self) {
        for direction in [&self.incoming, &self.outgoing] {
            let mut direction = lock(direction);
            direction.buffer.clear();
            direction.enter(State::Reset);
        }
    }
}

impl Stream for MemoryStream {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }

    fn into_tcp(self) -> Result<Tcp, MemoryStream> {
        Err(self)
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut direction = lock(&self.incoming);
        if direction.state == State::Reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if direction.buffer.is_empty() && direction.state == State::Open {
            direction.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = io::Read::read(&mut direction.buffer, buf.initialize_unfilled())?;
        buf.advance(length);
        direction.wake_writer();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut direction = lock(&self.outgoing);
        match direction.state {
            State::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            State::Finished | State::Abandoned => {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            State::Open => {}
        }
        let space = CAPACITY.saturating_sub(direction.buffer.len());
        if space == 0 && !data.is_empty() {
            direction.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = data.len().min(space);
        direction.buffer.extend(data.iter().take(length));
        direction.wake_reader();
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut direction = lock(&self.outgoing);
        if direction.state == State::Open {
            direction.enter(State::Finished);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        let mut outgoing = lock(&self.outgoing);
        if outgoing.state == State::Open {
            outgoing.enter(State::Finished);
        }
        drop(outgoing);
        let mut incoming = lock(&self.incoming);
        if incoming.state != State::Finished {
            incoming.enter(State::Abandoned);
        }
    }
}
