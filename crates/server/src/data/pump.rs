//! Moves octets between a data connection and a file.
//!
//! Two ways lead through here. The portable one works with every stream and every storage and does
//! TYPE A and MODE Z on the way. The direct one is taken where octets go unchanged between a TCP
//! connection and a local file, and leaves the work to the system.
//!
//! Both may be dropped at any moment, which closes the connection; nothing is written to the file
//! any more once the future is gone, and its reader or writer is only lent. Nothing is allocated
//! before the connection is up.

mod coding;
#[cfg(target_os = "linux")]
mod direct;
mod portable;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use waft_core::storage::{ErrorKind, Reader, StorageError, Writer};

use crate::net::Stream;
use crate::time::within;
use coding::Corrupt;

/// How long a client that sends what nobody asked for may keep a finished connection open.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Octets at the beginning of a transfer that are moved in the session's task.
const ON_THE_SPOT_BYTES: usize = 64 * 1024;

/// How octets are represented on the network: TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are.
    Image,
    /// Lines that end with CRLF.
    Ascii,
}

/// What is sent, and how.
pub(crate) struct Download<'a> {
    /// The file, or whatever else has octets: a listing.
    pub(crate) reader: &'a mut dyn Reader,
    /// Octets of the file to send at most: RANG.
    pub(crate) limit: Option<u64>,
    /// TYPE.
    pub(crate) encoding: Encoding,
    /// The level of compression: MODE Z.
    pub(crate) deflate: Option<u32>,
}

/// How what is received is treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upload {
    /// Octets of the file to receive at most: RANG.
    pub(crate) limit: Option<u64>,
    /// TYPE.
    pub(crate) encoding: Encoding,
    /// Whether it is compressed: MODE Z.
    pub(crate) inflate: bool,
}

impl Download<'_> {
    /// Whether the octets of the file go as they are.
    fn is_plain(&self) -> bool {
        self.encoding == Encoding::Image && self.deflate.is_none()
    }
}

impl Upload {
    /// Whether what arrives goes to the file as it is, all of it.
    fn is_plain(&self) -> bool {
        self.encoding == Encoding::Image && !self.inflate && self.limit.is_none()
    }
}

/// Why a transfer did not complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PumpError {
    /// The data connection broke.
    #[error("data connection broken: {0}")]
    Network(#[source] io::Error),
    /// The storage failed.
    #[error("storage failed: {0}")]
    Storage(#[from] StorageError),
    /// Nothing moved for that long.
    #[error("no octet moved for {} s", .0.as_secs_f64())]
    Stalled(Duration),
    /// What came in MODE Z is no complete zlib stream.
    #[error("not a complete zlib stream")]
    Corrupt,
    /// More came than RANG had announced.
    #[error("more octets than the range has")]
    BeyondRange,
}

impl From<Corrupt> for PumpError {
    fn from(_: Corrupt) -> PumpError {
        PumpError::Corrupt
    }
}

/// How far a transfer is. STAT reads it while the pump goes on.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Octets of the file that were read and sent, or received and written.
    pub(crate) bytes: AtomicU64,
    began: Instant,
    /// Nanoseconds from `began` to the last movement.
    moved: AtomicU64,
}

impl Progress {
    /// A transfer that begins now.
    pub(crate) fn new() -> Progress {
        Progress { bytes: AtomicU64::new(0), began: Instant::now(), moved: AtomicU64::new(0) }
    }

    /// Counts octets of the file.
    fn advance(&self, bytes: u64) {
        if bytes > 0 {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.touch();
        }
    }

    /// Notes that something moves, if only on the network.
    fn touch(&self) {
        let moved = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.moved.store(moved, Ordering::Relaxed);
    }

    /// When something last moved.
    fn last_moved(&self) -> Instant {
        self.began + Duration::from_nanos(self.moved.load(Ordering::Relaxed))
    }
}

/// Sends a file, or the part of it that is asked for, and ends the connection: when this returns,
/// the client gets all of it and then the end. After an error the connection is just dropped.
///
/// # Errors
/// A file that became shorter than it was when it was opened is a storage's `Io`: the client must
/// not take what it got for the whole.
pub(crate) async fn send<S: Stream>(
    stream: S,
    download: Download<'_>,
    progress: &Progress,
    stall: Duration,
) -> Result<(), PumpError> {
    watched(progress, stall, send_all(stream, download, progress)).await
}

async fn send_all<S: Stream>(
    mut stream: S,
    download: Download<'_>,
    progress: &Progress,
) -> Result<(), PumpError> {
    #[cfg(target_os = "linux")]
    if download.is_plain()
        && let Some(file) = download.reader.local_file()
    {
        let left = Left::new(download.reader.size(), download.limit);
        if left.at_most(ON_THE_SPOT_BYTES + 1) > ON_THE_SPOT_BYTES {
            stream = match stream.into_sealed() {
                Err(stream) => stream,
                Ok(sealed) => {
                    end(direct::sealed::send(sealed, file, left, progress).await?);
                    return Ok(());
                }
            };
        }
        stream = match stream.into_tcp() {
            Err(stream) => stream,
            Ok(tcp) => {
                return match direct::send(tcp, file, left, progress).await? {
                    direct::Sent::All(None) => Ok(()),
                    direct::Sent::All(Some(tcp)) => {
                        close(tcp).await;
                        Ok(())
                    }
                    direct::Sent::Unsuitable(tcp) => send_portably(tcp, download, progress).await,
                };
            }
        };
    }
    send_portably(stream, download, progress).await
}

