//! The host itself: the generation of plugins in force, and how another takes its place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use waft_core::control::Control;
use waft_core::event::{Event, EventSink};
use waft_core::hooks::{HookSource, Hooks};
use waft_core::storage::Storage;

use crate::budget::Budget;
use crate::cache::CompiledStore;
use crate::capability::log::cleaned;
use crate::chain::Generation;
use crate::engine::{Sandbox, sandbox};
use crate::errands;
use crate::errors::{LoadError, LoadErrors, Refusal, WatchError};
use crate::files::Settled;
use crate::lent::Services;
use crate::limits;
use crate::load::{Gathered, Loader, Slots, blocking, in_order};
use crate::outbox::Outbox;
use crate::plugin::Plugin;
use crate::services::Stock;
use crate::services::metrics::Metric;
use crate::settings::HostSettings;
use crate::status::{Change, GenerationReport, HostStatus, What};
use crate::storage::PluginStorage;
use crate::watch::{self as files_watch, Watching};

/// All plugins of one server.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

/// What the host, its watcher and its sweeper share.
pub(crate) struct Shared {
    current: ArcSwap<Generation>,
    /// Held while something is loaded: one thing at a time.
    books: Mutex<Books>,
    reports: watch::Sender<GenerationReport>,
    /// Events on their way to plugins.
    outbox: Outbox,
    stock: Arc<Stock>,
    /// Tells the watcher that something may have changed.
    pub(crate) stir: Notify,
}

/// What is wanted and what became of it.
struct Books {
    settings: Arc<HostSettings>,
    slots: Slots,
    loader: Loader,
}

impl Host {
    /// Loads the plugins, with nothing that other parts do for them. Needs a tokio runtime with time
    /// enabled, on which it stays.
    ///
    /// # Errors
    /// Every plugin that cannot be loaded, unless its `on_load_error` says to go on without it.
    pub async fn load(settings: HostSettings) -> Result<Host, LoadErrors> {
        Host::load_with(settings, Services::default()).await
    }

    /// The same, with what other parts do for plugins.
    ///
    /// # Errors
    /// Likewise.
    pub async fn load_with(settings: HostSettings, services: Services) -> Result<Host, LoadErrors> {
        let sandbox = sandbox().map_err(no_sandbox)?;
        let compiled = open_store(sandbox, settings.state.as_deref()).await;
        let budget = Arc::new(Budget::new(settings.memory_budget));
        let lasting = settings.state.as_deref().filter(|_| !settings.rehearsal);
        let stock = Arc::new(Stock::new(lasting, services));
        let artifacts = BTreeMap::new();
        let mut loader = Loader { sandbox, compiled, stock: Arc::clone(&stock), artifacts, budget };
        let gathered = loader.gather(&settings, &Slots::new(), 1, None).await;
        if !gathered.errors.is_empty() {
            return Err(LoadErrors(gathered.errors));
        }
        let plugins = in_order(&settings, &gathered.slots);
        let shared = Arc::new(Shared {
            current: ArcSwap::from_pointee(Generation::new(1, plugins)),
            books: Mutex::new(Books {
                settings: Arc::new(settings),
                slots: gathered.slots,
                loader,
            }),
            reports: watch::Sender::new(GenerationReport::default()),
            outbox: Outbox::default(),
            stock,
            stir: Notify::new(),
        });
        shared.serve(&[]);
        shared.report(gathered.changes);
        tokio::spawn(sweep(Arc::downgrade(&shared)));
        Ok(Host { shared })
    }

    /// Puts other settings in force: plugins and their configuration change as one generation.
    /// Returns the number of the generation then in force.
    ///
    /// A plugin whose file went bad since it was loaded goes on in its last good version, with the
    /// new settings. The state directory stays as it was given at the start.
    ///
    /// # Errors
    /// Every plugin that cannot be loaded, unless its `on_load_error` says to go on without it;
    /// nothing has changed then.
    pub async fn reconfigure(&self, settings: HostSettings) -> Result<u64, LoadErrors> {
        let settings = Arc::new(settings);
        let mut books = self.shared.books.lock().await;
        let books = &mut *books;
        let next = self.generation() + 1;
        let gathered = books.loader.gather(&settings, &books.slots, next, None).await;
        if !gathered.errors.is_empty() {
            return Err(LoadErrors(gathered.errors));
        }
        books.loader.budget.set(settings.memory_budget);
        books.settings = settings;
        self.shared.take(books, gathered, next);
        self.shared.stir.notify_one();
        Ok(self.generation())
    }

