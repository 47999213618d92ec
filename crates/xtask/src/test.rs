//! `cargo xtask test`: everything that CI runs, the quick and the telling first.
//!
//! One profile is used throughout, and one set of features: the engine for components takes
//! minutes to compile, and is compiled once to be checked and once to be run. A table at the end
//! says where the time went.

mod failures;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace::{self, Workspace};
use crate::{bench, clients, deny, examples, plugins, structure};
use waft_plugin_tools::process;

/// Where tests find the components: the plugins in it, the test guests in `tests/` beneath it.
const COMPONENTS: &str = "WAFT_PLUGINS";

/// A step's name and what it does.
type Step = (&'static str, fn(&Workspace) -> Result<()>);

const STEPS: [Step; 12] = [
    ("format", format),
    ("check-structure", structure::check),
    ("plugins", |workspace| plugins::build(workspace, &plugins::Options::default())),
    ("programs", |_| clients::provide(clients::CLIENTS).and(clients::provide(clients::BUILDERS))),
    ("examples", examples::build),
    ("clippy", clippy),
    ("documentation", documentation),
    ("compile", compile),
    ("tests", |workspace| tests(workspace, &["--lib", "--bins", "--tests", "--examples"])),
    ("documentation's examples", |workspace| tests(workspace, &["--doc"])),
    ("bench, one short round", bench::smoke),
    // Last, as it compiles a tool first: whoever changes no dependency waits for nothing.
    ("deny", deny::check_for_tests),
];

/// Runs all steps, up to the first that fails.
///
/// # Errors
/// A step fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let started = Instant::now();
    let mut times = Vec::new();
    let mut result = Ok(());
    for (name, step) in STEPS {
        eprintln!("\n== {name}");
        let before = Instant::now();
        result = step(workspace).with_context(|| format!("step failed: {name}"));
        times.push((name, before.elapsed()));
        if result.is_err() {
            break;
        }
    }
    eprintln!("\n{}", table(&times, started.elapsed()));
    result
}

fn table(times: &[(&str, Duration)], total: Duration) -> String {
    let line = |(name, time): (&str, Duration)| {
        let seconds = time.as_secs();
        format!("{name:<26} {:>3}:{:02}\n", seconds / 60, seconds % 60)
    };
    times.iter().copied().chain([("in all", total)]).map(line).collect()
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = workspace::cargo();
    command.args(arguments).current_dir(&workspace.root);
    command.env(COMPONENTS, plugins::directory(workspace));
    command
}

fn format(workspace: &Workspace) -> Result<()> {
    process::run(&mut cargo(workspace, &["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> Result<()> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    process::run(&mut cargo(workspace, &arguments))
}

/// Makes the documentation of users, and that of who works on it: either finds mistakes that the other
/// does not.
fn documentation(workspace: &Workspace) -> Result<()> {
    for more in [&["--document-private-items"][..], &[]] {
        let mut command = cargo(workspace, &["doc", "--workspace", "--no-deps"]);
        process::run(command.args(more).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}

/// Builds the server and every test at once: built one after the other, they would ask for
/// different features of the crates that they share, and compile those twice.
fn compile(workspace: &Workspace) -> Result<()> {
    process::run(&mut cargo(workspace, &["build", "--workspace", "--all-targets"]))
}

/// All programs run, whichever fail. What those said comes last.
fn tests(workspace: &Workspace, which: &[&str]) -> Result<()> {
    let mut command = cargo(workspace, &["test", "--workspace", "--no-fail-fast"]);
    command.args(which).stdout(Stdio::piped());
    let mut running = command.spawn().context("cannot start cargo")?;
    let output = running.stdout.take().context("cargo has no output")?;
    let told = failures::pass_on(output, std::io::stdout().lock())?;
    let status = running.wait()?;
    if !status.success() {
        bail!("failed with {status}: {}\n{told}", process::show(&command));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_minutes_and_seconds() {
        let times = [("clippy", Duration::from_secs(75)), ("tests", Duration::from_millis(900))];
        assert_eq!(
            table(&times, Duration::from_secs(3661)),
            "clippy                       1:15\n\
             tests                        0:00\n\
             in all                      61:01\n"
        );
    }
}
