//! The way that works with every stream and every storage.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waft_core::storage::Writer;

use super::coding::{Decoder, Encoder, decode, encode, finish};
use super::{Download, Left, Progress, PumpError, Upload};
use crate::net::Stream;

/// Octets read from a file and written to a connection at a time.
const SEND_BYTES: usize = 128 * 1024;
/// Octets of the first buffer that receives; it grows while reads fill it.
const RECEIVE_BYTES_MIN: usize = 16 * 1024;
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
    let mut encoded = Vec::new();
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
            Some(with) => {
                encoded.clear();
                (encoder, buffer, encoded) = encode(with, buffer, encoded).await?;
                write(stream, &encoded, progress).await?;
            }
        }
        progress.advance(length);
    }
    left.check_end()?;
    if let Some(encoder) = encoder {
        encoded.clear();
        encoder.finish(&mut encoded)?;
        write(stream, &encoded, progress).await?;
    }
    stream.flush().await.map_err(PumpError::Network)
}
