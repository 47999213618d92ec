//! `waft plugin`: what a component is, whether this server would take it, and how to make one.

mod author;
mod bench;
mod calls;
mod scenario;
mod self_test;
mod signature;
mod site;
mod trials;
mod versions;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use waft_config::{Config, Mistakes, Plugins, Warnings};
use waft_plugin_host::{
    Descriptor, Grants, HostSettings, Inspection, Listed, PluginSettings, Problem, Producer,
    Refusal, Unlisted,
};

pub(crate) use self::self_test::tester as self_tester;
use self::signature::Signature;
use self::trials::Temporary;
use self::versions::Version;
use super::runtime;
use crate::args::{Component, Plugin, PluginCheck, PluginInspect};
use crate::assemble;
use crate::failure::{Failure, Verdict};
use crate::output;

/// Runs one of the subcommands.
///
/// # Errors
///
/// The file cannot be read or is no component; for `check`: the server would not load it.
pub(crate) fn run(command: &Plugin) -> Result<(), Failure> {
    match command {
        Plugin::Inspect(arguments) => inspect(arguments),
        Plugin::Check(arguments) => check(arguments),
        Plugin::Operate(command) => super::operate::plugin(command),
        Plugin::New(arguments) => author::create(arguments),
        Plugin::Build(sources) => author::build(sources),
        Plugin::Test(arguments) => trials::run(arguments),
        Plugin::Run { sources, listen, coredump_on_trap } => {
            author::run(sources, *listen, *coredump_on_trap)
        }
        Plugin::Bench(arguments) => bench::run(arguments),
        Plugin::Sign(arguments) => signature::sign(arguments),
        Plugin::Verify(arguments) => signature::verify(arguments),
        Plugin::CompileChild { seconds } => compile_child(Duration::from_secs(*seconds)),
    }
}

/// Compiles for the server that has started this process.
fn compile_child(within: Duration) -> Result<(), Failure> {
    let (input, output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let compiled = waft_plugin_host::compile_apart(input, output, within);
    Ok(compiled.map_err(anyhow::Error::msg)?)
}

fn inspect(
    PluginInspect { component: Component { file, json }, public_key }: &PluginInspect,
) -> Result<(), Failure> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let inspection = runtime(Some(1))?
        .block_on(waft_plugin_host::inspect(&bytes))
        .map_err(|refusal| anyhow::anyhow!("{}", refused(file, &refusal)))?;
    let settings = beside(file);
    if *json {
        return Ok(output::print_json(&Inspected { inspection: &inspection, settings })?);
    }
    let signer = signature::signer(public_key.as_deref(), None)?;
    let signature = Signature::of(file, signer.as_ref())?;
    Ok(output::print(&described(file, &inspection, signature, settings))?)
}

/// What `inspect` tells, as another program reads it.
#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    inspection: &'a Inspection,
    /// The settings that lie beside it, if any do.
    settings: Option<PathBuf>,
}

/// The settings that lie beside a component.
fn beside(component: &Path) -> Option<PathBuf> {
    Some(component.with_extension("toml")).filter(|file| file.is_file())
}

/// The verdict of `check`, as another program reads it.
#[derive(Serialize)]
struct Document<'a> {
    loadable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<&'a Inspection>,
}

