//! Servers that do the same work in turn: waft with others, and waft with itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use waft_plugin_tools::process;

use super::options::Options;
use super::peers;
use super::report::{median, number, spread, table};
use super::server::{Contender, Running};
use super::site::Site;
use super::waft;
use super::workloads::{Sample, Workload};
use crate::plugins;
use crate::workspace::Workspace;

/// What all rounds have measured.
#[derive(Default)]
struct Results {
    /// Titles in the order in which they came, with unit and whether it is a rate.
    rows: Vec<(String, &'static str, bool)>,
    /// By title and server.
    values: BTreeMap<(String, String), Vec<f64>>,
    failures: Vec<String>,
}

/// Measures waft and whichever others are there.
///
/// # Errors
/// waft or curl does not run.
pub(super) fn with_others(workspace: &Workspace, site: &Site, options: &Options) -> Result<String> {
    let own = workspace.target.join("bench");
    let prefix = options.peers.as_deref();
    let mut notes = vec![version(site)?];
    let mut contenders = vec![waft::plain()];
    let mut workloads = Workload::FILES.to_vec();
    workloads.extend(Workload::LISTINGS);
    if !options.is_smoke {
        let (others, told) = peers::all(prefix, &own);
        contenders.extend(others);
        notes.extend(told);
        for (name, make) in TOOLS {
            match peers::find(name, prefix, &own) {
                Some(program) => workloads.extend(make(program)),
                None => notes.push(format!("{name}: skipped, not installed")),
            }
        }
    }
    let running = start(contenders, site, &mut notes)?;
    let results = measure(&running, &workloads, site, options.rounds);
    if options.is_smoke && !results.failures.is_empty() {
        bail!("what has to work does not: {}", results.failures.join("; "));
    }
    Ok(format!("{}\n{}", results.table(&running), listed(&notes, &results.failures)))
}

/// A program, and what is done with it where it is found.
type Tool = (&'static str, fn(PathBuf) -> Vec<Workload>);

/// Clients that not everybody has.
const TOOLS: [Tool; 2] = [("lftp", Workload::lftp), ("ftpbench", Workload::ftpbench)];

/// The verbs that the clients use.
const VERBS: [&str; 14] = [
    "RETR", "STOR", "LIST", "MLSD", "NLST", "MLST", "EPSV", "PASV", "CWD", "PWD", "TYPE", "SIZE",
    "MDTM", "NOOP",
];

/// Those that a client never sends without an argument.
const VERBS_OF_FILES: [&str; 5] = ["RETR", "STOR", "SIZE", "MDTM", "MLST"];

/// Measures waft with plugins against waft without.
///
/// # Errors
/// waft or curl does not run.
pub(super) fn with_itself(workspace: &Workspace, site: &Site, options: &Options) -> Result<String> {
    let components = plugins::directory(workspace);
    let mut notes = vec![version(site)?];
    let mut workloads = Workload::FILES.to_vec();
    let lftp = peers::find("lftp", None, &components);
    workloads.extend(lftp.map(Workload::lftp).unwrap_or_default());
    let running = start(variants(&components), site, &mut notes)?;
    let results = measure(&running, &workloads, site, options.rounds);
    notes.push(
        "the storage makes up what is downloaded, and neither keeps an upload nor looks at it"
            .to_owned(),
    );
    Ok(format!("{}\n{}", results.table(&running), listed(&notes, &results.failures)))
}

fn variants(components: &Path) -> Vec<Contender> {
    let policy = components.join("command-policy.wasm");
    let customs = components.join("tests/customs.wasm");
    let vault = components.join("tests/vault.wasm");
    let rule = |commands: &str, more: &str| {
        let rule = "\n[[plugin]]\nname = \"command-policy\"\n[[plugin.config.rule]]\n";
        format!("{rule}commands = [{commands}]\n{more}\n")
    };
    let named = |argument: &str| listed_with(&VERBS, argument);
    let others = rule(&named(""), "users = [\"nobody-of-this-name\"]");
    let words = rule(&named(" never-sent"), "");
    let each = format!(
        "{}[[plugin.config.rule]]\ncommands = [{}]\n",
        rule(&listed_with(&VERBS_OF_FILES, " *"), "allow = true"),
        listed_with(&VERBS_OF_FILES, ""),
    );
    let content = |interest: &str| {
        format!(
            "\n[[plugin]]\nname = \"customs\"\n[plugin.config]\nupload = \"{interest}\"\n\
             download = \"{interest}\"\n"
        )
    };
    let mount = "\n[[plugin]]\nname = \"vault\"\n[plugin.config]\nunchecked = \"true\"\n\
                 [[mount]]\npath = \"/vault\"\nplugin = \"vault\"\n";
    let storage = waft::with("storage", mount.to_owned(), vec![vault]);
    vec![
        waft::plain(),
        waft::with("command-policy, about others", others, vec![policy.clone()]),
        waft::with("command-policy, about words", words, vec![policy.clone()]),
        waft::with("command-policy, asked about each file", each, vec![policy]),
        waft::with("content-filter, inspects", content("inspect"), vec![customs.clone()]),
        waft::with("content-filter, transforms", content("transform"), vec![customs]),
        Contender { download: Some("vault/made".to_owned()), upload: "vault/sink", ..storage },
    ]
}

/// Commands with this behind each verb, as in a list of TOML.
fn listed_with(verbs: &[&str], argument: &str) -> String {
    verbs.iter().map(|verb| format!("\"{verb}{argument}\"")).collect::<Vec<_>>().join(", ")
}

fn version(site: &Site) -> Result<String> {
    Ok(process::capture(Command::new(site.waft()).arg("--version"))?.trim().to_owned())
}

/// Starts all servers. The first one has to serve, and others are left out if they do not.
fn start(contenders: Vec<Contender>, site: &Site, notes: &mut Vec<String>) -> Result<Vec<Running>> {
    let mut running = Vec::new();
    for contender in contenders {
        let name = contender.name.clone();
        let started = Running::start(contender, site).and_then(|server| {
            returns_what_it_was_given(site, &server)?;
            Ok(server)
        });
        match started {
            Ok(server) => running.push(server),
            Err(error) if running.is_empty() => return Err(error),
            Err(error) => notes.push(format!("{name}: left out, {error:#}")),
        }
    }
    Ok(running)
}

/// Uploads a file and downloads it, where uploads are kept.
fn returns_what_it_was_given(site: &Site, server: &Running) -> Result<()> {
    if server.contender.download.is_some() {
        return Ok(());
    }
    let given = site.path("files/part");
    let got = site.path("client/got");
    let url = server.url("up/check");
    let curl = || {
        let mut curl = Command::new("curl");
        curl.args(["-q", "-sS", "--max-time", "60"]).arg(&url);
        curl
    };
    process::capture(curl().arg("-T").arg(&given)).context("does not take a file")?;
    process::capture(curl().arg("-o").arg(&got)).context("does not return a file")?;
    // A filter that transforms does it twice, which for letters is not at all.
    if fs::read(&given)? != fs::read(&got)? {
        bail!("{} returns another file than it was given", server.name());
    }
    site.tidy()
}

/// Every round, every workload, every server; each round begins with another server.
fn measure(running: &[Running], workloads: &[Workload], site: &Site, rounds: usize) -> Results {
    let mut results = Results::default();
    for round in 0..rounds {
        for workload in workloads {
            for turn in 0..running.len() {
                let Some(server) = running.get((round + turn) % running.len()) else { continue };
                match workload.run(site, server) {
                    Ok(samples) => results.add(server.name(), samples),
                    Err(error) => results.fail(workload.title, server.name(), &error),
                }
            }
        }
        eprintln!("bench: round {} of {rounds}", round + 1);
    }
    results
}

impl Results {
    fn add(&mut self, server: &str, samples: Vec<Sample>) {
        for Sample { title, unit, is_rate, value } in samples {
            if !self.rows.iter().any(|(present, ..)| *present == title) {
                self.rows.push((title.clone(), unit, is_rate));
            }
            self.values.entry((title, server.to_owned())).or_default().push(value);
        }
    }

    fn fail(&mut self, title: &str, server: &str, error: &anyhow::Error) {
        let text = format!("{error:#}");
        let line = text.lines().last().unwrap_or_default();
        let failure = format!("{server}, {title}: {line}");
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }

    /// A row for each workload, a column for each server: the median, half the range, and in
    /// parentheses how many times better than the first server.
    fn table(&self, running: &[Running]) -> String {
        let names: Vec<String> = running.iter().map(|server| server.name().to_owned()).collect();
        let head: Vec<String> = ["workload".to_owned()].into_iter().chain(names.clone()).collect();
        let rows = self.rows.iter().map(|(title, unit, is_rate)| {
            let values = |name: &String| self.values.get(&(title.clone(), name.clone()));
            let first = names.first().and_then(values).map(|values| median(values));
            let cells = names.iter().enumerate().map(|(place, name)| {
                let Some(values) = values(name) else { return "–".to_owned() };
                let cell = format!("{} ±{:.0} %", number(median(values)), spread(values));
                match first.map(|first| ratio(median(values), first, *is_rate)) {
                    Some(ratio) if place > 0 => format!("{cell} ({ratio:.2})"),
                    _ => cell,
                }
            });
            [format!("{title}, {unit}")].into_iter().chain(cells).collect()
        });
        table(&head, &rows.collect::<Vec<_>>())
    }
}

/// How many times better than the first one.
fn ratio(value: f64, first: f64, is_rate: bool) -> f64 {
    if is_rate { value / first } else { first / value }
}

fn listed(notes: &[String], failures: &[String]) -> String {
    let failures = failures.iter().map(|failure| format!("failed: {failure}"));
    notes.iter().cloned().chain(failures).map(|line| format!("- {line}\n")).collect()
}
