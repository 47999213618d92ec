//! One plugin in force: a component with settings, its instances, its breaker and its numbers.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use waft_core::storage::Abilities;
use waft_core::{SessionFacts, SessionId};
use waft_proto::{Command, Reply, VerbSet};

mod pinned;
mod whole;

use crate::artifact::{Artifact, Digest};
use crate::bindings::exports::waft::plugin::lifecycle;
use crate::breaker::Breaker;
use crate::budget::Budget;
use crate::capability::log::{Gate, cleaned, shortened};
use crate::engine::Sandbox;
use crate::errors::{Failure, Refusal, lines, one_line};
use crate::guest::{Caller, Identity, Warm};
use crate::hook::{COUNT, Hook};
use crate::inspect::Descriptor;
use crate::interest::Interest;
use crate::lent::Services;
use crate::limits;
use crate::load::blocking;
use crate::memo::{Basis, Memo};
use crate::meter::{HookCounts, Meters};
use crate::news;
use crate::onlooker::{Called, Told};
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::pool::{Lease, Pool, Turn};
use crate::probation::Probation;
use crate::service::Grant;
use crate::services::{Share, Stock};
use crate::settings::{Isolation, OnError, PluginSettings};
use crate::status::{Counts, DrainingPlugin, LastError, PluginStatus, State};
use crate::storage;
use crate::version::{Mark, Version};

use pinned::Place;
pub(crate) use pinned::{Pinned, Said, pieces};

/// Hooks whose answers somebody waits for: there is nothing to do instead.
const OPEN_HOOKS: [Hook; 4] =
    [Hook::Authenticator, Hook::ContentFilter, Hook::Storage, Hook::SiteCommand];

/// One plugin in force.
pub(crate) struct Plugin {
    pub(crate) name: Arc<str>,
    pub(crate) file: PathBuf,
    pub(crate) settings: Arc<PluginSettings>,
    pub(crate) artifact: Arc<Artifact>,
    /// What tells its version from others.
    pub(crate) mark: Mark,
    pub(crate) interest: Interest,
    pub(crate) descriptor: Descriptor,
    /// What the storage that it exports can do.
    pub(crate) abilities: Abilities,
    /// The generation that it came with.
    since: AtomicU64,
    /// How often it would have done something, had it not only been listened to.
    differed: AtomicU64,
    pool: Pool,
    breaker: Breaker,
    /// Of each hook, in the order of the table of hooks.
    paces: [Pace; COUNT],
    memo: Memo,
    meters: Meters,
    last_error: Mutex<Option<LastError>>,
    /// Set where it took the place of another version.
    pub(crate) probation: OnceLock<Probation>,
    /// Where others hear of what goes wrong.
    pub(crate) outbox: OnceLock<Weak<Outbox>>,
    loaded: SystemTime,
    /// For lines about its failures.
    complaints: Gate,
    /// For lines about its slowness, which leave those about its failures their room.
    slow: Gate,
    /// Transfers from and to its storage.
    transfers: Mutex<Vec<(SessionId, Weak<Place>)>>,
    identity: Arc<Identity>,
}

/// A call in progress. Dropped before it has ended, it was given up: nobody waits for it any more.
pub(crate) struct Call<'a> {
    pub(crate) plugin: &'a Plugin,
    pub(crate) caller: Caller,
    session: Option<SessionId>,
    began: Instant,
    /// When there was an instance for it.
    asked: Option<Instant>,
    has_ended: bool,
    /// What it is about, where somebody wants to know.
    about: Option<Box<str>>,
}

