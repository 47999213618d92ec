//! From the configuration to the parts of a server: each function translates one section into the
//! words of the crate that acts on it. Nothing is decided here.

mod acme;
mod plugins;
mod refusals;
pub(crate) mod signer;
mod storages;
mod tls;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use waft_accounts::{
    AccountSpec, AnonymousSpec, CertificateLogin, LocalAccounts, LockoutOptions, Verifier,
    VerifierOptions,
};
use waft_config::{Config, Listener, Mistake, PassiveAddress};
use waft_core::storage::{Interrupted, Storages};
use waft_core::{CertificateName, Permission, Permissions, VirtualPath};
use waft_server::settings;
use waft_storage_fs::{LocalStorage, Options};

use crate::findings::{both, mistake};

pub(crate) use acme::acme_settings;
pub(crate) use plugins::{host_settings, settings_in};
pub(crate) use refusals::{concerns, crowded, idle, plugin_mistakes};
pub(crate) use storages::Places;
pub(crate) use tls::{Tls, certificate_warnings, tls};

/// Translates what sessions go by.
pub(crate) fn server_settings(config: &Config) -> settings::Settings {
    settings::Settings {
        name: Arc::from(config.server.name.as_str()),
        greeting: config.server.greeting.clone(),
        limits: limits(config),
        timeouts: timeouts(config),
        passive: passive(config),
        passive_by_listener: passive_by_listener(config),
        active: active(config),
        transfers: transfers(config),
    }
}

fn limits(config: &Config) -> settings::Limits {
    let limits = &config.limits;
    settings::Limits {
        sessions_max: count(limits.sessions),
        sessions_per_address_max: count(limits.sessions_per_address),
        sessions_per_account_max: count(limits.sessions_per_user),
        login_attempts_max: limits.login_attempts.unwrap_or(0),
        line_bytes_max: bytes(limits.line_bytes),
        listing_entries_max: count(limits.listing_entries),
        stat_bytes_max: bytes(limits.stat_bytes),
        waiting_commands_max: count(Some(limits.waiting_commands)),
        hashes_max: count(Some(limits.hashes)),
        ascii_size_bytes_max: limits.ascii_size_bytes,
    }
}

fn timeouts(config: &Config) -> settings::Timeouts {
    let timeouts = &config.timeouts;
    settings::Timeouts {
        login: time(timeouts.login),
        idle: time(timeouts.idle),
        data_accept: timeouts.data_accept,
        data_connect: timeouts.data_connect,
        tls_handshake: timeouts.tls_handshake,
        stall: time(timeouts.stall),
        drain: timeouts.drain,
        reply: time(timeouts.reply),
    }
}

fn passive(config: &Config) -> settings::Passive {
    let passive = &config.passive;
    settings::Passive {
        ports: passive.ports.low()..=passive.ports.high(),
        address: advertised(&passive.address),
        rules: passive.rule.iter().map(|rule| (rule.from, advertised(&rule.address))).collect(),
        peers: passive.peers.clone(),
    }
}

/// What a listener says itself goes before everything that is said about all of them.
fn passive_by_listener(config: &Config) -> Vec<(Arc<str>, settings::Passive)> {
    let own = |listener: &Listener| {
        let address = advertised(listener.passive_address.as_ref()?);
        let passive = settings::Passive { address, rules: Vec::new(), ..passive(config) };
        Some((Arc::from(listener.name.as_str()), passive))
    };
    config.listeners.iter().filter_map(own).collect()
}

fn advertised(address: &PassiveAddress) -> settings::Advertised {
    match address {
        PassiveAddress::Local => settings::Advertised::Local,
        PassiveAddress::Ip(ip) => settings::Advertised::Fixed((*ip).into()),
        PassiveAddress::Name(name) => settings::Advertised::Name(Arc::from(name.as_str())),
    }
}

