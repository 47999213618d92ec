//! A generation as sessions have it: by the handle of the processor that asks.
//!
//! Every command of every session takes the generation in force and lets go of it again. The count
//! of its users would travel between the processors with each, and whatever lies beside it with it.

use std::ops::Deref;
use std::sync::Arc;

use waft_core::hooks::{
    CommandVerdict, ConnectionFilter, ContentFilters, FileFilter, Hooks, LoginFilter, ReplyVerdict,
    SiteCommands,
};
use waft_core::{BoxFuture, SessionFacts, SessionId};
use waft_per_cpu::PerCpu;
use waft_proto::{Command, Reply, VerbSet};

use super::Generation;
use crate::plugin::Plugin;

/// A generation that serves.
pub(crate) struct InForce {
    generation: Arc<Generation>,
    handles: PerCpu<Arc<Handle>>,
}

/// One user of the generation, who stands for all of one processor. Aligned, as the count of those
/// lies beside it.
#[repr(align(128))]
struct Handle(Arc<Generation>);

impl InForce {
    /// Puts a generation in force.
    pub(crate) fn new(generation: Generation) -> InForce {
        let generation = Arc::new(generation);
        let handles = PerCpu::new(|| Arc::new(Handle(Arc::clone(&generation))));
        InForce { generation, handles }
    }

    /// The generation for one command.
    pub(crate) fn lend(&self) -> Arc<dyn Hooks> {
        Arc::clone(self.handles.here()) as _
    }

    /// The generation itself.
    pub(crate) fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }
}

impl Deref for InForce {
    type Target = Generation;

    fn deref(&self) -> &Generation {
        &self.generation
    }
}

impl Hooks for Handle {
    fn may_take_long(&self, session: &SessionFacts, command: &Command) -> bool {
        let may =
            |plugin: &Arc<Plugin>| plugin.may_take_long() && plugin.wants_command(session, command);
        self.0.command_interest.contains(command.verb()) && self.0.plugins.iter().any(may)
    }

    fn reply_interest(&self) -> VerbSet {
        self.0.reply_interest
    }

    fn on_command<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        command: &'a Command,
    ) -> Option<BoxFuture<'a, CommandVerdict>> {
        let first = self.0.first_asked(session, command)?;
        Some(Box::pin(self.0.decide(first, session, command)))
    }

    fn on_reply<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        command: Option<&'a Command>,
        reply: Reply,
    ) -> BoxFuture<'a, ReplyVerdict> {
        Box::pin(self.0.reword(session, command, reply))
    }

    fn content(&self) -> Option<&dyn ContentFilters> {
        self.0.content.as_ref().map(|filters| filters as _)
    }

    fn generation(&self) -> u64 {
        self.0.number
    }

    fn withdrawn(&self) -> BoxFuture<'static, ()> {
        let mut withdrawn = self.0.withdrawn.here().subscribe();
        Box::pin(async move {
            // Whoever waits holds the generation, so that its sender is there as long.
            if withdrawn.wait_for(|withdrawn| *withdrawn).await.is_err() {
                std::future::pending().await
            }
        })
    }

    fn withdrawn_for(&self, session: SessionId) -> BoxFuture<'static, ()> {
        let attended = self.0.attendance.note(session);
        let withdrawn = self.withdrawn();
        Box::pin(async move {
            withdrawn.await;
            drop(attended);
        })
    }

    fn connections(&self) -> Option<&dyn ConnectionFilter> {
        self.0.decisions.connections.then_some(&*self.0 as _)
    }

    fn logins(&self) -> Option<&dyn LoginFilter> {
        self.0.decisions.logins.then_some(&*self.0 as _)
    }

    fn files(&self) -> Option<&dyn FileFilter> {
        Some(&*self.0)
    }

    fn site(&self) -> Option<&dyn SiteCommands> {
        let is_empty = self.0.site.commands.is_empty() && self.0.site.features.is_empty();
        (!is_empty).then_some(&*self.0 as _)
    }
}
