//! What a component costs: to compile, to load, to have instances of, and to ask.
//!
//! The host is the server's own; there is no session, and nothing of the server but its hooks. A
//! call is timed in batches, one at a time: half of the batches were quicker than the median that is
//! told, and none was quicker than the minimum.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use waft_core::hooks::HookSource;
use waft_plugin_host::{Grants, Host, HostSettings, PluginSettings};

use super::calls;
use super::scenario::Stage;
use super::site::{Ground, Site};
use super::trials::Temporary;
use crate::args::BenchedPlugin;
use crate::assemble;
use crate::commands::runtime;
use crate::failure::{Failure, Verdict};
use crate::output;

/// Instances that are made to see what one costs.
const INSTANCES: usize = 16;

/// What was measured, and what a baseline is.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Costs {
    /// Octets of the file.
    bytes: u64,
    compile_ms: f64,
    /// Loading what was compiled before, with one instance of it.
    load_ms: f64,
    /// Making an instance, and having it prepare itself.
    instantiate_us: f64,
    /// Octets of an instance's linear memory.
    memory_bytes: usize,
    /// Octets of memory that an instance makes the process larger by.
    resident_bytes: u64,
    hooks: Vec<HookCost>,
}

/// What a call of a hook costs.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct HookCost {
    pub(super) hook: String,
    /// What was called.
    pub(super) call: String,
    pub(super) min_ns: u64,
    pub(super) median_ns: u64,
}

/// Measures a component.
pub(super) fn run(arguments: &BenchedPlugin) -> Result<(), Failure> {
    let limits = arguments.limit.iter().map(|limit| read_limit(limit));
    let limits = limits.collect::<Result<Vec<_>, Failure>>()?;
    let baseline = arguments.baseline.as_deref().map(read_baseline).transpose()?;
    let costs = runtime(Some(1))?.block_on(measure(arguments))?;
    match arguments.json {
        true => output::print_json(&costs)?,
        false => output::print(&table(&costs))?,
    }
    let mut slower = over(&costs, &limits)?;
    slower.extend(baseline.iter().flat_map(|old| regressions(&costs, old, arguments.tolerance)));
    for line in &slower {
        output::tell(&format!("error: {line}"));
    }
    if slower.is_empty() { Ok(()) } else { Err(Failure::No(Verdict::TooSlow)) }
}

/// `HOOK=NS`.
fn read_limit(text: &str) -> Result<(String, u64), Failure> {
    let limit = text.split_once('=').and_then(|(hook, ns)| Some((hook, ns.parse().ok()?)));
    let wrong = || Failure::Usage(format!("--limit wants HOOK=NANOSECONDS: {text}"));
    limit.map(|(hook, ns)| (hook.to_owned(), ns)).ok_or_else(wrong)
}

fn read_baseline(file: &Path) -> Result<Costs> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| {
        format!("not what waft plugin bench --json has written: {}", file.display())
    })
}

/// The hooks that cost more than they may.
fn over(costs: &Costs, limits: &[(String, u64)]) -> Result<Vec<String>> {
    let mut over = Vec::new();
    for (name, limit) in limits {
        let mut of_hook = costs.hooks.iter().filter(|cost| cost.hook == *name).peekable();
        if of_hook.peek().is_none() {
            bail!("nothing was measured of the hook: {name}");
        }
        over.extend(of_hook.filter(|cost| cost.median_ns > *limit).map(|cost| {
            let HookCost { hook, call, median_ns, .. } = cost;
            format!("{hook} ({call}) takes {median_ns} ns, limit: {limit} ns")
        }));
    }
    Ok(over)
}

/// What costs more than before, by more than the tolerance.
fn regressions(costs: &Costs, old: &Costs, tolerance: f64) -> Vec<String> {
    let mut pairs = vec![
        ("instantiate".to_owned(), "µs", costs.instantiate_us, old.instantiate_us),
        ("memory".to_owned(), "octets", costs.memory_bytes as f64, old.memory_bytes as f64),
    ];
    for cost in &costs.hooks {
        let same = |known: &&HookCost| known.hook == cost.hook && known.call == cost.call;
        let Some(before) = old.hooks.iter().find(same) else { continue };
        let what = format!("{} ({})", cost.hook, cost.call);
        pairs.push((what, "ns", cost.median_ns as f64, before.median_ns as f64));
    }
    let slower = pairs.into_iter().filter(|(_, _, now, before)| *now > before * tolerance);
    let told = slower.map(|(what, unit, now, before)| {
        format!("{what}: {now:.0} {unit}, before: {before:.0} {unit}, tolerance: {tolerance}")
    });
    told.collect()
}

fn table(costs: &Costs) -> String {
    let kib = |octets: u64| format!("{} KiB", octets.div_ceil(1024));
    let mut rows = vec![
        ("size".to_owned(), kib(costs.bytes)),
        ("compile".to_owned(), format!("{:.1} ms", costs.compile_ms)),
        ("load, compiled".to_owned(), format!("{:.2} ms", costs.load_ms)),
        ("instantiate".to_owned(), format!("{:.1} µs", costs.instantiate_us)),
        ("linear memory".to_owned(), kib(costs.memory_bytes as u64)),
        ("resident memory".to_owned(), kib(costs.resident_bytes)),
    ];
    rows.extend(costs.hooks.iter().map(|cost| {
        let HookCost { hook, call, min_ns, median_ns } = cost;
        (hook.clone(), format!("{median_ns} ns, {min_ns} at best ({call})"))
    }));
    let line = |(what, value): (String, String)| format!("{what:<19}{value}\n");
    rows.into_iter().map(line).collect()
}

