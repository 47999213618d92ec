//! What commands may do to files: where a path leads once plugins have had their say.

use std::sync::Arc;

use waft_core::hooks::{FileFilter, FileOp, FileOpKind, FileVerdict, Hooks, ListUndecided};
use waft_core::storage::{Batch, Refused, StorageError};
use waft_core::{Account, SessionFacts, VirtualPath};
use waft_proto::{Code, Reply};

use super::Refusal;
use crate::counters::Counters;
use crate::net::Network;
use crate::session::Session;

/// What the log calls those that decide about files.
const HOOK: &str = "file-filter";

/// Who gives a command, and the plugins that the command began with.
pub(super) struct Actor<'a> {
    pub(super) account: &'a Account,
    pub(super) hooks: &'a Arc<dyn Hooks>,
}

impl Actor<'_> {
    /// The plugins that want to decide about that kind of thing, if there are any.
    pub(super) fn filter(&self, kind: FileOpKind) -> Option<&dyn FileFilter> {
        self.hooks.files().filter(|filter| filter.wanted().contains(kind))
    }
}

impl<N: Network> Session<N> {
    /// The file that a command is about: the one that its argument names, unless plugins put
    /// another in its place.
    ///
    /// # Errors
    /// The argument names nothing, or a plugin refuses.
    pub(super) async fn target(
        &self,
        by: &Actor<'_>,
        argument: &[u8],
        op: impl FnOnce(VirtualPath) -> FileOp,
    ) -> Result<VirtualPath, Refusal> {
        self.reach(by, op(self.path(argument)?)).await
    }

    /// The same for what is to be done to a path.
    pub(super) async fn reach(&self, by: &Actor<'_>, op: FileOp) -> Result<VirtualPath, Refusal> {
        let Some(filter) = by.filter(op.kind()) else { return Ok(op.into_target()) };
        let (counters, generation) = (&self.shared.counters, by.hooks.generation());
        match filter.on_file(&self.facts, &op).await {
            FileVerdict::Pass => Ok(op.into_target()),
            FileVerdict::Redirect { path, .. } => {
                counters.plugin_redirects.add_one();
                Ok(path)
            }
            FileVerdict::Deny { reply, plugin } => {
                counters.plugin_file_denials.add_one();
                let (path, code) = (op.target(), reply.code().number());
                tracing::info!(%plugin, generation, hook = HOOK, %path, code, "denied by plugin");
                Err(Refusal(reply))
            }
            FileVerdict::Undecided { reply, plugin } => {
                let (path, code) = (op.target(), reply.code().number());
                let message = "file operation could not be decided by plugin";
                tracing::info!(%plugin, generation, hook = HOOK, %path, code, "{message}");
                Err(Refusal(reply))
            }
        }
    }

    /// What plugins leave of the listing of a directory, if they want to see it.
    pub(super) fn view(&self, by: &Actor<'_>, directory: &VirtualPath) -> Option<View> {
        let wanted = by.hooks.files().is_some_and(FileFilter::wants_listings);
        wanted.then(|| View {
            hooks: Arc::clone(by.hooks),
            session: Arc::clone(&self.facts),
            counters: Arc::clone(&self.shared.counters),
            directory: directory.clone(),
            hidden: 0,
            plugin: None,
        })
    }
}

/// A directory as plugins let it be seen. A listing keeps those that it began with.
pub(super) struct View {
    hooks: Arc<dyn Hooks>,
    session: Arc<SessionFacts>,
    counters: Arc<Counters>,
    directory: VirtualPath,
    /// Entries hidden so far, and the last plugin that hid some.
    hidden: usize,
    plugin: Option<Arc<str>>,
}

impl View {
    /// Which of the entries are shown; `None` is all of them.
    pub(super) async fn of(&mut self, entries: &Batch) -> Result<Option<Vec<bool>>, StorageError> {
        let Some(filter) = self.hooks.files() else { return Ok(None) };
        let verdict = filter.on_list(&self.session, &self.directory, entries).await;
        let verdict = verdict.map_err(|ListUndecided(plugin)| {
            let reply = Reply::new(Code::LOCAL_ERROR, "Local error: plugin failed.");
            StorageError::refused(Refused { reply, plugin, is_decided: false, is_kept: false })
        })?;
        if let Some(shown) = &verdict.shown {
            self.hidden += shown.iter().filter(|shown| !**shown).count();
            self.plugin = verdict.plugin;
        }
        Ok(verdict.shown)
    }
}

/// One line a listing, however long it is.
impl Drop for View {
    fn drop(&mut self) {
        let Some(plugin) = self.plugin.as_ref().filter(|_| self.hidden > 0) else { return };
        self.counters.plugin_entries_hidden.add(self.hidden as u64);
        tracing::info!(
            %plugin,
            generation = self.hooks.generation(),
            hook = HOOK,
            directory = %self.directory,
            hidden = self.hidden,
            "entries hidden by plugin"
        );
    }
}
