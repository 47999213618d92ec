//! One end of a connection as a client has it: reading with patience.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::text::quoted;
use super::tls::Tls;

/// How long a client waits for what has to come, by the scenario's clock, which goes on as every
/// other.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What carries octets both ways.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection and what was read ahead.
pub(super) struct Connection {
    stream: Box<dyn Transport>,
    buffer: Vec<u8>,
    /// Where the client is.
    pub(super) address: IpAddr,
    /// Whether a line of it was looked at, such as a greeting.
    pub(super) has_spoken: bool,
}

impl Connection {
    pub(super) fn new(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        address: IpAddr,
    ) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new(), address, has_spoken: false }
    }

    /// Begins TLS.
    pub(super) async fn secured(self, tls: &Tls) -> Result<Self, String> {
        if !self.buffer.is_empty() {
            return Err(format!("in clear text: {}", quoted(&self.buffer)));
        }
        let shaking = timeout(PATIENCE, tls.shake_hands(self.stream)).await;
        let stream = shaking.map_err(|_| nothing(PATIENCE))?.map_err(told)?;
        Ok(Self { stream: Box::new(stream), ..self })
    }

    /// Says that nothing follows.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        let ending = timeout(PATIENCE, self.stream.shutdown()).await;
        ending.map_err(|_| nothing(PATIENCE))?.map_err(told)
    }

    pub(super) async fn send(&mut self, octets: &[u8]) -> Result<(), String> {
        let sending = timeout(PATIENCE, self.stream.write_all(octets)).await;
        sending.map_err(|_| "the server does not read".to_owned())?.map_err(told)
    }

    /// The next line, without its end; `None` at the end of the connection.
    pub(super) async fn line(&mut self, patience: Duration) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(at) = self.buffer.iter().position(|octet| *octet == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=at).collect();
                line.truncate(at);
                self.has_spoken = true;
                line.pop_if(|last| *last == b'\r');
                return Ok(Some(line));
            }
            if self.fill(patience).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Everything up to the end.
    pub(super) async fn rest(&mut self) -> Result<Vec<u8>, String> {
        while self.fill(PATIENCE).await? > 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Waits for the end, whatever comes before; a reset is one, too.
    pub(super) async fn gone(&mut self) -> Result<(), String> {
        loop {
            self.buffer.clear();
            match self.read(PATIENCE).await? {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(told(error)),
            }
        }
    }

    async fn fill(&mut self, patience: Duration) -> Result<usize, String> {
        self.read(patience).await?.map_err(told)
    }

    /// Reads more; the outer error is that nothing comes.
    async fn read(&mut self, patience: Duration) -> Result<io::Result<usize>, String> {
        let read = timeout(patience, self.stream.read_buf(&mut self.buffer)).await;
        read.map_err(|_| nothing(patience))
    }
}

fn nothing(patience: Duration) -> String {
    format!("nothing within {} s", patience.as_secs())
}

pub(super) fn told(error: io::Error) -> String {
    format!("an error: {error}")
}

#[cfg(test)]
mod tests {
    use waft_server::net::memory::MemoryStream;

    use super::*;

    fn connection() -> (Connection, MemoryStream) {
        let (ours, theirs) = MemoryStream::pair();
        (Connection::new(ours, IpAddr::from([192, 0, 2, 7])), theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_gone_when_it_has_ended_and_not_when_nothing_comes() {
        let (mut ours, mut theirs) = connection();
        theirs.write_all(b"before").await.unwrap();
        assert_eq!(ours.gone().await, Err("nothing within 30 s".to_owned()));
        drop(theirs);
        assert_eq!(ours.gone().await, Ok(()));
        let (mut ours, theirs) = connection();
        theirs.reset();
        assert_eq!(ours.gone().await, Ok(()));
    }
}
