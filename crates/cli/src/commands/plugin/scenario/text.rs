//! Octets as scenarios write them, and lines with something left open.

/// Stands for anything.
const ANY: &str = "{any}";

/// Octets with `\r`, `\n`, `\t`, `\0`, `\\`, `\"` and `\xNN` resolved.
pub(super) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            octets.push(octet);
            continue;
        }
        octets.push(match rest.next()? {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            same @ (b'\\' | b'"') => same,
            b'x' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(octets)
}

/// What stands between quotation marks, if the text is that and nothing else.
pub(super) fn inner(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// Octets in quotation marks, or so many as `300 KiB` says, of which every four tell their place.
pub(super) fn octets(text: &str) -> Option<Vec<u8>> {
    if let Some(inner) = inner(text) {
        return unescaped(inner);
    }
    let (number, unit) = text.split_once(' ')?;
    let unit = match unit {
        "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return None,
    };
    let length = number.parse::<usize>().ok()?.checked_mul(unit)?;
    let words = (0_u32..).flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_be_bytes());
    Some(words.take(length).collect())
}

/// Octets for a person to read.
pub(super) fn shown(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let plain = |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(plain).collect()
}

/// The beginning of octets, in quotation marks.
pub(super) fn quoted(octets: &[u8]) -> String {
    const SHOWN_MAX: usize = 120;
    let begin = octets.get(..SHOWN_MAX).unwrap_or(octets);
    let more = octets.len() - begin.len();
    let more = if more > 0 { format!(" and {more} octets more") } else { String::new() };
    format!("\"{}\"{more}", begin.escape_ascii())
}

/// Octets in which `{any}` stands for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<Vec<u8>>,
    source: String,
}

impl Pattern {
    /// Reads one, escapes resolved.
    pub(super) fn parse(source: &str) -> Option<Self> {
        let parts = source.split(ANY).map(unescaped).collect::<Option<_>>()?;
        Some(Self { parts, source: source.to_owned() })
    }

    /// As it was written.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether octets are what it says.
    pub(super) fn fits(&self, octets: &[u8]) -> bool {
        let Some((first, others)) = self.parts.split_first() else { return octets.is_empty() };
        let Some(mut rest) = octets.strip_prefix(&**first) else { return false };
        let Some((last, middle)) = others.split_last() else { return rest.is_empty() };
        for part in middle {
            let place = rest.windows(part.len().max(1)).position(|piece| piece.starts_with(part));
            let after = place.and_then(|place| rest.get(place + part.len()..));
            let Some(after) = after else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_stands_for_anything() {
        let fits = |pattern: &str, octets: &[u8]| Pattern::parse(pattern).unwrap().fits(octets);
        assert!(fits("211 a", b"211 a"));
        assert!(!fits("211 a", b"211 ab"));
        assert!(fits("150 {any}", b"150 "));
        assert!(fits("227 {any}({any})", b"227 Go (1,2)"));
        assert!(!fits("227 {any}({any})", b"227 Go"));
        assert!(fits("{any}\\xff{any}", b"a\xffb"));
    }

    #[test]
    fn octets_are_written_or_counted() {
        assert_eq!(octets(r#""a\n\x00\"""#).unwrap(), b"a\n\0\"");
        assert_eq!(octets("5 B").unwrap(), [0, 0, 0, 0, 0x9e]);
        assert_eq!(octets("1 KiB").unwrap().len(), 1024);
        assert_eq!(octets("1 GiB"), None);
        assert_eq!(octets(r#""\q""#), None);
    }
}
