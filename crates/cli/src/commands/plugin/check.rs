//! `waft plugin check`: whether a server would take a component, its own scenario included.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use serde::Serialize;
use waft_config::{Config, Mistakes, Plugins, Warnings};
use waft_plugin_host::{
    Grants, HostSettings, Inspection, Listed, LoadError, PluginSettings, Refusal, SelfTester,
    Unlisted,
};

use super::signature::{self, Signature};
use super::trials::{Log, Outcome, Temporary, read, told};
use super::versions::{self, Version};
use super::{bench, beside, in_doubt, listed, refused, self_test};
use crate::args::{Component, PluginCheck};
use crate::assemble;
use crate::commands::runtime;
use crate::failure::{Failure, Verdict};
use crate::output;

/// The verdict, as another program reads it.
#[derive(Serialize)]
struct Document<'a> {
    loadable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<&'a Inspection>,
    /// What became of the scenario beside it, where one lies there and was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    self_test: Option<Outcome>,
}

/// The scenario that lies beside a component.
struct Beside {
    file: PathBuf,
    /// What went otherwise, once it is played.
    broken: Arc<Mutex<Option<Story>>>,
}

/// What went otherwise in a scenario.
#[derive(Clone)]
struct Story {
    /// For programs; none where it could not be played.
    outcome: Option<Outcome>,
    /// For people.
    told: String,
}

/// What came of checking a component.
struct Findings<'a> {
    file: &'a Path,
    result: Result<Inspection, LoadError>,
    /// Why a server would not take it.
    reason: Option<String>,
    /// What went otherwise in its scenario.
    broken: Option<Story>,
    /// Its scenario, if all went as it is written.
    passed: Option<PathBuf>,
}

/// Tells whether a server would load a component.
///
/// # Errors
///
/// It would not; or the file, the configuration or the scenario cannot be read.
pub(super) fn run(arguments: &PluginCheck) -> Result<(), Failure> {
    let PluginCheck { component, config, settings: written, public_key, against } = arguments;
    let Component { file, json } = component;
    let config = config.as_deref().map(|file| Config::load(Some(file))).transpose()?;
    let config = config.as_ref().map(|(config, _)| config);
    let temporary = Temporary::new()?;
    let (settings, host) = match (config, written) {
        (Some(config), _) => configured(file, config)?,
        (None, Some(written)) => {
            let host = bench::settings(file, Some(written), &temporary.0)?;
            (host.plugins.first().cloned().context("no plugin")?, host)
        }
        (None, None) => (on_its_own(file)?, HostSettings::default()),
    };
    let scenario = Beside::of(file)?;
    let host = HostSettings { self_test: scenario.as_ref().map(Beside::tester), ..host };
    let against = against.as_deref().map(Version::known).transpose()?;
    let signer = signature::signer(public_key.as_deref(), config)?;
    let result = runtime(Some(1))?.block_on(waft_plugin_host::check(&settings, &host));
    let mut reason = result.as_ref().err().map(|error| error.refusal.to_string());
    if let (None, Some(signer)) = (&reason, &signer) {
        let signature = Signature::of(file, Some(signer))?;
        reason = (!signature.is_taken()).then(|| format!("signature: {}", signature.told()));
    }
    if let (None, Ok(inspection), Some(version)) = (&reason, &result, against) {
        reason = versions::newer(file, inspection, version)?;
    }
    let broken = scenario.as_ref().and_then(Beside::broken);
    let passed = scenario.filter(|_| result.is_ok()).map(|scenario| scenario.file);
    let findings = Findings { file, result, reason, broken, passed };
    if *json {
        output::print_json(&findings.document())?;
    } else {
        output::tell(&findings.told(signer.is_some()));
    }
    match (findings.reason, findings.broken) {
        (None, _) => Ok(()),
        (Some(_), Some(_)) => Err(Failure::No(Verdict::Otherwise)),
        (Some(_), None) => Err(Failure::No(Verdict::NotLoadable)),
    }
}

impl Findings<'_> {
    fn refusal(&self) -> Option<&Refusal> {
        self.result.as_ref().err().map(|error| &error.refusal)
    }

    fn document(&self) -> Document<'_> {
        let passed = self.passed.as_ref().map(|file| Outcome::of(file, None));
        Document {
            loadable: self.reason.is_none(),
            reason: self.reason.as_deref(),
            remedy: self.refusal().and_then(Refusal::remedy),
            component: self.result.as_ref().ok(),
            self_test: self.broken.clone().and_then(|story| story.outcome).or(passed),
        }
    }

    fn told(&self, is_signed: bool) -> String {
        let passed = self.passed.iter().map(|file| told(file, None, &Log::default()));
        let verdict = match (&self.result, &self.reason, &self.broken) {
            (Ok(inspection), None, _) => loadable(self.file, inspection, is_signed),
            (Err(_), _, Some(story)) => story.told.clone(),
            (Err(error), _, None) => format!("error: {}", refused(self.file, &error.refusal)),
            (Ok(_), Some(reason), _) => format!("error: {}: {reason}", self.file.display()),
        };
        passed.chain([verdict]).collect::<Vec<_>>().join("\n")
    }
}

