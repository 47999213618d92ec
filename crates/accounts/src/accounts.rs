//! Accounts as the configuration names them.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use waft_core::auth::{Authenticator, AuthenticatorError, Credentials, Secret, Verdict};
use waft_core::storage::{self, Storage, StoragePlace, Storages};
use waft_core::{
    Account, BoxFuture, CertificateName, Permissions, Resumption, SessionFacts, VirtualPath,
};

use crate::certificates::{CertificateLogin, Certificates, OTHER, Standing, objection};
use crate::hash::{HashError, StoredHash, stand_in};
use crate::verifier::Verifier;

/// An account as the configuration names it.
#[derive(Clone)]
pub struct AccountSpec {
    /// The name, as USER gives it: compared octet by octet.
    pub name: String,
    /// The stored password: a PHC or modular-crypt string (see [`validate_hash`]). Without one,
    /// only a certificate logs in.
    ///
    /// [`validate_hash`]: crate::validate_hash
    pub password: Option<String>,
    /// The certificates that are the account's, by a name in them.
    pub certificates: Vec<CertificateName>,
    /// Whether one of them is enough.
    pub certificate_login: CertificateLogin,
    /// Where the account's files are: what it sees as `/`.
    pub storage: StoragePlace,
    /// What the account may do.
    pub permissions: Permissions,
    /// The working directory after login.
    pub home: VirtualPath,
    /// Whether the account may log in at all.
    pub enabled: bool,
    /// Sessions at a time; 0 for any number.
    pub sessions_max: u32,
    /// What is demanded of its data connections under TLS, in place of what the listener demands.
    pub resumption: Option<Resumption>,
    /// Facts for plugins, by name.
    pub attributes: Vec<(String, String)>,
}

/// What anybody may do who logs in as `anonymous` or `ftp`, with any password.
#[derive(Clone, Debug)]
pub struct AnonymousSpec {
    /// The local directory that is seen as `/`.
    pub root: PathBuf,
    /// What may be done.
    pub permissions: Permissions,
    /// The working directory after login.
    pub home: VirtualPath,
    /// Sessions at a time, of all that are anonymous; 0 for any number.
    pub sessions_max: u32,
    /// Facts for plugins, by name.
    pub attributes: Vec<(String, String)>,
}

/// An account cannot be taken over from the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Two accounts of one name.
    #[error("account named twice: {0}")]
    NamedTwice(String),
    /// An account's stored password cannot be verified.
    #[error("password of account {name}: {error}")]
    Password {
        /// The account.
        name: String,
        /// Why.
        error: HashError,
    },
}

/// The accounts of one configuration, as an authenticator.
///
/// On passwords it never abstains: unknown users, disabled accounts, wrong passwords and missing
/// certificates are refused alike, after the same work. That work is the one of the stored passwords' most common method and parameters;
/// an account whose password is stored otherwise can be told from an unknown one by the time.
///
/// On certificates it abstains where the password is to decide. A certificate that is written down
/// for some account logs in to no other, and an account that names certificates takes no other one:
/// who holds a certificate of the operator's authority can tell such accounts by that.
pub struct LocalAccounts {
    accounts: HashMap<String, Entry>,
    anonymous: Option<Template>,
    /// Held against the password where there is no account.
    stand_in: Arc<StoredHash>,
    verifier: Arc<Verifier>,
    places: Arc<dyn Storages>,
    /// Storages that some session still uses.
    storages: Mutex<HashMap<StoragePlace, Weak<dyn Storage>>>,
}

struct Entry {
    password: Option<Arc<StoredHash>>,
    certificates: Certificates,
    enabled: bool,
    template: Template,
}

/// An account without its storage, which is opened when somebody logs in.
struct Template {
    name: Arc<str>,
    place: StoragePlace,
    permissions: Permissions,
    home: VirtualPath,
    anonymous: bool,
    sessions_max: u32,
    resumption: Option<Resumption>,
    attributes: Arc<[(String, String)]>,
}

