//! Every bound that is not the operator's to set, with its name and unit.

#[cfg(test)]
mod page;

use std::time::Duration;

/// Octets of a component's file.
pub const COMPONENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Octets of a signature's file that are read: one of Ed25519 has 64.
pub(crate) const SIGNATURE_BYTES_MAX: u64 = 1024;

/// Time between two looks at what a call has computed.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Instances of all plugins, but for those of plugins with few; each has a stack and a memory of its own, and a third of a
/// KiB of the books about them, used or not. As many as the three bounds below add up to.
pub(crate) const INSTANCES_MAX: u32 = 6144;

/// Core instances of those: one of a component's module, and those that its imports go through.
pub(crate) const CORE_INSTANCES_ALL_MAX: u32 = INSTANCES_MAX * 4;

/// Tables of an instance, as is usual: one of a component's module, and one that its imports go
/// through.
pub(crate) const TABLES_EACH: u32 = 2;

/// Tables of those.
pub(crate) const TABLES_ALL_MAX: u32 = INSTANCES_MAX * TABLES_EACH;

/// Instances of plugins that have few, beside all others: four plugins have as many by default.
pub(crate) const FEW_INSTANCES_MAX: u32 = 256;

/// Core instances of those, which cost no books: however many each has.
pub(crate) const FEW_CORE_INSTANCES_MAX: u32 = FEW_INSTANCES_MAX * CORE_INSTANCES_MAX;

/// Tables of those.
pub(crate) const FEW_TABLES_MAX: u32 = FEW_INSTANCES_MAX * TABLES_EACH;

/// Octets of address space that a memory reserves, and grows by, where there is little of it.
pub(crate) const CRAMPED_MEMORY_BYTES: u64 = 2 << 20;

/// Octets behind such a memory that trap.
pub(crate) const CRAMPED_GUARD_BYTES: u64 = 64 * 1024;

/// Those of them that belong to transfers, at most.
pub(crate) const TRANSFERS_PINNED_MAX: usize = 2048;

/// Those that belong to sessions, at most; the others are for single calls.
pub(crate) const SESSIONS_PINNED_MAX: usize = 2048;

/// Instances that the settings may ask for: while one generation drains, another starts, and
/// sometimes a third.
pub(crate) const INSTANCES_CONFIGURED_MAX: usize = 2048;

/// Memories of instances that are gone which are kept mapped for the next ones.
pub(crate) const UNUSED_SLOTS_MAX: u32 = 100;

/// Core modules in one component.
pub(crate) const CORE_INSTANCES_MAX: u32 = 64;

/// Tables in one component.
pub(crate) const TABLES_MAX: u32 = 64;

/// Memories in one component.
pub(crate) const MEMORIES_MAX: u32 = 4;

/// Elements of one table; interpreters compiled to WebAssembly need many.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 100_000;

/// Octets of the stack that WebAssembly may use in one call.
pub(crate) const WASM_STACK_BYTES_MAX: usize = 1024 * 1024;

/// Octets of the stack that a call and the host functions under it have.
pub(crate) const CALL_STACK_BYTES: usize = 2 * 1024 * 1024;

/// Octets that a guest may hand to the host in one call.
pub(crate) const HOSTCALL_FUEL: usize = 4 * 1024 * 1024;

/// Handles that an instance may hold.
pub(crate) const HANDLES_MAX: usize = 1000;

/// Resources that the host keeps for one instance.
pub(crate) const RESOURCES_MAX: usize = 512;

/// Octets that a guest may print at once.
pub(crate) const PRINTED_BYTES_MAX: usize = 64 * 1024;

/// Random octets that a guest may ask for at once.
pub(crate) const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// Octets of a file that go into a guest, or come out of it, in one call: the size at which copying
/// is fastest.
pub(crate) const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Entries that a storage is asked for at a time.
pub(crate) const PAGE_ENTRIES_MAX: u32 = 1000;

/// Pages without an entry, one behind the other, that a listing may have.
pub(crate) const EMPTY_PAGES_MAX: u32 = 100;

/// Entries of one listing.
pub(crate) const LISTING_ENTRIES_MAX: u64 = 1_000_000;

/// Octets of the name of a file, and of what a storage needs to go on with a listing.
pub(crate) const NAME_BYTES_MAX: usize = 4 * 1024;

/// Lines of a reply that a plugin makes.
pub(crate) const REPLY_LINES_MAX: usize = 64;

/// Octets of one such line.
pub(crate) const REPLY_LINE_BYTES_MAX: usize = 4 * 1024;

