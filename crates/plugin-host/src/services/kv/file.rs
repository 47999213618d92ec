//! The file of the stores that last, and the one thread that reads and writes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::{Entry, Store, Written};
use crate::limits;
use crate::private;

/// The file's name in the state directory.
const FILE: &str = "kv.redb";

/// What the file has of one plugin: under each key the time that it expires at, and the value.
type Table<'a> = TableDefinition<'a, &'static str, &'static [u8]>;

/// The thread and the way to it. It ends, with everything written, when this is dropped.
pub(crate) struct Writer {
    file: Option<PathBuf>,
    running: Mutex<Option<Running>>,
}

struct Running {
    wake: Wake,
    thread: Option<JoinHandle<()>>,
}

/// The way to the thread.
#[derive(Clone)]
pub(crate) struct Wake {
    orders: Sender<Order>,
    /// Whether the thread has been told that something changed, and has not looked yet.
    told: Arc<AtomicBool>,
}

enum Order {
    Read { plugin: String, kept: SyncSender<Result<Kept, String>> },
    Attach { plugin: String, store: Arc<Store> },
    Detach(String),
    Changed,
    Flush(SyncSender<()>),
    End,
}

/// What the file has of one plugin.
pub(crate) type Kept = Vec<(String, Entry)>;

impl Writer {
    /// One for a file in the directory `state`, which is opened when it is needed; for none, it
    /// does nothing.
    pub(crate) fn new(state: Option<&Path>) -> Writer {
        Writer { file: state.map(|state| state.join(FILE)), running: Mutex::new(None) }
    }

    /// Opens the file, if there is one and it is not open.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn open(&self) -> Result<Option<Wake>, String> {
        let Some(file) = &self.file else { return Ok(None) };
        let mut running = self.lock();
        if let Some(running) = &*running {
            return Ok(Some(running.wake.clone()));
        }
        let started = start(file)?;
        Ok(Some(running.insert(started).wake.clone()))
    }

    /// What the file has of a plugin; `None` where there is no file.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn read(&self, plugin: &str) -> Result<Option<Kept>, String> {
        let Some(wake) = self.open()? else { return Ok(None) };
        let (kept, answer) = sync_channel(1);
        wake.order(Order::Read { plugin: plugin.to_owned(), kept });
        answer.recv().map_err(|_| "its writer has ended".to_owned())?.map(Some)
    }

    /// Writes from now on what changes in a store, if the file is open. Does not wait for it.
    pub(crate) fn attach(&self, plugin: &str, store: &Arc<Store>) -> Option<Wake> {
        let wake = self.lock().as_ref().map(|running| running.wake.clone())?;
        wake.order(Order::Attach { plugin: plugin.to_owned(), store: Arc::clone(store) });
        Some(wake)
    }

    /// Leaves a store alone from now on.
    pub(crate) fn detach(&self, plugin: &str) {
        if let Some(running) = &*self.lock() {
            running.wake.order(Order::Detach(plugin.to_owned()));
        }
    }

    /// Waits until everything is written.
    pub(crate) fn flush(&self) {
        let Some(wake) = self.lock().as_ref().map(|running| running.wake.clone()) else { return };
        let (done, written) = sync_channel(1);
        wake.order(Order::Flush(done));
        // Without an answer the thread is gone, and has said why.
        let _ = written.recv();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(mut running) = self.lock().take() else { return };
        running.wake.order(Order::End);
        // Joined, so that the file is closed when this is gone; a panic has been told.
        let _ = running.thread.take().map(JoinHandle::join);
    }
}

impl Wake {
    /// Tells that something has changed.
    pub(crate) fn wake(&self) {
        if !self.told.swap(true, Ordering::AcqRel) {
            self.order(Order::Changed);
        }
    }

    fn order(&self, order: Order) {
        // The thread ends with its writer: then everything has been written.
        let _ = self.orders.send(order);
    }
}

fn start(file: &Path) -> Result<Running, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    if let Some(directory) = file.parent() {
        private::make_directory(directory).map_err(|error| named(&error))?;
    }
    let database = open(file).map_err(|error| named(&error))?;
    let (orders, received) = channel();
    let told = Arc::<AtomicBool>::default();
    let mut books = Books {
        file: file.to_owned(),
        database: Some(database),
        stores: BTreeMap::new(),
        told: Arc::clone(&told),
    };
    let thread = std::thread::Builder::new()
        .name("waft-plugin-kv".to_owned())
        .spawn(move || books.keep(&received))
        .map_err(|error| error.to_string())?;
    Ok(Running { wake: Wake { orders, told }, thread: Some(thread) })
}

/// Opens the file, which nobody but the server may read.
fn open(file: &Path) -> Result<Database, redb::Error> {
    Ok(Database::builder().create_file(private::open(file)?)?)
}

