//! Plays a scenario against a server of its own, over a network in memory.
//!
//! The clock is the runtime's, which goes on as every other while the scenario waits, and jumps
//! where the scenario says so: second by second, so that timers ring as often as they would.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{Instant, sleep};
use waft_config::{Config, TlsMode};
use waft_server::net::memory::MemoryStream;

use super::client::{self, Connection, PATIENCE};
use super::data::Data;
use super::text::{Pattern, quoted, shown};
use super::tls::{Tls, Trust};
use super::world::World;
use super::{Scenario, Step};
use crate::running::{Given, Trial};

pub(super) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
pub(super) const CLIENT_PORT: u16 = 40_000;

/// How often something that comes about behind the session is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// How long a server that has said everything is silent.
const SILENCE: Duration = Duration::from_millis(20);

/// How often the clock is moved on, and how far it jumps at once where it has to go far.
const TICK: Duration = Duration::from_millis(1);
const JUMP: Duration = Duration::from_secs(1);

/// Jumps of one step at most: those over days are longer.
const JUMPS_MAX: u32 = 3600;

/// What did not go as it is written.
#[derive(Debug)]
pub(in super::super) struct Broken {
    /// The line that says so.
    pub(in super::super) line: usize,
    pub(in super::super) expected: String,
    pub(in super::super) got: String,
    /// What was said before.
    pub(in super::super) said: Vec<String>,
}

/// What was expected, and what came instead.
pub(super) type Otherwise = (String, String);

/// Plays a scenario with the server that a configuration and `given` describe; `files` are those of
/// all accounts, `log` is what the server has logged so far.
///
/// # Errors
///
/// The server does not start, or the first step that goes otherwise.
pub(in super::super) fn play(
    scenario: &Scenario,
    config: &Config,
    files: &Path,
    given: Given,
    log: impl Fn() -> String,
) -> anyhow::Result<Result<(), Broken>> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build()?;
    runtime.block_on(async {
        let _clock = Clock::start();
        let trust = config.tls.as_ref().map(|tls| Trust::read(&tls.certificate)).transpose()?;
        let world = Arc::new(World::new(&scenario.stage));
        let (told, events) = mpsc::unbounded_channel();
        let trial = Trial::start(config, given, Arc::clone(&world) as _, told).await;
        let trial = trial
            .map_err(|error| anyhow::anyhow!("the server does not take the plugin: {error}"))?;
        let mut player = Player {
            trial,
            world,
            events,
            config,
            files,
            trust,
            log: &log,
            logged: 0,
            sessions: BTreeMap::new(),
            current: "client".to_owned(),
            data: None,
            said: Vec::new(),
        };
        let result = player.play(scenario).await;
        Ok(result.map_err(|(line, (expected, got))| Broken {
            line,
            expected,
            got,
            said: std::mem::take(&mut player.said),
        }))
    })
}

/// Moves the clock on as time passes, until it is dropped.
///
/// A clock that is paused jumps to the next timer whenever the runtime has nothing to do, and would
/// do so while other threads compile or verify passwords; it does not while a blocking task runs.
struct Clock {
    _ticking: mpsc::UnboundedSender<()>,
}

impl Clock {
    fn start() -> Self {
        let (ticking, mut stopped) = mpsc::unbounded_channel::<()>();
        let (ticks, mut ticked) = mpsc::unbounded_channel();
        tokio::task::spawn_blocking(move || {
            let mut before = std::time::Instant::now();
            while matches!(stopped.try_recv(), Err(mpsc::error::TryRecvError::Empty)) {
                std::thread::sleep(TICK);
                let now = std::time::Instant::now();
                if ticks.send(now - before).is_err() {
                    return;
                }
                before = now;
            }
        });
        tokio::spawn(async move {
            while let Some(mut passed) = ticked.recv().await {
                while let Ok(more) = ticked.try_recv() {
                    passed += more;
                }
                tokio::time::advance(passed).await;
            }
        });
        Self { _ticking: ticking }
    }
}

/// A client, as lines are about it.
pub(super) struct Client {
    pub(super) control: Connection,
    tls: Option<Tls>,
    /// Whether its data connections are under TLS.
    is_private: bool,
    /// What it has asked for by PROT.
    asked: Option<bool>,
}

impl Client {
    /// The TLS that its data connections are under.
    pub(super) fn of_data(&self) -> Option<Tls> {
        self.tls.clone().filter(|_| self.is_private)
    }

