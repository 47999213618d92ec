//! What can go wrong, by moment: a component that is not taken ([`Refusal`], before it sees any
//! command) and a call that failed ([`Failure`], answered by the plugin's policy).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use waft_proto::command::printable;

use crate::limits;
use crate::scarcity;
use crate::self_test::{Place, TestFailure};
use crate::service::{self, Grant};
use crate::settings::{Changed, Listed};
use crate::workshop::Undone;

/// Octets of a mebibyte, the unit in messages.
const MIB: u64 = 1 << 20;

/// What to do where an instance may not have the memory that it needs.
const RAISE_MEMORY: &str = "raise memory in its limits";

const FEWER_ATTRIBUTES: &str = "have it tell fewer or shorter attributes and groups of the account: \
                                those that other plugins ask for";

/// Why a component is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such file.
    #[error("no such file")]
    Missing,
    /// The file or its directory cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Its name leads nowhere.
    #[error("a link that leads nowhere: {}", target.display())]
    Dangling {
        /// What the link says.
        target: PathBuf,
    },
    /// Something else has a plugin's name.
    #[error("{kind}, not a file")]
    NotAFile {
        /// What it is.
        kind: &'static str,
    },
    /// Clients reach what its name leads to.
    #[error("leads to {}, and {message}", end.display())]
    Reached {
        /// What it leads to.
        end: PathBuf,
        /// Who does what there.
        message: String,
        /// What to do about it.
        remedy: String,
    },
    /// A file that belongs to the component is not taken.
    #[error("{}: {refusal}", file.display())]
    Beside {
        /// The file.
        file: PathBuf,
        /// Why.
        refusal: Box<Refusal>,
    },
    /// There is nothing in it.
    #[error("an empty file")]
    Empty,
    /// The settings beside it have mistakes.
    #[error("its settings are wrong: {}", told(.0))]
    Settings(Vec<Flaw>),
    /// There are settings beside it, and others in the configuration.
    #[error(
        "has settings of its own in {}, and a [[plugin]]{}", beside.display(),
        entry.as_ref().map(|file| format!(" in {}", file.display())).unwrap_or_default()
    )]
    SettingsTwice {
        /// The file beside it.
        beside: PathBuf,
        /// The file with the other ones, if there is one.
        entry: Option<PathBuf>,
    },
    /// The file is longer than any component should be.
    #[error("too large: {bytes} bytes, at most {max}")]
    TooLarge {
        /// Its length.
        bytes: u64,
        /// The longest that is taken.
        max: u64,
    },
    /// Others could replace the component.
    #[error("{} is writable by others (mode {mode:03o})", path.display())]
    WritableByOthers {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else owns the component, or its directory, and could replace it.
    #[error(
        "{} belongs to the user {uid}, who is neither root nor the user of the server",
        path.display()
    )]
    OwnedByOthers {
        /// The file or directory.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// A plugin has neither a path nor a directory to be found in.
    #[error("no path, and no plugin directory to look in")]
    NoPlace,
    /// Two plugins have one name.
    #[error("the name is taken by another plugin: {0}")]
    NameTaken(String),
    /// A file name that cannot be a plugin's name.
    #[error("the file's name is not UTF-8")]
    BadName,
    /// The settings want more than the process has.
    #[error("the instances of all plugins together are {wanted}, at most {max}")]
    TooManyInstances {
        /// What the settings add up to.
        wanted: usize,
        /// What there is.
        max: usize,
    },
    /// The sessions that may have an instance of their own would take more memory than there is.
    #[error(
        "an instance of its own for each of {sessions} sessions takes {} MiB, and memory_budget is \
         {} MiB", wanted.div_ceil(MIB), budget / MIB
    )]
    SessionsTooLarge {
        /// The sessions that may have one.
        sessions: usize,
        /// Octets that they take.
        wanted: u64,
        /// Octets that there are.
        budget: u64,
    },
    /// The instances that plugins keep would take more memory than there is for all of them.
    #[error(
        "the instances that all plugins keep take {} MiB, and memory_budget is {} MiB: its own are \
         {} MiB of that", wanted.div_ceil(MIB), budget / MIB, own.div_ceil(MIB)
    )]
    KeptTooLarge {
        /// Octets that its own instances take.
        own: u64,
        /// Octets that all of them take together.
        wanted: u64,
        /// Octets that there are.
        budget: u64,
    },
    /// Not WebAssembly, or broken.
    #[error("not a WebAssembly component: {0}")]
    NotWasm(String),
    /// A core module.
    #[error("a core WebAssembly module, not a component")]
    CoreModule,
    /// Built for another version of the interface.
    #[error("built for waft:plugin {found}, this server speaks {served}")]
    Version {
        /// The version that the component names.
        found: String,
        /// The version that this host serves.
        served: &'static str,
    },
    /// A component without `lifecycle` is no plugin.
    #[error("exports no waft:plugin/lifecycle")]
    NoLifecycle,
    /// It exports an interface of waft's package that is none of its hooks.
    #[error("exports {0}, which is no hook of this server")]
    UnknownHook(String),
    /// It imports what is not there.
    #[error("imports {0}, which is not available in this version")]
    ImportNotServed(String),
    /// It imports what it is not granted.
    #[error("imports {}, which it is not granted", imports.join(", "))]
    NotGranted {
        /// The plugin.
        plugin: String,
        /// What it imports.
        imports: Vec<String>,
        /// What it takes.
        grants: Vec<Grant>,
        /// Where its settings come from.
        listed: Listed,
    },
    /// What it kept cannot be had.
    #[error("its store cannot be opened: {0}")]
    Store(String),
    /// It is granted what is no web service.
    #[error("the grant http: {0}")]
    Url(String),
    /// It was dropped in and has a hook that the operator must ask for.
    #[error("exports the hook {hook}, and no [[plugin]] names it")]
    Unlisted {
        /// The plugin.
        plugin: String,
        /// The hook.
        hook: &'static str,
    },
    /// An import or an export has another type than the interface says.
    #[error("does not fit the interface: {0}")]
    Misfit(String),
    /// It cannot be compiled.
    #[error("cannot be compiled: {0}")]
    Compile(String),
    /// It takes too long to be compiled.
    #[error("not compiled within {0:?}")]
    CompileTime(Duration),
    /// Others take so long that there is nobody to compile it.
    #[error(
        "not compiled: {0} components before it are still being compiled, long after their time"
    )]
    CompilerBusy(usize),
    /// It fails before it does anything.
    #[error("cannot be started: {0}")]
    Start(String),
    /// `describe` failed or its answer makes no sense.
    #[error("describe failed: {0}")]
    Describe(String),
    /// `init` failed.
    #[error("init failed: {0}")]
    Init(String),
    /// The scenario that lies beside it does not go as it is written.
    #[error("its self-test fails: {}", Place(file, failure))]
    SelfTest {
        /// The scenario.
        file: PathBuf,
        /// What went otherwise.
        failure: TestFailure,
    },
    /// `init` said what is wrong with its settings, a line each.
    #[error("init failed: {}", .0.replace('\n', "; "))]
    SaidNo(String),
    /// It needs more memory than one instance may have.
    #[error("needs more memory than an instance may have: {limit} bytes")]
    Memory {
        /// What the operator lets it have.
        limit: usize,
    },
    /// The system gives no memory for it.
    #[error("the system gives no more memory: {0}")]
    Unmapped(String),
    /// Files should be in it, and it has none.
    #[error("has no hook storage, and is where files should be")]
    NoStorage,
    /// An authenticator's failure would let anybody in.
    #[error("decides who logs in, and on_error = \"allow\" would let in whoever it fails on")]
    AllowsLogins,
    /// Another plugin answers a command that it brings along.
    #[error("brings {command} along, which the plugin {plugin} answers already")]
    CommandTaken {
        /// The command.
        command: String,
        /// The other plugin.
        plugin: String,
    },
    /// The operator named another digest.
    #[error("has the digest {found}, and sha256 says {pinned}")]
    Pinned {
        /// What the operator wrote.
        pinned: String,
        /// That of the file.
        found: String,
    },
    /// It is not signed, and has to be.
    #[error("has no signature: {}", file.display())]
    Unsigned {
        /// Where the signature should be.
        file: PathBuf,
    },
    /// Somebody else has signed it, or another component.
    #[error("is not signed by the key of [plugins]: {}", file.display())]
    BadSignature {
        /// The signature.
        file: PathBuf,
    },
    /// It does what cannot be only listened to.
    #[error("has the hook {hook}, which cannot be in the shadow")]
    NotForShadow {
        /// The hook.
        hook: &'static str,
    },
    /// Transfers are to share instances that nobody is to share.
    #[error("share has transfers share an instance, and isolation has nobody share one")]
    SharesAlone,
    /// Transfers are to share instances, and would wait for what one of them waits for.
    #[error("share has transfers share an instance, and what it imports can wait: {}", imports.join(", "))]
    SharesWaits {
        /// What it imports.
        imports: Vec<String>,
    },
    /// The operator took it out.
    #[error("disabled by the operator")]
    Disabled {
        /// The plugin.
        plugin: String,
    },
    /// Its version was in force and gave way to the one before.
    #[error("rolled back from {version}: {why}")]
    RolledBack {
        /// The plugin.
        plugin: String,
        /// The version that is not taken again: the digests of its component and of its configuration.
        version: String,
        /// Why it was rolled back.
        why: &'static str,
    },
    /// The sandbox cannot be had on this machine.
    #[error("no WebAssembly engine: {0}")]
    Engine(String),
}