    /// Looks at the files now and loads what has changed. Returns the latest report, which is an
    /// older one if there are no news.
    pub async fn rescan(&self) -> GenerationReport {
        self.shared.rescan(None).await;
        self.shared.reports.borrow().clone()
    }

    /// Watches the files and loads what changes, until the guard is dropped. Where changes are not
    /// announced the files are looked at every `poll`.
    ///
    /// # Errors
    /// The operating system refuses to watch.
    pub fn watch(&self) -> Result<Watching, WatchError> {
        files_watch::start(&self.shared)
    }

    /// The number of the generation in force; the first is 1.
    pub fn generation(&self) -> u64 {
        self.shared.current.load().number
    }

    /// Reports of what the files and new settings brought, the latest kept.
    pub fn reports(&self) -> watch::Receiver<GenerationReport> {
        self.shared.reports.subscribe()
    }

    /// The storage that the plugin of that name exports, whichever version is in force: it need not
    /// be there yet, and may come and go. Its operations fail with `Io` while it is not there.
    pub fn storage(&self, plugin: &str) -> Arc<dyn Storage> {
        Arc::new(PluginStorage::new(Arc::clone(&self.shared), plugin))
    }

    /// Waits until the events so far are with the plugins that want them, for `within` at most.
    pub async fn drain_events(&self, within: Duration) {
        if tokio::time::timeout(within, self.shared.outbox.drained()).await.is_err() {
            tracing::warn!("events not delivered in time");
        }
    }

    /// Lets plugins that are granted it act on a server. The first one counts.
    pub fn act_on(&self, control: Arc<dyn Control>) {
        self.shared.stock.act_on(control);
    }

    /// What plugins counted for the operator's graphs.
    pub fn metrics(&self) -> Vec<Metric> {
        self.shared.stock.metrics.read()
    }

    /// Writes down what plugins keep and is to last, as it would be a moment later.
    pub async fn flush(&self) {
        let stock = Arc::clone(&self.shared.stock);
        blocking(move || stock.flush()).await;
    }

    /// The plugins and their numbers.
    pub fn status(&self) -> HostStatus {
        let mut status = self.shared.current.load().status();
        for plugin in &mut status.plugins {
            plugin.events = self.shared.outbox.counts(&plugin.name);
        }
        status
    }
}

impl HookSource for Host {
    fn current(&self) -> Arc<dyn Hooks> {
        self.shared.current.load_full()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Host").field(&self.shared.current.load()).finish()
    }
}

impl Shared {
    /// The settings in force.
    pub(crate) async fn settings(&self) -> Arc<HostSettings> {
        Arc::clone(&self.books.lock().await.settings)
    }

    /// The generation in force.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Looks at the files; those that do not have their stamp of `settled` are left for later.
    /// Tells whether there are such files.
    pub(crate) async fn rescan(self: &Arc<Self>, settled: Option<Settled>) -> bool {
        let mut books = self.books.lock().await;
        let books = &mut *books;
        let settings = Arc::clone(&books.settings);
        let next = self.current.load().number + 1;
        let settled = settled.map(Arc::new);
        let gathered = books.loader.gather(&settings, &books.slots, next, settled).await;
        let unsettled = gathered.unsettled;
        self.take(books, gathered, next);
        unsettled
    }

    /// The generation in force, if the plugin is part of it.
    pub(crate) fn generation_of(&self, plugin: &Arc<Plugin>) -> Option<u64> {
        let current = self.current.load();
        let is_here = current.plugins().iter().any(|known| Arc::ptr_eq(known, plugin));
        is_here.then_some(current.number)
    }

