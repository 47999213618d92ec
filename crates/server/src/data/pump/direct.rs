//! The way for octets that go unchanged between a TCP connection and a local file (Linux).
//!
//! Downloads: `sendfile(2)` in the session's own task, which saves a thread's wake-up for each
//! filled socket buffer, but only for what is in the page cache already; what is not is first read
//! into it by a thread that may wait for the disk. Uploads: small ones in the session's task; once
//! they prove large, a thread reads and writes in turn for as long as the client keeps up, because
//! writing may wait for the disk at any time.

mod cache;
mod receive;

pub(super) use receive::receive;

use std::io;

use rustix::fs::sendfile;
use rustix::net::sockopt::set_tcp_cork;
use tokio::io::Interest;
use tokio::net::TcpStream;
use waft_core::storage::{ErrorKind, LocalFile, StorageError};

use super::{Left, Progress, PumpError};
use cache::Cache;

/// Octets handed to the socket at a time, before other tasks get their turn.
const SEND_BYTES: usize = 512 * 1024;

/// How a download from a local file ended.
pub(super) enum Sent {
    /// All of it was handed to the socket.
    All,
    /// Nothing was sent: the system cannot do that with this kind of file.
    Unsuitable,
}

/// Sends what is left of a file. The end of the last segment waits for the connection to be shut
/// down, so that both leave together.
pub(super) async fn send(
    tcp: &TcpStream,
    file: LocalFile,
    mut left: Left,
    progress: &Progress,
) -> Result<Sent, PumpError> {
    // Full segments only: a tenth faster on loopback. Without it the transfer works as well.
    let _ = set_tcp_cork(tcp, true);
    let LocalFile { file, mut offset } = file;
    let begin = offset;
    let mut cache = Cache::new(file);
    while !left.is_none() {
        let length = left.at_most(SEND_BYTES);
        cache.fill(offset, length).await?;
        let file = cache.file();
        let sent = tcp.async_io(Interest::WRITABLE, || {
            sendfile(tcp, file, Some(&mut offset), length).map_err(io::Error::from)
        });
        match sent.await {
            Ok(0) => break,
            Ok(sent) => {
                left.take(sent);
                progress.advance(sent);
            }
            Err(error) if offset == begin && is_unsuitable(&error) => return Ok(Sent::Unsuitable),
            Err(error) if is_of_the_file(&error) => return Err(storage_error(error).into()),
            Err(error) => return Err(PumpError::Network(error)),
        }
        tokio::task::yield_now().await;
    }
    left.check_end()?;
    Ok(Sent::All)
}

fn is_unsuitable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

/// Whether `sendfile` failed for the file and not for the connection.
fn is_of_the_file(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let of_the_file = [Errno::IO, Errno::STALE, Errno::NOMEM, Errno::INVAL, Errno::OVERFLOW];
    Errno::from_io_error(error).is_some_and(|errno| of_the_file.contains(&errno))
}

/// What a file's error is to the client.
fn storage_error(error: io::Error) -> StorageError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull => ErrorKind::NoSpace,
        io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => ErrorKind::Quota,
        _ => ErrorKind::Io,
    };
    StorageError::new(kind, error)
}
