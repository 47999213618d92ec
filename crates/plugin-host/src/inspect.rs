//! What a component is and wants, without running it in a server: for `waft plugin inspect` and
//! `waft plugin check`. Printing is the program's business.

use serde::Serialize;

use crate::errors::{LoadError, Refusal};
use crate::settings::PluginSettings;

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
    /// Tools and languages that made it, from its metadata: what, name, version.
    pub producers: Vec<Producer>,
    /// What it says of itself; `None` where it cannot be started.
    pub descriptor: Option<Descriptor>,
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
    /// The verbs whose commands it wants to see; none means all.
    pub command_verbs: Vec<String>,
    /// The verbs whose replies it wants to see; none means all.
    pub reply_verbs: Vec<String>,
    /// The codes of the replies that it wants to see; none means all.
    pub reply_codes: Vec<u16>,
}

/// A reason not to load a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong.
    pub reason: String,
    /// What to do about it, where that can be said.
    pub remedy: Option<String>,
}

/// Tells what the component in `bytes` is and wants.
///
/// `describe` is called with an empty configuration where the component can be started; `init` is
/// not.
///
/// # Errors
/// `bytes` are no component at all. Whatever else is wrong with it stands in
/// [`Inspection::problems`].
pub async fn inspect(bytes: &[u8]) -> Result<Inspection, Refusal> {
    let _ = bytes;
    Err(Refusal::Missing)
}

/// Loads one plugin as the server would, `init` included, and tells what it is.
///
/// # Errors
/// The server would not load it.
pub async fn check(settings: &PluginSettings) -> Result<Inspection, LoadError> {
    Err(LoadError { plugin: settings.name.clone(), file: None, refusal: Refusal::NoPlace })
}
