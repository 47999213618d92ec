#![forbid(unsafe_code)]
//! The configuration of waft: what did the operator write, and is it valid?
//!
//! Files are read literally into a tree whose every value knows its place ([`Node`]), drop-ins are
//! layered over it, and the tree is resolved into [`Config`]: immutable, typed, with every default
//! filled in and every path made absolute or relative to the current directory. All mistakes are
//! found in one go and told with file, line, column and remedy ([`Mistakes`]).
//!
//! There is one table of keys, in `sections.rs`: structs, reader, unknown-key detection, layering
//! and the reference in `docs/configuration.md` are all made from it.
//!
//! Not here: acting on the configuration. Nothing is bound, watched, verified or loaded; no other
//! crate of waft is known; there is no async.

mod acme;
mod beside;
mod check;
mod config;
mod hooks;
mod kind;
mod layers;
mod load;
mod mistake;
mod password;
mod permissions;
mod place;
mod quick;
mod reference;
mod schema;
mod sections;
mod system;
mod types;
mod units;
mod users_file;
mod value;

pub use beside::PluginFile;
pub use check::{Changed, Reachable, Reached};
pub use config::Config;
pub use mistake::{Mistake, Mistakes, Warnings};
pub use password::{PasswordHash, Rejection};
pub use permissions::{Permission, Permissions};
pub use place::Origin;
pub use quick::QuickStart;
pub use reference::reference_markdown;
pub use sections::{
    Acme, Active, Anonymous, Control, Grants, HookLimits, Instances, KvGrant, Limits, Listener,
    Log, Login, Metrics, Mount, OnErrorByHook, Passive, PassiveRule, Plugin, PluginLimits, Plugins,
    Server, Timeouts, Tls, TlsHost, Transfers, User, Users,
};
pub use types::{
    AcmeChallenge, ActiveMode, Ascii, CertificateLogin, ClientCertificates, CloseNotify,
    DataProtection, HiddenFiles, Interrupted, Isolation, LogFormat, LogLevel, NotAnAddress,
    OnError, OnLoadError, PassiveAddress, PortRange, Scheduling, Settings, TlsMode, TlsResumption,
    TlsVersion, Unlisted,
};
pub use users_file::{NewUser, UsersFile, UsersFileError};
pub use value::{Node, Table, Value};