impl LocalAccounts {
    /// Takes accounts over from a configuration; opens no storage yet.
    ///
    /// # Errors
    /// All mistakes that there are, in the order of the accounts.
    pub fn new(
        accounts: Vec<AccountSpec>,
        anonymous: Option<AnonymousSpec>,
        places: Arc<dyn Storages>,
        verifier: Arc<Verifier>,
    ) -> Result<LocalAccounts, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut entries: HashMap<String, Entry> = HashMap::with_capacity(accounts.len());
        for spec in accounts {
            let name = spec.name.clone();
            match Entry::new(spec) {
                Err(mistake) => mistakes.push(mistake),
                Ok(_) if entries.contains_key(&name) => mistakes.push(Mistake::NamedTwice(name)),
                Ok(entry) => drop(entries.insert(name, entry)),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(LocalAccounts {
            stand_in: most_common(&entries).unwrap_or_else(|| Arc::new(stand_in())),
            accounts: entries,
            anonymous: anonymous.map(Template::anonymous),
            verifier,
            places,
            storages: Mutex::default(),
        })
    }

    async fn decide(
        &self,
        session: &SessionFacts,
        user: &str,
        password: &Secret,
    ) -> Result<Verdict, AuthenticatorError> {
        let entry = self.accounts.get(user);
        if let (None, Some(anonymous)) = (entry, self.anonymous(user)) {
            return self.accept(anonymous);
        }
        let stored = entry.and_then(|entry| entry.password.as_ref());
        let right = match (entry, stored) {
            (Some(entry), Some(stored)) if entry.enabled => {
                self.verifier.verify(user, stored, password).await
            }
            // The same work, and what comes out of it does not matter.
            (_, stored) => self.verifier.work(stored.unwrap_or(&self.stand_in), password).await,
        };
        let right = right.map_err(|error| failed(error.to_string()))?;
        let Some(entry) = entry else { return Ok(Verdict::Deny { reason: "unknown user" }) };
        let reason = match (stored, right) {
            _ if !entry.enabled => Some("account disabled"),
            (None, _) => Some("no password"),
            (Some(_), false) => Some("wrong password"),
            (Some(_), true) => objection(&entry.certificates, session),
        };
        match reason {
            Some(reason) => Ok(Verdict::Deny { reason }),
            None => self.accept(&entry.template),
        }
    }

    /// Decides at USER, before any password.
    fn decide_by_certificate(
        &self,
        session: &SessionFacts,
        user: &str,
    ) -> Result<Verdict, AuthenticatorError> {
        let entry = self.accounts.get(user);
        match entry.map(|entry| (entry, entry.certificates.standing(session))) {
            Some((_, Standing::Other)) => Ok(Verdict::Deny { reason: OTHER }),
            Some((entry, Standing::Own)) => match entry.certificates.login {
                CertificateLogin::WithPassword => Ok(Verdict::Abstain),
                CertificateLogin::Alone if entry.enabled => self.accept(&entry.template),
                CertificateLogin::Alone => Ok(Verdict::Deny { reason: "account disabled" }),
            },
            None if self.anonymous(user).is_some() => Ok(Verdict::Abstain),
            _ if self.is_somebodys(session) => {
                Ok(Verdict::Deny { reason: "the certificate of another account" })
            }
            _ => Ok(Verdict::Abstain),
        }
    }

    /// Whether the certificate of that session is some account's.
    fn is_somebodys(&self, session: &SessionFacts) -> bool {
        let mut entries = self.accounts.values();
        entries.any(|entry| entry.certificates.standing(session) == Standing::Own)
    }

    /// What anybody gets who logs in under that name.
    fn anonymous(&self, user: &str) -> Option<&Template> {
        let anonymous = self.anonymous.as_ref()?;
        let is_name = |name: &str| user.eq_ignore_ascii_case(name);
        ["anonymous", "ftp"].into_iter().any(is_name).then_some(anonymous)
    }

    fn accept(&self, template: &Template) -> Result<Verdict, AuthenticatorError> {
        let storage = self.storage(&template.place).map_err(|error| {
            failed(format!("cannot open the root of {}: {error}", template.name))
        })?;
        Ok(Verdict::Accept(Arc::new(Account {
            name: Arc::clone(&template.name),
            permissions: template.permissions,
            storage,
            home: template.home.clone(),
            anonymous: template.anonymous,
            sessions_max: Some(template.sessions_max),
            resumption: template.resumption,
            attributes: Arc::clone(&template.attributes),
        })))
    }

    /// The storage at `place`: the one that other sessions use, if there are any.
    fn storage(&self, place: &StoragePlace) -> storage::Result<Arc<dyn Storage>> {
        // Opening takes a few microseconds: nobody waits long for the lock.
        let mut storages = self.storages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(storage) = storages.get(place).and_then(Weak::upgrade) {
            return Ok(storage);
        }
        let storage = self.places.open(place)?;
        if storages.len() == storages.capacity() {
            // Instead of growing: forget what nobody uses.
            storages.retain(|_, storage| storage.strong_count() > 0);
        }
        storages.insert(place.clone(), Arc::downgrade(&storage));
        Ok(storage)
    }
}

impl Authenticator for LocalAccounts {
    fn authenticate<'a>(
        &'a self,
        session: &'a SessionFacts,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Verdict, AuthenticatorError>> {
        match credentials {
            Credentials::Password { user, password } => {
                Box::pin(self.decide(session, user, password))
            }
            Credentials::Certificate { user, .. } => {
                Box::pin(std::future::ready(self.decide_by_certificate(session, user)))
            }
        }
    }
}

