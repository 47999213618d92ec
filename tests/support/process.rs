//! Processes that end in time, or are ended.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use super::PATIENCE;

/// What a process that has ended left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) command: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Finished {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The lines of stdout, without their ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.stdout().lines().map(str::to_owned).collect()
    }

    /// Returns itself if the process succeeded, else fails with all that it said.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Finished {
        assert!(self.status.success(), "{}", self.story());
        self
    }

    /// The whole story of it, for whoever reads why a test failed.
    pub(crate) fn story(&self) -> String {
        let (stdout, stderr) = (self.stdout(), self.stderr());
        format!("{}\n{}\n--- stdout\n{stdout}\n--- stderr\n{stderr}", self.command, self.status)
    }
}

/// Runs a command to its end, with `input` on its stdin.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Finished {
    run_for(PATIENCE, command, input)
}

/// The same for a command that may take longer than anything else.
pub(crate) fn run_for(patience: Duration, command: &mut Command, input: &[u8]) -> Finished {
    let mut running = Running::start(command);
    let mut stdin = running.child.stdin.take().unwrap();
    let input = input.to_vec();
    // A process that does not want its input closes the pipe: that is its business.
    std::thread::spawn(move || stdin.write_all(&input));
    running.finish_within(patience)
}

/// A process that runs.
pub(crate) struct Running {
    command: String,
    pub(crate) child: Child,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

impl Running {
    /// Starts a process, with pipes on all sides.
    pub(crate) fn start(command: &mut Command) -> Running {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = format!("{command:?}");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Running { command: shown, child, stdout, stderr }
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Finished {
        self.finish_within(PATIENCE)
    }

    fn finish_within(mut self, patience: Duration) -> Finished {
        drop(self.child.stdin.take());
        let stdout = self.stdout.recv_timeout(patience);
        let stderr = self.stderr.recv_timeout(patience);
        let (Ok(stdout), Ok(stderr)) = (stdout, stderr) else {
            panic!("does not end: {}", self.command);
        };
        let status = self.child.wait().unwrap();
        Finished { command: std::mem::take(&mut self.command), status, stdout, stderr }
    }

    /// Ends it at once, as if its machine had lost power.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, but for a test that failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut octets = Vec::new();
        from.read_to_end(&mut octets).unwrap();
        // Nobody waits for it any more if the test has failed meanwhile.
        let _ = sender.send(octets);
    });
    receiver
}

/// Sends a signal to a process that this test has started.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Allows this process so many open files, of which a shell often allows fewer than it might.
pub(crate) fn allow_descriptors(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        most >= wanted,
        "too few open files are allowed: {most}; raise it: ulimit -Hn {wanted}"
    );
    if limit.current.is_some_and(|now| now < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised).unwrap();
    }
}
