//! Events on their way to the plugins that want them: a bounded queue for each plugin's name, so
//! that no session ever waits for one, and what waits survives an exchange of the plugin.

mod queue;
mod spool;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use waft_core::event::{Event, Happening, TransferFailure};

use crate::bindings::exports::waft::plugin::event_sink::{self, Value};
use crate::hook::Hook;
use crate::lent::Services;
use crate::load::blocking;
use crate::news;
use crate::plugin::Plugin;
use crate::status::EventCounts;

pub(crate) use queue::{Batch, End, Queue};
use spool::Spool;

/// Where events go.
pub(crate) struct Outbox {
    /// The plugins in force that want events.
    sinks: ArcSwap<Vec<Sink>>,
    queues: Mutex<BTreeMap<Arc<str>, Arc<Queue>>>,
    last_id: AtomicU64,
    /// Where what lasts is kept.
    state: Option<PathBuf>,
    /// Has the time.
    services: Services,
}

/// A plugin that wants events.
struct Sink {
    plugin: Arc<Plugin>,
    queue: Arc<Queue>,
}

impl Outbox {
    /// Nobody wants any yet. What lasts is kept in the directory `state`; without one, nothing does.
    pub(crate) fn new(services: Services, state: Option<PathBuf>) -> Outbox {
        // Numbers go on where an earlier process cannot have come to: in microseconds since 1970.
        let last_id = AtomicU64::new(services.now_ms().saturating_mul(1000));
        let (sinks, queues) = (ArcSwap::default(), Mutex::default());
        Outbox { sinks, queues, last_id, state, services }
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
                if let Some(state) = &self.state {
                    let bytes = plugin.settings.grants.durable_events;
                    queue.grant(bytes, || Spool::of(state, &plugin.name));
                }
                Sink { plugin: Arc::clone(plugin), queue: Arc::clone(queue) }
            })
            .collect();
        queues.retain(|name, queue| {
            let wanted = sinks.iter().any(|sink| sink.plugin.name == *name);
            let over = !wanted && queue.desert();
            if over {
                queue.close();
            }
            !over
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

    /// Waits until what is to last is on the disk.
    pub(crate) async fn written(&self) {
        let queues: Vec<_> = lock(&self.queues).values().cloned().collect();
        for queue in queues {
            queue.written().await;
        }
    }

    /// Removes what waits on the disk for plugins that have been gone for long.
    pub(crate) async fn forget_old(&self) {
        let Some(state) = self.state.clone() else { return };
        let in_use: Vec<_> = lock(&self.queues).keys().cloned().collect();
        let forgotten = blocking(move || spool::forget_old(&state, &in_use)).await;
        if let Some(Err(error)) = forgotten {
            tracing::warn!(reason = %error, "old events on disk are not removed");
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        lock(&self.queues).values().for_each(|queue| queue.close());
    }
}

/// Tells a plugin that events are missing before those that follow.
fn gap(dropped: u64) -> event_sink::Event {
    let count = Value::Number(i64::try_from(dropped).unwrap_or(i64::MAX));
    let fields = vec![("count".to_owned(), count)];
    let name = news::DROPPED.to_owned();
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
        Happening::LoginFailed { user, reason } | Happening::LoginUndecided { user, reason } => {
            fields.extend([("user", text(user)), ("reason", text(reason))]);
        }
        Happening::TransferEnded { path, bytes, elapsed, failure, .. } => {
            fields.extend([
                ("path", text(path)),
                ("bytes", number(u128::from(*bytes))),
                ("elapsed-ms", number(elapsed.as_millis())),
            ]);
            if let Some(TransferFailure { reason, code, plugin }) = failure {
                fields.push(("reason", text(reason)));
                fields.push(("code", Value::Number(i64::from(code.number()))));
                fields.extend(plugin.as_ref().map(|plugin| ("plugin", text(plugin))));
            }
        }
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
