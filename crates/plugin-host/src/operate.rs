//! What an operator does to plugins while they serve: look again, roll back, take out, put back,
//! wait for what is left of earlier versions.
//!
//! None of it is written down: a restart goes by the files and the configuration alone.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use waft_core::SessionId;

use crate::chain::Generation;
use crate::errors::{OperateError, Refusal};
use crate::host::{Books, Host, Shared};
use crate::load::{Gathered, Key, Refused, Slot, Trouble, rival, too_large};
use crate::plugin::Plugin;
use crate::probation::Probation;
use crate::status::{Change, DrainingPlugin, What};
use crate::version::Mark;

/// How often it is looked whether earlier versions are gone.
const DRAIN_LOOK: Duration = Duration::from_millis(50);

impl Host {
    /// Looks at the files now, at those of one plugin or at all: what was refused is tried again,
    /// and so is what was rolled back. Returns what has changed.
    ///
    /// # Errors
    /// There is no such plugin.
    pub async fn reload(&self, plugin: Option<&str>) -> Result<Vec<Change>, OperateError> {
        let mut books = self.shared.books.lock().await;
        if let Some(name) = plugin
            && books.key(name).is_none()
        {
            // A file that has just come has no slot yet: that it is looked for is enough.
            let changes = self.shared.look(&mut books).await;
            let came = changes.into_iter().filter(|change| change.plugin == name);
            let came: Vec<_> = came.collect();
            return if came.is_empty() { Err(OperateError::unknown(name)) } else { Ok(came) };
        }
        for (key, slot) in &mut books.slots {
            if plugin.is_none_or(|name| key.0 == name) {
                slot.try_again();
            }
        }
        books.loader.forgive(plugin);
        let changes = self.shared.look(&mut books).await;
        Ok(changes.into_iter().filter(|c| plugin.is_none_or(|name| c.plugin == name)).collect())
    }

    /// Takes a plugin out of force until [`enable`](Host::enable), or the end of the process. Whether
    /// it is `required` does not matter: the operator says so.
    ///
    /// # Errors
    /// There is no such plugin, or it is out already.
    pub async fn disable(&self, plugin: &str) -> Result<Vec<Change>, OperateError> {
        let mut books = self.shared.books.lock().await;
        books.key(plugin).ok_or_else(|| OperateError::unknown(plugin))?;
        if !books.loader.disabled.insert(plugin.to_owned()) {
            return Err(OperateError::AlreadyDisabled(plugin.to_owned()));
        }
        Ok(self.shared.look(&mut books).await)
    }

    /// Puts a plugin in force again that was taken out.
    ///
    /// # Errors
    /// It is not out.
    pub async fn enable(&self, plugin: &str) -> Result<Vec<Change>, OperateError> {
        let mut books = self.shared.books.lock().await;
        if !books.loader.disabled.remove(plugin) {
            let known = books.key(plugin).is_some();
            let name = plugin.to_owned();
            return Err(if known {
                OperateError::NotDisabled(name)
            } else {
                OperateError::unknown(plugin)
            });
        }
        Ok(self.shared.look(&mut books).await)
    }

    /// Puts the version before in force, component and configuration, and does not take the one in
    /// force again until either changes or [`reload`](Host::reload) is asked for. Returns what has
    /// changed.
    ///
    /// # Errors
    /// There is no such plugin, there was no version before, or it cannot be started.
    pub async fn rollback(&self, plugin: &str) -> Result<Vec<Change>, OperateError> {
        let key = self.shared.books.lock().await.key(plugin);
        let key = key.ok_or_else(|| OperateError::unknown(plugin))?;
        self.shared.roll_back(&key, None, "the operator asked for it").await
    }

    /// Has a new version that is tried serve all sessions. Returns what has changed.
    ///
    /// # Errors
    /// There is no such plugin, or no new version of it is tried.
    pub async fn promote(&self, plugin: &str) -> Result<Vec<Change>, OperateError> {
        let key = self.shared.books.lock().await.key(plugin);
        let key = key.ok_or_else(|| OperateError::unknown(plugin))?;
        self.shared.promote(&key, None).await
    }

