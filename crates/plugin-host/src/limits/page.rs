//! `docs/plugins/limits.md`, made of the constants and defaults themselves: a test tells when the page
//! says something else, and when a bound is not on it.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::settings::{Grants, HostSettings, KvGrant, Limits, PluginSettings};

const ABOUT: &str = "\
<!-- Made of crates/plugin-host/src/limits.rs and settings.rs. To change it, change them, and run
     UPDATE_REFERENCE=1 cargo test -p waft-plugin-host --lib limits -->

# Limits of plugins

Everything that bounds a plugin, what the bound is where nobody says otherwise, and what happens there.
**Set by** names the key: `limits.KEY` is KEY of `[plugins.limits]`, which holds for all plugins, or of
`[plugin.limits]`, which goes before it; what is *fixed* nobody sets. How long one call may take is
[another table](../plugins.md#limits). *Fails* is the failure of a call: `on_error` says what becomes of
what it was about, and the instance is replaced.
";

/// One bound.
struct Row {
    /// The constant, of those that are fixed.
    constant: Option<&'static str>,
    name: &'static str,
    value: String,
    set_by: &'static str,
    then: &'static str,
}

/// A bound as people write it.
trait Shown {
    fn shown(&self, constant: &str) -> String;
}

impl Shown for Duration {
    fn shown(&self, _: &str) -> String {
        match self.as_millis() {
            ms if ms % 86_400_000 == 0 => format!("{} days", ms / 86_400_000),
            ms if ms % 60_000 == 0 && ms > 60_000 => format!("{} min", ms / 60_000),
            ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
            ms => format!("{ms} ms"),
        }
    }
}

macro_rules! numbers {
    ($($kind:ty),+) => {$(
        impl Shown for $kind {
            fn shown(&self, constant: &str) -> String {
                let number = u64::try_from(*self).unwrap();
                if constant.contains("PERCENT") {
                    return format!("{number} %");
                }
                match constant.contains("BYTES") || constant.contains("FUEL") {
                    true if number % (1 << 30) == 0 => format!("{} GiB", number >> 30),
                    true if number % (1 << 20) == 0 => format!("{} MiB", number >> 20),
                    true if number % (1 << 10) == 0 => format!("{} KiB", number >> 10),
                    true => format!("{number} bytes"),
                    false => thousands(number),
                }
            }
        }
    )+};
}

numbers!(u32, u64, usize);

fn thousands(number: u64) -> String {
    match number.checked_div(1000) {
        None | Some(0) => number.to_string(),
        Some(more) => format!("{},{:03}", thousands(more), number % 1000),
    }
}

macro_rules! fixed {
    ($constant:ident, $name:literal, $then:expr) => {
        Row {
            constant: Some(stringify!($constant)),
            name: $name,
            value: $constant.shown(stringify!($constant)),
            set_by: "fixed",
            then: $then,
        }
    };
}

fn set(name: &'static str, value: String, set_by: &'static str, then: &'static str) -> Row {
    Row { constant: None, name, value, set_by, then }
}

fn sections() -> Vec<(&'static str, Vec<Row>)> {
    vec![
        ("Instances", instances()),
        ("Memory and computing of one call", calls()),
        ("Files and loading", loading()),
        ("What a plugin says of itself", sayings()),
        ("Failures and log", failures()),
        ("Verdicts", verdicts()),
        ("Contents and storages", contents()),
        ("Events and timers", events()),
        ("Stores", stores()),
        ("Web requests", requests()),
        ("Metrics, session scratch and WASI", others()),
    ]
}

fn instances() -> Vec<Row> {
    // Whole, so that no setting is missed; budgets of calls are another table.
    let Limits {
        memory,
        cpu: _,
        wall: _,
        by_hook: _,
        queue,
        instances_min,
        instances_max,
        sessions_max,
        transfers_max,
        instance_calls,
        instance_age,
        instance_idle,
        log_lines: _,
        remembered_commands,
    } = Limits::default();
    let budget = HostSettings::default().memory_budget;
    vec![
        set(
            "memory of an instance",
            memory.shown("BYTES"),
            "`limits.memory`",
            "it gets no more: most guests trap, and the call fails",
        ),
        set(
            "memory of all instances",
            budget.shown("BYTES"),
            "`memory_budget` in `[plugins]`",
            "another one waits `queue`, then the call fails; a plugin whose kept instances have no \
             room beside those of the others is refused, and so is a configuration with less",
        ),
        set(
            "instances kept ready",
            instances_min.shown(""),
            "`limits.instances.min`",
            "idle ones above it are dropped",
        ),
        set(
            "instances for single calls",
            instances_max.shown(""),
            "`limits.instances.max`",
            "calls wait `queue`, then fail",
        ),
        set(
            "transfers at the same time",
            transfers_max.shown(""),
            "`limits.transfers`",
            "further ones wait `queue`, then fail; of guests in JavaScript (9 MiB each when new) and \
             Python (12 MiB) some 45 fill `memory_budget`: `limits.transfers = 16` suits them",
        ),
        set(
            "transfers that share an instance",
            PluginSettings::named("").share.shown(""),
            "`share` under `[[plugin]]`",
            "further ones get another instance",
        ),
        set(
            "sessions with an instance of their own",
            sessions_max.shown(""),
            "`limits.sessions`",
            "calls of further ones wait `queue`, then fail",
        ),
        set(
            "waiting for an instance",
            queue.shown(""),
            "`limits.queue`",
            "the call fails: `no free instance`; that does not count against the plugin",
        ),
        set(
            "calls of an instance",
            instance_calls.shown(""),
            "`limits.instance_calls`",
            "it is replaced",
        ),
        set(
            "age of an instance",
            instance_age.shown(""),
            "`limits.instance_age`",
            "it is replaced after its call",
        ),
        set(
            "an instance without a call",
            instance_idle.shown(""),
            "`limits.instance_idle`",
            "it is dropped, down to those kept ready",
        ),
        set(
            "commands remembered to pass, on each processor",
            remembered_commands.shown(""),
            "`limits.remembered_commands`",
            "those that were not needed lately are forgotten, and it is asked again",
        ),
        fixed!(
            REMEMBERED_ARGUMENT_BYTES_MAX,
            "argument of a command that is remembered",
            "it is asked every time"
        ),
        fixed!(
            REMEMBERED_SESSIONS_MAX,
            "kinds of sessions that a command is remembered for, on each processor and by all together",
            "the oldest is forgotten, and it is asked again"
        ),
        fixed!(
            REMEMBERED_LATER_MAX,
            "commands with arguments that are remembered when they come again, on each processor",
            "it is asked once more"
        ),
        fixed!(
            REMEMBERED_FACTS_MAX,
            "facts of a session that it asked for, where a command is remembered",
            "it is asked every time"
        ),
        fixed!(REMEMBERED_FACTS_BYTES_MAX, "texts in these facts", "it is asked every time"),
        fixed!(
            MEMORY_KEPT_PERCENT,
            "memory of an instance that it has taken of what it may",
            "it is replaced after its call"
        ),
        fixed!(SWEEP_EVERY, "between two looks for idle instances", "–"),
        fixed!(
            INSTANCES_CONFIGURED_MAX,
            "`limits.instances.max` of all plugins together",
            "the plugin is refused"
        ),
        fixed!(
            TRANSFERS_PINNED_MAX,
            "instances of transfers, of all plugins",
            "further ones wait `queue`, then fail; `waft check` warns where `limits.transfers`, by \
             `share`, add up to more"
        ),
        fixed!(
            SESSIONS_PINNED_MAX,
            "instances of sessions, of all plugins",
            "further ones wait `queue`, then fail; `waft check` warns where `limits.sessions` of \
             plugins with `isolation = \"session\"` add up to more"
        ),
        fixed!(
            INSTANCES_MAX,
            "instances in the process, those of drained versions included, but for those of the \
             next row",
            "another one cannot be started: the call fails"
        ),
        fixed!(
            FEW_INSTANCES_MAX,
            "instances beside those, of plugins that have none of transfers or sessions, by \
             `limits.instances.max`",
            "the next plugin's are among those above, for which the server takes 2 MiB then"
        ),
        fixed!(FEW_CORE_INSTANCES_MAX, "core instances of those", "never met"),
        fixed!(FEW_TABLES_MAX, "tables of those, two each", "never met"),
        fixed!(
            TABLES_EACH,
            "tables of a component that may be among those, which has one memory at most",
            "its instances are among those above"
        ),
        fixed!(
            CORE_INSTANCES_ALL_MAX,
            "core instances in the process, likewise",
            "another instance cannot be started: the call fails"
        ),
        fixed!(
            TABLES_ALL_MAX,
            "tables in the process, likewise: components with more than two each meet this before they meet \
             the instances above",
            "another instance cannot be started: the call fails"
        ),
        fixed!(
            CRAMPED_MEMORY_BYTES,
            "address space that a memory reserves, and grows by, where there is no room for a pool",
            "the memory is moved"
        ),
        fixed!(
            CRAMPED_GUARD_BYTES,
            "address space behind such a memory that traps",
            "what is further off is checked"
        ),
        fixed!(
            UNUSED_SLOTS_MAX,
            "memories of instances that are gone kept for new ones of their component",
            "further ones are made ready for others"
        ),
    ]
}

fn calls() -> Vec<Row> {
    vec![
        fixed!(
            TICK,
            "between two looks at what a call has computed",
            "over its budget it fails; else other sessions get their turn"
        ),
        fixed!(
            SLOW_PERCENT,
            "time of a call, of what it may take",
            "the log tells: `plugin is slow`"
        ),
        fixed!(WASM_STACK_BYTES_MAX, "stack of the guest", "trap"),
        fixed!(CALL_STACK_BYTES, "stack of the call, the server's functions included", "–"),
        fixed!(HOSTCALL_FUEL, "data that crosses between guest and server at once", "trap"),
        fixed!(HANDLES_MAX, "handles of an instance", "trap"),
        fixed!(
            RESOURCES_MAX,
            "resources that the server keeps for an instance",
            "the function that would make one fails"
        ),
        fixed!(CORE_INSTANCES_MAX, "core instances of a component", "it is refused"),
        fixed!(MEMORIES_MAX, "memories of a component", "it is refused"),
        fixed!(TABLES_MAX, "tables of a component", "it is refused"),
        fixed!(TABLE_ELEMENTS_MAX, "elements of a table", "it does not grow"),
        fixed!(
            ANSWER_MARGIN,
            "before the end of its time, a guest that waits for a password's hash gets an error",
            "–"
        ),
    ]
}

fn loading() -> Vec<Row> {
    let HostSettings { probation, compile_timeout, debounce, poll, drain_timeout, .. } =
        HostSettings::default();
    assert_eq!(drain_timeout, None);
    vec![
        fixed!(COMPONENT_BYTES_MAX, "a component", "it is refused"),
        fixed!(SIGNATURE_BYTES_MAX, "a signature", "it is refused"),
        fixed!(
            SETTINGS_BYTES_MAX,
            "settings beside a component",
            "they are refused, and the component with them"
        ),
        fixed!(SCENARIO_BYTES_MAX, "the scenario beside a component", "the component is refused"),
        fixed!(SELF_TEST_MAX, "playing it", "the component is refused"),
        set(
            "compiling a component",
            compile_timeout.shown(""),
            "`compile_timeout` in `[plugins]`",
            "it is refused",
        ),
        fixed!(COMPILING_TOLD, "that, without a word", "the log tells of it"),
        fixed!(
            COMPILER_BYTES_MAX,
            "address space of the process that does it",
            "the component is refused"
        ),
        fixed!(COMPILED_BYTES_MAX, "the code that it makes", "the component is refused"),
        fixed!(
            COMPILATIONS_LOST_MAX,
            "compilations given up that still go on",
            "no other component is compiled"
        ),
        fixed!(
            COMPILED_KEPT_MAX,
            "compiled components kept, beside those in use and before them",
            "the ones used longest ago are removed"
        ),
        set(
            "a changed file is left alone",
            debounce.shown(""),
            "`debounce` in `[plugins]`",
            "it is read",
        ),
        set(
            "between two looks at the folder",
            poll.shown(""),
            "`poll` in `[plugins]`",
            "what changed unannounced is read",
        ),
        set(
            "probation of a new version",
            probation.shown(""),
            "`probation` in `[plugins]`",
            "it stays",
        ),
        set(
            "transfers go on with an earlier version",
            "as long as they take".to_owned(),
            "`drain_timeout` in `[plugins]`",
            "they end with 426",
        ),
    ]
}

fn sayings() -> Vec<Row> {
    vec![
        fixed!(DESCRIPTOR_ENTRIES_MAX, "entries of a list in `describe`", "the plugin is refused"),
        fixed!(
            DESCRIPTOR_TEXT_BYTES_MAX,
            "a text in `describe`",
            "names are shown cut; lines for FEAT and HELP are refused"
        ),
        fixed!(COMMAND_NAME_BYTES_MAX, "the name of a command of its own", "the plugin is refused"),
        set(
            "the same where it is a verb",
            waft_proto::command::VERB_BYTES_MAX.shown("BYTES"),
            "fixed",
            "the plugin is refused",
        ),
        fixed!(INIT_ERROR_BYTES_MAX, "the error of `init`", "it is cut"),
    ]
}

fn failures() -> Vec<Row> {
    let Limits { log_lines, .. } = Limits::default();
    vec![
        fixed!(BREAKER_FAILURES, "failures of a plugin", "it is not asked for a while"),
        fixed!(BREAKER_WINDOW, "time within which these come", "–"),
        fixed!(BREAKER_OPEN_MIN, "that while at first", "the next call is made"),
        fixed!(BREAKER_OPEN_MAX, "that while at most; it doubles", "the next call is made"),
        fixed!(
            QUICK_CALL,
            "a command's call that counts as quick",
            "sessions that rest go to work for the next ones"
        ),
        fixed!(
            QUICK_CALLS_MIN,
            "quick calls in a row before a hook counts as quick, and after one that was not",
            "until then its calls have a stack of their own; after that one, sessions that rest go to work for it"
        ),
        fixed!(
            STAY_MAX,
            "computing time of a quick hook whose calls stay on their session's thread",
            "they have a stack of their own, as all others have, and give way at every tick"
        ),
        set(
            "lines that it writes to the log, a second",
            log_lines.shown(""),
            "`limits.log_lines`",
            "further ones are dropped, and counted",
        ),
        fixed!(LOG_LINE_BYTES_MAX, "a line, and its fields", "cut"),
        fixed!(
            COMPLAINTS_MAX,
            "lines about its failures, a second",
            "further ones are counted in the next"
        ),
        fixed!(TOLD_REPLY_BYTES_MAX, "a reply in the line about its change", "cut"),
        fixed!(TRACE_FRAMES_MAX, "functions of a trap's backtrace", "cut"),
        fixed!(CORE_DUMPS_MAX, "core dumps that are kept", "the oldest is removed"),
    ]
}

/// What happens to a verdict whose length a client may have brought about.
const UNFIT: &str =
    "fails: bad verdict; refused, whatever `on_error` says, and not held against it";

fn verdicts() -> Vec<Row> {
    vec![
        fixed!(REPLY_LINES_MAX, "lines of a reply", "fails: bad verdict"),
        fixed!(REPLY_LINE_BYTES_MAX, "a line of a reply, beside what the call was given", UNFIT),
        fixed!(ARGUMENT_BYTES_MAX, "the argument of a command, or a path, likewise", UNFIT),
        fixed!(USER_BYTES_MAX, "the name of an account", UNFIT),
        fixed!(ATTRIBUTES_MAX, "attributes of an account", UNFIT),
        fixed!(ATTRIBUTES_BYTES_MAX, "names and values of these", UNFIT),
        fixed!(DENIAL_BYTES_MAX, "the reason for a denied login", "cut"),
        fixed!(
            LISTED_MAX,
            "entries of a listing shown in one call of `on-list`",
            "the next ones come in another call"
        ),
    ]
}

fn contents() -> Vec<Row> {
    vec![
        fixed!(
            CHUNK_BYTES_MAX,
            "a piece of a file",
            "it comes in several; a storage that gives more fails"
        ),
        fixed!(
            PAGE_ENTRIES_MAX,
            "a page of a storage's listing",
            "a storage that gives more fails"
        ),
        fixed!(
            EMPTY_PAGES_MAX,
            "pages without an entry, one behind the other",
            "the listing ends with 451"
        ),
        fixed!(LISTING_ENTRIES_MAX, "entries of a storage's listing", "it ends with 451"),
        fixed!(
            NAME_BYTES_MAX,
            "a name in it, and what it takes to go on",
            "fails: bad verdict; longer ones of clients are answered with 553"
        ),
    ]
}

fn events() -> Vec<Row> {
    vec![
        fixed!(
            EVENTS_WAITING_MAX,
            "events that wait for a plugin",
            "the oldest goes, and is counted"
        ),
        fixed!(EVENTS_IN_BATCH_MAX, "events in a batch", "the next ones come in another"),
        fixed!(EVENTS_GATHERED_FOR, "an event waits for others", "the batch is delivered"),
        fixed!(DELIVERY_FAILURES_MAX, "times that a plugin may break on a batch", "it is dropped"),
        fixed!(DELIVERY_PAUSE_MIN, "until a batch is delivered again, at first", "–"),
        fixed!(DELIVERY_PAUSE_MAX, "the same at most; it doubles", "–"),
        set(
            "events on the disk, where granted without a size",
            Grants::DURABLE_EVENTS_BYTES.shown("BYTES"),
            "`grant.durable_events`",
            "the oldest go, and are counted",
        ),
        fixed!(SPOOLED_EVENT_BYTES, "what an event on the disk counts beside its own", "–"),
        fixed!(SPOOL_EMPTY_BYTES_MAX, "the file of these where none waits", "it is made smaller"),
        fixed!(SPOOL_CACHE_BYTES, "memory for that file", "–"),
        fixed!(SPOOL_RETRIED_AFTER, "until a disk that refused is tried again", "–"),
        fixed!(
            SPOOL_KEPT_FOR,
            "events on the disk of a plugin that is not there",
            "they are removed"
        ),
        fixed!(TIMER_MIN, "between two calls of a timer, at least", "the plugin is refused"),
        fixed!(TIMER_MAX, "the same at most", "the plugin is refused"),
    ]
}

fn stores() -> Vec<Row> {
    vec![
        set(
            "a store that is granted without a size",
            KvGrant::BYTES.shown("BYTES"),
            "`grant.kv`",
            "what does not fit is refused with `quota`",
        ),
        fixed!(KV_KEY_BYTES_MAX, "a key", "refused"),
        fixed!(KV_ENTRY_BYTES, "what an entry counts beside key and value", "–"),
        fixed!(KV_KEYS_MAX, "keys told at once", "the next ones are asked for by `after`"),
        fixed!(KV_BATCH_BYTES_MAX, "values of `get-many`", "an error"),
        fixed!(KV_CURSORS_MAX, "cursors of `list-keys` of an instance", "the oldest is forgotten"),
        fixed!(KV_WRITTEN_WITHIN, "until a change is on the disk", "–"),
        fixed!(KV_RETRIED_AFTER, "until a disk that refused is tried again", "–"),
    ]
}

fn requests() -> Vec<Row> {
    vec![
        fixed!(
            HTTP_REQUESTS_MAX,
            "requests of a plugin under way",
            "further ones wait, within their time"
        ),
        fixed!(
            HTTP_TIME_PERCENT,
            "time of a request, of what the call may take in all",
            "`timeout`"
        ),
        fixed!(HTTP_TIME_MAX, "the same at most", "`timeout`"),
        fixed!(HTTP_REQUEST_BYTES_MAX, "body of a request", "`too-large`"),
        fixed!(HTTP_RESPONSE_BYTES_MAX, "body of a response", "`too-large`"),
        fixed!(HTTP_IDLE_MAX, "a connection without a request", "it is closed"),
    ]
}

fn others() -> Vec<Row> {
    let scratch = waft_core::session::SCRATCH_BYTES_MAX.shown("BYTES");
    vec![
        fixed!(
            METRICS_MAX,
            "names of metrics of a plugin",
            "what does not fit is dropped, and counted"
        ),
        fixed!(METRIC_SERIES_MAX, "series of a plugin", "likewise"),
        fixed!(METRIC_LABELS_MAX, "labels of a series", "likewise"),
        fixed!(METRIC_NAME_BYTES_MAX, "a name", "likewise"),
        fixed!(METRIC_LABEL_BYTES_MAX, "a label's value", "likewise"),
        set(
            "scratch of a session, of each plugin",
            scratch,
            "fixed",
            "what does not fit is refused",
        ),
        set(
            "plugins that skip commands of one session",
            waft_core::session::SKIPPING_PLUGINS_MAX.to_string(),
            "fixed",
            "all are asked once more",
        ),
        fixed!(PRINTED_BYTES_MAX, "printed at once", "it prints in several pieces"),
        fixed!(
            RANDOM_BYTES_MAX,
            "random octets at once",
            "`crypto.random` gives so many, WASI traps"
        ),
    ]
}

fn page() -> String {
    let mut text = ABOUT.to_owned();
    for (title, rows) in sections() {
        text += &format!(
            "\n## {title}\n\n| what | default | set by | at the limit |\n|---|---|---|---|\n"
        );
        for Row { name, value, set_by, then, .. } in rows {
            text += &format!("| {name} | {value} | {set_by} | {then} |\n");
        }
    }
    text
}

#[test]
fn the_page_of_limits_is_the_one_that_they_make() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/plugins/limits.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == page(),
        "docs/plugins/limits.md is not what the limits make; make it again with: \
         UPDATE_REFERENCE=1 cargo test -p waft-plugin-host --lib limits"
    );
}

#[test]
fn every_limit_is_on_the_page() {
    let sections = sections();
    let rows = sections.iter().flat_map(|(_, rows)| rows);
    let told: Vec<_> = rows.filter_map(|row| row.constant).collect();
    let code = include_str!("../limits.rs").lines();
    let constants = code.filter_map(|line| line.strip_prefix("pub(crate) const ")?.split_once(':'));
    let missing: Vec<_> =
        constants.map(|(name, _)| name).filter(|name| !told.contains(name)).collect();
    assert!(missing.is_empty(), "limits/page.rs has no row for: {missing:?}");
}
