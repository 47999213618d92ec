//! Addresses of data connections: what PORT and EPRT name, what PASV and EPSV answer.
//!
//! Whether an address may be connected to (the control peer's, a port of 1024 and above) is
//! policy and not decided here; port 0 parses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use crate::digits::{parse_decimal, write_decimal};
use crate::reply::{Code, Reply};

/// An address is not of its command's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address of the form that the command wants")]
pub struct AddressError;

impl AddressError {
    /// The reply code: 501.
    pub const fn code(self) -> Code {
        Code::BAD_PARAMETER
    }
}

/// Why an argument of EPRT cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EprtError {
    /// It is not `|family|address|port|`: 501.
    #[error("not an address of the form |family|address|port|")]
    Malformed,
    /// The family is a number, but neither 1 nor 2: 522 (RFC 2428, 2).
    #[error("network protocol not supported, use (1,2)")]
    UnknownFamily,
}

impl EprtError {
    /// The reply code: 501 or 522.
    pub const fn code(self) -> Code {
        match self {
            EprtError::Malformed => Code::BAD_PARAMETER,
            EprtError::UnknownFamily => Code::BAD_PROTOCOL,
        }
    }
}

/// An address family that EPRT and EPSV know (RFC 2428, 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 1: IPv4.
    Ipv4,
    /// 2: IPv6.
    Ipv6,
}

impl Family {
    /// The family of that address.
    pub const fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }
}

/// What an EPSV asks for (RFC 2428, 3 and 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpsvArgument {
    /// No argument: the family of the control connection.
    None,
    /// That family.
    Family(Family),
    /// A family that nobody here knows: 522.
    UnknownFamily,
    /// `ALL`: no other way to set up data connections from now on.
    All,
}

impl EpsvArgument {
    /// Reads the argument of EPSV; an empty one is none.
    ///
    /// # Errors
    /// It is neither a number nor `ALL`: 501.
    pub fn parse(argument: &[u8]) -> Result<EpsvArgument, AddressError> {
        match argument {
            b"" => Ok(EpsvArgument::None),
            b"1" => Ok(EpsvArgument::Family(Family::Ipv4)),
            b"2" => Ok(EpsvArgument::Family(Family::Ipv6)),
            all if all.eq_ignore_ascii_case(b"ALL") => Ok(EpsvArgument::All),
            other if is_number(other) => Ok(EpsvArgument::UnknownFamily),
            _ => Err(AddressError),
        }
    }
}

/// Reads the argument of PORT: `h1,h2,h3,h4,p1,p2` (RFC 959, 4.1.2).
///
/// # Errors
/// It is anything but six decimal numbers of 0 to 255 without leading zeros: 501. A leading zero
/// means octal to some and decimal to others, and so names two addresses.
pub fn parse_port(argument: &[u8]) -> Result<SocketAddrV4, AddressError> {
    let mut octets = [0_u8; 6];
    let mut fields = argument.split(|&b| b == b',');
    for octet in &mut octets {
        *octet = fields.next().and_then(parse_octet).ok_or(AddressError)?;
    }
    if fields.next().is_some() {
        return Err(AddressError);
    }
    let [h1, h2, h3, h4, p1, p2] = octets;
    Ok(SocketAddrV4::new(Ipv4Addr::new(h1, h2, h3, h4), u16::from_be_bytes([p1, p2])))
}

/// Reads the argument of EPRT: `|family|address|port|` with any delimiter of ASCII 33 to 126
/// (RFC 2428, 2).
///
/// An IPv4 address in IPv6 clothes stays in them.
///
/// # Errors
/// [`EprtError::UnknownFamily`] if the family is a number other than 1 and 2, whatever follows;
/// [`EprtError::Malformed`] for any other flaw, zone identifiers (`%eth0`) included.
pub fn parse_eprt(argument: &[u8]) -> Result<SocketAddr, EprtError> {
    let (&delimiter, rest) = argument.split_first().ok_or(EprtError::Malformed)?;
    if !delimiter.is_ascii_graphic() {
        return Err(EprtError::Malformed);
    }
    let mut fields = rest.split(|&b| b == delimiter);
    let mut field = || fields.next().ok_or(EprtError::Malformed);
    let (family, address, port, end) = (field()?, field()?, field()?, field()?);
    if !end.is_empty() || fields.next().is_some() {
        return Err(EprtError::Malformed);
    }
    let address = std::str::from_utf8(address).map_err(|_| EprtError::Malformed)?;
    let address = match family {
        b"1" => address.parse::<Ipv4Addr>().map(IpAddr::V4),
        b"2" => address.parse::<Ipv6Addr>().map(IpAddr::V6),
        other if is_number(other) => return Err(EprtError::UnknownFamily),
        _ => return Err(EprtError::Malformed),
    };
    let address = address.map_err(|_| EprtError::Malformed)?;
    let port = parse_port_number(port).ok_or(EprtError::Malformed)?;
    Ok(SocketAddr::new(address, port))
}

