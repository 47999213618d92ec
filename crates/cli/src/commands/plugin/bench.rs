//! What a component costs: to compile, to load, and to ask.
//!
//! The host is the server's own; there is no session, and nothing of the server but its hooks. A
//! call is timed in batches, one at a time, and half of the batches were quicker than what is told.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use waft_core::hooks::{HookSource, Hooks};
use waft_core::{SessionFacts, SessionId, VirtualPath};
use waft_plugin_host::{Host, HostSettings, Inspection, PluginSettings};
use waft_proto::{Code, Command, Reply};

use crate::args::Component;
use crate::commands::runtime;
use crate::failure::Failure;
use crate::output;

/// Batches that are timed.
const BATCHES: usize = 21;

/// How long a batch takes, about.
const BATCH: Duration = Duration::from_millis(20);

/// What was measured.
#[derive(Serialize)]
struct Costs {
    /// Octets of the file.
    bytes: usize,
    compile_ms: f64,
    /// Loading what was compiled before, with one instance of it.
    load_ms: f64,
    hooks: Vec<HookCost>,
}

#[derive(Serialize)]
struct HookCost {
    hook: &'static str,
    ns_per_call: u64,
}

/// Measures a component.
pub(super) fn run(Component { file, json }: &Component) -> Result<(), Failure> {
    let costs = runtime(Some(1))?.block_on(measure(file))?;
    if *json {
        return Ok(output::print_json(&costs)?);
    }
    let mut rows = vec![
        ("size".to_owned(), format!("{} KiB", costs.bytes.div_ceil(1024))),
        ("compile".to_owned(), format!("{:.1} ms", costs.compile_ms)),
        ("load, compiled".to_owned(), format!("{:.2} ms", costs.load_ms)),
    ];
    let row = |cost: &HookCost| (cost.hook.to_owned(), format!("{} ns a call", cost.ns_per_call));
    rows.extend(costs.hooks.iter().map(row));
    let lines = rows.into_iter().map(|(what, value)| format!("{what:<18}{value}\n"));
    Ok(output::print(&lines.collect::<String>())?)
}

async fn measure(file: &Path) -> Result<Costs> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let inspection = waft_plugin_host::inspect(&bytes)
        .await
        .map_err(|refusal| anyhow::anyhow!("{}: {refusal}", file.display()))?;
    let state = std::env::temp_dir().join(format!("waft-bench-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&state)?;
    let result = in_state(file, &inspection, &state).await;
    fs::remove_dir_all(&state)?;
    let (compile_ms, load_ms, hooks) = result?;
    Ok(Costs { bytes: bytes.len(), compile_ms, load_ms, hooks })
}

/// Measures with a directory for what is compiled.
async fn in_state(
    file: &Path,
    inspection: &Inspection,
    state: &Path,
) -> Result<(f64, f64, Vec<HookCost>)> {
    let (_, compile_ms) = load(file, state).await?;
    let (host, load_ms) = load(file, state).await?;
    let hooks = calls(&*host.current(), inspection).await?;
    Ok((compile_ms, load_ms, hooks))
}

/// Loads the component alone, with one instance, and tells the milliseconds.
async fn load(file: &Path, state: &Path) -> Result<(Host, f64)> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut plugin = PluginSettings { path: Some(file.to_owned()), ..PluginSettings::named(name) };
    plugin.limits.instances_max = 1;
    let settings = HostSettings {
        plugins: vec![plugin],
        state: Some(state.to_owned()),
        ..HostSettings::default()
    };
    let began = Instant::now();
    let host = Host::load(settings).await.map_err(|errors| anyhow::anyhow!("{errors}"))?;
    Ok((host, began.elapsed().as_secs_f64() * 1000.0))
}

/// Times the hooks that are asked about every command, or every connection.
async fn calls(hooks: &dyn Hooks, inspection: &Inspection) -> Result<Vec<HookCost>> {
    let session = &session();
    let descriptor = inspection.descriptor.as_ref();
    let wanted = |verbs: Option<&Vec<String>>| {
        let verb = verbs.and_then(|verbs| verbs.first());
        Command::parse(verb.map_or("NOOP", String::as_str).as_bytes())
    };
    let code = descriptor.and_then(|told| told.reply_codes.as_ref()?.first().copied());
    let reply = Reply::new(code.and_then(Code::new).unwrap_or(Code::OKAY), "Done.");
    let command = &wanted(descriptor.and_then(|told| told.command_verbs.as_ref()))?;
    let replied = &wanted(descriptor.and_then(|told| told.reply_verbs.as_ref()))?;
    let has = |name: &str| inspection.hooks.iter().any(|hook| hook.name == name);
    let mut costs = Vec::new();
    if let Some(connections) = hooks.connections() {
        let call = async || drop(connections.on_connect(session).await);
        costs.push(HookCost { hook: "connection-filter", ns_per_call: timed(call).await });
    }
    if has("command-filter") {
        let call = async || drop(hooks.on_command(session, command).await);
        costs.push(HookCost { hook: "command-filter", ns_per_call: timed(call).await });
    }
    if has("reply-filter") {
        let call = async || drop(hooks.on_reply(session, Some(replied), reply.clone()).await);
        costs.push(HookCost { hook: "reply-filter", ns_per_call: timed(call).await });
    }
    Ok(costs)
}

fn session() -> Arc<SessionFacts> {
    Arc::new(SessionFacts {
        id: SessionId(1),
        peer: ([192, 0, 2, 7], 40_000).into(),
        local: ([192, 0, 2, 1], 21).into(),
        listener: "bench".into(),
        tls: None,
        user: Some("alice".into()),
        cwd: VirtualPath::root(),
        attributes: Arc::new([]),
        scratch: Arc::default(),
    })
}

/// Nanoseconds of one call: the median of batches.
async fn timed(call: impl AsyncFn()) -> u64 {
    let mut batch = 1_u32;
    loop {
        let began = Instant::now();
        for _ in 0..batch {
            call().await;
        }
        if began.elapsed() * 2 > BATCH || batch > 1 << 20 {
            break;
        }
        batch *= 2;
    }
    let mut times = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let began = Instant::now();
        for _ in 0..batch {
            call().await;
        }
        times.push(began.elapsed() / batch);
    }
    times.sort();
    let median = times.get(BATCHES / 2).copied().unwrap_or_default();
    u64::try_from(median.as_nanos()).unwrap_or(u64::MAX)
}
