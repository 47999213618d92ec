//! The benchmarks of the crates, run by cargo and criterion, and what they have found as a table.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::report::{number, table};
use crate::plugins;
use crate::workspace::{self, Workspace};

/// The benchmarks of the crates.
const BENCHES: [&str; 3] = ["wire", "pump", "hooks"];

/// Seconds that each is warmed up and measured for.
const SECONDS: [&str; 4] = ["--warm-up-time", "0.5", "--measurement-time", "2"];

/// How lines begin that a benchmark prints of what is no time.
const FIGURE: &str = "figure: ";

/// What criterion keeps of one benchmark: `benchmark.json`.
#[derive(Debug, Deserialize)]
struct Benchmark {
    /// Its group and its name.
    full_id: String,
    throughput: Option<Throughput>,
}

#[derive(Debug, Deserialize)]
struct Throughput {
    #[serde(rename = "Bytes")]
    bytes: Option<f64>,
}

/// What it found: `estimates.json`.
#[derive(Debug, Deserialize)]
struct Estimates {
    median: Estimate,
}

/// Nanoseconds.
#[derive(Debug, Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Debug, Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// Runs all of them.
///
/// # Errors
/// One does not build, or fails.
pub(super) fn run(workspace: &Workspace) -> Result<String> {
    let results = workspace.target.join("bench/criterion");
    if results.exists() {
        fs::remove_dir_all(&results)?;
    }
    let told = execute(workspace, &results)?;
    let mut found = Vec::new();
    collect(&results, &mut found)?;
    // They are told in the order in which they ran.
    found.sort_by_key(|(benchmark, _)| told.find(&benchmark.full_id));
    let rows: Vec<_> = found.iter().map(|(benchmark, found)| row(benchmark, found)).collect();
    let head = ["what", "median", "95 % confidence", "rate"].map(str::to_owned);
    let figures = told.lines().filter_map(|line| line.strip_prefix(FIGURE));
    let notes: String = figures.map(|figure| format!("- {figure}\n")).collect();
    Ok(format!("{}\n{notes}", table(&head, &rows)))
}

/// Runs all of them and returns what they print, which is shown meanwhile.
fn execute(workspace: &Workspace, results: &Path) -> Result<String> {
    let mut command = workspace::cargo();
    command.args(["bench", "--workspace"]).current_dir(&workspace.root);
    command.args(BENCHES.iter().flat_map(|name| ["--bench", name]));
    command.arg("--").args(SECONDS);
    command.env("CRITERION_HOME", results).env("WAFT_PLUGINS", plugins::directory(workspace));
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo says nothing")?;
    let mut told = String::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        eprintln!("{line}");
        told.push_str(&line);
        told.push('\n');
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the benchmarks failed with {status}");
    }
    Ok(told)
}

/// Finds all that criterion has kept.
fn collect(folder: &Path, found: &mut Vec<(Benchmark, Estimate)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.ends_with("new") {
            let benchmark: Benchmark = read(&path.join("benchmark.json"))?;
            let estimates: Estimates = read(&path.join("estimates.json"))?;
            found.push((benchmark, estimates.median));
        } else if path.is_dir() {
            collect(&path, found)?;
        }
    }
    Ok(())
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

fn row(benchmark: &Benchmark, found: &Estimate) -> Vec<String> {
    let Interval { lower_bound, upper_bound } = found.confidence_interval;
    let octets = benchmark.throughput.as_ref().and_then(|throughput| throughput.bytes);
    let rate = octets.map(|octets| format!("{} GB/s", number(octets / found.point_estimate)));
    vec![
        benchmark.full_id.replace('/', ": "),
        time(found.point_estimate),
        format!("{} to {}", time(lower_bound), time(upper_bound)),
        rate.unwrap_or_else(|| "–".to_owned()),
    ]
}

/// Nanoseconds, in the unit that fits.
fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns >= 1e6 => format!("{} ms", number(ns / 1e6)),
        ns if ns >= 1e3 => format!("{} µs", number(ns / 1e3)),
        ns => format!("{} ns", number(ns)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_criterion_keeps_is_read() {
        let benchmark = r#"{"group_id":"pump","function_id":"RETR","value_str":null,
            "throughput":{"Bytes":4096},"full_id":"pump/RETR","title":"pump/RETR"}"#;
        let estimate = r#"{"confidence_interval":{"confidence_level":0.95,"lower_bound":1000.0,
            "upper_bound":3000000.0},"point_estimate":2048.0,"standard_error":1.0}"#;
        let (benchmark, estimate) =
            (serde_json::from_str(benchmark).unwrap(), serde_json::from_str(estimate).unwrap());
        assert_eq!(
            row(&benchmark, &estimate),
            ["pump: RETR", "2.05 µs", "1.00 µs to 3.00 ms", "2.00 GB/s"]
        );
    }
}
