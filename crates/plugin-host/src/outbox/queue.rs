//! The events that wait for one plugin: in memory, so many at most, and where the operator grants
//! that on the disk.
//!
//! ```text
//! sessions ─ push ─► memory ─ next ─► plugin                      without a spool
//! sessions ─ push ─► memory ─ round ─► disk ─ next ─► plugin      with one
//! ```
//!
//! A session only ever touches the memory. With a spool, one task takes what came there to the disk,
//! about every 100 ms while there are news, and another what is on the disk to the plugin; what is
//! delivered is removed with the next round. While the disk refuses events they take the way without
//! a spool, so that the plugin hears them all the same.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::lock;
use super::spool::{Failed, Head, Page, Spool, Standing};
use crate::bindings::exports::waft::plugin::event_sink;
use crate::limits;
use crate::load::blocking;
use crate::status::EventCounts;

/// The events that wait for one plugin.
pub(crate) struct Queue {
    plugin: Arc<str>,
    inner: Mutex<Inner>,
    /// For who delivers.
    news: Notify,
    /// For who writes to the disk.
    unwritten: Notify,
    /// Has them do it at once.
    hurry: Notify,
    /// For who waits for the end of something.
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Arc<event_sink::Event>>,
    /// Events that were taken out and are not settled.
    underway: bool,
    dropped: u64,
    /// Of those, how many nobody was told of.
    untold: u64,
    /// Nobody will want any again.
    closed: bool,
    /// Nobody wants any now.
    deserted: bool,
    disk: Option<Disk>,
}

/// The disk behind a queue.
struct Disk {
    spool: Arc<Spool>,
    /// Octets that there may be; 0 where nothing more is written, and only what is there goes.
    bytes_max: u64,
    /// It was opened.
    opened: bool,
    /// Something is being written; so many events.
    busy: Option<usize>,
    /// It refuses to be written to, or to be opened.
    refuses: bool,
    /// It cannot be read.
    unreadable: bool,
    /// Events on it that are not delivered.
    events: u64,
    bytes: u64,
    /// The position up to which they are delivered, and up to which those are removed.
    delivered: u64,
    removed: u64,
    /// Events delivered, and rounds of writing, so far.
    settled: u64,
    rounds: u64,
}

/// Events taken out of a queue, to be delivered together.
pub(crate) struct Batch {
    pub(crate) events: Vec<event_sink::Event>,
    /// Events that were dropped since the batch before.
    pub(crate) dropped: u64,
    /// Those on the disk that they are: the last position, and how many.
    place: Option<(u64, u64)>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The plugin has it.
    Delivered,
    /// The plugin does not take it: it is dropped.
    GivenUp,
    /// The plugin is gone: what lasts waits for it.
    Left,
}

/// Where the next events to be delivered are.
enum Source {
    Memory,
    Disk { spool: Arc<Spool>, behind: u64 },
    Nowhere,
    Closed,
}

/// What is to be done for the disk.
enum Task {
    Open,
    Write,
    Retry,
    Nothing,
    End,
}

impl Queue {
    pub(crate) fn new(plugin: Arc<str>) -> Queue {
        let [news, unwritten, hurry, changed] = [(); 4].map(|()| Notify::new());
        Queue { plugin, inner: Mutex::default(), news, unwritten, hurry, changed }
    }

    /// The plugin that it is for.
    pub(crate) fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Goes by what the plugin is granted: that many octets on the disk, in a spool.
    pub(crate) fn grant(&self, bytes: Option<u64>, spool: impl FnOnce() -> Spool) {
        let mut inner = lock(&self.inner);
        match (&mut inner.disk, bytes) {
            (Some(disk), bytes) => disk.bytes_max = bytes.unwrap_or(0),
            (None, Some(bytes)) => inner.disk = Some(Disk::new(spool(), bytes)),
            (None, None) => {}
        }
        inner.deserted = false;
        drop(inner);
        self.tell();
    }

