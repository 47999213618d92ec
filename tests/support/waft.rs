//! The server as a process.

use std::net::SocketAddr;
use std::ops::Deref;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::Signal;

use super::PATIENCE;
use super::ftp::Ftp;
use super::log::{Line, Log, Mark};
use super::process::signal;
use super::site::{PASSWORD, Site, USER, program};

/// A server that runs until this is dropped.
pub(crate) struct Waft {
    pub(crate) site: Site,
    pub(crate) log: Log,
    process: Process,
    address: SocketAddr,
}

/// A server that has been started, and may not listen yet.
pub(crate) struct Starting {
    pub(crate) site: Site,
    pub(crate) log: Log,
    process: Process,
}

/// A process that ends with whoever has it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already where the test was about that.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Starting {
    /// Starts `waft serve` in the site's directory.
    pub(crate) fn begin(site: Site) -> Starting {
        let (process, log) = launch(&site, &["--config", "waft.toml"]);
        Starting { site, log, process }
    }

    /// Where it has bound its only listener: the kernel takes connections there, whoever accepts them.
    pub(crate) fn bound(&self) -> SocketAddr {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(address) = listening(self.process.0.id()) {
                return address;
            }
            assert!(Instant::now() < deadline, "the server binds nothing");
            std::thread::yield_now();
        }
    }

    /// The processes that it has started and that have not ended, by number.
    pub(crate) fn children(&self) -> Vec<i32> {
        children(self.process.0.id())
    }

    /// Waits until it listens.
    pub(crate) fn ready(self) -> Waft {
        let Starting { site, log, process } = self;
        let address = log.wait("listening", is_listening).field("address").parse().unwrap();
        Waft { site, log, process, address }
    }

    /// Waits for its end.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        self.log.wait_for_end();
        self.process.0.wait().unwrap()
    }
}

/// Starts the program to serve a site.
fn launch(site: &Site, arguments: &[&str]) -> (Process, Log) {
    let mut process = program()
        .arg("serve")
        .args(arguments)
        .current_dir(site.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Log::collect(process.stderr.take().unwrap());
    (Process(process), log)
}

/// The address of IPv4 that a process listens on, by the tables of the kernel.
fn listening(process: u32) -> Option<SocketAddr> {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let own: Vec<String> = targets.map(|it| it.display().to_string()).collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let is_own = own.contains(&format!("socket:[{}]", cells[9]));
        let port = cells[1].split(':').nth(1)?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (cells[3] == "0A" && is_own).then(|| SocketAddr::from(([127, 0, 0, 1], port)))
    })
}

/// The processes that one has started and that have not ended.
fn children(process: u32) -> Vec<i32> {
    let is_child = |number: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        // What stands before it may have blanks and brackets in it.
        let mut behind = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        behind.nth(1).is_some_and(|parent| parent == process.to_string())
    };
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter(is_child).collect()
}

impl Waft {
    /// Starts `waft serve` in the site's directory, and waits until it listens.
    pub(crate) fn start(site: Site) -> Waft {
        Waft::start_as(site, &["--config", "waft.toml"])
    }

    /// Starts `waft serve` with these arguments, which must make it log in JSON.
    pub(crate) fn start_as(site: Site, arguments: &[&str]) -> Waft {
        let (process, log, address) = Waft::spawn(&site, arguments);
        Waft { site, log, process, address }
    }

    fn spawn(site: &Site, arguments: &[&str]) -> (Process, Log, SocketAddr) {
        let (process, log) = launch(site, arguments);
        let listening = log.wait("listening", is_listening);
        let address = listening.field("address").parse().unwrap();
        (process, log, address)
    }

    /// Ends the process without a word, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process.0.kill().unwrap();
        self.wait_for_end();
    }

    /// Starts `waft serve` in the same site again; the process before has ended.
    pub(crate) fn start_again(&mut self) {
        (self.process, self.log, self.address) =
            Waft::spawn(&self.site, &["--config", "waft.toml"]);
    }

    /// Where its first listener listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the kernel tells of its process in a file of `/proc/PID`.
    pub(crate) fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.0.id())).unwrap()
    }

    /// The processes that it has started and that have not ended, by number.
    pub(crate) fn children(&self) -> Vec<i32> {
        children(self.process.0.id())
    }

    /// Octets of memory that it has now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    /// Its port, for clients that want it apart.
    pub(crate) fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// An address such as `ftp://alice:…@127.0.0.1:40123/path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("ftp://{USER}:{PASSWORD}@{}/{path}", self.address)
    }

    /// A control connection, greeted.
    pub(crate) fn connect(&self) -> Ftp {
        Ftp::connect(self.address)
    }

    /// A session of [`USER`], in TYPE I.
    pub(crate) fn log_in(&self) -> Ftp {
        let mut ftp = self.connect();
        ftp.log_in(USER, PASSWORD);
        ftp
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, which: Signal) {
        signal(&self.process.0, which);
    }

    /// Waits for its end.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        self.log.wait_for_end();
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Its stderr is closed: it is as good as gone.
            if let Some(status) = self.process.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::yield_now();
        }
    }

    /// Does something and waits for a line that the log did not have before.
    pub(crate) fn and_wait(
        &self,
        act: impl FnOnce(&Site),
        what: &str,
        is: impl Fn(&Line) -> bool,
    ) -> Line {
        let mark = self.log.mark();
        act(&self.site);
        self.log.wait_since(mark, what, is)
    }

    /// Waits for the end of an upload or a download.
    pub(crate) fn wait_for_transfer(&self, mark: Mark, what: &str, path: &str) -> Line {
        self.log.wait_since(mark, &format!("{what} of {path}"), |line| {
            line.message() == what && line.field("path") == path
        })
    }
}

/// Whether a line tells where a listener listens.
pub(crate) fn is_listening(line: &Line) -> bool {
    line.message() == "listening"
}

impl Deref for Waft {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Drop for Waft {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "shown with the test that failed")]
            {
                eprintln!("--- log of the server\n{}", self.log.text());
            }
        }
    }
}
