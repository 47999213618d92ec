//! The spool of one plugin: events that wait for it on the disk, in a database of its own.
//!
//! An event has a position, and positions only grow: that is their order. What a call here has
//! written is on the disk when it returns, synced, so that the end of the process and the loss of
//! power find the same. A file that is damaged is put aside, and another begun: it is no reason not
//! to start.
//!
//! Everything here waits for the disk: not for threads of sessions. *Not here:* when what is written,
//! which [the queue](super::queue) knows.

mod record;

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::bindings::exports::waft::plugin::event_sink::Event;
use crate::limits;
use crate::private;
use record::{decoded, encoded};

/// The directory of all spools, in the state directory.
const DIRECTORY: &str = "events";

/// Events by position.
const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

/// Numbers by name.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// The name of the number of events that were dropped and nobody was told of.
const UNTOLD: &str = "untold";

/// A plugin's spool.
pub(crate) struct Spool {
    file: PathBuf,
    books: Mutex<Books>,
}

/// What is known of the file.
#[derive(Default)]
struct Books {
    /// `None` until it is opened, and after an error.
    database: Option<Database>,
    /// The last position that was given.
    last: u64,
    /// The last position that was read: what is on its way is not dropped.
    read: u64,
    events: u64,
    bytes: u64,
}

/// What is to be written.
pub(crate) struct Page {
    /// Events behind all others.
    pub(crate) events: Vec<Arc<Event>>,
    /// The position up to which events are delivered: they go.
    pub(crate) delivered: u64,
    /// Events that were dropped elsewhere and nobody was told of.
    pub(crate) untold: u64,
    /// Octets that there may be; the oldest events go where there are more.
    pub(crate) bytes_max: u64,
}

/// What a spool has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Events that are not delivered.
    pub(crate) events: u64,
    /// Octets.
    pub(crate) bytes: u64,
    /// Events that were dropped: just now, or before it was opened and nobody was told of them.
    pub(crate) dropped: u64,
}

/// The oldest events.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) events: Vec<Event>,
    /// The position of the last.
    pub(crate) upto: u64,
    /// Entries that these are, those among them that are no events included.
    pub(crate) entries: u64,
}

impl Spool {
    /// That of a plugin, in the state directory. Nothing is opened yet.
    pub(crate) fn of(state: &Path, plugin: &str) -> Spool {
        let file = state.join(DIRECTORY).join(file_name(plugin));
        Spool { file, books: Mutex::default() }
    }

    /// Opens the file.
    ///
    /// # Errors
    /// What is wrong. It is tried again with every call.
    pub(crate) fn open(&self) -> Result<Standing, Failed> {
        self.with(|books, database| {
            let numbers = database.begin_read()?.open_table(NUMBERS)?;
            let dropped = numbers.get(UNTOLD)?.map_or(0, |number| number.value());
            Ok(Standing { events: books.events, bytes: books.bytes, dropped })
        })
    }

    /// Adds events, removes those that are delivered, and drops the oldest where there are too many.
    ///
    /// # Errors
    /// What is wrong. As a rule nothing is written then.
    pub(crate) fn write(&self, page: &Page) -> Result<Standing, Failed> {
        self.with(|books, database| {
            let mut draft = Draft { last: books.last, events: books.events, bytes: books.bytes };
            let transaction = database.begin_write()?;
            let dropped = draft.change(&transaction, page, books.read)?;
            transaction.commit()?;
            (books.last, books.events, books.bytes) = (draft.last, draft.events, draft.bytes);
            if books.events == 0 {
                self.shrink(database)?;
            }
            Ok(Standing { events: books.events, bytes: books.bytes, dropped })
        })
    }