/// The answer to PASV: 227 with the address in parentheses, no spaces in it (RFC 959, 4.1.2).
pub fn passive_reply(address: SocketAddrV4) -> Reply {
    let mut text = b"Entering Passive Mode (".to_vec();
    for octet in address.ip().octets().into_iter().chain(address.port().to_be_bytes()) {
        write_decimal(&mut text, u64::from(octet));
        text.push(b',');
    }
    text.pop();
    text.extend_from_slice(b").");
    Reply::data(Code::PASSIVE, text)
}

/// The answer to EPSV: 229 with the port (RFC 2428, 3).
pub fn extended_passive_reply(port: u16) -> Reply {
    let mut text = b"Entering Extended Passive Mode (|||".to_vec();
    write_decimal(&mut text, u64::from(port));
    text.extend_from_slice(b"|)");
    Reply::data(Code::EXTENDED_PASSIVE, text)
}

/// Reads the address out of the text of a 227, as a client does.
///
/// # Errors
/// There is no address in parentheses.
pub fn parse_passive(text: &[u8]) -> Result<SocketAddrV4, AddressError> {
    parse_port(parenthesised(text).ok_or(AddressError)?)
}

/// Reads the port out of the text of a 229, as a client does (RFC 2428, 3).
///
/// # Errors
/// There is no `(|||port|)`, of whatever delimiter.
pub fn parse_extended_passive(text: &[u8]) -> Result<u16, AddressError> {
    let inner = parenthesised(text).ok_or(AddressError)?;
    let [d1, d2, d3, port @ .., d4] = inner else { return Err(AddressError) };
    if !d1.is_ascii_graphic() || [d2, d3, d4] != [d1; 3] {
        return Err(AddressError);
    }
    parse_port_number(port).ok_or(AddressError)
}

fn parenthesised(text: &[u8]) -> Option<&[u8]> {
    let start = text.iter().position(|&b| b == b'(')?;
    let inner = text.get(start + 1..)?;
    let end = inner.iter().position(|&b| b == b')')?;
    inner.get(..end)
}

fn parse_octet(digits: &[u8]) -> Option<u8> {
    if digits.len() > 1 && digits.first() == Some(&b'0') {
        return None;
    }
    parse_decimal(digits)?.try_into().ok()
}

fn parse_port_number(digits: &[u8]) -> Option<u16> {
    parse_decimal(digits)?.try_into().ok()
}

