//! Lines of the control connection, out of whatever pieces the network delivers.

/// One line of the control connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A whole line without its end and without a Telnet prefix.
    Whole(&'a [u8]),
    /// A line over the limit (500): its first octets, [`HEAD_BYTES`] at most, by which another
    /// protocol's can be told. The others are gone, up to and with its end.
    TooLong(&'a [u8]),
}

/// Collects octets and hands out lines.
///
/// A line ends with LF; one CR before it belongs to the end, a CR anywhere else is data. Telnet
/// commands (IAC and one octet, as `ABOR` is often sent) are removed at the start of a line only:
/// behind it, 0xFF is an octet of a file name like any other. While nothing is buffered, nothing
/// is allocated.
#[derive(Debug)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Octets of `bytes` that have been handed out.
    taken: usize,
    /// Octets of `bytes` known to hold no LF.
    scanned: usize,
    limit: usize,
    discarding: bool,
    /// The first octets of the last line that was too long.
    head: Vec<u8>,
}

/// Octets that are told of a line that is too long.
pub const HEAD_BYTES: usize = 32;

const IAC: u8 = 0xff;
const DM: u8 = 0xf2;

impl LineBuffer {
    /// An empty buffer for lines of at most `limit` octets, end included.
    pub fn new(limit: usize) -> LineBuffer {
        LineBuffer {
            bytes: Vec::new(),
            taken: 0,
            scanned: 0,
            limit,
            discarding: false,
            head: Vec::new(),
        }
    }

    /// Adds octets from the network.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.scanned = self.scanned.saturating_sub(self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next line, if it is complete or over the limit.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        let end = self.find_line_feed();
        if self.discarding {
            return self.discard(end);
        }
        match end {
            Some(end) if end - self.taken < self.limit => {
                let line = self.taken..end;
                self.advance(end + 1);
                self.bytes.get(line).map(|line| Line::Whole(trim(line)))
            }
            Some(end) => {
                self.keep_head(end);
                self.advance(end + 1);
                Some(Line::TooLong(&self.head))
            }
            None if self.bytes.len() - self.taken >= self.limit => {
                self.keep_head(self.bytes.len());
                self.discarding = true;
                self.discard(None)
            }
            None => None,
        }
    }

    /// Octets received and not yet handed out.
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Forgets everything received and not yet handed out.
    pub fn clear(&mut self) {
        *self = LineBuffer::new(self.limit);
    }

    /// Returns memory to the allocator if nothing is buffered.
    pub fn release(&mut self) {
        if self.pending() == 0 {
            self.bytes = Vec::new();
            self.taken = 0;
            self.scanned = 0;
            if !self.discarding {
                self.head = Vec::new();
            }
        }
    }

    fn find_line_feed(&mut self) -> Option<usize> {
        let from = self.scanned.max(self.taken);
        let found = self.bytes.get(from..)?.iter().position(|&b| b == b'\n');
        if found.is_none() {
            self.scanned = self.bytes.len();
        }
        found.map(|at| from + at)
    }

    /// Keeps the first octets of a line that ends at `end`.
    fn keep_head(&mut self, end: usize) {
        let line = self.bytes.get(self.taken..end).unwrap_or_default();
        self.head = line.iter().take(HEAD_BYTES).copied().collect();
    }

    fn discard(&mut self, end: Option<usize>) -> Option<Line<'_>> {
        match end {
            Some(end) => {
                self.discarding = false;
                self.advance(end + 1);
                Some(Line::TooLong(&self.head))
            }
            None => {
                self.advance(self.bytes.len());
                self.release();
                None
            }
        }
    }

    fn advance(&mut self, to: usize) {
        self.taken = to;
        self.scanned = to;
    }
}

