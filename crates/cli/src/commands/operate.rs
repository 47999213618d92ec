//! `waft status`, and what `waft plugin` asks of a server that runs: the question, and the answer as
//! people read it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use waft_config::Config;

use crate::args::{Operate, Reach};
use crate::control::{self, Request};
use crate::failure::{Failure, Verdict};
use crate::output;

/// Tells how the server is.
///
/// # Errors
///
/// There is no server, or it is not the caller's to ask.
pub(crate) fn status(reach: &Reach) -> Result<(), Failure> {
    let answer = ask(reach, &Request::Status)?;
    if reach.json {
        return Ok(output::print_json(&answer)?);
    }
    let mut rows = vec![
        row("version", text(at(&answer, "version"))),
        row("process", text(at(&answer, "pid"))),
        row("sessions", text(at(&answer, "sessions"))),
    ];
    let plugins = at(&answer, "plugins");
    let shown = |what: &str| format!("{} {}", text(at(plugins, what)), what.replace('_', " "));
    let plugins = ["in_force", "broken", "absent", "loading", "draining"].map(shown).join(", ");
    rows.push(row("plugins", plugins));
    let counts = at(&answer, "counts").as_object().into_iter().flatten();
    rows.extend(counts.map(|(name, count)| row(&name.replace('_', " "), text(count))));
    Ok(output::print(&rows.concat())?)
}

/// Runs one of the subcommands.
///
/// # Errors
///
/// There is no server, it is not the caller's to ask, or it says no.
pub(crate) fn plugin(command: &Operate) -> Result<(), Failure> {
    let named = |name: &String| name.clone();
    match command {
        Operate::List { reach } => list(reach),
        Operate::Status { name, reach } => details(name.as_deref(), reach),
        Operate::Reload { name, reach } => change(reach, &Request::Reload { plugin: name.clone() }),
        Operate::Rollback { name, reach } => {
            change(reach, &Request::Rollback { plugin: named(name) })
        }
        Operate::Promote { name, reach } => {
            change(reach, &Request::Promote { plugin: named(name) })
        }
        Operate::Disable { name, reach } => {
            change(reach, &Request::Disable { plugin: named(name) })
        }
        Operate::Enable { name, reach } => change(reach, &Request::Enable { plugin: named(name) }),
        Operate::Drain { name, timeout, force, reach } => {
            let (plugin, seconds, force) = (named(name), *timeout, *force);
            drain(reach, name, &Request::Drain { plugin, seconds, force })
        }
    }
}

fn ask(reach: &Reach, request: &Request) -> Result<Value, Failure> {
    Ok(control::ask(&socket(reach)?, request)?)
}

fn socket(reach: &Reach) -> Result<PathBuf, Failure> {
    if let Some(socket) = &reach.socket {
        return Ok(socket.clone());
    }
    Config::find_control_socket(reach.config.as_deref())?.ok_or_else(|| {
        let message = "the configuration has no control socket\n  \
                       remedy: set state in [server], or socket in [control], and restart the server";
        Failure::Runtime(anyhow::anyhow!(message))
    })
}

/// Has something changed, and tells what became of it.
fn change(reach: &Reach, request: &Request) -> Result<(), Failure> {
    let answer = ask(reach, request)?;
    let changes = at(&answer, "changes").as_array().map(Vec::as_slice).unwrap_or_default();
    if reach.json {
        output::print_json(&answer)?;
    } else if changes.is_empty() {
        output::print("nothing has changed\n")?;
    } else {
        output::print(&changes.iter().map(changed).collect::<String>())?;
    }
    let is_refusal =
        |change: &Value| matches!(at(change, "what").as_str(), Some("kept" | "refused"));
    if changes.iter().any(is_refusal) {
        return Err(Failure::No(Verdict::NotLoadable));
    }
    Ok(())
}

fn changed(change: &Value) -> String {
    let what = text(at(change, "what")).replace('_', " ");
    let told = match at(change, "reason").as_str() {
        // Some reasons begin with it.
        Some(reason) if reason.starts_with(&what) => reason.to_owned(),
        Some(reason) => format!("{what}: {reason}"),
        None => what,
    };
    let mut told = format!("{}: {told}", text(at(change, "plugin")));
    told.push_str(&remedy(change.get("remedy")));
    told.push('\n');
    told
}

fn drain(reach: &Reach, name: &str, request: &Request) -> Result<(), Failure> {
    let answer = ask(reach, request)?;
    let left = at(&answer, "draining").as_u64().unwrap_or_default();
    if reach.json {
        output::print_json(&answer)?;
    } else if left == 0 {
        output::print("no earlier version is in use\n")?;
    } else {
        output::print(&format!("earlier versions still in use: {left}\n"))?;
    }
    if left == 0 {
        return Ok(());
    }
    output::tell(&format!(
        "error: not drained within the time\n  \
         remedy: wait longer with --timeout, or end what uses them: waft plugin drain {name} --force"
    ));
    Err(Failure::No(Verdict::StillInUse))
}