/// Octets of the argument of a command that a plugin makes.
pub(crate) const ARGUMENT_BYTES_MAX: usize = 4 * 1024;

/// Octets of a reply, of the one before and of the one after, in the log's line about a change.
pub(crate) const TOLD_REPLY_BYTES_MAX: usize = 512;

/// Octets of one line that a guest writes to the log, and of its fields together.
pub(crate) const LOG_LINE_BYTES_MAX: usize = 2 * 1024;

/// Octets of each text that a guest says of itself.
pub(crate) const DESCRIPTOR_TEXT_BYTES_MAX: usize = 1024;

/// Octets of the error that `init` gives.
pub(crate) const INIT_ERROR_BYTES_MAX: usize = 8 * 1024;

/// Entries of each list in which a guest says what it wants.
pub(crate) const DESCRIPTOR_ENTRIES_MAX: usize = 1024;

/// How often instances that waited too long are looked for.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// An instance whose memory passed this share of its limit is replaced after the call: linear
/// memory never shrinks.
pub(crate) const MEMORY_KEPT_PERCENT: usize = 75;

/// Failures within [`BREAKER_WINDOW`] that open the breaker.
pub(crate) const BREAKER_FAILURES: usize = 5;

/// See [`BREAKER_FAILURES`].
pub(crate) const BREAKER_WINDOW: Duration = Duration::from_secs(10);

/// How long the breaker stays open the first time; each failure right behind doubles it.
pub(crate) const BREAKER_OPEN_MIN: Duration = Duration::from_secs(1);

/// How long the breaker stays open at most.
pub(crate) const BREAKER_OPEN_MAX: Duration = Duration::from_secs(60);

/// Lines in a second that the log has about one plugin's failures.
pub(crate) const COMPLAINTS_MAX: u32 = 10;

/// A call that took no longer than that keeps nobody waiting who shares a thread with its session.
pub(crate) const QUICK_CALL: Duration = Duration::from_millis(1);

/// Calls in a row that were quick before a plugin is taken for one that is.
pub(crate) const QUICK_CALLS_MIN: u32 = 16;

/// The most computing time that a hook may be given and yet have quick calls stay on the thread of their
/// session: until one of them ends, nobody else there goes on.
pub(crate) const STAY_MAX: Duration = Duration::from_millis(50);

/// How long a component is compiled before the log says so.
pub(crate) const COMPILING_TOLD: Duration = Duration::from_secs(1);

/// How long before its time is up a guest gets an answer to a call that waits.
pub(crate) const ANSWER_MARGIN: Duration = Duration::from_millis(100);

/// Octets of the argument of a command that is remembered to pass.
pub(crate) const REMEMBERED_ARGUMENT_BYTES_MAX: usize = 256;

/// Kinds of sessions that a command is remembered to pass in, by each processor and by all together.
pub(crate) const REMEMBERED_SESSIONS_MAX: usize = 32;

/// Commands with arguments or of other verbs than the server's, on each processor, that are remembered
/// when they come for the second time.
pub(crate) const REMEMBERED_LATER_MAX: usize = 512;

/// Facts of a session that a command is remembered to pass by.
pub(crate) const REMEMBERED_FACTS_MAX: usize = 16;

/// Octets of the texts in them.
pub(crate) const REMEMBERED_FACTS_BYTES_MAX: usize = 512;

/// Octets of the name of an account that a plugin accepts.
pub(crate) const USER_BYTES_MAX: usize = 512;

/// Attributes of such an account.
pub(crate) const ATTRIBUTES_MAX: usize = 64;

/// Octets of their names and values.
pub(crate) const ATTRIBUTES_BYTES_MAX: usize = 16 * 1024;

/// Octets of the reason for a denied login.
pub(crate) const DENIAL_BYTES_MAX: usize = 1024;

/// Entries of a listing that a plugin is shown at once.
pub(crate) const LISTED_MAX: usize = 1000;

/// Components at the same time whose compilation was given up and goes on all the same.
pub(crate) const COMPILATIONS_LOST_MAX: usize = 2;

/// The share of what a call may take, after which the log tells that it was slow.
pub(crate) const SLOW_PERCENT: u32 = 50;

/// Compiled components kept on disk, beside those in use and the ones before them.
pub(crate) const COMPILED_KEPT_MAX: usize = 64;

/// Octets of the settings that lie beside a component.
pub(crate) const SETTINGS_BYTES_MAX: usize = 1024 * 1024;

