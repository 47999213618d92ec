//! The WebAssembly engines of the process.
//!
//! A pooling engine keeps books of every instance that it could have, made or not. So there are two:
//! one of few instances for most plugins, and one of many, made once a plugin needs it. What
//! is compiled for one runs in the other. There are no more, because everything that touches a store must
//! share its engine, because each reserves address space by the terabyte, and because they would compete
//! for one machine. None has concurrency support: without it a call costs a third, and components that
//! want `async` in their interface are refused.

use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::bindings::Served;
use crate::capability::wasi;
use crate::clock::{Clock, Running};
use crate::errors::{Refusal, one_line};
use crate::guest::Guest;
use crate::limits;
use crate::scarcity;
use crate::workshop::Workshop;

/// Where guests run, with what goes with it.
pub(crate) struct Sandbox {
    few: LinkedEngine,
    many: OnceLock<Result<LinkedEngine, Refusal>>,
    /// Places for instances in the small engine.
    places: Arc<Semaphore>,
    clock: &'static Clock,
    /// Where components are compiled.
    pub(crate) compiling: Workshop,
    /// Where they are tried out.
    pub(crate) testing: Workshop,
    /// Places of instances that belong to transfers, of all plugins.
    pub(crate) transfers: Arc<Semaphore>,
    /// Places of those that belong to sessions: apart, as a session lasts longer than any transfer.
    pub(crate) sessions: Arc<Semaphore>,
}

/// An engine that components are linked in.
pub(crate) struct LinkedEngine {
    pub(crate) engine: Engine,
    /// Whether there is little address space: its code is made for small memories then, which no
    /// engine makes elsewhere.
    pub(crate) is_cramped: bool,
}

/// What a plugin needs of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// So many instances at the same time, at most, each with what is usual.
    Few(usize),
    /// More, or larger ones.
    Many,
}

/// Places for the instances of a version, as long as it lives.
pub(crate) struct Reservation {
    pub(crate) sandbox: &'static Sandbox,
    pub(crate) linked: &'static LinkedEngine,
    _places: Option<OwnedSemaphorePermit>,
}

/// The process's sandbox, made on first use.
///
/// # Errors
/// The machine cannot run one.
pub(crate) fn sandbox() -> Result<&'static Sandbox, Refusal> {
    static SANDBOX: OnceLock<Result<Sandbox, Refusal>> = OnceLock::new();
    let made = SANDBOX.get_or_init(|| Sandbox::new().map_err(|error| cannot_be_had(&error)));
    made.as_ref().map_err(Refusal::clone)
}

impl Sandbox {
    fn new() -> wasmtime::Result<Sandbox> {
        let few = LinkedEngine::few()?;
        let clock = Clock::start(few.engine.clone())?;
        Ok(Sandbox {
            few,
            many: OnceLock::new(),
            places: Arc::new(Semaphore::new(limits::FEW_INSTANCES_MAX as usize)),
            clock,
            compiling: Workshop::new(),
            testing: Workshop::new(),
            transfers: Arc::new(Semaphore::new(limits::TRANSFERS_PINNED_MAX)),
            sessions: Arc::new(Semaphore::new(limits::SESSIONS_PINNED_MAX)),
        })
    }

    /// Keeps the clock ticking until the guard is dropped.
    pub(crate) fn running(&self) -> Running {
        self.clock.begin()
    }

