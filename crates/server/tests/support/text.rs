//! Octets as transcripts write them: escapes, quotation, placeholders.

use std::fmt::Write as _;

/// Octets with `\xNN`, `\r`, `\n`, `\t`, `\0`, `\\` and `\"` resolved.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        if b != b'\\' {
            out.push(b);
            continue;
        }
        out.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b @ (b'\\' | b'"')) => b,
            Some(b'x') => {
                let digits = [rest.next().unwrap_or(b'?'), rest.next().unwrap_or(b'?')];
                let digits = std::str::from_utf8(&digits).unwrap();
                u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("bad escape: {text}"))
            }
            _ => panic!("bad escape: {text}"),
        });
    }
    out
}

/// Octets for a person to read, in the form that [`unescape`] reads.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' => out.push_str("\\r"),
                '\n' => out.push_str("\\n"),
                '\\' => out.push_str("\\\\"),
                c if c.is_control() => write!(out, "\\x{:02x}", c as u32).unwrap(),
                c => out.push(c),
            }
        }
        for b in chunk.invalid() {
            write!(out, "\\x{b:02x}").unwrap();
        }
    }
    out
}

/// Octets at the end of a directive: `"text"`, or `300 KiB` of a pattern in which every octet tells
/// its place, or nothing.
pub fn contents(text: &str) -> Vec<u8> {
    match quoted(text) {
        Some(inner) => unescape(inner),
        None => pattern(size(text)),
    }
}

/// What stands between quotation marks, if the text is that and nothing else.
pub fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// Octets: `17`, `64 KiB` or `3 MiB`.
pub fn size(text: &str) -> usize {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let factor = match unit {
        "" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => panic!("not a size: {text}"),
    };
    number.parse::<usize>().unwrap_or_else(|_| panic!("not a size: {text}")) * factor
}

/// Octets that are different wherever they are cut: lost, doubled and swapped ones are noticed.
pub fn pattern(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 4);
    for word in 0_u32.. {
        if out.len() >= length {
            break;
        }
        out.extend_from_slice(&word.wrapping_mul(0x9e37_79b9).to_be_bytes());
    }
    out.truncate(length);
    out
}

/// A line with placeholders.
#[derive(Clone, Debug)]
pub struct Pattern {
    pieces: Vec<Piece>,
    source: String,
}

