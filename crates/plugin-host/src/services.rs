//! What plugins share with the host across their reloads: stores, metrics, the way to web services,
//! and whoever can act on the server.

pub(crate) mod http;
pub(crate) mod kv;
pub(crate) mod metrics;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use waft_core::control::Control;
use wasmtime_wasi_config::WasiConfigVariables;

use crate::errors::Refusal;
use crate::lent::Services;
use crate::settings::{Grants, PluginSettings};
use http::Gate;
use kv::{Room, Stores};
use metrics::{Meter, Metrics};

/// All that plugins have a share of.
pub(crate) struct Stock {
    lent: Services,
    stores: Stores,
    pub(crate) metrics: Metrics,
    /// Set once there is a server.
    control: Arc<OnceLock<Arc<dyn Control>>>,
}

/// What one plugin has of it.
pub(crate) struct Share {
    pub(crate) lent: Services,
    /// Its configuration, for `wasi:config`.
    pub(crate) wasi_config: WasiConfigVariables,
    pub(crate) kv: Option<Room>,
    pub(crate) http: Option<Arc<Gate>>,
    pub(crate) metrics: Arc<Meter>,
    pub(crate) control: Option<Arc<OnceLock<Arc<dyn Control>>>>,
}

impl Stock {
    /// Those of a host that keeps what lasts in the directory `state`; in memory without one.
    pub(crate) fn new(state: Option<&Path>, lent: Services) -> Stock {
        Stock {
            stores: Stores::new(state, lent.stand_ins.as_deref()),
            lent,
            metrics: Metrics::default(),
            control: Arc::default(),
        }
    }

    /// Lets plugins act on a server; the first one counts.
    pub(crate) fn act_on(&self, control: Arc<dyn Control>) {
        // A second server of one host would be a mistake of the program's.
        let _ = self.control.set(control);
    }

    /// What a plugin of these settings has of the services, to start it with: nothing changes for
    /// who has them already, until it is [taken](Stock::take). May wait for a file: not for the
    /// threads that sessions run on.
    ///
    /// # Errors
    /// Its store cannot be opened.
    pub(crate) fn share(&self, settings: &PluginSettings) -> Result<Share, Refusal> {
        let Grants { kv, http, control, .. } = &settings.grants;
        let gate = |grant| Gate::new(&settings.name, grant, self.lent.stand_ins.clone());
        let http = http.as_ref().map(gate).transpose().map_err(Refusal::Url)?;
        let kv = kv.map(|grant| self.stores.prepare(&settings.name, grant)).transpose();
        Ok(Share {
            lent: self.lent.clone(),
            wasi_config: settings.config.iter().cloned().collect(),
            kv: kv.map_err(Refusal::Store)?,
            http: http.map(Arc::new),
            metrics: self.metrics.of(&settings.name),
            control: control.then(|| Arc::clone(&self.control)),
        })
    }

    /// Goes by the grants of a plugin that is in force from now on.
    pub(crate) fn take(&self, settings: &PluginSettings, share: &Share) {
        if let (Some(grant), Some(room)) = (settings.grants.kv, &share.kv) {
            self.stores.take(&settings.name, room, grant);
        }
    }

    /// What the store of that plugin holds under a key.
    pub(crate) fn stored(&self, plugin: &str, key: &str) -> Option<Vec<u8>> {
        self.stores.find(plugin)?.get(key, self.lent.now_ms())
    }

    /// Writes down what is to last. Waits for the disk.
    pub(crate) fn flush(&self) {
        self.stores.flush();
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Share").finish_non_exhaustive()
    }
}
