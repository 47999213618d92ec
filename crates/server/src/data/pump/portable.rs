//! The way that works with every stream and every storage.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waft_core::storage::Writer;

use super::coding::{Decoder, Encoder};
use super::{Download, Left, Progress, PumpError, Room, Upload};
use crate::net::Stream;

/// Octets read from a file and written to a connection at a time.
const SEND_BYTES: usize = 128 * 1024;
/// Octets of the first buffer that receives; it grows while reads fill it.
const RECEIVE_BYTES_MIN: usize = 8 * 1024;
/// Octets of the largest buffer that receives.
const RECEIVE_BYTES_MAX: usize = 256 * 1024;

pub(super) async fn send<S: Stream>(
    stream: &mut S,
    download: Download<'_>,
    progress: &Progress,
) -> Result<(), PumpError> {
    let mut left = Left::new(download.reader.size(), download.limit);
    let mut encoder = Encoder::new(download.encoding, download.deflate);
    let mut buffer = Vec::with_capacity(left.at_most(SEND_BYTES));
    while !left.is_none() {
        buffer.clear();
        buffer = download.reader.read(buffer).await?;
        if buffer.is_empty() {
            break;
        }
        buffer.truncate(left.at_most(buffer.len()));
        let length = buffer.len();
        left.take(length);
        match encoder.take() {
            None => write(stream, &buffer, progress).await?,
            Some(used) => {
                let used = used.encode(buffer).await?;
                buffer = used.1;
                write(stream, &encoder.insert(used.0).output, progress).await?;
            }
        }
        progress.advance(length as u64);
    }
    left.check_end()?;
    if let Some(encoder) = &mut encoder {
        encoder.finish()?;
        write(stream, &encoder.output, progress).await?;
    }
    stream.flush().await.map_err(PumpError::Network)
}

async fn write<S: Stream>(
    stream: &mut S,
    mut data: &[u8],
    progress: &Progress,
) -> Result<(), PumpError> {
    while !data.is_empty() {
        let written = stream.write(data).await.map_err(PumpError::Network)?;
        if written == 0 {
            return Err(PumpError::Network(std::io::ErrorKind::WriteZero.into()));
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
    let mut buffer = Vec::new();
    let mut capacity = RECEIVE_BYTES_MIN;
    loop {
        buffer.reserve_exact(capacity);
        let length = stream.read_buf(&mut buffer).await.map_err(PumpError::Network)?;
        if length == 0 {
            break;
        }
        progress.touch();
        if length == buffer.capacity() {
            capacity = (capacity * 4).min(RECEIVE_BYTES_MAX);
        }
        match decoder.take() {
            None => buffer = file.write(buffer).await?,
            Some(used) => {
                buffer = decoder.insert(decode(used, buffer, &mut file).await?).take_piece()
            }
        }
        buffer.clear();
    }
    if let Some(mut decoder) = decoder {
        decoder.finish()?;
        file.write(decoder.output).await?;
    }
    Ok(())
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
