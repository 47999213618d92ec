//! One instance of a component: its store, its limits, and one call at a time.
//!
//! An instance is owned by whoever took it out of the pool, and one that failed is dropped with
//! its store: a trap poisons a store for good, and so does a call that was given up. Nobody
//! selects on a call and keeps the store.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use waft_core::{SessionFacts, SessionId, auth};
use waft_proto::VerbSet;
use wasmtime::component::{
    ComponentNamedList, Lift, Lower, Resource, ResourceTable, ResourceTableError, TypedFunc,
};
use wasmtime::{ResourceLimiter, Store, UpdateDeadline, WasmBacktrace, WasmCoreDump};
use wasmtime_wasi::WasiCtx;

use crate::artifact::{Artifact, Exports, Unfit};
use crate::bindings::exports::waft::plugin::lifecycle;
use crate::budget::Charge;
use crate::capability::console::Console;
use crate::capability::http::Http;
use crate::capability::keyvalue::Cursors;
use crate::capability::log::{About, Gate};
use crate::capability::sessions::Session;
use crate::capability::wasi;
use crate::engine::{LinkedEngine, Reservation, Sandbox};
use crate::errors::Failure;
use crate::hook::{Budget, Hook};
use crate::lent::Services;
use crate::limits;
use crate::memo::{Basis, Fact};
use crate::processor::{self, metered};
use crate::scarcity;
use crate::services::Share;
use crate::settings::{Limits, Secret};
use crate::stand_ins::Fault;

/// Whose instance it is and what it may have: shared by all instances of a plugin.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) name: Arc<str>,
    /// Which plugin of that name: every exchange, if only of settings, makes another.
    pub(crate) version: u64,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// Whether it is granted secrets or passwords.
    pub(crate) is_trusted: bool,
    pub(crate) limits: Limits,
    pub(crate) log: Gate,
    pub(crate) services: Services,
    pub(crate) share: Share,
    /// What all its instances have.
    pub(crate) tally: Arc<Tally>,
}

/// Instances of a plugin, resting or not, and their memory.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    instances: AtomicUsize,
    memory: AtomicUsize,
    /// Nanoseconds that they computed, as far as it was noticed.
    computed: AtomicU64,
}

impl Tally {
    /// How many instances there are, and the octets of their memory.
    pub(crate) fn now(&self) -> (usize, usize) {
        (self.instances.load(Ordering::Relaxed), self.memory.load(Ordering::Relaxed))
    }

    /// Ticks that all instances so far have computed for.
    pub(crate) fn ticks(&self) -> u64 {
        let computed = Duration::from_nanos(self.computed.load(Ordering::Relaxed));
        u64::try_from(computed.as_nanos() / limits::TICK.as_nanos()).unwrap_or(u64::MAX)
    }

    fn add(&self, computed: Duration) {
        let computed = u64::try_from(computed.as_nanos()).unwrap_or(u64::MAX);
        self.computed.fetch_add(computed, Ordering::Relaxed);
    }
}

/// What a store holds.
pub(crate) struct Guest {
    pub(crate) identity: Arc<Identity>,
    pub(crate) table: ResourceTable,
    /// What the call in progress is about.
    pub(crate) about: About,
    /// Whether grants are in force: not while it describes itself.
    pub(crate) granted: bool,
    pub(crate) wasi: WasiCtx,
    pub(crate) http: Http,
    pub(crate) cursors: Cursors,
    console: Arc<Console>,
    quota: Quota,
    /// What the call in progress may take.
    budget: Budget,
    /// When the call in progress must be over.
    pub(crate) deadline: Instant,
    /// The password that the client offers in the call in progress.
    pub(crate) offered: Option<auth::Secret>,
    /// What the call in progress has asked of its session, while somebody wants to know.
    basis: Option<Basis>,
    /// Whether it went by more than that, or did something.
    goes_by_more: AtomicBool,
    /// What the call in progress has computed since its first tick.
    computed: Duration,
    /// Whether that was more than it may be at the last tick.
    is_over: bool,
    /// Whether the call in progress stays on its thread until it ends.
    stays: bool,
}

