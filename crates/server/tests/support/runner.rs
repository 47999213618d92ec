//! Plays a transcript against a server of its own.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use waft_core::SessionId;
use waft_core::control::Network;
use waft_server::Parts;
use waft_server::settings::Settings;

use super::connection::{Connection, Read};
use super::disk::Disk;
use super::network::{Addresses, StreamOf, World};
use super::parts::{Accounts, Events, Guard, Plugins};
use super::script::{DataAction, Ending, Script, Setup, Step, duration};
use super::settings;
use super::text::{Context, Pattern, contents, escape};

/// What a transcript's conversation looked like so far.
type Conversation = Vec<String>;

/// A server, its clients and their files while a transcript is played.
struct Runner<W: World> {
    world: W,
    disk: Disk,
    addresses: Addresses,
    settings: Settings,
    accounts: Arc<Accounts>,
    plugins: Arc<Plugins>,
    events: mpsc::UnboundedReceiver<String>,
    began: Instant,
    sessions: BTreeMap<String, Session<W>>,
    /// Whose control connection the lines are about.
    current: String,
    data: BTreeMap<String, Data<W>>,
    context: Context,
    active_port: Option<u16>,
    /// Ends a server that drains.
    now: Arc<Notify>,
    ending: Option<JoinHandle<()>>,
    conversation: Conversation,
    _occupied: Option<TcpListener>,
}

struct Session<W: World> {
    /// None once the client has closed it.
    control: Option<Connection<StreamOf<W>>>,
}

enum Data<W: World> {
    Listening(W::Listener),
    Open(Connection<StreamOf<W>>),
}

/// How often a client asks before it gives up: some seconds over TCP.
const STATUSES_MAX: usize = 50_000;

/// A server that takes nothing for so long, while the clock jumps, will take nothing more.
const STUCK: Duration = Duration::from_secs(1);

/// What is there before the conversation begins, as far as it is known.
struct Stage {
    disk: Disk,
    addresses: Addresses,
    settings: Settings,
    accounts: Accounts,
    guard: Guard,
    plugins: Plugins,
    occupied: Option<TcpListener>,
}

/// Plays a transcript; the test fails where the server does not keep to it.
pub async fn play<W: World>(path: &Path) {
    let script = Script::load(path);
    let mut stage = Stage::new::<W>();
    for (number, setup) in &script.setup {
        let done = stage.set::<W>(setup);
        done.unwrap_or_else(|| script.fail(*number, "no such setting"));
    }
    let mut runner = Runner::<W>::new(stage).await;
    if !matches!(script.steps.first(), Some((_, Step::Session { .. }))) {
        runner.open_session("the", runner.addresses.client).await;
    }
    for (number, step) in &script.steps {
        if let Err(mismatch) = runner.step(step).await {
            runner.fail(&script, *number, &mismatch);
        }
    }
    if let Err(mismatch) = runner.finish().await {
        let last = script.steps.last().map_or(0, |(number, _)| *number);
        runner.fail(&script, last, &mismatch);
    }
}

impl Stage {
    fn new<W: World>() -> Stage {
        Stage {
            disk: Disk::new(),
            addresses: W::addresses("ipv4"),
            settings: settings::settings(),
            accounts: Accounts::default(),
            guard: Guard::default(),
            plugins: Plugins::default(),
            occupied: None,
        }
    }

    fn set<W: World>(&mut self, setup: &Setup) -> Option<()> {
        match setup {
            Setup::Address(kind) => self.addresses = W::addresses(kind),
            Setup::Setting(name, value) if (&**name, &**value) == ("passive.ports", "taken") => {
                let (port, occupied) = W::occupied_port(self.addresses.server);
                self.settings.passive.ports = port..=port;
                self.occupied = occupied;
            }
            Setup::Setting(name, value) => settings::set(&mut self.settings, name, value)?,
            Setup::Account(line) => self.accounts.add(line, &self.disk.root()),
            Setup::Guard(line) => match line.strip_prefix("delay ") {
                Some(delay) => self.guard.delay = duration(delay),
                None => self.guard.locked_out = line == "locked out",
            },
            Setup::File(name, what) => self.disk.make_file(name, what),
            Setup::Directory(name) => self.disk.make_directory(name),
            Setup::Symlink(name, target) => self.disk.make_link(name, target),
            Setup::Hook(rule) => self.plugins.add(rule, &self.disk.root()),
        }
        Some(())
    }
}

