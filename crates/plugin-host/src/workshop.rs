//! Long work for components, off the sessions' threads, one piece at a time, within its time:
//! compiling them, and trying them out.
//!
//! A thread that works cannot be ended. One that takes too long is left to itself, at low priority,
//! and counted; while too many are, nothing more is begun. What it costs at most is bounded by the
//! size of a component and by their number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::limits;

/// Where one kind of work is done.
#[derive(Debug)]
pub(crate) struct Workshop {
    turn: Semaphore,
    /// Threads that nobody waits for any more.
    lost: Arc<AtomicUsize>,
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

    /// Does `work` on a thread of its own at low priority, behind the work of others: on all
    /// cores it would stall the sessions.
    ///
    /// # Errors
    /// It took too long or panicked, or there are too many that took too long.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let failed = |reason: &str| Undone::Failed(reason.to_owned());
        let _turn = self.turn.acquire().await.map_err(|_| failed("the server is ending"))?;
        let lost = self.lost.load(Ordering::SeqCst);
        if lost >= limits::COMPILATIONS_LOST_MAX {
            return Err(Undone::Busy(lost));
        }
        let (done, result) = oneshot::channel();
        let mut wait = Wait { result, lost: Arc::clone(&self.lost), is_over: false };
        let lost = Arc::clone(&self.lost);
        let thread = thread::Builder::new().name("waft-plugin-load".to_owned()).spawn(move || {
            lower_priority();
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
        }
    }
}

#[cfg(target_os = "linux")]
fn lower_priority() {
    // On Linux this is the calling thread's, not the process's. Failing costs only politeness.
    let _ = rustix::process::setpriority_process(None, 10);
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

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
            let refused = workshop.run(LONG, work).await.unwrap_err();
            assert_eq!(refused, Undone::Late(LONG));
        }
        let refused = workshop.run(LONG, || ()).await.unwrap_err();
        assert_eq!(refused, Undone::Busy(limits::COMPILATIONS_LOST_MAX));
        tokio::time::resume();
        for (end, told) in ends {
            drop(end);
            told.await.unwrap();
        }
        while workshop.lost.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(workshop.run(LONG, || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_costs_that_one_piece_of_work() {
        let workshop = Workshop::new();
        let refused = workshop.run::<()>(LONG, || panic!("oh")).await.unwrap_err();
        assert_eq!(refused, Undone::Failed("it panicked".to_owned()));
        assert_eq!(workshop.run(LONG, || 7).await, Ok(7));
    }
}
