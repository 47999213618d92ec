//! Events on their way to the plugins that want them: a bounded queue for each plugin's name, so
//! that no session ever waits for one, and what waits survives an exchange of the plugin.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use waft_core::event::{Event, Happening};

use crate::bindings::exports::waft::plugin::event_sink::{self, Value};
use crate::hook::Hook;
use crate::lent::Services;
use crate::limits;
use crate::plugin::Plugin;
use crate::status::EventCounts;

/// Where events go.
#[derive(Default)]
pub(crate) struct Outbox {
    /// The plugins in force that want events.
    sinks: ArcSwap<Vec<Sink>>,
    queues: Mutex<BTreeMap<Arc<str>, Arc<Queue>>>,
    last_id: AtomicU64,
    /// Has the time.
    services: Services,
}

/// A plugin that wants events.
struct Sink {
    plugin: Arc<Plugin>,
    queue: Arc<Queue>,
}

/// The events that wait for one plugin.
pub(crate) struct Queue {
    plugin: Arc<str>,
    inner: Mutex<Inner>,
    news: Notify,
    emptied: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Arc<event_sink::Event>>,
    /// Events that were taken out and are not settled.
    underway: bool,
    dropped: u64,
    /// Of those, how many nobody was told of.
    untold: u64,
    closed: bool,
}

/// Events taken out of a queue, to be delivered together.
pub(crate) struct Batch {
    pub(crate) events: Vec<event_sink::Event>,
    /// Events that were dropped since the batch before.
    pub(crate) dropped: u64,
}

impl Outbox {
    /// Nobody wants any yet.
    pub(crate) fn new(services: Services) -> Outbox {
        Outbox { services, ..Outbox::default() }
    }

    /// Goes by other plugins. Returns the queues that are new: somebody must empty them.
    pub(crate) fn serve(&self, plugins: &[Arc<Plugin>]) -> Vec<Arc<Queue>> {
        let mut queues = lock(&self.queues);
        let mut new = Vec::new();
        let sinks: Vec<Sink> = plugins
            .iter()
            .filter(|plugin| plugin.artifact.has(Hook::EventSink))
            .map(|plugin| {
                let queue = queues.entry(Arc::clone(&plugin.name)).or_insert_with(|| {
                    let queue = Arc::new(Queue::new(Arc::clone(&plugin.name)));
                    new.push(Arc::clone(&queue));
                    queue
                });
                Sink { plugin: Arc::clone(plugin), queue: Arc::clone(queue) }
            })
            .collect();
        queues.retain(|name, queue| {
            let wanted = sinks.iter().any(|sink| sink.plugin.name == *name);
            if !wanted {
                queue.close();
            }
            wanted
        });
        self.sinks.store(Arc::new(sinks));
        new
    }

    /// Takes an event of a session.
    pub(crate) fn take(&self, event: &Event) {
        let name = event.what.name();
        self.put(name, None, || (Some(event.session.id.0), fields(event)));
    }

    /// Takes an event about a plugin, for all others.
    pub(crate) fn tell(&self, name: &str, about: &str, facts: &[(&str, &str)]) {
        self.put(name, Some(about), || {
            let text = |value: &str| Value::Text(value.to_owned());
            let mut fields = vec![("plugin".to_owned(), text(about))];
            fields.extend(facts.iter().map(|(name, value)| ((*name).to_owned(), text(value))));
            (None, fields)
        });
    }

    fn put(
        &self,
        name: &str,
        not_to: Option<&str>,
        what: impl FnOnce() -> (Option<u64>, Vec<(String, Value)>),
    ) {
        let sinks = self.sinks.load();
        let mut wanting = sinks.iter().filter(|sink| {
            sink.plugin.interest.events.contain(name) && not_to != Some(&*sink.plugin.name)
        });
        let Some(first) = wanting.next() else { return };
        let (session, fields) = what();
        let event = Arc::new(event_sink::Event {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            time_ms: self.services.now_ms(),
            name: name.to_owned(),
            session,
            fields,
        });
        for sink in std::iter::once(first).chain(wanting) {
            sink.queue.push(Arc::clone(&event));
        }
    }

    /// How many events wait for that plugin, if it wants any.
    pub(crate) fn counts(&self, plugin: &str) -> Option<EventCounts> {
        lock(&self.queues).get(plugin).map(|queue| queue.counts())
    }

    /// Waits until every event that came before has been settled.
    pub(crate) async fn drained(&self) {
        let queues: Vec<_> = lock(&self.queues).values().cloned().collect();
        for queue in queues {
            queue.drained().await;
        }
    }
}

impl Queue {
    fn new(plugin: Arc<str>) -> Queue {
        let inner = Mutex::default();
        Queue { plugin, inner, news: Notify::new(), emptied: Notify::new() }
    }

    /// The plugin that it is for.
    pub(crate) fn plugin(&self) -> &str {
        &self.plugin
    }