impl<W: World> Runner<W> {
    async fn new(mut stage: Stage) -> Runner<W> {
        if stage.accounts.is_empty() {
            stage.accounts.add("alice", &stage.disk.root());
        }
        let addresses = stage.addresses;
        let (accounts, plugins) = (Arc::new(stage.accounts), Arc::new(stage.plugins));
        let (sink, events) = Events::channel();
        let parts = Parts {
            settings: stage.settings.clone(),
            authenticator: Arc::clone(&accounts) as _,
            guard: Arc::new(stage.guard),
            hooks: Arc::clone(&plugins) as _,
            events: Arc::new(sink),
        };
        let context = Context {
            client: addresses.client.to_string(),
            server: addresses.server.to_string(),
            port: None,
        };
        Runner {
            world: W::start(addresses, parts).await,
            disk: stage.disk,
            addresses,
            settings: stage.settings,
            accounts,
            plugins,
            events,
            began: Instant::now(),
            sessions: BTreeMap::new(),
            current: String::new(),
            data: BTreeMap::new(),
            context,
            active_port: None,
            now: Arc::new(Notify::new()),
            ending: None,
            conversation: Vec::new(),
            _occupied: stage.occupied,
        }
    }

    async fn open_session(&mut self, name: &str, from: IpAddr) {
        self.current = name.to_owned();
        if !self.sessions.contains_key(name) {
            let stream = self.world.control(from).await;
            let control = Some(Connection::new(stream, W::PATIENCE));
            self.sessions.insert(name.to_owned(), Session { control });
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Login(name) => self.log_in(name).await,
            Step::Passive(name) => {
                self.exchange("EPSV", "229 Entering Extended Passive Mode (|||{port}|)").await?;
                self.data_step(name, &DataAction::Connect { stranger: false }).await
            }
            Step::Send(line) => self.send_line(line).await,
            Step::Flood(line) => {
                let line = [line, &b"\r\n"[..]].concat();
                let control = self.control()?;
                while timeout(STUCK, control.send(&line)).await.is_ok() {}
                Ok(())
            }
            Step::Transferred(octets) => self.wait_for_progress(*octets).await,
            Step::Raw(octets) => {
                self.note("raw", octets);
                self.control()?.send(octets).await
            }
            Step::Urgent(octets) => {
                self.note("urgent", octets);
                let control = self.control()?;
                W::urgent(control.stream(), octets).await.map_err(|error| error.to_string())
            }
            Step::Reply(pattern) => self.expect_reply(pattern).await,
            Step::Ending(ending) => self.end_control(*ending).await,
            Step::Session { name, stranger } => {
                self.conversation.push(format!("session: {name}"));
                let address = &self.addresses;
                let from = if *stranger { address.stranger } else { address.client };
                self.open_session(name, from).await;
                Ok(())
            }
            Step::Data { name, action } => self.data_step(name, action).await,
            Step::Check(claim) => self.disk.check(claim),
            Step::Count(name, expected) => self.check_count(name, *expected),
            Step::Event(pattern) => self.expect_event(pattern).await,
            Step::Saw(expected) => self.expect_seen(expected.as_ref()),
            Step::Hook(rule) => {
                self.plugins.add(rule, &self.disk.root());
                Ok(())
            }
            Step::Reload(name, value) => {
                settings::set(&mut self.settings, name, value).ok_or("no such setting")?;
                let (settings, accounts) = (self.settings.clone(), Arc::clone(&self.accounts));
                self.world.server().reload(settings, accounts);
                Ok(())
            }
            Step::Server(what) => self.server_step(what).await,
            Step::Wait(time) => {
                tokio::time::sleep(*time).await;
                Ok(())
            }
            Step::Clock(expected) => self.check_clock(*expected),
        }
    }

    async fn log_in(&mut self, name: &str) -> Result<(), String> {
        self.expect_reply(&Pattern::parse("220 waft FTP server ready.")).await?;
        self.exchange(&format!("USER {name}"), "331 Password, please.").await?;
        self.exchange("PASS secret", &format!("230 User {name} logged in.")).await
    }

    async fn exchange(&mut self, line: &str, reply: &str) -> Result<(), String> {
        self.send_line(line.as_bytes()).await?;
        self.expect_reply(&Pattern::parse(reply)).await
    }

