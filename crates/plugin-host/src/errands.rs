//! Calls that no session makes: timers, and events on their way to plugins.

use std::sync::{Arc, Weak};

use tokio::time::{MissedTickBehavior, interval_at, sleep};

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
        for timer in &plugin.interest.timers {
            let (shared, plugin) = (Arc::downgrade(shared), Arc::downgrade(plugin));
            tokio::spawn(keep_time(shared, plugin, timer.clone()));
        }
    }
}

/// Rings a timer as long as its plugin is in force: one call at a time, missed times skipped.
async fn keep_time(shared: Weak<Shared>, plugin: Weak<Plugin>, timer: Timer) {
    let mut ticks = interval_at(tokio::time::Instant::now() + timer.every, timer.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let (Some(shared), Some(plugin)) = (shared.upgrade(), plugin.upgrade()) else { return };
        let Some(generation) = shared.generation_of(&plugin) else { return };
        drop(shared);
        ring(&plugin, generation, &timer.name).await;
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
