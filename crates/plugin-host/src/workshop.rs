//! Long work for components, off the sessions' threads, one piece at a time, within its time:
//! compiling them, and trying them out. Sessions go before it, where there are any: while the server
//! starts nobody waits but for this.
//!
//! A thread that works cannot be ended. One that takes too long is left to itself, at low priority,
//! and counted; while too many are, nothing more is begun. What it costs at most is bounded by the
//! size of a component and by their number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::limits;

/// The priority, as `nice` counts it, of a thread that gives way.
#[cfg(target_os = "linux")]
const GIVING_WAY: i32 = 10;

/// Where one kind of work is done.
#[derive(Debug)]
pub(crate) struct Workshop {
    turn: Semaphore,
    /// Threads that nobody waits for any more.
    lost: Arc<AtomicUsize>,
}

/// Whether others go before the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Nobody is served yet: it is as important as anything else on the machine.
    Full,
    /// Sessions do, and whatever else the machine does.
    Behind,
}

/// Why work was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// It took too long.
    Late(Duration),
    /// So many others took too long, and still do.
    Busy(usize),
    /// It broke off.
    Failed(String),
}

impl Workshop {
    /// Nothing is done yet.
    pub(crate) fn new() -> Workshop {
        Workshop { turn: Semaphore::new(1), lost: Arc::default() }
    }

    /// Does `work` on a thread of its own behind the work of others: on all cores it would stall the
    /// sessions, which for that reason have the higher priority as well, unless `pace` is full.
    ///
    /// # Errors
    /// It took too long or panicked, or there are too many that took too long.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        within: Duration,
        pace: Pace,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let failed = |reason: &str| Undone::Failed(reason.to_owned());
        let _turn = self.turn.acquire().await.map_err(|_| failed("the server is ending"))?;
        let lost = self.lost.load(Ordering::SeqCst);
        if lost >= limits::COMPILATIONS_LOST_MAX {
            return Err(Undone::Busy(lost));
        }
        let (done, result) = oneshot::channel();
        let worker = Worker::default();
        let mut wait =
            Wait { result, worker: worker.clone(), lost: Arc::clone(&self.lost), is_over: false };
        let lost = Arc::clone(&self.lost);
        // Whoever tries a plugin out has its calls made here, on this stack.
        let thread = thread::Builder::new().stack_size(limits::CALL_STACK_BYTES);
        let thread = thread.name("waft-plugin-load".to_owned()).spawn(move || {
            worker.begin();
            if pace == Pace::Behind {
                worker.give_way();
            }
            let outcome = catch_unwind(AssertUnwindSafe(work));
            let outcome = outcome.map_err(|_| Undone::Failed("it panicked".to_owned()));
            if done.send(outcome).is_err() {
                lost.fetch_sub(1, Ordering::SeqCst);
            }
        });
        if let Err(error) = thread {
            wait.is_over = true;
            return Err(failed(&error.to_string()));
        }
        let outcome = tokio::time::timeout(within, &mut wait.result).await;
        wait.is_over = outcome.is_ok();
        match outcome {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(failed("its thread is gone")),
            Err(_) => Err(Undone::Late(within)),
        }
    }
}

/// Waits for a thread; dropped before the thread is done, the thread is lost.
struct Wait<T> {
    result: oneshot::Receiver<T>,
    worker: Worker,
    lost: Arc<AtomicUsize>,
    is_over: bool,
}

impl<T> Drop for Wait<T> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Before the thread can notice and count itself out again.
        self.lost.fetch_add(1, Ordering::SeqCst);
        self.result.close();
        if self.result.try_recv().is_ok() {
            self.lost.fetch_sub(1, Ordering::SeqCst);
        } else {
            self.worker.give_way();
        }
    }
}

/// The thread that works, once it has begun. Only Linux has a priority for each thread.
#[derive(Clone, Default)]
struct Worker(#[cfg(target_os = "linux")] Arc<OnceLock<rustix::process::Pid>>);

impl Worker {
    /// Says that it is this thread.
    fn begin(&self) {
        #[cfg(target_os = "linux")]
        self.0.get_or_init(rustix::thread::gettid);
    }

    /// Has it let all others go first. Failing costs only politeness.
    fn give_way(&self) {
        #[cfg(target_os = "linux")]
        if let Some(&thread) = self.0.get() {
            let _ = rustix::process::setpriority_process(Some(thread), GIVING_WAY);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_given_up_and_its_thread_counted_until_it_ends() {
        let workshop = Workshop::new();
        let mut ends = Vec::new();
        for _ in 0..limits::COMPILATIONS_LOST_MAX {
            let (end, ended) = mpsc::channel::<()>();
            let (tell, told) = oneshot::channel();
            ends.push((end, told));
            let work = move || {
                let _ = ended.recv();
                let _ = tell.send(());
            };
            let refused = workshop.run(LONG, Pace::Behind, work).await.unwrap_err();
            assert_eq!(refused, Undone::Late(LONG));
        }
        let refused = workshop.run(LONG, Pace::Behind, || ()).await.unwrap_err();
        assert_eq!(refused, Undone::Busy(limits::COMPILATIONS_LOST_MAX));
        tokio::time::resume();
        for (end, told) in ends {
            drop(end);
            told.await.unwrap();
        }
        while workshop.lost.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(workshop.run(LONG, Pace::Behind, || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_costs_that_one_piece_of_work() {
        let workshop = Workshop::new();
        let refused = workshop.run::<()>(LONG, Pace::Behind, || panic!("oh")).await.unwrap_err();
        assert_eq!(refused, Undone::Failed("it panicked".to_owned()));
        assert_eq!(workshop.run(LONG, Pace::Behind, || 7).await, Ok(7));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn work_gives_way_to_sessions_unless_there_are_none_or_it_takes_too_long() {
        // Of the thread alone that asks.
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let workshop = Workshop::new();
        assert_eq!(workshop.run(LONG, Pace::Behind, priority).await, Ok(GIVING_WAY));
        assert_eq!(workshop.run(LONG, Pace::Full, priority).await, Ok(priority()));
        let (end, ended) = mpsc::channel::<()>();
        let (tell, told) = oneshot::channel();
        let work = move || {
            let _ = ended.recv();
            let _ = tell.send(priority());
        };
        let late = workshop.run(Duration::from_millis(10), Pace::Full, work).await;
        assert!(matches!(late, Err(Undone::Late(_))), "{late:?}");
        drop(end);
        assert_eq!(told.await, Ok(GIVING_WAY));
    }
}