    /// Asks for the status of a transfer until it has moved so many octets.
    async fn wait_for_progress(&mut self, octets: u64) -> Result<(), String> {
        let wanted = format!(" Transfer in progress: {octets} bytes so far").into_bytes();
        let mut found = false;
        let mut last = Vec::new();
        for _ in 0..STATUSES_MAX {
            if found {
                self.conversation.push(format!("(STAT, until {octets} octets are transferred)"));
                return Ok(());
            }
            let control = self.control()?;
            control.send(b"STAT\r\n").await?;
            let mut line = control.line().await?;
            if !line.starts_with(b"211-") {
                return Err(mismatch("the status", &escape(&line)));
            }
            while !line.starts_with(b"211 ") {
                last = std::mem::replace(&mut line, control.line().await?);
                found |= line == wanted;
            }
        }
        Err(mismatch(&escape(&wanted), &escape(&last)))
    }

    async fn send_line(&mut self, line: &[u8]) -> Result<(), String> {
        let line = self.filled_in(line);
        self.note(">", &line);
        let line = [&line, &b"\r\n"[..]].concat();
        self.control()?.send(&line).await
    }

    /// The line with the addresses that only the run knows: `{active}`, `{eprt}`, `{client}`,
    /// `{server}`.
    fn filled_in(&self, line: &[u8]) -> Vec<u8> {
        let mut line = line.to_vec();
        let port = self.active_port.unwrap_or_default();
        let client = self.context.client.clone();
        let family = if self.addresses.client.is_ipv4() { 1 } else { 2 };
        for (name, value) in [
            ("{active}", format!("{},{},{}", client.replace('.', ","), port >> 8, port & 255)),
            ("{eprt}", format!("|{family}|{client}|{port}|")),
            ("{client}", client.clone()),
            ("{server}", self.context.server.clone()),
        ] {
            if let Some(at) = find(&line, name.as_bytes()) {
                line.splice(at..at + name.len(), value.into_bytes());
            }
        }
        line
    }

    async fn expect_reply(&mut self, pattern: &Pattern) -> Result<(), String> {
        let line = self.control()?.line().await.map_err(|got| mismatch(pattern.source(), &got))?;
        self.note("<", &line);
        match pattern.fits(&line, &mut self.context) {
            true => Ok(()),
            false => Err(mismatch(pattern.source(), &escape(&line))),
        }
    }

    async fn end_control(&mut self, ending: Ending) -> Result<(), String> {
        match ending {
            Ending::HalfClose => self.control()?.shutdown().await,
            Ending::Eof => nothing_more(&self.take_control()?.rest().await?),
            Ending::Disconnect => self.take_control().map(drop),
            Ending::Reset => {
                W::reset(self.take_control()?.into_stream());
                Ok(())
            }
        }
    }

    fn take_control(&mut self) -> Result<Connection<StreamOf<W>>, String> {
        let session = self.sessions.get_mut(&self.current);
        session.and_then(|session| session.control.take()).ok_or("closed already".to_owned())
    }

    fn control(&mut self) -> Result<&mut Connection<StreamOf<W>>, String> {
        let session = self.sessions.get_mut(&self.current);
        session.and_then(|session| session.control.as_mut()).ok_or("closed already".to_owned())
    }

    async fn data_step(&mut self, name: &str, action: &DataAction) -> Result<(), String> {
        match action {
            DataAction::Connect { stranger } => {
                let address = &self.addresses;
                let from = if *stranger { address.stranger } else { address.client };
                let port = self.context.port.ok_or("no port was told")?;
                let stream = self.world.data(port, from).await.map_err(|e| e.to_string())?;
                self.opened(name, stream);
                Ok(())
            }
            DataAction::ConnectRefused => {
                let port = self.context.port.ok_or("no port was told")?;
                match self.world.data(port, self.addresses.client).await {
                    Ok(_) => Err("somebody accepts connections there".to_owned()),
                    Err(_) => Ok(()),
                }
            }
            DataAction::Listen => {
                let (listener, port) = self.world.listen(self.addresses.client).await;
                self.active_port = Some(port);
                self.data.insert(name.to_owned(), Data::Listening(listener));
                Ok(())
            }
            DataAction::ListenSilently => {
                self.active_port = Some(self.world.silent_port(self.addresses.client));
                Ok(())
            }
            DataAction::ListenNowhere => {
                let (listener, port) = self.world.listen(self.addresses.client).await;
                drop(listener);
                self.active_port = Some(port);
                Ok(())
            }
            DataAction::Accept => {
                let Some(Data::Listening(listener)) = self.data.get(name) else {
                    return Err("not listening".to_owned());
                };
                let accepted = patiently::<W, _>(W::accept(listener)).await;
                let stream = accepted.ok_or("the server does not connect")?;
                self.opened(name, stream);
                Ok(())
            }
            _ => self.use_data(name, action).await,
        }
    }

