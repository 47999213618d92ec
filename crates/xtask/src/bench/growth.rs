//! More and more sessions, and more and more entries in one directory: what each of them costs.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::client::Client;
use super::limits;
use super::options::Options;
use super::report::{grouped, median, number, percentile, table};
use super::server::Running;
use super::site::Site;
use super::waft;
use crate::workspace::Workspace;

/// Sessions at the same time, step by step.
const SESSIONS: [usize; 5] = [1, 10, 100, 1_000, 10_000];

/// Entries of a directory, step by step.
const ENTRIES: [usize; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// Threads that log in, or make files, at once.
const THREADS: usize = 8;

/// Files that this process, and the server, need open beside a session each.
const OTHER_FILES: usize = 200;

/// Sessions of one source address: each has some 28,000 ports.
const SESSIONS_PER_SOURCE: usize = 5_000;

/// NOOPs that are timed at each step.
const NOOPS: usize = 2_000;

/// How often a directory is listed; the median counts.
const LISTINGS: usize = 3;

/// How long the server's memory has to settle: sessions are idle then, and rest.
const SETTLE: Duration = Duration::from_secs(1);

/// Counts both up.
///
/// # Errors
/// waft does not serve, or there is not enough of something.
pub(super) fn run(_: &Workspace, site: &Site, options: &Options) -> Result<String> {
    let server = Running::start(waft::plain(), site)?;
    let sessions = sessions(&server, options.max)?;
    drop(server);
    // A server that has had no session yet.
    let server = Running::start(waft::plain(), site)?;
    let entries = entries(&server, site, options.max)?;
    Ok(format!("{sessions}\n{entries}"))
}

fn sessions(server: &Running, max: usize) -> Result<String> {
    let room = limits::open_files().saturating_sub(OTHER_FILES);
    // Whatever is set up once is there when the first one is gone.
    drop(Client::log_in(server.address(), source(0))?);
    thread::sleep(SETTLE);
    let before = memory(server, "smaps_rollup", "Pss:")?;
    let mut open: Vec<Client> = Vec::new();
    let mut rows = Vec::new();
    for count in SESSIONS.into_iter().filter(|&count| count <= max.min(room)) {
        let began = Instant::now();
        let new = count - open.len();
        open.extend(log_in(server.address(), open.len(), new)?);
        let rate = new as f64 / began.elapsed().as_secs_f64();
        thread::sleep(SETTLE);
        let used = memory(server, "smaps_rollup", "Pss:")?.saturating_sub(before);
        let times = noops(&mut open)?;
        rows.push(vec![
            grouped(count),
            number(used as f64 / count as f64),
            number(percentile(&times, 50)),
            number(percentile(&times, 99)),
            format!("{rate:.0}"),
        ]);
    }
    let head = ["sessions", "memory, KiB each", "NOOP p50, µs", "NOOP p99, µs", "logins/s"];
    let mut text = table(&head.map(str::to_owned), &rows);
    if room < max.min(SESSIONS.into_iter().max().unwrap_or_default()) {
        text += &format!("\nNo more than {} files may be open here.\n", limits::open_files());
    }
    Ok(text)
}

/// Logs some sessions in, several at once.
fn log_in(address: SocketAddr, present: usize, new: usize) -> Result<Vec<Client>> {
    let threads = THREADS.min(new);
    let part = |thread: usize| {
        let numbers = (present + thread..present + new).step_by(threads);
        numbers.map(|number| Client::log_in(address, source(number))).collect()
    };
    let parts: Result<Vec<Vec<Client>>> = on_threads(threads, part)?.into_iter().collect();
    Ok(parts?.into_iter().flatten().collect())
}

/// The address that a session comes from.
fn source(number: usize) -> Ipv4Addr {
    let last = 1 + number / SESSIONS_PER_SOURCE;
    Ipv4Addr::new(127, 0, 0, u8::try_from(last).unwrap_or(u8::MAX))
}

/// Microseconds of NOOPs, one at a time, by sessions in turn.
fn noops(open: &mut [Client]) -> Result<Vec<f64>> {
    let count = open.len();
    let mut times = Vec::with_capacity(NOOPS);
    for number in 0..NOOPS {
        // Neighbours have logged in at the same moment.
        let Some(client) = open.get_mut(number * 7919 % count) else { break };
        let began = Instant::now();
        client.ask("NOOP", "200")?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

fn entries(server: &Running, site: &Site, max: usize) -> Result<String> {
    let directory = site.path("files/growing");
    fs::create_dir(&directory)?;
    let mut client = Client::log_in(server.address(), Ipv4Addr::LOCALHOST)?;
    let mut present = 0;
    let mut rows = Vec::new();
    for count in ENTRIES.into_iter().filter(|&count| count <= max) {
        fill(&directory, present, count)?;
        present = count;
        reset_peak(server)?;
        let before = memory(server, "status", "VmRSS:")?;
        let mut row = vec![grouped(count)];
        for verb in ["LIST", "MLSD"] {
            let mut times = Vec::with_capacity(LISTINGS);
            for _ in 0..LISTINGS {
                let began = Instant::now();
                client.list(verb, "growing")?;
                times.push(began.elapsed().as_secs_f64() * 1e6);
            }
            let time = median(&times);
            row.extend([number(time / 1e3), number(time / count as f64)]);
        }
        let peak = memory(server, "status", "VmHWM:")?;
        row.push(grouped(peak));
        row.push(grouped(peak.saturating_sub(before)));
        rows.push(row);
    }
    let head = [
        "entries",
        "LIST, ms",
        "µs an entry",
        "MLSD, ms",
        "µs an entry",
        "peak memory, KiB",
        "of it for listings, KiB",
    ];
    Ok(table(&head.map(str::to_owned), &rows))
}

/// Makes empty files, several at once.
fn fill(directory: &Path, present: usize, count: usize) -> Result<()> {
    let part = |thread: usize| -> Result<()> {
        for number in (present + thread..count).step_by(THREADS) {
            File::create(directory.join(format!("a-file-of-a-usual-name-{number:07}.txt")))?;
        }
        Ok(())
    };
    let made: Result<Vec<()>> = on_threads(THREADS, part)?.into_iter().collect();
    made.map(drop).context("cannot make so many files; --max sets another number")
}

/// Runs something on several threads, and waits for all of them.
fn on_threads<T: Send>(threads: usize, part: impl Fn(usize) -> T + Sync) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let part = &part;
        let running: Vec<_> =
            (0..threads).map(|number| scope.spawn(move || part(number))).collect();
        let results = running.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        Ok(results.collect())
    })
}

/// A number of KiB that the system tells of the server.
fn memory(server: &Running, file: &str, what: &str) -> Result<usize> {
    let path = format!("/proc/{}/{file}", server.id());
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("no {what} in {path}"))
}

/// Has the system forget how much memory the server has had at most.
fn reset_peak(server: &Running) -> Result<()> {
    let path = format!("/proc/{}/clear_refs", server.id());
    fs::write(&path, "5").with_context(|| path.clone())
}
