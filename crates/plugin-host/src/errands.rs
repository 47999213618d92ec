//! Calls that no session makes: timers, and events on their way to plugins.

use std::sync::{Arc, Weak};

use tokio::time::{Instant, sleep, sleep_until};

use crate::capability::log::cleaned;
use crate::hook::Hook;
use crate::hooks::events::{Delivery, deliver};
use crate::hooks::timer::ring;
use crate::host::Shared;
use crate::interest::Timer;
use crate::limits;
use crate::outbox::{Batch, End, Queue};
use crate::plugin::Plugin;

/// Starts what plugins that have just come into force want done without a session.
pub(crate) fn start(shared: &Arc<Shared>, new: &[Arc<Plugin>], queues: Vec<Arc<Queue>>) {
    for queue in queues {
        let own = Arc::clone(&queue);
        tokio::spawn(async move { own.spool().await });
        tokio::spawn(empty(Arc::downgrade(shared), queue));
    }
    for plugin in new.iter().filter(|plugin| plugin.artifact.has(Hook::Timer)) {
        let timers = plugin.interest.timers.clone();
        tokio::spawn(keep_time(Arc::downgrade(shared), Arc::downgrade(plugin), timers));
    }
}

/// Rings the timers of a plugin as long as it is in force: one call at a time, missed times skipped.
async fn keep_time(shared: Weak<Shared>, plugin: Weak<Plugin>, timers: Vec<Timer>) {
    let began = Instant::now();
    let mut due: Vec<_> = timers.into_iter().map(|timer| (began + timer.every, timer)).collect();
    while let Some((at, timer)) = due.iter_mut().min_by_key(|(at, _)| *at) {
        sleep_until(*at).await;
        let (Some(shared), Some(plugin)) = (shared.upgrade(), plugin.upgrade()) else { return };
        let Some(generation) = shared.generation_of(&plugin) else { return };
        drop(shared);
        ring(&plugin, generation, &timer.name).await;
        *at = timer.next(*at, Instant::now());
    }
}

/// Delivers the events of one queue until nobody wants them any more.
async fn empty(shared: Weak<Shared>, queue: Arc<Queue>) {
    while let Some(batch) = queue.next().await {
        if batch.dropped > 0 {
            tracing::warn!(plugin = queue.plugin(), dropped = batch.dropped, "events dropped");
        }
        let Some(end) = bring(&shared, &queue, &batch).await else { return };
        queue.settled(&batch, end);
    }
}

/// Delivers a batch, again and again where the plugin asks for that. `None` where the host is gone.
async fn bring(shared: &Weak<Shared>, queue: &Queue, batch: &Batch) -> Option<End> {
    let mut pause = limits::DELIVERY_PAUSE_MIN;
    let mut failures = 0;
    loop {
        let found = shared.upgrade()?.find(queue.plugin());
        // Removed meanwhile, or another version wants none: nobody is left who does.
        let found = found.filter(|(plugin, _)| plugin.artifact.has(Hook::EventSink));
        let Some((plugin, generation)) = found else { return Some(End::Left) };
        match deliver(&plugin, generation, &batch.events).await {
            Delivery::Done => return Some(End::Delivered),
            Delivery::Refused(reason) => {
                let (plugin, reason) = (queue.plugin(), cleaned(&reason));
                tracing::warn!(plugin, reason, "events not taken, trying again");
            }
            Delivery::Failed => failures += 1,
        }
        if failures >= limits::DELIVERY_FAILURES_MAX {
            let (plugin, events) = (queue.plugin(), batch.events.len());
            tracing::error!(plugin, events, "events dropped: the plugin fails on them");
            return Some(End::GivenUp);
        }
        drop(plugin);
        sleep(pause).await;
        pause = (pause * 2).min(limits::DELIVERY_PAUSE_MAX);
    }
}
