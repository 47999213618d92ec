//! An instance that belongs to one transfer, with the guest's own thing for it: a reader, a writer
//! or a filter.
//!
//! As everywhere, the instance is moved into each call and back only after success: a transfer that
//! is dropped in the middle of one takes the instance along. Dropped between calls, the guest's
//! thing is dropped in order, which is how a guest learns that an upload was given up.
//!
//! A transfer whose session goes by another version of the plugin is not reached through the
//! session's generation: the plugin knows of it, to end it with those of its own.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use waft_core::SessionFacts;
use wasmtime::Store;
use wasmtime::component::{Resource, ResourceAny};

use super::Plugin;
use crate::artifact::Exports;
use crate::capability::sessions::Session;
use crate::errors::Failure;
use crate::guest::{Caller, Guest};
use crate::pool::Lease;

/// An instance that belongs to one transfer.
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
    lease: Lease,
    thing: ResourceAny,
}

impl Pinned {
    /// Takes an instance out and lets the guest make its thing; the inner error is the guest's own.
    ///
    /// # Errors
    /// The failure, counted and logged.
    pub(crate) async fn open<E>(
        plugin: &Arc<Plugin>,
        caller: Caller,
        session: &Arc<SessionFacts>,
        make: impl AsyncFnOnce(
            &Exports,
            &mut Store<Guest>,
            Resource<Session>,
        ) -> wasmtime::Result<Result<ResourceAny, E>>,
    ) -> Result<Result<Pinned, E>, Failure> {
        let (call, lease) = plugin.begin_transfer(caller, Some(session.id)).await;
        let mut lease = match lease {
            Ok(lease) => lease,
            Err(failure) => return Err(call.failed(failure)),
        };
        match lease.warm.call_about(caller, session, make).await {
            Ok(Ok(thing)) => {
                let ((), lease) = call.keep(lease, Ok(()))?;
                let (plugin, session) = (Arc::clone(plugin), Arc::clone(session));
                let (name, place) = (Arc::clone(&plugin.name), Arc::<Place>::default());
                place.put(Held { plugin, caller, session, lease, thing });
                Ok(Ok(Pinned { name, place }))
            }
            Ok(Err(error)) => call.end(lease, Ok(Err(error))),
            Err(failure) => call.end(lease, Err(failure)),
        }
    }

    /// Makes one more call about the thing, and checks what comes of it.
    ///
    /// # Errors
    /// The failure, counted and logged. There is no further call then.
    pub(crate) async fn call<T, U>(
        &mut self,
        call: impl AsyncFnOnce(&Exports, &mut Store<Guest>, ResourceAny) -> wasmtime::Result<T>,
        check: impl FnOnce(T) -> Result<U, Failure>,
    ) -> Result<U, Failure> {
        let held = self.place.take().ok_or(Failure::Gone)?;
        let Held { plugin, caller, session, mut lease, thing } = held;
        let further = plugin.begin_further(caller, Some(session.id));
        let call =
            async |exports: &Exports, store: &mut Store<Guest>| call(exports, store, thing).await;
        let result = lease.warm.call(caller, Some(session.id), call).await;
        let (value, lease) = further.keep(lease, result.and_then(check))?;
        self.place.put(Held { plugin, caller, session, lease, thing });
        Ok(value)
    }

    /// Has the plugin end the transfer where its version is ended by force: the session's generation
    /// does not.
    pub(crate) fn stand_apart(&self) {
        if let Some(held) = &self.place.slot().held {
            held.plugin.add_apart(&self.place);
        }
    }

    /// Lets the guest drop its thing and puts the instance back.
    pub(crate) async fn close(self) {
        let held = self.place.take();
        if let Some(held) = held {
            held.release().await;
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
        let Held { plugin, caller, session, mut lease, thing } = self;
        let session = Some(session.id);
        let further = plugin.begin_further(caller, session);
        let call =
            async |_: &Exports, store: &mut Store<Guest>| thing.resource_drop_async(store).await;
        let dropped = lease.warm.call(caller, session, call).await;
        let _ = further.end(lease, dropped);
    }

    /// The same, where nobody can wait.
    fn release_apart(self) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(self.release());
        }
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
