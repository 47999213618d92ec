//! Octets between a TCP connection under TLS and a local file.
//!
//! As in clear text, a thread takes over what is more than the first octets: it encrypts and
//! decrypts, reads and writes the file and waits for the client, so that octets cross from thread to
//! thread neither in pieces nor at all. A client that makes the thread wait for long is slow: then
//! the runtime waits, and a thread is asked when there is something to do.

mod incoming;
mod outgoing;

pub(in crate::data::pump) use incoming::receive;
pub(in crate::data::pump) use outgoing::send;

use std::io::{self, Write};
use std::net::{self, Shutdown};
use std::sync::Arc;

use rustls::ServerConnection;
use tokio::net::TcpStream;

use super::super::PumpError;

/// Octets that are read and encrypted, or received and decrypted, at a time: 16 records.
const CHUNK_BYTES: usize = 256 * 1024;

/// What ended a burst.
enum Stop {
    /// All of the file has moved.
    Complete,
    /// It is time to report.
    BurstMoved,
    /// The client lets us wait.
    ClientSlow,
}

/// The connection of a transfer that threads work at. If the transfer is given up, it ends at
/// once, whoever waits.
struct Shared {
    socket: Arc<net::TcpStream>,
    is_given_up: bool,
}

impl Shared {
    /// Takes a connection out of the runtime.
    fn new(tcp: TcpStream) -> io::Result<Shared> {
        let socket = tcp.into_std()?;
        Ok(Shared { socket: Arc::new(socket), is_given_up: true })
    }

    /// The connection for the runtime, to wait for it.
    fn watched(&self) -> io::Result<TcpStream> {
        self.socket.set_nonblocking(true)?;
        TcpStream::from_std(self.socket.try_clone()?)
    }

    /// The transfer is over: the connection may end in order.
    fn keep(mut self) {
        self.is_given_up = false;
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.is_given_up {
            // Fails only where the connection has ended already.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}

/// Whether the socket has just nothing to say.
fn is_waiting(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Writes what TLS has to say, as far as the socket takes it; tells how much that was, and whether
/// it was all.
fn write_records(
    tls: &mut ServerConnection,
    socket: &mut impl Write,
) -> Result<(usize, bool), PumpError> {
    let mut written = 0;
    while tls.wants_write() {
        match tls.write_tls(socket) {
            Ok(0) => return Err(PumpError::Network(io::ErrorKind::WriteZero.into())),
            Ok(length) => written += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_waiting(&error) => return Ok((written, false)),
            Err(error) => return Err(PumpError::Network(error)),
        }
    }
    Ok((written, true))
}
