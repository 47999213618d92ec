//! What a component is and wants, without running it in a server: for `waft plugin inspect` and
//! `waft plugin check`. Printing is the program's business.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use waft_proto::command::printable;

use crate::artifact::{Artifact, Digest};
use crate::beside::Part;
use crate::bindings::exports::waft::plugin::lifecycle;
use crate::budget::Budget;
use crate::capability::log::shortened;
use crate::engine::{Sandbox, sandbox};
use crate::errors::{LoadError, Refusal, one_line};
use crate::files::{self, Candidate, Content};
use crate::guard::Guard;
use crate::guest::Warm;
use crate::hook::{COUNT, Hook};
use crate::interest::Interest;
use crate::lent::Services;
use crate::limits;
use crate::load::blocking;
use crate::outline::Outline;
use crate::plugin::{Plugin, describe, identity, not_started};
use crate::self_test;
use crate::service::{self, Grant};
use crate::services::Stock;
use crate::settings::{Grants, HostSettings, PluginSettings};
use crate::workshop::Pace;

/// What a component is and wants.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
    /// The version of `waft:plugin` that it is built for, if it names one.
    pub wit_version: Option<String>,
    /// The hooks that it exports.
    pub hooks: Vec<HookUse>,
    /// The interfaces that it imports, which are all that it can do.
    pub capabilities: Vec<CapabilityUse>,
    /// The lines of configuration that grant what it imports, to be adapted; `None` where that
    /// takes no grant.
    pub grants: Option<String>,
    /// What it is granted and does not import, by key of `[plugin.grant]`.
    pub idle_grants: Vec<&'static str>,
    /// Tools and languages that made it, from its metadata: what, name, version.
    pub producers: Vec<Producer>,
    /// What it says of itself; `None` where it cannot be started.
    pub descriptor: Option<Descriptor>,
    /// Octets of linear memory that one instance has once it is prepared; `None` where none was
    /// prepared.
    pub memory_bytes: Option<u64>,
    /// Why this server would not load it; none if it would.
    pub problems: Vec<Problem>,
}

/// A hook that a component exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HookUse {
    /// The interface's name, for example `command-filter`.
    pub name: String,
    /// Whether this version of the server calls it.
    pub available: bool,
}

/// An interface that a component imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CapabilityUse {
    /// The interface's full name, for example `waft:plugin/log@0.1.0`.
    pub name: String,
    /// Whether this version of the server has it.
    pub available: bool,
    /// What the operator has to grant for it: a key of `[plugin.grant]`.
    pub grant: Option<&'static str>,
}

/// One entry of a component's metadata on what made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// The tool's name.
    pub name: String,
    /// The tool's version, perhaps empty.
    pub version: String,
}

/// What a component says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Descriptor {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// The verbs whose commands it wants to see; `None` is all.
    pub command_verbs: Option<Vec<String>>,
    /// A verb and the word that its commands' arguments have to begin with, or `*` for any word, where it
    /// does not want to see others of that verb.
    pub command_words: Vec<String>,
    /// The verbs about whose commands it decides by nothing but the command and the session; `None` is
    /// all.
    pub pure_verbs: Option<Vec<String>>,
    /// The verbs whose replies it wants to see; `None` is all.
    pub reply_verbs: Option<Vec<String>>,
    /// The codes of the replies that it wants to see; `None` is all.
    pub reply_codes: Option<Vec<u16>>,
    /// What is done to files that it wants to decide about, by the names of the interface.
    pub file_ops: Vec<&'static str>,
    /// Whether it wants to see listings.
    pub listings: bool,
}

/// A reason not to load a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong.
    pub reason: String,
    /// What to do about it, where that can be said.
    pub remedy: Option<String>,
}

impl Descriptor {
    /// What a guest said, shortened to what a person reads.
    pub(crate) fn new(said: &lifecycle::Descriptor, interest: &Interest) -> Descriptor {
        let text =
            |text: &str| shortened(&printable(text.as_bytes()), limits::DESCRIPTOR_TEXT_BYTES_MAX);
        Descriptor {
            name: text(&said.name),
            version: text(&said.version),
            description: text(&said.description),
            command_verbs: interest.commands.names(),
            command_words: interest.words.names(),
            pure_verbs: interest.pure.names(),
            reply_verbs: interest.replies.names(),
            reply_codes: interest.codes().map(|codes| codes.iter().copied().collect()),
            file_ops: interest.files.ops.names().collect(),
            listings: interest.files.listings,
        }
    }
}

/// Tells what the component in `bytes` is and wants.
///
/// `describe` is called with an empty configuration where the component can be started; `init` is
/// not. Needs a tokio runtime with time enabled.
///
/// # Errors
/// `bytes` are no component at all. Whatever else is wrong with it stands in
/// [`Inspection::problems`].
pub async fn inspect(bytes: &[u8]) -> Result<Inspection, Refusal> {
    let outline = Outline::read(bytes)?;
    let mut inspection = outlined(&outline, Digest::of(bytes), bytes.len());
    if inspection.problems.is_empty() {
        match started(bytes).await {
            Ok(descriptor) => inspection.descriptor = Some(descriptor),
            Err(refusal) => inspection.problems.push(Problem::new(&refusal)),
        }
    }
    Ok(inspection)
}