impl Plugin {
    /// Starts a component with settings: an instance is made, describes itself and prepares.
    ///
    /// # Errors
    /// It cannot, or it says no.
    pub(crate) async fn start(
        sandbox: &'static Sandbox,
        artifact: Arc<Artifact>,
        settings: Arc<PluginSettings>,
        file: PathBuf,
        generation: u64,
        stock: &Arc<Stock>,
        budget: &Arc<Budget>,
    ) -> Result<Plugin, Refusal> {
        pinned_to(&settings, artifact.digest)?;
        let in_the_way = OPEN_HOOKS.iter().find(|hook| artifact.has(**hook));
        if let (true, Some(hook)) = (settings.shadow, in_the_way) {
            return Err(Refusal::NotForShadow { hook: hook.name() });
        }
        let on_login = settings.on_error(Hook::Authenticator);
        if artifact.has(Hook::Authenticator) && on_login == OnError::Allow {
            return Err(Refusal::AllowsLogins);
        }
        if let Some(refusal) = artifact.outline.unwanted(&settings) {
            return Err(refusal);
        }
        if settings.holds_files && !artifact.has(Hook::Storage) {
            return Err(Refusal::NoStorage);
        }
        if let Some(refusal) = unshareable(&artifact, &settings) {
            return Err(refusal);
        }
        let identity = Arc::new(identity(&settings, share(stock, &settings).await?));
        let reservation = artifact.reserve(sandbox, &settings).await?;
        let mut first = Warm::new(&reservation, &artifact, Arc::clone(&identity), generation, None)
            .await
            .map_err(not_started)?;
        let described = describe(&mut first).await?;
        let interest =
            Interest::read(&described).map_err(|mistake| Refusal::Describe(one_line(&mistake)))?;
        tell_what_is_unheard(&identity.name, &artifact, &described);
        for grant in artifact.outline.idle_grants(&settings.grants) {
            tracing::warn!(plugin = &*identity.name, %grant, "plugin is granted what it does not use");
        }
        let said = first.init().await;
        let said = said.map_err(|failure| broken(&failure, Refusal::Init))?;
        said.map_err(|reason| {
            Refusal::SaidNo(lines(&shortened(&reason, limits::INIT_ERROR_BYTES_MAX)))
        })?;
        let abilities = storage::abilities(&mut first, &artifact, generation).await?;
        let (own, budget) = (Arc::clone(&identity), Arc::clone(budget));
        Ok(Plugin {
            name: Arc::clone(&identity.name),
            abilities,
            file,
            descriptor: Descriptor::new(&described, &interest),
            interest,
            since: AtomicU64::new(generation),
            differed: AtomicU64::new(0),
            pool: Pool::new(
                reservation,
                Arc::clone(&artifact),
                own,
                settings.isolation,
                settings.share,
                budget,
                first,
            ),
            breaker: Breaker::default(),
            paces: Default::default(),
            memo: Memo::new(settings.limits.remembered_commands),
            meters: Meters::default(),
            last_error: Mutex::default(),
            probation: OnceLock::new(),
            outbox: OnceLock::new(),
            loaded: SystemTime::now(),
            complaints: Gate::new(limits::COMPLAINTS_MAX),
            slow: Gate::new(limits::COMPLAINTS_MAX),
            transfers: Mutex::default(),
            mark: Mark::of(artifact.digest, &settings),
            settings,
            artifact,
            identity,
        })
    }

    /// Whether it decides about commands of that verb in that session.
    pub(crate) fn wants_command(&self, session: &SessionFacts, command: &Command) -> bool {
        let is_skipped = |verb| session.skips.contains(self.identity.version, verb);
        self.artifact.has(Hook::CommandFilter)
            && !command.verb().is_some_and(is_skipped)
            && self.interest.wants_command(command)
            && !self.is_known_to_pass(session, command)
    }

    /// Whether it would let the command pass as it did in a session that was alike.
    fn is_known_to_pass(&self, session: &SessionFacts, command: &Command) -> bool {
        if !self.may_remember(command) {
            return false;
        }
        let Some(skips) = self.memo.passes(session, command) else { return false };
        if skips != VerbSet::EMPTY {
            session.skips.add(self.identity.version, skips);
        }
        true
    }

    /// Whether what it says about the command may be remembered. Whoever looks on or has calls fail wants
    /// every call made; and an instance that a session has to itself may know more of it than it asks.
    pub(crate) fn may_remember(&self, command: &Command) -> bool {
        let services = self.services();
        self.interest.pure.contains(Some(command.name()))
            && self.memo.may_keep(command)
            && self.settings.isolation != Isolation::Session
            && services.onlooker.is_none()
            && services.stand_ins.is_none()
    }