/// What the thread has.
struct Books {
    file: PathBuf,
    /// `None` after an error: it takes nothing more until it is opened again.
    database: Option<Database>,
    stores: BTreeMap<String, Arc<Store>>,
    told: Arc<AtomicBool>,
}

impl Books {
    fn keep(&mut self, orders: &Receiver<Order>) {
        let mut due: Option<Instant> = None;
        loop {
            let wait = due.map_or(Duration::MAX, |due| due.duration_since(Instant::now()));
            match orders.recv_timeout(wait) {
                Ok(Order::Read { plugin, kept }) => {
                    // Who does not wait for it has gone.
                    let _ = kept.send(self.read(&plugin).map_err(|error| error.to_string()));
                }
                Ok(Order::Attach { plugin, store }) => drop(self.stores.insert(plugin, store)),
                Ok(Order::Detach(plugin)) => drop(self.stores.remove(&plugin)),
                Ok(Order::Changed) => {
                    due = due.or_else(|| Instant::now().checked_add(limits::KV_WRITTEN_WITHIN));
                }
                Ok(Order::Flush(done)) => {
                    due = self.write();
                    let _ = done.send(());
                }
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => {
                    // There is no later time.
                    let _ = self.write();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => due = self.write(),
            }
        }
    }

    fn database(&mut self) -> Result<&Database, redb::Error> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open(&self.file)?,
        };
        Ok(self.database.insert(database))
    }

    fn read(&mut self, plugin: &str) -> Result<Kept, redb::Error> {
        let table = match self.database()?.begin_read()?.open_table(Table::new(plugin)) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Kept::new()),
            Err(error) => return Err(error.into()),
        };
        let mut kept = Kept::new();
        for row in table.iter()? {
            let (key, octets) = row?;
            kept.push((key.value().to_owned(), decoded(octets.value())));
        }
        Ok(kept)
    }

    /// Writes what the file does not know. Returns when that has to be tried again.
    fn write(&mut self) -> Option<Instant> {
        // First, so that a change behind this line wakes the thread again.
        self.told.store(false, Ordering::Release);
        let stores = self.stores.iter();
        let changes: BTreeMap<String, Changes> = stores
            .filter_map(|(plugin, store)| Some((plugin.clone(), store.take_unwritten()?)))
            .collect();
        if changes.is_empty() {
            return None;
        }
        let error = self.database().and_then(|database| commit(database, &changes)).err()?;
        self.database = None;
        let retried_after_s = limits::KV_RETRIED_AFTER.as_secs();
        tracing::error!(reason = %error, retried_after_s, "what plugins keep is not written");
        for (plugin, (all, written)) in changes {
            if let Some(store) = self.stores.get(&plugin) {
                store.give_back(all, written);
            }
        }
        Instant::now().checked_add(limits::KV_RETRIED_AFTER)
    }
}

/// What changed of one plugin; whether that is all that there is.
type Changes = (bool, Vec<Written>);

fn commit(database: &Database, changes: &BTreeMap<String, Changes>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for (plugin, (all, written)) in changes {
        if *all {
            transaction.delete_table(Table::new(plugin))?;
        }
        let mut table = transaction.open_table(Table::new(plugin))?;
        for (key, entry) in written {
            match entry {
                Some(entry) => drop(table.insert(key.as_str(), encoded(entry).as_slice())?),
                None => drop(table.remove(key.as_str())?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// The time that it expires at, 0 for never, then the value.
fn encoded(entry: &Entry) -> Vec<u8> {
    let mut octets = entry.expires.unwrap_or(0).to_le_bytes().to_vec();
    octets.extend_from_slice(&entry.value);
    octets
}

fn decoded(octets: &[u8]) -> Entry {
    let (expires, value) = octets
        .split_first_chunk()
        .map_or((0, octets), |(expires, value)| (u64::from_le_bytes(*expires), value));
    Entry { value: value.to_vec(), expires: Some(expires).filter(|&expires| expires != 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_the_file_whoever_made_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        drop(open(&file).unwrap());
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        drop(open(&file).unwrap());
        assert_eq!(mode(), 0o600, "as an earlier version made it");
    }

    #[test]
    fn what_could_not_be_written_is_due_again_and_written_once_the_disk_lets_it() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("gone");
        let kept: Kept = vec![("a".to_owned(), Entry { value: vec![1], expires: None })];
        let store = Arc::new(Store::of(Some(kept.clone()), &[]));
        store.give_back(false, vec![("a".to_owned(), None)]);
        let mut books = Books {
            file: state.join(FILE),
            database: None,
            stores: BTreeMap::from([("p".to_owned(), store)]),
            told: Arc::default(),
        };
        assert!(books.write().is_some());
        std::fs::create_dir(&state).unwrap();
        assert_eq!(books.write(), None);
        assert_eq!(books.read("p").unwrap(), kept);
        assert_eq!(books.write(), None, "nothing is left to write");
    }
}