impl Guest {
    /// Wants to know what the call in progress goes by.
    pub(crate) fn note_basis(&mut self) {
        self.basis = Some(Basis::default());
        *self.goes_by_more.get_mut() = false;
    }

    /// What it went by, if that is the session alone and may be true of others.
    pub(crate) fn take_basis(&mut self) -> Option<Basis> {
        self.basis.take().filter(|_| !*self.goes_by_more.get_mut())
    }

    /// It is told something of its session.
    pub(crate) fn note_fact(&mut self, fact: impl FnOnce() -> Fact) {
        if let Some(basis) = &mut self.basis
            && !basis.note(fact())
        {
            self.basis = None;
        }
    }

    /// It says that it need not be asked about these commands in its session.
    pub(crate) fn note_skipped(&mut self, verbs: VerbSet) {
        if let Some(basis) = &mut self.basis {
            basis.note_skipped(verbs);
        }
    }

    /// It goes by what is true at this time, or of this session alone; or it does something.
    pub(crate) fn note_more(&self) {
        self.goes_by_more.store(true, Ordering::Relaxed);
    }
}

/// An instance, ready for a call.
pub(crate) struct Warm {
    store: Store<Guest>,
    exports: Exports,
    /// Calls of hooks.
    calls: u64,
    /// Memory that it had once it was prepared.
    memory_at_first: usize,
    born: Instant,
    /// Its place among those for single calls, if it is one of them.
    pub(crate) slot: Option<OwnedSemaphorePermit>,
    /// When its last call ended.
    pub(crate) rested: Instant,
    /// Dropped last: its place is free once the store is gone.
    reservation: Arc<Reservation>,
}

/// Who makes a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) hook: Hook,
    /// The generation that makes it.
    pub(crate) generation: u64,
}

impl Warm {
    /// Makes an instance; neither `describe` nor `init` has been called. Without a `charge` its memory
    /// has no bound but its own.
    pub(crate) async fn new(
        reservation: &Arc<Reservation>,
        artifact: &Artifact,
        identity: Arc<Identity>,
        generation: u64,
        charge: Option<Charge>,
    ) -> Result<Warm, Failure> {
        let mut store = new_store(reservation.linked, identity);
        store.data_mut().quota.charge = charge;
        let budget = begin(&mut store, Caller { hook: Hook::Lifecycle, generation }, None);
        let until = store.data().deadline;
        let made = artifact.instantiate(reservation.linked, &mut store);
        let result = bounded(reservation.sandbox, budget, until, made).await?;
        let exports = result.map_err(|error| {
            keep_core(&mut store, &error);
            explain(&store, &error)
        })?;
        let now = Instant::now();
        Ok(Warm {
            reservation: Arc::clone(reservation),
            store,
            exports,
            calls: 0,
            memory_at_first: 0,
            born: now,
            slot: None,
            rested: now,
        })
    }

    /// Asks what it is.
    pub(crate) async fn describe(&mut self) -> Result<lifecycle::Descriptor, Failure> {
        let call = async |exports: &Exports, store: &mut Store<Guest>| {
            exports.lifecycle.call_describe(store).await
        };
        self.call(self.itself(), None, call).await
    }

    /// Lets it prepare itself; the inner error is the guest's own.
    pub(crate) async fn init(&mut self) -> Result<Result<(), String>, Failure> {
        self.store.data_mut().granted = true;
        let call = async |exports: &Exports, store: &mut Store<Guest>| {
            exports.lifecycle.call_init(store).await
        };
        let said = self.call(self.itself(), None, call).await;
        self.memory_at_first = self.store.data().quota.used;
        said
    }