fn list(reach: &Reach) -> Result<(), Failure> {
    let answer = ask(reach, &Request::Plugins)?;
    if reach.json {
        return Ok(output::print_json(&answer)?);
    }
    const HEADS: [&str; 10] = [
        "NAME",
        "STATE",
        "GENERATION",
        "DIGEST",
        "CALLS",
        "P50",
        "P99",
        "FAILED",
        "HOOKS",
        "SETTINGS",
    ];
    let mut rows = vec![HEADS.map(str::to_owned)];
    for plugin in all(&answer) {
        let counts = at(plugin, "counts");
        let failed = ["traps", "timeouts", "bad_verdicts"].map(|what| at(counts, what).as_u64());
        let failed: u64 = failed.into_iter().flatten().sum();
        let in_force = !counts.is_null();
        let only = |shown: String| if in_force { shown } else { "-".to_owned() };
        rows.push([
            text(at(plugin, "name")),
            text(at(plugin, "state")),
            text(at(plugin, "since_generation")),
            at(plugin, "sha256")
                .as_str()
                .map_or("-", |sha| sha.get(..12).unwrap_or(sha))
                .to_owned(),
            text(at(counts, "calls")),
            time(at(plugin, "p50_us")),
            time(at(plugin, "p99_us")),
            only(failed.to_string()),
            listed(at(plugin, "hooks")),
            at(plugin, "settings").as_str().map_or("-", name_of).to_owned(),
        ]);
    }
    let mut told = table(&rows);
    for plugin in all(&answer) {
        let notes = trouble(plugin).into_iter().chain(concerns(plugin)).chain(passing(plugin));
        told.extend(notes.map(|told| format!("{}: {told}\n", text(at(plugin, "name")))));
    }
    Ok(output::print(&told)?)
}

/// The last part of a path.
fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Every plugin and version that the server tells of.
fn all(answer: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["plugins", "canaries", "absent", "loading", "draining"].into_iter();
    lists.flat_map(|list| at(answer, list).as_array().into_iter().flatten())
}

/// Why a file is not taken.
fn trouble(plugin: &Value) -> Option<String> {
    let reason = at(plugin, "trouble").as_str().or_else(|| at(plugin, "reason").as_str())?;
    Some(format!("{reason}{}", remedy(plugin.get("remedy"))))
}

/// What there is to look after with files that are taken.
fn concerns(plugin: &Value) -> impl Iterator<Item = String> {
    let concerns = at(plugin, "concerns").as_array().into_iter().flatten();
    concerns.map(|it| format!("{}{}", text(at(it, "reason")), remedy(it.get("remedy"))))
}

/// What becomes of a version that is not in force yet, or not any more.
fn passing(plugin: &Value) -> Option<String> {
    let [step, since, transfers, instances, generation] =
        ["step", "since", "transfers", "instances", "since_generation"].map(|key| at(plugin, key));
    if !step.is_null() {
        return Some(format!("loading: {}, for {}", doing(step), time_since(since)));
    }
    if at(plugin, "shadow") == &Value::Bool(true) {
        let differed = text(at(plugin, "differed"));
        return Some(format!("only listened to, would have acted: {differed}"));
    }
    (!transfers.is_null()).then(|| {
        format!(
            "draining generation {}: transfers: {}, instances: {}",
            text(generation),
            text(transfers),
            text(instances)
        )
    })
}

/// A step of loading, in words.
fn doing(step: &Value) -> String {
    match step.as_str() {
        Some("compile") => "being compiled".to_owned(),
        Some("start") => "being started".to_owned(),
        Some("test") => "being tested".to_owned(),
        _ => text(step),
    }
}

/// What to do about something, in a line of its own.
fn remedy(remedy: Option<&Value>) -> String {
    let remedy = remedy.and_then(Value::as_str).map(|remedy| format!("\n  remedy: {remedy}"));
    remedy.unwrap_or_default()
}

fn details(name: Option<&str>, reach: &Reach) -> Result<(), Failure> {
    let answer = ask(reach, &Request::Plugins)?;
    let wanted: Vec<&Value> = all(&answer)
        .filter(|plugin| name.is_none_or(|name| *at(plugin, "name") == *name))
        .collect();
    if let Some(name) = name.filter(|_| wanted.is_empty()) {
        let message = format!("no plugin of this name: {name}\n  remedy: see waft plugin list");
        return Err(anyhow::anyhow!(message).into());
    }
    if reach.json {
        return Ok(output::print_json(&wanted)?);
    }
    let told: Vec<String> = wanted.into_iter().map(described).collect();
    Ok(output::print(&told.join("\n"))?)
}