    fn push(&self, event: Arc<event_sink::Event>) {
        let mut inner = lock(&self.inner);
        if inner.waiting.len() >= limits::EVENTS_WAITING_MAX {
            inner.waiting.pop_front();
            inner.dropped += 1;
            inner.untold += 1;
        }
        inner.waiting.push_back(event);
        // The rest of a batch is waited for with a clock: the first and the last are news.
        if matches!(inner.waiting.len(), 1 | limits::EVENTS_IN_BATCH_MAX) {
            self.news.notify_one();
        }
    }

    fn close(&self) {
        lock(&self.inner).closed = true;
        self.news.notify_one();
        self.emptied.notify_waiters();
    }

    fn counts(&self) -> EventCounts {
        let inner = lock(&self.inner);
        EventCounts { waiting: inner.waiting.len(), dropped: inner.dropped }
    }

    /// Waits for events; gives further ones a moment to come. `None` once nobody wants any.
    pub(crate) async fn next(&self) -> Option<Batch> {
        loop {
            {
                let inner = lock(&self.inner);
                if inner.closed {
                    return None;
                }
                if !inner.waiting.is_empty() {
                    break;
                }
            }
            self.news.notified().await;
        }
        if self.counts().waiting < limits::EVENTS_IN_BATCH_MAX {
            // A full batch ends the wait. The result does not matter: what is there is taken.
            let _ = tokio::time::timeout(limits::EVENTS_GATHERED_FOR, self.news.notified()).await;
        }
        let mut inner = lock(&self.inner);
        let count = inner.waiting.len().min(limits::EVENTS_IN_BATCH_MAX);
        let dropped = std::mem::take(&mut inner.untold);
        let waited = inner.waiting.drain(..count).map(Arc::unwrap_or_clone);
        let events = (dropped > 0).then(|| gap(dropped)).into_iter().chain(waited).collect();
        inner.underway = true;
        Some(Batch { events, dropped })
    }

    /// Notes that the batch taken out last was delivered, or `lost` of its events were dropped.
    pub(crate) fn settled(&self, lost: u64) {
        let mut inner = lock(&self.inner);
        inner.underway = false;
        inner.dropped += lost;
        inner.untold += lost;
        drop(inner);
        self.emptied.notify_waiters();
    }

    async fn drained(&self) {
        loop {
            let emptied = self.emptied.notified();
            {
                let inner = lock(&self.inner);
                if inner.closed || inner.waiting.is_empty() && !inner.underway {
                    return;
                }
            }
            emptied.await;
        }
    }
}

/// Tells a plugin that events are missing before those that follow.
fn gap(dropped: u64) -> event_sink::Event {
    let count = Value::Number(i64::try_from(dropped).unwrap_or(i64::MAX));
    let fields = vec![("count".to_owned(), count)];
    let name = "events.dropped".to_owned();
    event_sink::Event { id: 0, time_ms: now_ms(), name, session: None, fields }
}

/// What is told of an event besides its name.
fn fields(event: &Event) -> Vec<(String, Value)> {
    let text = |value: &dyn ToString| Value::Text(value.to_string());
    let number = |value: u128| Value::Number(i64::try_from(value).unwrap_or(i64::MAX));
    let session = &event.session;
    let mut fields = vec![("peer", text(&session.peer)), ("listener", text(&session.listener))];
    if let Some(user) = &session.user {
        fields.push(("user", text(user)));
    }
    fields.push(("tls", Value::Flag(session.tls.is_some())));
    match &event.what {
        Happening::SessionOpened | Happening::LoggedIn => {}
        Happening::SessionClosed { reason, commands, elapsed } => fields.extend([
            ("reason", text(reason)),
            ("commands", number(u128::from(*commands))),
            ("elapsed-ms", number(elapsed.as_millis())),
        ]),
        Happening::LoginFailed { user, reason } => {
            fields.extend([("user", text(user)), ("reason", text(reason))]);
        }
        Happening::TransferEnded { path, bytes, elapsed, .. } => fields.extend([
            ("path", text(path)),
            ("bytes", number(u128::from(*bytes))),
            ("elapsed-ms", number(elapsed.as_millis())),
        ]),
        Happening::Renamed { from, to } => fields.extend([("path", text(from)), ("to", text(to))]),
        Happening::FileRemoved { path }
        | Happening::DirectoryMade { path }
        | Happening::DirectoryRemoved { path } => fields.push(("path", text(path))),
    }
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_queue_to_empty_hears_that_nobody_empties_it_any_more() {
        let queue = Queue::new("p".into());
        queue.push(Arc::new(gap(1)));
        let both = async { tokio::join!(queue.drained(), async { queue.close() }) };
        tokio::time::timeout(limits::EVENTS_GATHERED_FOR, both).await.unwrap();
    }
}
