//! One end of a connection as a client has it: reading with patience.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use waft_server::net::memory::MemoryStream;

/// How long a client waits for what has to come, by the scenario's clock, which goes on as every
/// other.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A connection and what was read ahead.
pub(super) struct Connection {
    stream: MemoryStream,
    buffer: Vec<u8>,
    /// Where the client is.
    pub(super) address: IpAddr,
    /// Whether a line of it was looked at, such as a greeting.
    pub(super) has_spoken: bool,
}

impl Connection {
    pub(super) fn new(stream: MemoryStream, address: IpAddr) -> Self {
        Self { stream, buffer: Vec::new(), address, has_spoken: false }
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

    async fn fill(&mut self, patience: Duration) -> Result<usize, String> {
        match timeout(patience, self.stream.read_buf(&mut self.buffer)).await {
            Ok(read) => read.map_err(told),
            Err(_) => Err(format!("nothing within {} s", patience.as_secs())),
        }
    }
}

fn told(error: io::Error) -> String {
    format!("an error: {error}")
}