    /// Remembers that it lets the command pass in sessions of which this is true.
    pub(crate) fn remember(&self, session: &SessionFacts, command: &Command, basis: Basis) {
        if self.memo.note(command, basis) {
            tracing::debug!(
                plugin = &*self.name,
                session = session.id.0,
                verb = command.name().as_str(),
                "plugin is not asked again about such commands"
            );
        }
    }

    /// Whether what it says about commands may take a while, as it did lately.
    pub(crate) fn may_take_long(&self) -> bool {
        self.pace(Hook::CommandFilter).is_slow()
    }

    /// Whether a call of that hook waits for nothing and will be over at once, going by the last ones.
    pub(crate) fn is_quick(&self, hook: Hook) -> bool {
        !self.artifact.may_wait && self.pace(hook).is_quick()
    }

    #[expect(clippy::indexing_slicing, reason = "there is one for each")]
    fn pace(&self, hook: Hook) -> &Pace {
        &self.paces[hook as usize]
    }

    /// Whether it rewords replies of that code to that command.
    pub(crate) fn wants_reply(&self, command: Option<&Command>, reply: &Reply) -> bool {
        self.artifact.has(Hook::ReplyFilter)
            && self.interest.wants_code(reply.code())
            && self.interest.replies.contains(command.map(Command::name))
    }

    /// Whether it is only listened to; counts that it would have done something.
    pub(crate) fn only_would(&self) -> bool {
        if self.settings.shadow {
            self.differed.fetch_add(1, Ordering::Relaxed);
        }
        self.settings.shadow
    }

    /// What a failure counts as. What a client may have brought about lets nothing pass: clients
    /// would get by a plugin with it.
    pub(crate) fn policy(&self, hook: Hook, failure: &Failure) -> OnError {
        if failure.is_of_a_client() { OnError::Deny } else { self.settings.on_error(hook) }
    }

    /// Has the services go by its grants: it is in force from now on.
    pub(crate) fn take_share(&self, stock: &Stock) {
        stock.take(&self.settings, &self.identity.share);
    }

