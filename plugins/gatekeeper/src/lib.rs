//! Keeps clients out: by lists, by how often they connect, and after failed logins.
//!
//! Connections are decided upon before the greeting; failed logins are heard of as events, so no
//! login waits for this. What is counted is in the store that the server lends: all instances
//! share it, and it survives a reload. IPv6 clients count by their network of 64 bits, of which
//! anyone has one.

#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::time::Duration;

use waft_plugin_sdk::{
    ConnectDecision, ConnectionFilter, Event, EventSink, Interest, Network, Plugin, Reply, Section,
    Session, Settings, clock, kv, log, metrics,
};

const DEFAULT_MESSAGE: &str = "Not for you, for now.";

/// Whom the operator keeps out.
#[derive(Debug)]
pub struct Gatekeeper {
    /// Never kept out.
    allow: Vec<Network>,
    /// Always kept out.
    deny: Vec<Network>,
    /// Whether all but `allow` are kept out.
    only_allowed: bool,
    message: String,
    /// Whether nothing is said.
    silent: bool,
    connections: Option<Rate>,
    failures: Option<(Rate, Duration)>,
}

/// So many within a time, and no more.
#[derive(Debug, Clone, Copy)]
struct Rate {
    most: i64,
    within: Duration,
}

impl Plugin for Gatekeeper {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let (rate, failures) = (root.section("connections"), root.section("failures"));
        let limit = Rate::read(&failures, 10);
        let ban = failures.duration("ban");
        let plugin = Self {
            allow: root.networks("allow"),
            deny: root.networks("deny"),
            only_allowed: root.flag("only_allowed").unwrap_or(false),
            message: root.text("message").unwrap_or_else(|| DEFAULT_MESSAGE.to_owned()),
            silent: root.flag("silent").unwrap_or(false),
            connections: Rate::read(&rate, 1),
            failures: limit.map(|limit| (limit, ban.unwrap_or(Duration::from_secs(3600)))),
        };
        if plugin.message.contains(char::is_control) {
            root.mistake("message", "one line is wanted, without control characters");
        }
        settings.finish().map(|()| plugin)
    }

    fn interest(&self) -> Interest {
        match self.failures {
            Some(_) => Interest::nothing().in_events(["auth.fail"]),
            None => Interest::nothing(),
        }
    }
}

impl ConnectionFilter for Gatekeeper {
    fn on_connect(&self, session: Session<'_>) -> ConnectDecision {
        let Ok(address) = session.remote_ip().parse::<IpAddr>() else {
            return ConnectDecision::Pass;
        };
        match self.reason(address) {
            None => ConnectDecision::Pass,
            Some(reason) => {
                metrics::counter("kept_out_total", 1, &[("reason", reason)]);
                log::info("kept out", &[("address", &address.to_string()), ("reason", reason)]);
                if self.silent {
                    return ConnectDecision::Drop;
                }
                ConnectDecision::Reject(Reply::new(421, &self.message))
            }
        }
    }
}

impl EventSink for Gatekeeper {
    fn on_events(&self, events: &[Event]) -> Result<(), String> {
        let failed = events.iter().filter(|event| event.name == "auth.fail");
        for address in failed.filter_map(|event| address_of(event.text("peer")?)) {
            self.note_failure(address);
        }
        Ok(())
    }
}

impl Gatekeeper {
    /// Why a client is kept out.
    fn reason(&self, address: IpAddr) -> Option<&'static str> {
        let listed = |list: &[Network]| list.iter().any(|network| network.contains(address));
        if listed(&self.allow) {
            return None;
        }
        if self.only_allowed || listed(&self.deny) {
            return Some("listed");
        }
        let client = client(address);
        // A store that fails keeps nobody out: the lists still hold.
        if self.failures.is_some()
            && kv::get(&format!("ban:{client}")).is_ok_and(|ban| ban.is_some())
        {
            return Some("banned");
        }
        self.connections?.is_exceeded("connections", &client).then_some("rate")
    }

    fn note_failure(&self, address: IpAddr) {
        let Some((limit, ban)) = self.failures else { return };
        let client = client(address);
        if self.allow.iter().any(|network| network.contains(address))
            || !limit.is_reached("failures", &client)
        {
            return;
        }
        match kv::set(&format!("ban:{client}"), b"", Some(ban)) {
            Ok(()) => log::warn("banned after failed logins", &[("client", &client)]),
            Err(error) => {
                log::error("cannot ban", &[("client", &client), ("error", &format!("{error:?}"))]);
            }
        }
    }
}

impl Rate {
    /// Reads `limit` and `within`, which is so many minutes by default; none without a limit.
    fn read(section: &Section<'_>, minutes: u64) -> Option<Self> {
        let most = section.number::<u32>("limit");
        let within = section.duration("within");
        if most == Some(0) {
            section.mistake("limit", "a number above 0 is wanted");
        }
        if within == Some(Duration::ZERO) {
            section.mistake("within", "a time above 0 is wanted");
        }
        let within = within.unwrap_or(Duration::from_secs(60 * minutes));
        most.map(|most| Self { most: most.into(), within })
    }

    fn is_exceeded(self, what: &str, client: &str) -> bool {
        self.count(what, client) > self.most
    }

    fn is_reached(self, what: &str, client: &str) -> bool {
        self.count(what, client) >= self.most
    }