    /// Waits until nothing uses an earlier version of a plugin any more, for `within` at most.
    /// Returns how many versions are left then.
    ///
    /// # Errors
    /// There is no such plugin.
    pub async fn drain(&self, plugin: &str, within: Duration) -> Result<usize, OperateError> {
        self.drain_with(plugin, within, Drain::Wait).await
    }

    /// The same, but transfers that still go on with an earlier version are ended first: all that
    /// began before it was replaced, since their last reply would pass it.
    ///
    /// # Errors
    /// There is no such plugin.
    pub async fn force_drain(&self, plugin: &str, within: Duration) -> Result<usize, OperateError> {
        self.drain_with(plugin, within, Drain::Force).await
    }

    async fn drain_with(
        &self,
        plugin: &str,
        within: Duration,
        drain: Drain,
    ) -> Result<usize, OperateError> {
        let left = || self.status().draining.iter().filter(|old| old.name == plugin).count();
        // Looked for first: the books are taken while something is compiled, and transfers go on.
        if left() == 0 && self.shared.books.lock().await.key(plugin).is_none() {
            return Err(OperateError::unknown(plugin));
        }
        if drain == Drain::Force {
            self.shared.end_transfers(|old| *old.name == *plugin);
        }
        let end = Instant::now() + within;
        loop {
            let left = left();
            if left == 0 || Instant::now() >= end {
                return Ok(left);
            }
            sleep(DRAIN_LOOK.min(end - Instant::now())).await;
        }
    }
}

/// What becomes of transfers that go on with an earlier version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drain {
    Wait,
    Force,
}

/// Ends what still goes on with plugins that are not in force any more, once their time is up.
pub(crate) async fn end_in_time(shared: Weak<Shared>, old: Vec<Weak<Plugin>>, time: Duration) {
    sleep(time).await;
    let Some(shared) = shared.upgrade() else { return };
    shared.end_transfers(|plugin| old.iter().any(|old| old.as_ptr() == Arc::as_ptr(plugin)));
}

/// An earlier version that something still uses.
pub(crate) struct Left {
    plugin: Arc<Plugin>,
    /// Those that it is part of and that something goes on with.
    generations: Vec<Arc<Generation>>,
}

impl Left {
    /// Tells of it.
    pub(crate) fn status(&self) -> DrainingPlugin {
        let attended = attended(&self.generations);
        let transfers = attended.len() + self.plugin.count_apart(&attended);
        DrainingPlugin { transfers, ..self.plugin.draining() }
    }
}

/// The sessions whose transfers go on with some generations.
fn attended(generations: &[Arc<Generation>]) -> BTreeSet<SessionId> {
    generations.iter().flat_map(|generation| generation.attended()).collect()
}

impl Shared {
    /// The earlier versions that something still uses.
    pub(crate) fn left(&self) -> Vec<Left> {
        let replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        let plugins: Vec<_> = replaced.plugins.iter().filter_map(Weak::upgrade).collect();
        let generations: Vec<_> = replaced.generations.iter().filter_map(Weak::upgrade).collect();
        drop(replaced);
        let of = |plugin: Arc<Plugin>| {
            let has_it = |generation: &&Arc<Generation>| {
                generation.plugins().iter().any(|known| Arc::ptr_eq(known, &plugin))
            };
            let generations = generations.iter().filter(has_it).cloned().collect();
            Left { plugin, generations }
        };
        plugins.into_iter().map(of).collect()
    }

    /// Ends the transfers that go on with an earlier version of some plugins.
    fn end_transfers(&self, wanted: impl Fn(&Arc<Plugin>) -> bool) {
        for Left { plugin, generations } in self.left().iter().filter(|left| wanted(&left.plugin)) {
            let attended = attended(generations);
            let transfers: usize = generations.iter().map(|generation| generation.withdraw()).sum();
            let transfers = transfers + plugin.end_apart(&attended);
            if transfers > 0 {
                let (name, since) = (&*plugin.name, plugin.since());
                tracing::warn!(plugin = name, since, transfers, "plugin drained by force");
                self.tell_drained(name, transfers);
            }
        }
    }

