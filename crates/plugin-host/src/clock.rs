//! The clock that calls of guests are measured by: it moves the epoch that their code looks at.
//!
//! It is a thread that waits for a timer, and no call wakes it: the first one sets the timer, which the clock
//! sets again as long as there are calls. A call that comes alone and is over in time stops it, so that a
//! server that asks a plugin now and then, as about what keeps a session alive, disturbs nobody else's
//! processor for it. (Systems that have no timer like that of Linux do wake the thread.)

mod timer;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use timer::Timer;
use waft_per_cpu::PerCpu;
use wasmtime::Engine;

use crate::limits;

/// What the ticking thread and the calls share.
pub(crate) struct Clock {
    calls: PerCpu<Calls>,
    /// Those whose epoch it moves.
    engines: Mutex<Vec<Engine>>,
    timer: Timer,
    /// Whether there will be another tick: the timer is set, or it is up and the thread is about to go on. What
    /// is seen while `lately` is held; whoever holds it may be about to change it.
    ticks: AtomicBool,
    lately: Mutex<Lately>,
}

/// Calls that began and ended so far; those that run are the difference.
#[derive(Default)]
struct Calls {
    began: AtomicUsize,
    ended: AtomicUsize,
}

/// What was when the timer was set.
#[derive(Default)]
struct Lately {
    /// When a call did so.
    set: Option<Instant>,
    /// How many calls had begun.
    began: usize,
}

/// While one lives, the clock ticks.
pub(crate) struct Running {
    calls: &'static Calls,
    /// The clock that ticks for this call alone, as far as is known.
    alone: Option<&'static Clock>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.calls.ended.fetch_add(1, Ordering::SeqCst);
        if let Some(clock) = self.alone {
            clock.stop();
        }
    }
}

impl Clock {
    /// Starts the thread that moves the engines' epoch every tick while calls are made.
    ///
    /// # Errors
    /// The system has no thread or no timer.
    pub(crate) fn start(engine: Engine) -> wasmtime::Result<&'static Clock> {
        let clock: &'static Clock = Box::leak(Box::new(Clock {
            calls: PerCpu::default(),
            engines: Mutex::new(vec![engine]),
            timer: Timer::new()?,
            ticks: AtomicBool::new(false),
            lately: Mutex::default(),
        }));
        let ticking = move || {
            loop {
                clock.timer.wait();
                clock.tick();
                clock.go_on();
            }
        };
        thread::Builder::new().name("waft-plugin-clock".to_owned()).spawn(ticking)?;
        Ok(clock)
    }

    /// Moves the epoch of that engine, too.
    pub(crate) fn tick_for(&self, engine: Engine) {
        lock(&self.engines).push(engine);
    }

    fn tick(&self) {
        lock(&self.engines).iter().for_each(Engine::increment_epoch);
    }

    /// Notes that a call begins; ticks until it has ended.
    pub(crate) fn begin(&'static self) -> Running {
        let calls = self.calls.here();
        // Who stops ticking looks at this afterwards: if that is not seen here, this is seen there.
        calls.began.fetch_add(1, Ordering::SeqCst);
        let alone = if self.ticks.load(Ordering::SeqCst) { None } else { self.set() };
        Running { calls, alone }
    }

    /// Sets the timer for a call. Returns the clock where none did so within the tick before: of calls that
    /// follow each other, each would set it and stop it again.
    #[cold]
    fn set(&'static self) -> Option<&'static Clock> {
        let mut lately = lock(&self.lately);
        if self.ticks.swap(true, Ordering::SeqCst) {
            return None;
        }
        self.timer.set();
        let now = Instant::now();
        let before = lately.set.replace(now);
        lately.began = self.began();
        let is_alone = before.is_none_or(|before| now.duration_since(before) > limits::TICK);
        is_alone.then_some(self)
    }

    /// Stops ticking, unless there is another call.
    fn stop(&self) {
        let _lately = lock(&self.lately);
        // The thread may have been first, after the last tick of the call: then no timer is set.
        if !self.ticks.swap(false, Ordering::SeqCst) {
            return;
        }
        if self.runs() {
            self.ticks.store(true, Ordering::SeqCst);
        } else {
            self.timer.stop();
        }
    }

    /// Goes on ticking as long as calls begin or run: short ones are seldom seen running.
    fn go_on(&self) {
        let mut lately = lock(&self.lately);
        if !self.ticks.load(Ordering::SeqCst) {
            return;
        }
        let began = self.began();
        if began == lately.began && !self.runs() {
            self.ticks.store(false, Ordering::SeqCst);
            if self.began() == began {
                return;
            }
            self.ticks.store(true, Ordering::SeqCst);
        }
        lately.began = began;
        self.timer.set();
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until the clock rests.
    fn rests(clock: &Clock) {
        let deadline = Instant::now() + std::time::Duration::from_secs(60);
        while clock.ticks.load(Ordering::SeqCst) {
            assert!(Instant::now() < deadline, "it ticks on and on");
            thread::yield_now();
        }
    }

    #[test]
    fn a_call_that_comes_alone_leaves_the_clock_at_rest() {
        let clock = Clock::start(Engine::default()).unwrap();
        let ticks = || clock.ticks.load(Ordering::SeqCst);
        assert!(!ticks());
        let call = clock.begin();
        assert!(ticks());
        drop(call);
        assert!(!ticks());
    }

    #[test]
    fn calls_that_follow_each_other_leave_it_ticking_for_a_while() {
        let clock = Clock::start(Engine::default()).unwrap();
        // However busy the machine is, two follow each other within a tick some time.
        let mut deadline = 0..10_000;
        while !clock.ticks.load(Ordering::SeqCst) {
            assert!(deadline.next().is_some(), "each stops it");
            drop(clock.begin());
        }
        rests(clock);
        assert!(!clock.runs());
    }

    #[test]
    fn who_stops_it_after_it_has_come_to_rest_leaves_another_call_to_set_it() {
        let clock = Clock::start(Engine::default()).unwrap();
        let lone = clock.begin();
        lone.calls.ended.fetch_add(1, Ordering::SeqCst);
        // Its thread ends the call and gets no further before the next tick finds nothing to do.
        rests(clock);
        let calls = clock.calls.here();
        calls.began.fetch_add(1, Ordering::SeqCst);
        clock.stop();
        assert!(!clock.ticks.load(Ordering::SeqCst), "no timer is set");
        calls.ended.fetch_add(1, Ordering::SeqCst);
        std::mem::forget(lone);
    }

    #[test]
    fn a_crowd_of_calls_leaves_it_to_be_set_by_the_next_one() {
        let clock = Clock::start(Engine::default()).unwrap();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..50_000).for_each(|_| drop(clock.begin())));
            }
        });
        rests(clock);
        assert!(!clock.timer.is_set());
        let _call = clock.begin();
        let _lately = lock(&clock.lately);
        assert!(clock.ticks.load(Ordering::SeqCst));
    }

    #[test]
    fn a_call_goes_on_being_measured_whoever_set_the_timer() {
        let clock = Clock::start(Engine::default()).unwrap();
        let first = clock.begin();
        let second = clock.begin();
        assert!(first.alone.is_some() && second.alone.is_none());
        drop(first);
        assert!(clock.ticks.load(Ordering::SeqCst), "of the second");
        drop(second);
        rests(clock);
    }
}