/// Loads one plugin as a server with these settings would, `init` included and the scenario that lies
/// beside it, and tells what it is. Needs a tokio runtime with time enabled.
///
/// # Errors
/// The server would not load it.
pub async fn check(
    settings: &PluginSettings,
    host: &HostSettings,
) -> Result<Inspection, LoadError> {
    let (file, guard) = (settings.path.clone(), Guard::of(host));
    let load = async {
        let path = file.clone().ok_or(Refusal::NoPlace)?;
        let own = guard.clone();
        let content = blocking(move || files::read(&path, None, None, &own)).await;
        let bytes = match content {
            Some(Content::Whole { bytes, .. }) => bytes,
            Some(Content::Refused(refusal)) => return Err(refusal),
            _ => return Err(Refusal::Unreadable("it changed while it was read".to_owned())),
        };
        let (digest, length) = (Digest::of(&bytes), bytes.len());
        let artifact = artifact(sandbox()?, bytes, settings).await?;
        let file = file.clone().unwrap_or_default();
        let (artifact, budget) = (Arc::new(artifact), Arc::new(Budget::new(u64::MAX)));
        let (sandbox, stock) = (sandbox()?, Arc::new(Stock::new(None, Services::default())));
        let own = Arc::new(settings.clone());
        let plugin = Plugin::start(sandbox, artifact, own, file.clone(), 0, &stock, &budget);
        let plugin = plugin.await?;
        if let Some(tester) = &host.self_test {
            let parts = vec![Part::scenario_of(&file)];
            let candidate = Candidate { parts, ..Candidate::of(settings.clone(), file, None) };
            let artifact = &plugin.artifact;
            self_test::play(tester, &candidate, artifact, &guard, Pace::Behind).await?;
        }
        let mut inspection = outlined(&plugin.artifact.outline, digest, length);
        inspection.descriptor = Some(plugin.descriptor.clone());
        inspection.memory_bytes = Some(plugin.memory_bytes() as u64);
        let idle = plugin.artifact.outline.idle_grants(&settings.grants);
        inspection.idle_grants = idle.into_iter().map(Grant::name).collect();
        Ok(inspection)
    };
    let loaded: Result<Inspection, Refusal> = load.await;
    loaded.map_err(|refusal| LoadError { plugin: settings.name.clone(), file, refusal })
}

impl Problem {
    fn new(refusal: &Refusal) -> Problem {
        Problem { reason: refusal.to_string(), remedy: refusal.remedy() }
    }
}

fn outlined(outline: &Outline, digest: Digest, length: usize) -> Inspection {
    let hooks = outline.exports.iter().filter_map(|export| {
        let name = export.ours()?.to_owned();
        Some(HookUse { name, available: export.is_served_hook() })
    });
    let mut hooks: Vec<_> = hooks.collect();
    // A linker writes them in an order of its own.
    hooks.sort_by_key(|hook| Hook::from_name(&hook.name).map_or(COUNT, |hook| hook as usize));
    let capabilities = outline.imports.iter().map(|import| CapabilityUse {
        name: import.full.clone(),
        available: import.is_served_capability(),
        grant: import.service().and_then(|service| service.grant).map(Grant::name),
    });
    let mut wanted: Vec<_> = outline.wants().map(|(_, grant)| grant).collect();
    wanted.sort();
    wanted.dedup();
    Inspection {
        bytes: length as u64,
        sha256: digest.to_string(),
        wit_version: outline.wit_version().map(str::to_owned),
        hooks,
        capabilities: capabilities.collect(),
        grants: (!wanted.is_empty()).then(|| service::lines(wanted)),
        idle_grants: Vec::new(),
        producers: outline.producers.clone(),
        descriptor: None,
        memory_bytes: None,
        problems: outline.problems().iter().map(Problem::new).collect(),
    }
}

async fn started(bytes: &[u8]) -> Result<Descriptor, Refusal> {
    let sandbox = sandbox()?;
    let grants = Grants::without_effect();
    let settings = PluginSettings { grants, ..PluginSettings::named("inspected") };
    let artifact = Arc::new(artifact(sandbox, bytes.to_vec(), &settings).await?);
    let reservation = artifact.reserve(sandbox, &settings).await?;
    let share = Stock::new(None, Services::default()).share(&settings)?;
    let identity = Arc::new(identity(&settings, share));
    let mut warm =
        Warm::new(&reservation, &artifact, identity, 0, None).await.map_err(not_started)?;
    let said = describe(&mut warm).await?;
    let interest =
        Interest::read(&said).map_err(|mistake| Refusal::Describe(one_line(&mistake)))?;
    Ok(Descriptor::new(&said, &interest))
}

pub(crate) async fn artifact(
    sandbox: &'static Sandbox,
    bytes: Vec<u8>,
    settings: &PluginSettings,
) -> Result<Artifact, Refusal> {
    let settings = settings.clone();
    let compiler = HostSettings::default().compiler(Pace::Behind);
    let within = compiler.within;
    let work =
        move || Artifact::make(sandbox, &bytes, &settings, &compiler, None, &BTreeSet::new());
    sandbox.compiling.run(within, Pace::Behind, work).await?
}
