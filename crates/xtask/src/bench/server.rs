//! A server that runs until it is dropped.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::account::{PASSWORD, USER};
use super::ports;
use super::site::Site;

/// How long a server may take until it greets, and until it is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether it is there, or gone.
const LOOK: Duration = Duration::from_millis(20);

/// Lines of a server's log that are shown when it does not start.
const LOG_LINES: usize = 5;

/// A server that may be started.
pub(super) struct Contender {
    /// Its name in tables.
    pub(super) name: String,
    /// Whom clients log in as, with [`PASSWORD`].
    pub(super) user: &'static str,
    /// The directory that has a file of any length, with the length for its name, where not the
    /// usual files are downloaded.
    pub(super) download: Option<String>,
    /// The directory that is uploaded to.
    pub(super) upload: &'static str,
    /// Writes its configuration and tells how to start it.
    pub(super) configure: Configure,
}

/// What makes a command of a place.
pub(super) type Configure = Box<dyn Fn(&Place<'_>) -> Result<Command>>;

impl Contender {
    /// A server of the usual account and the usual files.
    pub(super) fn new(name: &str, configure: Configure) -> Contender {
        Contender { name: name.to_owned(), user: USER, download: None, upload: "up", configure }
    }
}

/// What a server is configured with.
pub(super) struct Place<'a> {
    pub(super) site: &'a Site,
    /// The port that it shall listen on.
    pub(super) port: u16,
    /// A directory of its own.
    pub(super) own: PathBuf,
}

/// A server that runs.
pub(super) struct Running {
    pub(super) contender: Contender,
    pub(super) port: u16,
    child: Child,
}

impl Running {
    /// Starts a server and waits until it greets.
    ///
    /// # Errors
    /// It does not; the end of its log says why.
    pub(super) fn start(contender: Contender, site: &Site) -> Result<Running> {
        let own = site.path("servers").join(contender.name.replace(' ', "-"));
        fs::create_dir_all(&own)?;
        super::account::hand_over(&own)?;
        let port = ports::free()?;
        let log = own.join("log");
        let mut command = (contender.configure)(&Place { site, port, own })?;
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // It stays in our process group: whoever interrupts the run ends it as well.
        let child = command.spawn().with_context(|| format!("cannot start {}", contender.name))?;
        let mut running = Running { contender, port, child };
        let greeted = running.wait_until_it_greets();
        greeted.with_context(|| format!("{}: {}", running.contender.name, end_of(&log)))?;
        Ok(running)
    }

    /// Its name in tables.
    pub(super) fn name(&self) -> &str {
        &self.contender.name
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its main process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The address of something that it serves, for curl.
    pub(super) fn url(&self, path: &str) -> String {
        format!("ftp://{}:{PASSWORD}@127.0.0.1:{}/{path}", self.contender.user, self.port)
    }

    fn wait_until_it_greets(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("ended at once, {status}");
            }
            if greets(self.address()) {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        bail!("does not greet within {} s", PATIENCE.as_secs());
    }

    fn terminate(&self) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // One that is gone already needs no signal.
        let _ = id.map(|id| kill_process(id, Signal::TERM));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.terminate();
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        // It has ended already, and nobody asks how.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, PATIENCE) else { return false };
    let mut code = [0; 4];
    let within = stream.set_read_timeout(Some(PATIENCE)).is_ok();
    let is_greeted = within && stream.read_exact(&mut code).is_ok() && code.starts_with(b"220");
    // Forking servers count sessions until they hear this.
    let _ = stream.write_all(b"QUIT\r\n");
    is_greeted
}

fn end_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().rev().take(LOG_LINES).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}
