//! What the host tells of itself: reports of what changed, and numbers for each plugin.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::crowd::Crowd;
use crate::errors::{Concern, Refusal};
use crate::meter::HookCounts;

/// What came of looking at the files or at new settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenerationReport {
    /// Counts the times that something was found to report, from 1.
    pub sequence: u64,
    /// The generation in force.
    pub generation: u64,
    /// What was found, by plugin.
    pub changes: Vec<Change>,
}

/// What happened to one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The plugin.
    pub plugin: String,
    /// Its file.
    pub file: PathBuf,
    /// What happened.
    pub what: What,
}

/// What can happen to a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Loaded,
    /// Another component or other settings took its place.
    Replaced,
    /// Its file is gone, and so is it.
    Removed,
    /// A new version serves a share of the sessions, beside the one in force.
    Tried,
    /// The new version that was tried serves all sessions now.
    Promoted,
    /// The operator took it out.
    Disabled,
    /// The version before took its place, for that reason.
    RolledBack(Refusal),
    /// Its new file is not taken, or its file is gone and it is required: the version before stays.
    Kept(Refusal),
    /// It cannot be started with its new settings, and may not go on with those of before: they
    /// granted more.
    Revoked(Refusal),
    /// It is not taken, and there is no version before.
    Refused(Refusal),
}

impl What {
    /// In one word.
    pub fn name(&self) -> &'static str {
        match self {
            What::Loaded => "loaded",
            What::Replaced => "replaced",
            What::Removed => "removed",
            What::Tried => "tried",
            What::Promoted => "promoted",
            What::Disabled => "disabled",
            What::RolledBack(_) => "rolled_back",
            What::Kept(_) => "kept",
            What::Revoked(_) => "revoked",
            What::Refused(_) => "refused",
        }
    }

    /// Why a file is not taken, where that is so.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            What::RolledBack(refusal)
            | What::Kept(refusal)
            | What::Revoked(refusal)
            | What::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// The host's state at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HostStatus {
    /// The generation in force.
    pub generation: u64,
    /// Its plugins, in the order in which they see a command.
    pub plugins: Vec<PluginStatus>,
    /// New versions that serve a share of the sessions.
    pub canaries: Vec<PluginStatus>,
    /// Plugins that should be there and are not.
    pub absent: Vec<AbsentPlugin>,
    /// What is being made of files at this moment.
    pub loading: Vec<LoadingPlugin>,
    /// Earlier versions that something still uses.
    pub draining: Vec<DrainingPlugin>,
    /// Where plugins may want more instances together than there are.
    pub crowds: Vec<Crowd>,
    /// The share of the sessions that new versions are tried on, in percent; 0 where none is.
    pub canary_percent: u64,
    /// What became of plugins since the start.
    pub reloads: Vec<ReloadCount>,
}

/// How often something became of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReloadCount {
    /// The plugin.
    pub plugin: String,
    /// What became of it, see [`What::name`].
    pub result: &'static str,
    /// How often.
    pub count: u64,
}

/// How a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is in force.
    Active,
    /// It is new and serves a share of the sessions, beside the version in force.
    Canary,
    /// It is in force and only listened to: what it decides is logged, and not done.
    Shadow,
    /// It is in force, and failed so often lately that it is not asked for a while.
    Broken,
    /// It is not taken.
    Rejected,
    /// The operator took it out.
    Disabled,
    /// Its file is not there yet.
    Waiting,
    /// Its file is compiled, started or tried out; another version may be in force meanwhile.
    Loading,
    /// Another version took its place, and something still uses this one.
    Draining,
}

/// A plugin that should be there and is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AbsentPlugin {
    /// Its name in this server.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// The file that its settings stand in, if it has any.
    pub settings: Option<PathBuf>,
    /// How it is.
    pub state: State,
    /// Why.
    pub reason: String,
    /// What to do about it, where that can be said.
    pub remedy: Option<String>,
}

/// A plugin whose file is new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadingPlugin {
    /// Its name in this server.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// The file that its settings stand in, if it has any.
    pub settings: Option<PathBuf>,
    /// How it is.
    pub state: State,
    /// What is done with it.
    pub step: Step,
    /// Since when something is, in seconds since 1970.
    #[serde(serialize_with = "seconds")]
    pub since: SystemTime,
    /// SHA-256 of its component, in hexadecimal.
    pub sha256: String,
    /// SHA-256 of its own configuration, in hexadecimal: with the other it tells versions apart.
    pub config_sha256: String,
}

/// What is done with a file before it comes into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It is checked, and compiled unless that was done before.
    Compile,
    /// It describes and prepares itself.
    Start,
    /// The scenario that lies beside it is played.
    Test,
}

/// An earlier version that something still uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrainingPlugin {
    /// Its name in this server.
    pub name: String,
    /// How it is.
    pub state: State,
    /// SHA-256 of its component, in hexadecimal.
    pub sha256: String,
    /// SHA-256 of its own configuration, in hexadecimal: with the other it tells versions apart.
    pub config_sha256: String,
    /// The generation that it came with.
    pub since_generation: u64,
    /// Its instances.
    pub instances: usize,
    /// Transfers that go on with it, each of a session of its own. Without any, it is a command that
    /// has not ended.
    pub transfers: usize,
}

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// When, in seconds since 1970.
    #[serde(serialize_with = "seconds")]
    pub at: SystemTime,
    /// In a call of which hook.
    pub hook: &'static str,
    /// What.
    pub reason: String,
    /// What to do about it, where that can be said.
    pub remedy: Option<String>,
}

