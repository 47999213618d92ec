//! `config`: what the operator wrote for this plugin, and the secrets granted to it.

use crate::bindings::waft::plugin::config;
use crate::guest::Guest;

impl config::Host for Guest {
    fn get(&mut self, key: String) -> Option<String> {
        self.identity.config.get(&key).cloned()
    }

    fn all(&mut self) -> Vec<(String, String)> {
        let entries = self.identity.config.iter();
        entries.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// While it describes itself, too: what a plugin wants may hang on a key that it needs, and
    /// without log-ins, requests or a store it cannot carry one away.
    fn secret(&mut self, name: String) -> Option<Vec<u8>> {
        self.identity.secrets.get(&name).map(|secret| secret.expose().to_vec())
    }
}
