//! An instance that belongs to one transfer, with the guest's own thing for it: a reader, a writer
//! or a filter.
//!
//! As everywhere, the instance is moved into each call and back only after success: a transfer that
//! is dropped in the middle of one takes the instance along. Dropped between calls, the guest's
//! thing is dropped in order, which is how a guest learns that an upload was given up.

use std::fmt;
use std::sync::Arc;

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
    plugin: Arc<Plugin>,
    caller: Caller,
    session: Arc<SessionFacts>,
    held: Option<Held>,
}

/// The instance, and what the guest made in it.
struct Held {
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
                let held = Some(Held { lease, thing });
                let (plugin, session) = (Arc::clone(plugin), Arc::clone(session));
                Ok(Ok(Pinned { plugin, caller, session, held }))
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
        let Some(Held { mut lease, thing }) = self.held.take() else { return Err(Failure::Gone) };
        let session = Some(self.session.id);
        let further = self.plugin.begin_further(self.caller, session);
        let call =
            async |exports: &Exports, store: &mut Store<Guest>| call(exports, store, thing).await;
        let result = lease.warm.call(self.caller, session, call).await;
        let (value, lease) = further.keep(lease, result.and_then(check))?;
        self.held = Some(Held { lease, thing });
        Ok(value)
    }

    /// Lets the guest drop its thing and puts the instance back.
    pub(crate) async fn close(mut self) {
        if let Some(held) = self.held.take() {
            release(Arc::clone(&self.plugin), self.caller, Arc::clone(&self.session), held).await;
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let (Some(held), Ok(runtime)) = (self.held.take(), Handle::try_current()) {
            let (plugin, session) = (Arc::clone(&self.plugin), Arc::clone(&self.session));
            runtime.spawn(release(plugin, self.caller, session, held));
        }
    }
}

/// What goes wrong here is counted and logged, and nobody else waits for it.
async fn release(plugin: Arc<Plugin>, caller: Caller, session: Arc<SessionFacts>, held: Held) {
    let Held { mut lease, thing } = held;
    let session = Some(session.id);
    let further = plugin.begin_further(caller, session);
    let call = async |_: &Exports, store: &mut Store<Guest>| thing.resource_drop_async(store).await;
    let dropped = lease.warm.call(caller, session, call).await;
    let _ = further.end(lease, dropped);
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned")
            .field("plugin", &self.plugin.name)
            .field("caller", &self.caller)
            .field("held", &self.held.is_some())
            .finish_non_exhaustive()
    }
}