    /// Makes one call of a hook about a session, which is lent to the guest meanwhile.
    ///
    /// # Errors
    /// The guest failed: the instance is of no use any more.
    pub(crate) async fn call_about<T>(
        &mut self,
        caller: Caller,
        session: &Arc<SessionFacts>,
        call: impl AsyncFnOnce(&Exports, &mut Store<Guest>, Resource<Session>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        let table = &mut self.store.data_mut().table;
        let lent = table.push(Session(Arc::clone(session))).map_err(host_trap)?;
        let borrowed = Resource::new_borrow(lent.rep());
        let call = async |exports: &Exports, store: &mut Store<Guest>| {
            call(exports, store, borrowed).await
        };
        // Two pieces of memory of less than a KiB, this one and what waits for it, are had much sooner
        // than one of more.
        let value = Box::pin(self.call(caller, Some(session.id), call)).await?;
        self.store.data_mut().table.delete(lent).map_err(host_trap)?;
        Ok(value)
    }

    /// Makes one call, within the budget of its hook.
    ///
    /// # Errors
    /// The guest failed: the instance is of no use any more.
    pub(crate) async fn call<T>(
        &mut self,
        caller: Caller,
        session: Option<SessionId>,
        call: impl AsyncFnOnce(&Exports, &mut Store<Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        let budget = begin(&mut self.store, caller, session);
        self.fail_on_demand(caller, budget)?;
        let guest = self.store.data();
        let (span, until) = (guest.about.span(&guest.identity.name), guest.deadline);
        let result = {
            // Pinned where it is: moving it costs as much as a good part of a call.
            let mut call = pin!(call(&self.exports, &mut self.store));
            let call = poll_fn(|context| span.in_scope(|| call.as_mut().poll(context)));
            bounded(self.reservation.sandbox, budget, until, call).await?
        };
        let value = result.map_err(|error| {
            keep_core(&mut self.store, &error);
            explain(&self.store, &error)
        })?;
        self.calls += u64::from(caller.hook != Hook::Lifecycle);
        let guest = self.store.data_mut();
        guest.about.session = None;
        guest.offered = None;
        self.rested = Instant::now();
        Ok(value)
    }

    /// What its last call took.
    pub(crate) fn took(&self) -> Budget {
        let guest = self.store.data();
        let began = guest.deadline - guest.budget.wall;
        Budget { cpu: guest.computed, wall: self.rested.saturating_duration_since(began) }
    }

    /// What its last call could have taken.
    pub(crate) fn budget(&self) -> Budget {
        self.store.data().budget
    }

    /// Fails where whoever tries the plugin wants it.
    fn fail_on_demand(&self, caller: Caller, budget: Budget) -> Result<(), Failure> {
        let Some(world) = &self.store.data().identity.services.stand_ins else { return Ok(()) };
        match world.fault(caller.hook.name()) {
            None => Ok(()),
            Some(Fault::Trap) => Err(Failure::Trap("a scenario wants it".to_owned())),
            Some(Fault::Timeout) => Err(Failure::Wall(budget.wall)),
        }
    }

    /// Octets of memory that it has.
    pub(crate) fn memory(&self) -> usize {
        self.store.data().quota.used
    }

    /// Has its memory be part of what all instances have.
    pub(crate) fn take_charge(&mut self, charge: Option<Charge>) {
        self.store.data_mut().quota.charge = charge;
    }

    fn itself(&self) -> Caller {
        Caller { hook: Hook::Lifecycle, generation: self.store.data().about.generation }
    }

    /// Whether it is better replaced than used again.
    pub(crate) fn is_worn(&self) -> bool {
        let limits = self.limits();
        self.calls >= limits.instance_calls
            || self.rested.duration_since(self.born) >= limits.instance_age
            || self.is_full()
    }

    /// Whether it has taken so much of the memory that it may have that little is left.
    pub(crate) fn is_full(&self) -> bool {
        let quota = &self.store.data().quota;
        self.has_grown() && quota.used / limits::MEMORY_KEPT_PERCENT >= quota.limit / 100
    }

    /// Whether it has taken memory since it was prepared.
    pub(crate) fn has_grown(&self) -> bool {
        self.memory() > self.memory_at_first
    }

    fn limits(&self) -> &Limits {
        &self.store.data().identity.limits
    }
}

fn new_store(linked: &LinkedEngine, identity: Arc<Identity>) -> Store<Guest> {
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits::RESOURCES_MAX);
    let quota = Quota::new(identity.limits.memory, Arc::clone(&identity.tally));
    let console = Arc::new(Console::new(Arc::clone(&identity)));
    let guest = Guest {
        wasi: wasi::context(&console, &identity.services),
        identity,
        table,
        about: About { generation: 0, session: None, hook: Hook::Lifecycle },
        granted: false,
        console,
        http: Http::new(),
        cursors: Cursors::default(),
        quota,
        budget: Hook::Lifecycle.row().budget,
        deadline: Instant::now(),
        offered: None,
        basis: None,
        goes_by_more: AtomicBool::new(false),
        computed: Duration::ZERO,
        is_over: false,
        stays: false,
    };
    let mut store = Store::new(&linked.engine, guest);
    store.limiter(|guest| &mut guest.quota);
    store.set_hostcall_fuel(limits::HOSTCALL_FUEL);
    store.set_max_component_handles(limits::HANDLES_MAX);
    store.epoch_deadline_callback(|mut store| {
        let guest = store.data_mut();
        let computed = processor::tick();
        // What was computed before the first tick is not known: calls that see one count for those
        // that see none.
        let new =
            if computed.is_zero() { limits::TICK } else { computed.saturating_sub(guest.computed) };
        guest.quota.tally.add(new);
        guest.computed = computed;
        // A virtual machine that was stopped meanwhile takes that for computing: only who is over at
        // the next tick, too, goes on and on.
        if computed >= guest.budget.cpu && std::mem::replace(&mut guest.is_over, true) {
            return Err(OverCpu.into());
        }
        if guest.stays {
            let is_late = Instant::now() >= guest.deadline;
            return if is_late { Err(OverWall.into()) } else { Ok(UpdateDeadline::Continue(1)) };
        }
        // Without this a busy guest would keep its thread from all other sessions.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    store
}

/// Prepares a store for one call; tells what the call may take.
fn begin(store: &mut Store<Guest>, caller: Caller, session: Option<SessionId>) -> Budget {
    let guest = store.data_mut();
    guest.about = About { generation: caller.generation, session, hook: caller.hook };
    guest.console.about(guest.about);
    guest.quota.denied = None;
    guest.budget = guest.identity.limits.budget(caller.hook);
    guest.computed = Duration::ZERO;
    guest.is_over = false;
    guest.stays = false;
    let budget = guest.budget;
    guest.deadline = Instant::now() + budget.wall;
    let gate = guest.identity.share.http.as_ref().filter(|_| guest.granted);
    guest.http.begin(gate, guest.about, budget);
    store.set_epoch_deadline(1);
    budget
}

/// Calls a function of the guest, in the call that was begun: on a stack of its own, which it can leave to
/// wait or to let others go on, or, if it is `quick` and waits for nothing, on that of the thread. That
/// takes a seventh less time, and more where the other stack is in no cache.
pub(crate) async fn enter<P, R>(
    store: &mut Store<Guest>,
    quick: bool,
    function: TypedFunc<P, R>,
    given: P,
) -> wasmtime::Result<R>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift + 'static,
{
    let guest = store.data_mut();
    guest.stays = quick && guest.budget.cpu <= limits::STAY_MAX;
    if guest.stays { function.call(store, given) } else { function.call_async(store, given).await }
}

fn host_trap(error: ResourceTableError) -> Failure {
    Failure::Trap(error.to_string())
}

/// Runs a call with the clock ticking, until all the time that it may take is over.
async fn bounded<T>(
    sandbox: &'static Sandbox,
    budget: Budget,
    until: Instant,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<wasmtime::Result<T>, Failure> {
    let _running = sandbox.running();
    let call = pin!(call);
    tokio::time::timeout_at(until, metered(call)).await.map_err(|_| Failure::Wall(budget.wall))
}

/// Writes down what an instance was like when it broke, where somebody wants to know, and where it
/// was trusted with nothing.
fn keep_core(store: &mut Store<Guest>, error: &wasmtime::Error) {
    let identity = Arc::clone(&store.data().identity);
    let Some(dumps) = identity.services.core_dumps.clone() else { return };
    let Some(core) = error.downcast_ref::<WasmCoreDump>() else { return };
    let generation = store.data().about.generation;
    if identity.is_trusted {
        let plugin = &*identity.name;
        tracing::warn!(
            plugin,
            generation,
            "no core dump: the plugin is granted secrets or passwords"
        );
        return;
    }
    let dump = core.serialize(store, &identity.name);
    // It is large, and sessions go on meanwhile.
    tokio::task::spawn_blocking(move || {
        let plugin = &*identity.name;
        match dumps.keep(plugin, &dump) {
            Ok(file) => {
                let file = file.display();
                tracing::warn!(plugin, generation, %file, "core dump written");
            }
            Err(error) => tracing::error!(plugin, generation, %error, "core dump not written"),
        }
    });
}

fn explain(store: &Store<Guest>, error: &wasmtime::Error) -> Failure {
    let guest = store.data();
    if error.is::<OverCpu>() {
        return Failure::Cpu(guest.budget.cpu);
    }
    if error.is::<OverWall>() {
        return Failure::Wall(guest.budget.wall);
    }
    if let Some(unfit) = error.downcast_ref::<Unfit>() {
        return Failure::Misfit(unfit.to_string());
    }
    let mut trap = error.root_cause().to_string();
    let trace = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::to_string);
    // A line of it is `N: 0xADDRESS - MODULE!FUNCTION`, without the address where none was kept, and
    // the function's name demangled.
    let frames = trace.iter().flat_map(|trace| trace.lines());
    let functions = frames.filter_map(|line| Some(line.split_once('!')?.1));
    for function in functions.take(limits::TRACE_FRAMES_MAX) {
        trap.push_str(" < ");
        trap.push_str(function);
    }
    match guest.quota.denied {
        _ if scarcity::is_behind(error) => Failure::Unmapped(trap),
        Some(Bound::System) => Failure::Starved(trap),
        Some(Bound::Own) => Failure::Memory { limit: guest.quota.limit, trap },
        Some(Bound::All) => Failure::Spent(trap),
        None => Failure::Trap(trap),
    }
}

/// Memory of one instance.
struct Quota {
    limit: usize,
    used: usize,
    /// What it took last.
    grown: usize,
    /// Why the call in progress did not get what it wanted.
    denied: Option<Bound>,
    /// What it takes of the memory for all instances.
    charge: Option<Charge>,
    tally: Arc<Tally>,
}

/// What bounds the memory of an instance.
#[derive(Clone, Copy)]
enum Bound {
    /// Its own limit.
    Own,
    /// What all instances may have together.
    All,
    /// What the system has.
    System,
}

impl Quota {
    fn new(limit: usize, tally: Arc<Tally>) -> Quota {
        tally.instances.fetch_add(1, Ordering::Relaxed);
        Quota { limit, used: 0, grown: 0, denied: None, charge: None, tally }
    }

    /// What keeps it from having so many octets.
    fn bound(&mut self, used: usize) -> Option<Bound> {
        if used > self.limit {
            return Some(Bound::Own);
        }
        let has_room = self.charge.as_mut().is_none_or(|charge| charge.grow(used));
        (!has_room).then_some(Bound::All)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        self.tally.instances.fetch_sub(1, Ordering::Relaxed);
        self.tally.memory.fetch_sub(self.used, Ordering::Relaxed);
    }
}

impl ResourceLimiter for Quota {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if let Some(bound) = self.bound(used) {
            self.denied = Some(bound);
            return Ok(false);
        }
        self.grown = used - self.used;
        self.tally.memory.fetch_add(self.grown, Ordering::Relaxed);
        self.used = used;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // Nothing else goes wrong behind a yes; what comes of a no does not count.
        if scarcity::is_behind(&error) {
            let grown = std::mem::take(&mut self.grown);
            self.tally.memory.fetch_sub(grown, Ordering::Relaxed);
            self.used -= grown;
            self.denied = Some(Bound::System);
        }
        Ok(())
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= limits::TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        limits::CORE_INSTANCES_MAX as usize
    }

    fn tables(&self) -> usize {
        limits::TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        limits::MEMORIES_MAX as usize
    }
}

/// The call in progress computed for too long.
#[derive(Debug, thiserror::Error)]
#[error("over its computing time")]
struct OverCpu;

/// Why a call was stopped that nobody could give up, as it stayed on its thread.
#[derive(Debug, thiserror::Error)]
#[error("over its time")]
struct OverWall;