#[derive(Clone, Debug)]
enum Piece {
    Octets(Vec<u8>),
    /// `{number}`: digits.
    Number,
    /// `{port}`: digits, remembered as the port of the next data connection.
    Port,
    /// `{pasv}`: the server's address and a port as 227 has them, remembered likewise.
    Passive,
    /// `{size}`: spaces and digits, as in the columns of LIST.
    Column,
    /// `{time}`: fourteen digits.
    Time,
    /// `{date}`: the twelve octets of a time in LIST.
    Date,
    /// `{unique}`: two hexadecimal numbers with `g` in between.
    Unique,
    /// `{client}`, `{server}`: an address.
    Address(&'static str),
    /// `{any}`: anything.
    Any,
}

/// What a pattern is matched against the background of, and what it found.
#[derive(Clone, Debug)]
pub struct Context {
    pub client: String,
    pub server: String,
    pub port: Option<u16>,
}

impl Pattern {
    pub fn parse(source: &str) -> Pattern {
        let mut pieces = Vec::new();
        let mut rest = source;
        while let Some(open) = rest.find('{') {
            let (before, tail) = rest.split_at(open);
            let close = tail.find('}').unwrap_or_else(|| panic!("no closing brace: {source}"));
            pieces.push(Piece::Octets(unescape(before)));
            pieces.push(match &tail[1..close] {
                "number" => Piece::Number,
                "port" => Piece::Port,
                "pasv" => Piece::Passive,
                "size" => Piece::Column,
                "time" => Piece::Time,
                "date" => Piece::Date,
                "unique" => Piece::Unique,
                "client" => Piece::Address("client"),
                "server" => Piece::Address("server"),
                "any" => Piece::Any,
                other => panic!("unknown placeholder: {other}"),
            });
            rest = &tail[close + 1..];
        }
        pieces.push(Piece::Octets(unescape(rest)));
        Pattern { pieces, source: source.to_owned() }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the line is what the pattern says; a port in it goes to the context.
    pub fn fits(&self, line: &[u8], context: &mut Context) -> bool {
        let mut found = context.clone();
        let fits = fits(&self.pieces, line, &mut found);
        if fits {
            *context = found;
        }
        fits
    }
}

fn fits(pieces: &[Piece], line: &[u8], context: &mut Context) -> bool {
    let Some((piece, others)) = pieces.split_first() else { return line.is_empty() };
    if let Piece::Any = piece {
        return (0..=line.len()).any(|skip| fits(others, &line[skip..], context));
    }
    match length(piece, line, context) {
        Some(length) => fits(others, &line[length..], context),
        None => false,
    }
}

/// How many octets of the line the piece takes, if it fits.
fn length(piece: &Piece, line: &[u8], context: &mut Context) -> Option<usize> {
    let run = |from: usize, of: fn(&u8) -> bool| {
        let length = line[from..].iter().take_while(|b| of(b)).count();
        (length > 0).then_some(from + length)
    };
    match piece {
        Piece::Octets(octets) => line.starts_with(octets).then_some(octets.len()),
        Piece::Number => run(0, u8::is_ascii_digit),
        Piece::Port => {
            let length = run(0, u8::is_ascii_digit)?;
            context.port = Some(std::str::from_utf8(&line[..length]).ok()?.parse().ok()?);
            Some(length)
        }
        Piece::Passive => passive(line, context),
        Piece::Column => run(line.iter().take_while(|b| **b == b' ').count(), u8::is_ascii_digit),
        Piece::Time => run(0, u8::is_ascii_digit).filter(|length| *length == 14),
        Piece::Date => is_date(line).then_some(12),
        Piece::Unique => {
            let middle = run(0, u8::is_ascii_hexdigit)?;
            (line.get(middle) == Some(&b'g')).then_some(())?;
            run(middle + 1, u8::is_ascii_hexdigit)
        }
        Piece::Address(who) => {
            let address = if *who == "client" { &context.client } else { &context.server };
            line.starts_with(address.as_bytes()).then_some(address.len())
        }
        Piece::Any => None,
    }
}

fn passive(line: &[u8], context: &mut Context) -> Option<usize> {
    let prefix = format!("{},", context.server.replace('.', ","));
    let rest = line.strip_prefix(prefix.as_bytes())?;
    let length = rest.iter().take_while(|b| b.is_ascii_digit() || **b == b',').count();
    let (high, low) = std::str::from_utf8(&rest[..length]).ok()?.split_once(',')?;
    context.port =
        Some(u16::from(high.parse::<u8>().ok()?) << 8 | u16::from(low.parse::<u8>().ok()?));
    Some(prefix.len() + length)
}

/// `Jan 02 15:04` or `Jan 02  2006`.
fn is_date(line: &[u8]) -> bool {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let Some(date) = line.get(..12) else { return false };
    let shape = |shape: &[u8]| {
        date.iter().zip(shape).all(|(b, s)| if *s == b'0' { b.is_ascii_digit() } else { b == s })
    };
    let (month, _) = date.split_at(3);
    let rest = [month, b" 00 00:00"].concat();
    let year = [month, b" 00  0000"].concat();
    MONTHS.chunks(3).any(|known| known == month) && (shape(&rest) || shape(&year))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context { client: "198.51.100.7".into(), server: "192.0.2.1".into(), port: None }
    }

    #[test]
    fn placeholders_stand_for_what_their_names_say_and_remember_ports() {
        let mut context = context();
        let pattern = Pattern::parse("227 Entering Passive Mode ({pasv}).");
        assert!(pattern.fits(b"227 Entering Passive Mode (192,0,2,1,4,1).", &mut context));
        assert_eq!(context.port, Some(1025));
        assert!(!pattern.fits(b"227 Entering Passive Mode (192,0,2,2,4,1).", &mut context));
        assert!(Pattern::parse("{any}{number} b").fits(b"ab c12 b", &mut context));
        assert!(Pattern::parse("{date}|{date}").fits(b"Jan 01 10:30|Feb 29  2024", &mut context));
        assert!(!Pattern::parse("{date}").fits(b"Jab 01 10:30", &mut context));
        assert!(Pattern::parse("x{size} {unique};").fits(b"x   12 8g0af;", &mut context));
        assert!(!Pattern::parse("{time}").fits(b"2024010100000", &mut context));
    }

    #[test]
    fn escapes_go_both_ways() {
        assert_eq!(unescape(r#"a\r\n\xff\\\"\0"#), b"a\r\n\xff\\\"\0");
        assert_eq!(escape(b"a\r\n\xff\\\0"), r"a\r\n\xff\\\x00");
    }
}
