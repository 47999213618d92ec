//! The body of a response: as long and as much of it as a plugin may have.
//!
//! Whoever does not read it to its end keeps one of the plugin's few places for requests, and a
//! connection. So it is taken away when the time of the request is up, read or not: a guest may
//! keep its handle for as long as its instance lives.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep};

use super::NoResponse;
use super::outcome::{Outcome, Outcomes};
use crate::limits;

/// A body as it comes from the service, or from what stands in for it.
pub(super) type Plain = UnsyncBoxBody<Bytes, NoResponse>;

/// The same of whatever kind.
pub(super) fn plain<B>(body: B) -> Plain
where
    B: Body<Data = Bytes, Error: Display> + Send + 'static,
{
    body.map_err(|error| NoResponse::Network(error.to_string())).boxed_unsync()
}

/// The body of a response.
pub(crate) struct Watched {
    held: Arc<Mutex<Option<Held>>>,
    /// Octets that may still come.
    left: usize,
    deadline: Pin<Box<Sleep>>,
    timer: AbortHandle,
    /// What the request comes to, unless more is heard of it.
    outcome: Outcome,
    outcomes: Arc<Outcomes>,
    has_ended: bool,
}

/// What is given back once nothing more is to come.
struct Held {
    body: Plain,
    _slot: OwnedSemaphorePermit,
}

impl Watched {
    /// A body that nobody has after `deadline`. Needs a tokio runtime.
    pub(super) fn new(
        body: Plain,
        deadline: Instant,
        slot: OwnedSemaphorePermit,
        outcomes: Arc<Outcomes>,
    ) -> Watched {
        let held = Arc::new(Mutex::new(Some(Held { body, _slot: slot })));
        let waiting = Arc::clone(&held);
        let timer = tokio::spawn(async move {
            tokio::time::sleep_until(deadline).await;
            let held = lock(&waiting).take();
            drop(held);
        });
        Watched {
            held,
            left: limits::HTTP_RESPONSE_BYTES_MAX,
            deadline: Box::pin(tokio::time::sleep_until(deadline)),
            timer: timer.abort_handle(),
            outcome: Outcome::Ok,
            outcomes,
            has_ended: false,
        }
    }

    /// Nothing more is to come.
    fn end(&mut self) {
        self.has_ended = true;
        self.timer.abort();
        let held = lock(&self.held).take();
        drop(held);
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, NoResponse>>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(NoResponse::Timeout)));
        }
        let frame = match &mut *lock(&self.held) {
            Some(held) => ready!(Pin::new(&mut held.body).poll_frame(cx)),
            None => Some(Err(NoResponse::Timeout)),
        };
        let octets = |frame: &Frame<Bytes>| frame.data_ref().map_or(0, Bytes::remaining);
        let frame = frame.map(|frame| {
            let frame = frame?;
            self.left = self.left.checked_sub(octets(&frame)).ok_or(NoResponse::TooLarge)?;
            Ok(frame)
        });
        Poll::Ready(frame)
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = NoResponse;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NoResponse>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let frame = ready!(self.next(cx));
        if let Some(Err(error)) = &frame {
            self.outcome = error.into();
        }
        if !matches!(frame, Some(Ok(_))) {
            self.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || lock(&self.held).as_ref().is_some_and(|held| held.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let held = lock(&self.held);
        held.as_ref().map_or_else(SizeHint::default, |held| held.body.size_hint())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.timer.abort();
        self.outcomes.ended(self.outcome);
    }
}

fn lock(held: &Mutex<Option<Held>>) -> MutexGuard<'_, Option<Held>> {
    // Of use to nobody if reading it panicked, and given back like any other.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
