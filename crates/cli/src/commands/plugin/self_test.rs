//! The scenario that lies beside a component, played with it before it comes into force: a server of
//! its own, in memory, with stand-ins for the world, inside the one that is to have the plugin.
//!
//! Nothing of that server is the other's: it has files, accounts and stores of its own. The plugin
//! has the settings of the scenario, or else those that it would have in force; of directories that
//! its accounts may be in, it has that of the scenario's files only.

use std::path::Path;

use anyhow::Context;
use waft_plugin_host::{Grants, PluginSettings, SelfTest, SelfTester, TestFailure};

use super::scenario::{Broken, Mistake, Scenario, play};
use super::site::{Ground, Site};
use super::trials::{Log, Temporary};
use crate::running::Given;

/// Plays scenarios.
pub(crate) fn tester() -> SelfTester {
    telling(|_, _| ())
}

/// Plays scenarios, and hands over what goes otherwise, or why they cannot be played, with what the
/// server logged.
pub(super) fn telling(
    tell: impl Fn(Result<&Broken, &anyhow::Error>, &Log) + Send + Sync + 'static,
) -> SelfTester {
    SelfTester::new(move |test| {
        let scenario = Scenario::parse(test.scenario)?;
        if scenario.is_empty() {
            let remedy = Some("write what clients do and get, such as login".to_owned());
            return Err(TestFailure { line: 0, what: "no steps".to_owned(), remedy });
        }
        // What that server logs is for the scenario, not for the operator.
        let log = Log::default();
        let played =
            tracing::subscriber::with_default(log.subscriber(), || played(test, &scenario, &log));
        match played {
            Ok(Ok(())) => Ok(()),
            Ok(Err(broken)) => {
                tell(Ok(&broken), &log);
                let Broken { line, expected, got, .. } = broken;
                let what = format!("expected: {expected}, got: {got}");
                Err(TestFailure { line, what, remedy: None })
            }
            Err(error) => {
                tell(Err(&error), &log);
                Err(TestFailure { line: 0, what: format!("{error:#}"), remedy: None })
            }
        }
    })
}

fn played(
    test: &SelfTest<'_>,
    scenario: &Scenario,
    log: &Log,
) -> anyhow::Result<Result<(), Broken>> {
    let temporary = Temporary::new()?;
    let component = temporary.0.join("component.wasm");
    std::fs::write(&component, test.component).with_context(|| component.display().to_string())?;
    let ground = Ground {
        directory: &temporary.0.join("site"),
        state: &temporary.0.join("state"),
        name: &test.settings.name,
        component: &component,
        settings: Path::new(""),
        address: "192.0.2.1:21",
    };
    let site = Site::make(&ground, &scenario.stage)?;
    let own = scenario.stage.plugin.is_none().then(|| own(test.settings, &site));
    let given = Given { plugin: own, compiled: vec![test.compiled.clone()] };
    play(scenario, &site.config, &site.files, given, || log.text())
}

/// What the plugin would have in force, with nothing of it outside the site.
fn own(settings: &PluginSettings, site: &Site) -> PluginSettings {
    let within = |granted: &Grants| match granted.storage.is_empty() {
        true => Vec::new(),
        false => vec![site.files.clone()],
    };
    let grants = Grants { storage: within(&settings.grants), ..settings.grants.clone() };
    let path = Some(site.component.clone());
    PluginSettings { path, grants, shadow: false, canary_percent: None, ..settings.clone() }
}

impl From<Mistake> for TestFailure {
    fn from(Mistake { line, text, remedy }: Mistake) -> Self {
        Self { line, what: format!("not a step: {text}"), remedy: Some(remedy) }
    }
}