    /// The oldest events behind a position.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn head(&self, behind: u64) -> Result<Head, Failed> {
        self.with(|books, database| {
            let table = database.begin_read()?.open_table(EVENTS)?;
            let mut head = Head { events: Vec::new(), upto: behind, entries: 0 };
            for row in table.range(behind + 1..)?.take(limits::EVENTS_IN_BATCH_MAX) {
                let (position, octets) = row?;
                (head.upto, head.entries) = (position.value(), head.entries + 1);
                head.events.extend(decoded(octets.value()));
            }
            books.read = head.upto;
            Ok(head)
        })
    }

    /// Closes the file.
    pub(crate) fn close(&self) {
        drop(self.lock().database.take());
    }

    /// Does something with the database, which is opened for it where it is not open. After an
    /// error, or where it panics, it is opened anew the next time, and looked through.
    fn with<T>(
        &self,
        what: impl FnOnce(&mut Books, &mut Database) -> Result<T, redb::Error>,
    ) -> Result<T, Failed> {
        let mut books = self.lock();
        let failed = |error: redb::Error| Failed(format!("{}: {error}", self.file.display()));
        let taken = books.database.take();
        let mut database = match taken {
            Some(database) => database,
            None => self.opened(&mut books).map_err(failed)?,
        };
        let done = what(&mut books, &mut database).map_err(failed)?;
        books.database = Some(database);
        Ok(done)
    }

    /// Opens the file, and puts it aside first if it is damaged.
    fn opened(&self, books: &mut Books) -> Result<Database, redb::Error> {
        match open(&self.file) {
            Ok((database, contents)) => {
                books.take(contents);
                Ok(database)
            }
            Err(error) if is_damage(&error) => {
                let aside = self.file.with_extension("redb.damaged");
                fs::rename(&self.file, &aside)?;
                let (file, aside) = (self.file.display(), aside.display());
                tracing::error!(%file, %aside, reason = %error, "events on disk are damaged, put aside");
                let (database, contents) = open(&self.file)?;
                books.take(contents);
                Ok(database)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives the room of an empty spool back.
    fn shrink(&self, database: &mut Database) -> Result<(), redb::Error> {
        if fs::metadata(&self.file)?.len() > limits::SPOOL_EMPTY_BYTES_MAX {
            database.compact()?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        // What a panic leaves has no database: everything else is read anew with it.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the spools that nobody wrote to for long, but those in use.
pub(crate) fn forget_old(state: &Path, plugins_in_use: &[Arc<str>]) -> io::Result<()> {
    let in_use: Vec<String> = plugins_in_use.iter().map(|plugin| file_name(plugin)).collect();
    let entries = match fs::read_dir(state.join(DIRECTORY)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let is_used = in_use.iter().any(|name| entry.file_name() == name.as_str());
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if !is_used && age > limits::SPOOL_KEPT_FOR {
            let file = entry.path();
            fs::remove_file(&file)?;
            let file = file.display();
            tracing::warn!(%file, "events on disk removed: no plugin took them for long");
        }
    }
    Ok(())
}

/// What is wrong with which file.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

/// What becomes of the books if a transaction is taken.
struct Draft {
    last: u64,
    events: u64,
    bytes: u64,
}

impl Draft {
    /// Tells how many events were dropped.
    fn change(
        &mut self,
        transaction: &WriteTransaction,
        page: &Page,
        read: u64,
    ) -> Result<u64, redb::Error> {
        let mut events = transaction.open_table(EVENTS)?;
        while let Some(position) = first(&events, 0)?.filter(|&at| at <= page.delivered) {
            self.remove(&mut events, position)?;
        }
        for event in &page.events {
            let octets = encoded(event).map_err(io::Error::other)?;
            self.last += 1;
            self.events += 1;
            self.bytes += size(&octets);
            events.insert(self.last, octets.as_slice())?;
        }
        let mut dropped = 0;
        while self.bytes > page.bytes_max {
            let Some(position) = first(&events, read.max(page.delivered))? else { break };
            self.remove(&mut events, position)?;
            dropped += 1;
        }
        let mut numbers = transaction.open_table(NUMBERS)?;
        numbers.insert(UNTOLD, page.untold + dropped)?;
        Ok(dropped)
    }

    fn remove(&mut self, events: &mut Table<'_, u64, &[u8]>, at: u64) -> Result<(), redb::Error> {
        let octets = events.remove(at)?;
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(octets.map_or(0, |octets| size(octets.value())));
        Ok(())
    }
}

impl Books {
    fn take(&mut self, contents: Contents) {
        self.last = self.last.max(contents.last);
        (self.events, self.bytes) = (contents.events, contents.bytes);
    }
}

/// The first position behind another that there is something at.
fn first(events: &Table<'_, u64, &[u8]>, behind: u64) -> Result<Option<u64>, redb::Error> {
    let row = events.range(behind + 1..)?.next().transpose()?;
    Ok(row.map(|(position, _)| position.value()))
}

/// What is found in a file.
struct Contents {
    last: u64,
    events: u64,
    bytes: u64,
}

/// Opens a file, which nobody but the server may read, and looks all of it through.
fn open(file: &Path) -> Result<(Database, Contents), redb::Error> {
    file.parent().map_or(Ok(()), private::make_directory)?;
    let opened = private::open(file)?;
    // Made for files of its own making: of others it may panic.
    let read = catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Database::builder();
        let mut database = builder.set_cache_size(limits::SPOOL_CACHE_BYTES).create_file(opened)?;
        database.check_integrity()?;
        let transaction = database.begin_write()?;
        transaction.open_table(NUMBERS)?;
        let mut contents = Contents { last: 0, events: 0, bytes: 0 };
        for row in transaction.open_table(EVENTS)?.iter()? {
            let (position, octets) = row?;
            contents.last = position.value();
            contents.events += 1;
            contents.bytes += size(octets.value());
        }
        transaction.commit()?;
        Ok((database, contents))
    }));
    read.unwrap_or_else(|_| Err(redb::Error::Corrupted("not readable".to_owned())))
}

/// Whether a file will not be read the next time either.
fn is_damage(error: &redb::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error {
        redb::Error::Io(error) => {
            matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
        }
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::RepairAborted
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. } => true,
        _ => false,
    }
}

/// What an event counts.
fn size(octets: &[u8]) -> u64 {
    octets.len() as u64 + limits::SPOOLED_EVENT_BYTES
}

/// The name of a plugin's file: as the plugin's, but for what means something in a path.
fn file_name(plugin: &str) -> String {
    let mut name = String::new();
    for octet in plugin.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(octet.into()),
            _ => name.push_str(&format!("%{octet:02x}")),
        }
    }
    name + ".redb"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::exports::waft::plugin::event_sink::Value;

    /// An event whose record has about `octets`.
    fn event(id: u64, octets: usize) -> Arc<Event> {
        let fields = vec![("path".to_owned(), Value::Text("x".repeat(octets)))];
        let name = "file.remove".to_owned();
        Arc::new(Event { id, time_ms: 1, name, session: Some(4), fields })
    }

    fn page(ids: impl IntoIterator<Item = u64>, delivered: u64) -> Page {
        let events = ids.into_iter().map(|id| event(id, 1000)).collect();
        Page { events, delivered, untold: 0, bytes_max: 1 << 20 }
    }

    fn ids(head: &Head) -> Vec<u64> {
        head.events.iter().map(|event| event.id).collect()
    }

    fn spool() -> (tempfile::TempDir, Spool) {
        let state = tempfile::tempdir().unwrap();
        let spool = Spool::of(state.path(), "p");
        (state, spool)
    }

    #[test]
    fn what_was_written_is_there_in_its_order_when_it_is_opened_again() {
        let (state, spool) = spool();
        let fresh = spool.open().unwrap();
        assert_eq!(fresh, Standing { events: 0, bytes: 0, dropped: 0 });
        spool.write(&page(1..=150, 0)).unwrap();
        let head = spool.head(0).unwrap();
        assert_eq!((head.upto, head.entries, ids(&head)), (100, 100, (1..=100).collect()));
        // The process ends before the first hundred is removed; the file is not closed.
        let copy = state.path().join("events/q.redb");
        fs::copy(&spool.file, &copy).unwrap();
        let again = Spool::of(state.path(), "q");
        assert_eq!(again.open().unwrap().events, 150);
        assert_eq!(ids(&again.head(0).unwrap()), ids(&head));
        assert_eq!(again.write(&page(151..=160, 100)).unwrap().events, 60);
        again.close();
        assert_eq!(ids(&again.head(100).unwrap()), (101..=160).collect::<Vec<_>>());
        assert_eq!(again.head(160).unwrap().entries, 0);
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many_but_not_those_on_their_way() {
        let (state, spool) = spool();
        spool.write(&page(1..=500, 0)).unwrap();
        assert_eq!(spool.head(0).unwrap().upto, 100);
        let standing = spool.write(&page(501..=1500, 0)).unwrap();
        assert!(standing.bytes <= 1 << 20 && standing.bytes > (1 << 20) - 1200, "{standing:?}");
        assert_eq!(standing.events + standing.dropped, 1500);
        let rest = spool.head(100).unwrap();
        assert_eq!(ids(&rest)[0], 101 + standing.dropped);
        assert_eq!(ids(&spool.head(0).unwrap())[..100], (1..=100).collect::<Vec<_>>());
        // How many are missing is known to who opens it next.
        drop(spool);
        let next = Spool::of(state.path(), "p").open().unwrap();
        assert_eq!(next, Standing { ..standing });
    }

    #[test]
    fn an_empty_spool_gives_its_room_back() {
        let (_state, spool) = spool();
        let size = || fs::metadata(&spool.file).unwrap().len();
        let page = Page { bytes_max: 64 << 20, ..page(1..=20_000, 0) };
        assert_eq!(spool.write(&page).unwrap().events, 20_000);
        assert!(size() > 16 << 20);
        assert_eq!(spool.write(&self::page([], 20_000)).unwrap().events, 0);
        assert!(size() <= limits::SPOOL_EMPTY_BYTES_MAX, "{}", size());
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_another_begun() {
        type Damage = fn(Vec<u8>) -> Vec<u8>;
        let damages: [(&str, Damage); 5] = [
            ("garbage", |octets| octets.iter().map(|octet| octet.wrapping_mul(7) ^ 0x5a).collect()),
            ("cut", |octets| octets[..octets.len() / 2].to_vec()),
            ("short", |octets| octets[..100].to_vec()),
            ("zeros behind the head", |mut octets| {
                octets[4096..].fill(0);
                octets
            }),
            ("another kind", |_| b"[]\n".to_vec()),
        ];
        for (what, damage) in damages {
            let (state, spool) = spool();
            spool.write(&page(1..=300, 0)).unwrap();
            spool.close();
            let damaged = damage(fs::read(&spool.file).unwrap());
            fs::write(&spool.file, &damaged).unwrap();
            let spool = Spool::of(state.path(), "p");
            assert_eq!(spool.open().unwrap().events, 0, "{what}");
            let aside = state.path().join("events/p.redb.damaged");
            assert_eq!(fs::read(aside).unwrap().len(), damaged.len(), "{what}");
            spool.write(&page([7], 0)).unwrap();
            assert_eq!(ids(&spool.head(0).unwrap()), [7], "{what}");
        }
    }

    #[test]
    fn whatever_octet_is_wrong_it_opens_with_what_is_whole_or_anew() {
        let (state, spool) = spool();
        spool.write(&page(1..=30, 0)).unwrap();
        spool.close();
        let good = fs::read(&spool.file).unwrap();
        let whole: Vec<u64> = (1..=30).collect();
        for at in (0..64).step_by(3).chain((64..good.len()).step_by(good.len() / 30)) {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            fs::write(&spool.file, bad).unwrap();
            let spool = Spool::of(state.path(), "p");
            spool.open().unwrap_or_else(|_| panic!("{at}"));
            let found = ids(&spool.head(0).unwrap());
            assert!(found.is_empty() || found == whole, "{at}: {found:?}");
            spool.close();
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_it_whatever_the_plugin_is_called() {
        use std::os::unix::fs::PermissionsExt;
        let state = tempfile::tempdir().unwrap();
        let spool = Spool::of(state.path(), "../a b");
        spool.open().unwrap();
        let file = state.path().join("events/..%2fa%20b.redb");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn what_nobody_wrote_to_for_long_is_removed_unless_it_is_in_use() {
        let state = tempfile::tempdir().unwrap();
        forget_old(state.path(), &[]).unwrap();
        let of = |plugin| Spool::of(state.path(), plugin).file;
        fs::create_dir(state.path().join(DIRECTORY)).unwrap();
        let long_ago = std::time::SystemTime::now() - limits::SPOOL_KEPT_FOR * 2;
        for (plugin, is_old) in [("used", true), ("gone", true), ("new", false)] {
            let file = fs::File::create(of(plugin)).unwrap();
            if is_old {
                file.set_modified(long_ago).unwrap();
            }
        }
        forget_old(state.path(), &["used".into()]).unwrap();
        let there = ["used", "gone", "new"].map(|plugin| of(plugin).exists());
        assert_eq!(there, [true, false, true]);
    }
}
