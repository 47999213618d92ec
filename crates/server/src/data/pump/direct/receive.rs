//! Uploads into a local file.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::net::Shutdown;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use waft_core::storage::{ErrorKind, LocalFile, StorageError};

use super::storage_error;
use crate::data::pump::{Progress, PumpError};

/// Octets received and written in the session's own task.
const ON_THE_SPOT_BYTES: usize = 64 * 1024;
/// Octets of the buffer of a large upload.
const BUFFER_BYTES: usize = 256 * 1024;
/// Octets that a thread receives and writes before it reports.
const BURST_BYTES: u64 = 8 * 1024 * 1024;
/// How long a thread waits for the client before it gives the connection back: longer than a busy
/// client pauses, shorter than anybody would notice a thread to be missing.
const LINGER: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// Receives to the end of the stream.
pub(in crate::data::pump) async fn receive(
    tcp: &TcpStream,
    file: LocalFile,
    progress: &Progress,
) -> Result<(), PumpError> {
    let LocalFile { file, mut offset } = file;
    let on_the_spot = offset.saturating_add(ON_THE_SPOT_BYTES as u64);
    let mut buffer = Vec::new();
    while offset < on_the_spot {
        tcp.readable().await.map_err(PumpError::Network)?;
        buffer.reserve_exact(ON_THE_SPOT_BYTES);
        match tcp.try_read_buf(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                file.write_all_at(&buffer, offset).map_err(storage_error)?;
                buffer.clear();
                offset += length as u64;
                progress.advance(length);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(PumpError::Network(error)),
        }
    }
    drop(buffer);
    receive_in_bursts(tcp, file, offset, progress).await
}

async fn receive_in_bursts(
    tcp: &TcpStream,
    file: Arc<File>,
    offset: u64,
    progress: &Progress,
) -> Result<(), PumpError> {
    let socket = tcp.as_fd().try_clone_to_owned().map_err(PumpError::Network)?;
    let socket = Arc::new(socket);
    let leash = Leash { socket: Arc::clone(&socket), let_go: Arc::default() };
    let let_go = Arc::clone(&leash.let_go);
    let buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut burst = Burst { socket, file, offset, buffer, let_go };
    loop {
        // Asks the system again, because the burst's own reads told the runtime nothing.
        let ready = || if is_readable(tcp, NO_TIME) { Ok(()) } else { Err(WOULD_BLOCK.into()) };
        tcp.async_io(Interest::READABLE, ready).await.map_err(PumpError::Network)?;
        let before = burst.offset;
        let run = spawn_blocking(move || {
            let end = burst.run();
            (burst, end)
        });
        let end;
        (burst, end) = run.await.map_err(|error| StorageError::new(ErrorKind::Io, error))?;
        progress.advance((burst.offset - before) as usize);
        match end? {
            End::OfBurst => {}
            End::OfStream => return Ok(()),
        }
    }
}

const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
const WOULD_BLOCK: io::ErrorKind = io::ErrorKind::WouldBlock;

fn is_readable(socket: impl AsFd, wait: Timespec) -> bool {
    let mut sockets = [PollFd::new(&socket, PollFlags::IN)];
    poll(&mut sockets, Some(&wait)).is_ok_and(|ready| ready > 0)
}

/// A part of an upload that a thread does by itself.
struct Burst {
    socket: Arc<OwnedFd>,
    file: Arc<File>,
    offset: u64,
    buffer: Vec<u8>,
    let_go: Arc<Mutex<bool>>,
}

enum End {
    OfBurst,
    OfStream,
}

impl Burst {
    fn run(&mut self) -> Result<End, PumpError> {
        let end = self.offset.saturating_add(BURST_BYTES);
        while self.offset < end {
            self.buffer.clear();
            match read(&self.socket, spare_capacity(&mut self.buffer)) {
                Ok(0) => return Ok(End::OfStream),
                Ok(length) => {
                    if !self.write()? {
                        break;
                    }
                    self.offset += length as u64;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if is_readable(&self.socket, LINGER) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(PumpError::Network(errno.into())),
            }
        }
        Ok(End::OfBurst)
    }

    /// Writes the buffer, unless nobody wants it any more.
    fn write(&self) -> Result<bool, StorageError> {
        let let_go = self.let_go.lock().unwrap_or_else(PoisonError::into_inner);
        if !*let_go {
            self.file.write_all_at(&self.buffer, self.offset).map_err(storage_error)?;
        }
        Ok(!*let_go)
    }
}

/// Stops a burst when the upload's future is dropped.
struct Leash {
    socket: Arc<OwnedFd>,
    let_go: Arc<Mutex<bool>>,
}

impl Drop for Leash {
    /// Waits for a write that has begun, so that from now on the file belongs to the writer again:
    /// what an aborted upload leaves behind must not change while it is resumed.
    fn drop(&mut self) {
        *self.let_go.lock().unwrap_or_else(PoisonError::into_inner) = true;
        let is_running = Arc::strong_count(&self.let_go) > 1;
        if is_running {
            // The thread still holds the connection, which the client should see ended by now.
            let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
        }
    }
}