/// For work that compiles.
impl From<Undone> for Refusal {
    fn from(undone: Undone) -> Refusal {
        match undone {
            Undone::Late(within) => Refusal::CompileTime(within),
            Undone::Busy(others) => Refusal::CompilerBusy(others),
            Undone::Failed(reason) => Refusal::Compile(format!("the compiler: {reason}")),
        }
    }
}

impl Refusal {
    /// The same of a file beside the component.
    pub(crate) fn of(self, file: PathBuf) -> Refusal {
        Refusal::Beside { file, refusal: Box::new(self) }
    }

    /// What to do about it, where that can be said.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Refusal::Unreadable(_) => "let the user of the server read it".to_owned(),
            Refusal::Dangling { .. } => "mend the link, or remove it".to_owned(),
            Refusal::NotAFile { .. } => {
                "put a file in its place, or take another name for it".to_owned()
            }
            Refusal::Reached { remedy, .. } => remedy.clone(),
            Refusal::Beside { refusal, .. } => return refusal.remedy(),
            Refusal::Empty | Refusal::NotWasm(_) => {
                "build it anew, copy it beside its place under another name, and rename it: mv"
                    .to_owned()
            }
            Refusal::TooLarge { .. } => {
                "build it for release, without debug information".to_owned()
            }
            Refusal::WritableByOthers { path, .. } => format!("chmod go-w {}", path.display()),
            Refusal::OwnedByOthers { path, .. } => {
                format!("if you trust what it holds: chown root {}", path.display())
            }
            Refusal::Settings(flaws) => {
                flaws.iter().map(|flaw| &*flaw.remedy).collect::<Vec<_>>().join("; ")
            }
            Refusal::SettingsTwice { beside, .. } => {
                format!("keep one of them: remove {}, or the [[plugin]]", beside.display())
            }
            Refusal::CompileTime(_) => {
                "if you trust it, raise compile_timeout in [plugins]".to_owned()
            }
            Refusal::CompilerBusy(_) => "restart the server".to_owned(),
            Refusal::NoPlace => "set path, or [plugins] directory".to_owned(),
            Refusal::NameTaken(_) | Refusal::BadName => "rename the file".to_owned(),
            Refusal::SessionsTooLarge { sessions, wanted, budget } => {
                let each = (wanted / (*sessions as u64).max(1)).max(1);
                let fit = budget / each;
                format!(
                    "set sessions = {fit} or less in its limits, raise memory_budget in \
                     [plugins], or take isolation = \"call\""
                )
            }
            Refusal::KeptTooLarge { wanted, .. } => {
                let needed = wanted.div_ceil(MIB);
                format!(
                    "set memory_budget = \"{needed}MiB\" or more in [plugins], and more for what \
                     they do at the same time; or lower instances.min in the limits of some plugin"
                )
            }
            Refusal::TooManyInstances { .. } => {
                "lower instances in the limits of some plugin".to_owned()
            }
            Refusal::CoreModule => {
                "make a component of it: wasm-tools component new, or cargo xtask plugins"
                    .to_owned()
            }
            Refusal::Version { served, .. } => format!("build it for waft:plugin@{served}"),
            Refusal::CommandTaken { plugin, .. } => {
                format!("remove one of the two, or change what {plugin} is told to answer")
            }
            Refusal::Pinned { found, .. } => {
                format!("restore the file, or if the new one is right, write sha256 = \"{found}\"")
            }
            Refusal::Unsigned { file } | Refusal::BadSignature { file } => {
                let (signature, component) = (file.display(), file.with_extension(""));
                format!(
                    "if you trust it, sign it: openssl pkeyutl -sign -rawin -inkey KEY.pem -in {} \
                     -out {signature}",
                    component.display()
                )
            }
            Refusal::SelfTest { file, failure } => match &failure.remedy {
                Some(remedy) => remedy.clone(),
                None => {
                    format!("mend the plugin, or the scenario, or remove it: {}", file.display())
                }
            },
            Refusal::NotForShadow { .. } => "remove shadow = true".to_owned(),
            Refusal::SharesAlone => "remove share, or set isolation = \"pool\"".to_owned(),
            Refusal::SharesWaits { .. } => {
                "remove share, or build it without these imports".to_owned()
            }
            Refusal::Disabled { plugin } => format!("waft plugin enable {plugin}"),
            Refusal::SaidNo(_) => "write [plugin.config] as its documentation says".to_owned(),
            Refusal::Memory { .. } => RAISE_MEMORY.to_owned(),
            Refusal::Unmapped(_) => scarcity::remedy(),
            Refusal::NoStorage => "name a plugin that has the hook storage".to_owned(),
            Refusal::RolledBack { plugin, .. } => {
                format!(
                    "replace its file or change its config, or try it again: waft plugin reload \
                     {plugin}"
                )
            }
            Refusal::AllowsLogins => {
                "set on_error = \"deny\" for it, or authenticator = \"deny\" in its \
                 on_error_by_hook"
                    .to_owned()
            }
            Refusal::NoLifecycle => "export waft:plugin/lifecycle".to_owned(),
            Refusal::ImportNotServed(name) if name.starts_with("wasi:") => {
                "build it for WASI 0.2, and without this".to_owned()
            }
            Refusal::ImportNotServed(_) => {
                "remove it from the plugin's world, or upgrade waft".to_owned()
            }
            Refusal::NotGranted { plugin, grants, listed, .. } => {
                let lines = service::lines(grants.iter().copied());
                match listed {
                    Listed::Yes => {
                        format!("write under the [[plugin]] whose name is {plugin:?}:\n{lines}")
                    }
                    Listed::Beside => format!(
                        "only the configuration grants: move {plugin}.toml there, under:\n\
                         [[plugin]]\nname = {plugin:?}\n{lines}"
                    ),
                    Listed::No | Listed::HooksOnly => {
                        format!("write:\n[[plugin]]\nname = {plugin:?}\n{lines}")
                    }
                }
            }
            Refusal::Url(_) => "write URLs such as https://example.org/path".to_owned(),
            Refusal::Store(_) => {
                "set server.state to a directory that the server alone may write to, or take \
                 persistent from the grant"
                    .to_owned()
            }
            Refusal::Unlisted { plugin, .. } => {
                format!("write:\n[[plugin]]\nname = {plugin:?}")
            }
            Refusal::UnknownHook(_) | Refusal::Misfit(_) => {
                "build it against this server's wit/".to_owned()
            }
            _ => return None,
        })
    }
}

