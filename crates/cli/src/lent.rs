//! What the parts of a server do for plugins: passwords are verified, storages opened, as the
//! configuration in force says.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use waft_accounts::Verifier;
use waft_config::Config;
use waft_core::BoxFuture;
use waft_core::auth::{PasswordVerifier, Secret, VerifyError};
use waft_core::storage::{ErrorKind, Result, Storage, StorageError, StoragePlace, Storages};
use waft_plugin_host::{CoreDumps, Onlooker, Services, StandIns};

use crate::assemble::Places;

/// What plugins are lent, kept in step with the configuration.
pub(crate) struct Lent {
    by: Mutex<By>,
    beside: Beside,
}

/// What is there beside the parts where somebody tries a plugin.
#[derive(Clone, Default)]
pub(crate) struct Beside {
    /// What takes the place of the world.
    pub(crate) stand_ins: Option<Arc<dyn StandIns>>,
    /// Who sees every call.
    pub(crate) onlooker: Option<Arc<dyn Onlooker>>,
    /// Whether core dumps of plugins are kept, in the state directory.
    pub(crate) keeps_core_dumps: bool,
    /// Where they go then.
    pub(crate) core_dumps: Option<Arc<CoreDumps>>,
}

/// What a configuration says about it.
#[derive(Clone)]
struct By {
    verifier: Arc<Verifier>,
    /// The accounts of the configuration keep them. The plugins' host must not: places keep the host.
    places: Weak<Places>,
}

/// Where core dumps are, below the state directory.
const CORE_DUMPS: &str = "coredumps";

impl Beside {
    /// Opens what lies in the state directory. Whoever does is the user that the server runs as.
    pub(crate) fn opened(self, config: &Config) -> io::Result<Self> {
        let state = config.server.state.as_ref().filter(|_| self.keeps_core_dumps);
        let core_dumps = state.map(|state| CoreDumps::in_directory(state.join(CORE_DUMPS)));
        Ok(Self { core_dumps: core_dumps.transpose()?.map(Arc::new), ..self })
    }
}

impl Lent {
    /// Lends that verifier, and no places yet.
    pub(crate) fn new(verifier: &Arc<Verifier>, beside: Beside) -> Arc<Self> {
        let by = By { verifier: Arc::clone(verifier), places: Weak::new() };
        Arc::new(Self { by: Mutex::new(by), beside })
    }

    /// Lends these from now on.
    pub(crate) fn go_by(&self, verifier: &Arc<Verifier>, places: &Arc<Places>) {
        let by = By { verifier: Arc::clone(verifier), places: Arc::downgrade(places) };
        *self.by.lock().unwrap_or_else(PoisonError::into_inner) = by;
    }

    /// Returns it as the plugins' host wants it.
    pub(crate) fn services(self: &Arc<Self>) -> Services {
        Services {
            passwords: Some(Arc::clone(self) as _),
            storages: Some(Arc::clone(self) as _),
            stand_ins: self.beside.stand_ins.clone(),
            onlooker: self.beside.onlooker.clone(),
            core_dumps: self.beside.core_dumps.clone(),
        }
    }

    fn now(&self) -> By {
        self.by.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl PasswordVerifier for Lent {
    fn verify<'a>(
        &'a self,
        hash: &'a str,
        password: &'a Secret,
    ) -> BoxFuture<'a, std::result::Result<bool, VerifyError>> {
        let verifier = self.now().verifier;
        Box::pin(async move { PasswordVerifier::verify(&*verifier, hash, password).await })
    }
}

impl Storages for Lent {
    fn open(&self, place: &StoragePlace) -> Result<Arc<dyn Storage>> {
        let nowhere = || StorageError::new(ErrorKind::Unsupported, "nobody logs in yet");
        self.now().places.upgrade().ok_or_else(nowhere)?.open(place)
    }
}
