//! `waft plugin test`: plays scenarios with a plugin, and tells what went otherwise.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use serde::Serialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::author::{OUTPUT, built};
use super::scenario::{Broken, Scenario, play};
use super::site::{Ground, SETTINGS, Site};
use crate::args::{Sources, TestedPlugin};
use crate::failure::{Failure, Verdict};
use crate::output;
use crate::running::Given;

/// What a plugin's scenario is in, and a directory of more of them.
const SCENARIO: &str = "scenario.txt";
const SCENARIOS: &str = "scenarios";

/// What of the server's log is told: what plugins log, and what goes wrong.
const LOGGED: &str = "warn,waft=info";

/// Lines of the log that are told of a scenario that fails.
const LOG_LINES_MAX: usize = 20;

/// A component that is tried, and where that is done.
struct Tried {
    name: String,
    component: PathBuf,
    /// Where sites are made.
    output: PathBuf,
    /// Kept until all is over, where it is nobody's directory.
    _temporary: Option<Temporary>,
}

/// What became of a scenario, as another program reads it.
#[derive(Clone, Serialize)]
pub(super) struct Outcome {
    scenario: PathBuf,
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    got: Option<String>,
}

impl Outcome {
    /// That of the scenario in that file, and what went otherwise in it.
    pub(super) fn of(scenario: &Path, broken: Option<&Broken>) -> Self {
        Self {
            scenario: scenario.to_owned(),
            passed: broken.is_none(),
            line: broken.map(|broken| broken.line),
            expected: broken.map(|broken| broken.expected.clone()),
            got: broken.map(|broken| broken.got.clone()),
        }
    }
}

/// Plays all scenarios of a plugin.
pub(super) fn run(arguments: &TestedPlugin) -> Result<(), Failure> {
    let scenarios = scenarios(arguments)?;
    let read = scenarios.iter().map(|path| Ok((path.clone(), read(path)?)));
    let read: Vec<(PathBuf, Scenario)> = read.collect::<Result<_, Failure>>()?;
    let tried = tried(arguments)?;
    let log = Log::start()?;
    let mut outcomes = Vec::new();
    for (path, scenario) in &read {
        let outcome = one(&tried, path, scenario, &log)?;
        if !arguments.json {
            output::tell(&told(path, outcome.as_ref(), &log));
        }
        outcomes.push(Outcome::of(path, outcome.as_ref()));
    }
    if arguments.json {
        output::print_json(&outcomes)?;
    }
    match outcomes.iter().all(|outcome| outcome.passed) {
        true => Ok(()),
        false => Err(Failure::No(Verdict::Otherwise)),
    }
}

/// The scenarios to play: those named, or those in the plugin's directory.
fn scenarios(arguments: &TestedPlugin) -> Result<Vec<PathBuf>, Failure> {
    let TestedPlugin { plugin, scenario, .. } = arguments;
    if !scenario.is_empty() {
        return Ok(scenario.clone());
    }
    if !plugin.is_dir() {
        let file = plugin.display();
        return Err(Failure::Usage(format!(
            "{file} is a component: name scenarios with --scenario"
        )));
    }
    let mut found: Vec<PathBuf> = match fs::read_dir(plugin.join(SCENARIOS)) {
        Ok(entries) => {
            let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
            paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "txt")).collect()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    found.sort();
    let first = plugin.join(SCENARIO);
    if first.is_file() {
        found.insert(0, first);
    }
    if found.is_empty() {
        let plugin = plugin.display();
        let none = format!("no scenario in {plugin}: neither {SCENARIO} nor {SCENARIOS}/*.txt");
        return Err(Failure::Usage(none));
    }
    Ok(found)
}

/// Reads a scenario; what is wrong with it is told.
///
/// # Errors
///
/// It cannot be read, or has mistakes.
pub(super) fn read(path: &Path) -> Result<Scenario, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    let wrong = match Scenario::parse(&text) {
        Ok(scenario) if !scenario.is_empty() => return Ok(scenario),
        Ok(_) => " no steps\n  remedy: write what clients do and get, such as login".to_owned(),
        Err(mistake) => mistake.to_string(),
    };
    output::tell(&format!("error: {}:{wrong}", path.display()));
    Err(Failure::No(Verdict::NotValid))
}

fn tried(arguments: &TestedPlugin) -> anyhow::Result<Tried> {
    let TestedPlugin { plugin, tools, .. } = arguments;
    if plugin.is_dir() {
        let sources = Sources { directory: plugin.clone(), tools: tools.clone() };
        let built = built(&sources)?;
        let output = plugin.join(OUTPUT);
        let (name, component) = (built.name, built.file);
        return Ok(Tried { name, component, output, _temporary: None });
    }
    let name = plugin.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let temporary = Temporary::new()?;
    let output = temporary.0.clone();
    let component = plugin.clone();
    Ok(Tried { name, component, output, _temporary: Some(temporary) })
}

fn one(
    tried: &Tried,
    path: &Path,
    scenario: &Scenario,
    log: &Log,
) -> anyhow::Result<Option<Broken>> {
    log.clear();
    let site = tried.output.join("site");
    let ground = Ground {
        directory: &site,
        state: &tried.output.join("state"),
        name: &tried.name,
        component: &tried.component,
        settings: &settings(path),
        address: "192.0.2.1:21",
    };
    let site = Site::make(&ground, &scenario.stage)
        .with_context(|| format!("cannot play {}", path.display()))?;
    let played = play(scenario, &site.config, &site.files, Given::default(), || log.text());
    played.map(Result::err).with_context(|| format!("cannot play {}", path.display()))
}

/// The settings that lie beside a scenario, or beside the directory of scenarios.
fn settings(scenario: &Path) -> PathBuf {
    let own = scenario.with_file_name(SETTINGS);
    let directory = scenario.parent().filter(|d| d.file_name().is_some_and(|n| n == SCENARIOS));
    match directory {
        Some(directory) if !own.is_file() => directory.with_file_name(SETTINGS),
        _ => own,
    }
}

/// What became of a scenario, as people read it.
pub(super) fn told(path: &Path, outcome: Option<&Broken>, log: &Log) -> String {
    let path = path.display();
    let Some(Broken { line, expected, got, said }) = outcome else {
        return format!("{path}: as expected");
    };
    let mut text = format!("error: {path}:{line}: expected: {expected}\n  got:      {got}");
    let block = |title: &str, lines: &[&str]| {
        let lines = lines.iter().map(|line| format!("\n    {line}")).collect::<String>();
        if lines.is_empty() { lines } else { format!("\n  {title}:{lines}") }
    };
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    text.push_str(&block("the conversation so far", &said));
    let log = log.text();
    let lines: Vec<&str> = log.lines().map(str::trim_start).collect();
    let last = lines.get(lines.len().saturating_sub(LOG_LINES_MAX)..).unwrap_or_default();
    text.push_str(&block("the server's log", last));
    text
}

/// What the server logs, kept in memory.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> anyhow::Result<Self> {
        let log = Self::default();
        tracing::subscriber::set_global_default(log.subscriber())?;
        Ok(log)
    }

    /// What writes it.
    pub(super) fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(LOGGED))
            .with_writer(self.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .finish()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A directory that is gone once it is of no more use.
pub(super) struct Temporary(pub(super) PathBuf);

impl Temporary {
    pub(super) fn new() -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let name = format!("waft-plugin-{}-{now:x}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Made by nobody else, and for nobody else.
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What is left lies in a directory for what may go.
        let _ = fs::remove_dir_all(&self.0);
    }
}
