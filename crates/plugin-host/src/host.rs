//! The host itself: the generation of plugins in force, and how another takes its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::{Mutex, Notify, OnceCell, watch};
use tokio::time::{Instant, MissedTickBehavior};
use waft_core::SessionId;
use waft_core::control::Control;
use waft_core::event::{Event, EventSink};
use waft_core::hooks::{HookSource, Hooks};
use waft_core::storage::Storage;

use crate::budget::Budget;
use crate::cache::{self, Image};
use crate::canary::Canary;
use crate::capability::log::cleaned;
use crate::chain::{Generation, InForce};
use crate::crowd::{Crowd, crowds};
use crate::errands;
use crate::errors::{Concern, LoadErrors, Refusal, WatchError};
use crate::files::Settled;
use crate::guard::Guard;
use crate::lent::Services;
use crate::limits;
use crate::load::{Gathered, Key, Loader, Note, Slot, Slots, blocking, concerns, in_order, notes};
use crate::news;
use crate::operate::{self, Left};
use crate::outbox::Outbox;
use crate::plugin::Plugin;
use crate::probation::{self, Flop, Probation};
use crate::progress::Progress;
use crate::self_test::Compiled;
use crate::services::Stock;
use crate::services::metrics::Metric;
use crate::settings::HostSettings;
use crate::status::{
    AbsentPlugin, Change, GenerationReport, HostStatus, PluginStatus, ReloadCount, State, What,
};
use crate::storage::PluginStorage;
use crate::watch::{self as files_watch, Watching};
use crate::workshop::Pace;

/// All plugins of one server.
#[derive(Clone)]
pub struct Host {
    pub(crate) shared: Arc<Shared>,
}

