//! What the machine says about itself that a configuration can be at odds with.

use crate::types::PortRange;

/// Facts about the machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct System {
    /// The ports that the kernel gives to outgoing connections.
    pub(crate) local_ports: Option<PortRange>,
    /// Those among them that it leaves alone.
    pub(crate) reserved_ports: Vec<PortRange>,
}

impl System {
    /// Asks the kernel; what it does not tell is not known.
    pub(crate) fn probe() -> Self {
        let read = |name| {
            let path = std::path::Path::new("/proc/sys/net/ipv4").join(name);
            std::fs::read_to_string(path).unwrap_or_default()
        };
        Self::parse(&read("ip_local_port_range"), &read("ip_local_reserved_ports"))
    }

    fn parse(local: &str, reserved: &str) -> Self {
        let mut ends = local.split_whitespace().map(str::parse);
        let local_ports = match (ends.next(), ends.next()) {
            (Some(Ok(low)), Some(Ok(high))) => PortRange::new(low, high),
            _ => None,
        };
        let range = |text: &str| {
            let (low, high) = text.split_once('-').unwrap_or((text, text));
            PortRange::new(low.parse().ok()?, high.parse().ok()?)
        };
        let reserved_ports = reserved.trim().split(',').filter_map(range).collect();
        Self { local_ports, reserved_ports }
    }

    /// Returns whether the kernel may give a port of `ports` to an outgoing connection.
    pub(crate) fn may_take_from(&self, ports: PortRange) -> bool {
        self.local_ports.is_some_and(|local| {
            let (low, high) = (local.low().max(ports.low()), local.high().min(ports.high()));
            let reserved = |port: u16| self.reserved_ports.iter().any(|range| range.contains(port));
            (low..=high).any(|port| !reserved(port))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_both_ranges_may_be_taken_unless_reserved() {
        let range = |low, high| PortRange::new(low, high).unwrap();
        let system = System::parse("32768\t60999\n", "50000-50010,8080\n");
        assert!(system.may_take_from(range(60_000, 62_000)));
        assert!(system.may_take_from(range(50_000, 50_011)));
        assert!(!system.may_take_from(range(50_000, 50_010)));
        assert!(!system.may_take_from(range(61_000, 62_000)));
        assert!(!System::parse("", "").may_take_from(range(1, 65_535)));
    }
}
