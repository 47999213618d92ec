//! What was measured, where, when, and how to do it again.

use std::fs;
use std::process::Command;

use waft_plugin_tools::process;

use super::options::{Options, Part};

/// One line above a table.
pub(super) fn line(part: Part, options: &Options) -> String {
    let rounds = match part {
        Part::Micro | Part::Growth => String::new(),
        _ => format!(" --rounds {}", options.rounds),
    };
    format!(
        "`cargo xtask bench {}{rounds}`, {}{}; {} × {}, Linux {}.",
        part.name(),
        told("date", &["-u", "+%Y-%m-%d"]),
        commit(),
        processors(),
        model(),
        told("uname", &["-r"]),
    )
}

fn commit() -> String {
    match told("git", &["rev-parse", "--short", "HEAD"]) {
        none if none.is_empty() => none,
        commit => format!(", commit {commit}"),
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// The processor's name as the system tells it.
fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| Some(line.split_once(':')?.1.trim()));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

fn told(program: &str, arguments: &[&str]) -> String {
    let told = process::capture(Command::new(program).args(arguments));
    told.unwrap_or_default().trim().to_owned()
}
