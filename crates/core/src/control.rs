//! Acting on a running server from elsewhere than its sessions: ending one, keeping addresses out.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::session::SessionId;

/// A server that can be acted on.
pub trait Control: Send + Sync {
    /// Ends a session as soon as it can be told; `false` if there is none of that number.
    fn disconnect(&self, session: SessionId, message: &str) -> bool;

    /// Refuses new connections from these addresses for a while, which may be longer than they are
    /// refused already, or shorter.
    ///
    /// # Errors
    /// There are too many such networks.
    fn ban(&self, network: Network, period: Duration) -> Result<(), String>;

    /// Takes connections from these addresses again. Only what was banned as this very network.
    fn unban(&self, network: Network);
}

/// Addresses with the same beginning, such as `192.0.2.0/24`; an address alone is a network, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// IPv4 is mapped into IPv6.
    bits: u128,
    prefix: u8,
}

/// A text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network such as 192.0.2.0/24 or 2001:db8::/32: {0}")]
pub struct NotANetwork(String);

impl Network {
    /// Whether it has that address.
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & mask(self.prefix) == self.bits
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Network, NotANetwork> {
        let wrong = || NotANetwork(text.chars().take(64).collect());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = prefix.map_or(Ok(whole), |prefix| prefix.parse().map_err(|_| wrong()))?;
        if prefix > whole {
            return Err(wrong());
        }
        let prefix = prefix + (128 - whole);
        Ok(Network { bits: bits(address) & mask(prefix), prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = std::net::Ipv6Addr::from_bits(self.bits);
        match address.to_ipv4_mapped() {
            Some(v4) if self.prefix >= 96 => write!(f, "{v4}/{}", self.prefix - 96),
            _ => write!(f, "{address}/{}", self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_told_by_their_beginning() {
        for (text, told) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), told, "{text}");
        }
        for text in ["", "192.0.2.7/33", "192.0.2.7/", "192.0.2/24", "::/129", "a/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_in_its_network_however_it_is_written() {
        let network: Network = "192.0.2.0/24".parse().unwrap();
        for (address, inside) in
            [("192.0.2.255", true), ("::ffff:192.0.2.1", true), ("192.0.3.0", false), ("::", false)]
        {
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!("::/0".parse::<Network>().unwrap().contains("192.0.2.1".parse().unwrap()));
    }
}