    fn opened(&mut self, name: &str, stream: StreamOf<W>) {
        let connection = Connection::new(stream, W::PATIENCE);
        self.data.insert(name.to_owned(), Data::Open(connection));
    }

    async fn use_data(&mut self, name: &str, action: &DataAction) -> Result<(), String> {
        let Some(Data::Open(connection)) = self.data.get_mut(name) else {
            return Err("no such data connection".to_owned());
        };
        match action {
            DataAction::Send { contents: text, deflated } => {
                let octets = contents(text);
                let octets = if *deflated { deflate(&octets) } else { octets };
                connection.send(&octets).await
            }
            DataAction::Shutdown => connection.shutdown().await,
            DataAction::Expect(text) => {
                let expected = contents(text);
                let got = connection.octets(expected.len()).await?;
                same(&expected, &got)
            }
            DataAction::ExpectDeflated(text) => {
                same(&contents(text), &inflate(&connection.rest().await?)?)
            }
            DataAction::Eof => nothing_more(&connection.rest().await?),
            DataAction::HasEnded => match connection.has_ended().await? {
                true => Ok(()),
                false => Err("the data connection has not ended by now".to_owned()),
            },
            DataAction::Gone => connection.gone().await,
            DataAction::Lines { lines, deflated } => {
                let got = connection.rest().await?;
                let got = if *deflated { inflate(&got)? } else { got };
                same_lines(lines, &got, &mut self.context)
            }
            DataAction::Close => {
                self.data.remove(name);
                Ok(())
            }
            DataAction::Reset => match self.data.remove(name) {
                Some(Data::Open(connection)) => {
                    W::reset(connection.into_stream());
                    Ok(())
                }
                _ => Err("no such data connection".to_owned()),
            },
            _ => Err("not to be done with an open data connection".to_owned()),
        }
    }

    fn check_count(&self, name: &str, expected: u64) -> Result<(), String> {
        let counts = self.world.server().counts();
        let found = counts.named().find(|(known, _)| *known == name).ok_or("no such counter")?.1;
        if found == expected { Ok(()) } else { Err(format!("{name} is {found}")) }
    }

    async fn expect_event(&mut self, pattern: &Pattern) -> Result<(), String> {
        let mut others = Vec::new();
        loop {
            let Some(Some(event)) = patiently::<W, _>(self.events.recv()).await else {
                return Err(mismatch(pattern.source(), &format!("only {others:?}")));
            };
            if pattern.fits(event.as_bytes(), &mut self.context) {
                return Ok(());
            }
            others.push(event);
        }
    }

    fn expect_seen(&mut self, expected: Option<&Pattern>) -> Result<(), String> {
        match (expected, self.plugins.take_seen()) {
            (None, None) => Ok(()),
            (None, Some(seen)) => Err(mismatch("nothing", &seen)),
            (Some(pattern), None) => Err(mismatch(pattern.source(), "nothing")),
            (Some(pattern), Some(seen)) => match pattern.fits(seen.as_bytes(), &mut self.context) {
                true => Ok(()),
                false => Err(mismatch(pattern.source(), &seen)),
            },
        }
    }

