//! `waft check`: everything that is wrong with a configuration, without serving it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use waft_config::{Config, Mistake, Mistakes, Warnings};
use waft_plugin_host::{HostStatus, PluginStatus};

use super::runtime;
use crate::args::Check;
use crate::assemble;
use crate::failure::{Failure, Verdict, told};
use crate::output;
use crate::running::{self, StartError};
use crate::source::Source;

/// What was found.
struct Findings {
    /// The configuration and the plugins that it would run with, if there is no mistake.
    valid: Option<(Config, HostStatus)>,
    mistakes: Mistakes,
}

/// The result as another program reads it.
#[derive(Serialize)]
struct Document<'a> {
    valid: bool,
    mistakes: Vec<Finding<'a>>,
    warnings: Vec<Finding<'a>>,
    listeners: Vec<String>,
    accounts: usize,
    plugins: Vec<&'a str>,
    /// Where the settings of each stand, if it has any.
    plugin_settings: BTreeMap<&'a str, Option<&'a Path>>,
}

#[derive(Serialize)]
struct Finding<'a> {
    file: String,
    /// 0 for the file as a whole.
    line: u32,
    column: u32,
    key: &'a str,
    message: &'a str,
    remedy: &'a str,
}

/// Reads the configuration as `waft serve` does, goes the same way up to the listeners, and tells
/// what was found.
///
/// # Errors
///
/// It is not valid.
pub(crate) fn run(arguments: &Check) -> Result<(), Failure> {
    let findings = find(&Source::File(arguments.config.clone()))?;
    if arguments.json {
        output::print_json(&document(&findings))?;
    } else {
        tell(&findings);
    }
    match findings.valid {
        Some(_) => Ok(()),
        None => Err(Failure::No(Verdict::NotValid)),
    }
}

fn find(source: &Source) -> Result<Findings, Failure> {
    let (config, mut warnings) = match source.load() {
        Ok(read) => read,
        Err(mistakes) => return Ok(Findings { valid: None, mistakes }),
    };
    let (valid, mistakes) = match runtime(Some(1))?.block_on(running::rehearse(&config)) {
        Ok(host) => {
            let status = host.status();
            warnings.0.append(&mut assemble::idle(&config, &status));
            warnings.0.append(&mut assemble::crowded(&config, &status));
            warnings.0.append(&mut assemble::concerns(&config, &status));
            (Some((config, status)), Vec::new())
        }
        Err(StartError::Configuration(wrong)) => (None, wrong.mistakes),
        Err(error) => return Err(error.into()),
    };
    Ok(Findings { valid, mistakes: Mistakes { mistakes, warnings } })
}

fn tell(findings: &Findings) {
    let found = told(&findings.mistakes);
    if !found.is_empty() {
        output::tell(&found);
    }
    let plugins = findings.valid.iter().flat_map(|(_, status)| &status.plugins);
    plugins.for_each(|plugin| output::tell(&settled(plugin)));
    let Mistakes { mistakes, warnings: Warnings(warnings) } = &findings.mistakes;
    let warnings = counted(warnings.len(), "warning");
    output::tell(&match &findings.valid {
        Some((config, status)) => format!(
            "configuration is valid: {}, {}, {}, {warnings}",
            counted(config.listeners.len(), "listener"),
            counted(config.users.len(), "account"),
            counted(status.plugins.len(), "plugin"),
        ),
        None => {
            format!(
                "configuration is not valid: {}, {warnings}",
                counted(mistakes.len(), "mistake")
            )
        }
    });
}

/// Says where the settings of a plugin stand.
fn settled(plugin: &PluginStatus) -> String {
    match &plugin.settings {
        Some(file) => format!("plugin {}: settings in {}", plugin.name, file.display()),
        None => format!("plugin {}: no settings", plugin.name),
    }
}

fn counted(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

fn document(findings: &Findings) -> Document<'_> {
    let config = findings.valid.as_ref().map(|(config, _)| config);
    let listeners = config.into_iter().flat_map(|config| &config.listeners);
    let status = findings.valid.as_ref().map(|(_, status)| status);
    let plugins = status.into_iter().flat_map(|status| &status.plugins);
    Document {
        valid: findings.valid.is_some(),
        mistakes: findings.mistakes.mistakes.iter().map(finding).collect(),
        warnings: findings.mistakes.warnings.0.iter().map(finding).collect(),
        listeners: listeners.map(|listener| listener.address.to_string()).collect(),
        accounts: config.map_or(0, |config| config.users.len()),
        plugins: plugins.clone().map(|plugin| plugin.name.as_str()).collect(),
        plugin_settings: plugins
            .map(|plugin| (plugin.name.as_str(), plugin.settings.as_deref()))
            .collect(),
    }
}

fn finding(mistake: &Mistake) -> Finding<'_> {
    Finding {
        file: mistake.origin.file.display().to_string(),
        line: mistake.origin.line,
        column: mistake.origin.column,
        key: &mistake.key,
        message: &mistake.message,
        remedy: &mistake.remedy,
    }
}
