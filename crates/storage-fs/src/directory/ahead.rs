//! Reading ahead: threads of the blocking pool read the next entries of a large directory while
//! those before are written and sent.
//!
//! A reader goes on until enough lies ready, so that it does not wait after each batch for
//! somebody who wants the next. It never waits for the client: when enough lies ready it ends, and
//! a new one begins when some of that is taken. A client that takes its time holds a few batches,
//! and no thread.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;
use waft_core::storage::Batch;

use super::Open;
use crate::error::{Failure, Result};

/// Batches that lie ready when readers end. With one that a second reader had begun, and the one
/// that is being sent, a listing holds six at most, however long it is.
const READY_MAX: usize = 4;

/// Readers of one directory.
const READERS_MAX: usize = 2;

/// Readers of all directories, beyond which none gets a second one: that is for processors with
/// nothing else to do.
static READERS: AtomicUsize = AtomicUsize::new(0);
static PROCESSORS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

/// The entries of a directory, from where it stands.
#[derive(Debug)]
pub(super) struct Ahead(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    open: Arc<Open>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Batch>,
    /// Memory for the next ones.
    spare: Vec<Batch>,
    readers: usize,
    /// Whether there was a first batch: what fits in that needs no second reader.
    begun: bool,
    /// Nothing more is to be read.
    ended: bool,
    failed: Option<Failure>,
    waiting: Option<Waker>,
}

/// A thread that reads, or will as soon as there is one.
struct Reader {
    shared: Arc<Shared>,
    is_done: bool,
}

impl Ahead {
    pub(super) fn of(open: Arc<Open>) -> Ahead {
        Ahead(Arc::new(Shared { open, state: Mutex::default() }))
    }

    /// The next entries, none at the end; `spare` is memory for others.
    pub(super) async fn next(&mut self, spare: Batch) -> Result<Batch> {
        let mut spare = Some(spare);
        poll_fn(|cx| self.poll_next(&mut spare, cx)).await
    }

    fn poll_next(&self, spare: &mut Option<Batch>, cx: &mut Context<'_>) -> Poll<Result<Batch>> {
        let mut state = self.0.state();
        state.spare.extend(spare.take());
        let next = state.ready.pop_front();
        state.begun |= next.is_some();
        let is_reader_wanted = state.has_room() && state.readers < state.readers_wanted();
        state.readers += usize::from(is_reader_wanted);
        let polled = match next {
            Some(batch) => Poll::Ready(Ok(batch)),
            None if state.readers > 0 => {
                state.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(state.failed.take().map_or(Ok(Batch::default()), Err)),
        };
        // A runtime that is shutting down drops the reader here, which takes the lock.
        drop(state);
        if is_reader_wanted {
            let reader = Reader::new(Arc::clone(&self.0));
            tokio::task::spawn_blocking(move || reader.run());
        }
        polled
    }
}

/// Readers have no reason to go on.
impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.state().ended = true;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self) -> bool {
        !self.ended && self.ready.len() < READY_MAX
    }

    fn readers_wanted(&self) -> usize {
        let are_few = || READERS.load(Ordering::Relaxed) < *PROCESSORS;
        if self.begun && are_few() { READERS_MAX } else { 1 }
    }

    fn fail(&mut self, failure: Failure) {
        self.ended = true;
        self.failed.get_or_insert(failure);
    }
}

impl Reader {
    fn new(shared: Arc<Shared>) -> Reader {
        READERS.fetch_add(1, Ordering::Relaxed);
        Reader { shared, is_done: false }
    }

    fn run(mut self) {
        let mut buffer = Vec::new();
        while let Some(mut batch) = self.room() {
            let read = self.shared.open.fill(&mut batch, &mut buffer);
            let mut state = self.shared.state();
            match read {
                Ok(()) if !batch.is_empty() => state.ready.push_back(batch),
                Ok(()) => state.ended = true,
                Err(failure) => state.fail(failure),
            }
            let waiting = mem::take(&mut state.waiting);
            drop(state);
            waiting.into_iter().for_each(Waker::wake);
        }
        self.is_done = true;
    }

    /// Memory for a batch, if one more is wanted.
    fn room(&self) -> Option<Batch> {
        let mut state = self.shared.state();
        state.has_room().then(|| state.spare.pop().unwrap_or_default())
    }
}

/// However it ends: the runtime may be shutting down, or reading may have panicked.
impl Drop for Reader {
    fn drop(&mut self) {
        READERS.fetch_sub(1, Ordering::Relaxed);
        let mut state = self.shared.state();
        state.readers -= 1;
        if !self.is_done {
            state.fail(Errno::IO.into());
        }
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}