    /// The keys of the grants that it has no use for.
    fn idle_grants(&self) -> Vec<&'static str> {
        let idle = self.artifact.outline.idle_grants(&self.settings.grants);
        idle.into_iter().map(Grant::name).collect()
    }

    /// What other parts do for it.
    pub(crate) fn services(&self) -> &Services {
        &self.identity.services
    }

    /// Begins a call: takes an instance out, if the plugin is in a state to be asked.
    async fn begin(
        &self,
        caller: Caller,
        session: Option<&Arc<SessionFacts>>,
    ) -> (Call<'_>, Result<Lease, Failure>) {
        let lease = self.pool.take(caller.generation, session);
        self.begin_with(caller, session.map(|session| session.id), lease).await
    }

    /// As [`begin`](Plugin::begin), for a transfer that keeps the instance, or a seat at it.
    pub(crate) async fn begin_transfer(
        &self,
        caller: Caller,
        session: Option<SessionId>,
    ) -> (Call<'_>, Result<(Lease, Turn), Failure>) {
        self.begin_with(caller, session, self.pool.join(caller.generation)).await
    }

    /// Begins a call with the instance that `lease` brings; it is not asked for one in vain.
    async fn begin_with<L>(
        &self,
        caller: Caller,
        session: Option<SessionId>,
        lease: impl Future<Output = Result<L, Failure>>,
    ) -> (Call<'_>, Result<L, Failure>) {
        let mut call = Call::new(self, caller, session);
        if self.breaker.is_open(call.began) {
            return (call, Err(Failure::BreakerOpen));
        }
        self.meters.began(caller.hook);
        let mut lease = pin!(lease);
        let mut has_waited = false;
        let lease = poll_fn(|context| {
            let polled = lease.as_mut().poll(context);
            has_waited |= polled.is_pending();
            polled
        });
        let lease = lease.await;
        let asked = if has_waited { Instant::now() } else { call.began };
        call.asked = lease.is_ok().then_some(asked);
        (call, lease)
    }

    /// Begins a further call of an instance that was taken out before.
    pub(crate) fn begin_further(&self, caller: Caller, session: Option<SessionId>) -> Call<'_> {
        self.meters.began(caller.hook);
        let mut call = Call::new(self, caller, session);
        call.asked = Some(call.began);
        call
    }

    /// Octets of memory that the instances of as many sessions take as it may have; none where
    /// sessions have no instances of their own.
    pub(crate) fn memory_of_sessions(&self) -> u64 {
        match self.settings.isolation {
            Isolation::Session => self.memory_of(self.settings.limits.sessions_max),
            Isolation::Pool | Isolation::Call => 0,
        }
    }

    /// Octets of memory of the instances that it keeps, when they are new.
    pub(crate) fn memory_kept(&self) -> u64 {
        self.memory_of(self.settings.limits.instances_min)
    }

    /// Octets of memory of so many instances, when they are new.
    fn memory_of(&self, instances: usize) -> u64 {
        (self.pool.size_at_first() as u64).saturating_mul(instances as u64)
    }

    /// Octets of memory of all its instances.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.identity.tally.now().1
    }

    /// Drops instances that nobody asked for a while.
    pub(crate) fn sweep(&self, now: Instant) {
        self.pool.sweep(now);
    }

    /// Has none of its instances rest any more: it is not in force, and will not be again.
    pub(crate) fn retire(&self) {
        self.pool.retire();
    }

    /// Its numbers.
    pub(crate) fn status(&self) -> PluginStatus {
        let calls = self.meters.counts();
        let sum = HookCounts::sum(&calls);
        let breaker_open = self.breaker.is_open(Instant::now());
        let (instances, memory) = self.identity.tally.now();
        let instances_idle = self.pool.idle_count();
        let (wait_time, wait_buckets) = self.pool.waits();
        let http = self.identity.share.http.as_ref();
        let http = http.map(|gate| gate.counts()).unwrap_or_default();
        PluginStatus {
            state: match (breaker_open, self.settings.shadow) {
                (true, _) => State::Broken,
                (false, true) => State::Shadow,
                (false, false) => State::Active,
            },
            loaded: self.loaded,
            instances_busy: instances.saturating_sub(instances_idle),
            memory_bytes: memory,
            p50: sum.quantile(0.5),
            p99: sum.quantile(0.99),
            wait_time,
            wait_buckets,
            last_error: self.last_error().clone(),
            trouble: None,
            remedy: None,
            name: self.name.to_string(),
            file: self.file.clone(),
            settings: self.settings.written.clone(),
            sha256: self.mark.component.to_string(),
            config_sha256: self.mark.config.to_string(),
            since_generation: self.since(),
            component: format!("{} {}", self.descriptor.name, self.descriptor.version),
            hooks: self.artifact.outline.hooks(),
            idle_grants: self.idle_grants(),
            concerns: Vec::new(),
            instances_idle,
            instances_pinned: self.pool.pinned_count(),
            breaker_open,
            shadow: self.settings.shadow,
            differed: self.differed.load(Ordering::Relaxed),
            remembered_commands: self.memo.len(),
            counts: Counts {
                calls: sum.calls,
                traps: sum.traps,
                timeouts: sum.timeouts,
                bad_verdicts: sum.bad_verdicts,
                not_made: sum.not_made,
                given_up: sum.given_up,
                time: sum.time,
                log_lines_dropped: self.identity.log.dropped(),
                metrics_dropped: self.identity.share.metrics.dropped(),
                cpu_ticks: self.identity.tally.ticks(),
                http_requests: http.requests,
                http_ok: http.ok,
                http_denied: http.denied,
                http_timeouts: http.timeouts,
                http_too_large: http.too_large,
                http_failed: http.failed,
                kv_bytes: self.identity.share.kv.as_ref().map_or(0, |store| store.bytes()),
                kv_bytes_max: self.settings.grants.kv.map_or(0, |grant| grant.bytes),
            },
            calls_by_hook: calls,
            events: None,
        }
    }

    /// The version that it is.
    pub(crate) fn version(&self) -> Version {
        Version::new(Arc::clone(&self.artifact), self.mark, &self.settings)
    }

    /// The generation that it came with.
    pub(crate) fn since(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }

    /// Notes that it serves from that generation on, be it all sessions or a share of them.
    pub(crate) fn serve_since(&self, generation: u64) {
        self.since.store(generation, Ordering::Relaxed);
    }

    /// Notes a transfer from or to its storage, so that it can be [ended](Plugin::end_apart).
    fn note_transfer(&self, session: SessionId, place: &Arc<Place>) {
        let mut transfers = self.transfers.lock().unwrap_or_else(PoisonError::into_inner);
        transfers.retain(|(_, place)| place.strong_count() > 0);
        transfers.push((session, Arc::downgrade(place)));
    }

    /// Ends the transfers from and to its storage but those of the sessions `attended`, which end
    /// with their generation; tells how many that were. The others took the version that was in
    /// force when the file was opened, in sessions that go on with another one.
    pub(crate) fn end_apart(&self, attended: &BTreeSet<SessionId>) -> usize {
        self.apart(attended).iter().filter(|place| place.end()).count()
    }

    /// How many of them have not ended.
    pub(crate) fn count_apart(&self, attended: &BTreeSet<SessionId>) -> usize {
        self.apart(attended).iter().filter(|place| !place.has_ended()).count()
    }

    fn apart(&self, attended: &BTreeSet<SessionId>) -> Vec<Arc<Place>> {
        let transfers = self.transfers.lock().unwrap_or_else(PoisonError::into_inner);
        let apart = transfers.iter().filter(|(session, _)| !attended.contains(session));
        apart.filter_map(|(_, place)| place.upgrade()).collect()
    }

    /// Tells of it as an earlier version that something still uses.
    pub(crate) fn draining(&self) -> DrainingPlugin {
        DrainingPlugin {
            name: self.name.to_string(),
            state: State::Draining,
            sha256: self.mark.component.to_string(),
            config_sha256: self.mark.config.to_string(),
            since_generation: self.since(),
            instances: self.identity.tally.now().0,
            transfers: 0,
        }
    }

    fn last_error(&self) -> std::sync::MutexGuard<'_, Option<LastError>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Call<'a> {
    fn new(plugin: &'a Plugin, caller: Caller, session: Option<SessionId>) -> Call<'a> {
        let began = Instant::now();
        Call { plugin, caller, session, began, asked: None, has_ended: false, about: None }
    }

    /// Says what it is about, where somebody wants to know.
    pub(crate) fn about(mut self, about: impl FnOnce() -> String) -> Self {
        let watched = self.plugin.services().onlooker.is_some();
        self.about = watched.then(|| cleaned(&about()).into());
        self
    }

    /// Tells who looks on what came of it.
    fn tell(&self, outcome: impl FnOnce() -> String) {
        let Some(onlooker) = &self.plugin.services().onlooker else { return };
        onlooker.called(&Called {
            plugin: &self.plugin.name,
            session: self.session.map(|session| session.0),
            hook: self.caller.hook.name(),
            about: self.about.as_deref().unwrap_or_default().to_owned(),
            outcome: cleaned(&outcome()),
            elapsed: self.began.elapsed(),
        });
    }

    /// Ends the call: a sound instance goes back, any other is gone.
    ///
    /// # Errors
    /// The failure, counted and logged.
    pub(crate) fn end<T: Told>(
        self,
        lease: Lease,
        verdict: Result<T, Failure>,
    ) -> Result<T, Failure> {
        let plugin = self.plugin;
        let (verdict, lease) = self.keep(lease, verdict);
        if let Some(lease) = lease {
            plugin.pool.put_back(lease);
        }
        verdict
    }

    /// Ends the call, and gives a sound instance back to a transfer that goes on: one that gave a
    /// verdict, even if that does not fit.
    pub(crate) fn keep<T: Told>(
        mut self,
        lease: Lease,
        verdict: Result<T, Failure>,
    ) -> (Result<T, Failure>, Option<Lease>) {
        match verdict {
            Ok(verdict) => {
                self.has_ended = true;
                self.tell(|| verdict.told());
                // The time of the answer: asking the clock again costs more than it tells.
                let ended = lease.warm.rested;
                self.plugin.breaker.succeeded(ended);
                let elapsed = self.note_time(ended);
                self.plugin.pace(self.caller.hook).note(elapsed);
                self.note_if_slow(&lease);
                (Ok(verdict), Some(lease))
            }
            Err(failure) if failure.is_of_a_client() => (Err(self.failed(failure)), Some(lease)),
            Err(failure) => {
                drop(lease);
                (Err(self.failed(failure)), None)
            }
        }
    }

    /// Counts and logs a failure.
    pub(crate) fn failed(mut self, failure: Failure) -> Failure {
        self.note_failure(&failure);
        failure
    }

    fn note_failure(&mut self, failure: &Failure) {
        self.has_ended = true;
        let plugin = self.plugin;
        let hook = self.caller.hook;
        plugin.meters.failed(hook, failure);
        self.tell(|| format!("failed: {failure}"));
        if matches!(failure, Failure::BreakerOpen | Failure::Gone) {
            return;
        }
        plugin.pace(hook).break_off();
        self.note_time(Instant::now());
        let (reason, remedy) = (cleaned(&failure.to_string()), failure.remedy());
        // What the other transfer's call failed of tells more.
        if !matches!(failure, Failure::Lost) {
            let (at, hook) = (SystemTime::now(), hook.name());
            let (reason, remedy) = (reason.clone(), remedy.clone());
            *plugin.last_error() = Some(LastError { at, hook, reason, remedy });
        }
        match failure {
            // Not the plugin's fault: there were too many calls, or too little memory.
            Failure::Busy(_) | Failure::NoRoom(_) | Failure::Spent(_) => {}
            Failure::Starved(_) | Failure::Unmapped(_) => {}
            // That is counted already.
            Failure::Lost => {}
            failure if failure.is_of_a_client() => {}
            _ => self.trip_breaker(),
        }
        if let Some(untold) = plugin.complaints.pass(Instant::now()) {
            tracing::warn!(
                plugin = &*plugin.name,
                generation = self.caller.generation,
                session = self.session.map(|session| session.0),
                hook = hook.name(),
                reason = &*reason,
                remedy,
                untold = (untold > 0).then_some(untold),
                "plugin failed"
            );
            self.tell_failure(failure, &reason);
        }
    }

    /// Notes that nobody waits any more. That is no failure of a plugin that has not had its time:
    /// clients come and go. One that takes longer than they wait would never fail otherwise.
    fn note_given_up(&mut self) {
        let took = self.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
        let failure = Failure::GivenUp(took);
        let wall = self.plugin.settings.limits.budget(self.caller.hook).wall;
        if took > wall / 2 {
            self.note_failure(&failure);
        } else {
            self.plugin.meters.failed(self.caller.hook, &failure);
            if took > limits::QUICK_CALL {
                self.plugin.pace(self.caller.hook).break_off();
            }
            self.tell(|| failure.to_string());
            self.note_time(Instant::now());
        }
    }

    /// Has the other plugins hear of a call that broke.
    fn tell_failure(&self, failure: &Failure, reason: &str) {
        match failure {
            Failure::Trap(_) | Failure::Memory { .. } => {
                self.tell_others(news::TRAP, ("reason", reason));
            }
            Failure::Cpu(_) | Failure::Wall(_) => {
                self.tell_others(news::TIMEOUT, ("reason", reason));
            }
            _ => {}
        }
    }

    /// Has the other plugins hear of it. Not of those that broke on events: that would be another
    /// event for another one to break on.
    fn tell_others(&self, name: &str, fact: (&str, &str)) {
        let hook = self.caller.hook;
        let outbox = self.plugin.outbox.get().and_then(Weak::upgrade);
        if let Some(outbox) = outbox.filter(|_| hook != Hook::EventSink) {
            outbox.tell(name, &self.plugin.name, &[("hook", hook.name()), fact]);
        }
    }

    fn trip_breaker(&self) {
        let opened = self.plugin.breaker.failed(Instant::now());
        if let Some(pause) = opened {
            tracing::error!(
                plugin = &*self.plugin.name,
                generation = self.caller.generation,
                session = self.session.map(|session| session.0),
                hook = self.caller.hook.name(),
                pause_s = pause.as_secs(),
                "plugin failed too often, not asked for a while"
            );
            self.tell_others(news::BREAK, ("pause-ms", &pause.as_millis().to_string()));
            if let Some(probation) = self.plugin.probation.get() {
                probation.failed();
            }
        }
    }

    /// Tells of a call that took a good part of what it may, before one takes too much.
    fn note_if_slow(&self, lease: &Lease) {
        let (took, budget) = (lease.warm.took(), lease.warm.budget());
        if !budget.is_strained_by(took) {
            return;
        }
        let Some(untold) = self.plugin.slow.pass(Instant::now()) else { return };
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(
            plugin = &*self.plugin.name,
            generation = self.caller.generation,
            session = self.session.map(|session| session.0),
            hook = self.caller.hook.name(),
            wall_ms = milliseconds(took.wall),
            wall_max_ms = milliseconds(budget.wall),
            cpu_ms = milliseconds(took.cpu),
            cpu_max_ms = milliseconds(budget.cpu),
            untold = (untold > 0).then_some(untold),
            "plugin is slow"
        );
    }

    /// Notes how long it took, and tells it.
    fn note_time(&self, ended: Instant) -> Duration {
        let elapsed = ended.saturating_duration_since(self.began);
        self.plugin.meters.took(self.caller.hook, elapsed);
        tracing::debug!(
            plugin = &*self.plugin.name,
            generation = self.caller.generation,
            session = self.session.map(|session| session.0),
            hook = self.caller.hook.name(),
            elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            "plugin called"
        );
        elapsed
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.note_given_up();
        }
    }
}