    /// Puts a new version that is tried in force: as it is, or only if it is `only` and its time is
    /// over.
    pub(crate) async fn promote(
        self: &Arc<Self>,
        key: &Key,
        only: Option<Mark>,
    ) -> Result<Vec<Change>, OperateError> {
        let mut books = self.books.lock().await;
        let books = &mut *books;
        let slot = books.slots.get(key).ok_or_else(|| OperateError::unknown(&key.0))?;
        let is_due = |plugin: &&Arc<Plugin>| {
            let over = || plugin.probation.get().is_some_and(Probation::is_over);
            only.is_none_or(|only| only == plugin.mark && over())
        };
        if slot.canary.as_ref().filter(is_due).is_none() {
            return Err(OperateError::NoCanary(key.0.clone()));
        }
        // There is room for it: there was for both.
        let promoted = slot.promoted();
        Ok(self.exchange(books, key, promoted, What::Promoted))
    }

    /// Puts another slot in the place of one.
    fn exchange(
        self: &Arc<Self>,
        books: &mut Books,
        key: &Key,
        slot: Slot,
        what: What,
    ) -> Vec<Change> {
        let mut slots = books.slots.clone();
        slots.insert(key.clone(), slot);
        let changes = vec![Change { plugin: key.0.clone(), file: key.1.clone(), what }];
        let gathered = Gathered { slots, changes: changes.clone(), ..Gathered::default() };
        self.take(books, gathered, self.next_number());
        changes
    }

    /// Puts the version before in force: of the plugin as it is, or only if it is the version `only`.
    pub(crate) async fn roll_back(
        self: &Arc<Self>,
        key: &Key,
        only: Option<Mark>,
        why: &'static str,
    ) -> Result<Vec<Change>, OperateError> {
        let mut books = self.books.lock().await;
        let books = &mut *books;
        let unknown = || OperateError::unknown(&key.0);
        let slot = books.slots.get(key).ok_or_else(unknown)?;
        let trouble = |mark: Mark| {
            let (plugin, version) = (key.0.clone(), mark.to_string());
            let refusal = Refusal::RolledBack { plugin, version, why };
            Trouble { of: Refused::Version(mark), refusal }
        };
        let tried = slot.canary.as_ref().map(|plugin| plugin.mark);
        if let Some(tried) = tried.filter(|tried| only.is_none_or(|only| only == *tried)) {
            let trouble = trouble(tried);
            let what = What::RolledBack(trouble.refusal.clone());
            let without = slot.without_canary(trouble);
            books.loader.bad.insert((key.clone(), tried));
            return Ok(self.exchange(books, key, without, what));
        }
        let running = slot.plugin.as_ref().ok_or_else(unknown)?.mark;
        if only.is_some_and(|only| only != running) {
            // Replaced meanwhile: the flop is gone anyway.
            return Ok(Vec::new());
        }
        let Some(before) = books.loader.before.get(key).cloned() else {
            return Err(OperateError::NoVersionBefore(key.0.clone()));
        };
        let not_started = |refusal| OperateError::NotStarted { plugin: key.0.clone(), refusal };
        let settings = before.settings_under(slot.settings());
        let next = self.next_number();
        let plugin = books.loader.start(&key.1, settings, before.artifact, next).await;
        let plugin = plugin.map_err(not_started)?;
        // Another plugin may have come meanwhile with what this version brings along.
        rival(&books.slots, key, &plugin).map_or(Ok(()), |refusal| Err(not_started(refusal)))?;
        let trouble = trouble(running);
        let what = What::RolledBack(trouble.refusal.clone());
        let slot = slot.rolled_back(plugin, trouble);
        // It may keep more than the one that goes, and others may have come since.
        let refusal_of_room = too_large(&books.slots, key, &slot, books.loader.memory_budget);
        refusal_of_room.map_or(Ok(()), |refusal| Err(not_started(refusal)))?;
        books.loader.before.remove(key);
        books.loader.bad.insert((key.clone(), running));
        Ok(self.exchange(books, key, slot, what))
    }
}
