//! What the program that puts the parts together lends to the host, so that plugins can have it
//! without the host depending on who does it.

use std::fmt;
use std::sync::Arc;

use waft_core::auth::PasswordVerifier;
use waft_core::storage::Storages;

use crate::core_dumps::CoreDumps;
use crate::onlooker::Onlooker;
use crate::stand_ins::StandIns;

/// What other parts do for plugins. What is not there fails where a plugin needs it.
#[derive(Clone, Default)]
pub struct Services {
    /// Verifies passwords for `crypto.verify-password` and `crypto.verify-offered`.
    pub passwords: Option<Arc<dyn PasswordVerifier>>,
    /// Opens the storages of the accounts that authenticators accept.
    pub storages: Option<Arc<dyn Storages>>,
    /// What takes the place of the world; a server has none.
    pub stand_ins: Option<Arc<dyn StandIns>>,
    /// Where core dumps go of instances that broke; without, there are none.
    pub core_dumps: Option<Arc<CoreDumps>>,
    /// Who sees every call; a server has nobody.
    pub onlooker: Option<Arc<dyn Onlooker>>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services")
            .field("passwords", &self.passwords.is_some())
            .field("storages", &self.storages.is_some())
            .field("stand_ins", &self.stand_ins.is_some())
            .field("core_dumps", &self.core_dumps.is_some())
            .field("onlooker", &self.onlooker.is_some())
            .finish()
    }
}
