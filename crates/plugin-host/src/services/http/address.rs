//! The second judgement: whether a service may have that address.
//!
//! What a name leads to is not the operator's word: without this, a service that is allowed by name
//! could point at the server's own machine, at a cloud's metadata, or at a neighbour that trusts the
//! local network. IPv4 within IPv6 is judged as the IPv4 address that it leads to, however it is
//! written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Anybody's.
    Public,
    /// This machine's, or of a private network: where the operator says so.
    Private,
    /// Nobody's, everybody's, or one where clouds tell secrets: never.
    Never,
}

/// Tells what kind of address it is.
pub(crate) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        // Where Alibaba's cloud tells its secrets.
        (100, 100, 100) if address.octets() == [100, 100, 100, 200] => Reach::Never,
        // Where machines of Azure's are told theirs.
        (168, 63, 129) if address.octets() == [168, 63, 129, 16] => Reach::Never,
        (10 | 127, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => Reach::Private,
        // This network; link-local, with the metadata of most clouds; multicast and what is reserved.
        (0, ..) | (169, 254, _) | (224.., ..) => Reach::Never,
        // Protocol assignments, documentation, the old 6to4 relay, benchmarks.
        (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) | (198, 18 | 19, _) => {
            Reach::Never
        }
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if let Some(v4) = embedded(address) {
        return reach_v4(v4);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Private,
        // Where Amazon's cloud tells its secrets.
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254] => Reach::Never,
        [0xfc00..=0xfdff, ..] => Reach::Private,
        // Protocol assignments, Teredo among them, and documentation.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Reach::Never,
        // What is given out to anybody.
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

/// The IPv4 address that an IPv6 address leads to.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Mapped, compatible, translated (SIIT), NAT64.
        [0, 0, 0, 0, 0 | 0xffff, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(v4(high, low))
        }
        // 6to4.
        [0x2002, high, low, ..] => Some(v4(high, low)),
        // ISATAP.
        [_, _, _, _, 0 | 0x0200, 0x5efe, high, low] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(address: &str) -> Reach {
        reach(address.parse().unwrap())
    }

    #[test]
    fn addresses_of_services_are_public() {
        for address in ["1.1.1.1", "192.0.1.1", "172.32.0.1", "2606:4700::1111", "2a00::1"] {
            assert_eq!(reached(address), Reach::Public, "{address}");
        }
        assert_eq!(reached("::ffff:1.1.1.1"), Reach::Public);
        assert_eq!(reached("64:ff9b::1.1.1.1"), Reach::Public);
    }

    #[test]
    fn this_machine_and_private_networks_are_private_however_they_are_written() {
        for v4 in
            ["127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1"]
        {
            assert_eq!(reached(v4), Reach::Private, "{v4}");
            for spelling in ["::ffff:", "::ffff:0:", "64:ff9b::", "fe80::5efe:", "2a00::200:5efe:"]
            {
                assert_eq!(reached(&format!("{spelling}{v4}")), Reach::Private, "{spelling}{v4}");
            }
        }
        for address in ["::1", "fc00::1", "fd12::1", "2002:7f00:1::1", "2002:c0a8:101::"] {
            assert_eq!(reached(address), Reach::Private, "{address}");
        }
        assert_eq!(reached("::127.0.0.1"), Reach::Private, "compatible");
    }

    #[test]
    fn what_is_nobodys_or_tells_secrets_is_never_reached() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "::",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "fd00:ec2::254",
            "100::1",
            "64:ff9b:1::1",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "fec0::1",
            "3fff::1",
            "4000::1",
        ] {
            assert_eq!(reached(address), Reach::Never, "{address}");
        }
    }
}
