//! One generation: the plugins in their order, which sessions have as
//! [`Hooks`](waft_core::hooks::Hooks).
//!
//! Commands pass the plugins in ascending order and replies in descending order: the plugin that
//! saw a command last sees its reply first. A rewritten command goes on to the next plugin and
//! never back to one that it has passed, so there are no loops.

mod attendance;
mod changes;
mod deciding;
mod in_force;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use waft_core::hooks::{CommandVerdict, ReplyVerdict, SiteAnswer, SiteCommand, SiteCommands};
use waft_core::{BoxFuture, SessionFacts, SessionId};
use waft_per_cpu::PerCpu;
use waft_proto::{Code, Command, Reply, VerbSet};

use crate::hook::Hook;
use crate::hooks::command::{self, Verdict};
use crate::hooks::content::Filters;
use crate::hooks::{reply, site};
use crate::interest::Verbs;
use crate::plugin::Plugin;
use crate::status::HostStatus;
use attendance::Attendance;
use changes::By;
use deciding::Decisions;

pub(crate) use in_force::InForce;

/// One generation of plugins.
pub(crate) struct Generation {
    pub(crate) number: u64,
    /// All plugins, in ascending order.
    plugins: Vec<Arc<Plugin>>,
    command_interest: VerbSet,
    reply_interest: VerbSet,
    content: Option<Filters>,
    site: Site,
    decisions: Decisions,
    /// Set where nothing may go on with it any more. Every transfer listens to one of them.
    withdrawn: PerCpu<watch::Sender<bool>>,
    /// The sessions whose transfers go on with it.
    attendance: Attendance,
}

/// What plugins bring along.
#[derive(Default)]
struct Site {
    commands: Vec<SiteCommand>,
    /// The plugins that answer them, likewise.
    owners: Vec<Arc<Plugin>>,
    features: Vec<String>,
}

impl Generation {
    /// The generation of that number; `plugins` come in ascending order.
    pub(crate) fn new(number: u64, plugins: Vec<Arc<Plugin>>) -> Generation {
        let all = |wanted: &mut dyn Iterator<Item = &Verbs>| {
            wanted.fold(VerbSet::EMPTY, |all, verbs| all.union(verbs.set()))
        };
        let filters = plugins.iter().filter(|plugin| plugin.artifact.has(Hook::CommandFilter));
        let command_interest = all(&mut filters.map(|plugin| &plugin.interest.commands));
        let filters = plugins.iter().filter(|plugin| plugin.artifact.has(Hook::ReplyFilter));
        let reply_interest = all(&mut filters.map(|plugin| &plugin.interest.replies));
        let content = Filters::of(&plugins, number);
        let (site, decisions) = (Site::of(&plugins), Decisions::of(&plugins));
        let withdrawn = PerCpu::new(|| watch::Sender::new(false));
        Generation {
            number,
            plugins,
            command_interest,
            reply_interest,
            content,
            site,
            decisions,
            withdrawn,
            attendance: Attendance::default(),
        }
    }

    /// The sessions whose transfers go on with it.
    pub(crate) fn attended(&self) -> BTreeSet<SessionId> {
        self.attendance.sessions()
    }

    /// Ends what lasts and still goes on with it; tells how many transfers that were.
    pub(crate) fn withdraw(&self) -> usize {
        // Counted before they hear of it.
        let transfers = self.withdrawn.iter().map(watch::Sender::receiver_count).sum();
        let told = self.withdrawn.iter().map(|sender| sender.send_replace(true));
        if told.fold(false, |before, now| before | now) { 0 } else { transfers }
    }

