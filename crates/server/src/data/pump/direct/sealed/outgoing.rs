//! Downloads.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use rustls::ServerConnection;
use waft_core::storage::LocalFile;

use super::super::{BURST_TIME, Collar, Leash, PATIENCE, aside_near, storage_error};
use super::{CHUNK_BYTES, Shared, Stop, write_records};
use crate::data::pump::{Left, Progress, PumpError};
use crate::net::Sealed;

/// Sends what is left of a file, and ends TLS; gives the connection back, whose client may still
/// say that it ends TLS, too.
pub(in crate::data::pump) async fn send(
    sealed: Sealed,
    file: LocalFile,
    left: Left,
    progress: &Progress,
) -> Result<tokio::net::TcpStream, PumpError> {
    let Sealed { tcp, mut tls, .. } = sealed;
    tls.set_buffer_limit(None);
    let leash = Leash::default();
    let shared = Shared::new(tcp).map_err(PumpError::Network)?;
    shared.socket.set_write_timeout(Some(PATIENCE)).map_err(PumpError::Network)?;
    let LocalFile { file, offset } = file;
    let (collar, buffer) = (leash.collar(), Vec::new());
    let mut outgoing =
        Outgoing { tls, file, offset, left, buffer, collar, is_over: false, written: 0 };
    let mut may_wait = true;
    loop {
        let before = outgoing.offset;
        let stop;
        (outgoing, stop) = aside_near(&shared.socket, move |socket| {
            let stop = outgoing.burst(socket, may_wait);
            (outgoing, stop)
        })
        .await?;
        if std::mem::take(&mut outgoing.written) > 0 {
            progress.touch();
        }
        progress.advance(outgoing.offset - before);
        match stop? {
            Stop::BurstMoved => {}
            Stop::ClientSlow => {
                let watched = shared.watched().map_err(PumpError::Network)?;
                watched.writable().await.map_err(PumpError::Network)?;
                may_wait = false;
            }
            Stop::Complete => break,
        }
    }
    let tcp = shared.watched().map_err(PumpError::Network)?;
    shared.keep();
    Ok(tcp)
}

/// The part of the file that is still to be sent.
struct Outgoing {
    tls: Box<ServerConnection>,
    file: Arc<File>,
    offset: u64,
    left: Left,
    buffer: Vec<u8>,
    collar: Collar,
    /// Whether the end was said.
    is_over: bool,
    /// Octets written to the network in this burst.
    written: usize,
}

impl Outgoing {
    fn burst(&mut self, mut socket: &TcpStream, may_wait: bool) -> Result<Stop, PumpError> {
        socket.set_nonblocking(!may_wait).map_err(PumpError::Network)?;
        let began = Instant::now();
        loop {
            let chunk_began = Instant::now();
            let (written, is_all) = write_records(&mut self.tls, &mut socket)?;
            self.written += written;
            if !is_all || may_wait && chunk_began.elapsed() >= PATIENCE {
                return Ok(Stop::ClientSlow);
            }
            if self.is_over {
                return Ok(Stop::Complete);
            }
            if !self.collar.is_wanted() || began.elapsed() >= BURST_TIME {
                return Ok(Stop::BurstMoved);
            }
            if !self.encrypt()? {
                // A file that ends too soon must not look complete: it gets no close_notify.
                self.left.check_end()?;
                self.is_over = true;
                self.tls.send_close_notify();
                self.buffer = Vec::new();
            }
        }
    }

    /// Encrypts the next chunk; tells whether there was one.
    fn encrypt(&mut self) -> Result<bool, PumpError> {
        let length = self.left.at_most(CHUNK_BYTES);
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        let space = self.buffer.get_mut(..length).unwrap_or_default();
        let read = self.file.read_at(space, self.offset).map_err(storage_error)?;
        let chunk = self.buffer.get(..read).unwrap_or_default();
        self.tls.writer().write_all(chunk).map_err(PumpError::Network)?;
        self.offset += read as u64;
        self.left.take(read);
        Ok(read > 0)
    }
}