/// What does not keep a component from being taken, and should be looked after.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Concern {
    /// Its file has other names (hard links), and clients may reach one of them.
    #[error(
        "{} has {names} names, and {} can change it if one of them is within {}",
        file.display(), changed.who, changed.root.display()
    )]
    SeveralNames {
        /// The file.
        file: PathBuf,
        /// How many.
        names: u64,
        /// Who changes files on its file system, and where.
        changed: Changed,
    },
}

impl Concern {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        let Concern::SeveralNames { file, .. } = self;
        let file = file.display();
        format!("make it a file of its own: cp -p {file} {file}.own && mv {file}.own {file}")
    }
}

impl serde::Serialize for Concern {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut concern = to.serialize_struct("Concern", 2)?;
        concern.serialize_field("reason", &self.to_string())?;
        concern.serialize_field("remedy", &self.remedy())?;
        concern.end()
    }
}

/// A mistake in settings that lie beside a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    pub line: u32,
    /// The column, likewise.
    pub column: u32,
    /// The dotted key, empty where none is concerned.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

fn told(flaws: &[Flaw]) -> String {
    flaws.iter().map(Flaw::to_string).collect::<Vec<_>>().join("; ")
}

/// A plugin that was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The plugin's name.
    pub plugin: String,
    /// Its file, if it has one.
    pub file: Option<PathBuf>,
    /// Why.
    pub refusal: Refusal,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {}", self.plugin)?;
        if let Some(file) = &self.file {
            write!(f, " ({})", file.display())?;
        }
        write!(f, ": {}", self.refusal)?;
        match self.refusal.remedy() {
            Some(remedy) => write!(f, "; remedy: {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LoadError {}

/// All plugins that were not loaded; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadErrors(pub Vec<LoadError>);

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}

/// Why something was not done to a plugin that the operator asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// There is none of that name.
    #[error("no plugin of this name: {0}")]
    Unknown(String),
    /// It was disabled before.
    #[error("disabled already: {0}")]
    AlreadyDisabled(String),
    /// It was not disabled.
    #[error("not disabled: {0}")]
    NotDisabled(String),
    /// The version in force is the first one, or was rolled back to.
    #[error("no version before to go back to: {0}")]
    NoVersionBefore(String),
    /// No new version of it is tried.
    #[error("no new version is tried: {0}")]
    NoCanary(String),
    /// The version before cannot be started any more.
    #[error("the version before of {plugin} is not taken: {refusal}")]
    NotStarted {
        /// The plugin.
        plugin: String,
        /// Why.
        refusal: Refusal,
    },
}

