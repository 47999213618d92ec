//! Uploads into a local file.
//!
//! They have two gears. In the first, the session's task gathers what arrives and a thread writes
//! it; that suits clients that are slower than the server. Whoever fills a whole buffer at once is
//! shifted up: the connection leaves the runtime, and a thread [splices](super::splice) from it
//! until the client is slow.

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::PollFlags;
use rustix::io::{Errno, read};
use waft_core::storage::{LocalFile, StorageError};

use super::pipe::Pipe;
use super::splice::{self, PIPE_BYTES, Splice};
use super::{Collar, Leash, ON_THE_SPOT_BYTES, is_ready, storage_error};
use crate::data::pump::{Progress, PumpError, aside};
use crate::net::tcp::Tcp;
use crate::time::within;
use crate::workers::{MOMENT, has_thread_to_itself};

/// Octets of the buffer of the first gear, and of what it begins as.
const BUFFER_BYTES: usize = 64 * 1024;
const BUFFER_BYTES_MIN: usize = 8 * 1024;
/// How long a buffer that is not full waits for more. A client of 10 MB/s would otherwise need a
/// thread for every other packet.
const GATHER: Duration = Duration::from_millis(5);

/// Receives to the end of the stream.
pub(in crate::data::pump) async fn receive(
    mut tcp: Tcp,
    file: LocalFile,
    progress: &Progress,
) -> Result<(), PumpError> {
    let leash = Leash::default();
    let LocalFile { file, offset } = file;
    let mut sink = Sink::new(file, offset, leash.collar());
    let mut pipe = Pipe::Untried;
    loop {
        let gathered;
        (sink, gathered) = gather(&mut tcp, sink, &mut pipe, progress).await?;
        match gathered {
            Gathered::All => return Ok(()),
            Gathered::UntilFast => {}
        }
        let socket = tcp.into_unwatched().map_err(PumpError::Network)?;
        let splice = Splice { socket, pipe, sink };
        let Some(paused) = splice::receive(splice, progress).await? else { return Ok(()) };
        tcp = Tcp::Unwatched(paused.socket);
        (pipe, sink) = (paused.pipe, paused.sink);
    }
}

/// How the first gear ended.
enum Gathered {
    All,
    /// The client is fast, and there is a pipe for it.
    UntilFast,
}

/// The first gear.
async fn gather(
    tcp: &mut Tcp,
    mut sink: Sink,
    pipe: &mut Pipe,
    progress: &Progress,
) -> Result<(Sink, Gathered), PumpError> {
    let mut buffer = Vec::new();
    loop {
        let waited = buffer.len();
        let filled = match &*tcp {
            // A small file has often arrived by now: then nobody has to wait for it.
            Tcp::Unwatched(tcp) => fill_within_a_moment(tcp, &mut buffer),
            _ => {
                let tcp = tcp.watched().map_err(PumpError::Network)?;
                tcp.readable().await.map_err(PumpError::Network)?;
                fill(&mut buffer, |buffer| tcp.try_read_buf(buffer))
            }
        };
        let length = buffer.len();
        if length > waited {
            progress.touch();
        }
        let is_complete = !matches!(filled, Ok(false)) || length >= BUFFER_BYTES;
        let may_wait = length > 0 && !is_complete && !sink.is_at_its_beginning();
        if may_wait {
            let tcp = tcp.watched().map_err(PumpError::Network)?;
            if within(GATHER, tcp.readable()).await.is_some() {
                continue;
            }
        }
        // Also before an error is told: what arrived may be kept.
        (sink, buffer) = sink.write_all(buffer).await?;
        progress.advance(length as u64);
        if filled.map_err(PumpError::Network)? {
            return Ok((sink, Gathered::All));
        }
        if waited == 0 && length >= BUFFER_BYTES && pipe.open(PIPE_BYTES).is_some() {
            return Ok((sink, Gathered::UntilFast));
        }
        tcp.watched().map_err(PumpError::Network)?;
    }
}

/// Reads what there is, likewise, and what comes within a moment where that delays nobody else.
///
/// A small file from a client nearby is there at once: what the runtime would do to wait for it
/// costs more than the file.
fn fill_within_a_moment(tcp: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let until = has_thread_to_itself().then(|| Instant::now() + MOMENT);
    let left = || until?.checked_duration_since(Instant::now());
    fill(buffer, |buffer| {
        loop {
            match read(tcp, spare_capacity(buffer)) {
                Err(Errno::AGAIN)
                    if left().is_some_and(|left| is_ready(tcp, PollFlags::IN, left)) => {}
                read => return Ok(read?),
            }
        }
    })
}

/// Reads what there is, as far as the buffer has room; tells whether the stream has ended.
fn fill(
    buffer: &mut Vec<u8>,
    mut read: impl FnMut(&mut Vec<u8>) -> io::Result<usize>,
) -> io::Result<bool> {
    while buffer.len() < BUFFER_BYTES {
        if buffer.len() == buffer.capacity() {
            let length = (buffer.len() * 8).clamp(BUFFER_BYTES_MIN, BUFFER_BYTES);
            buffer.reserve_exact(length - buffer.len());
        }
        match read(buffer) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// The file, and where in it the next octets go.
pub(super) struct Sink {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    /// Where writing in the session's task ends.
    on_the_spot: u64,
    pub(super) collar: Collar,
}

impl Sink {
    pub(super) fn new(file: Arc<File>, offset: u64, collar: Collar) -> Sink {
        let on_the_spot = offset.saturating_add(ON_THE_SPOT_BYTES as u64);
        Sink { file, offset, on_the_spot, collar }
    }

    fn is_at_its_beginning(&self) -> bool {
        self.offset < self.on_the_spot
    }

    /// Writes the buffer and clears it, in a thread unless it is the first.
    async fn write_all(mut self, mut buffer: Vec<u8>) -> Result<(Sink, Vec<u8>), StorageError> {
        let on_the_spot = self.is_at_its_beginning() || buffer.is_empty();
        let write = move || self.write(&mut buffer).map(|()| (self, buffer));
        if on_the_spot { write() } else { aside(write).await? }
    }

    /// Writes the buffer, if there is something in it, and clears it.
    pub(super) fn write(&mut self, buffer: &mut Vec<u8>) -> Result<(), StorageError> {
        if !buffer.is_empty() {
            self.write_octets(buffer)?;
            buffer.clear();
        }
        Ok(())
    }

    /// Writes them all.
    pub(super) fn write_octets(&mut self, octets: &[u8]) -> Result<(), StorageError> {
        let write = || self.file.write_all_at(octets, self.offset);
        self.collar.step(write).unwrap_or(Ok(())).map_err(storage_error)?;
        self.offset += octets.len() as u64;
        Ok(())
    }
}
