//! What the parts of a server do for plugins: passwords are verified, storages opened, as the
//! configuration in force says.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use waft_accounts::Verifier;
use waft_core::BoxFuture;
use waft_core::auth::{PasswordVerifier, Secret, VerifyError};
use waft_core::storage::{ErrorKind, Result, Storage, StorageError, StoragePlace, Storages};
use waft_plugin_host::{Onlooker, Services, StandIns};

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
}

/// What a configuration says about it.
#[derive(Clone)]
struct By {
    verifier: Arc<Verifier>,
    /// The accounts of the configuration keep them. The plugins' host must not: places keep the host.
    places: Weak<Places>,
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