fn is_number(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_six_numbers_and_nothing_else() {
        assert_eq!(parse_port(b"192,168,1,2,7,228"), Ok("192.168.1.2:2020".parse().unwrap()));
        assert_eq!(parse_port(b"0,0,0,0,0,0"), Ok("0.0.0.0:0".parse().unwrap()));
        for bad in [
            &b""[..],
            b"1,2,3,4,5",
            b"1,2,3,4,5,6,7",
            b"1,2,3,4,5,",
            b",1,2,3,4,5",
            b"1,2,3,4,5,256",
            b"1,2,3,4,5,-6",
            b"1,2,3,4,5,+6",
            b"1,2,3,4,5, 6",
            b"1,2,3,4,5,6 ",
            b"010,2,3,4,5,6",
            b"0x7f,0,0,1,5,6",
            b"127.0.0.1:2020",
            b"1,2,3,4,5,18446744073709551617",
            b"\xff,2,3,4,5,6",
        ] {
            assert_eq!(parse_port(bad), Err(AddressError), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn eprt_takes_any_delimiter_and_both_families() {
        let v4 = Ok("132.235.1.2:6275".parse().unwrap());
        let v6 = Ok("[1080::8:800:200c:417a]:5282".parse().unwrap());
        assert_eq!(parse_eprt(b"|1|132.235.1.2|6275|"), v4);
        assert_eq!(parse_eprt(b"~1~132.235.1.2~6275~"), v4);
        assert_eq!(parse_eprt(b"|2|1080::8:800:200C:417A|5282|"), v6);
        assert_eq!(parse_eprt(b"!2!1080::8:800:200C:417A!5282!"), v6);
    }

    #[test]
    fn eprt_tells_an_unknown_family_from_a_flaw() {
        for unknown in [&b"|3|132.235.1.2|6275|"[..], b"|0|x|y|", b"|99999999999999999999|::|1|"] {
            assert_eq!(parse_eprt(unknown), Err(EprtError::UnknownFamily));
        }
        assert_eq!(EprtError::UnknownFamily.code(), Code::BAD_PROTOCOL);
        for bad in [
            &b""[..],
            b"|",
            b"|||||",
            b"|1|132.235.1.2|6275",
            b"|1|132.235.1.2|6275||",
            b"|1|132.235.1.2|6275| ",
            b"|1|132.235.1.2|65536|",
            b"|1|132.235.1.2||",
            b"|1|132.235.1.2|+80|",
            b"|1|132.235.01.2|6275|",
            b"|1|::1|6275|",
            b"|2|132.235.1.2|6275|",
            b"|2|fe80::1%eth0|6275|",
            b"|2|[::1]|6275|",
            b"|1|ftp.example.org|6275|",
            b"|x|132.235.1.2|6275|",
            b"|01|132.235.1.2|6275|x",
            b" 1 132.235.1.2 6275 ",
            b"\x801\x80132.235.1.2\x806275\x80",
        ] {
            assert_eq!(parse_eprt(bad), Err(EprtError::Malformed), "{}", bad.escape_ascii());
        }
        assert_eq!(EprtError::Malformed.code(), Code::BAD_PARAMETER);
    }

    #[test]
    fn epsv_asks_for_a_family_for_all_or_for_nothing_in_particular() {
        use EpsvArgument::{All, UnknownFamily};
        assert_eq!(EpsvArgument::parse(b""), Ok(EpsvArgument::None));
        assert_eq!(EpsvArgument::parse(b"1"), Ok(EpsvArgument::Family(Family::Ipv4)));
        assert_eq!(EpsvArgument::parse(b"2"), Ok(EpsvArgument::Family(Family::Ipv6)));
        assert_eq!(EpsvArgument::parse(b"aLL"), Ok(All));
        assert_eq!(EpsvArgument::parse(b"3"), Ok(UnknownFamily));
        assert_eq!(EpsvArgument::parse(b"99999999999999999999"), Ok(UnknownFamily));
        for bad in [&b" "[..], b"1 ", b"-1", b"ALLES", b"IPv4"] {
            assert_eq!(EpsvArgument::parse(bad), Err(AddressError));
        }
        assert_eq!(AddressError.code(), Code::BAD_PARAMETER);
    }

    #[test]
    fn passive_replies_have_the_form_that_clients_and_firewalls_match() {
        let mut out = Vec::new();
        let reply = passive_reply("203.0.113.7:49152".parse().unwrap());
        reply.encode(&mut out);
        assert_eq!(out, b"227 Entering Passive Mode (203,0,113,7,192,0).\r\n");
        assert_eq!(reply.wording(), crate::reply::Wording::Data);
        out.clear();
        extended_passive_reply(6446).encode(&mut out);
        assert_eq!(out, b"229 Entering Extended Passive Mode (|||6446|)\r\n");
    }

    #[test]
    fn a_passive_reply_without_an_address_is_refused() {
        for bad in [&b""[..], b"1,2,3,4,5,6", b"(1,2,3,4,5)", b"(1,2,3,4,5,6", b")1,2,3,4,5,6("] {
            assert_eq!(parse_passive(bad), Err(AddressError));
        }
        for bad in [&b""[..], b"(||||)", b"(|||1|", b"(||x1|)", b"(|||65536|)", b"(   1 )", b"(1)"]
        {
            assert_eq!(parse_extended_passive(bad), Err(AddressError), "{}", bad.escape_ascii());
        }
        assert_eq!(parse_extended_passive(b"mode (!!!21!) ok"), Ok(21));
    }
}