impl OperateError {
    /// What to do about it, where that can be said.
    pub fn remedy(&self) -> Option<String> {
        match self {
            OperateError::Unknown(_) => Some("see waft plugin list".to_owned()),
            OperateError::AlreadyDisabled(plugin) => Some(format!("waft plugin enable {plugin}")),
            OperateError::NotDisabled(plugin) => Some(format!("see waft plugin status {plugin}")),
            OperateError::NoVersionBefore(_) => Some(
                "put the files and the settings of the version before in their place".to_owned(),
            ),
            OperateError::NoCanary(_) => {
                Some("write canary = \"5%\" for it, then replace its file or its config".to_owned())
            }
            OperateError::NotStarted { refusal, .. } => refusal.remedy(),
        }
    }

    pub(crate) fn unknown(name: &str) -> OperateError {
        OperateError::Unknown(name.to_owned())
    }
}

/// Files cannot be watched; says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plugin files cannot be watched: {0}")]
pub struct WatchError(pub String);

/// Text of several lines, from a library or a guest, as one line without control characters.
pub(crate) fn one_line(text: &str) -> String {
    lines(text).replace('\n', "; ")
}

/// The same, line by line.
pub(crate) fn lines(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<_> = lines.map(|line| printable(line.as_bytes())).collect();
    lines.join("\n")
}

