//! The clock that calls of guests are measured by: it moves the epoch that their code looks at.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use waft_per_cpu::PerCpu;
use wasmtime::Engine;

use crate::limits;

/// What the ticking thread and the calls share.
#[derive(Default)]
pub(crate) struct Clock {
    calls: PerCpu<Calls>,
    /// Those whose epoch it moves.
    engines: Mutex<Vec<Engine>>,
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
    /// Starts the thread that moves the engines' epoch every tick while calls are made, and sleeps
    /// otherwise: an idle server wakes nobody up.
    pub(crate) fn start(engine: Engine) -> wasmtime::Result<&'static Clock> {
        let clock: &'static Clock = Box::leak(Box::default());
        clock.tick_for(engine);
        let thread =
            thread::Builder::new().name("waft-plugin-clock".to_owned()).spawn(move || {
                loop {
                    let began = clock.began();
                    thread::sleep(limits::TICK);
                    clock.tick();
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

    /// Moves the epoch of that engine, too.
    pub(crate) fn tick_for(&self, engine: Engine) {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).push(engine);
    }

    fn tick(&self) {
        for engine in &*self.engines.lock().unwrap_or_else(PoisonError::into_inner) {
            engine.increment_epoch();
        }
    }

    /// Notes that a call begins; ticks until it has ended.
    pub(crate) fn begin(&'static self) -> Running {
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
