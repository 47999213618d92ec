//! `timer`: a call at the time that the plugin asked for. Open on failure: the next time comes.

use wasmtime::Store;

use crate::artifact::Exports;
use crate::guest::{Caller, Guest};
use crate::hook::Hook;
use crate::plugin::Plugin;

/// Tells `plugin` that the time of its timer `name` has come.
pub(crate) async fn ring(plugin: &Plugin, generation: u64, name: &str) {
    let caller = Caller { hook: Hook::Timer, generation };
    let ring = async |exports: &Exports, store: &mut Store<Guest>| match &exports.timer {
        Some(hook) => hook.call_on_timer(store, name).await,
        None => Ok(()),
    };
    // A failure is counted and logged there; nobody waits for an answer.
    let _ = plugin.tell(caller, || name.to_owned(), ring).await;
}