/// Octets of the scenario that lies beside a component.
pub(crate) const SCENARIO_BYTES_MAX: usize = 1024 * 1024;

/// How long such a scenario may take, by the clock on the wall.
pub(crate) const SELF_TEST_MAX: Duration = Duration::from_secs(60);

/// Octets of the code that another process makes of a component.
pub(crate) const COMPILED_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Octets of address space of a process that compiles.
pub(crate) const COMPILER_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// Core dumps of plugins that are kept.
pub(crate) const CORE_DUMPS_MAX: usize = 8;

/// Functions of a trap's backtrace that are shown.
pub(crate) const TRACE_FRAMES_MAX: usize = 6;

/// Octets of the name of a command that a plugin brings along.
pub(crate) const COMMAND_NAME_BYTES_MAX: usize = 32;

/// The shortest time between two calls of a timer.
pub(crate) const TIMER_MIN: Duration = Duration::from_millis(100);

/// The longest. Clocks end somewhere.
pub(crate) const TIMER_MAX: Duration = Duration::from_hours(366 * 24);

/// Events that wait for one plugin; the oldest goes when another comes.
pub(crate) const EVENTS_WAITING_MAX: usize = 10_000;

/// Events delivered together.
pub(crate) const EVENTS_IN_BATCH_MAX: usize = 100;

/// How long an event waits for others to be delivered with.
pub(crate) const EVENTS_GATHERED_FOR: Duration = Duration::from_millis(100);

/// Times that a plugin may break on a batch of events before it is dropped.
pub(crate) const DELIVERY_FAILURES_MAX: u32 = 5;

/// How long to wait before a batch is delivered again the first time; it doubles.
pub(crate) const DELIVERY_PAUSE_MIN: Duration = Duration::from_millis(100);

/// How long to wait at most.
pub(crate) const DELIVERY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Octets that an event on the disk counts beside its own.
pub(crate) const SPOOLED_EVENT_BYTES: u64 = 32;

/// Octets that the file of a spool may have where no event waits in it.
pub(crate) const SPOOL_EMPTY_BYTES_MAX: u64 = 4 << 20;

/// Octets of a spool that are kept in memory.
pub(crate) const SPOOL_CACHE_BYTES: usize = 4 << 20;

/// How long after the disk refused events it is tried again.
pub(crate) const SPOOL_RETRIED_AFTER: Duration = Duration::from_secs(10);

/// How long events wait on the disk for a plugin that is not there.
pub(crate) const SPOOL_KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// Octets of a key of a plugin's store.
pub(crate) const KV_KEY_BYTES_MAX: usize = 1024;

/// Octets that an entry of a plugin's store counts beside its key and value.
pub(crate) const KV_ENTRY_BYTES: u64 = 64;

/// Keys of a plugin's store told at once.
pub(crate) const KV_KEYS_MAX: usize = 1000;

/// Cursors of `wasi:keyvalue` that an instance may go on from: the latest ones.
pub(crate) const KV_CURSORS_MAX: usize = 64;

/// Octets of the values that a guest gets at once.
pub(crate) const KV_BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long after a change of a plugin's store it is on the disk.
pub(crate) const KV_WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// How long after the disk refused what plugins keep it is tried again.
pub(crate) const KV_RETRIED_AFTER: Duration = Duration::from_secs(10);

/// Names of metrics that one plugin may have.
pub(crate) const METRICS_MAX: usize = 64;

/// Series, one for each set of labels, that one plugin may have.
pub(crate) const METRIC_SERIES_MAX: usize = 500;

/// Labels of one series.
pub(crate) const METRIC_LABELS_MAX: usize = 8;

/// Octets of a metric's or a label's name.
pub(crate) const METRIC_NAME_BYTES_MAX: usize = 64;

/// Octets of a label's value.
pub(crate) const METRIC_LABEL_BYTES_MAX: usize = 128;

/// Requests that one plugin may have underway.
pub(crate) const HTTP_REQUESTS_MAX: usize = 8;

/// Octets of a request's body.
pub(crate) const HTTP_REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Octets of a response's body.
pub(crate) const HTTP_RESPONSE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Share of the time that a call of a hook may take, after which a request in it is given up, so
/// that the guest hears of it.
pub(crate) const HTTP_TIME_PERCENT: u32 = 80;

/// How long a request may take where a plugin has longer.
pub(crate) const HTTP_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a connection to a service is kept for the next request.
pub(crate) const HTTP_IDLE_MAX: Duration = Duration::from_secs(30);
