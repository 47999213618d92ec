//! The way that works with every stream and every storage.
//!
//! The network and the storage work at the same time, each at a piece of its own.

use std::io;
use std::pin::pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waft_core::storage::{Reader, StorageError, Writer};

use super::coding::{Decoder, Encoder};
use super::{Download, Left, Progress, PumpError, Room, Upload};
use crate::net::Stream;

/// Octets read from a file and written to a connection at a time.
const SEND_BYTES: usize = 128 * 1024;
/// Octets of a piece behind which another one is expected, which is read meanwhile. Whoever gives
/// less has mostly given all, and would not gain what another buffer costs.
const AHEAD_BYTES_MIN: usize = 32 * 1024;
/// Octets of the first buffer that receives; it grows as it fills.
const RECEIVE_BYTES_MIN: usize = 8 * 1024;
/// Octets of the largest buffer that receives.
const RECEIVE_BYTES_MAX: usize = 256 * 1024;

pub(super) async fn send<S: Stream>(
    stream: &mut S,
    download: Download<'_>,
    progress: &Progress,
) -> Result<(), PumpError> {
    let Download { reader, limit, encoding, deflate } = download;
    let mut left = Left::new(reader.size(), limit);
    let encoder = Encoder::new(encoding, deflate);
    let mut client = Client { stream, encoder, progress };
    let mut piece = next(reader, Vec::new(), &mut left).await?;
    let mut spare = Vec::new();
    while !piece.is_empty() {
        if piece.len() < AHEAD_BYTES_MIN {
            let sent = client.send(piece).await?;
            piece = next(reader, sent, &mut left).await?;
        } else {
            // An error of the file comes behind the piece, that of the connection at once.
            let ahead = async { Ok(next(reader, spare, &mut left).await) };
            let (ahead, sent) = tokio::try_join!(ahead, client.send(piece))?;
            (piece, spare) = (ahead?, sent);
        }
    }
    left.check_end()?;
    client.finish().await
}

/// Reads the next octets of a file; none are the end.
async fn next(
    reader: &mut dyn Reader,
    mut buffer: Vec<u8>,
    left: &mut Left,
) -> Result<Vec<u8>, StorageError> {
    buffer.clear();
    if left.is_none() {
        return Ok(buffer);
    }
    buffer.reserve(left.at_most(SEND_BYTES));
    let mut buffer = reader.read(buffer).await?;
    buffer.truncate(left.at_most(buffer.len()));
    left.take(buffer.len());
    Ok(buffer)
}

/// Who gets a file.
struct Client<'a, S> {
    stream: &'a mut S,
    encoder: Option<Encoder>,
    progress: &'a Progress,
}

impl<S: Stream> Client<'_, S> {
    /// Sends a piece of the file, and gives its memory back.
    async fn send(&mut self, mut piece: Vec<u8>) -> Result<Vec<u8>, PumpError> {
        let length = piece.len();
        match self.encoder.take() {
            None => write(self.stream, &piece, self.progress).await?,
            Some(encoder) => {
                let used = encoder.encode(piece).await?;
                piece = used.1;
                write(self.stream, &self.encoder.insert(used.0).output, self.progress).await?;
            }
        }
        self.progress.advance(length as u64);
        Ok(piece)
    }

    async fn finish(mut self) -> Result<(), PumpError> {
        if let Some(encoder) = &mut self.encoder {
            encoder.finish()?;
            write(self.stream, &encoder.output, self.progress).await?;
        }
        self.stream.flush().await.map_err(PumpError::Network)
    }
}

async fn write<S: Stream>(
    stream: &mut S,
    mut data: &[u8],
    progress: &Progress,
) -> Result<(), PumpError> {
    while !data.is_empty() {
        let written = stream.write(data).await.map_err(PumpError::Network)?;
        if written == 0 {
            return Err(PumpError::Network(io::ErrorKind::WriteZero.into()));
        }
        data = data.get(written..).unwrap_or_default();
        progress.touch();
    }
    Ok(())
}

