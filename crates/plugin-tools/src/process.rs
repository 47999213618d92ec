//! Running other programs.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs a command on this terminal and waits for it.
///
/// # Errors
/// The program cannot be started, or ends with anything but success.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start: {}", show(command)))?;
    if !status.success() {
        bail!("failed with {status}: {}", show(command));
    }
    Ok(())
}

/// Runs a command and returns what it wrote to stdout.
///
/// # Errors
/// As [`run`]; what the program wrote to stderr is part of the message.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start: {}", show(command)))?;
    if !output.status.success() {
        bail!("failed with {}: {}\n{}", output.status, show(command), complaint(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As [`capture`], where the program speaks to this terminal meanwhile.
///
/// # Errors
/// As [`run`].
pub fn answer(command: &mut Command) -> Result<String> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let child = child.with_context(|| format!("cannot start: {}", show(command)))?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("failed with {}: {}", output.status, show(command));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program can be started at all.
pub fn exists(program: impl AsRef<OsStr>) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

/// Runs a command for at most `limit`, its output thrown away, and says whether it succeeded.
///
/// For programs that ask the network and may wait for an answer that never comes.
pub fn succeeds_within(command: &mut Command, limit: Duration) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(50));
            }
            _ => {
                // It is of no more use, whatever becomes of it.
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

/// Shows a command as one would type it, without its environment.
pub fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    words.join(" ")
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim_end().to_owned()
}
