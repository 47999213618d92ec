//! Where files are: directories, storages of plugins, what is mounted into all of them, and the
//! quarantine.

use std::path::PathBuf;
use std::sync::Arc;

use waft_config::{Config, Mistake, User};
use waft_core::VirtualPath;
use waft_core::storage::{ErrorKind, Result, Storage, StorageError, StoragePlace, Storages};
use waft_mounts::{Mounts, Subtree};
use waft_plugin_host::Host;
use waft_server::settings::Quarantine;
use waft_storage_fs::{LocalStorage, Options};

use super::storage_options;
use crate::findings::mistake;

/// What goes before the name of a plugin.
const PLUGIN: &str = "plugin:";

/// Opens storages by one configuration.
pub(crate) struct Places {
    options: Options,
    /// None where plugins could not be loaded; then nobody logs in.
    host: Option<Host>,
    mounts: Vec<(VirtualPath, Arc<dyn Storage>)>,
}

impl Places {
    /// Storages as `config` wants them, those of plugins as `host` has them.
    pub(crate) fn new(config: &Config, host: Option<&Host>) -> Arc<Places> {
        let mounts = config.mounts.iter().filter_map(|mount| {
            // What is no path has been refused with the rest of the configuration.
            let path = |text: &str| VirtualPath::root().join(text.as_bytes()).ok();
            Some((path(&mount.path)?, within(host?.storage(&mount.plugin), &path(&mount.root)?)))
        });
        let options = storage_options(config);
        Arc::new(Places { options, mounts: mounts.collect(), host: host.cloned() })
    }
}

impl Storages for Places {
    fn open(&self, place: &StoragePlace) -> Result<Arc<dyn Storage>> {
        let failed = |error| StorageError::new(ErrorKind::Io, error);
        let storage: Arc<dyn Storage> = match place {
            StoragePlace::Local(root) => {
                Arc::new(LocalStorage::open(root, self.options).map_err(failed)?)
            }
            StoragePlace::Beneath(above, path) => {
                Arc::new(LocalStorage::open_beneath(above, path, self.options)?)
            }
            StoragePlace::Plugin(name, root) => {
                within(self.host.as_ref().ok_or(ErrorKind::Unsupported)?.storage(name), root)
            }
        };
        Ok(match self.mounts.is_empty() {
            true => storage,
            false => Arc::new(Mounts::new(storage, self.mounts.clone())),
        })
    }
}

/// A directory of a storage, which may be all of it.
fn within(storage: Arc<dyn Storage>, root: &VirtualPath) -> Arc<dyn Storage> {
    match root.is_root() {
        true => storage,
        false => Arc::new(Subtree::new(storage, root.clone())),
    }
}

/// The plugin that is a storage, if one is.
pub(super) fn plugin_of(storage: &str) -> Option<&str> {
    storage.strip_prefix(PLUGIN)
}

/// The plugins that files are to be in.
pub(super) fn of_plugins(config: &Config) -> Vec<String> {
    let users = config.users.iter().filter_map(|user| plugin_of(user.storage.as_deref()?));
    let mounts = config.mounts.iter().map(|mount| mount.plugin.as_str());
    users.chain(mounts).map(str::to_owned).collect()
}

/// Where the files of an account are.
///
/// # Errors
/// The root is no path in the storage of the plugin.
pub(super) fn place(config: &Config, user: &User) -> std::result::Result<StoragePlace, Mistake> {
    let storage = user.storage.as_deref().and_then(plugin_of);
    let Some(name) = storage else { return Ok(StoragePlace::Local(user.root.clone())) };
    let root = VirtualPath::root().join(user.root.as_os_str().as_encoded_bytes());
    let root = root.map_err(|error| {
        let remedy = "write it from the root of that storage, as in \"/in\"";
        mistake(config, &format!("{}.root", user.key), error.to_string(), remedy)
    })?;
    Ok(StoragePlace::Plugin(name.to_owned(), root))
}

/// Where uploads go that plugins want kept away.
pub(super) fn quarantine(config: &Config) -> Quarantine {
    let own = config.named_plugins.iter().filter_map(|plugin| {
        let directory: &PathBuf = plugin.quarantine.as_ref()?;
        Some((Arc::from(plugin.name.as_str()), directory.clone()))
    });
    Quarantine { directory: config.plugins.quarantine.clone(), by_plugin: own.collect() }
}