pub(super) async fn receive<S: Stream>(
    stream: &mut S,
    writer: &mut dyn Writer,
    upload: Upload,
    progress: &Progress,
) -> Result<(), PumpError> {
    let mut file = Destination { writer, room: Room(upload.limit), progress };
    let mut decoder = Decoder::new(upload.encoding, upload.inflate);
    let mut source = Source { stream, end: None, progress };
    let mut piece = Vec::new();
    source.receive(&mut piece).await;
    let mut spare = Vec::new();
    while !piece.is_empty() {
        let mut next = spare;
        next.clear();
        {
            let mut writing = pin!(file.put(piece, &mut decoder));
            spare = tokio::select! {
                biased;
                written = &mut writing => written?,
                () = source.gather(&mut next) => writing.await?,
            };
        }
        if next.is_empty() {
            source.receive(&mut next).await;
        }
        piece = next;
    }
    source.end.unwrap_or(Ok(())).map_err(PumpError::Network)?;
    if let Some(mut decoder) = decoder {
        decoder.finish()?;
        file.write(decoder.output).await?;
    }
    Ok(())
}

/// Who sends a file.
struct Source<'a, S> {
    stream: &'a mut S,
    /// How it ended, once it has.
    end: Option<io::Result<()>>,
    progress: &'a Progress,
}

impl<S: Stream> Source<'_, S> {
    /// Gathers what arrives until the buffer is as large as it gets, or nothing comes any more. May
    /// be dropped at any time: what has arrived is in the buffer.
    async fn gather(&mut self, buffer: &mut Vec<u8>) {
        while self.end.is_none() && buffer.len() < RECEIVE_BYTES_MAX {
            self.receive(buffer).await;
        }
    }

    /// Receives what there is, at least one octet, or the end.
    async fn receive(&mut self, buffer: &mut Vec<u8>) {
        if self.end.is_some() {
            return;
        }
        if buffer.len() == buffer.capacity() {
            let length = (buffer.len() * 4).clamp(RECEIVE_BYTES_MIN, RECEIVE_BYTES_MAX);
            buffer.reserve_exact(length - buffer.len());
        }
        match self.stream.read_buf(buffer).await {
            Ok(0) => self.end = Some(Ok(())),
            Ok(_) => self.progress.touch(),
            Err(error) => self.end = Some(Err(error)),
        }
    }
}

/// Translates a piece from the network, however much it becomes, and writes it.
async fn decode(
    mut decoder: Decoder,
    piece: Vec<u8>,
    file: &mut Destination<'_>,
) -> Result<Decoder, PumpError> {
    let mut more = true;
    decoder.feed(piece);
    while more {
        (decoder, more) = decoder.decode().await?;
        decoder.output = file.write(std::mem::take(&mut decoder.output)).await?;
    }
    Ok(decoder)
}

/// A file that is written, with its limit.
struct Destination<'a> {
    writer: &'a mut dyn Writer,
    room: Room,
    progress: &'a Progress,
}

impl Destination<'_> {
    /// Writes a piece as it came from the network, and gives memory back.
    async fn put(
        &mut self,
        piece: Vec<u8>,
        decoder: &mut Option<Decoder>,
    ) -> Result<Vec<u8>, PumpError> {
        match decoder.take() {
            None => self.write(piece).await,
            Some(used) => Ok(decoder.insert(decode(used, piece, self).await?).take_piece()),
        }
    }

    async fn write(&mut self, mut data: Vec<u8>) -> Result<Vec<u8>, PumpError> {
        let fits = self.room.take(data.len());
        let is_too_much = fits < data.len();
        data.truncate(fits);
        if fits > 0 {
            data = self.writer.write(data).await?;
            self.progress.advance(fits as u64);
        }
        if is_too_much { Err(PumpError::BeyondRange) } else { Ok(data) }
    }
}