fn active(config: &Config) -> settings::Active {
    match config.active.mode {
        waft_config::ActiveMode::Off => settings::Active::Off,
        waft_config::ActiveMode::Lan => settings::Active::Lan(config.active.lan.clone()),
        waft_config::ActiveMode::On => settings::Active::On,
    }
}

fn transfers(config: &Config) -> settings::Transfers {
    let transfers = &config.transfers;
    settings::Transfers {
        interrupted: match transfers.interrupted {
            waft_config::Interrupted::Keep => Interrupted::Keep,
            waft_config::Interrupted::Delete => Interrupted::Delete,
        },
        ascii: match transfers.ascii {
            waft_config::Ascii::Translate => settings::Ascii::Translate,
            waft_config::Ascii::Binary => settings::Ascii::AsImage,
        },
        deflate: transfers.deflate.then_some(transfers.deflate_level),
        hidden: match transfers.hidden_files {
            waft_config::HiddenFiles::Show => settings::Hidden::Shown,
            waft_config::HiddenFiles::OnRequest => settings::Hidden::OnlyAsked,
        },
        quarantine: storages::quarantine(config),
    }
}

/// Translates who must wait after failed logins.
pub(crate) fn lockout_options(config: &Config) -> LockoutOptions {
    let login = &config.login;
    LockoutOptions {
        failures_per_address: login.attempts_per_address.unwrap_or(0),
        failures_per_account: login.attempts_per_account.unwrap_or(0),
        window: login.attempts_window,
        duration: login.lockout,
        delay_max: login.failure_delay,
        ..LockoutOptions::default()
    }
}

/// Translates how passwords are worked on.
pub(crate) fn verifier_options(config: &Config) -> VerifierOptions {
    let default = VerifierOptions::default();
    let parallel = config.login.verifications.map(|number| count(Some(number)));
    VerifierOptions {
        parallel: parallel.and_then(NonZeroUsize::new).unwrap_or(default.parallel),
        remember: time(config.login.remember),
        ..default
    }
}

/// Translates the accounts.
///
/// # Errors
///
/// All accounts that cannot be taken over, and all directories that cannot be served.
pub(crate) fn accounts(
    config: &Config,
    verifier: Arc<Verifier>,
    places: Arc<dyn Storages>,
) -> Result<LocalAccounts, Vec<Mistake>> {
    let mut mistakes = unusable_roots(config, storage_options(config));
    let mut specs = Vec::with_capacity(config.users.len());
    for user in &config.users {
        match account(config, user) {
            Ok(account) => specs.push(account),
            Err(wrong) => mistakes.extend(wrong),
        }
    }
    let anonymous = anonymous(config).transpose().unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        None
    });
    match LocalAccounts::new(specs, anonymous, places, verifier) {
        Ok(accounts) if mistakes.is_empty() => Ok(accounts),
        Ok(_) => Err(mistakes),
        Err(wrong) => {
            mistakes.extend(wrong.iter().map(|wrong| account_mistake(config, wrong)));
            Err(mistakes)
        }
    }
}

fn account(config: &Config, user: &waft_config::User) -> Result<AccountSpec, Vec<Mistake>> {
    let home = home(config, &user.home, &user.key).map_err(|wrong| vec![wrong]);
    let storage = storages::place(config, user).map_err(|wrong| vec![wrong]);
    let paths = both(home, storage).map_err(|wrong| wrong.mistakes);
    let ((home, storage), certificates) =
        both(paths, certificates(config, user)).map_err(|wrong| wrong.mistakes)?;
    Ok(AccountSpec {
        name: user.name.clone(),
        password: user.password.as_ref().map(|hash| hash.as_str().to_owned()),
        certificates,
        certificate_login: match user.certificate_login {
            waft_config::CertificateLogin::Alone => CertificateLogin::Alone,
            waft_config::CertificateLogin::WithPassword => CertificateLogin::WithPassword,
        },
        storage,
        permissions: permissions(user.permissions),
        home,
        enabled: user.enabled,
        sessions_max: user.sessions.unwrap_or(0),
        resumption: user.tls_resumption.map(tls::resumption),
        attributes: user.attributes.clone().into_iter().collect(),
    })
}

