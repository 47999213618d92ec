//! Uploads into a local file.
//!
//! They have two gears. In the first, the session's task reads what there is and a thread writes
//! it; that suits clients that are slower than the server. Whoever fills a whole buffer at once is
//! shifted up: the connection leaves the runtime, and a thread [splices](super::splice) from it
//! until the client pauses.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::net::TcpStream;
use waft_core::storage::{LocalFile, StorageError};

use super::splice::{self, Pipe, Splice};
use super::{Collar, Leash, ON_THE_SPOT_BYTES, storage_error};
use crate::data::pump::{Progress, PumpError, aside};

/// Octets of the buffer of the first gear.
const BUFFER_BYTES: usize = 64 * 1024;

/// Receives to the end of the stream.
pub(in crate::data::pump) async fn receive(
    mut tcp: TcpStream,
    file: LocalFile,
    progress: &Progress,
) -> Result<(), PumpError> {
    let leash = Leash::default();
    let LocalFile { file, offset } = file;
    let mut sink = Sink { file, offset, collar: leash.collar() };
    let on_the_spot = offset.saturating_add(ON_THE_SPOT_BYTES as u64);
    let mut pipe = Pipe::Untried;
    let mut buffer = Vec::new();
    loop {
        tcp.readable().await.map_err(PumpError::Network)?;
        buffer.reserve_exact(BUFFER_BYTES);
        let has_ended = fill(&tcp, &mut buffer).map_err(PumpError::Network)?;
        let length = buffer.len();
        if length > 0 && sink.offset < on_the_spot {
            sink.write(&mut buffer)?;
        } else if length > 0 {
            (sink, buffer) =
                aside(move || sink.write(&mut buffer).map(|()| (sink, buffer))).await??;
        }
        progress.advance(length as u64);
        if has_ended {
            return Ok(());
        }
        if length >= BUFFER_BYTES && pipe.open() {
            buffer = Vec::new();
            let spliced =
                Splice { socket: tcp.into_std().map_err(PumpError::Network)?, pipe, sink };
            let spliced = splice::receive(spliced, progress).await?;
            match spliced {
                None => return Ok(()),
                Some(paused) => {
                    tcp = TcpStream::from_std(paused.socket).map_err(PumpError::Network)?;
                    (pipe, sink) = (paused.pipe, paused.sink);
                }
            }
        }
    }
}

/// Reads what there is, as far as the buffer has room; tells whether the stream has ended.
fn fill(tcp: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<bool> {
    while buffer.len() < BUFFER_BYTES {
        match tcp.try_read_buf(buffer) {
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
    pub(super) collar: Collar,
}

impl Sink {
    /// Writes the buffer and clears it.
    pub(super) fn write(&mut self, buffer: &mut Vec<u8>) -> Result<(), StorageError> {
        let write = || self.file.write_all_at(buffer, self.offset);
        self.collar.step(write).unwrap_or(Ok(())).map_err(storage_error)?;
        self.offset += buffer.len() as u64;
        buffer.clear();
        Ok(())
    }
}
