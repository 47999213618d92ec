//! Accounts over real directories, and sessions that log in to them.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use waft_accounts::{
    AccountSpec, AnonymousSpec, CertificateLogin, LocalAccounts, Mistake, Verifier, VerifierOptions,
};
use waft_core::auth::{Authenticator, AuthenticatorError, Credentials, Secret, Verdict};
use waft_core::storage::{self, ErrorKind, Storage, StorageError, StoragePlace, Storages};
use waft_core::{Account, Permissions, SessionFacts, SessionId, VirtualPath};
use waft_storage_fs::{LocalStorage, Options};

pub(crate) const PASSWORD: &str = "pässword";

/// `pässword` at the least cost that there is.
pub(crate) const QUICK: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                                OdFYA7BxGSdTRBBwiJ5KZBUWydkzbjB1JVmWwfypW80";

/// No known password, at the usual cost: some 20 ms.
pub(crate) const SLOW: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                               AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub(crate) struct Setup {
    pub(crate) directory: TempDir,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) opened: Arc<AtomicUsize>,
}

impl Setup {
    pub(crate) fn new(options: VerifierOptions) -> Setup {
        let verifier = Arc::new(Verifier::new(options).unwrap());
        Setup { directory: tempfile::tempdir().unwrap(), verifier, opened: Arc::default() }
    }

    /// One password at a time, and nobody waits.
    pub(crate) fn narrow(options: VerifierOptions) -> Setup {
        Setup::new(VerifierOptions { parallel: NonZeroUsize::MIN, waiting_max: 0, ..options })
    }

    pub(crate) fn spec(&self, name: &str, hash: &str) -> AccountSpec {
        AccountSpec {
            name: name.to_owned(),
            password: Some(hash.to_owned()),
            certificates: Vec::new(),
            certificate_login: CertificateLogin::Alone,
            storage: StoragePlace::Local(self.directory.path().to_owned()),
            permissions: Permissions::ALL,
            home: VirtualPath::root(),
            enabled: true,
            sessions_max: 0,
            resumption: None,
            attributes: Vec::new(),
        }
    }

    pub(crate) fn anonymous(&self) -> AnonymousSpec {
        AnonymousSpec {
            root: self.directory.path().to_owned(),
            permissions: Permissions::READ_ONLY,
            home: VirtualPath::root(),
            sessions_max: 10,
            attributes: Vec::new(),
        }
    }

    pub(crate) fn accounts(&self, specs: &[AccountSpec]) -> LocalAccounts {
        self.try_accounts(specs, None).unwrap()
    }

    pub(crate) fn try_accounts(
        &self,
        specs: &[AccountSpec],
        anonymous: Option<AnonymousSpec>,
    ) -> Result<LocalAccounts, Vec<Mistake>> {
        let places = Arc::new(Places(Arc::clone(&self.opened)));
        LocalAccounts::new(specs.to_vec(), anonymous, places, Arc::clone(&self.verifier))
    }
}

/// Local directories, with the number of times that one was opened.
struct Places(Arc<AtomicUsize>);

impl Storages for Places {
    fn open(&self, place: &StoragePlace) -> storage::Result<Arc<dyn Storage>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let StoragePlace::Local(root) = place else {
            return Err(ErrorKind::Unsupported.into());
        };
        let storage = LocalStorage::open(root, Options::default());
        Ok(Arc::new(storage.map_err(|error| StorageError::new(ErrorKind::Io, error))?))
    }
}

pub(crate) async fn login(
    accounts: &LocalAccounts,
    user: &str,
    password: impl AsRef<[u8]>,
) -> Result<Verdict, AuthenticatorError> {
    let credentials = Credentials::Password {
        user: user.to_owned(),
        password: Secret::new(password.as_ref().to_vec()),
    };
    accounts.authenticate(&session(), &credentials).await
}

pub(crate) async fn accepted(
    accounts: &LocalAccounts,
    user: &str,
    password: impl AsRef<[u8]>,
) -> Arc<Account> {
    match login(accounts, user, password).await.unwrap() {
        Verdict::Accept(account) => account,
        other => panic!("not accepted: {other:?}"),
    }
}

/// Why a login was refused.
pub(crate) async fn denied(
    accounts: &LocalAccounts,
    user: &str,
    password: impl AsRef<[u8]>,
) -> &'static str {
    match login(accounts, user, password).await.unwrap() {
        Verdict::Deny { reason } => reason,
        other => panic!("not denied: {other:?}"),
    }
}

/// Whether deciding on a login takes work on the password: it fails then, because the one place
/// for such work ([`Setup::narrow`]) is taken.
pub(crate) async fn takes_work(
    accounts: &LocalAccounts,
    user: &str,
    password: impl AsRef<[u8]>,
) -> bool {
    let (working, probed) =
        tokio::join!(login(accounts, "slow", "x"), login(accounts, user, password));
    assert!(working.is_ok());
    probed.is_err()
}

pub(crate) fn session() -> SessionFacts {
    SessionFacts {
        id: SessionId(1),
        peer: "192.0.2.1:50000".parse().unwrap(),
        local: "192.0.2.2:21".parse().unwrap(),
        listener: "test".into(),
        tls: None,
        user: None,
        cwd: VirtualPath::root(),
        attributes: Arc::new([]),
        scratch: Arc::default(),
        skips: Arc::default(),
    }
}
