//! What plugins cost: a hook that is called and one that is not, octets through a storage and
//! through a content filter, a component to compile and to load again, an instance to keep.
//!
//! `cargo xtask bench micro` builds the components, runs this with the others and makes a table of
//! it. A line that begins with `figure: ` is a measurement that is no time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "benchmarks fail by panicking"
)]

use std::cell::Cell;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput};
use tokio::runtime::Runtime;
use waft_core::event::Direction;
use waft_core::hooks::{ContentVerdict, HookSource, Passage};
use waft_core::session::Scratch;
use waft_core::storage::{Storage, WriteMode};
use waft_core::{SessionFacts, SessionId, VirtualPath};
use waft_plugin_host::{Host, HostSettings, PluginSettings};
use waft_proto::{Command, Verb};

/// Octets of one transfer.
const LENGTH: usize = 64 << 20;

/// Octets at a time.
const CHUNK: usize = 256 << 10;

/// Instances that are kept at once, each by a transfer.
const KEPT: u64 = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut criterion = Criterion::default().configure_from_args();
    calls(&mut criterion, &runtime);
    transfers(&mut criterion, &runtime);
    swaps(&mut criterion, &runtime);
    runtime.block_on(memory());
    criterion.final_summary();
}

/// What stands in `[plugin.config]`.
type Settings = &'static [(&'static str, &'static str)];

/// How much of the command SIZE the plugins want to see, the rule that makes them, how many commands they
/// are remembered to let pass, and how many names there are, which come in turn.
const LOOKS: [(&str, Settings, usize, usize); 6] = [
    ("about other verbs", &[("rule.0.commands", "DELE")], 0, 1),
    ("about other words", &[("rule.0.commands", "SIZE never-sent")], 0, 1),
    ("about other users", &[("rule.0.commands", "SIZE"), ("rule.0.users.0", "nobody")], 0, 1),
    ("which look", LOOKING, 0, 1),
    ("remembered", LOOKING, 1024, 1),
    ("another name each time", LOOKING, 1024, 4096),
];

/// Each SIZE with an argument passes, and one without would not.
const LOOKING: Settings = &[
    ("rule.0.commands", "SIZE *"),
    ("rule.0.allow", "true"),
    ("rule.1.commands", "SIZE"),
    ("rule.1.tls", "false"),
];

/// A command as the server asks about it.
fn calls(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("hook call");
    let mut measure = |name: String, count, rule: Settings, remembered, names: usize| {
        let policy = |number| {
            let mut policy = plugin(&format!("policy-{number}"), "command-policy", rule);
            policy.limits.remembered_commands = remembered;
            policy
        };
        let host = runtime.block_on(load((0..count).map(policy).collect(), None));
        let file = |number| format!("some/folder/file-{number}.dat");
        let commands =
            (0..names).map(|number| Command::new(Verb::Size, Some(file(number).as_bytes())));
        let commands: Vec<Command> = commands.collect();
        let (turn, session) = (Cell::new(0), session());
        let ask = async || {
            let hooks = host.current();
            let command = &commands[turn.get() % names];
            turn.set(turn.get() + 1);
            if let Some(asked) = hooks.on_command(&session, black_box(command)) {
                drop(black_box(asked.await));
            }
        };
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| runtime.block_on(timed(times, &ask)));
        });
    };
    measure("no plugin".to_owned(), 0, &[], 0, 1);
    for (looks, rule, remembered, names) in LOOKS {
        for count in [1, 5] {
            measure(format!("{count} × command-policy, {looks}"), count, rule, remembered, names);
        }
    }
    group.finish();
}

/// Octets on one core, without a network and without a disk.
fn transfers(criterion: &mut Criterion, runtime: &Runtime) {
    let both = [("upload", "inspect"), ("download", "transform")];
    let plugins =
        vec![plugin("vault", "tests/vault", &[]), plugin("customs", "tests/customs", &both)];
    let host = runtime.block_on(load(plugins, None));
    let session = session();
    let storage = host.storage("vault").for_session(&session).unwrap();
    let mut group = criterion.benchmark_group("octets through a plugin");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.throughput(Throughput::Bytes(LENGTH as u64));
    let mut measure = |name: &str, transfer: &dyn Fn()| {
        group.bench_function(name, |bencher| bencher.iter(transfer));
    };
    measure("storage, read", &|| runtime.block_on(read(&*storage)));
    measure("storage, written", &|| runtime.block_on(write(&*storage)));
    for (name, direction) in [
        ("content-filter that inspects", Direction::Upload),
        ("content-filter that transforms", Direction::Download),
    ] {
        measure(name, &|| runtime.block_on(pass(&host, &session, direction)));
    }
    group.finish();
}

