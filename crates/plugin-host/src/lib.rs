//! WebAssembly components as waft hooks: a component in a file becomes an implementation of
//! [`waft_core::hooks::Hooks`].
#![deny(unsafe_code)]

mod errors;
mod host;
mod inspect;
mod settings;
mod status;

pub use errors::{LoadError, LoadErrors, Refusal, WatchError};
pub use host::{Host, Watching};
pub use inspect::{
    CapabilityUse, Descriptor, HookUse, Inspection, Problem, Producer, check, inspect,
};
pub use settings::{Grants, HostSettings, Limits, OnError, OnLoadError, PluginSettings, Secret};
pub use status::{Change, Counts, GenerationReport, HostStatus, PluginStatus, What};
