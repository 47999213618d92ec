//! What may be configured and is not there in this version.

use waft_config::{Config, Mistake, TlsMode};

use crate::assemble::SECRETS;
use crate::findings::mistake;

/// Tells of every key that asks for TLS: refused, so that nobody believes to be protected by it.
pub(crate) fn tls(config: &Config) -> Vec<Mistake> {
    let message = "this version of waft has no TLS";
    let remedy = "write tls = \"off\"";
    let listeners = config.listeners.iter().enumerate();
    let wanting = listeners.filter(|(_, listener)| listener.tls != TlsMode::Off);
    let section = config.tls.as_ref().map(|_| mistake(config, "tls", message, "remove [tls]"));
    wanting
        .map(|(index, _)| mistake(config, &format!("listener.{index}.tls"), message, remedy))
        .filter(|mistake| config.origin(&mistake.key).is_some())
        .chain(section)
        .collect()
}

/// Tells of capabilities that are granted to plugins and are not there: worth a warning, since no
/// plugin can use them.
pub(crate) fn grants(config: &Config) -> Vec<Mistake> {
    let plugins = config.named_plugins.iter();
    let granted = plugins.flat_map(|plugin| plugin.grant.iter().map(move |grant| (plugin, grant)));
    granted
        .filter(|(_, (capability, _))| *capability != SECRETS)
        .map(|(plugin, (capability, node))| Mistake {
            origin: node.origin.clone(),
            key: format!("{}.grant.{capability}", plugin.key),
            message: "this version of waft has no such capability for plugins".to_owned(),
            remedy: "remove it".to_owned(),
        })
        .collect()
}
