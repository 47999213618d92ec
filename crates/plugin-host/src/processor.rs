//! The processor time of a call, as its thread's own clock tells it: what others compute meanwhile,
//! on that thread or on that processor, does not count.
//!
//! That clock costs as much to read as a short call takes, so nobody reads it before the first tick
//! of the clock on the wall comes by: what a call computes until then is not counted. From there on
//! it is read whenever the call gets a thread, at every tick, and when it lets go of the thread. A
//! call may be on another thread each time; within one poll it is not.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::Duration;

thread_local! {
    /// The meter of the call that is being polled.
    static METER: Cell<Meter> = const { Cell::new(Meter::ZERO) };
}

/// What is counted of a call.
#[derive(Clone, Copy)]
struct Meter {
    spent: Duration,
    /// The thread's clock up to which that is; none before the first tick.
    until: Option<Duration>,
}

impl Meter {
    const ZERO: Meter = Meter { spent: Duration::ZERO, until: None };

    /// Counts what was computed since the last look.
    fn advance(&mut self) {
        let now = thread_time();
        self.spent += self.until.map_or(Duration::ZERO, |until| now.saturating_sub(until));
        self.until = Some(now);
    }
}

/// Counts what a call computes.
pub(crate) async fn metered<T>(mut call: Pin<&mut impl Future<Output = T>>) -> T {
    let mut meter = Meter::ZERO;
    poll_fn(|context| {
        meter.until = meter.until.map(|_| thread_time());
        let outer = METER.replace(meter);
        let polled = call.as_mut().poll(context);
        meter = METER.replace(outer);
        if meter.until.is_some() {
            meter.advance();
        }
        polled
    })
    .await
}

/// A tick for the call that is being polled: returns what it has computed since its first one.
pub(crate) fn tick() -> Duration {
    let mut meter = METER.get();
    meter.advance();
    METER.set(meter);
    meter.spent
}

/// How long this thread has been on a processor.
#[cfg(unix)]
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Where there is no such clock, the one on the wall, which tells no less.
#[cfg(not(unix))]
fn thread_time() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;

    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed()
}

#[cfg(all(test, unix))]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::thread;

    use super::*;

    const SLICE: Duration = Duration::from_millis(5);

    fn compute(time: Duration) {
        let began = thread_time();
        while thread_time() - began < time {}
    }

    /// Lets others compute, on as many threads as take the processors from this one.
    fn let_others(time: Duration) {
        let others = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..others {
                scope.spawn(|| compute(time));
            }
        });
    }

    /// Lets go of the thread once.
    async fn pause() {
        let mut has_paused = false;
        poll_fn(|_| {
            if std::mem::replace(&mut has_paused, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    type Call<T> = Pin<Box<dyn Future<Output = T> + Send>>;

    fn begin<T: 'static>(call: impl Future<Output = T> + Send + 'static) -> Call<T> {
        Box::pin(async { metered(pin!(call)).await })
    }

    /// Polls once: the value, if the call has ended.
    fn poll<T>(call: &mut Call<T>) -> Option<T> {
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_a_call_computes_is_counted_from_its_first_tick_on() {
        let mut call = begin(async {
            compute(SLICE);
            let first = tick();
            compute(SLICE);
            pause().await;
            compute(SLICE);
            (first, tick())
        });
        assert_eq!(poll(&mut call), None);
        let (first, all) = poll(&mut call).unwrap();
        assert_eq!(first, Duration::ZERO);
        assert!(all >= 2 * SLICE, "{all:?}");
    }

    #[test]
    fn what_others_compute_meanwhile_is_not() {
        let mut call = begin(async {
            tick();
            let_others(10 * SLICE);
            pause().await;
            tick()
        });
        assert_eq!(poll(&mut call), None);
        // As another session does, on the same thread.
        compute(10 * SLICE);
        let mut other = begin(async {
            tick();
            compute(10 * SLICE);
            tick()
        });
        assert!(poll(&mut other).unwrap() >= 10 * SLICE);
        let all = poll(&mut call).unwrap();
        assert!(all < 10 * SLICE, "{all:?}");
    }

    #[test]
    fn a_call_may_go_on_on_another_thread() {
        let mut call = begin(async {
            tick();
            compute(SLICE);
            pause().await;
            compute(SLICE);
            tick()
        });
        assert_eq!(poll(&mut call), None);
        compute(10 * SLICE);
        let all = thread::spawn(move || poll(&mut call)).join().unwrap().unwrap();
        assert!(all >= 2 * SLICE && all < 10 * SLICE, "{all:?}");
    }
}