    /// The engine in which there is room for that at the moment. Slow where it has yet to be made.
    ///
    /// # Errors
    /// The machine cannot have it.
    pub(crate) fn engine_for(&'static self, need: Need) -> Result<&'static LinkedEngine, Refusal> {
        self.reserve(need).map(|reservation| reservation.linked)
    }

    /// The one whose code the others run, which is there from the beginning.
    pub(crate) fn first_engine(&self) -> &LinkedEngine {
        &self.few
    }

    /// Reserves places for the instances of a version as long as it lives: in the small engine, while
    /// there are places left. Slow where the other one has yet to be made.
    ///
    /// # Errors
    /// The machine cannot have it.
    pub(crate) fn reserve(&'static self, need: Need) -> Result<Reservation, Refusal> {
        let places = match need {
            Need::Few(instances) => u32::try_from(instances).ok(),
            Need::Many => None,
        };
        let places =
            places.and_then(|places| Arc::clone(&self.places).try_acquire_many_owned(places).ok());
        let linked = if places.is_some() { &self.few } else { self.many()? };
        Ok(Reservation { sandbox: self, linked, _places: places })
    }

    fn many(&'static self) -> Result<&'static LinkedEngine, Refusal> {
        // Without a pool there are no books, and no bound.
        if self.few.is_cramped {
            return Ok(&self.few);
        }
        let made = self.many.get_or_init(|| {
            let linked = LinkedEngine::many().map_err(|error| cannot_be_had(&error))?;
            self.clock.tick_for(linked.engine.clone());
            Ok(linked)
        });
        made.as_ref().map_err(Refusal::clone)
    }
}

impl LinkedEngine {
    fn few() -> wasmtime::Result<LinkedEngine> {
        let pool =
            pool(limits::FEW_INSTANCES_MAX, limits::FEW_CORE_INSTANCES_MAX, limits::FEW_TABLES_MAX);
        match pooled(pool) {
            Ok(engine) => Ok(LinkedEngine { engine, is_cramped: false }),
            Err(error) => {
                tell_of_want(&error);
                Ok(LinkedEngine { engine: Engine::new(&on_demand(true))?, is_cramped: true })
            }
        }
    }

    /// One that runs what is compiled for the small engine, which has a pool.
    fn many() -> wasmtime::Result<LinkedEngine> {
        let pool =
            pool(limits::INSTANCES_MAX, limits::CORE_INSTANCES_ALL_MAX, limits::TABLES_ALL_MAX);
        let engine = pooled(pool).or_else(|error| {
            tell_of_want(&error);
            Engine::new(&on_demand(false))
        })?;
        Ok(LinkedEngine { engine, is_cramped: false })
    }

    /// Gives a component what it imports. Slow: a linker knows everything that any guest may import,
    /// and is not kept, as it would be larger than most of what is linked.
    pub(crate) fn link(&self, component: &Component) -> wasmtime::Result<InstancePre<Guest>> {
        let mut linker = Linker::new(&self.engine);
        Served::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        wasi::link(&mut linker)?;
        linker.instantiate_pre(component)
    }
}

fn pooled(pool: PoolingAllocationConfig) -> wasmtime::Result<Engine> {
    // A pool maps all stacks and tables that it could have, and there they count as used.
    wasmtime::ensure!(
        !scarcity::promises_only_what_there_is(),
        "the system promises no more memory than it has"
    );
    Engine::new(&config(InstanceAllocationStrategy::Pooling(pool)))
}

fn cannot_be_had(error: &wasmtime::Error) -> Refusal {
    let reason = one_line(&format!("{error:#}"));
    if scarcity::is_behind(error) { Refusal::Unmapped(reason) } else { Refusal::Engine(reason) }
}

fn tell_of_want(error: &wasmtime::Error) {
    tracing::info!(
        reason = format!("{error:#}"),
        "no address space for a pool of plugin instances, allocating on demand"
    );
}

/// An engine that makes what the sandbox's run, be it [cramped](LinkedEngine::is_cramped) or not, and
/// reserves nothing to run it in; with a map from the code to `offsets` in the component, a sixth as large
/// as the code, where they are of use.
///
/// # Errors
/// The machine cannot have one.
pub(crate) fn engine_to_compile(is_cramped: bool, offsets: bool) -> wasmtime::Result<Engine> {
    Engine::new(on_demand(is_cramped).generate_address_map(offsets))
}

fn on_demand(is_cramped: bool) -> Config {
    let mut config = config(InstanceAllocationStrategy::OnDemand);
    if is_cramped {
        // By default each memory reserves 4 GiB, of what has just been found to be short.
        config
            .memory_reservation(limits::CRAMPED_MEMORY_BYTES)
            .memory_reservation_for_growth(limits::CRAMPED_MEMORY_BYTES)
            .memory_guard_size(limits::CRAMPED_GUARD_BYTES);
    }
    config
}

fn config(allocation: InstanceAllocationStrategy) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .memory_init_cow(true)
        // For debuggers and profilers of this process, and for backtraces of it through a guest; part of
        // every component's code. A backtrace of the guest's own calls needs neither.
        .debug_symbols(false)
        .native_unwind_info(false)
        // What there is to know when a call breaks; it is written down where somebody wants it.
        .coredump_on_trap(true)
        .max_wasm_stack(limits::WASM_STACK_BYTES_MAX)
        .async_stack_size(limits::CALL_STACK_BYTES)
        .allocation_strategy(allocation);
    config
}

fn pool(instances: u32, core_instances: u32, tables: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_stacks(instances)
        .total_memories(instances)
        .total_core_instances(core_instances)
        .total_tables(tables)
        .max_core_instances_per_component(limits::CORE_INSTANCES_MAX)
        .max_memories_per_component(limits::MEMORIES_MAX)
        .max_tables_per_component(limits::TABLES_MAX)
        .table_elements(limits::TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(0)
        .table_keep_resident(0)
        .max_unused_warm_slots(limits::UNUSED_SLOTS_MAX);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_room_among_few_until_it_is_full_and_give_it_back() {
        let sandbox = sandbox().unwrap();
        let is_few = |reservation: &Reservation| std::ptr::eq(reservation.linked, &sandbox.few);
        let reserve = |need| sandbox.reserve(need).unwrap();
        assert!(!is_few(&reserve(Need::Many)));
        assert!(!is_few(&reserve(Need::Few(usize::MAX))));
        let half = limits::FEW_INSTANCES_MAX as usize / 2;
        // Nothing else in this process has room for long: these tests start no plugin.
        let (one, other) = (reserve(Need::Few(half)), reserve(Need::Few(half)));
        assert!(is_few(&one) && is_few(&other));
        assert!(!is_few(&reserve(Need::Few(1))));
        drop(one);
        assert!(is_few(&reserve(Need::Few(half))));
    }

    #[test]
    fn what_is_compiled_for_one_engine_runs_in_the_other() {
        let sandbox = sandbox().unwrap();
        let [few, many] =
            [Need::Few(1), Need::Many].map(|need| sandbox.engine_for(need).unwrap().engine.clone());
        let hash = |engine: &Engine| {
            use std::hash::{DefaultHasher, Hash, Hasher};
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(&few), hash(&many));
    }
}
