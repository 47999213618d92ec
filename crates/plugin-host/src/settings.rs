//! What the operator wants: plain data, already validated for form, that the program which puts
//! the parts together fills in. Nothing here reads files or knows a configuration format.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::compiler::{Compiler, CompilerProcess};
use crate::errors::{Flaw, Refusal};
use crate::hook::{Budget, Hook};
use crate::self_test::{Compiled, SelfTester};
use crate::service::Grant;
use crate::workshop::Pace;

/// Everything about plugins.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// A directory whose every `*.wasm` file is a plugin, named after the file without its
    /// extension.
    pub directory: Option<PathBuf>,
    /// Plugins named one by one. One whose file lies in `directory` gives that file its settings.
    pub plugins: Vec<PluginSettings>,
    /// Who reads the settings that lie beside a component in the directory, in `NAME.toml`; `None`
    /// leaves such files alone.
    pub beside: Option<SettingsReader>,
    /// Who plays the scenario that lies beside a component, in `NAME.scenario.txt`, before it comes into
    /// force; `None` leaves such files alone.
    pub self_test: Option<SelfTester>,
    /// Components that need not be compiled again.
    pub compiled: Vec<Compiled>,
    /// The names of plugins that have to be storages: accounts or mounts have their files in them.
    pub storages: Vec<String>,
    /// What becomes of components in the directory that neither `plugins` names nor settings lie
    /// beside.
    pub unlisted: Unlisted,
    /// The settings of such components, but for their names.
    pub dropped_in: PluginSettings,
    /// Names of plugins in the order in which they see a command. Those not named here come
    /// behind them, by priority and then by name.
    pub order: Vec<String>,
    /// The server's state directory: compiled components are kept under it, in `plugins/`. `None`
    /// keeps them in memory only.
    pub state: Option<PathBuf>,
    /// The user, by number, that the process is to become: besides root and the user that it is, the
    /// one that components may belong to.
    pub run_as: Option<u32>,
    /// Who knows what clients reach; `None` where there are none.
    pub clients: Option<ClientReach>,
    /// Memory of all instances together, in bytes. An instance more waits for one that goes.
    pub memory_budget: u64,
    /// Sessions that the server has at most; `None` where they have no bound. Plugins may want as many
    /// instances of some kinds.
    pub sessions: Option<usize>,
    /// Who has to have signed components; `None` is nobody.
    pub signer: Option<Signer>,
    /// How long a new version is on probation: if it fails again and again within that time, the
    /// version before takes its place. Zero is not at all.
    pub probation: Duration,
    /// How long transfers may go on with a version that another took the place of; `None` is as
    /// long as they take.
    pub drain_timeout: Option<Duration>,
    /// The program that compiles components, in a process of its own; `None` has the server do it.
    pub compiler: Option<CompilerProcess>,
    /// How long a component may take to be compiled.
    pub compile_timeout: Duration,
    /// Whether this is only to see if it would work: nothing that plugins keep is read or written.
    pub rehearsal: bool,
    /// How long files must be left alone before they are read again.
    pub debounce: Duration,
    /// How often files are looked at even where no change was announced, for file systems that
    /// announce none.
    pub poll: Duration,
}

impl Default for HostSettings {
    fn default() -> HostSettings {
        HostSettings {
            directory: None,
            plugins: Vec::new(),
            storages: Vec::new(),
            beside: None,
            self_test: None,
            compiled: Vec::new(),
            unlisted: Unlisted::default(),
            dropped_in: PluginSettings::named(""),
            order: Vec::new(),
            state: None,
            run_as: None,
            clients: None,
            memory_budget: 512 * 1024 * 1024,
            sessions: None,
            signer: None,
            probation: Duration::from_secs(60),
            drain_timeout: None,
            compiler: None,
            compile_timeout: Duration::from_secs(120),
            rehearsal: false,
            debounce: Duration::from_millis(250),
            poll: Duration::from_secs(30),
        }
    }
}

impl HostSettings {
    pub(crate) fn compiler(&self, pace: Pace) -> Compiler {
        Compiler { process: self.compiler.clone(), within: self.compile_timeout, pace }
    }
}

/// Makes settings of a file that lies beside a component. Its name, its place, whether it is required
/// and what it is granted are not taken from there.
#[derive(Clone)]
pub struct SettingsReader(Arc<Reads>);

type Reads = dyn Fn(&Path, &[u8]) -> Result<PluginSettings, Vec<Flaw>> + Send + Sync;

impl SettingsReader {
    /// Reads files by `read`, which is given a file's name and content, and tells everything that is
    /// wrong with it.
    pub fn new(
        read: impl Fn(&Path, &[u8]) -> Result<PluginSettings, Vec<Flaw>> + Send + Sync + 'static,
    ) -> SettingsReader {
        SettingsReader(Arc::new(read))
    }