    /// Takes an event.
    pub(crate) fn push(&self, event: Arc<event_sink::Event>) {
        let mut inner = lock(&self.inner);
        if inner.waiting.len() >= limits::EVENTS_WAITING_MAX {
            inner.waiting.pop_front();
            inner.lose(1);
        }
        inner.waiting.push_back(event);
        // The rest of a batch is waited for with a clock: the first and the last are news.
        if matches!(inner.waiting.len(), 1 | limits::EVENTS_IN_BATCH_MAX) {
            self.news.notify_one();
            if inner.disk.is_some() && inner.waiting.len() == 1 {
                self.unwritten.notify_one();
            }
        }
    }

    /// Nobody will want any again.
    pub(crate) fn close(&self) {
        lock(&self.inner).closed = true;
        self.hurry.notify_one();
        self.tell();
    }

    /// Nobody wants any now. Tells whether it may be forgotten: nothing of it lasts.
    pub(crate) fn desert(&self) -> bool {
        let mut inner = lock(&self.inner);
        inner.deserted = true;
        inner.disk.is_none()
    }

    /// How many wait, and where.
    pub(crate) fn counts(&self) -> EventCounts {
        let inner = lock(&self.inner);
        let waiting = inner.waiting.len();
        let in_memory = EventCounts { waiting, dropped: inner.dropped, ..EventCounts::default() };
        let Some(disk) = &inner.disk else { return in_memory };
        let spooled = usize::try_from(disk.events).unwrap_or(usize::MAX);
        EventCounts {
            waiting: waiting.saturating_add(disk.busy.unwrap_or(0)).saturating_add(spooled),
            spooled,
            spooled_bytes: disk.bytes,
            spooled_bytes_max: disk.bytes_max,
            ..in_memory
        }
    }

    /// Waits for events; gives further ones a moment to come. `None` once nobody wants any.
    pub(crate) async fn next(&self) -> Option<Batch> {
        loop {
            let source = lock(&self.inner).source();
            let batch = match source {
                Source::Closed => return None,
                Source::Memory => self.gathered().await,
                Source::Disk { spool, behind } => self.read(spool, behind).await,
                Source::Nowhere => {
                    self.news.notified().await;
                    None
                }
            };
            if batch.is_some() {
                return batch;
            }
        }
    }

    /// Events from memory, unless something has come before them meanwhile.
    async fn gathered(&self) -> Option<Batch> {
        if lock(&self.inner).waiting.len() < limits::EVENTS_IN_BATCH_MAX {
            // A full batch ends the wait. The result does not matter: what is there is taken.
            let _ = timeout(limits::EVENTS_GATHERED_FOR, self.news.notified()).await;
        }
        let mut inner = lock(&self.inner);
        let Source::Memory = inner.source() else { return None };
        let count = inner.waiting.len().min(limits::EVENTS_IN_BATCH_MAX);
        let waited: Vec<_> = inner.waiting.drain(..count).map(Arc::unwrap_or_clone).collect();
        Some(inner.batch(waited, None))
    }

    /// Events from the disk, if it can be read.
    async fn read(&self, spool: Arc<Spool>, behind: u64) -> Option<Batch> {
        let head = on_disk(move || spool.head(behind)).await;
        let head = head.map_err(|failed| self.complain(&failed));
        let mut inner = lock(&self.inner);
        let disk = inner.disk.as_mut()?;
        let Ok(Head { events, upto, entries }) = head else {
            disk.unreadable = true;
            self.unwritten.notify_one();
            return None;
        };
        if entries == 0 {
            // It was put aside.
            disk.events = 0;
            self.changed.notify_waiters();
            return None;
        }
        inner.lose(entries.saturating_sub(events.len() as u64));
        Some(inner.batch(events, Some((upto, entries))))
    }

