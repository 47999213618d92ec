//! One plugin in force: a component with settings, its instances, its breaker and its numbers.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use waft_core::SessionId;
use waft_core::storage::Abilities;
use waft_proto::{Command, Reply};

mod pinned;

use crate::artifact::Artifact;
use crate::bindings::exports::waft::plugin::lifecycle;
use crate::breaker::Breaker;
use crate::budget::Budget;
use crate::capability::log::{Gate, cleaned, shortened};
use crate::engine::Sandbox;
use crate::errors::{Failure, Refusal, one_line};
use crate::guest::{Caller, Identity, Warm};
use crate::hook::Hook;
use crate::inspect::Descriptor;
use crate::interest::Interest;
use crate::lent::Services;
use crate::limits;
use crate::load::blocking;
use crate::pool::{Lease, Pool};
use crate::services::{Share, Stock};
use crate::settings::{OnError, PluginSettings};
use crate::status::{Counts, PluginStatus};
use crate::storage;

pub(crate) use pinned::Pinned;

/// One plugin in force.
pub(crate) struct Plugin {
    pub(crate) name: Arc<str>,
    pub(crate) file: PathBuf,
    pub(crate) settings: PluginSettings,
    pub(crate) artifact: Arc<Artifact>,
    pub(crate) interest: Interest,
    pub(crate) descriptor: Descriptor,
    /// What the storage that it exports can do.
    pub(crate) abilities: Abilities,
    /// The generation that it came with.
    since: u64,
    pool: Pool,
    breaker: Mutex<Breaker>,
    counters: Counters,
    /// For lines about its failures.
    complaints: Gate,
    identity: Arc<Identity>,
}

#[derive(Default)]
struct Counters {
    calls: AtomicU64,
    traps: AtomicU64,
    timeouts: AtomicU64,
    bad_verdicts: AtomicU64,
    not_made: AtomicU64,
    time_ns: AtomicU64,
}

/// A call in progress.
pub(crate) struct Call<'a> {
    pub(crate) plugin: &'a Plugin,
    pub(crate) caller: Caller,
    session: Option<SessionId>,
    began: Instant,
}

impl Plugin {
    /// Starts a component with settings: an instance is made, describes itself and prepares.
    ///
    /// # Errors
    /// It cannot, or it says no.
    pub(crate) async fn start(
        sandbox: &'static Sandbox,
        artifact: Arc<Artifact>,
        settings: PluginSettings,
        file: PathBuf,
        generation: u64,
        stock: &Arc<Stock>,
        budget: &Arc<Budget>,
    ) -> Result<Plugin, Refusal> {
        if artifact.has(Hook::Authenticator) && settings.on_error == OnError::Allow {
            return Err(Refusal::AllowsLogins);
        }
        if let Some(refusal) = artifact.outline.unwanted(&settings) {
            return Err(refusal);
        }
        let identity = Arc::new(identity(&settings, share(stock, &settings).await?));
        let mut first = Warm::new(sandbox, &artifact, Arc::clone(&identity), generation)
            .await
            .map_err(|failure| Refusal::Start(one_line(&failure.to_string())))?;
        let described = describe(&mut first).await?;
        let interest =
            Interest::read(&described).map_err(|mistake| Refusal::Describe(one_line(&mistake)))?;
        tell_what_is_unheard(&identity.name, &artifact, &described);
        for grant in artifact.outline.idle_grants(&settings.grants) {
            tracing::warn!(plugin = &*identity.name, %grant, "plugin is granted what it does not import");
        }
        let said = first.init().await;
        let said = said.map_err(|failure| Refusal::Init(one_line(&failure.to_string())))?;
        said.map_err(|reason| {
            Refusal::Init(one_line(&shortened(&reason, limits::INIT_ERROR_BYTES_MAX)))
        })?;
        let abilities = storage::abilities(&mut first, &artifact, generation).await?;
        let (own, budget) = (Arc::clone(&identity), Arc::clone(budget));
        Ok(Plugin {
            name: Arc::clone(&identity.name),
            abilities,
            file,
            descriptor: Descriptor::new(&described, &interest),
            interest,
            since: generation,
            pool: Pool::new(sandbox, Arc::clone(&artifact), own, budget, first),
            breaker: Mutex::new(Breaker::new()),
            counters: Counters::default(),
            complaints: Gate::new(limits::COMPLAINTS_MAX),
            settings,
            artifact,
            identity,
        })
    }