    pub(crate) fn read(&self, file: &Path, octets: &[u8]) -> Result<PluginSettings, Vec<Flaw>> {
        (self.0)(file, octets)
    }
}

impl fmt::Debug for SettingsReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SettingsReader")
    }
}

/// Knows what clients reach, by names of files: what such a name leads to now is asked at every look.
#[derive(Clone)]
pub struct ClientReach {
    reached: Arc<Reaches>,
    changed_on: Arc<Changes>,
}

type Reaches = dyn Fn(&Path) -> Option<Reached> + Send + Sync;

type Changes = dyn Fn(u64) -> Option<Changed> + Send + Sync;

/// A file that clients reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// What its name leads to.
    pub end: PathBuf,
    /// Who does what there.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// A directory where clients change files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The directory.
    pub root: PathBuf,
    /// Who does.
    pub who: String,
}

impl ClientReach {
    /// Asks `reached` about the names of components and of what belongs to them, and `changed_on` about
    /// the file systems, by their numbers (`st_dev`), of those that have several names.
    pub fn new(
        reached: impl Fn(&Path) -> Option<Reached> + Send + Sync + 'static,
        changed_on: impl Fn(u64) -> Option<Changed> + Send + Sync + 'static,
    ) -> ClientReach {
        ClientReach { reached: Arc::new(reached), changed_on: Arc::new(changed_on) }
    }

    pub(crate) fn reached(&self, file: &Path) -> Option<Refusal> {
        let Reached { end, message, remedy } = (self.reached)(file)?;
        Some(Refusal::Reached { end, message, remedy })
    }

    pub(crate) fn changed_on(&self, device: u64) -> Option<Changed> {
        (self.changed_on)(device)
    }
}

impl fmt::Debug for ClientReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientReach")
    }
}

/// Who has to have signed components: each has its signature beside it, in `FILE.sig`.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The public key.
    pub key: Vec<u8>,
    /// Tells whether it has signed the component: by key, component and signature.
    pub verify: fn(&[u8], &[u8], &[u8]) -> bool,
}

/// The same key is the same signer: there is one way to verify in a program.
impl PartialEq for Signer {
    fn eq(&self, other: &Signer) -> bool {
        self.key == other.key
    }
}

/// One plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginSettings {
    /// Its name in logs, in `order` and in its sessions' scratch space.
    pub name: String,
    /// The component; `None` is `<directory>/<name>.wasm`, which need not be there yet unless the
    /// plugin is `required`.
    pub path: Option<PathBuf>,
    /// The only digest that is taken: SHA-256, in hexadecimal; `None` is any.
    pub sha256: Option<String>,
    /// What a call that failed counts as, where there is a choice: replies are always kept as they
    /// were, nobody is let in, and what only the plugin can answer is answered with 451.
    pub on_error: OnError,
    /// The same for single hooks, where they differ.
    pub on_error_by_hook: BTreeMap<Hook, OnError>,
    /// Who shares an instance.
    pub isolation: Isolation,
    /// Transfers that have one instance at the same time. More than one is for [`Isolation::Pool`], and
    /// for components whose imports do not wait.
    pub share: usize,
    /// What becomes of the server's start if the plugin cannot be loaded.
    pub on_load_error: OnLoadError,
    /// Whether the last good version stays in force when the file is removed.
    pub required: bool,
    /// Place among the plugins that `order` does not name: lower sees a command earlier.
    pub priority: i32,
    /// What it may use.
    pub limits: Limits,
    /// Its own configuration, keys dotted.
    pub config: Vec<(String, String)>,
    /// Whether it is only listened to: what it decides is logged, and not done.
    pub shadow: bool,
    /// How many of 100 sessions a new version serves at first; `None` is all.
    pub canary_percent: Option<u8>,
    /// What it may do beyond its hooks.
    pub grants: Grants,
    /// Whether files are to be in it: it has to be a storage then. Follows from
    /// [`HostSettings::storages`].
    pub holds_files: bool,
    /// Where these settings come from.
    pub listed: Listed,
    /// The file that they were written in, for who asks.
    pub written: Option<PathBuf>,
}

/// Where the settings of a plugin come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// The operator wrote them into the configuration.
    Yes,
    /// They lie beside the component.
    Beside,
    /// Nobody did: the component was dropped in.
    No,
    /// Nobody did, and it may serve no hook that wants trust.
    HooksOnly,
}