/// Why one call of a plugin gave no verdict.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The guest broke, or reached a limit of the sandbox.
    #[error("trap: {0}")]
    Trap(String),
    /// It reached its memory limit and broke.
    #[error("trap at the memory limit of {limit} bytes: {trap}")]
    Memory { limit: usize, trap: String },
    /// There was no more memory for all instances together, and it broke.
    #[error("trap as the memory of all plugins is spent, see memory_budget in [plugins]: {0}")]
    Spent(String),
    /// The system had no more memory for it, and it broke.
    #[error("trap as the system gives no more memory: {0}")]
    Starved(String),
    /// The system has no memory for a new instance, or for the stack of a call.
    #[error("the system gives no more memory: {0}")]
    Unmapped(String),
    /// It computed too long.
    #[error("over its computing time: {0:?}")]
    Cpu(Duration),
    /// It took too long.
    #[error("over its time: {0:?}")]
    Wall(Duration),
    /// Whoever waited for it gave it up: the client is gone, or did not want to wait any longer.
    #[error("given up after {0:?} by whoever waited for it")]
    GivenUp(Duration),
    /// Its verdict cannot be carried out.
    #[error("bad verdict: {0}")]
    Verdict(String),
    /// Neither can this one, and it may be what a client sent that is to blame: it is longer than it
    /// may be, or says of one account what cannot be. So it is not held against the plugin: else
    /// clients could have it not asked for a while, or a new version of it given up.
    #[error("bad verdict: {0}")]
    Unfit(String),
    /// Nor can that of an account of which more is said than is kept, and for the same reason: whoever
    /// has it elsewhere, in groups without number, is not to lock everybody else out.
    #[error(
        "bad verdict: an account with {count} attributes of {bytes} bytes, at most {} and {}",
        limits::ATTRIBUTES_MAX,
        limits::ATTRIBUTES_BYTES_MAX
    )]
    Attributes { count: usize, bytes: usize },
    /// No instance became free.
    #[error("no free instance within {0:?}")]
    Busy(Duration),
    /// No memory became free for another instance.
    #[error("no memory for another instance within {0:?}, see memory_budget in [plugins]")]
    NoRoom(Duration),
    /// The instance that a transfer had is gone, since an earlier call failed or its version was
    /// ended by force.
    #[error("its instance is gone")]
    Gone,
    /// The instance that it shared is gone.
    #[error("the instance that it shared is gone, with the call of another transfer")]
    Lost,
    /// A function that it exports has another type than the interface says.
    #[error("does not fit the interface: {0}")]
    Misfit(String),
    /// A new instance could not be had.
    #[error("no new instance: {0}")]
    Start(String),
    /// It failed too often lately: it is not asked for a while.
    #[error("not asked: it failed too often lately")]
    BreakerOpen,
}

impl Failure {
    /// Whether a client may have brought it about: nothing passes, and the plugin is not to blame.
    pub(crate) fn is_of_a_client(&self) -> bool {
        matches!(self, Failure::Unfit(_) | Failure::Attributes { .. })
    }

    /// What to do about it, where that can be said.
    pub(crate) fn remedy(&self) -> Option<String> {
        match self {
            Failure::Memory { .. } => Some(RAISE_MEMORY.to_owned()),
            Failure::Attributes { .. } => Some(FEWER_ATTRIBUTES.to_owned()),
            Failure::Starved(_) | Failure::Unmapped(_) => Some(scarcity::remedy()),
            _ => None,
        }
    }
}
