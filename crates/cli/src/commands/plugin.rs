//! `waft plugin`: what a component is, whether this server would take it, and how to make one.

mod author;
mod bench;
mod calls;
mod check;
mod parcel;
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
use waft_plugin_host::{Beside, Descriptor, Inspection, Problem, Producer, Refusal};

pub(crate) use self::self_test::tester as self_tester;
use self::signature::Signature;
use super::runtime;
use crate::args::{Component, Plugin, PluginInspect};
use crate::failure::Failure;
use crate::output;

/// Runs one of the subcommands.
///
/// # Errors
///
/// The file cannot be read or is no component; for `check`: the server would not load it.
pub(crate) fn run(command: &Plugin) -> Result<(), Failure> {
    match command {
        Plugin::Inspect(arguments) => inspect(arguments),
        Plugin::Check(arguments) => check::run(arguments),
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
        Plugin::Pack(arguments) => parcel::pack(arguments),
        Plugin::Unpack(arguments) => parcel::unpack(arguments),
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
    Some(Beside::Settings.file_of(component)).filter(|file| file.is_file())
}

fn refused(file: &Path, refusal: &Refusal) -> String {
    let remedy = refusal.remedy().map(|remedy| format!("\n  remedy: {remedy}"));
    format!("{}: {refusal}{}", file.display(), remedy.unwrap_or_default())
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
    let pin = pin(&inspection.sha256);
    let grants = inspection.grants.iter().flat_map(|grants| grants.lines()).map(str::to_owned);
    let lines = ["[[plugin]]".to_owned(), format!("name = {name:?}"), pin];
    lines.into_iter().chain(grants).map(|line| format!("{line}\n")).collect()
}

/// The line that has a server take the component of that digest alone.
fn pin(sha256: &str) -> String {
    format!("sha256 = \"{sha256}\"  # this component and no other")
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
        ("command-filter", "first words", wanted_only(&descriptor.command_words)),
        ("command-filter", "pure", verbs(&descriptor.pure_verbs)),
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

/// Where nothing is said of arguments, all are wanted.
fn wanted_only(words: &[String]) -> String {
    if words.is_empty() { "all".to_owned() } else { words.join(", ") }
}

fn wanted(items: Option<&[impl ToString]>) -> String {
    items.map_or_else(|| "all".to_owned(), |items| listed(items.iter().map(ToString::to_string)))
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