impl PluginSettings {
    /// A plugin of that name with default settings.
    pub fn named(name: impl Into<String>) -> PluginSettings {
        PluginSettings {
            name: name.into(),
            path: None,
            sha256: None,
            on_error: OnError::Deny,
            on_error_by_hook: BTreeMap::new(),
            isolation: Isolation::Pool,
            share: 1,
            on_load_error: OnLoadError::Refuse,
            required: false,
            priority: 100,
            limits: Limits::default(),
            config: Vec::new(),
            shadow: false,
            canary_percent: None,
            grants: Grants::default(),
            holds_files: false,
            listed: Listed::Yes,
            written: None,
        }
    }

    /// What a failed call of `hook` counts as, where there is a choice.
    pub(crate) fn on_error(&self, hook: Hook) -> OnError {
        self.on_error_by_hook.get(&hook).copied().unwrap_or(self.on_error)
    }
}

/// Who shares an instance. A transfer always has one of its own, or one with other transfers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Whoever comes next, whatever the session.
    #[default]
    Pool,
    /// The calls of one session, from its first to its end.
    Session,
    /// Nobody: each call has a new one.
    Call,
}

/// What becomes of a command that a plugin failed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It is answered with 451.
    #[default]
    Deny,
    /// It goes on as if the plugin were not there.
    Allow,
}

/// What becomes of the server's start if a plugin cannot be loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLoadError {
    /// It fails.
    #[default]
    Refuse,
    /// It goes on without the plugin, with an error in the log.
    Disable,
}

/// What one plugin may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// Time of the processor that one call of any hook may take, looked at every 10 ms; `None` is what
    /// the hook's calls have by default.
    pub cpu: Option<Duration>,
    /// Time that one call of any hook may take in all, likewise.
    pub wall: Option<Duration>,
    /// The same for single hooks, where they differ.
    pub by_hook: BTreeMap<Hook, CallLimits>,
    /// Time that a call waits for a free instance.
    pub queue: Duration,
    /// Instances kept ready.
    pub instances_min: usize,
    /// Instances at the same time; further calls wait. With fewer than there are threads of sessions
    /// they do so often: a thread that is put aside in the midst of a call keeps its instance.
    pub instances_max: usize,
    /// Sessions that have an instance of their own at the same time, where the isolation is
    /// [`Isolation::Session`]; calls of further ones wait.
    pub sessions_max: usize,
    /// Transfers at the same time, whether they share instances or not; further ones wait.
    pub transfers_max: usize,
    /// Calls after which an instance is replaced.
    pub instance_calls: u64,
    /// Age at which an instance is replaced.
    pub instance_age: Duration,
    /// How long instances above `instances_min` wait for a call before they are dropped.
    pub instance_idle: Duration,
    /// Lines that it may write to the log in a second.
    pub log_lines: u32,
    /// Commands on each processor that it is remembered to let pass, where it says that it decides by
    /// nothing but the command and the session; 0 has it asked every time.
    pub remembered_commands: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory: 64 * 1024 * 1024,
            cpu: None,
            wall: None,
            by_hook: BTreeMap::new(),
            queue: Duration::from_secs(1),
            instances_min: 1,
            instances_max: 64,
            sessions_max: 256,
            transfers_max: 256,
            instance_calls: 100_000,
            instance_age: Duration::from_secs(600),
            instance_idle: Duration::from_secs(60),
            log_lines: 200,
            remembered_commands: 1024,
        }
    }
}

impl Limits {
    /// What one call of `hook` may take.
    pub(crate) fn budget(&self, hook: Hook) -> Budget {
        let usual = hook.row().budget;
        let own = self.by_hook.get(&hook).copied().unwrap_or_default();
        Budget {
            cpu: own.cpu.or(self.cpu).unwrap_or(usual.cpu),
            wall: own.wall.or(self.wall).unwrap_or(usual.wall),
        }
    }
}

/// What one call of one hook may take; `None` is what holds for all hooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallLimits {
    /// Time of the processor.
    pub cpu: Option<Duration>,
    /// Time that it may take in all.
    pub wall: Option<Duration>,
}

/// What one plugin may do beyond its hooks: nothing by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grants {
    /// Whether nobody wrote them: what a plugin does not use of them is nothing to tell of.
    pub made_up: bool,
    /// A store of its own.
    pub kv: Option<KvGrant>,
    /// Octets of the events that wait for it on the disk, in the state directory; `None` is not at
    /// all: what waits is lost when the server ends.
    pub durable_events: Option<u64>,
    /// Web services that it may ask.
    pub http: Option<HttpGrant>,
    /// Whether it may end sessions and ban addresses.
    pub control: bool,
    /// Whether it is shown the passwords that clients offer.
    pub passwords: bool,
    /// The directories within which the accounts that it lets in may have their files.
    pub storage: Vec<PathBuf>,
    /// Secrets that `config.secret` gives it, by name.
    pub secrets: Vec<(String, Secret)>,
}

impl Grants {
    /// Octets of events on the disk where the operator says nothing of them.
    pub const DURABLE_EVENTS_BYTES: u64 = 64 * 1024 * 1024;

