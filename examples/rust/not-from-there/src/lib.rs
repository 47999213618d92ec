//! Keeps clients from one network out, before they are greeted.

#![forbid(unsafe_code)]

use waft_plugin_sdk::{
    ConnectDecision, ConnectionFilter, Network, Plugin, Reply, Session, Settings,
};

/// The network where the operator has written nothing else.
const NETWORK: &str = "203.0.113.0/24";

struct NotFromThere {
    network: Network,
}

impl Plugin for NotFromThere {
    fn new(settings: &Settings) -> Result<Self, String> {
        let network = settings.root().text("network").unwrap_or_else(|| NETWORK.to_owned());
        let network = network.parse().map_err(|error| format!("network: {error}"))?;
        settings.finish().map(|()| Self { network })
    }
}

impl ConnectionFilter for NotFromThere {
    fn on_connect(&self, session: Session<'_>) -> ConnectDecision {
        let address = session.remote_ip().parse();
        match address.is_ok_and(|address| self.network.contains(address)) {
            true => ConnectDecision::Reject(Reply::new(421, "Not from there.")),
            false => ConnectDecision::Pass,
        }
    }
}

waft_plugin_sdk::export!(NotFromThere: connection_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn only_the_network_is_kept_out() {
        let plugin = NotFromThere::new(&Settings::of([("network", "198.51.100.0/24")])).unwrap();
        let from = |ip: &str| plugin.on_connect(TestSession::new().remote_ip(ip).session());
        assert_eq!(from("203.0.113.9"), ConnectDecision::Pass);
        assert!(matches!(from("198.51.100.1"), ConnectDecision::Reject(_)));
    }
}