    /// The plugin of that name in force, and the generation.
    pub(crate) fn find(&self, name: &str) -> Option<(Arc<Plugin>, u64)> {
        let current = self.current.load();
        let plugin = current.plugins().iter().find(|plugin| *plugin.name == *name)?;
        Some((Arc::clone(plugin), current.number))
    }

    /// Goes by the plugins now in force, where no session asks for them.
    fn serve(self: &Arc<Self>, before: &[Arc<Plugin>]) {
        let current = self.current.load();
        let is_new = |plugin: &&Arc<Plugin>| !before.iter().any(|old| Arc::ptr_eq(old, plugin));
        let new: Vec<_> = current.plugins().iter().filter(is_new).cloned().collect();
        let queues = self.outbox.serve(current.plugins());
        errands::start(self, &new, queues);
    }

    /// Puts what was gathered in force, as one generation, and tells of it.
    fn take(self: &Arc<Self>, books: &mut Books, gathered: Gathered, next: u64) {
        books.slots = gathered.slots;
        let plugins = in_order(&books.settings, &books.slots);
        let before = self.current.load_full();
        if !before.is_made_of(&plugins) {
            self.current.store(Arc::new(Generation::new(next, plugins)));
            self.serve(before.plugins());
        }
        self.report(gathered.changes);
    }

    fn report(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let generation = self.current.load().number;
        for change in &changes {
            log(change, generation);
            self.tell(change);
        }
        self.reports.send_modify(|report| {
            *report = GenerationReport { sequence: report.sequence + 1, generation, changes };
        });
    }
}

impl Shared {
    /// Tells plugins what became of another.
    fn tell(&self, change: &Change) {
        let file = change.file.to_string_lossy();
        let (name, reason) = match &change.what {
            What::Loaded => ("plugin.load", None),
            What::Replaced => ("plugin.replace", None),
            What::Removed => ("plugin.remove", None),
            What::Kept(reason) => ("plugin.keep", Some(reason.to_string())),
            What::Refused(reason) => ("plugin.refuse", Some(reason.to_string())),
        };
        let reason = reason.as_deref().map(|reason| ("reason", reason));
        let facts: Vec<_> = [("file", &*file)].into_iter().chain(reason).collect();
        self.outbox.tell(name, &change.plugin, &facts);
    }
}

impl EventSink for Host {
    fn emit(&self, event: Event) {
        self.shared.outbox.take(&event);
    }
}

fn log(change: &Change, generation: u64) {
    let (plugin, file) = (change.plugin.as_str(), cleaned(&change.file.to_string_lossy()));
    let remedy = |refusal: &Refusal| refusal.remedy();
    match &change.what {
        What::Loaded => tracing::info!(plugin, generation, file, "plugin loaded"),
        What::Replaced => tracing::info!(plugin, generation, file, "plugin replaced"),
        What::Removed => tracing::info!(plugin, generation, file, "plugin removed"),
        What::Kept(reason) => tracing::error!(
            plugin,
            generation,
            file,
            %reason,
            remedy = remedy(reason),
            "plugin not replaced, the version before stays in force"
        ),
        What::Refused(reason) => tracing::error!(
            plugin,
            generation,
            file,
            %reason,
            remedy = remedy(reason),
            "plugin not loaded"
        ),
    }
}

/// Drops instances that nobody asked for a while, as long as the host lives.
async fn sweep(shared: Weak<Shared>) {
    let mut ticks = tokio::time::interval(limits::SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        shared.current.load().sweep(Instant::now());
    }
}

/// Opens the store of compiled components. Without it they are compiled at every start.
async fn open_store(sandbox: &'static Sandbox, state: Option<&Path>) -> Option<Arc<CompiledStore>> {
    let state = state?.to_owned();
    let directory = state.clone();
    match blocking(move || CompiledStore::open(&state, sandbox)).await? {
        Ok(store) => Some(Arc::new(store)),
        Err(error) => {
            let directory = directory.display();
            tracing::warn!(%directory, reason = %error, "compiled plugins are not kept");
            None
        }
    }
}

fn no_sandbox(refusal: Refusal) -> LoadErrors {
    LoadErrors(vec![LoadError { plugin: "(all)".to_owned(), file: None, refusal }])
}
