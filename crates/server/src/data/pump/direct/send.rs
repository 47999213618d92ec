//! Downloads from a local file, by `sendfile(2)`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::sockopt::set_tcp_cork;
use tokio::io::Interest;
use tokio::net::TcpStream;
use waft_core::storage::LocalFile;

use super::{BURST_BYTES, Collar, Leash, NO_TIME, ON_THE_SPOT_BYTES, is_ready, storage_error};
use crate::data::pump::{Left, Progress, PumpError, aside};

/// Octets handed to the socket at a time.
const CHUNK_BYTES: usize = 512 * 1024;

/// How a download ended.
pub(in crate::data::pump) enum Sent {
    /// All of it was handed to the socket.
    All,
    /// Nothing was sent: the system cannot do that with this kind of file.
    Unsuitable,
}

/// Sends what is left of a file. The end of the last segment waits for the end of the connection,
/// so that both leave together.
pub(in crate::data::pump) async fn send(
    tcp: &TcpStream,
    file: LocalFile,
    left: Left,
    progress: &Progress,
) -> Result<Sent, PumpError> {
    // Full segments only: a tenth faster on loopback. Without it the transfer works as well.
    let _ = set_tcp_cork(tcp, true);
    let leash = Leash::default();
    let LocalFile { file, offset: begin } = file;
    let mut part = Part { file, offset: begin, left, collar: leash.collar() };
    let socket = match left.at_most(ON_THE_SPOT_BYTES + 1) {
        0..=ON_THE_SPOT_BYTES => None,
        _ => Some(Arc::new(tcp.as_fd().try_clone_to_owned().map_err(PumpError::Network)?)),
    };
    loop {
        let before = part.offset;
        let sent = match socket.clone() {
            None => part.send(tcp),
            Some(socket) => {
                let burst = aside(move || {
                    let sent = part.send(&socket);
                    (part, sent)
                });
                let sent;
                (part, sent) = burst.await?;
                sent
            }
        };
        progress.advance(part.offset - before);
        match sent {
            Ok(End::OfFile) => break,
            Ok(End::OfBurst) => {}
            Ok(End::OfRoom) => until_writable(tcp).await.map_err(PumpError::Network)?,
            Err(Errno::INVAL | Errno::NOSYS) if part.offset == begin => {
                return Ok(Sent::Unsuitable);
            }
            Err(errno) if is_of_the_file(errno) => return Err(storage_error(errno).into()),
            Err(errno) => return Err(PumpError::Network(errno.into())),
        }
    }
    part.left.check_end()?;
    Ok(Sent::All)
}

/// Waits until the socket takes more. Asks the system itself, because what was sent past the
/// runtime has told the runtime nothing.
async fn until_writable(tcp: &TcpStream) -> io::Result<()> {
    let ready = || match is_ready(tcp, PollFlags::OUT, NO_TIME) {
        true => Ok(()),
        false => Err(io::ErrorKind::WouldBlock.into()),
    };
    tcp.async_io(Interest::WRITABLE, ready).await
}

/// Whether `sendfile` failed for the file and not for the connection.
fn is_of_the_file(errno: Errno) -> bool {
    [Errno::IO, Errno::STALE, Errno::NOMEM, Errno::INVAL, Errno::OVERFLOW].contains(&errno)
}

/// The part of the file that is still to be sent.
struct Part {
    file: Arc<File>,
    offset: u64,
    left: Left,
    collar: Collar,
}

/// Where sending paused.
enum End {
    OfFile,
    OfBurst,
    /// The socket holds as much as it can.
    OfRoom,
}

impl Part {
    fn send(&mut self, socket: impl AsFd) -> Result<End, Errno> {
        let end = self.offset.saturating_add(BURST_BYTES);
        while !self.left.is_none() {
            if self.offset >= end || !self.collar.is_wanted() {
                return Ok(End::OfBurst);
            }
            let length = self.left.at_most(CHUNK_BYTES);
            match sendfile(&socket, &self.file, Some(&mut self.offset), length) {
                Ok(0) => break,
                Ok(sent) => self.left.take(sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(End::OfRoom),
                Err(errno) => return Err(errno),
            }
        }
        Ok(End::OfFile)
    }
}