/// Taking a component that was never seen, and one that was compiled before.
fn swaps(criterion: &mut Criterion, runtime: &Runtime) {
    let state = tempfile::tempdir().unwrap();
    let one = || vec![plugin("policy", "command-policy", &[])];
    let mut group = criterion.benchmark_group("swap in command-policy");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.bench_function("compiled anew", |bencher| {
        bencher.iter(|| runtime.block_on(load(one(), None)));
    });
    group.bench_function("compiled before", |bencher| {
        bencher.iter(|| runtime.block_on(load(one(), Some(state.path()))));
    });
    group.finish();
}

/// What instances take of the machine's memory, each with a transfer in it.
async fn memory() {
    let both = [("upload", "inspect")];
    let host = load(vec![plugin("customs", "tests/customs", &both)], None).await;
    let session = session();
    let before = resident();
    let mut kept = Vec::new();
    for _ in 0..KEPT {
        let hooks = host.current();
        let passage = passage(&session, Direction::Upload);
        let wanted = hooks.content().unwrap().wanted(passage).await.unwrap().unwrap();
        kept.push(wanted.open().await.unwrap());
    }
    let each = (resident() - before) / KEPT;
    #[expect(clippy::print_stdout, reason = "whoever runs this reads it")]
    {
        println!("figure: memory of an instance, {KEPT} at once: {each} KiB");
    }
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

async fn timed(times: u64, call: &impl AsyncFn()) -> Duration {
    let began = Instant::now();
    for _ in 0..times {
        call().await;
    }
    began.elapsed()
}

async fn load(plugins: Vec<PluginSettings>, state: Option<&Path>) -> Host {
    let state = state.map(Path::to_owned);
    Host::load(HostSettings { plugins, state, ..HostSettings::default() }).await.unwrap()
}

async fn read(storage: &dyn Storage) {
    let path = VirtualPath::root().join(format!("made/{LENGTH}").as_bytes()).unwrap();
    let mut reader = storage.open_read(&path, 0).await.unwrap();
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        buffer.clear();
        buffer = reader.read(buffer).await.unwrap();
        if buffer.is_empty() {
            return;
        }
    }
}

async fn write(storage: &dyn Storage) {
    let path = VirtualPath::root().join(b"sink/file").unwrap();
    let pattern: Vec<u8> = (0..CHUNK + 251).map(|place| (place % 251) as u8).collect();
    let mut writer = storage.open_write(&path, WriteMode::Replace).await.unwrap();
    let mut buffer = Vec::with_capacity(CHUNK);
    for number in 0..LENGTH / CHUNK {
        buffer.extend_from_slice(&pattern[number * CHUNK % 251..][..CHUNK]);
        buffer = writer.write(buffer).await.unwrap();
    }
    writer.finish().await.unwrap();
}

async fn pass(host: &Host, session: &Arc<SessionFacts>, direction: Direction) {
    let hooks = host.current();
    let passage = passage(session, direction);
    let wanted = hooks.content().unwrap().wanted(passage).await.unwrap().unwrap();
    let mut stream = wanted.open().await.unwrap();
    let mut chunk = vec![b' '; CHUNK];
    for _ in 0..LENGTH / CHUNK {
        chunk = stream.push(chunk).await.unwrap();
    }
    assert!(matches!(stream.finish().await, ContentVerdict::Accept(_)));
}

fn passage(session: &Arc<SessionFacts>, direction: Direction) -> Passage {
    let path = VirtualPath::root().join(b"file").unwrap();
    Passage { session: Arc::clone(session), direction, path, size: None, partial: false }
}

fn plugin(name: &str, component: &str, config: &[(&str, &str)]) -> PluginSettings {
    PluginSettings {
        path: Some(file(component)),
        config: config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        ..PluginSettings::named(name)
    }
}

/// A component that was built.
fn file(component: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let directory = std::env::var_os("WAFT_PLUGINS").map_or(workspace, PathBuf::from);
    directory.join(component).with_extension("wasm")
}

fn session() -> Arc<SessionFacts> {
    Arc::new(SessionFacts {
        id: SessionId(1),
        peer: ([127, 0, 0, 1], 1).into(),
        local: ([127, 0, 0, 1], 21).into(),
        listener: "bench".into(),
        tls: None,
        user: None,
        cwd: VirtualPath::root(),
        attributes: Arc::new([]),
        scratch: Arc::new(Scratch::default()),
        skips: Arc::default(),
    })
}
