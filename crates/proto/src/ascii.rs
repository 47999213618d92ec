//! TYPE A: line ends change between LF, as files have them here, and CRLF, as the network has
//! them (RFC 959, 3.1.1.1).
//!
//! Both translators keep what one buffer leaves open for the next, so that the result does not
//! depend on how the network or the disk cuts the data.

/// Translates what the server sends: a bare LF becomes CRLF, a CRLF stays one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoder {
    after_cr: bool,
}

impl Encoder {
    /// A translator at the start of a file.
    pub const fn new() -> Encoder {
        Encoder { after_cr: false }
    }

    /// Appends the next piece of the file, translated.
    pub fn encode(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for line in input.split_inclusive(|&b| b == b'\n') {
            match line {
                [text @ .., b'\n'] => {
                    out.extend_from_slice(text);
                    let has_cr = text.last().map_or(self.after_cr, |&b| b == b'\r');
                    out.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
                    self.after_cr = false;
                }
                text => {
                    out.extend_from_slice(text);
                    self.after_cr = text.last() == Some(&b'\r');
                }
            }
        }
    }

    /// Counts the octets that [`encode`](Encoder::encode) would append, and goes on as if it had:
    /// SIZE in TYPE A (RFC 3659, 4).
    pub fn encoded_len(&mut self, input: &[u8]) -> u64 {
        let mut previous = self.after_cr;
        let mut length = input.len() as u64;
        for &b in input {
            length += u64::from(b == b'\n' && !previous);
            previous = b == b'\r';
        }
        self.after_cr = previous;
        length
    }
}

/// Translates what the server receives: CRLF becomes LF; a CR or LF alone stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoder {
    pending_cr: bool,
}

impl Decoder {
    /// A translator at the start of a file.
    pub const fn new() -> Decoder {
        Decoder { pending_cr: false }
    }

    /// Appends the next piece of the file, translated. A CR at its end waits for what follows.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for piece in input.split_inclusive(|&b| b == b'\r') {
            if self.pending_cr && piece.first() != Some(&b'\n') {
                out.push(b'\r');
            }
            let text = piece.strip_suffix(b"\r");
            self.pending_cr = text.is_some();
            out.extend_from_slice(text.unwrap_or(piece));
        }
    }

    /// Appends the CR that still waits, if there is one: the end of the file.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.pending_cr) {
            out.push(b'\r');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut encoder, mut counter) = (Encoder::new(), Encoder::new());
        let (mut out, mut length) = (Vec::new(), 0);
        for piece in pieces {
            encoder.encode(piece, &mut out);
            length += counter.encoded_len(piece);
            assert_eq!(encoder, counter);
        }
        assert_eq!(length, out.len() as u64);
        out
    }

    fn decode(pieces: &[&[u8]]) -> Vec<u8> {
        let mut decoder = Decoder::new();
        let mut out = Vec::new();
        for piece in pieces {
            decoder.decode(piece, &mut out);
        }
        decoder.finish(&mut out);
        out
    }

    #[test]
    fn a_bare_lf_becomes_crlf_and_a_crlf_stays_one() {
        assert_eq!(encode(&[b"a\nb\r\nc"]), b"a\r\nb\r\nc");
        assert_eq!(encode(&[b"\n\n"]), b"\r\n\r\n");
        assert_eq!(encode(&[b"\r\r\n\r"]), b"\r\r\n\r");
        assert_eq!(encode(&[b""]), b"");
    }

    #[test]
    fn a_crlf_cut_in_two_by_buffers_stays_one() {
        assert_eq!(encode(&[b"a\r", b"\nb"]), b"a\r\nb");
        assert_eq!(encode(&[b"a\r", b"", b"\nb"]), b"a\r\nb");
        assert_eq!(encode(&[b"a\r\n", b"\nb"]), b"a\r\n\r\nb");
        assert_eq!(encode(&[b"a\r", b"x", b"\n"]), b"a\rx\r\n");
    }

    #[test]
    fn crlf_becomes_lf_wherever_the_network_cuts_it_and_bare_cr_stays() {
        assert_eq!(decode(&[b"a\r\nb\nc\rd"]), b"a\nb\nc\rd");
        assert_eq!(decode(&[b"a\r", b"\nb"]), b"a\nb");
        assert_eq!(decode(&[b"a\r", b"", b"\n"]), b"a\n");
        assert_eq!(decode(&[b"a\r", b"\r", b"\n"]), b"a\r\n");
        assert_eq!(decode(&[b"a\r", b"b"]), b"a\rb");
        assert_eq!(decode(&[b"a\r"]), b"a\r");
        assert_eq!(decode(&[b"\r\r\r\n"]), b"\r\r\n");
    }

    #[test]
    fn a_finished_translator_has_nothing_left() {
        let mut decoder = Decoder::new();
        let mut out = Vec::new();
        decoder.decode(b"\r", &mut out);
        decoder.finish(&mut out);
        decoder.finish(&mut out);
        assert_eq!(out, b"\r");
        assert_eq!(decoder, Decoder::new());
    }
}