    async fn server_step(&mut self, what: &str) -> Result<(), String> {
        if let Some(time) = what.strip_prefix("drain ") {
            let (drain, now) = (duration(time), Arc::clone(&self.now));
            let server = Arc::clone(self.world.server());
            let begun = Arc::new(Notify::new());
            let beginning = Arc::clone(&begun);
            self.ending = Some(tokio::spawn(async move {
                let now = async {
                    beginning.notify_one();
                    now.notified().await;
                };
                server.shut_down(drain, now).await;
                beginning.notify_one();
            }));
            begun.notified().await;
            return Ok(());
        }
        if let Some(network) = what.strip_prefix("ban ") {
            let network = network.parse::<Network>().map_err(|error| error.to_string())?;
            return self.world.server().control().ban(network, Duration::from_secs(60));
        }
        if let Some(network) = what.strip_prefix("unban ") {
            let network = network.parse::<Network>().map_err(|error| error.to_string())?;
            self.world.server().control().unban(network);
            return Ok(());
        }
        if let Some((session, message)) = what.strip_prefix("end ").and_then(|w| w.split_once(' '))
        {
            let session = session.parse::<u64>().map_err(|error| error.to_string())?;
            let is_there = self.world.server().control().disconnect(SessionId(session), message);
            return if is_there { Ok(()) } else { Err("no such session".to_owned()) };
        }
        match what {
            "stop now" => {
                self.now.notify_one();
                Ok(())
            }
            "stopped" => {
                let ending = self.ending.take().ok_or("nobody stops the server")?;
                let ended = patiently::<W, _>(ending).await.ok_or("the server does not stop")?;
                ended.map_err(|error| error.to_string())
            }
            _ => Err("nothing that servers do".to_owned()),
        }
    }

    fn check_clock(&self, expected: Duration) -> Result<(), String> {
        let passed = self.began.elapsed();
        // Timers are exact to the millisecond, and a few may stand one behind the other.
        let is_so = passed.abs_diff(expected) < Duration::from_millis(100);
        if is_so { Ok(()) } else { Err(mismatch(&format!("{expected:?}"), &format!("{passed:?}"))) }
    }

    /// What every transcript ends with: the server has nothing more to say, and lets go.
    async fn finish(&mut self) -> Result<(), String> {
        for (name, session) in &mut self.sessions {
            let Some(mut control) = session.control.take() else { continue };
            self.conversation.push(format!("(end of the transcript, session {name})"));
            // The server may have closed it already.
            let _ = control.shutdown().await;
            nothing_more(&control.rest().await?)?;
        }
        Ok(())
    }

    fn note(&mut self, what: &str, octets: &[u8]) {
        self.conversation.push(format!("{what} {}", escape(octets)));
    }

    fn fail(&self, script: &Script, number: usize, mismatch: &str) -> ! {
        let so_far = self.conversation.join("\n  ");
        let what = format!("over {}: {mismatch}\n\nso far:\n  {so_far}\n", W::NAME);
        script.fail(number, &what)
    }
}

async fn patiently<W: World, T>(future: impl Future<Output = T>) -> Option<T> {
    timeout(W::PATIENCE, future).await.ok()
}

fn mismatch(expected: &str, got: &str) -> String {
    format!("\n  expected: {expected}\n  got:      {got}")
}

fn nothing_more(rest: &[u8]) -> Result<(), String> {
    if rest.is_empty() { Ok(()) } else { Err(mismatch("the end", &escape(rest))) }
}

fn same(expected: &[u8], got: &[u8]) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    let shown = |octets: &[u8]| {
        let rest = octets.get(at..).unwrap_or_default();
        format!("{} octets, at {at}: {}", octets.len(), escape(&rest[..rest.len().min(60)]))
    };
    Err(mismatch(&shown(expected), &shown(got)))
}

fn same_lines(expected: &[Pattern], got: &[u8], context: &mut Context) -> Result<(), String> {
    let mut left: VecDeque<&[u8]> = VecDeque::new();
    for line in got.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r\n");
        left.push_back(line.ok_or("a line of the listing does not end with CRLF")?);
    }
    for pattern in expected {
        let found = left.iter().position(|line| pattern.fits(line, context));
        let Some(at) = found else {
            let left: Vec<_> = left.iter().map(|line| escape(line)).collect();
            return Err(mismatch(pattern.source(), &format!("none of {left:#?}")));
        };
        left.remove(at);
    }
    match left.front() {
        None => Ok(()),
        Some(line) => Err(mismatch("no more lines", &escape(line))),
    }
}

fn deflate(octets: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

/// Inflates one zlib stream; nothing may follow it.
fn inflate(octets: &[u8]) -> Read<Vec<u8>> {
    let mut decoder = ZlibDecoder::new(octets);
    let mut out = Vec::new();
    decoder.read_to_end(&mut out).map_err(|error| format!("no zlib stream: {error}"))?;
    match decoder.total_in() == octets.len() as u64 {
        true => Ok(out),
        false => Err("octets behind the zlib stream".to_owned()),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