    /// Whether it decides about commands of that verb.
    pub(crate) fn wants_command(&self, command: &Command) -> bool {
        self.artifact.has(Hook::CommandFilter)
            && self.interest.commands.contains(Some(command.name()))
    }

    /// Whether it rewords replies of that code to that command.
    pub(crate) fn wants_reply(&self, command: Option<&Command>, reply: &Reply) -> bool {
        self.artifact.has(Hook::ReplyFilter)
            && self.interest.wants_code(reply.code())
            && self.interest.replies.contains(command.map(Command::name))
    }

    /// What becomes of a command that the plugin failed on.
    pub(crate) fn on_error(&self) -> OnError {
        self.settings.on_error
    }

    /// What other parts do for it.
    pub(crate) fn services(&self) -> &Services {
        &self.identity.services
    }

    /// Begins a call: takes an instance out, if the plugin is in a state to be asked.
    pub(crate) async fn begin(
        &self,
        caller: Caller,
        session: Option<SessionId>,
    ) -> (Call<'_>, Result<Lease, Failure>) {
        let call = Call { plugin: self, caller, session, began: Instant::now() };
        if self.breaker().is_open(call.began) {
            return (call, Err(Failure::BreakerOpen));
        }
        self.counters.calls.fetch_add(1, Ordering::Relaxed);
        let lease = self.pool.take(caller.generation).await;
        (call, lease)
    }

    /// As [`begin`](Plugin::begin), for a transfer that keeps the instance.
    pub(crate) async fn begin_transfer(
        &self,
        caller: Caller,
        session: Option<SessionId>,
    ) -> (Call<'_>, Result<Lease, Failure>) {
        let call = Call { plugin: self, caller, session, began: Instant::now() };
        if self.breaker().is_open(call.began) {
            return (call, Err(Failure::BreakerOpen));
        }
        self.counters.calls.fetch_add(1, Ordering::Relaxed);
        let lease = self.pool.pin(caller.generation).await;
        (call, lease)
    }

