//! Compiling, off the sessions' threads, one component at a time, within its time.
//!
//! A thread that compiles cannot be ended. One that takes too long is left to itself, at low
//! priority, and counted; while too many are, nothing more is compiled. What it costs at most is
//! bounded by the size of a component and by their number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::errors::Refusal;
use crate::limits;

/// Who compiles.
#[derive(Debug)]
pub(crate) struct Compiler {
    turn: Semaphore,
    /// Threads that nobody waits for any more.
    lost: Arc<AtomicUsize>,
}

impl Compiler {
    /// Nothing is compiled yet.
    pub(crate) fn new() -> Compiler {
        Compiler { turn: Semaphore::new(1), lost: Arc::default() }
    }

    /// Does `work` on a thread of its own at low priority, behind the work of others: compiling on
    /// all cores would stall the sessions.
    ///
    /// # Errors
    /// It took too long or panicked, or there are too many that took too long.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let failed = |reason: &str| Refusal::Compile(reason.to_owned());
        let _turn = self.turn.acquire().await.map_err(|_| failed("the server is ending"))?;
        let lost = self.lost.load(Ordering::SeqCst);
        if lost >= limits::COMPILATIONS_LOST_MAX {
            return Err(Refusal::CompilerBusy(lost));
        }
        let (done, result) = oneshot::channel();
        let mut wait = Wait { result, lost: Arc::clone(&self.lost), is_over: false };
        let lost = Arc::clone(&self.lost);
        let thread = thread::Builder::new().name("waft-plugin-load".to_owned()).spawn(move || {
            lower_priority();
            let outcome = catch_unwind(AssertUnwindSafe(work));
            let outcome =
                outcome.unwrap_or_else(|_| Err(Refusal::Compile("the compiler panicked".into())));
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
            Ok(Err(_)) => Err(failed("the compiler is gone")),
            Err(_) => Err(Refusal::CompileTime(within)),
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
        let compiler = Compiler::new();
        let mut ends = Vec::new();
        for _ in 0..limits::COMPILATIONS_LOST_MAX {
            let (end, ended) = mpsc::channel::<()>();
            let (tell, told) = oneshot::channel();
            ends.push((end, told));
            let work = move || {
                let _ = ended.recv();
                let _ = tell.send(());
                Ok(())
            };
            let refused = compiler.run(LONG, work).await.unwrap_err();
            assert_eq!(refused, Refusal::CompileTime(LONG));
        }
        let refused = compiler.run(LONG, || Ok(())).await.unwrap_err();
        assert_eq!(refused, Refusal::CompilerBusy(limits::COMPILATIONS_LOST_MAX));
        tokio::time::resume();
        for (end, told) in ends {
            drop(end);
            told.await.unwrap();
        }
        while compiler.lost.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(compiler.run(LONG, || Ok(7)).await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_costs_that_one_component() {
        let compiler = Compiler::new();
        let refused = compiler.run::<()>(LONG, || panic!("oh")).await.unwrap_err();
        assert_eq!(refused, Refusal::Compile("the compiler panicked".to_owned()));
        assert_eq!(compiler.run(LONG, || Ok(7)).await, Ok(7));
    }
}