async fn send_portably<S: Stream>(
    mut stream: S,
    download: Download<'_>,
    progress: &Progress,
) -> Result<(), PumpError> {
    portable::send(&mut stream, download, progress).await?;
    close(stream).await;
    Ok(())
}

/// Receives until the client ends the stream, writes to a file that is neither finished nor
/// abandoned here, and ends the connection.
pub(crate) async fn receive<S: Stream>(
    stream: S,
    writer: &mut dyn Writer,
    upload: Upload,
    progress: &Progress,
    stall: Duration,
) -> Result<(), PumpError> {
    watched(progress, stall, receive_all(stream, writer, upload, progress)).await
}

async fn receive_all<S: Stream>(
    mut stream: S,
    writer: &mut dyn Writer,
    upload: Upload,
    progress: &Progress,
) -> Result<(), PumpError> {
    #[cfg(target_os = "linux")]
    if upload.is_plain()
        && let Some(file) = writer.local_file()
    {
        stream = match stream.into_tcp() {
            Ok(tcp) => return direct::receive(tcp, file, progress).await,
            Err(stream) => match stream.into_sealed() {
                Ok(sealed) => {
                    end(direct::sealed::receive(sealed, file, progress).await?);
                    return Ok(());
                }
                Err(stream) => stream,
            },
        };
    }
    portable::receive(&mut stream, writer, upload, progress).await?;
    close(stream).await;
    Ok(())
}

/// Ends the connection of a transfer that is complete.
///
/// Dropping it would do, but where something arrived that nobody has read, the system makes a
/// reset of it, which destroys what the client has not read yet.
pub(super) async fn close<S: Stream>(mut stream: S) {
    let has_read_all = |socket| rustix::io::ioctl_fionread(socket).is_ok_and(|unread| unread == 0);
    if stream.socket().is_some_and(has_read_all) {
        return;
    }
    let end = async {
        stream.shutdown().await?;
        if stream.tcp().is_some() {
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        }
        Ok::<(), io::Error>(())
    };
    let _ = within(CLOSE_LIMIT, end).await;
    if let Some(rest) = stream.into_rest() {
        drain(rest);
    }
}

/// Ends the connection of a transfer under TLS, of which the client may still have to hear.
#[cfg(target_os = "linux")]
fn end(tcp: TcpStream) {
    // Fails only where the connection has ended already.
    let _ = rustix::net::shutdown(&tcp, rustix::net::Shutdown::Write);
    drain(tcp);
}

/// Reads to the end, for a moment and in the background, what nobody wants to know.
fn drain(mut rest: impl AsyncRead + Send + Unpin + 'static) {
    tokio::spawn(async move {
        let mut nowhere = tokio::io::sink();
        let reading = tokio::io::copy(&mut rest, &mut nowhere);
        within(CLOSE_LIMIT, reading).await;
    });
}

/// Does work that takes long where no connection waits for it.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StorageError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StorageError::new(ErrorKind::Io, error))
}

/// Runs a transfer until it ends or nothing has moved for `stall`; zero is no limit.
async fn watched(
    progress: &Progress,
    stall: Duration,
    transfer: impl Future<Output = Result<(), PumpError>>,
) -> Result<(), PumpError> {
    if stall.is_zero() {
        return transfer.await;
    }
    progress.touch();
    let mut transfer = pin!(transfer);
    let mut timer = pin!(tokio::time::sleep(stall));
    loop {
        tokio::select! {
            biased;
            result = &mut transfer => return result,
            () = &mut timer => {}
        }
        let due = progress.last_moved() + stall;
        if due <= Instant::now() {
            return Err(PumpError::Stalled(stall));
        }
        timer.as_mut().reset(due);
    }
}

/// How many octets of a file are still to be sent.
#[derive(Clone, Copy, Debug)]
struct Left {
    octets: Option<u64>,
    /// Whether the file was as long as that when it was opened.
    promised: bool,
}

impl Left {
    fn new(size: Option<u64>, limit: Option<u64>) -> Left {
        let octets = match (size, limit) {
            (Some(size), Some(limit)) => Some(size.min(limit)),
            (size, limit) => size.or(limit),
        };
        Left { octets, promised: size.is_some() }
    }

    /// The smaller of `bytes` and what is left.
    fn at_most(&self, bytes: usize) -> usize {
        let left = self.octets.map_or(usize::MAX, |n| n.try_into().unwrap_or(usize::MAX));
        left.min(bytes)
    }

    fn take(&mut self, bytes: usize) {
        self.octets = self.octets.map(|left| left.saturating_sub(bytes as u64));
    }

    fn is_none(&self) -> bool {
        self.octets == Some(0)
    }

    /// Judges the end of the file.
    fn check_end(&self) -> Result<(), StorageError> {
        if self.promised && !self.is_none() {
            return Err(StorageError::new(ErrorKind::Io, "the file became shorter meanwhile"));
        }
        Ok(())
    }
}

/// How many octets may still be received; `None` is any number.
#[derive(Clone, Copy, Debug)]
struct Room(Option<u64>);

impl Room {
    /// Takes room for `bytes`, or as much as there is; tells how much.
    fn take(&mut self, bytes: usize) -> usize {
        let Some(room) = &mut self.0 else { return bytes };
        let taken = usize::try_from(*room).map_or(bytes, |room| room.min(bytes));
        *room -= taken as u64;
        taken
    }
}

#[cfg(test)]
mod tests;