fn described(plugin: &Value) -> String {
    let counts = at(plugin, "counts");
    let mut rows =
        vec![row("name", text(at(plugin, "name"))), row("state", text(at(plugin, "state")))];
    rows.extend(trouble(plugin).map(|trouble| row("not taken", trouble)));
    rows.extend(concerns(plugin).map(|concern| row("concern", concern)));
    let known = |key: &str| Some(at(plugin, key)).filter(|value| !value.is_null());
    rows.extend(known("component").map(|component| row("component", text(component))));
    rows.extend(known("file").map(|file| row("file", text(file))));
    rows.extend(known("settings").map(|file| row("settings", text(file))));
    rows.extend(known("sha256").map(|digest| row("digest", text(digest))));
    rows.extend(known("config_sha256").map(|digest| row("config digest", text(digest))));
    rows.extend(known("since_generation").map(|since| row("generation", text(since))));
    rows.extend(known("step").map(|step| row("doing", doing(step))));
    rows.extend(known("since").map(|since| row("for", time_since(since))));
    rows.extend(known("transfers").map(|count| row("transfers", text(count))));
    rows.extend(known("instances").map(|count| row("instances", text(count))));
    rows.extend(known("loaded").map(|at| row("loaded", ago(at))));
    rows.extend(known("hooks").map(|hooks| row("hooks", listed(hooks))));
    if counts.is_null() {
        return rows.concat();
    }
    let [idle, busy, pinned] =
        ["idle", "busy", "pinned"].map(|how| text(at(plugin, &format!("instances_{how}"))));
    rows.push(row("instances", format!("{idle} idle, {busy} busy, {pinned} of these pinned")));
    let memory = at(plugin, "memory_bytes").as_u64().unwrap_or_default();
    rows.push(row("memory", format!("{} KiB", memory / 1024)));
    if at(plugin, "shadow") == &Value::Bool(true) {
        rows.push(row("would have acted", text(at(plugin, "differed"))));
    }
    rows.push(row("calls", calls(counts, plugin)));
    if at(plugin, "remembered_commands").as_u64().is_some_and(|commands| commands > 0) {
        rows.push(row(
            "remembered",
            format!("{} commands", text(at(plugin, "remembered_commands"))),
        ));
    }
    for hook in at(plugin, "calls_by_hook").as_array().into_iter().flatten() {
        rows.push(row(&format!("  {}", text(at(hook, "hook"))), calls(hook, &Value::Null)));
    }
    if let Some(error) = at(plugin, "last_error").as_object() {
        let (when, hook) = (ago(at(at(plugin, "last_error"), "at")), error.get("hook"));
        let hook = hook.map(text).unwrap_or_default();
        let reason = error.get("reason").map(text).unwrap_or_default();
        rows.push(row(
            "last error",
            format!("{when}, {hook}: {reason}{}", remedy(error.get("remedy"))),
        ));
    }
    if let Some(events) = at(plugin, "events").as_object() {
        let count = |what: &str| events.get(what).map(text).unwrap_or_default();
        rows.push(row(
            "events",
            format!("{} waiting, {} dropped", count("waiting"), count("dropped")),
        ));
        if events.get("spooled_bytes_max").and_then(Value::as_u64) > Some(0) {
            let [on_disk, now, max] = ["spooled", "spooled_bytes", "spooled_bytes_max"].map(count);
            rows.push(row("events on disk", format!("{on_disk}, {now} B of {max} B")));
        }
    }
    rows.concat()
}

fn calls(counts: &Value, times: &Value) -> String {
    let what = ["calls", "traps", "timeouts", "bad_verdicts", "not_made", "given_up"];
    let mut told =
        what.map(|what| format!("{} {}", text(at(counts, what)), what.replace('_', " ")));
    if let Some(first) = told.first_mut() {
        *first = text(at(counts, "calls"));
    }
    let told = told.join(", ");
    if times.is_null() {
        return told;
    }
    format!("{told}; p50 {}, p99 {}", time(at(times, "p50_us")), time(at(times, "p99_us")))
}

/// A line of a name and a value.
fn row(name: &str, value: String) -> String {
    format!("{name:<24}{value}\n")
}

fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let line = |row: &[String; N]| {
        let cells = row.iter().enumerate();
        let cells = cells.map(|(column, cell)| {
            format!("{cell:<width$}", width = width(column).unwrap_or_default())
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// What has that key, or null.
fn at<'v>(value: &'v Value, key: &str) -> &'v Value {
    value.get(key).unwrap_or(&Value::Null)
}

/// A value without quotes; what is not there is a dash.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn listed(list: &Value) -> String {
    let items = list.as_array().into_iter().flatten().map(text);
    let items: Vec<_> = items.collect();
    if items.is_empty() { "-".to_owned() } else { items.join(",") }
}

/// Microseconds, as people read them.
fn time(us: &Value) -> String {
    match us.as_u64() {
        None => "-".to_owned(),
        Some(us) => format!("{:?}", Duration::from_micros(us)),
    }
}

/// How long ago that was, by this machine's clock.
fn ago(at: &Value) -> String {
    format!("{} ago", time_since(at))
}

/// How much time has passed since then, likewise.
fn time_since(at: &Value) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at.as_u64().unwrap_or_default());
    let seconds = at.elapsed().unwrap_or_default().as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
