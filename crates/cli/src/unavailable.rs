//! What may be configured and is not there in this version.

use waft_config::{Config, Mistake};

use crate::assemble::SECRETS;

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
