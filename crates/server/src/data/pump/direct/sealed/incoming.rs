//! Uploads.

use std::io::{self, BufRead, Read, Write};
use std::net;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::net::SendFlags;
use rustls::ServerConnection;
use tokio::net::TcpStream;
use waft_core::storage::LocalFile;

use super::super::receive::Sink;
use super::super::{BURST_BYTES_MIN, BURST_TIME, Leash, PATIENCE, aside_near};
use super::{CHUNK_BYTES, Shared, Stop, is_waiting, write_records};
use crate::data::pump::{ON_THE_SPOT_BYTES, Progress, PumpError};
use crate::net::Sealed;
use crate::tls::CloseNotify;

/// Octets of the first buffer: a record and what goes with it. It grows with each read that fills it.
const FIRST_BYTES: usize = 17 * 1024;
/// Octets of a record that is worth a write of its own.
const ALONE_BYTES: usize = 4 * 1024;
/// Octets of smaller records that are written together.
const TOGETHER_BYTES: usize = 64 * 1024;
/// How long what a slow client sends is gathered before a thread is asked.
const GATHER: Duration = Duration::from_millis(5);

/// Receives to the end of TLS or of the connection, and ends both; gives the connection back, whose
/// client may not be done yet.
pub(in crate::data::pump) async fn receive(
    sealed: Sealed,
    file: LocalFile,
    progress: &Progress,
) -> Result<TcpStream, PumpError> {
    let Sealed { mut tcp, tls, ahead, close_notify, truncated } = sealed;
    let leash = Leash::default();
    let LocalFile { file, offset } = file;
    let sink = Sink::new(file, offset, leash.collar());
    let (ahead, small) = (Buffer::of(ahead), Vec::new());
    let mut incoming = Incoming { tls, ahead, small, sink, has_ended: false };
    if !incoming.begin(&tcp, progress).await? {
        (tcp, incoming) = go_on(tcp, incoming, progress).await?;
    }
    if incoming.has_ended {
        truncated.store(true, Ordering::Relaxed);
        if close_notify == CloseNotify::Strict {
            return Err(PumpError::Network(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    incoming.tls.send_close_notify();
    // A client that is gone has said so: everything has arrived.
    let _ = write_records(&mut incoming.tls, &mut Watched(&tcp));
    Ok(tcp)
}

/// Receives in threads, to the end.
async fn go_on(
    tcp: TcpStream,
    mut incoming: Incoming,
    progress: &Progress,
) -> Result<(TcpStream, Incoming), PumpError> {
    let shared = Shared::new(tcp).map_err(PumpError::Network)?;
    shared.socket.set_read_timeout(Some(PATIENCE)).map_err(PumpError::Network)?;
    let mut may_wait = true;
    loop {
        let before = incoming.sink.offset;
        let stop;
        (incoming, stop) = aside_near(&shared.socket, move |socket| {
            let stop = incoming.burst(socket, may_wait);
            (incoming, stop)
        })
        .await?;
        let moved = incoming.sink.offset - before;
        progress.advance(moved);
        match stop? {
            Stop::BurstMoved => {}
            Stop::ClientSlow => {
                // In the time of a gathering, as much as a fast client sends.
                let is_much = moved >= CHUNK_BYTES as u64;
                may_wait = !may_wait && is_much;
                let watched = shared.watched().map_err(PumpError::Network)?;
                watched.readable().await.map_err(PumpError::Network)?;
                progress.touch();
                if !is_much {
                    tokio::time::sleep(GATHER).await;
                }
            }
            Stop::Complete => {
                let tcp = shared.watched().map_err(PumpError::Network)?;
                shared.keep();
                return Ok((tcp, incoming));
            }
        }
    }
}

/// Octets that wait for the next who takes them.
#[derive(Default)]
struct Buffer {
    space: Vec<u8>,
    begin: usize,
    end: usize,
    /// Whether there would have been more for it.
    is_small: bool,
}

impl Buffer {
    fn of(octets: Vec<u8>) -> Buffer {
        Buffer { begin: 0, end: octets.len(), space: octets, is_small: true }
    }

    fn octets(&self) -> &[u8] {
        self.space.get(self.begin..self.end).unwrap_or_default()
    }

    fn take(&mut self, length: usize) {
        self.begin += length;
        if self.begin >= self.end {
            (self.begin, self.end) = (0, 0);
        }
    }

    /// Puts what `read` gives behind what there is; 0 also where the buffer is as large as it may
    /// be, and full.
    fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        if self.is_small && self.space.len() < CHUNK_BYTES {
            let length = (self.space.len() * 4).clamp(FIRST_BYTES, CHUNK_BYTES);
            self.space.resize(length, 0);
        }
        let length = read(self.space.get_mut(self.end..).unwrap_or_default())?;
        self.end += length;
        self.is_small = self.end == self.space.len();
        Ok(length)
    }
}

/// What arrives.
struct Incoming {
    tls: Box<ServerConnection>,
    /// What was read from the connection and TLS has not had yet.
    ahead: Buffer,
    /// Small records that are to be written together; none between two steps.
    small: Vec<u8>,
    sink: Sink,
    /// Whether the connection has ended before TLS did.
    has_ended: bool,
}

impl Incoming {
    /// Receives the first octets, in the session's task; tells whether they were all.
    async fn begin(&mut self, tcp: &TcpStream, progress: &Progress) -> Result<bool, PumpError> {
        let before = self.sink.offset;
        while self.sink.offset - before < ON_THE_SPOT_BYTES as u64 {
            let offset = self.sink.offset;
            let is_over = self.step(&mut Watched(tcp), |space| tcp.try_read(space));
            // Also before an error is told: what arrived may be kept.
            progress.advance(self.sink.offset - offset);
            match is_over? {
                Some(true) => return Ok(true),
                Some(false) => progress.touch(),
                None => tcp.readable().await.map_err(PumpError::Network)?,
            }
        }
        Ok(false)
    }

    /// Receives in a thread until something ends the burst.
    fn burst(&mut self, socket: &net::TcpStream, may_wait: bool) -> Result<Stop, PumpError> {
        socket.set_nonblocking(!may_wait).map_err(PumpError::Network)?;
        let (began, begin) = (Instant::now(), self.sink.offset);
        let (mut reading, mut writing) = (socket, socket);
        loop {
            match self.step(&mut writing, |space| reading.read(space))? {
                Some(true) => return Ok(Stop::Complete),
                Some(false) if !self.sink.collar.is_wanted() => return Ok(Stop::BurstMoved),
                Some(false) if began.elapsed() < BURST_TIME => {}
                Some(false) if self.sink.offset - begin >= BURST_BYTES_MIN => {
                    return Ok(Stop::BurstMoved);
                }
                Some(false) | None => return Ok(Stop::ClientSlow),
            }
        }
    }

    /// Reads from the connection and decrypts what came; tells whether that was the end, or
    /// nothing if nothing came.
    fn step(
        &mut self,
        socket: &mut impl Write,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> Result<Option<bool>, PumpError> {
        if self.decrypt(socket)? {
            return Ok(Some(true));
        }
        match self.ahead.fill(read) {
            Ok(0) => {
                self.has_ended = true;
                return Ok(Some(true));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_waiting(&error) => return Ok(None),
            Err(error) => return Err(PumpError::Network(error)),
        }
        self.decrypt(socket).map(Some)
    }

    /// Decrypts all that is there, and writes it; tells whether TLS has ended.
    fn decrypt(&mut self, socket: &mut impl Write) -> Result<bool, PumpError> {
        let is_over = self.decrypt_records(socket);
        // Also before an error is told: what arrived may be kept.
        self.sink.write(&mut self.small)?;
        is_over
    }

    fn decrypt_records(&mut self, socket: &mut impl Write) -> Result<bool, PumpError> {
        loop {
            if self.write_plain()? {
                return Ok(true);
            }
            let mut rest = self.ahead.octets();
            let before = rest.len();
            if before == 0 {
                return Ok(false);
            }
            let fed = self.tls.read_tls(&mut rest).map_err(PumpError::Network)?;
            self.ahead.take(fed);
            let processed = self.tls.process_new_packets();
            // An answer of TLS, or an alert: whether the client hears it changes nothing.
            let _ = write_records(&mut self.tls, socket);
            if let Err(error) = processed {
                let error = io::Error::new(io::ErrorKind::InvalidData, error);
                return Err(PumpError::Network(error));
            }
        }
    }

    /// Writes what was decrypted, large records one by one: that costs less than to gather them in
    /// between. Small ones may stay gathered. Tells whether there will be no more.
    fn write_plain(&mut self) -> Result<bool, PumpError> {
        let mut reader = self.tls.reader();
        loop {
            let length = match reader.fill_buf() {
                Ok([]) => return Ok(true),
                Ok(record) if record.len() < ALONE_BYTES => {
                    self.small.extend_from_slice(record);
                    record.len()
                }
                Ok(record) => {
                    self.sink.write(&mut self.small)?;
                    self.sink.write_octets(record)?;
                    record.len()
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(PumpError::Network(error)),
            };
            reader.consume(length);
            if self.small.len() >= TOGETHER_BYTES {
                self.sink.write(&mut self.small)?;
            }
        }
    }
}

/// A connection that the runtime watches: what does not fit into it now is refused.
struct Watched<'a>(&'a TcpStream);

impl Write for Watched<'_> {
    /// Asks the system: the runtime may not know yet that there is room.
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, octets, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_grows_as_long_as_it_is_filled_though_all_of_it_is_taken() {
        let mut buffer = Buffer::of(vec![0; 10]);
        buffer.take(10);
        let mut filled_to = |part: usize| {
            let length = buffer.fill(|space| Ok(space.len() / part)).unwrap();
            buffer.take(length);
            length
        };
        let begin = filled_to(1);
        assert_eq!(begin, FIRST_BYTES);
        assert_eq!(filled_to(2), begin * 2);
        assert_eq!(filled_to(2), begin * 2);
        assert_eq!(filled_to(1), begin * 4);
        assert_eq!(filled_to(1), CHUNK_BYTES);
        assert_eq!(filled_to(1), CHUNK_BYTES);
    }
}
