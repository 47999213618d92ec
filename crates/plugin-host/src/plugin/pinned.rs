//! What one transfer has of an instance: all of it or a seat, with the guest's own thing for it: a
//! reader, a writer or a filter.
//!
//! As everywhere, the instance is moved into each call and back only after success: a transfer that
//! is dropped in the middle of one takes the instance along. One that shares its instance is not
//! dropped then: others would lose theirs, so the call goes on to its end, with nobody waiting for it.
//! Dropped between calls, the guest's thing is dropped in order, which is how a guest learns that an
//! upload was given up.
//!
//! A file in the storage of a plugin is opened with the version in force, while its session may go on
//! with another one: such a transfer is not reached through the session's generation. So the plugin
//! knows of it.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::runtime::Handle;
use waft_core::{BoxFuture, SessionFacts};
use wasmtime::Store;
use wasmtime::component::{Resource, ResourceAny};

use super::Plugin;
use crate::artifact::Exports;
use crate::capability::sessions::Session;
use crate::errors::Failure;
use crate::guest::{Caller, Guest};
use crate::limits;
use crate::onlooker::Told;
use crate::pool::Hold;

/// What a call of the guest's comes to.
pub(crate) type Said<'a, T> = BoxFuture<'a, wasmtime::Result<T>>;

/// What one transfer has of an instance.
pub(crate) struct Pinned {
    name: Arc<str>,
    place: Arc<Place>,
}

/// What a transfer has of a plugin, as long as nobody ends it.
#[derive(Default)]
pub(crate) struct Place(Mutex<Slot>);

#[derive(Default)]
struct Slot {
    /// Not there during a call, and behind one that failed.
    held: Option<Held>,
    has_ended: bool,
}

/// The instance, and what the guest made in it.
struct Held {
    plugin: Arc<Plugin>,
    caller: Caller,
    session: Arc<SessionFacts>,
    hold: Hold,
    thing: ResourceAny,
}

impl Pinned {
    /// Takes an instance out and lets the guest make its thing; the inner error is the guest's own.
    ///
    /// # Errors
    /// The failure, counted and logged.
    pub(crate) async fn open<E: Told + Send + 'static>(
        plugin: &Arc<Plugin>,
        caller: Caller,
        session: &Arc<SessionFacts>,
        about: impl FnOnce() -> String + Send + 'static,
        make: impl for<'a> FnOnce(
            &'a Exports,
            &'a mut Store<Guest>,
            Resource<Session>,
        ) -> Said<'a, Result<ResourceAny, E>>
        + Send
        + 'static,
    ) -> Result<Result<Pinned, E>, Failure> {
        let (plugin, session) = (Arc::clone(plugin), Arc::clone(session));
        let is_shared = plugin.settings.share > 1;
        let opening = async move {
            let (call, joined) = plugin.begin_transfer(caller, Some(session.id)).await;
            let call = call.about(about);
            let (mut lease, turn) = match joined {
                Ok(joined) => joined,
                Err(failure) => return Err(call.failed(failure)),
            };
            let make = async |exports: &Exports, store: &mut Store<Guest>, session| {
                make(exports, store, session).await
            };
            let made = lease.warm.call_about(caller, &session, make).await;
            let (made, lease) = call.keep(lease, made);
            let (made, lease) = (made?, lease.ok_or(Failure::Gone)?);
            let thing = match made {
                Ok(thing) => thing,
                Err(error) => {
                    turn.give_up(lease, &plugin.pool);
                    return Ok(Err(error));
                }
            };
            let (name, place) = (Arc::clone(&plugin.name), Arc::<Place>::default());
            place.put(Held { plugin, caller, session, hold: turn.begin(lease), thing });
            Ok(Ok(Pinned { name, place }))
        };
        Whole::new(opening, is_shared).await
    }

    /// Makes one more call about the thing, and checks what comes of it.
    ///
    /// # Errors
    /// The failure, counted and logged. There is no further call then, but for one behind a verdict
    /// that does not fit.
    pub(crate) async fn call<T: Send + 'static, U: Told + Send + 'static>(
        &mut self,
        about: impl FnOnce() -> String + Send + 'static,
        call: impl for<'a> FnOnce(&'a Exports, &'a mut Store<Guest>, ResourceAny) -> Said<'a, T>
        + Send
        + 'static,
        check: impl FnOnce(T) -> Result<U, Failure> + Send + 'static,
    ) -> Result<U, Failure> {
        let held = self.place.take().ok_or(Failure::Gone)?;
        let place = Arc::clone(&self.place);
        let is_shared = held.hold.is_shared();
        let calling = async move {
            let Held { plugin, caller, session, hold, thing } = held;
            let further = plugin.begin_further(caller, Some(session.id)).about(about);
            let (mut lease, turn) = match hold.take().await {
                Ok(taken) => taken,
                Err(failure) => return Err(further.failed(failure)),
            };
            let call = async |exports: &Exports, store: &mut Store<Guest>| {
                call(exports, store, thing).await
            };
            let result = lease.warm.call(caller, Some(session.id), call).await;
            let (value, lease) = further.keep(lease, result.and_then(check));
            if let Some(lease) = lease {
                place.put(Held { plugin, caller, session, hold: turn.end(lease), thing });
            }
            value
        };
        Whole::new(calling, is_shared).await
    }

    /// Has the plugin know of the transfer.
    pub(crate) fn enlist(&self) {
        if let Some(held) = &self.place.slot().held {
            held.plugin.note_transfer(held.session.id, &self.place);
        }
    }

    /// Lets the guest drop its thing and puts the instance back.
    pub(crate) async fn close(self) {
        let held = self.place.take();
        if let Some(held) = held {
            let is_shared = held.hold.is_shared();
            Whole::new(held.release(), is_shared).await;
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.place.end();
    }
}

