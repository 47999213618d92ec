//! TYPE A and MODE Z: what becomes of octets between file and network.
//!
//! Text is translated before it is compressed. MODE Z is one zlib stream (RFC 1950) per transfer,
//! also for an empty file; raw deflate is something else, and clients refuse it.
//!
//! Both translators own their buffers, so that a large piece of compression can move to another
//! thread and back: at level 6, 128 KiB are some milliseconds.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use waft_proto::ascii;

use super::{Encoding, PumpError, aside};

/// Octets that an inflated piece has at most, however small it was on the network.
const PIECE_BYTES: usize = 128 * 1024;
/// Octets that are compressed on the spot; more go to another thread.
const ON_THE_SPOT_BYTES: usize = 8 * 1024;

/// What came cannot be inflated.
#[derive(Debug)]
pub(super) struct Corrupt;

/// File to network.
pub(super) struct Encoder {
    ascii: Option<ascii::Encoder>,
    deflate: Option<Compress>,
    input: Vec<u8>,
    text: Vec<u8>,
    /// What goes over the network.
    pub(super) output: Vec<u8>,
}

/// Network to file.
pub(super) struct Decoder {
    ascii: Option<ascii::Decoder>,
    inflate: Option<Inflate>,
    input: Vec<u8>,
    plain: Vec<u8>,
    /// What goes to the file.
    pub(super) output: Vec<u8>,
}

struct Inflate {
    stream: Decompress,
    /// Octets of the input that are inflated already.
    used: usize,
    ended: bool,
}

impl Encoder {
    /// A translator, unless octets go as they are.
    pub(super) fn new(encoding: Encoding, deflate: Option<u32>) -> Option<Encoder> {
        let ascii = (encoding == Encoding::Ascii).then(ascii::Encoder::new);
        let deflate = deflate.map(|level| Compress::new(Compression::new(level.min(9)), true));
        (ascii.is_some() || deflate.is_some()).then(|| Encoder {
            ascii,
            deflate,
            input: Vec::new(),
            text: Vec::new(),
            output: Vec::new(),
        })
    }

    /// Translates the next piece of the file to `output` and gives its memory back.
    pub(super) async fn encode(mut self, piece: Vec<u8>) -> Result<(Encoder, Vec<u8>), PumpError> {
        let is_slow = self.deflate.is_some() && piece.len() > ON_THE_SPOT_BYTES;
        self.input = piece;
        self.output.clear();
        let ((), mut encoder) = run(is_slow, self, |encoder| encoder.step()).await?;
        let piece = std::mem::take(&mut encoder.input);
        Ok((encoder, piece))
    }

    fn step(&mut self) -> Result<(), Corrupt> {
        let mut text = &self.input;
        if let Some(ascii) = &mut self.ascii {
            if self.deflate.is_none() {
                ascii.encode(text, &mut self.output);
                return Ok(());
            }
            self.text.clear();
            ascii.encode(text, &mut self.text);
            text = &self.text;
        }
        let Some(stream) = &mut self.deflate else { return Ok(()) };
        deflate(stream, text, &mut self.output, FlushCompress::None)
    }

    /// Puts what is left at the end of the file into `output`.
    pub(super) fn finish(&mut self) -> Result<(), PumpError> {
        self.output.clear();
        if let Some(stream) = &mut self.deflate {
            deflate(stream, &[], &mut self.output, FlushCompress::Finish)?;
        }
        Ok(())
    }
}

fn deflate(
    stream: &mut Compress,
    mut input: &[u8],
    output: &mut Vec<u8>,
    flush: FlushCompress,
) -> Result<(), Corrupt> {
    loop {
        output.reserve((input.len() / 2).max(1024));
        let before = stream.total_in();
        let status = stream.compress_vec(input, output, flush).map_err(|_| Corrupt)?;
        let used = usize::try_from(stream.total_in() - before).map_err(|_| Corrupt)?;
        input = input.get(used..).unwrap_or_default();
        let is_full = output.len() == output.capacity();
        if status == Status::StreamEnd || (input.is_empty() && !is_full) {
            return Ok(());
        }
    }
}

