//! Whole calls: an instance is taken out, the guest asked, what it says checked, and the instance put
//! back, or dropped with what it failed of. Whoever asks settles a failure by its policy.

use std::sync::Arc;

use waft_core::SessionFacts;
use wasmtime::Store;
use wasmtime::component::Resource;

use super::Plugin;
use crate::artifact::Exports;
use crate::capability::sessions::Session;
use crate::errors::Failure;
use crate::guest::{Caller, Guest};
use crate::onlooker::Told;

impl Plugin {
    /// Makes one call about a session, and checks what comes of it; `about` is for whoever looks on.
    ///
    /// # Errors
    /// The failure, counted and logged.
    pub(crate) async fn ask<T, U: Told>(
        &self,
        caller: Caller,
        session: &Arc<SessionFacts>,
        about: impl FnOnce() -> String,
        call: impl AsyncFnOnce(&Exports, &mut Store<Guest>, Resource<Session>) -> wasmtime::Result<T>,
        check: impl FnOnce(T) -> Result<U, Failure>,
    ) -> Result<U, Failure> {
        let (begun, lease) = self.begin(caller, Some(session)).await;
        let begun = begun.about(about);
        match lease {
            Ok(mut lease) => {
                let said = lease.warm.call_about(caller, session, call).await;
                begun.end(lease, said.and_then(check))
            }
            Err(failure) => Err(begun.failed(failure)),
        }
    }

    /// The same about nobody's session, where nothing is to be checked.
    ///
    /// # Errors
    /// The failure, counted and logged.
    pub(crate) async fn tell<T: Told>(
        &self,
        caller: Caller,
        about: impl FnOnce() -> String,
        call: impl AsyncFnOnce(&Exports, &mut Store<Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        let (begun, lease) = self.begin(caller, None).await;
        let begun = begun.about(about);
        match lease {
            Ok(mut lease) => {
                let said = lease.warm.call(caller, None, call).await;
                begun.end(lease, said)
            }
            Err(failure) => Err(begun.failed(failure)),
        }
    }
}
