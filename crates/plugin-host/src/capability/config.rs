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

    fn secret(&mut self, name: String) -> Option<Vec<u8>> {
        if !self.granted {
            return None;
        }
        self.identity.secrets.get(&name).map(|secret| secret.expose().to_vec())
    }
}