    /// All that can be had without naming anything, for a look at a component: an empty store, no
    /// service to ask.
    pub fn without_effect() -> Grants {
        Grants {
            kv: Some(KvGrant { bytes: KvGrant::BYTES, persistent: false }),
            http: Some(HttpGrant::default()),
            control: true,
            made_up: true,
            ..Grants::default()
        }
    }

    /// Whether there is anything of that kind.
    pub fn has(&self, grant: Grant) -> bool {
        match grant {
            Grant::Kv => self.kv.is_some(),
            Grant::DurableEvents => self.durable_events.is_some(),
            Grant::Http => self.http.is_some(),
            Grant::Control => self.control,
            Grant::Passwords => self.passwords,
            Grant::Storage => !self.storage.is_empty(),
            Grant::Secrets => !self.secrets.is_empty(),
        }
    }

    /// Whether whoever has these has all of `others` too. Places count as they are written: a wider
    /// one is another.
    pub(crate) fn cover(&self, others: &Grants) -> bool {
        let kv = others.kv.is_none_or(|other| {
            let lasts = |own: KvGrant| own.persistent || !other.persistent;
            self.kv.is_some_and(|own| own.bytes >= other.bytes && lasts(own))
        });
        let http = others.http.as_ref().is_none_or(|other| {
            self.http.as_ref().is_some_and(|own| {
                let urls = other.urls.iter().all(|url| own.urls.contains(url));
                urls && (own.private || !other.private)
            })
        });
        // Another value under a name is not taken away.
        let secret = |(name, _): &(String, Secret)| self.secrets.iter().any(|(own, _)| own == name);
        kv && http
            && self.durable_events >= others.durable_events
            && (self.control || !others.control)
            && (self.passwords || !others.passwords)
            && others.storage.iter().all(|directory| self.storage.contains(directory))
            && others.secrets.iter().all(secret)
    }
}

/// A plugin's store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvGrant {
    /// Octets of keys and values together.
    pub bytes: u64,
    /// Whether it is kept in the state directory.
    pub persistent: bool,
}

impl KvGrant {
    /// Octets where the operator says nothing of them.
    pub const BYTES: u64 = 1024 * 1024;
}

/// The web services that a plugin may ask.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpGrant {
    /// What URLs must begin with.
    pub urls: Vec<String>,
    /// Whether services may have addresses of this machine or of a private network.
    pub private: bool,
}

/// What becomes of a component in the directory that has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlisted {
    /// It is not loaded.
    Off,
    /// It is loaded, unless it decides who may log in or has files of its own.
    #[default]
    HooksOnly,
    /// It is loaded.
    On,
}

/// Octets that are never shown and overwritten when dropped.
#[derive(Clone, PartialEq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Keeps `octets`.
    pub fn new(octets: impl Into<Vec<u8>>) -> Secret {
        Secret(Zeroizing::new(octets.into()))
    }

    /// The octets, for the one plugin that they are granted to.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Grants {
        let urls = vec!["https://a.example".to_owned(), "https://b.example".to_owned()];
        Grants {
            kv: Some(KvGrant { bytes: 10, persistent: true }),
            durable_events: Some(10),
            http: Some(HttpGrant { urls, private: true }),
            control: true,
            passwords: true,
            storage: vec!["/srv".into()],
            secrets: vec![("key".to_owned(), Secret::new("a"))],
            made_up: false,
        }
    }

    #[test]
    fn grants_cover_what_is_no_more_than_they_are() {
        let other_value = vec![("key".to_owned(), Secret::new("b"))];
        assert!(all().cover(&all()) && all().cover(&Grants::default()));
        assert!(Grants { secrets: other_value, ..all() }.cover(&all()));
        let kv = |bytes, persistent| Some(KvGrant { bytes, persistent });
        let http = |urls: &[&str], private| {
            let urls = urls.iter().map(|&url| url.to_owned()).collect();
            Some(HttpGrant { urls, private })
        };
        for less in [
            Grants { kv: None, ..all() },
            Grants { kv: kv(9, true), ..all() },
            Grants { kv: kv(10, false), ..all() },
            Grants { durable_events: None, ..all() },
            Grants { durable_events: Some(9), ..all() },
            Grants { http: None, ..all() },
            Grants { http: http(&["https://a.example", "https://b.example"], false), ..all() },
            Grants { http: http(&["https://a.example"], true), ..all() },
            Grants { control: false, ..all() },
            Grants { passwords: false, ..all() },
            Grants { storage: vec![], ..all() },
            Grants { secrets: vec![], ..all() },
        ] {
            assert!(!less.cover(&all()), "{less:?}");
            assert!(all().cover(&less), "{less:?}");
        }
    }
}