/// The names of certificates that are an account's; all that are none, otherwise.
fn certificates(
    config: &Config,
    user: &waft_config::User,
) -> Result<Vec<CertificateName>, Vec<Mistake>> {
    let (mut names, mut mistakes) = (Vec::new(), Vec::new());
    for (at, written) in user.certificates.iter().enumerate() {
        match written.parse::<CertificateName>() {
            Ok(name) => names.push(name),
            Err(error) => {
                let key = format!("{}.certificates.{at}", user.key);
                let remedy = "write it as in \"email:alice@example.org\", \"cn:alice\" or \
                              \"subject:CN=alice,O=Example\"";
                mistakes.push(mistake(config, &key, error.to_string(), remedy));
            }
        }
    }
    if mistakes.is_empty() { Ok(names) } else { Err(mistakes) }
}

fn anonymous(config: &Config) -> Option<Result<AnonymousSpec, Mistake>> {
    let anonymous = config.anonymous.as_ref()?;
    let spec = |home| AnonymousSpec {
        root: anonymous.root.clone(),
        permissions: permissions(anonymous.permissions),
        home,
        sessions_max: anonymous.sessions.unwrap_or(0),
        attributes: Vec::new(),
    };
    Some(home(config, &anonymous.home, &anonymous.key).map(spec))
}

fn permissions(permissions: waft_config::Permissions) -> Permissions {
    // Both crates keep to the names of the configuration.
    permissions.iter().filter_map(|permission| Permission::from_name(permission.word())).collect()
}

fn home(config: &Config, home: &str, entry: &str) -> Result<VirtualPath, Mistake> {
    VirtualPath::root().join(home.as_bytes()).map_err(|error| {
        mistake(config, &format!("{entry}.home"), error.to_string(), "name a directory")
    })
}

fn account_mistake(config: &Config, wrong: &waft_accounts::Mistake) -> Mistake {
    let (name, key) = match wrong {
        waft_accounts::Mistake::NamedTwice(name) => (name, "name"),
        waft_accounts::Mistake::Password { name, .. } => (name, "password"),
    };
    let entry = config.users.iter().rfind(|user| user.name == *name);
    let key = format!("{}.{key}", entry.map_or("user", |user| &user.key));
    mistake(config, &key, wrong.to_string(), "give it another: waft user hash")
}

fn storage_options(config: &Config) -> Options {
    Options {
        file_mode: config.transfers.file_mode,
        directory_mode: config.transfers.directory_mode,
        durable: config.transfers.durable,
    }
}

/// Tells of the directories that exist and cannot be served: storages are opened when somebody
/// logs in, which is too late to learn that.
fn unusable_roots(config: &Config, options: Options) -> Vec<Mistake> {
    let users = config.users.iter().filter(|user| user.storage.is_none());
    let users = users.map(|user| (user.root.as_path(), user.key.as_str()));
    let anonymous = config.anonymous.iter().map(|a| (a.root.as_path(), a.key.as_str()));
    let mut seen: BTreeSet<&Path> = BTreeSet::new();
    users
        .chain(anonymous)
        .filter(|(root, _)| seen.insert(root))
        .filter_map(|(root, entry)| {
            let error = LocalStorage::open(root, options).err()?;
            let message = format!("cannot be served: {}: {error}", root.display());
            let remedy = "name a directory that the server may enter";
            Some(mistake(config, &format!("{entry}.root"), message, remedy))
        })
        .collect()
}

/// 0 for no limit.
fn count(number: Option<u32>) -> usize {
    number.map_or(0, |number| usize::try_from(number).unwrap_or(usize::MAX))
}

fn bytes(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Zero for no end.
fn time(duration: Option<Duration>) -> Duration {
    duration.unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests;
