//! WebAssembly components as waft hooks: a component in a file becomes an implementation of
//! [`waft_core::hooks::Hooks`].
//!
//! ```text
//! file ─ read whole ─► outline ─► artifact ──┐            (compiled once per content)
//! settings ──────────────────────────────────┴► plugin    (instances, breaker, counters)
//! plugins in their order ─► generation ─► Host::current() (swapped as one; a command keeps its own)
//! ```
//!
//! A guest returns verdicts and may touch nothing but what it imports; what it may import is
//! listed in one place and none of it reaches files, sockets or other plugins. Whatever a guest
//! does wrong costs it one call and one instance, never a session: its policy answers.
//!
//! What is *not* here: FTP sessions, configuration files, printing. A component that exports what is
//! no hook here is refused, because a rule that nobody enforces is worse than none.
#![deny(unsafe_code)]

mod artifact;
mod beside;
mod bindings;
mod breaker;
mod budget;
mod cache;
mod canary;
mod capability;
mod chain;
mod clock;
mod compiler;
mod core_dumps;
mod costs;
mod crowd;
mod engine;
mod errands;
mod errors;
mod files;
mod guard;
mod guest;
mod hook;
mod hooks;
mod host;
mod inspect;
mod interest;
mod lent;
mod limits;
mod load;
mod memo;
mod meter;
mod news;
mod onlooker;
mod operate;
mod outbox;
mod outline;
mod owners;
mod pace;
mod plugin;
mod pool;
mod private;
mod probation;
mod processor;
mod progress;
mod scarcity;
mod self_test;
mod service;
mod services;
mod settings;
mod stand_ins;
mod status;
mod storage;
mod version;
mod watch;
mod workshop;

pub use beside::Beside;
pub use cache::Image;
pub use compiler::{CompilerProcess, compile_apart};
pub use core_dumps::CoreDumps;
pub use costs::{Instances, instances};
pub use crowd::Crowd;
pub use errors::{Concern, Flaw, LoadError, LoadErrors, OperateError, Refusal, WatchError};
pub use hook::Hook;
pub use host::Host;
pub use inspect::{
    CapabilityUse, Descriptor, HookUse, Inspection, Problem, Producer, check, inspect,
};
pub use lent::Services;
pub use limits::COMPONENT_BYTES_MAX;
pub use meter::{BUCKETS_US, HookCounts};
pub use onlooker::{Called, Onlooker};
pub use self_test::{Compiled, SelfTest, SelfTester, TestFailure};
pub use service::Grant;
pub use services::http::check_url;
pub use services::metrics::{Metric, MetricKind, MetricSeries, MetricValue};
pub use settings::{
    CallLimits, Changed, ClientReach, Grants, HostSettings, HttpGrant, Isolation, KvGrant, Limits,
    Listed, OnError, OnLoadError, PluginSettings, Reached, Secret, SettingsReader, Signer,
    Unlisted,
};
pub use stand_ins::{Fault, NoWebResponse, StandIns, WebRequest, WebResponse};
pub use status::{
    AbsentPlugin, Change, Counts, DrainingPlugin, EventCounts, GenerationReport, HostStatus,
    LastError, LoadingPlugin, PluginStatus, ReloadCount, State, Step, What,
};
pub use watch::Watching;
