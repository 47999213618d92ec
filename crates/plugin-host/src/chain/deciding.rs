//! The hooks that decide about connections, logins and files: how the answers of several plugins
//! combine.

use std::sync::Arc;

use waft_core::auth::Credentials;
use waft_core::hooks::{
    ConnectVerdict, ConnectionFilter, FileFilter, FileOp, FileOps, FileVerdict, ListUndecided,
    ListVerdict, LoginDecision, LoginFilter, LoginVerdict,
};
use waft_core::storage::Batch;
use waft_core::{BoxFuture, SessionFacts, VirtualPath};

use super::Generation;
use crate::hook::Hook;
use crate::hooks::{connection, file, login};
use crate::limits;
use crate::plugin::Plugin;

/// What the plugins of a generation want to decide about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decisions {
    pub(super) connections: bool,
    pub(super) logins: bool,
    pub(super) files: FileOps,
    pub(super) listings: bool,
}

impl Decisions {
    pub(super) fn of(plugins: &[Arc<Plugin>]) -> Decisions {
        let mut all = Decisions::default();
        for plugin in plugins {
            all.connections |= plugin.artifact.has(Hook::ConnectionFilter);
            all.logins |= plugin.artifact.has(Hook::Authenticator);
            if plugin.artifact.has(Hook::FileFilter) {
                all.files = all.files.union(plugin.interest.files.ops);
                all.listings |= plugin.interest.files.listings;
            }
        }
        all
    }
}

impl ConnectionFilter for Generation {
    fn on_connect<'a>(&'a self, session: &'a Arc<SessionFacts>) -> BoxFuture<'a, ConnectVerdict> {
        Box::pin(async move {
            for plugin in self.having(Hook::ConnectionFilter) {
                let name = Arc::clone(&plugin.name);
                let verdict = connection::ask(plugin, self.number, session).await;
                let passes = matches!(verdict, connection::Verdict::Pass);
                if !passes && plugin.only_would() {
                    self.by(plugin, session).would_have_refused(&verdict);
                    continue;
                }
                match verdict {
                    connection::Verdict::Pass => {}
                    connection::Verdict::Drop => return ConnectVerdict::Drop { plugin: name },
                    connection::Verdict::Reject(reply) => {
                        return ConnectVerdict::Reject { reply, plugin: name };
                    }
                    connection::Verdict::Undecided(reply) => {
                        return ConnectVerdict::Undecided { reply, plugin: name };
                    }
                }
            }
            ConnectVerdict::Serve
        })
    }
}

impl LoginFilter for Generation {
    fn authenticate<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, LoginDecision> {
        Box::pin(self.decide_login(session, credentials))
    }
}

impl FileFilter for Generation {
    fn wanted(&self) -> FileOps {
        self.decisions.files
    }

    fn wants_listings(&self) -> bool {
        self.decisions.listings
    }

    fn on_file<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        op: &'a FileOp,
    ) -> BoxFuture<'a, FileVerdict> {
        Box::pin(self.decide_file(session, op))
    }

    fn on_list<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        directory: &'a VirtualPath,
        entries: &'a Batch,
    ) -> BoxFuture<'a, Result<ListVerdict, ListUndecided>> {
        Box::pin(self.decide_list(session, directory, entries))
    }
}

impl Generation {
    fn having(&self, hook: Hook) -> impl Iterator<Item = &Arc<Plugin>> {
        self.plugins.iter().filter(move |plugin| plugin.artifact.has(hook))
    }

    async fn decide_login(
        &self,
        session: &Arc<SessionFacts>,
        credentials: &Credentials,
    ) -> LoginDecision {
        let mut replaced: Option<(Credentials, Arc<str>)> = None;
        for plugin in self.having(Hook::Authenticator) {
            let offered = replaced.as_ref().map_or(credentials, |(credentials, _)| credentials);
            let name = Arc::clone(&plugin.name);
            let verdict = match login::ask(plugin, self.number, session, offered).await {
                login::Verdict::Abstain => continue,
                login::Verdict::Replace(credentials) => {
                    let (original, user) = (offered.user(), credentials.user());
                    self.by(plugin, session).replaced_credentials(original, user);
                    replaced = Some((credentials, name));
                    continue;
                }
                login::Verdict::Accept(admitted) => self.admit(plugin, *admitted),
                login::Verdict::Deny(reason) => LoginVerdict::Deny(reason),
                login::Verdict::NeedAccount => LoginVerdict::NeedAccount,
                login::Verdict::Failed(reason) => LoginVerdict::Failed(reason),
            };
            return LoginDecision { verdict: Some((verdict, name)), replaced };
        }
        LoginDecision { verdict: None, replaced }
    }