    /// Counts one more in the period that the clock is in.
    fn count(self, what: &str, client: &str) -> i64 {
        let length = u64::try_from(self.within.as_millis()).unwrap_or(u64::MAX).max(1);
        let period = clock::now_ms() / length;
        let key = format!("{what}:{client}:{period}");
        kv::increment(&key, 1, Some(self.within)).unwrap_or_else(|error| {
            log::warn("cannot count", &[("what", what), ("error", &format!("{error:?}"))]);
            0
        })
    }
}

/// What stands for a client: its IPv4 address, or the 64 bits of its IPv6 network.
fn client(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            format!("{}/64", std::net::Ipv6Addr::from_bits(network))
        }
    }
}

/// The address of an event's peer, which has a port, too.
fn address_of(peer: &str) -> Option<IpAddr> {
    let with_port = peer.parse::<std::net::SocketAddr>().map(|peer| peer.ip());
    with_port.ok().or_else(|| peer.parse().ok())
}

waft_plugin_sdk::export!(Gatekeeper: connection_filter, event_sink);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::Value;
    use waft_plugin_sdk::testing::{TestSession, advance_clock, counted, fail_kv, set_clock};

    use super::*;

    fn gatekeeper(values: &[(&str, &str)]) -> Gatekeeper {
        Gatekeeper::new(&Settings::of(values.iter().copied())).unwrap()
    }

    fn enters(plugin: &Gatekeeper, address: &str) -> bool {
        let session = TestSession::new().remote_ip(address);
        plugin.on_connect(session.session()) == ConnectDecision::Pass
    }

    fn fails(plugin: &Gatekeeper, peer: &str) {
        hears(plugin, "auth.fail", peer);
    }

    fn hears(plugin: &Gatekeeper, name: &str, peer: &str) {
        let event = Event::new(name).with("peer", Value::Text(peer.to_owned()));
        plugin.on_events(&[event]).unwrap();
    }

    #[test]
    fn lists_decide_first() {
        let plugin = gatekeeper(&[("deny", "203.0.113.0/24"), ("allow", "203.0.113.7")]);
        assert!(enters(&plugin, "192.0.2.1"));
        assert!(enters(&plugin, "203.0.113.7"));
        assert!(!enters(&plugin, "203.0.113.8"));
        let plugin = gatekeeper(&[("allow", "10.0.0.0/8"), ("only_allowed", "true")]);
        assert!(enters(&plugin, "10.1.1.1"));
        assert!(!enters(&plugin, "192.0.2.1"));
        assert_eq!(counted("kept_out_total"), 2);
    }

    #[test]
    fn a_client_that_is_kept_out_is_told_or_not() {
        let session = TestSession::new();
        let everyone = [("deny", "127.0.0.1"), ("message", "Closed.")];
        let decision = gatekeeper(&everyone).on_connect(session.session());
        assert_eq!(decision, ConnectDecision::Reject(Reply::new(421, "Closed.")));
        let plugin = gatekeeper(&[("deny", "127.0.0.1"), ("silent", "true")]);
        assert_eq!(plugin.on_connect(session.session()), ConnectDecision::Drop);
    }

    #[test]
    fn so_many_connections_in_a_period_and_no_more() {
        set_clock(0);
        let plugin = gatekeeper(&[("connections.limit", "2"), ("connections.within", "10s")]);
        let enter = || enters(&plugin, "2001:db8::1");
        assert_eq!([enter(), enter(), enter()], [true, true, false]);
        assert!(!enters(&plugin, "2001:db8::2"), "the same network");
        assert!(enters(&plugin, "2001:db8:0:1::1"));
        advance_clock(Duration::from_secs(10));
        assert!(enter());
    }

    #[test]
    fn who_fails_too_often_is_banned_for_a_while() {
        set_clock(0);
        let plugin =
            gatekeeper(&[("failures.limit", "2"), ("failures.ban", "1h"), ("allow", "10.0.0.0/8")]);
        for peer in ["192.0.2.1:4000", "10.0.0.1:4000", "10.0.0.1:4001"] {
            fails(&plugin, peer);
        }
        assert!(enters(&plugin, "192.0.2.1"));
        for _ in 0..5 {
            hears(&plugin, "auth.undecided", "192.0.2.1:4000");
        }
        assert!(enters(&plugin, "192.0.2.1"), "no fault of the client");
        fails(&plugin, "192.0.2.1:4001");
        assert!(!enters(&plugin, "192.0.2.1"));
        assert!(enters(&plugin, "192.0.2.2"));
        assert!(enters(&plugin, "10.0.0.1"));
        advance_clock(Duration::from_secs(3600));
        assert!(enters(&plugin, "192.0.2.1"));
    }

    #[test]
    fn a_store_that_fails_keeps_nobody_out() {
        let plugin = gatekeeper(&[("connections.limit", "1"), ("failures.limit", "1")]);
        fail_kv(Some(kv::Error::Quota));
        fails(&plugin, "192.0.2.1:4000");
        assert!(enters(&plugin, "192.0.2.1"));
        assert!(enters(&plugin, "192.0.2.1"));
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let settings = Settings::of([
            ("allow", "here"),
            ("connections.limit", "0"),
            ("connections.within", "0s"),
            ("failures.limit", "many"),
            ("failures.bann", "1h"),
            ("message", "a\nb"),
        ]);
        assert_eq!(
            Gatekeeper::new(&settings).unwrap_err().lines().collect::<Vec<_>>(),
            [
                "failures.limit: a number is wanted, not: many",
                "allow: not a network such as 10.0.0.0/8: here",
                "connections.limit: a number above 0 is wanted",
                "connections.within: a time above 0 is wanted",
                "message: one line is wanted, without control characters",
                "unknown key, did you mean failures.ban: failures.bann",
            ]
        );
    }
}