    /// Whether the same plugins stand in the same order in `plugins`.
    pub(crate) fn is_made_of(&self, plugins: &[Arc<Plugin>]) -> bool {
        self.plugins.len() == plugins.len()
            && self.plugins.iter().zip(plugins).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// The plugins, in ascending order.
    pub(crate) fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    /// Drops instances that nobody asked for a while.
    pub(crate) fn sweep(&self, now: Instant) {
        self.plugins.iter().for_each(|plugin| plugin.sweep(now));
    }

    /// The plugins and their numbers.
    pub(crate) fn status(&self) -> HostStatus {
        let plugins = self.plugins.iter().map(|plugin| plugin.status()).collect();
        HostStatus { generation: self.number, plugins, ..HostStatus::default() }
    }

    /// A plugin that changes something, for the log.
    fn by<'a>(&self, plugin: &'a Plugin, session: &'a SessionFacts) -> By<'a> {
        By { plugin, generation: self.number, session }
    }

    /// Which of the plugins is the first that wants to see the command.
    fn first_asked(&self, session: &SessionFacts, command: &Command) -> Option<usize> {
        let is_wanted = self.command_interest.contains(command.verb());
        let wants = |plugin: &Arc<Plugin>| plugin.wants_command(session, command);
        if is_wanted { self.plugins.iter().position(wants) } else { None }
    }

    /// What the plugins want done with a command, of which those before the `first` need not be asked.
    async fn decide(
        &self,
        first: usize,
        session: &Arc<SessionFacts>,
        command: &Command,
    ) -> CommandVerdict {
        let mut rewritten: Option<(Command, Arc<str>)> = None;
        for (place, plugin) in self.plugins.iter().enumerate().skip(first) {
            let command = rewritten.as_ref().map_or(command, |(command, _)| command);
            if place > first && !plugin.wants_command(session, command) {
                continue;
            }
            let verdict = command::ask(plugin, self.number, session, command).await;
            if !matches!(verdict, Verdict::Pass) && plugin.only_would() {
                self.by(plugin, session).would_have_decided(command, &verdict);
                continue;
            }
            // Only who does something is named: the count of a name's users travels between
            // processors.
            let name = || Arc::clone(&plugin.name);
            match verdict {
                Verdict::Pass => {}
                Verdict::Rewrite(new) => {
                    self.by(plugin, session).rewrote(command, &new);
                    rewritten = Some((new, name()));
                }
                Verdict::Answer(reply) => return CommandVerdict::Answer { reply, plugin: name() },
                Verdict::Close(reply) => return CommandVerdict::Close { reply, plugin: name() },
                Verdict::Undecided(reply) => {
                    return CommandVerdict::Undecided { reply, plugin: name() };
                }
            }
        }
        match rewritten {
            Some((command, plugin)) => CommandVerdict::Rewrite { command, plugin },
            None => CommandVerdict::Pass,
        }
    }

    async fn reword(
        &self,
        session: &Arc<SessionFacts>,
        command: Option<&Command>,
        mut reply: Reply,
    ) -> ReplyVerdict {
        let mut changed_by = None;
        for plugin in self.plugins.iter().rev() {
            if !plugin.wants_reply(command, &reply) {
                continue;
            }
            if let Some(new) = reply::ask(plugin, self.number, session, command, &reply).await {
                if plugin.only_would() {
                    self.by(plugin, session).would_have_reworded(command, &reply, &new);
                    continue;
                }
                self.by(plugin, session).reworded(&reply, &new);
                reply = new;
                changed_by = Some(Arc::clone(&plugin.name));
            }
        }
        ReplyVerdict { reply, plugin: changed_by }
    }
}

/// A reply on one line.
fn shown(reply: &Reply) -> String {
    let mut octets = Vec::new();
    reply.encode(&mut octets);
    String::from_utf8_lossy(&octets).trim_end().replace("\r\n", "; ")
}

impl Site {
    fn of(plugins: &[Arc<Plugin>]) -> Site {
        let mut site = Site::default();
        for plugin in plugins.iter().filter(|plugin| plugin.artifact.has(Hook::SiteCommand)) {
            site.features.extend(plugin.interest.features.iter().cloned());
            for command in &plugin.interest.site {
                site.commands.push(command.clone());
                site.owners.push(Arc::clone(plugin));
            }
        }
        site
    }
}

impl SiteCommands for Generation {
    fn commands(&self) -> &[SiteCommand] {
        &self.site.commands
    }

    fn features(&self) -> &[String] {
        &self.site.features
    }

    fn run<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        name: &'a str,
        argument: Option<&'a [u8]>,
    ) -> BoxFuture<'a, SiteAnswer> {
        let place = self.site.commands.iter().position(|command| command.name == name);
        let owner = place.and_then(|place| self.site.owners.get(place));
        match owner {
            Some(plugin) => Box::pin(site::run(plugin, self.number, session, name, argument)),
            None => Box::pin(std::future::ready(SiteAnswer {
                reply: Reply::new(Code::NOT_IMPLEMENTED, format!("{name} is not implemented.")),
                plugin: Arc::from(""),
                is_decided: false,
            })),
        }
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.plugins.iter().map(|plugin| &plugin.name);
        write!(f, "Generation({}, ", self.number)?;
        f.debug_list().entries(names).finish()?;
        f.write_str(")")
    }
}