impl Decoder {
    /// A translator, unless octets go as they are.
    pub(super) fn new(encoding: Encoding, inflate: bool) -> Option<Decoder> {
        let ascii = (encoding == Encoding::Ascii).then(ascii::Decoder::new);
        let stream = || Inflate { stream: Decompress::new(true), used: 0, ended: false };
        (ascii.is_some() || inflate).then(|| Decoder {
            ascii,
            inflate: inflate.then(stream),
            input: Vec::new(),
            plain: Vec::new(),
            output: Vec::new(),
        })
    }

    /// Takes the next piece from the network; [`decode`](Decoder::decode) until it tells that
    /// there is no more.
    pub(super) fn feed(&mut self, piece: Vec<u8>) {
        self.input = piece;
        if let Some(inflate) = &mut self.inflate {
            inflate.used = 0;
        }
    }

    /// Gives back the memory of the piece that was fed.
    pub(super) fn take_piece(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// Translates a part of the piece to `output`; tells whether there is more.
    pub(super) async fn decode(mut self) -> Result<(Decoder, bool), PumpError> {
        let is_slow = self.inflate.is_some() && self.input.len() > ON_THE_SPOT_BYTES;
        self.output.clear();
        let (more, decoder) = run(is_slow, self, |decoder| decoder.step()).await?;
        Ok((decoder, more))
    }

    fn step(&mut self) -> Result<bool, Corrupt> {
        let Some(inflate) = &mut self.inflate else {
            if let Some(ascii) = &mut self.ascii {
                ascii.decode(&self.input, &mut self.output);
            }
            return Ok(false);
        };
        let Some(ascii) = &mut self.ascii else {
            return inflate.step(&self.input, &mut self.output);
        };
        self.plain.clear();
        let more = inflate.step(&self.input, &mut self.plain)?;
        ascii.decode(&self.plain, &mut self.output);
        Ok(more)
    }

    /// Puts what is left at the end of the stream into `output`.
    pub(super) fn finish(&mut self) -> Result<(), PumpError> {
        self.output.clear();
        if self.inflate.as_ref().is_some_and(|inflate| !inflate.ended) {
            return Err(PumpError::Corrupt);
        }
        if let Some(ascii) = &mut self.ascii {
            ascii.finish(&mut self.output);
        }
        Ok(())
    }
}

impl Inflate {
    /// Inflates up to [`PIECE_BYTES`]; tells whether there is more.
    fn step(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<bool, Corrupt> {
        let rest = input.get(self.used..).unwrap_or_default();
        if self.ended {
            return if rest.is_empty() { Ok(false) } else { Err(Corrupt) };
        }
        output.reserve_exact(PIECE_BYTES);
        let (before, length) = (self.stream.total_in(), output.len());
        let decompressed = self.stream.decompress_vec(rest, output, FlushDecompress::None);
        self.ended = decompressed.map_err(|_| Corrupt)? == Status::StreamEnd;
        let used = usize::try_from(self.stream.total_in() - before).map_err(|_| Corrupt)?;
        self.used += used;
        let is_stuck = used == 0 && output.len() == length && !self.ended;
        if is_stuck && !rest.is_empty() {
            return Err(Corrupt);
        }
        Ok(used < rest.len() || output.len() == output.capacity())
    }
}

/// Runs a step of a translator, a slow one where no connection waits for it.
async fn run<C: Send + 'static, T: Send + 'static>(
    is_slow: bool,
    mut coder: C,
    step: fn(&mut C) -> Result<T, Corrupt>,
) -> Result<(T, C), PumpError> {
    if !is_slow {
        return Ok((step(&mut coder)?, coder));
    }
    Ok(aside(move || step(&mut coder).map(|done| (done, coder))).await??)
}