    /// Notes what it asks for.
    fn asks(&mut self, line: &[u8]) {
        let line = line.to_ascii_uppercase();
        self.asked = line.strip_prefix(b"PROT ").map(|level| level.trim_ascii() == b"P");
    }

    /// Notes what the server says to that.
    fn hears(&mut self, line: &[u8]) {
        if let Some(asked) = self.asked.take().filter(|_| line.starts_with(b"200")) {
            self.is_private = asked;
        }
    }
}

pub(super) struct Player<'a, L> {
    pub(super) trial: Trial,
    world: Arc<World>,
    events: UnboundedReceiver<&'static str>,
    config: &'a Config,
    trust: Option<Trust>,
    files: &'a Path,
    log: &'a L,
    /// Octets of the log that were looked at.
    logged: usize,
    sessions: BTreeMap<String, Client>,
    /// Whose control connection the lines are about.
    current: String,
    pub(super) data: Option<Data>,
    pub(super) said: Vec<String>,
}

impl<L: Fn() -> String> Player<'_, L> {
    async fn play(&mut self, scenario: &Scenario) -> Result<(), (usize, Otherwise)> {
        for (line, step) in &scenario.steps {
            self.step(*line, step).await.map_err(|otherwise| (*line, otherwise))?;
            self.check_requests().map_err(|otherwise| (*line, otherwise))?;
        }
        let last = scenario.steps.last().map_or(1, |(line, _)| *line);
        self.finish().await.map_err(|otherwise| (last, otherwise))?;
        match self.world.left() {
            Some((line, what)) => Err((line, (what, "none before the end".to_owned()))),
            None => Ok(()),
        }
    }

    /// Whether the plugin has asked for something that the scenario does not know.
    fn check_requests(&self) -> Result<(), Otherwise> {
        match self.world.unanswered() {
            Some(request) => Err(("an \"http:\" line for each request".to_owned(), request)),
            None => Ok(()),
        }
    }

    async fn step(&mut self, line: usize, step: &Step) -> Result<(), Otherwise> {
        match step {
            Step::Session { name, from, is_implicit } => {
                self.said.push(format!("session: {name}"));
                self.current.clone_from(name);
                self.open(from.unwrap_or(CLIENT), *is_implicit).await
            }
            Step::Login { name, password } => {
                self.greeting().await?;
                self.ask(&format!("USER {name}"), "331").await?;
                self.ask(&format!("PASS {password}"), "230").await
            }
            Step::Send(line) => self.send(line).await,
            Step::Expect(pattern) => self.expect(pattern).await,
            Step::Eof => self.end().await,
            Step::Disconnect => {
                self.said.push("disconnect".to_owned());
                self.sessions.remove(&self.current);
                Ok(())
            }
            Step::Tls => {
                self.greeting().await?;
                self.ask("AUTH TLS", "234").await?;
                self.begin_tls().await
            }
            Step::Protect => {
                self.ask("PBSZ 0", "200").await?;
                self.ask("PROT P", "200").await
            }
            Step::Passive => self.passive().await,
            Step::Active => self.active().await,
            Step::Listen(port) => self.listen(*port).await,
            Step::DataSend(_) | Step::DataExpect(_) | Step::DataLines(_) | Step::DataGone => {
                self.transfer(step).await
            }
            Step::Advance(time) => {
                self.said.push(format!("(the clock goes on by {} s)", time.as_secs_f64()));
                advance(*time).await;
                Ok(())
            }
            Step::Answer(answer) => {
                self.world.answer(answer.clone());
                Ok(())
            }
            Step::Inject { hook, fault } => {
                self.world.inject(line, hook, *fault);
                Ok(())
            }
            Step::Asked { method, url, body } => self.asked(method, url, body.as_ref()).await,
            Step::Stored { key, value } => self.stored(key, value.as_ref()).await,
            Step::Event(name) => self.event(name).await,
            Step::Logged(text) => self.logged(text).await,
            Step::Check { name, holds } => self.check(name, holds.as_deref()),
        }
    }

    /// The client that lines are about.
    pub(super) async fn client(&mut self) -> Result<&mut Client, Otherwise> {
        if !self.sessions.contains_key(&self.current) {
            self.open(CLIENT, false).await?;
        }
        self.sessions.get_mut(&self.current).ok_or_else(|| otherwise("a session", "none"))
    }

    /// Opens a session, unless it is open.
    async fn open(&mut self, from: IpAddr, is_implicit: bool) -> Result<(), Otherwise> {
        if self.sessions.contains_key(&self.current) {
            return Ok(());
        }
        let of_kind = |implicit: &bool| *implicit == is_implicit;
        let mut listeners = self.config.listeners.iter().zip(&self.trial.listeners);
        let listener = listeners.find(|(own, _)| of_kind(&(own.tls == TlsMode::Implicit)));
        let Some((own, listener)) = listener else { return Err(otherwise("a listener", "none")) };
        let (ours, theirs) = MemoryStream::pair();
        let (peer, local) =
            (SocketAddr::new(from, CLIENT_PORT), SocketAddr::new(SERVER, own.address.port()));
        let control = Connection::new(ours, from);
        if let Err(refused) = self.trial.server.serve(theirs, peer, local, listener.clone()) {
            let mut told = Connection::new(refused.stream, from);
            told.send(refused.reason.as_bytes()).await.map_err(|got| otherwise("a place", &got))?;
        }
        let client = Client { control, tls: None, is_private: is_implicit, asked: None };
        self.sessions.insert(self.current.clone(), client);
        match is_implicit {
            true => self.begin_tls().await,
            false => Ok(()),
        }
    }

    /// Begins TLS on the control connection.
    async fn begin_tls(&mut self) -> Result<(), Otherwise> {
        let wrong = |got: &str| otherwise("a TLS handshake", got);
        let tls = self.trust.as_ref().map(Trust::client).transpose();
        let tls = tls.map_err(|error| wrong(&error.to_string()))?;
        let (Some(tls), Some(client)) = (tls, self.sessions.remove(&self.current)) else {
            return Err(wrong("no TLS"));
        };
        let control = client.control.secured(&tls).await.map_err(|got| wrong(&got))?;
        self.said.push("(TLS)".to_owned());
        self.sessions.insert(self.current.clone(), Client { control, tls: Some(tls), ..client });
        Ok(())
    }

    pub(super) async fn send(&mut self, line: &[u8]) -> Result<(), Otherwise> {
        self.said.push(format!("> {}", shown(line)));
        let octets = [line, b"\r\n"].concat();
        let client = self.client().await?;
        client.asks(line);
        let sent = client.control.send(&octets).await;
        sent.map_err(|got| otherwise("the server to read", &got))
    }

    pub(super) async fn line(&mut self, expected: &str) -> Result<Vec<u8>, Otherwise> {
        let client = self.client().await?;
        let line = client.control.line(PATIENCE).await;
        let line = line.map_err(|got| otherwise(expected, &got))?;
        let line = line.ok_or_else(|| otherwise(expected, "the end of the connection"))?;
        client.hears(&line);
        self.said.push(format!("< {}", shown(&line)));
        Ok(line)
    }

    /// Reads the greeting, unless it was looked at.
    async fn greeting(&mut self) -> Result<(), Otherwise> {
        match self.client().await?.control.has_spoken {
            true => Ok(()),
            false => self.reply("220").await,
        }
    }

    /// Sends a command that has to have a reply of that code.
    pub(super) async fn ask(&mut self, line: &str, code: &str) -> Result<(), Otherwise> {
        self.send(line.as_bytes()).await?;
        self.reply(code).await
    }

    /// A reply of that code, whatever its words.
    async fn reply(&mut self, code: &str) -> Result<(), Otherwise> {
        loop {
            let line = self.line(&format!("a reply of code {code}")).await?;
            let rest = line.strip_prefix(code.as_bytes()).and_then(<[u8]>::first);
            match rest {
                Some(b' ') => return Ok(()),
                Some(b'-') => {}
                // Lines in the midst of a reply.
                _ if line.first() == Some(&b' ') => {}
                _ => {
                    return Err((format!("a reply of code {code}"), format!("< {}", shown(&line))));
                }
            }
        }
    }

    /// A line that has to come.
    async fn expect(&mut self, pattern: &Pattern) -> Result<(), Otherwise> {
        let expected = format!("< {}", pattern.source());
        let line = self.line(&expected).await?;
        match pattern.fits(&line) {
            true => Ok(()),
            false => Err((expected, format!("< {}", shown(&line)))),
        }
    }

    async fn end(&mut self) -> Result<(), Otherwise> {
        let expected = "the end of the connection";
        let rest = self.client().await?.control.rest().await;
        let rest = rest.map_err(|got| otherwise(expected, &got))?;
        self.sessions.remove(&self.current);
        match rest.is_empty() {
            true => Ok(()),
            false => Err(otherwise(expected, &quoted(&rest))),
        }
    }

    /// Waits for something that comes about behind the session.
    async fn wait<T>(&mut self, mut look: impl FnMut(&mut Self) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self) {
                return Some(found);
            }
            if Instant::now() >= deadline {
                return None;
            }
            sleep(LOOK).await;
        }
    }

    async fn asked(
        &mut self,
        method: &str,
        url: &Pattern,
        body: Option<&Pattern>,
    ) -> Result<(), Otherwise> {
        let expected = format!("{method} {}", url.source());
        let request = self.wait(|player| player.world.next_request()).await;
        let request = request.ok_or_else(|| otherwise(&expected, "no request"))?;
        if request.method != method || !url.fits(request.url.as_bytes()) {
            return Err((expected, format!("{} {}", request.method, request.url)));
        }
        match body {
            Some(body) if !body.fits(&request.body) => {
                Err((format!("\"{}\"", body.source()), quoted(&request.body)))
            }
            _ => Ok(()),
        }
    }

    async fn stored(&mut self, key: &str, value: Option<&Pattern>) -> Result<(), Otherwise> {
        let plugin = self.config.named_plugins.first().map(|plugin| plugin.name.clone());
        let plugin = plugin.unwrap_or_default();
        let now = |player: &mut Self| player.trial.host.stored(&plugin, key);
        let is_so = |player: &mut Self| {
            let now = now(player);
            let is_so = match (&now, value) {
                (Some(octets), Some(pattern)) => pattern.fits(octets),
                (None, None) => true,
                _ => false,
            };
            is_so.then_some(())
        };
        if self.wait(is_so).await.is_some() {
            return Ok(());
        }
        let told = |value: Option<String>| format!("{key}: {}", value.unwrap_or("nothing".into()));
        let expected = value.map(|pattern| format!("\"{}\"", pattern.source()));
        Err((told(expected), told(now(self).map(|octets| quoted(&octets)))))
    }

    async fn event(&mut self, name: &str) -> Result<(), Otherwise> {
        let mut others = Vec::new();
        let come = self.wait(|player| {
            let come = player.events.try_recv().ok()?;
            if come != name {
                others.push(come);
            }
            (come == name).then_some(())
        });
        match come.await {
            Some(()) => Ok(()),
            None if others.is_empty() => Err(otherwise(&format!("event: {name}"), "none")),
            None => Err((format!("event: {name}"), others.join(", "))),
        }
    }

    async fn logged(&mut self, text: &str) -> Result<(), Otherwise> {
        let found = self.wait(|player| {
            let log = (player.log)();
            let new = log.get(player.logged..)?;
            let at = new.find(text)?;
            Some(player.logged + at + text.len())
        });
        self.logged =
            found.await.ok_or_else(|| otherwise(&format!("log: {text}"), "no such line"))?;
        Ok(())
    }

    fn check(&self, name: &str, holds: Option<&[u8]>) -> Result<(), Otherwise> {
        let told = |octets: Option<&[u8]>| octets.map_or("no such file".to_owned(), quoted);
        let expected = format!("{name}: {}", told(holds));
        match found(&self.files.join(name)) {
            Ok(found) if found.as_deref() == holds => Ok(()),
            Ok(found) => Err((expected, told(found.as_deref()))),
            Err(error) => Err((expected, client::told(error))),
        }
    }

    /// Whether everything that the server said was expected.
    async fn finish(&mut self) -> Result<(), Otherwise> {
        sleep(SILENCE).await;
        self.check_requests()?;
        for client in self.sessions.values_mut() {
            if let Ok(Some(line)) = client.control.line(SILENCE).await {
                return Err(otherwise("nothing more", &format!("< {}", shown(&line))));
            }
        }
        Ok(())
    }
}

pub(super) fn otherwise(expected: &str, got: &str) -> Otherwise {
    (expected.to_owned(), got.to_owned())
}

/// What the file holds, or nothing where nothing is.
fn found(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(path) {
        Ok(_) => fs::read(path).map(Some),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Lets so much time pass.
async fn advance(time: Duration) {
    let jump = JUMP.max(time / JUMPS_MAX);
    let mut left = time;
    while !left.is_zero() {
        let step = jump.min(left);
        left -= step;
        tokio::time::advance(step).await;
        // Whoever waited for that moment acts, and a plugin that is called does what it does.
        sleep(TICK).await;
    }
}