async fn measure(arguments: &BenchedPlugin) -> Result<Costs> {
    let file = &arguments.file;
    let bytes = std::fs::metadata(file).with_context(|| file.display().to_string())?.len();
    let temporary = Temporary::new()?;
    let mut settings = settings(file, arguments.settings.as_deref(), &temporary.0)?;
    for plugin in &mut settings.plugins {
        // The same instance is asked every time, however often.
        plugin.limits.instances_max = 1;
        plugin.limits.instance_calls = u64::MAX;
        plugin.limits.remembered_commands = 0;
    }
    let (host, compile_ms) = load(&settings).await?;
    drop(host);
    let (host, load_ms) = load(&settings).await?;
    let plugin = settings.plugins.first().context("no plugin")?;
    let inspection = waft_plugin_host::check(plugin, &settings).await?;
    let names = inspection.hooks.iter().map(|hook| hook.name.as_str());
    let wanted =
        |hook: &&str| arguments.hook.is_empty() || arguments.hook.iter().any(|h| h == hook);
    let names: Vec<&str> = names.filter(|hook| *hook != "lifecycle").filter(wanted).collect();
    if let Some(missing) = arguments.hook.iter().find(|hook| !names.contains(&hook.as_str())) {
        bail!("it has no such hook: {missing}");
    }
    let hooks = calls::measured(&host, &*host.current(), &plugin.name, &inspection, &names).await?;
    let before = resident()?;
    let instances = waft_plugin_host::instances(plugin, INSTANCES).await?;
    let resident_bytes = resident()?.saturating_sub(before) / INSTANCES as u64;
    let mut started = instances.started.clone();
    started.sort();
    let median = started.get(INSTANCES / 2).copied().unwrap_or_default();
    Ok(Costs {
        bytes,
        compile_ms,
        load_ms,
        instantiate_us: median.as_secs_f64() * 1e6,
        memory_bytes: instances.memory_bytes(),
        resident_bytes,
        hooks,
    })
}

/// The plugin alone, with the settings of a file, or with none and grants that lead nowhere.
pub(super) fn settings(
    file: &Path,
    written: Option<&Path>,
    directory: &Path,
) -> Result<HostSettings> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let state = directory.join("state");
    let mut settings = match written {
        Some(written) => {
            without_header(written)?;
            let ground = Ground {
                directory: &directory.join("site"),
                state: &state,
                name: &name,
                component: file,
                settings: written,
                address: "192.0.2.1:21",
            };
            let site = Site::make(&ground, &Stage::default())?;
            let settings = assemble::host_settings(&site.config).map_err(|mistakes| {
                let mistakes: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
                anyhow::anyhow!(mistakes.join("\n"))
            })?;
            HostSettings { directory: None, rehearsal: true, ..settings }
        }
        None => {
            let grants = Grants::without_effect();
            let plugin = PluginSettings { grants, ..PluginSettings::named(&*name) };
            HostSettings { plugins: vec![plugin], state: Some(state), ..HostSettings::default() }
        }
    };
    for plugin in &mut settings.plugins {
        plugin.path = Some(file.to_owned());
    }
    Ok(settings)
}

/// Makes sure that a file holds what stands under `[[plugin]]`, and not that line itself: behind it
/// would be another plugin.
///
/// # Errors
/// It has that line, or cannot be read.
fn without_header(written: &Path) -> Result<()> {
    let text = std::fs::read_to_string(written).with_context(|| written.display().to_string())?;
    let header =
        |line: &str| line.split('#').next().is_some_and(|line| line.trim() == "[[plugin]]");
    let Some(before) = text.lines().position(header) else { return Ok(()) };
    let line = before + 1;
    anyhow::bail!(
        "{}:{line}: what stands under [[plugin]] is wanted, not that line\n  remedy: remove it",
        written.display()
    )
}

/// Loads the plugin, with one instance, and tells the milliseconds.
async fn load(settings: &HostSettings) -> Result<(Host, f64)> {
    let began = Instant::now();
    let host = Host::load(settings.clone()).await.map_err(|errors| anyhow::anyhow!("{errors}"))?;
    Ok((host, began.elapsed().as_secs_f64() * 1000.0))
}

/// Octets of memory that the process has, as the kernel counts them.
fn resident() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kib.context("the kernel tells no VmRSS")? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(median_ns: u64, memory_bytes: usize) -> Costs {
        let (hook, call) = ("command-filter".to_owned(), "on-command".to_owned());
        Costs {
            bytes: 1,
            compile_ms: 1.0,
            load_ms: 1.0,
            instantiate_us: 1.0,
            memory_bytes,
            resident_bytes: 1,
            hooks: vec![HookCost { hook, call, min_ns: 1, median_ns }],
        }
    }

    #[test]
    fn what_costs_more_than_its_limit_is_told() {
        let limit = |ns| [("command-filter".to_owned(), ns)];
        assert_eq!(over(&costs(500, 1), &limit(500)).unwrap(), [""; 0]);
        assert_eq!(
            over(&costs(501, 1), &limit(500)).unwrap(),
            ["command-filter (on-command) takes 501 ns, limit: 500 ns"]
        );
        assert!(over(&costs(1, 1), &[("timer".to_owned(), 5)]).is_err());
        assert!(read_limit("timer=1k").is_err());
    }

    #[test]
    fn what_costs_more_than_before_is_told() {
        assert_eq!(regressions(&costs(130, 100), &costs(100, 100), 1.3), [""; 0]);
        assert_eq!(
            regressions(&costs(131, 131), &costs(100, 100), 1.3),
            [
                "memory: 131 octets, before: 100 octets, tolerance: 1.3",
                "command-filter (on-command): 131 ns, before: 100 ns, tolerance: 1.3"
            ]
        );
    }
}