    /// Notes what became of the batch taken out last.
    pub(crate) fn settled(&self, batch: &Batch, end: End) {
        let mut inner = lock(&self.inner);
        inner.underway = false;
        match end {
            End::Delivered => {}
            End::GivenUp => inner.lose(batch.events.len() as u64),
            End::Left => inner.untold += batch.dropped,
        }
        if end == End::Left && batch.place.is_none() {
            inner.lose(batch.events.len() as u64);
        }
        if let (Some(disk), Some((upto, entries))) = (&mut inner.disk, batch.place)
            && end != End::Left
        {
            disk.delivered = upto;
            disk.settled += entries;
            disk.events = disk.events.saturating_sub(entries);
            self.unwritten.notify_one();
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Takes what comes to the disk, wherever there is one, until nobody wants any events.
    pub(crate) async fn spool(&self) {
        loop {
            let task = lock(&self.inner).task();
            let pause = match task {
                Task::End => break,
                Task::Nothing => {
                    self.unwritten.notified().await;
                    continue;
                }
                Task::Open => None,
                Task::Write => Some(limits::EVENTS_GATHERED_FOR),
                Task::Retry => Some(limits::SPOOL_RETRIED_AFTER),
            };
            if let Some(pause) = pause {
                // The result does not matter: either way it is time.
                let _ = timeout(pause, self.hurry.notified()).await;
            }
            self.round().await;
        }
        let spool = lock(&self.inner).disk.as_ref().map(|disk| Arc::clone(&disk.spool));
        if let Some(spool) = spool {
            blocking(move || spool.close()).await;
        }
    }

    /// Opens the spool, or writes to it.
    async fn round(&self) {
        let Some((spool, page, settled)) = lock(&self.inner).begin() else { return };
        let page = Arc::new(page);
        let written = Arc::clone(&page);
        let done = on_disk(move || match &*written {
            None => spool.open(),
            Some(page) => spool.write(page),
        });
        let done = done.await.map_err(|failed| self.complain(&failed));
        if let (Some(_), Ok(Standing { dropped: dropped @ 1.., .. })) = (&*page, &done) {
            tracing::warn!(
                plugin = self.plugin(),
                dropped,
                "events dropped: as many wait on disk as may"
            );
        }
        lock(&self.inner).end(page.as_ref().as_ref(), done, settled);
        self.news.notify_one();
        self.changed.notify_waiters();
    }

    fn complain(&self, Failed(reason): &Failed) {
        let (plugin, retried_after_s) = (self.plugin(), limits::SPOOL_RETRIED_AFTER.as_secs());
        tracing::error!(plugin, reason, retried_after_s, "events are not kept on disk");
    }

    /// Waits until every event that came before has been settled.
    pub(crate) async fn drained(&self) {
        self.until(Inner::is_drained).await;
    }

    /// Waits until what came before is on the disk, where it has to be and the disk takes it.
    pub(crate) async fn written(&self) {
        // One may be under way, and one may be to open it.
        let rounds = lock(&self.inner).disk.as_ref().map_or(0, |disk| disk.rounds + 3);
        let is_over = |inner: &Inner| {
            let over = |disk: &Disk| disk.rounds >= rounds || inner.is_written(disk);
            let over = inner.disk.as_ref().is_none_or(over);
            if !over {
                self.hurry.notify_one();
            }
            over
        };
        self.until(is_over).await;
    }

    async fn until(&self, is_so: impl Fn(&Inner) -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_so(&lock(&self.inner)) {
                return;
            }
            changed.await;
        }
    }

    /// Tells all that something has changed.
    fn tell(&self) {
        self.news.notify_one();
        self.unwritten.notify_one();
        self.changed.notify_waiters();
    }
}

impl Inner {
    fn source(&self) -> Source {
        let waiting = !self.waiting.is_empty();
        match &self.disk {
            _ if self.closed => Source::Closed,
            _ if self.deserted => Source::Nowhere,
            None if waiting => Source::Memory,
            Some(disk) if disk.events > 0 && !disk.unreadable => {
                Source::Disk { spool: Arc::clone(&disk.spool), behind: disk.delivered }
            }
            Some(disk) if waiting && disk.is_passed_by() => Source::Memory,
            _ => Source::Nowhere,
        }
    }

    fn task(&self) -> Task {
        match &self.disk {
            None if self.closed => Task::End,
            None => Task::Nothing,
            Some(disk) if self.closed && (disk.fails() || self.is_written(disk)) => Task::End,
            Some(disk) if disk.fails() => Task::Retry,
            Some(disk) if !disk.opened => Task::Open,
            Some(disk) if self.is_written(disk) => Task::Nothing,
            Some(_) => Task::Write,
        }
    }

