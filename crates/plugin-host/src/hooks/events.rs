//! `event-sink`: a batch of events, delivered off the sessions' path.

use wasmtime::Store;

use crate::artifact::Exports;
use crate::bindings::exports::waft::plugin::event_sink::Event;
use crate::guest::{Caller, Guest};
use crate::hook::Hook;
use crate::plugin::Plugin;

/// What came of a delivery.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// The plugin has the events.
    Done,
    /// The plugin says that it could not do its work: it is given them again.
    Refused(String),
    /// It broke, or could not be asked; that is counted and logged already.
    Failed,
}

/// Gives `plugin` some events.
pub(crate) async fn deliver(plugin: &Plugin, generation: u64, events: &[Event]) -> Delivery {
    let caller = Caller { hook: Hook::EventSink, generation };
    let about = || {
        let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
        names.join(" ")
    };
    let deliver = async |exports: &Exports, store: &mut Store<Guest>| match &exports.events {
        Some(hook) => hook.call_on_events(store, events).await,
        None => Ok(Ok(())),
    };
    match plugin.tell(caller, about, deliver).await {
        Ok(Ok(())) => Delivery::Done,
        Ok(Err(reason)) => Delivery::Refused(reason),
        Err(_) => Delivery::Failed,
    }
}