fn check(arguments: &PluginCheck) -> Result<(), Failure> {
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
    let against = against.as_deref().map(Version::known).transpose()?;
    let signer = signature::signer(public_key.as_deref(), config)?;
    let result = runtime(Some(1))?.block_on(waft_plugin_host::check(&settings, &host));
    let refusal = result.as_ref().err().map(|error| &error.refusal);
    let mut reason = refusal.map(ToString::to_string);
    if let (None, Some(signer)) = (&reason, &signer) {
        let signature = Signature::of(file, Some(signer))?;
        reason = (!signature.is_taken()).then(|| format!("signature: {}", signature.told()));
    }
    if let (None, Ok(inspection), Some(version)) = (&reason, &result, against) {
        reason = versions::newer(inspection, version);
    }
    if *json {
        output::print_json(&Document {
            loadable: reason.is_none(),
            reason: reason.clone(),
            remedy: refusal.and_then(Refusal::remedy),
            component: result.as_ref().ok(),
        })?;
    } else {
        output::tell(&match (&result, refusal, &reason) {
            (Ok(inspection), _, None) => {
                let is_configured = config.is_some() || written.is_some();
                loadable(file, inspection, is_configured, signer.is_some())
            }
            (_, Some(refusal), _) => format!("error: {}", refused(file, refusal)),
            (_, None, Some(reason)) => format!("error: {}: {reason}", file.display()),
            (Err(error), None, None) => format!("error: {error}"),
        });
    }
    match reason {
        None => Ok(()),
        Some(_) => Err(Failure::No(Verdict::NotLoadable)),
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

fn refused(file: &Path, refusal: &Refusal) -> String {
    let remedy = refusal.remedy().map(|remedy| format!("\n  remedy: {remedy}"));
    format!("{}: {refusal}{}", file.display(), remedy.unwrap_or_default())
}

/// What is told of a component that a server takes.
fn loadable(file: &Path, inspection: &Inspection, is_configured: bool, is_signed: bool) -> String {
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
    if is_configured && !inspection.idle_grants.is_empty() {
        let idle = inspection.idle_grants.join(", ");
        told.push_str(&format!("\ngranted, and not used: {idle}"));
    }
    told.push_str(&in_doubt(inspection).unwrap_or_default());
    told
}

/// Tools that have a component import all that its world names, used or not.
const INDISCRIMINATE: [&str; 2] = ["componentize-js", "componentize-py"];

/// What a component may import without using it.
fn in_doubt(inspection: &Inspection) -> Option<String> {
    let tool = INDISCRIMINATE
        .iter()
        .find(|tool| inspection.producers.iter().any(|producer| producer.name.contains(**tool)))?;
    let optional = inspection.capabilities.iter().map(|capability| capability.name.clone());
    let own = optional.filter(|name| name.starts_with("waft:plugin/"));
    Some(format!(
        "\nnote: {tool} has it import all that wit/world.wit names; take out what it does not use: {}",
        listed(own)
    ))
}

/// Writes an inspection as people read it.
fn described(
    file: &Path,
    inspection: &Inspection,
    signature: Signature,
    settings: Option<PathBuf>,
) -> String {
    let settings = settings.map(|file| format!("{} beside it", file.display()));
    let mut rows = vec![
        ("file", file.display().to_string()),
        ("size", format!("{} bytes", inspection.bytes)),
        ("sha256", inspection.sha256.clone()),
        ("signature", signature.told().to_owned()),
        ("settings", settings.unwrap_or_else(|| "none beside it".to_owned())),
        ("interface", inspection.wit_version.clone().unwrap_or_else(|| "not named".to_owned())),
        (
            "hooks",
            listed(inspection.hooks.iter().map(|hook| available(&hook.name, hook.available))),
        ),
        (
            "imports",
            listed(inspection.capabilities.iter().map(|c| available(&c.name, c.available))),
        ),
        ("made with", listed(inspection.producers.iter().map(producer))),
    ];
    if let Some(descriptor) = &inspection.descriptor {
        rows.splice(
            1..1,
            [
                ("name", descriptor.name.clone()),
                ("version", descriptor.version.clone()),
                ("description", descriptor.description.clone()),
            ],
        );
        rows.extend(interests(inspection, descriptor));
    }
    rows.extend(inspection.problems.iter().map(|problem| ("problem", told(problem))));
    let line = |(what, value): (&str, String)| format!("{what:<14}{value}\n");
    let rows: String = rows.into_iter().map(line).collect();
    format!("{rows}\nto be pasted, and adapted:\n{}", block(file, inspection))
}

/// What an operator writes to have the plugin.
fn block(file: &Path, inspection: &Inspection) -> String {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let pin = format!("sha256 = \"{}\"  # this component and no other", inspection.sha256);
    let grants = inspection.grants.iter().flat_map(|grants| grants.lines()).map(str::to_owned);
    let lines = ["[[plugin]]".to_owned(), format!("name = {name:?}"), pin];
    lines.into_iter().chain(grants).map(|line| format!("{line}\n")).collect()
}

/// Says what a plugin wants to see, for the hooks that it has, and with no configuration: it may
/// want other things with one.
fn interests(
    inspection: &Inspection,
    descriptor: &Descriptor,
) -> impl Iterator<Item = (&'static str, String)> {
    let verbs = |verbs: &Option<Vec<String>>| wanted(verbs.as_deref());
    let codes = descriptor.reply_codes.as_deref();
    let rows = [
        ("command-filter", "commands", verbs(&descriptor.command_verbs)),
        ("reply-filter", "replies to", verbs(&descriptor.reply_verbs)),
        ("reply-filter", "reply codes", wanted(codes)),
        ("file-filter", "file ops", wanted(Some(&descriptor.file_ops))),
        ("file-filter", "listings", if descriptor.listings { "all" } else { "none" }.to_owned()),
    ];
    let has = |hook: &str| inspection.hooks.iter().any(|known| known.name == hook);
    let rows: Vec<_> = rows.into_iter().filter(|(hook, _, _)| has(hook)).collect();
    rows.into_iter().map(|(_, what, value)| (what, format!("{value} (without configuration)")))
}

fn available(name: &str, available: bool) -> String {
    let missing = if available { "" } else { " (not in this version)" };
    format!("{name}{missing}")
}

fn producer(producer: &Producer) -> String {
    format!("{} {}", producer.name, producer.version).trim().to_owned()
}

fn told(problem: &Problem) -> String {
    let remedy = problem.remedy.as_ref().map(|remedy| format!("; remedy: {remedy}"));
    format!("{}{}", problem.reason, remedy.unwrap_or_default())
}

fn wanted(items: Option<&[impl ToString]>) -> String {
    items.map_or_else(|| "all".to_owned(), |items| listed(items.iter().map(ToString::to_string)))
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
