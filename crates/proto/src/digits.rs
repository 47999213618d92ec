//! Numbers to digits and back, without allocation and without signs.

/// Digits of `u64::MAX` in base 8, the longest of all.
const DIGITS_MAX: usize = 22;

/// Appends the number in decimal.
pub(crate) fn write_decimal(out: &mut Vec<u8>, value: u64) {
    write_radix::<10>(out, value, 0, b'0');
}

/// Appends the number in decimal, filled on the left to `width` octets (at most 22).
pub(crate) fn write_padded(out: &mut Vec<u8>, value: u64, width: usize, fill: u8) {
    write_radix::<10>(out, value, width, fill);
}

/// Appends the number in octal, with zeros on the left to `width` octets (at most 22).
pub(crate) fn write_octal(out: &mut Vec<u8>, value: u64, width: usize) {
    write_radix::<8>(out, value, width, b'0');
}

/// Appends the number in lower-case hexadecimal.
pub(crate) fn write_hex(out: &mut Vec<u8>, value: u64) {
    write_radix::<16>(out, value, 0, b'0');
}

/// Reads a number of digits only: no sign, no space, no overflow.
pub(crate) fn parse_decimal(digits: &[u8]) -> Option<u64> {
    parse_radix::<10>(digits)
}

/// Reads an octal number of digits only.
pub(crate) fn parse_octal(digits: &[u8]) -> Option<u64> {
    parse_radix::<8>(digits)
}

fn write_radix<const RADIX: u64>(out: &mut Vec<u8>, mut value: u64, width: usize, fill: u8) {
    let digits = 1 + match RADIX {
        10 => value.checked_ilog10(),
        _ => value.checked_ilog2().map(|bit| bit / RADIX.ilog2()),
    }
    .unwrap_or(0) as usize;
    let end = out.len() + digits.max(width.min(DIGITS_MAX));
    // All that there may be is made at once, without a call, and the digits are written in place.
    out.extend_from_slice(&[fill; DIGITS_MAX]);
    out.truncate(end);
    for slot in out.iter_mut().rev().take(digits) {
        let digit = (value % RADIX) as u8;
        *slot = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        value /= RADIX;
    }
}

fn parse_radix<const RADIX: u64>(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &b| {
        let digit = u64::from(b.checked_sub(b'0')?);
        if digit >= RADIX {
            return None;
        }
        value.checked_mul(RADIX)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for value in [0, 7, 8, 9, 10, 99, 100, 1234, 0o7777, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            write_decimal(&mut out, value);
            out.push(b' ');
            write_octal(&mut out, value, 4);
            out.push(b' ');
            write_hex(&mut out, value);
            out.push(b' ');
            write_padded(&mut out, value, 8, b' ');
            let expected = format!("{value} {value:04o} {value:x} {value:8}");
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn only_digits_are_numbers() {
        assert_eq!(parse_decimal(b"007"), Some(7));
        assert_eq!(parse_decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_octal(b"0644"), Some(0o644));
        for bad in [&b""[..], b"-1", b"+1", b" 1", b"1 ", b"0x1", b"18446744073709551616", b"1:"] {
            assert_eq!(parse_decimal(bad), None);
        }
        assert_eq!(parse_octal(b"8"), None);
    }
}
