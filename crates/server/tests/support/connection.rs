//! One end of a connection as a client has it: reading with patience.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

/// A connection and what was read ahead.
pub struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
    patience: Duration,
}

/// What a client reads, or why it does not.
pub type Read<T> = Result<T, String>;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn new(stream: S, patience: Duration) -> Connection<S> {
        Connection { stream, buffer: Vec::new(), patience }
    }

    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    pub fn into_stream(self) -> S {
        self.stream
    }

    pub async fn send(&mut self, octets: &[u8]) -> Read<()> {
        let sending = timeout(self.patience, self.stream.write_all(octets)).await;
        sending.map_err(|_| "the server does not read".to_owned())?.map_err(told)
    }

    pub async fn shutdown(&mut self) -> Read<()> {
        self.stream.shutdown().await.map_err(told)
    }

    /// The next line, its CRLF removed.
    pub async fn line(&mut self) -> Read<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.iter().position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=at).collect();
                line.pop();
                return match line.pop() {
                    Some(b'\r') => Ok(line),
                    _ => Err("a line that does not end with CRLF".to_owned()),
                };
            }
            if self.fill().await? == 0 {
                return Err("the end of the connection".to_owned());
            }
        }
    }

    /// As many octets, or as many as there are.
    pub async fn octets(&mut self, length: usize) -> Read<Vec<u8>> {
        while self.buffer.len() < length && self.fill().await? > 0 {}
        let length = length.min(self.buffer.len());
        Ok(self.buffer.drain(..length).collect())
    }

    /// Everything up to the end.
    pub async fn rest(&mut self) -> Read<Vec<u8>> {
        while self.fill().await? > 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Waits for the end, in order or not, whatever comes before.
    pub async fn gone(&mut self) -> Read<()> {
        loop {
            self.buffer.clear();
            match timeout(self.patience, self.stream.read_buf(&mut self.buffer)).await {
                Err(_) => return Err("nothing, and the connection is still there".to_owned()),
                Ok(Ok(0) | Err(_)) => return Ok(()),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Whether the connection has ended by now, and everything was read.
    pub async fn has_ended(&mut self) -> Read<bool> {
        let mut octet = [0];
        let mut space = ReadBuf::new(&mut octet);
        let reading = poll_fn(|cx| {
            Poll::Ready(match Pin::new(&mut self.stream).poll_read(cx, &mut space) {
                Poll::Pending => Ok(false),
                Poll::Ready(result) => result.map(|()| true),
            })
        });
        let ready = reading.await.map_err(told)?;
        Ok(ready && space.filled().is_empty() && self.buffer.is_empty())
    }

    async fn fill(&mut self) -> Read<usize> {
        match timeout(self.patience, self.stream.read_buf(&mut self.buffer)).await {
            Ok(read) => read.map_err(told),
            Err(_) => Err("nothing, however long it waits".to_owned()),
        }
    }
}

fn told(error: io::Error) -> String {
    format!("an error: {error}")
}