/// One plugin's state at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct PluginStatus {
    /// Its name in this server.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// The file that its settings stand in, if it has any.
    pub settings: Option<PathBuf>,
    /// SHA-256 of its component, in hexadecimal.
    pub sha256: String,
    /// SHA-256 of its own configuration, in hexadecimal: with the other it tells versions apart.
    pub config_sha256: String,
    /// How it is.
    pub state: State,
    /// The generation that it came with.
    pub since_generation: u64,
    /// When it came into force, in seconds since 1970.
    #[serde(serialize_with = "seconds")]
    pub loaded: SystemTime,
    /// What it says of itself: its name and version.
    pub component: String,
    /// The hooks that it serves.
    pub hooks: Vec<&'static str>,
    /// The grants that it has no use for.
    pub idle_grants: Vec<&'static str>,
    /// What there is to look after with its files.
    pub concerns: Vec<Concern>,
    /// Instances that wait for a call.
    pub instances_idle: usize,
    /// Instances that are in use, by calls and by transfers.
    pub instances_busy: usize,
    /// Of these, those that belong to transfers until they end.
    pub instances_pinned: usize,
    /// Memory of all its instances, in bytes.
    pub memory_bytes: usize,
    /// Whether it failed so often lately that it is not asked for a while.
    pub breaker_open: bool,
    /// Whether it is only listened to.
    pub shadow: bool,
    /// How often it would have done something, where it is only listened to.
    pub differed: u64,
    /// Commands that it is remembered to let pass, each as often as there are processors that know it.
    pub remembered_commands: usize,
    /// What was counted since it was loaded.
    pub counts: Counts,
    /// The same by hook, without those that were never called.
    pub calls_by_hook: Vec<HookCounts>,
    /// What half of its calls stayed below, of all hooks.
    #[serde(rename = "p50_us", serialize_with = "maybe_microseconds")]
    pub p50: Option<Duration>,
    /// What 99 of 100 calls stayed below.
    #[serde(rename = "p99_us", serialize_with = "maybe_microseconds")]
    pub p99: Option<Duration>,
    /// Time that calls and transfers waited for an instance.
    #[serde(rename = "wait_time_us", serialize_with = "microseconds")]
    pub wait_time: Duration,
    /// How many of them waited how long: by [`BUCKETS_US`](crate::BUCKETS_US), the last is for
    /// longer ones.
    #[serde(skip)]
    pub wait_buckets: Vec<u64>,
    /// What went wrong last in a call.
    pub last_error: Option<LastError>,
    /// Why its file, which is another now, is not taken.
    pub trouble: Option<String>,
    /// What to do about that, where that can be said.
    pub remedy: Option<String>,
    /// Events on their way to it, if it wants any.
    pub events: Option<EventCounts>,
}

/// Events on their way to one plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventCounts {
    /// Those that wait, in memory and on the disk.
    pub waiting: usize,
    /// Those dropped since the server started: too many waited, or the plugin failed on them.
    pub dropped: u64,
    /// Of those that wait, those that are on the disk.
    pub spooled: usize,
    /// Octets on the disk, of those that wait there and those that go with the next write.
    pub spooled_bytes: u64,
    /// Octets that there may be; 0 where what waits is lost when the server ends.
    pub spooled_bytes_max: u64,
}

/// Counts of one plugin's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Calls made.
    pub calls: u64,
    /// Calls that ended in a trap, memory limit included.
    pub traps: u64,
    /// Calls that took longer than they may.
    pub timeouts: u64,
    /// Calls whose verdict could not be carried out.
    pub bad_verdicts: u64,
    /// Calls that got no instance, or were not made because the plugin failed too often lately.
    pub not_made: u64,
    /// Calls that were given up by whoever waited for them, as with a client that is gone.
    pub given_up: u64,
    /// Time spent in calls.
    #[serde(rename = "time_us", serialize_with = "microseconds")]
    pub time: Duration,
    /// Lines for the log that were dropped.
    pub log_lines_dropped: u64,
    /// Numbers for metrics that were dropped: too many series, or no metric.
    pub metrics_dropped: u64,
    /// Time of the processor that its calls took, as far as it was noticed, in ticks of 10 ms.
    pub cpu_ticks: u64,
    /// Requests to web services, those under way included.
    pub http_requests: u64,
    /// Of these, how many were answered.
    pub http_ok: u64,
    /// How many were denied.
    pub http_denied: u64,
    /// How many took too long.
    pub http_timeouts: u64,
    /// How many were too large, or their answer.
    pub http_too_large: u64,
    /// How many failed otherwise.
    pub http_failed: u64,
    /// Octets in its store, of this and earlier versions.
    pub kv_bytes: u64,
    /// Octets that its store may have; 0 if it has none.
    pub kv_bytes_max: u64,
}

pub(crate) fn microseconds<S: serde::Serializer>(
    time: &Duration,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

fn maybe_microseconds<S: serde::Serializer>(
    time: &Option<Duration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)).serialize(to)
}

fn seconds<S: serde::Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    to.serialize_u64(since.as_secs())
}