impl Place {
    /// Takes the instance away from the transfer, at the latest behind the call in progress. Tells
    /// whether it had not ended before.
    pub(crate) fn end(&self) -> bool {
        let mut slot = self.slot();
        let had_ended = std::mem::replace(&mut slot.has_ended, true);
        let held = slot.held.take();
        drop(slot);
        if let Some(held) = held {
            held.release_apart();
        }
        !had_ended
    }

    /// Whether it has ended so.
    pub(crate) fn has_ended(&self) -> bool {
        self.slot().has_ended
    }

    fn take(&self) -> Option<Held> {
        self.slot().held.take()
    }

    fn put(&self, held: Held) {
        let mut slot = self.slot();
        if !slot.has_ended {
            slot.held = Some(held);
            return;
        }
        drop(slot);
        held.release_apart();
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// What goes wrong here is counted and logged, and nobody else waits for it.
    async fn release(self) {
        let Held { plugin, caller, session, hold, thing } = self;
        let session = Some(session.id);
        let Ok((mut lease, turn)) = hold.take().await else { return };
        let further = plugin.begin_further(caller, session).about(|| "drop".to_owned());
        let call =
            async |_: &Exports, store: &mut Store<Guest>| thing.resource_drop_async(store).await;
        let dropped = lease.warm.call(caller, session, call).await;
        if let (_, Some(lease)) = further.keep(lease, dropped) {
            turn.leave(lease, &plugin.pool);
        }
    }

    /// The same, where nobody can wait.
    fn release_apart(self) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(self.release());
        }
    }
}

/// A call of a guest that, where others share the instance, is made to its end even if nobody waits
/// for it any more.
struct Whole<T: Send + 'static> {
    rest: Option<BoxFuture<'static, T>>,
    goes_on: bool,
}

impl<T: Send + 'static> Whole<T> {
    fn new(call: impl Future<Output = T> + Send + 'static, goes_on: bool) -> Whole<T> {
        Whole { rest: Some(Box::pin(call)), goes_on }
    }
}

impl<T: Send + 'static> Future for Whole<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(rest) = &mut self.rest else { return Poll::Pending };
        let polled = rest.as_mut().poll(context);
        if polled.is_ready() {
            self.rest = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Whole<T> {
    fn drop(&mut self) {
        let rest = self.rest.take().filter(|_| self.goes_on);
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            runtime.spawn(rest);
        }
    }
}

/// The pieces in which a guest gets octets.
pub(crate) fn pieces(octets: &Bytes) -> impl Iterator<Item = Bytes> + use<'_> {
    let starts = (0..octets.len()).step_by(limits::CHUNK_BYTES_MAX);
    starts.map(|start| {
        let end = octets.len().min(start.saturating_add(limits::CHUNK_BYTES_MAX));
        octets.slice(start..end)
    })
}

/// What a guest makes for a transfer.
impl Told for ResourceAny {
    fn told(&self) -> String {
        "opened".to_owned()
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned")
            .field("plugin", &self.name)
            .field("held", &self.place.slot().held.is_some())
            .finish_non_exhaustive()
    }
}