    /// Whether the disk has all that it has to.
    fn is_written(&self, disk: &Disk) -> bool {
        let is_kept = self.waiting.is_empty() || disk.bytes_max == 0;
        disk.opened && disk.busy.is_none() && is_kept && disk.removed == disk.delivered
    }

    fn is_drained(&self) -> bool {
        let is_empty =
            |disk: &Disk| disk.busy.is_none() && disk.events == 0 && (disk.opened || disk.refuses);
        let is_empty = self.disk.as_ref().is_none_or(is_empty);
        self.closed || self.deserted || self.waiting.is_empty() && !self.underway && is_empty
    }

    /// Begins a round: what to do with the spool, and how many were settled so far.
    fn begin(&mut self) -> Option<(Arc<Spool>, Option<Page>, u64)> {
        let disk = self.disk.as_mut()?;
        let spool = Arc::clone(&disk.spool);
        let is_over = disk.bytes_max == 0;
        let page = disk.opened.then(|| Page {
            events: if is_over { Vec::new() } else { self.waiting.drain(..).collect() },
            delivered: disk.delivered,
            untold: self.untold,
            bytes_max: if is_over { u64::MAX } else { disk.bytes_max },
        });
        disk.busy = Some(page.as_ref().map_or(0, |page| page.events.len()));
        Some((spool, page, disk.settled))
    }

    /// Ends it.
    fn end(&mut self, page: Option<&Page>, done: Result<Standing, ()>, settled: u64) {
        let Some(disk) = &mut self.disk else { return };
        disk.busy = None;
        disk.rounds += 1;
        disk.refuses = done.is_err();
        match done {
            Ok(Standing { events, bytes, dropped }) => {
                disk.opened = true;
                disk.unreadable = false;
                disk.events = events.saturating_sub(disk.settled - settled);
                disk.bytes = bytes;
                disk.removed = page.map_or(disk.removed, |page| page.delivered);
                self.untold += dropped;
                // Those of an earlier process are not this one's to count.
                self.dropped += page.map_or(0, |_| dropped);
            }
            Err(()) => {
                for event in page.into_iter().flat_map(|page| page.events.iter().rev()) {
                    self.waiting.push_front(Arc::clone(event));
                }
                let above = self.waiting.len().saturating_sub(limits::EVENTS_WAITING_MAX);
                self.waiting.drain(..above);
                self.lose(above as u64);
            }
        }
    }

    /// Notes that events are gone.
    fn lose(&mut self, count: u64) {
        self.dropped += count;
        self.untold += count;
    }

    fn batch(&mut self, events: Vec<event_sink::Event>, place: Option<(u64, u64)>) -> Batch {
        self.underway = true;
        let dropped = std::mem::take(&mut self.untold);
        let told = (dropped > 0).then(|| super::gap(dropped));
        Batch { events: told.into_iter().chain(events).collect(), dropped, place }
    }
}

impl Disk {
    fn new(spool: Spool, bytes_max: u64) -> Disk {
        Disk {
            spool: Arc::new(spool),
            bytes_max,
            opened: false,
            busy: None,
            refuses: false,
            unreadable: false,
            events: 0,
            bytes: 0,
            delivered: 0,
            removed: 0,
            settled: 0,
            rounds: 0,
        }
    }

    /// Whether it has to be tried again.
    fn fails(&self) -> bool {
        self.refuses || self.unreadable
    }

    /// Whether events go straight from memory to the plugin.
    fn is_passed_by(&self) -> bool {
        self.busy.is_none() && (self.fails() || self.bytes_max == 0)
    }
}

/// Asks the disk off the reactor.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    let done = blocking(work).await;
    done.unwrap_or_else(|| Err(Failed("its reader or writer broke".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::super::gap;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_queue_to_empty_hears_that_nobody_empties_it_any_more() {
        let queue = Queue::new("p".into());
        queue.push(Arc::new(gap(1)));
        let both = async { tokio::join!(queue.drained(), async { queue.close() }) };
        timeout(limits::EVENTS_GATHERED_FOR, both).await.unwrap();
    }
}