/// Removes a CR from the end of the line and Telnet commands from its start.
fn trim(line: &[u8]) -> &[u8] {
    let mut line = line.strip_suffix(b"\r").unwrap_or(line);
    // IP, DM, and their like are 0xF0..=0xFA; 0xFB..=0xFE carry one more octet (RFC 854).
    loop {
        line = match line {
            [IAC, 0xf0..=0xfa, rest @ ..] | [IAC, 0xfb..=0xfe, _, rest @ ..] => rest,
            // Of IAC DM, one is often sent as urgent data, which the stream lacks. No verb begins
            // with either.
            [IAC | DM, rest @ ..] => rest,
            _ => return line,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(buffer: &mut LineBuffer) -> Vec<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        while let Some(line) = buffer.next_line() {
            lines.push(match line {
                Line::Whole(line) => Some(line.to_vec()),
                Line::TooLong(_) => None,
            });
        }
        lines
    }

    #[test]
    fn lines_end_with_lf_and_lose_one_cr() {
        let mut buffer = LineBuffer::new(100);
        buffer.extend(b"USER a\r\nPASS b\nNOOP\r\r\nQU");
        assert_eq!(
            lines(&mut buffer),
            [Some(b"USER a".to_vec()), Some(b"PASS b".to_vec()), Some(b"NOOP\r".to_vec())]
        );
        buffer.extend(b"IT\r\n");
        assert_eq!(lines(&mut buffer), [Some(b"QUIT".to_vec())]);
        assert_eq!(buffer.pending(), 0);
    }

    #[test]
    fn a_line_over_the_limit_is_told_once_and_the_next_one_is_whole() {
        let mut buffer = LineBuffer::new(8);
        for _ in 0..10 {
            buffer.extend(b"xxxxx");
            assert!(buffer.next_line().is_none());
            assert!(buffer.pending() < 8);
        }
        buffer.extend(b"x\r\nNOOP\r\n");
        assert_eq!(lines(&mut buffer), [None, Some(b"NOOP".to_vec())]);
        buffer.extend(b"1234567\n12345678\n");
        assert_eq!(lines(&mut buffer), [Some(b"1234567".to_vec()), None]);
    }

    #[test]
    fn of_a_line_over_the_limit_the_first_octets_are_told() {
        let mut buffer = LineBuffer::new(40);
        buffer.extend(b"POST /");
        assert_eq!(buffer.next_line(), None);
        buffer.extend(&[b'x'; 100]);
        assert_eq!(buffer.next_line(), None);
        buffer.extend(b"x\nGET ");
        assert_eq!(buffer.next_line(), Some(Line::TooLong(b"POST /xxxxxxxxxxxxxxxxxxxxxxxxxx")));
        buffer.extend(&[b'y'; 36]);
        buffer.extend(b"\nNOOP\n");
        assert_eq!(buffer.next_line(), Some(Line::TooLong(b"GET yyyyyyyyyyyyyyyyyyyyyyyyyyyy")));
        assert_eq!(buffer.next_line(), Some(Line::Whole(b"NOOP")));
    }

    #[test]
    fn telnet_commands_are_removed_at_the_start_only() {
        let mut buffer = LineBuffer::new(100);
        buffer.extend(b"\xff\xf4\xff\xf2ABOR\r\n\xff\xf4\xf2STAT\r\nRETR \xff\xf4\xff\r\n");
        assert_eq!(
            lines(&mut buffer),
            [Some(b"ABOR".to_vec()), Some(b"STAT".to_vec()), Some(b"RETR \xff\xf4\xff".to_vec())]
        );
    }

    #[test]
    fn urgent_data_that_took_the_data_mark_out_of_the_stream_leaves_a_whole_verb() {
        let mut buffer = LineBuffer::new(100);
        buffer.extend(b"\xff\xf4\xffABOR\r\n\xf2ABOR\r\n\xff\xfb\x06ABOR\r\n");
        assert_eq!(lines(&mut buffer), vec![Some(b"ABOR".to_vec()); 3]);
    }

    #[test]
    fn an_emptied_buffer_holds_no_memory() {
        let mut buffer = LineBuffer::new(100);
        buffer.extend(b"NOOP\r\n");
        assert_eq!(lines(&mut buffer).len(), 1);
        buffer.release();
        assert_eq!(buffer.bytes.capacity(), 0);
    }
}