impl Beside {
    /// The scenario beside a component, if one lies there. What is wrong with it is told.
    ///
    /// # Errors
    ///
    /// It cannot be read, or has mistakes.
    fn of(component: &Path) -> Result<Option<Self>, Failure> {
        let file = waft_plugin_host::Beside::Scenario.file_of(component);
        if !file.exists() {
            return Ok(None);
        }
        read(&file)?;
        Ok(Some(Self { file, broken: Arc::default() }))
    }

    /// Plays it, and remembers what goes otherwise.
    fn tester(&self) -> SelfTester {
        let (file, all) = (self.file.clone(), Arc::clone(&self.broken));
        self_test::telling(move |broken, log| {
            let outcome = broken.ok().map(|broken| Outcome::of(&file, Some(broken)));
            let told = match broken {
                Ok(broken) => told(&file, Some(broken), log),
                Err(error) => format!("error: cannot play {}: {error:#}", file.display()),
            };
            let story = Story { outcome, told };
            *all.lock().unwrap_or_else(PoisonError::into_inner) = Some(story);
        })
    }

    /// What went otherwise.
    fn broken(&self) -> Option<Story> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What holds for a component where there is no configuration: the settings that lie beside it, and
/// grants that lead nowhere.
fn on_its_own(file: &Path) -> Result<PluginSettings, Failure> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let own = match beside(file) {
        Some(written) => assemble::settings_in(&written, &Plugins::default())?,
        None => PluginSettings::named(&*name),
    };
    let (path, grants) = (Some(file.to_owned()), Grants::without_effect());
    Ok(PluginSettings { name, path, grants, ..own })
}

/// What a configuration says about the plugin that `file` is, which is the one with this file or
/// else the one with its name, and about all plugins; where it says nothing, the settings that lie
/// beside the component do.
fn configured(file: &Path, config: &Config) -> Result<(PluginSettings, HostSettings), Failure> {
    let all = assemble::host_settings(config)
        .map_err(|mistakes| Mistakes { mistakes, warnings: Warnings::default() })?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let of_file = |plugin: &&PluginSettings| {
        plugin.path.as_deref().is_some_and(|path| real(path) == real(file))
    };
    let of_name = |plugin: &&PluginSettings| plugin.path.is_none() && *plugin.name == *name;
    let mut plugins = all.plugins.iter();
    let found = plugins.clone().find(of_file).or_else(|| plugins.find(of_name));
    let listed = match all.unlisted {
        Unlisted::HooksOnly => Listed::HooksOnly,
        Unlisted::On | Unlisted::Off => Listed::No,
    };
    let settings = match (found, beside(file)) {
        (Some(found), _) => found.clone(),
        (None, Some(written)) => assemble::settings_in(&written, &config.plugins)?,
        (None, None) => {
            PluginSettings { listed, name: name.into_owned(), ..all.dropped_in.clone() }
        }
    };
    Ok((PluginSettings { path: Some(file.to_owned()), ..settings }, all))
}

/// What is told of a component that a server takes.
fn loadable(file: &Path, inspection: &Inspection, is_signed: bool) -> String {
    let hooks = inspection.hooks.iter().map(|hook| hook.name.clone());
    let mut told = format!("{} can be loaded; hooks: {}", file.display(), listed(hooks));
    let version = inspection.wit_version.as_deref().unwrap_or("not named");
    let kib = inspection.bytes.div_ceil(1024);
    let memory = inspection.memory_bytes.unwrap_or_default().div_ceil(1024);
    told.push_str(&format!(
        "\ninterface: waft:plugin {version}; servers have: {}",
        versions::all()
    ));
    told.push_str(&format!("\nsize: {kib} KiB; memory of an instance at first: {memory} KiB"));
    if is_signed {
        told.push_str("\nsignature: valid");
    }
    if let Some(grants) = &inspection.grants {
        told.push_str(&format!("\nwhat it imports takes these lines, adapted:\n{grants}"));
    }
    if !inspection.idle_grants.is_empty() {
        let idle = inspection.idle_grants.join(", ");
        told.push_str(&format!("\ngranted, and not used: {idle}"));
    }
    told.push_str(&in_doubt(inspection).unwrap_or_default());
    told
}
