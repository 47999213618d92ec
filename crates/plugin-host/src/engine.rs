//! The one WebAssembly engine of the process and its clock.
//!
//! One engine, because everything that touches a store must share its engine, because a pooling
//! engine reserves terabytes of address space, and because two would compete for one machine. It
//! has no concurrency support: without it a call costs a third, and components that want
//! `async` in their interface are refused.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use tokio::sync::Semaphore;
use waft_per_cpu::PerCpu;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::bindings::Served;
use crate::capability::wasi;
use crate::errors::{Refusal, one_line};
use crate::guest::Guest;
use crate::limits;
use crate::scarcity;
use crate::workshop::Workshop;

/// The engine with what goes with it.
pub(crate) struct Sandbox {
    pub(crate) engine: Engine,
    /// Whether there is little address space: its code is made for small memories then, which no other
    /// engine makes.
    pub(crate) is_cramped: bool,
    /// Everything that a guest may import.
    pub(crate) linker: Linker<Guest>,
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

/// The process's sandbox, made on first use.
///
/// # Errors
/// The machine cannot run one.
pub(crate) fn sandbox() -> Result<&'static Sandbox, Refusal> {
    static SANDBOX: OnceLock<Result<Sandbox, Refusal>> = OnceLock::new();
    let made = SANDBOX.get_or_init(|| {
        Sandbox::new().map_err(|error| {
            let reason = one_line(&format!("{error:#}"));
            let lacks_memory = scarcity::is_behind(&error);
            if lacks_memory { Refusal::Unmapped(reason) } else { Refusal::Engine(reason) }
        })
    });
    made.as_ref().map_err(Refusal::clone)
}

impl Sandbox {
    fn new() -> wasmtime::Result<Sandbox> {
        let mut is_cramped = false;
        let engine = match Engine::new(&config(InstanceAllocationStrategy::Pooling(pool()))) {
            Ok(engine) => engine,
            Err(error) => {
                tracing::info!(
                    reason = format!("{error:#}"),
                    "no address space for a pool of plugin instances, allocating on demand"
                );
                is_cramped = true;
                let mut config = config(InstanceAllocationStrategy::OnDemand);
                // By default each memory reserves 4 GiB, of what has just been found to be short.
                config
                    .memory_reservation(limits::CRAMPED_MEMORY_BYTES)
                    .memory_reservation_for_growth(limits::CRAMPED_MEMORY_BYTES)
                    .memory_guard_size(limits::CRAMPED_GUARD_BYTES);
                Engine::new(&config)?
            }
        };
        let mut linker = Linker::new(&engine);
        Served::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        wasi::link(&mut linker)?;
        let clock = start_clock(engine.clone())?;
        let transfers = Arc::new(Semaphore::new(limits::TRANSFERS_PINNED_MAX));
        let sessions = Arc::new(Semaphore::new(limits::SESSIONS_PINNED_MAX));
        let (compiling, testing) = (Workshop::new(), Workshop::new());
        Ok(Sandbox { engine, is_cramped, linker, clock, compiling, testing, transfers, sessions })
    }

    /// Keeps the clock ticking until the guard is dropped.
    pub(crate) fn running(&self) -> Running {
        self.clock.begin()
    }
}

/// An engine that makes what the sandbox's one runs, and reserves nothing to run it in.
///
/// # Errors
/// The machine cannot have one.
pub(crate) fn engine_to_compile() -> wasmtime::Result<Engine> {
    Engine::new(&config(InstanceAllocationStrategy::OnDemand))
}

fn config(allocation: InstanceAllocationStrategy) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .memory_init_cow(true)
        // What there is to know when a call breaks; it is written down where somebody wants it.
        .coredump_on_trap(true)
        .max_wasm_stack(limits::WASM_STACK_BYTES_MAX)
        .async_stack_size(limits::CALL_STACK_BYTES)
        .allocation_strategy(allocation);
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits::INSTANCES_MAX)
        .total_stacks(limits::INSTANCES_MAX)
        .total_memories(limits::INSTANCES_MAX)
        .total_core_instances(limits::CORE_INSTANCES_ALL_MAX)
        .total_tables(limits::TABLES_ALL_MAX)
        .max_core_instances_per_component(limits::CORE_INSTANCES_MAX)
        .max_memories_per_component(limits::MEMORIES_MAX)
        .max_tables_per_component(limits::TABLES_MAX)
        .table_elements(limits::TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(0)
        .table_keep_resident(0)
        .max_unused_warm_slots(limits::UNUSED_SLOTS_MAX);
    pool
}

/// What the ticking thread and the calls share.
#[derive(Default)]
struct Clock {
    calls: PerCpu<Calls>,
    parked: AtomicBool,
    thread: OnceLock<thread::Thread>,
}

/// Calls that began and ended so far; those that run are the difference.
#[derive(Default)]
struct Calls {
    began: AtomicUsize,
    ended: AtomicUsize,
}

/// While one lives, the clock ticks.
pub(crate) struct Running(&'static Calls);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Clock {
    fn begin(&'static self) -> Running {
        let calls = self.calls.here();
        calls.began.fetch_add(1, Ordering::SeqCst);
        if self.parked.load(Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
        Running(calls)
    }

    /// How many calls began so far.
    fn began(&self) -> usize {
        let began = self.calls.iter().map(|calls| calls.began.load(Ordering::SeqCst));
        began.fold(0, usize::wrapping_add)
    }

    /// Whether a call runs.
    fn runs(&self) -> bool {
        self.calls.iter().any(|calls| {
            let ended = calls.ended.load(Ordering::SeqCst);
            calls.began.load(Ordering::SeqCst) != ended
        })
    }
}

/// Starts the thread that moves the engine's epoch every tick while calls are made, and sleeps
/// otherwise: an idle server wakes nobody up.
fn start_clock(engine: Engine) -> wasmtime::Result<&'static Clock> {
    let clock: &'static Clock = Box::leak(Box::default());
    let thread = thread::Builder::new().name("waft-plugin-clock".to_owned()).spawn(move || {
        loop {
            let began = clock.began();
            thread::sleep(limits::TICK);
            engine.increment_epoch();
            // Short calls are seldom seen running: as long as some begin, none has to wake this.
            if clock.began() != began || clock.runs() {
                continue;
            }
            clock.parked.store(true, Ordering::SeqCst);
            // A call that begins between these two lines sees the flag, and its unpark is kept.
            while clock.began() == began {
                thread::park();
            }
            clock.parked.store(false, Ordering::SeqCst);
        }
    })?;
    // Set by nobody else: the clock was made above.
    let _ = clock.thread.set(thread.thread().clone());
    Ok(clock)
}