    /// Begins a further call of an instance that was taken out before.
    pub(crate) fn begin_further(&self, caller: Caller, session: Option<SessionId>) -> Call<'_> {
        self.counters.calls.fetch_add(1, Ordering::Relaxed);
        Call { plugin: self, caller, session, began: Instant::now() }
    }

    /// Drops instances that nobody asked for a while.
    pub(crate) fn sweep(&self, now: Instant) {
        self.pool.sweep(now);
    }

    /// Its numbers.
    pub(crate) fn status(&self) -> PluginStatus {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PluginStatus {
            name: self.name.to_string(),
            file: self.file.clone(),
            sha256: self.artifact.digest.to_string(),
            since_generation: self.since,
            component: format!("{} {}", self.descriptor.name, self.descriptor.version),
            hooks: self.artifact.outline.served_hooks(),
            instances_idle: self.pool.idle_count(),
            breaker_open: self.breaker().is_open(Instant::now()),
            counts: Counts {
                calls: get(&self.counters.calls),
                traps: get(&self.counters.traps),
                timeouts: get(&self.counters.timeouts),
                bad_verdicts: get(&self.counters.bad_verdicts),
                not_made: get(&self.counters.not_made),
                time: Duration::from_nanos(get(&self.counters.time_ns)),
                log_lines_dropped: self.identity.log.dropped(),
                metrics_dropped: self.identity.share.metrics.dropped(),
                http_requests: self.identity.share.http.as_ref().map_or(0, |gate| gate.counts().0),
                http_denied: self.identity.share.http.as_ref().map_or(0, |gate| gate.counts().1),
                kv_bytes: self.identity.share.kv.as_ref().map_or(0, |store| store.bytes()),
            },
            events: None,
        }
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, failure: &Failure) {
        let counter = match failure {
            Failure::Trap(_) | Failure::Memory { .. } => &self.counters.traps,
            Failure::Cpu(_) | Failure::Wall(_) => &self.counters.timeouts,
            Failure::Verdict(_) => &self.counters.bad_verdicts,
            Failure::Busy(_)
            | Failure::NoRoom(_)
            | Failure::Gone
            | Failure::Start(_)
            | Failure::BreakerOpen => &self.counters.not_made,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Call<'_> {
    /// Ends the call: an instance whose verdict can be carried out goes back, any other is gone.
    ///
    /// # Errors
    /// The failure, counted and logged.
    pub(crate) fn end<T>(self, lease: Lease, verdict: Result<T, Failure>) -> Result<T, Failure> {
        let plugin = self.plugin;
        let (verdict, lease) = self.keep(lease, verdict)?;
        plugin.pool.put_back(lease);
        Ok(verdict)
    }

    /// Ends the call, and gives the instance back to a transfer that goes on.
    ///
    /// # Errors
    /// As [`end`](Call::end).
    pub(crate) fn keep<T>(
        self,
        lease: Lease,
        verdict: Result<T, Failure>,
    ) -> Result<(T, Lease), Failure> {
        match verdict {
            Ok(verdict) => {
                self.plugin.breaker().succeeded(Instant::now());
                self.note_time();
                Ok((verdict, lease))
            }
            Err(failure) => {
                drop(lease);
                Err(self.failed(failure))
            }
        }
    }

    /// Counts and logs a failure.
    pub(crate) fn failed(self, failure: Failure) -> Failure {
        let plugin = self.plugin;
        plugin.count(&failure);
        self.note_time();
        match failure {
            Failure::BreakerOpen | Failure::Gone => return failure,
            // Not the plugin's fault: there were too many calls.
            Failure::Busy(_) | Failure::NoRoom(_) => {}
            _ => self.trip_breaker(),
        }
        if let Some(untold) = plugin.complaints.pass(Instant::now()) {
            tracing::warn!(
                plugin = &*plugin.name,
                generation = self.caller.generation,
                session = self.session.map(|session| session.0),
                hook = self.caller.hook.name(),
                reason = cleaned(&failure.to_string()),
                untold = (untold > 0).then_some(untold),
                "plugin failed"
            );
        }
        failure
    }

    fn trip_breaker(&self) {
        let opened = self.plugin.breaker().failed(Instant::now());
        if let Some(pause) = opened {
            tracing::error!(
                plugin = &*self.plugin.name,
                generation = self.caller.generation,
                pause_s = pause.as_secs(),
                "plugin failed too often, not asked for a while"
            );
        }
    }

    fn note_time(&self) {
        let elapsed = self.began.elapsed();
        let ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.plugin.counters.time_ns.fetch_add(ns, Ordering::Relaxed);
        tracing::debug!(
            plugin = &*self.plugin.name,
            generation = self.caller.generation,
            session = self.session.map(|session| session.0),
            hook = self.caller.hook.name(),
            elapsed_us = ns / 1000,
            "plugin called"
        );
    }
}

/// What it says of itself for hooks that it does not have is not lost silently.
fn tell_what_is_unheard(plugin: &str, artifact: &Artifact, said: &lifecycle::Descriptor) {
    let has_timers = said.extra.iter().any(|(key, _)| key.starts_with("timer."));
    let wants = [
        ("site", !said.site.is_empty(), Hook::SiteCommand),
        ("events", !said.events.is_empty(), Hook::EventSink),
        ("timer", has_timers, Hook::Timer),
    ];
    for (what, wanted, hook) in wants {
        if wanted && !artifact.has(hook) {
            let hook = hook.name();
            tracing::warn!(plugin, what, hook, "plugin describes what it has no hook for");
        }
    }
}

/// Asks a new instance what it is, within bounds.
///
/// # Errors
/// It cannot say.
pub(crate) async fn describe(warm: &mut Warm) -> Result<lifecycle::Descriptor, Refusal> {
    let described = warm.describe().await;
    described.map_err(|failure| Refusal::Describe(one_line(&failure.to_string())))
}

/// What a plugin of these settings has of the services.
///
/// # Errors
/// It cannot have it.
async fn share(stock: &Arc<Stock>, settings: &PluginSettings) -> Result<Share, Refusal> {
    let (stock, settings) = (Arc::clone(stock), settings.clone());
    let share = blocking(move || stock.share(&settings)).await;
    share.unwrap_or_else(|| Err(Refusal::Start("the server ends".to_owned())))
}

/// Who a plugin of these settings is.
pub(crate) fn identity(settings: &PluginSettings, share: Share) -> Identity {
    Identity {
        name: settings.name.as_str().into(),
        config: settings.config.iter().cloned().collect(),
        secrets: settings.grants.secrets.iter().cloned().collect(),
        limits: settings.limits.clone(),
        log: Gate::new(settings.limits.log_lines),
        services: share.lent.clone(),
        share,
    }
}