/// What the host, its watcher and its sweeper share.
pub(crate) struct Shared {
    current: ArcSwap<InForce>,
    /// What serves a share of the sessions instead.
    canary: ArcSwapOption<Canary>,
    /// Held while something is loaded: one thing at a time.
    pub(crate) books: Mutex<Books>,
    reports: watch::Sender<GenerationReport>,
    /// What was told of the slots, for who cannot wait for the books.
    notes: ArcSwap<Vec<Note>>,
    /// What there is to look after with the files of those that are in force, by name.
    concerns: ArcSwap<BTreeMap<String, Vec<Concern>>>,
    /// Where plugins may want more together than there is.
    crowds: ArcSwap<Vec<Crowd>>,
    /// What is being made of a file, likewise.
    progress: Progress,
    /// What became of plugins, by name and [`What::name`], and how often.
    changed: std::sync::Mutex<BTreeMap<(String, &'static str), u64>>,
    /// What others took the place of.
    pub(crate) replaced: std::sync::Mutex<Replaced>,
    /// Where versions tell that they fail on probation.
    flops: UnboundedSender<Flop>,
    /// The highest number that a generation has had, one that was tried included.
    numbered: AtomicU64,
    /// Events on their way to plugins.
    outbox: Arc<Outbox>,
    stock: Arc<Stock>,
    /// Tells the watcher that something may have changed.
    pub(crate) stir: Notify,
}

/// What is not in force any more and may still be in use.
#[derive(Default)]
pub(crate) struct Replaced {
    pub(crate) plugins: Vec<Weak<Plugin>>,
    pub(crate) generations: Vec<Weak<Generation>>,
}

/// What is wanted and what became of it.
pub(crate) struct Books {
    settings: Arc<HostSettings>,
    pub(crate) slots: Slots,
    pub(crate) loader: Loader,
}

impl Books {
    /// Where the plugin of that name stands.
    pub(crate) fn key(&self, name: &str) -> Option<Key> {
        let mut keys = self.slots.iter().filter(|((known, _), _)| known == name);
        let first = keys.clone().next();
        keys.find(|(_, slot)| slot.plugin.is_some()).or(first).map(|(key, _)| key.clone())
    }
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
        let budget = Arc::new(Budget::new(settings.memory_budget));
        let lasting = settings.state.as_deref().filter(|_| !settings.rehearsal);
        let outbox = Arc::new(Outbox::new(services.clone(), lasting.map(Path::to_owned)));
        let stock = Arc::new(Stock::new(lasting, services));
        let kept = settings.state.as_deref().filter(|it| !settings.rehearsal || cache::is_own(it));
        let known = settings.compiled.iter().map(|Compiled(it)| (it.digest, Arc::downgrade(it)));
        // Whoever only looks whether it would start has no reason for haste.
        let pace = if settings.rehearsal { Pace::Behind } else { Pace::Full };
        let progress = Progress::default();
        let mut loader = Loader {
            state: kept.map(Path::to_owned),
            compiled: OnceCell::new(),
            stock: Arc::clone(&stock),
            outbox: Arc::downgrade(&outbox),
            artifacts: known.collect(),
            self_test: None,
            budget,
            memory_budget: settings.memory_budget,
            guard: Guard::of(&settings),
            compiler: settings.compiler(pace),
            pace,
            progress: progress.clone(),
            before: BTreeMap::new(),
            signer: None,
            bad: BTreeSet::new(),
            disabled: BTreeSet::new(),
        };
        let gathered = loader.gather(&settings, &Slots::new(), 1, None).await;
        if !gathered.errors.is_empty() {
            return Err(LoadErrors(gathered.errors));
        }
        // From now on there may be sessions.
        loader.pace = Pace::Behind;
        let plugins = in_order(&settings, &gathered.slots);
        plugins.iter().for_each(|plugin| plugin.take_share(&stock));
        let (flops, flunked) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            notes: ArcSwap::from_pointee(notes(&gathered.slots)),
            concerns: ArcSwap::from_pointee(concerns(&gathered.slots)),
            crowds: ArcSwap::from_pointee(crowds(&plugins, settings.sessions)),
            progress,
            changed: std::sync::Mutex::default(),
            replaced: std::sync::Mutex::default(),
            canary: ArcSwapOption::empty(),
            flops,
            current: ArcSwap::from_pointee(InForce::new(Generation::new(1, plugins))),
            books: Mutex::new(Books {
                settings: Arc::new(settings),
                slots: gathered.slots,
                loader,
            }),
            reports: watch::Sender::new(GenerationReport::default()),
            numbered: AtomicU64::new(1),
            outbox,
            stock,
            stir: Notify::new(),
        });
        shared.serve(&[]);
        shared.outbox.forget_old().await;
        shared.report(gathered.changes);
        tokio::spawn(sweep(Arc::downgrade(&shared)));
        tokio::spawn(probation::run(Arc::downgrade(&shared), flunked));
        Ok(Host { shared })
    }

    /// Puts other settings in force: plugins and their configuration change as one generation.
    /// Returns the number of the generation then in force.
    ///
    /// A plugin whose file went bad since it was loaded goes on in its last good version, with the
    /// new settings. The state directory stays as it was given at the start.
    ///
    /// # Errors
    /// Every plugin that cannot be loaded, unless its `on_load_error` says to go on without it, and
    /// those for which there is no memory any more; nothing has changed then.
    pub async fn reconfigure(&self, settings: HostSettings) -> Result<u64, LoadErrors> {
        let settings = Arc::new(settings);
        let mut books = self.shared.books.lock().await;
        let books = &mut *books;
        let next = self.shared.next_number();
        let gathered = books.loader.gather(&settings, &books.slots, next, None).await;
        if !gathered.errors.is_empty() {
            books.loader.go_by(&books.settings);
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

    /// What a plugin keeps under a key of its store.
    pub fn stored(&self, plugin: &str, key: &str) -> Option<Vec<u8>> {
        self.shared.stock.stored(plugin, key)
    }

    /// Writes down what plugins keep and is to last, as it would be a moment later.
    pub async fn flush(&self) {
        self.shared.outbox.written().await;
        let stock = Arc::clone(&self.shared.stock);
        blocking(move || stock.flush()).await;
    }

    /// What the plugins that serve sessions were compiled to.
    pub fn images(&self) -> Vec<Image> {
        let canary = self.shared.canary.load();
        let tried = canary.as_ref().map(|canary| Arc::clone(canary.generation.generation()));
        let generations = std::iter::once(self.shared.generation()).chain(tried);
        let images = |generation: Arc<Generation>| {
            let artifacts = generation.plugins().iter().map(|plugin| &plugin.artifact);
            artifacts.flat_map(|artifact| artifact.images()).collect::<Vec<_>>()
        };
        generations.flat_map(images).collect()
    }

    /// The plugins and their numbers.
    pub fn status(&self) -> HostStatus {
        let mut status = self.shared.current.load().status();
        for plugin in &mut status.plugins {
            plugin.events = self.shared.outbox.counts(&plugin.name);
        }
        self.shared.annotate(&mut status);
        status
    }
}

impl HookSource for Host {
    fn current(&self) -> Arc<dyn Hooks> {
        self.shared.current.load().lend()
    }

    fn current_for(&self, session: SessionId) -> Arc<dyn Hooks> {
        match &*self.shared.canary.load() {
            Some(canary) if canary.takes(session) => canary.generation.lend(),
            _ => self.current(),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Host").field(&self.shared.generation()).finish()
    }
}

impl Shared {
    /// The settings in force.
    pub(crate) async fn settings(&self) -> Arc<HostSettings> {
        Arc::clone(&self.books.lock().await.settings)
    }

    /// The generation in force.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        Arc::clone(self.current.load().generation())
    }

    /// Looks at the files; those that do not have their stamp of `settled` are left for later.
    /// Tells whether there are such files.
    pub(crate) async fn rescan(self: &Arc<Self>, settled: Option<Settled>) -> bool {
        let mut books = self.books.lock().await;
        let books = &mut *books;
        let settings = Arc::clone(&books.settings);
        let next = self.next_number();
        let settled = settled.map(Arc::new);
        let gathered = books.loader.gather(&settings, &books.slots, next, settled).await;
        let unsettled = gathered.unsettled;
        let before = self.crowds.load_full();
        self.take(books, gathered, next);
        self.tell_crowds(&before);
        unsettled
    }

    /// Looks at the files now; returns what has changed.
    pub(crate) async fn look(self: &Arc<Self>, books: &mut Books) -> Vec<Change> {
        let settings = Arc::clone(&books.settings);
        let next = self.next_number();
        let gathered = books.loader.gather(&settings, &books.slots, next, None).await;
        let (changes, before) = (gathered.changes.clone(), self.crowds.load_full());
        self.take(books, gathered, next);
        self.tell_crowds(&before);
        changes
    }

    /// Tells of what is too much since a file has changed; of what a configuration says too much, its
    /// reader knows the place.
    fn tell_crowds(&self, before: &[Crowd]) {
        let now = self.crowds.load();
        for crowd in now.iter().filter(|crowd| !before.contains(crowd)) {
            tracing::warn!(plugin = crowd.beyond(), remedy = crowd.remedy(), "{crowd}");
        }
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
    pub(crate) fn take(self: &Arc<Self>, books: &mut Books, gathered: Gathered, next: u64) {
        self.succeed(books, &gathered.slots);
        books.slots = gathered.slots;
        self.notes.store(Arc::new(notes(&books.slots)));
        self.concerns.store(Arc::new(concerns(&books.slots)));
        let plugins = in_order(&books.settings, &books.slots);
        self.crowds.store(Arc::new(crowds(&plugins, books.settings.sessions)));
        plugins.iter().for_each(|plugin| plugin.take_share(&self.stock));
        let before = self.generation();
        let tried = self.canary.load_full();
        let was_tried = |plugin: &&Arc<Plugin>| {
            tried.as_ref().is_some_and(|tried| tried.only(&before).any(|p| Arc::ptr_eq(p, plugin)))
        };
        // What is tried has a number of its own: by that the log tells the two apart.
        let mut next_tried = next;
        if !before.is_made_of(&plugins) {
            self.numbered.store(next, Ordering::Relaxed);
            next_tried += 1;
            plugins.iter().filter(was_tried).for_each(|plugin| plugin.serve_since(next));
            self.current.store(Arc::new(InForce::new(Generation::new(next, plugins))));
            self.serve(before.plugins());
        }
        let canary = Canary::of(&books.settings, &books.slots, next_tried);
        let same = |new: &Canary| tried.as_ref().is_some_and(|old| old.is_like(new));
        if !canary.as_ref().is_some_and(same) {
            if let Some(canary) = &canary {
                self.numbered.store(next_tried, Ordering::Relaxed);
                let current = self.generation();
                let new = canary.only(&current).filter(|plugin| !was_tried(plugin));
                new.for_each(|plugin| plugin.serve_since(next_tried));
            }
            self.canary.store(canary.map(Arc::new));
        }
        let tried = tried.map(|tried| Arc::clone(tried.generation.generation()));
        let gone: Vec<_> = [Some(before), tried].into_iter().flatten().collect();
        let gone: Vec<_> = gone.iter().flat_map(|generation| self.let_go(generation)).collect();
        // Versions to go back to are kept as artifacts: these start no more.
        gone.iter().filter_map(Weak::upgrade).for_each(|plugin| plugin.retire());
        if let (Some(time), false) = (books.settings.drain_timeout, gone.is_empty()) {
            tokio::spawn(operate::end_in_time(Arc::downgrade(self), gone, time));
        }
        self.report(gathered.changes);
    }

    /// Where another version takes the place of one, the one is kept to go back to, and the other is
    /// on probation.
    fn succeed(self: &Arc<Self>, books: &mut Books, slots: &Slots) {
        let time = books.settings.probation;
        for (key, slot) in slots {
            let before = books.slots.get(key);
            self.try_out(key, slot, before.and_then(|slot| slot.canary.as_ref()), time);
            let Some(new) = &slot.plugin else { continue };
            let old = before.and_then(|slot| slot.plugin.as_ref());
            let Some(old) = old.filter(|old| !Arc::ptr_eq(old, new)) else { continue };
            if old.mark == new.mark {
                // What else the operator wants is no reason to believe in the version.
                if let Some(probation) = old.probation.get().and_then(Probation::again) {
                    let _ = new.probation.set(probation);
                }
                continue;
            }
            if books.loader.bad.contains(&(key.clone(), old.mark)) {
                continue;
            }
            // One that has not stood its probation is no better to go back to than what was before.
            let stood = old.probation.get().is_none_or(Probation::is_stood);
            let before = books.loader.before.get(key);
            if stood || before.is_none_or(|before| before.mark == new.mark) {
                books.loader.before.insert(key.clone(), old.version());
            }
            if !time.is_zero() {
                let until = Instant::now() + time;
                let probation = Probation::new(until, key.clone(), new.mark, self.flops.clone());
                // It has none yet: it has just been started.
                let _ = new.probation.set(probation);
            }
        }
        books.loader.before.retain(|key, _| slots.contains_key(key));
    }

    /// Where a new version is tried, it is on probation, and serves all sessions thereafter. A trial
    /// goes on where the same version is wanted otherwise.
    fn try_out(
        self: &Arc<Self>,
        key: &Key,
        slot: &Slot,
        old: Option<&Arc<Plugin>>,
        time: Duration,
    ) {
        let Some(new) = &slot.canary else { return };
        let same = old.filter(|old| old.mark == new.mark);
        let goes_on = same.and_then(|old| old.probation.get()?.again());
        if let Some(probation) = goes_on {
            let _ = new.probation.set(probation);
            return;
        }
        let forever = Duration::from_secs(u32::MAX.into());
        let until = Instant::now() + if time.is_zero() { forever } else { time };
        let probation = Probation::new(until, key.clone(), new.mark, self.flops.clone());
        if new.probation.set(probation).is_ok() && !time.is_zero() {
            tokio::spawn(probation::pass(Arc::downgrade(self), key.clone(), new.mark, until));
        }
    }

    /// The number of the next generation.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbered.load(Ordering::Relaxed) + 1
    }

    /// Notes what is not in force any more; tells the plugins.
    fn let_go(&self, before: &Arc<Generation>) -> Vec<Weak<Plugin>> {
        let current = self.current.load();
        let canary = self.canary.load();
        let tried = canary.iter().flat_map(|canary| canary.generation.plugins());
        let kept: Vec<_> = current.plugins().iter().chain(tried).collect();
        let is_gone = |old: &&Arc<Plugin>| !kept.iter().any(|p| Arc::ptr_eq(p, old));
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        let Replaced { plugins, generations } = &mut *replaced;
        plugins.retain(|old| old.strong_count() > 0);
        generations.retain(|old| old.strong_count() > 0);
        let in_force = Arc::ptr_eq(before, current.generation())
            || canary
                .as_ref()
                .is_some_and(|canary| Arc::ptr_eq(before, canary.generation.generation()));
        if !in_force && !generations.iter().any(|old| old.as_ptr() == Arc::as_ptr(before)) {
            generations.push(Arc::downgrade(before));
        }
        let known = |old: &&Arc<Plugin>| plugins.iter().any(|p| p.as_ptr() == Arc::as_ptr(old));
        let new = before.plugins().iter().filter(is_gone).filter(|old| !known(old));
        let new: Vec<_> = new.map(Arc::downgrade).collect();
        plugins.extend(new.iter().cloned());
        new
    }

    /// Adds what is known of plugins that are not in force, and of files that are not taken.
    fn annotate(&self, status: &mut HostStatus) {
        for note in self.notes.load().iter() {
            let running = status.plugins.iter_mut().find(|p| p.name == note.name && note.in_force);
            match running {
                Some(plugin) => {
                    (plugin.trouble, plugin.remedy) =
                        (Some(note.reason.clone()), note.remedy.clone());
                }
                None => status.absent.push(AbsentPlugin {
                    name: note.name.clone(),
                    file: note.file.clone(),
                    settings: note.written.clone(),
                    state: note.state,
                    reason: note.reason.clone(),
                    remedy: note.remedy.clone(),
                }),
            }
        }
        let concerns = self.concerns.load();
        for plugin in &mut status.plugins {
            plugin.concerns = concerns.get(&plugin.name).cloned().unwrap_or_default();
        }
        if let Some(canary) = &*self.canary.load() {
            let current = self.current.load();
            let canaries = canary.only(&current);
            let canaries = canaries.map(|p| PluginStatus { state: State::Canary, ..p.status() });
            status.canaries = canaries.collect();
            status.canary_percent = canary.percent;
        }
        status.crowds = self.crowds.load().to_vec();
        status.loading.extend(self.progress.now());
        status.draining.extend(self.left().iter().map(Left::status));
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = changed.iter().map(|((plugin, result), &count)| {
            let plugin = plugin.clone();
            ReloadCount { plugin, result, count }
        });
        status.reloads = counts.collect();
    }

    fn report(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let generation = self.current.load().number;
        let tried = self.canary.load().as_ref().map(|canary| canary.generation.number);
        for change in &changes {
            let of_it = match change.what {
                What::Tried => tried.unwrap_or(generation),
                _ => generation,
            };
            log(change, of_it);
            let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
            *changed.entry((change.plugin.clone(), change.what.name())).or_default() += 1;
            drop(changed);
            self.tell(change);
        }
        self.reports.send_modify(|report| {
            *report = GenerationReport { sequence: report.sequence + 1, generation, changes };
        });
    }
}

impl Shared {
    /// Tells plugins that transfers of another were ended.
    pub(crate) fn tell_drained(&self, plugin: &str, transfers: usize) {
        self.outbox.tell(news::DRAIN, plugin, &[("transfers", &transfers.to_string())]);
    }

    /// Tells plugins what became of another.
    fn tell(&self, change: &Change) {
        let file = change.file.to_string_lossy();
        let (name, reason) = match &change.what {
            What::Loaded => (news::LOAD, None),
            What::Replaced => (news::REPLACE, None),
            What::Tried => (news::TRY, None),
            What::Promoted => (news::PROMOTE, None),
            What::Removed => (news::REMOVE, None),
            What::Disabled => (news::DISABLE, None),
            What::RolledBack(reason) => (news::ROLL_BACK, Some(reason.to_string())),
            What::Kept(reason) => (news::KEEP, Some(reason.to_string())),
            What::Revoked(reason) => (news::REVOKE, Some(reason.to_string())),
            What::Refused(reason) => (news::REFUSE, Some(reason.to_string())),
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
        What::Tried => {
            tracing::info!(plugin, generation, file, "plugin tried on a share of sessions")
        }
        What::Promoted => {
            tracing::info!(plugin, generation, file, "plugin promoted to all sessions")
        }
        What::Removed => tracing::info!(plugin, generation, file, "plugin removed"),
        What::Disabled => tracing::warn!(plugin, generation, file, "plugin disabled"),
        What::RolledBack(reason) => tracing::error!(
            plugin,
            generation,
            file,
            %reason,
            remedy = remedy(reason),
            "plugin rolled back, the version before is in force again"
        ),
        What::Kept(reason) => tracing::error!(
            plugin,
            generation,
            file,
            %reason,
            remedy = remedy(reason),
            "plugin not replaced, the version before stays in force"
        ),
        What::Revoked(reason) => tracing::error!(
            plugin,
            generation,
            file,
            %reason,
            remedy = remedy(reason),
            "plugin taken out of force, it cannot do without the grants that it has lost"
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
        if let Some(canary) = &*shared.canary.load() {
            canary.generation.sweep(Instant::now());
        }
    }
}
