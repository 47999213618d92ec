//! `timer`: a call at the time that the plugin asked for. Open on failure: the next time comes.

use crate::guest::Caller;
use crate::hook::Hook;
use crate::plugin::Plugin;

/// Tells `plugin` that the time of its timer `name` has come.
pub(crate) async fn ring(plugin: &Plugin, generation: u64, name: &str) {
    let caller = Caller { hook: Hook::Timer, generation };
    let (call, lease) = plugin.begin(caller, None).await;
    let call = call.about(|| name.to_owned());
    let mut lease = match lease {
        Ok(lease) => lease,
        Err(failure) => {
            call.failed(failure);
            return;
        }
    };
    let rung = lease
        .warm
        .call(caller, None, async |exports, store| match &exports.timer {
            Some(hook) => hook.call_on_timer(store, name).await,
            None => Ok(()),
        })
        .await;
    // A failure is counted and logged there; nobody waits for an answer.
    let _ = call.end(lease, rung);
}