impl Entry {
    fn new(spec: AccountSpec) -> Result<Entry, Mistake> {
        let password = match spec.password.as_deref().map(StoredHash::parse).transpose() {
            Ok(password) => password.map(Arc::new),
            Err(error) => return Err(Mistake::Password { name: spec.name, error }),
        };
        let certificates = Certificates::new(spec.certificates, spec.certificate_login);
        let template = Template {
            name: spec.name.into(),
            place: spec.storage,
            permissions: spec.permissions,
            home: spec.home,
            anonymous: false,
            sessions_max: spec.sessions_max,
            resumption: spec.resumption,
            attributes: spec.attributes.into(),
        };
        Ok(Entry { password, certificates, enabled: spec.enabled, template })
    }
}

impl Template {
    fn anonymous(spec: AnonymousSpec) -> Template {
        Template {
            name: "anonymous".into(),
            place: StoragePlace::Local(spec.root),
            permissions: spec.permissions,
            home: spec.home,
            anonymous: true,
            sessions_max: spec.sessions_max,
            resumption: None,
            attributes: spec.attributes.into(),
        }
    }
}

/// A stored password of the method and parameters that most accounts have.
fn most_common(entries: &HashMap<String, Entry>) -> Option<Arc<StoredHash>> {
    let mut by_cost: HashMap<&str, (usize, &Arc<StoredHash>)> = HashMap::new();
    for password in entries.values().filter_map(|entry| entry.password.as_ref()) {
        by_cost.entry(password.cost()).or_insert((0, password)).0 += 1;
    }
    by_cost.into_values().max_by_key(|(count, _)| *count).map(|(_, hash)| Arc::clone(hash))
}

fn failed(reason: String) -> AuthenticatorError {
    AuthenticatorError { name: "accounts".to_owned(), reason }
}

impl fmt::Debug for AccountSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountSpec")
            .field("name", &self.name)
            .field("storage", &self.storage)
            .field("permissions", &self.permissions)
            .field("home", &self.home)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LocalAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalAccounts")
            .field("accounts", &self.accounts.len())
            .field("anonymous", &self.anonymous.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_users_cost_what_most_accounts_cost() {
        let cheap = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                     OdFYA7BxGSdTRBBwiJ5KZBUWydkzbjB1JVmWwfypW80";
        let other_salt = cheap.replace("c2FsdH", "c2FsdI");
        let bcrypt = "$2b$04$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG";
        let entry = |(index, hash): (usize, &str)| {
            let spec = AccountSpec {
                name: index.to_string(),
                password: Some(hash.to_owned()),
                certificates: Vec::new(),
                certificate_login: CertificateLogin::Alone,
                storage: StoragePlace::Local(PathBuf::new()),
                permissions: Permissions::NONE,
                home: VirtualPath::root(),
                enabled: true,
                sessions_max: 0,
                resumption: None,
                attributes: Vec::new(),
            };
            (spec.name.clone(), Entry::new(spec).unwrap())
        };
        for (hashes, cost) in [
            (&[cheap, bcrypt, &other_salt][..], "$argon2id$v=19$m=8,t=1,p=1"),
            (&[cheap, bcrypt, bcrypt], "$2b$04"),
        ] {
            let entries = hashes.iter().copied().enumerate().map(entry).collect();
            assert_eq!(most_common(&entries).unwrap().cost(), cost);
        }
        assert!(most_common(&HashMap::new()).is_none());
    }
}