    /// Opens an account. A storage that cannot be opened is no mistake of the plugin.
    fn admit(&self, plugin: &Plugin, admitted: login::Admitted) -> LoginVerdict {
        let place = admitted.place().to_string();
        let opened = plugin.services().storages.as_deref().map(|storages| admitted.open(storages));
        let reason = match opened {
            Some(Ok(account)) => return LoginVerdict::Accept(account),
            Some(Err(error)) => error.to_string(),
            None => "no storages are opened here".to_owned(),
        };
        let (plugin, generation) = (&*plugin.name, self.number);
        tracing::error!(plugin, generation, storage = place, reason, "account cannot be opened");
        LoginVerdict::Failed(None)
    }

    async fn decide_file(&self, session: &Arc<SessionFacts>, op: &FileOp) -> FileVerdict {
        let mut redirected: Option<(FileOp, Arc<str>)> = None;
        for plugin in self.having(Hook::FileFilter) {
            if !plugin.interest.files.ops.contains(op.kind()) {
                continue;
            }
            let op = redirected.as_ref().map_or(op, |(op, _)| op);
            let name = Arc::clone(&plugin.name);
            let verdict = file::ask(plugin, self.number, session, op).await;
            let passes = matches!(verdict, file::Verdict::Pass);
            if !passes && plugin.only_would() {
                self.by(plugin, session).would_have_done(op, &verdict);
                continue;
            }
            match verdict {
                file::Verdict::Pass => {}
                file::Verdict::Redirect(path) => {
                    self.by(plugin, session).redirected(op.target(), &path);
                    redirected = Some((op.clone().redirected(path), name));
                }
                file::Verdict::Deny(reply) => return FileVerdict::Deny { reply, plugin: name },
                file::Verdict::Undecided(reply) => {
                    return FileVerdict::Undecided { reply, plugin: name };
                }
            }
        }
        match redirected {
            Some((op, plugin)) => FileVerdict::Redirect { path: op.into_target(), plugin },
            None => FileVerdict::Pass,
        }
    }

    /// Each plugin is shown what those before it let be seen.
    async fn decide_list(
        &self,
        session: &Arc<SessionFacts>,
        directory: &VirtualPath,
        entries: &Batch,
    ) -> Result<ListVerdict, ListUndecided> {
        let mut verdict = ListVerdict::default();
        let wants = |p: &&Arc<Plugin>| p.interest.files.listings && !p.settings.shadow;
        for plugin in self.having(Hook::FileFilter).filter(wants) {
            let undecided = || ListUndecided(Arc::clone(&plugin.name));
            let path = std::str::from_utf8(directory.as_bytes()).map_err(|_| undecided())?;
            let shown = verdict.shown.get_or_insert_with(|| vec![true; entries.len()]);
            let before = shown.iter().filter(|shown| **shown).count();
            let mut places = shown.iter_mut().zip(entries.iter()).filter(|(shown, _)| **shown);
            loop {
                let (mut asked, mut piece) = (Vec::new(), Vec::new());
                for (shown, (name, metadata)) in places.by_ref().take(limits::LISTED_MAX) {
                    // No name is shown to a plugin changed, nor to the client undecided.
                    *shown = false;
                    if let Some(entry) = file::entry(name, metadata) {
                        asked.push(shown);
                        piece.push(entry);
                    }
                }
                if piece.is_empty() {
                    break;
                }
                let answers = file::ask_list(plugin, self.number, session, path, &piece).await;
                let answers = answers.map_err(|file::Undecided| undecided())?;
                asked.into_iter().zip(answers).for_each(|(shown, answer)| *shown = answer);
            }
            if shown.iter().filter(|shown| **shown).count() < before {
                verdict.plugin = Some(Arc::clone(&plugin.name));
            }
        }
        Ok(verdict)
    }
}