/// Why a component has no instance at all.
pub(crate) fn not_started(failure: Failure) -> Refusal {
    match failure {
        Failure::Misfit(reason) => Refusal::Misfit(reason),
        other => broken(&other, Refusal::Start),
    }
}

/// Why it did not get through its first calls.
fn broken(failure: &Failure, refusal: fn(String) -> Refusal) -> Refusal {
    match failure {
        Failure::Memory { limit, .. } => Refusal::Memory { limit: *limit },
        Failure::Starved(reason) | Failure::Unmapped(reason) => Refusal::Unmapped(one_line(reason)),
        other => refusal(one_line(&other.to_string())),
    }
}

/// Checks that the operator wants the component of this digest and not another.
///
/// # Errors
/// Another one was named.
pub(crate) fn pinned_to(settings: &PluginSettings, digest: Digest) -> Result<(), Refusal> {
    let found = digest.to_string();
    match &settings.sha256 {
        Some(pinned) if !pinned.eq_ignore_ascii_case(&found) => {
            Err(Refusal::Pinned { pinned: pinned.clone(), found })
        }
        _ => Ok(()),
    }
}

/// Why transfers cannot share instances of it, where they should.
fn unshareable(artifact: &Artifact, settings: &PluginSettings) -> Option<Refusal> {
    if settings.share < 2 {
        return None;
    }
    if settings.isolation != Isolation::Pool {
        return Some(Refusal::SharesAlone);
    }
    if !artifact.has(Hook::ContentFilter) && !artifact.has(Hook::Storage) {
        let (plugin, share) = (&*settings.name, settings.share);
        tracing::warn!(plugin, share, "plugin has no transfers that could share an instance");
    }
    let imports = artifact.waiting.clone();
    (!imports.is_empty()).then_some(Refusal::SharesWaits { imports })
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
    described.map_err(|failure| broken(&failure, Refusal::Describe))
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
    static VERSIONS: AtomicU64 = AtomicU64::new(0);
    Identity {
        name: settings.name.as_str().into(),
        version: VERSIONS.fetch_add(1, Ordering::Relaxed),
        config: settings.config.iter().cloned().collect(),
        secrets: settings.grants.secrets.iter().cloned().collect(),
        is_trusted: settings.grants.passwords || !settings.grants.secrets.is_empty(),
        limits: settings.limits.clone(),
        log: Gate::new(settings.limits.log_lines),
        tally: Arc::default(),
        services: share.lent.clone(),
        share,
    }
}
