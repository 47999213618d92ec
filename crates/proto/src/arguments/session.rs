//! Arguments that are about the session: HOST, LANG, CSID, OPTS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{ArgumentError, split_word};
use crate::digits::parse_decimal;

/// The host that HOST names (RFC 7151, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A domain name, without a dot at its end, in the client's case.
    Name(&'a str),
    /// An address.
    Address(IpAddr),
}

/// Longest domain name in octets (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// Reads the argument of HOST: a domain name, an IPv4 address, or an IPv6 address in brackets
/// (RFC 7151, 3.1).
///
/// # Errors
/// 501 for anything else: with a port, with a zone, without brackets, not ASCII.
pub fn parse_host(argument: &[u8]) -> Result<Host<'_>, ArgumentError> {
    let text = std::str::from_utf8(argument).map_err(|_| ArgumentError::Syntax)?;
    if let Some(rest) = text.strip_prefix('[') {
        let address = rest.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
        return address.map(|a| Host::Address(a.into())).ok_or(ArgumentError::Syntax);
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Address(address.into()));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let fits = name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label);
    // A last label of digits only is an address gone wrong, never a domain.
    let last_is_number =
        name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if fits && !last_is_number { Ok(Host::Name(name)) } else { Err(ArgumentError::Syntax) }
}

fn is_label(label: &str) -> bool {
    // Underscores are no host name's, but are seen in private networks.
    let octet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=63).contains(&label.len())
        && label.bytes().all(octet)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Reads the argument of LANG: a language tag, `en` or `en-US`, in the client's case
/// (RFC 2640, 4.1, with the grammar of RFC 1766).
///
/// # Errors
/// 501 for anything else.
pub fn parse_language(argument: &[u8]) -> Result<&str, ArgumentError> {
    let text = std::str::from_utf8(argument).map_err(|_| ArgumentError::Syntax)?;
    let sized = |tag: &str| (1..=8).contains(&tag.len());
    let mut tags = text.split('-');
    let primary = tags.next().unwrap_or_default();
    let fits = sized(primary)
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && tags.all(|tag| sized(tag) && tag.bytes().all(|b| b.is_ascii_alphanumeric()));
    if fits { Ok(text) } else { Err(ArgumentError::Syntax) }
}

/// Reads the argument of CSID, `Name=client; Version=1;`: pairs of name and value, spaces around
/// them removed; what is no pair is passed over
/// (draft-peterson-streamlined-ftp-command-extensions).
pub fn name_value_pairs(argument: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    argument.split(|&b| b == b';').filter_map(|pair| {
        let equals = pair.iter().position(|&b| b == b'=')?;
        let (name, value) = pair.split_at(equals);
        let name = name.trim_ascii();
        (!name.is_empty()).then(|| (name, value.get(1..).unwrap_or_default().trim_ascii()))
    })
}

/// Reads what follows `OPTS UTF8`: whether names are to be UTF-8. Nothing and `ON` mean yes.
///
/// # Errors
/// 501 unless it is `ON` or `OFF`.
pub fn parse_utf8_option(options: &[u8]) -> Result<bool, ArgumentError> {
    match options {
        b"" => Ok(true),
        on if on.eq_ignore_ascii_case(b"ON") => Ok(true),
        off if off.eq_ignore_ascii_case(b"OFF") => Ok(false),
        _ => Err(ArgumentError::Syntax),
    }
}

/// Reads what follows `OPTS MODE`: `Z LEVEL n`, the compression level 0 to 9
/// (draft-preston-ftpext-deflate-04).
///
/// # Errors
/// 501 for anything else.
pub fn parse_deflate_level(options: &[u8]) -> Result<u32, ArgumentError> {
    let (mode, rest) = split_word(options);
    let (option, value) = split_word(rest.unwrap_or_default());
    if !mode.eq_ignore_ascii_case(b"Z") || !option.eq_ignore_ascii_case(b"LEVEL") {
        return Err(ArgumentError::Syntax);
    }
    let level = value.and_then(parse_decimal).filter(|level| *level <= 9);
    level.and_then(|level| level.try_into().ok()).ok_or(ArgumentError::Syntax)
}

#[cfg(test)]
mod tests {
    use super::ArgumentError::Syntax;
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_and_never_have_a_port() {
        assert_eq!(parse_host(b"ftp.Example.org"), Ok(Host::Name("ftp.Example.org")));
        assert_eq!(parse_host(b"ftp.example.org."), Ok(Host::Name("ftp.example.org")));
        assert_eq!(parse_host(b"localhost"), Ok(Host::Name("localhost")));
        assert_eq!(parse_host(b"xn--bcher-kva.example"), Ok(Host::Name("xn--bcher-kva.example")));
        assert_eq!(parse_host(b"192.0.2.1"), Ok(Host::Address("192.0.2.1".parse().unwrap())));
        let v6 = Ok(Host::Address("2001:db8::1".parse().unwrap()));
        assert_eq!(parse_host(b"[2001:db8::1]"), v6);
        let long = [b'a'; 64];
        for bad in [
            &b""[..],
            b".",
            b"a..b",
            b".a",
            b"-a.example",
            b"a-.example",
            b"ftp.example.org:21",
            b"192.0.2.1:21",
            b"192.0.2.256",
            b"1.2.3",
            b"2001:db8::1",
            b"[2001:db8::1]:21",
            b"[2001:db8::1",
            b"[fe80::1%eth0]",
            b"[192.0.2.1]",
            b"ftp example",
            "bücher.example".as_bytes(),
            b"\xff",
            b"a/b",
            &long,
        ] {
            assert_eq!(parse_host(bad), Err(Syntax), "{}", bad.escape_ascii());
        }
        let name = [&[b'a'; 50][..]; 6].join(&b'.');
        assert_eq!(parse_host(&name), Err(Syntax));
    }

    #[test]
    fn languages_are_tags_of_letters_with_subtags() {
        for good in ["en", "EN-us", "i-klingon", "zh-Hant-TW", "de-1996"] {
            assert_eq!(parse_language(good.as_bytes()), Ok(good));
        }
        for bad in [&b""[..], b"-", b"en-", b"-en", b"e1", b"en_US", b"en US", b"*", b"toolonglang"]
        {
            assert_eq!(parse_language(bad), Err(Syntax));
        }
    }

    #[test]
    fn csid_pairs_are_read_whatever_stands_between() {
        let pairs: Vec<_> = name_value_pairs(b"Name=A client; Version = 1.2;;x; =y; OS=").collect();
        assert_eq!(pairs, [(&b"Name"[..], &b"A client"[..]), (b"Version", b"1.2"), (b"OS", b"")]);
    }

    #[test]
    fn options_of_utf8_and_mode_z_are_exact() {
        assert_eq!(parse_utf8_option(b""), Ok(true));
        assert_eq!(parse_utf8_option(b"on"), Ok(true));
        assert_eq!(parse_utf8_option(b"OFF"), Ok(false));
        assert_eq!(parse_utf8_option(b"NLST"), Err(Syntax));
        assert_eq!(parse_deflate_level(b"Z LEVEL 9"), Ok(9));
        assert_eq!(parse_deflate_level(b"z level 0"), Ok(0));
        for bad in
            [&b""[..], b"Z", b"Z LEVEL", b"Z LEVEL 10", b"Z LEVEL -1", b"S LEVEL 1", b"Z X 1"]
        {
            assert_eq!(parse_deflate_level(bad), Err(Syntax), "{}", bad.escape_ascii());
        }
    }
}
