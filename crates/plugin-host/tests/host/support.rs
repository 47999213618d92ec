//! A directory of plugins, a host on it, and questions to that host.

use std::cell::{Cell, RefCell};
use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use tempfile::TempDir;
use waft_core::event::Direction;
use waft_core::hooks::{CommandVerdict, ContentStream, HookSource, Hooks, Passage, ReplyVerdict};
use waft_core::session::{Scratch, TlsFacts};
use waft_core::{SessionFacts, SessionId, VirtualPath};
use waft_plugin_host::{GenerationReport, Host, HostSettings, LoadErrors, PluginSettings};
use waft_proto::{Code, Command, Reply};

/// A bundled component, or one made for tests (`tests/…`).
pub(crate) fn component(name: &str) -> Vec<u8> {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/plugins");
    let directory = std::env::var_os("WAFT_PLUGINS").map_or(workspace.into(), PathBuf::from);
    let file = directory.join(format!("{name}.wasm"));
    fs::read(&file).unwrap_or_else(|error| {
        panic!("run cargo xtask plugins first: {}: {error}", file.display())
    })
}

pub(crate) fn echo() -> Vec<u8> {
    component("tests/echo-verdict")
}

pub(crate) fn hostile() -> Vec<u8> {
    component("tests/hostile")
}

/// A component of the text format.
pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// Where compiled components are kept from test to test.
fn state() -> PathBuf {
    let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join("state");
    DirBuilder::new().recursive(true).mode(0o700).create(&state).unwrap();
    state
}

/// A directory that nobody else may write to.
pub(crate) struct Directory(TempDir);

impl Directory {
    pub(crate) fn new() -> Directory {
        Directory(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a file there as one should: whole, under another name, then renamed.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let unfinished = self.file(&format!("{name}.part"));
        fs::write(&unfinished, bytes).unwrap();
        fs::rename(&unfinished, self.file(name)).unwrap();
    }

    /// Writes over a file in place.
    pub(crate) fn overwrite(&self, name: &str, bytes: &[u8]) {
        fs::write(self.file(name), bytes).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.file(name)).unwrap();
    }

    /// Everything dropped here, and nothing else.
    pub(crate) fn settings(&self) -> HostSettings {
        HostSettings {
            directory: Some(self.path().to_owned()),
            state: Some(state()),
            debounce: Duration::from_millis(5),
            ..HostSettings::default()
        }
    }
}

/// A plugin with configuration.
pub(crate) fn plugin(name: &str, config: &[(&str, &str)]) -> PluginSettings {
    PluginSettings { config: pairs(config), ..PluginSettings::named(name) }
}

pub(crate) fn pairs(config: &[(&str, &str)]) -> Vec<(String, String)> {
    config.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A host of one plugin.
pub(crate) async fn host_of(bytes: &[u8], settings: PluginSettings) -> (Directory, Host) {
    let directory = Directory::new();
    directory.put(&format!("{}.wasm", settings.name), bytes);
    let settings = HostSettings { plugins: vec![settings], ..directory.settings() };
    let host = load(settings).await;
    (directory, host)
}

pub(crate) async fn load(settings: HostSettings) -> Host {
    Host::load(settings).await.unwrap_or_else(|errors| panic!("{errors}"))
}

/// The errors of a load that must fail, one a line.
pub(crate) async fn load_errors(settings: HostSettings) -> LoadErrors {
    Host::load(settings).await.expect_err("the load should have failed")
}

pub(crate) fn session() -> Arc<SessionFacts> {
    Arc::new(SessionFacts {
        id: SessionId(7),
        peer: "192.0.2.5:40001".parse().unwrap(),
        local: "198.51.100.1:21".parse().unwrap(),
        listener: "outside".into(),
        tls: Some(Arc::new(TlsFacts {
            version: "TLSv1.3".to_owned(),
            cipher: "TLS13_AES_128_GCM_SHA256".to_owned(),
            server_name: None,
            peer_certificate_sha256: None,
            peer_certificate_names: Vec::new(),
        })),
        user: Some("alice".into()),
        cwd: VirtualPath::root().join(b"pub/\xff").unwrap(),
        attributes: Arc::new([("group".to_owned(), "staff".to_owned())]),
        scratch: Arc::new(Scratch::default()),
        skips: Arc::default(),
    })
}

pub(crate) fn command(line: impl AsRef<[u8]>) -> Command {
    Command::parse(line.as_ref()).unwrap()
}

/// Whether some plugin is asked about a command at all.
pub(crate) fn is_asked(host: &Host, line: &str) -> bool {
    host.current().on_command(&session(), &command(line)).is_some()
}

/// The verdict on a command, in words.
pub(crate) async fn ask(host: &Host, line: impl AsRef<[u8]>) -> String {
    ask_in(host, &session(), line).await
}

/// The verdict on a command of that session, in words.
pub(crate) async fn ask_in(
    host: &Host,
    session: &Arc<SessionFacts>,
    line: impl AsRef<[u8]>,
) -> String {
    ask_of(&*host.current(), session, line).await
}

/// The verdict of these hooks, in words.
pub(crate) async fn ask_of(
    hooks: &dyn Hooks,
    session: &Arc<SessionFacts>,
    line: impl AsRef<[u8]>,
) -> String {
    let command = command(line);
    let Some(asked) = hooks.on_command(session, &command) else { return "pass".to_owned() };
    match asked.await {
        CommandVerdict::Pass => "pass".to_owned(),
        CommandVerdict::Rewrite { command, plugin } => format!("{plugin} rewrites: {command}"),
        CommandVerdict::Answer { reply, plugin } => format!("{plugin} answers: {}", text(&reply)),
        CommandVerdict::Close { reply, plugin } => format!("{plugin} closes: {}", text(&reply)),
        CommandVerdict::Undecided { reply, plugin } => format!("{plugin} fails: {}", text(&reply)),
    }
}

/// The reply as it leaves, in words, with the plugin that changed it.
pub(crate) async fn reword(host: &Host, line: Option<&str>, reply: Reply) -> String {
    let command = line.map(command);
    let verdict = host.current().on_reply(&session(), command.as_ref(), reply).await;
    let ReplyVerdict { reply, plugin } = verdict;
    match plugin {
        Some(plugin) => format!("{plugin}: {}", text(&reply)),
        None => text(&reply),
    }
}

pub(crate) fn reply(code: u16, words: &str) -> Reply {
    Reply::new(Code::new(code).unwrap(), words.to_owned())
}

/// A reply as it goes over the wire, without the last line end.
pub(crate) fn text(reply: &Reply) -> String {
    let mut out = Vec::new();
    reply.encode(&mut out);
    String::from_utf8_lossy(&out).trim_end_matches("\r\n").to_owned()
}

/// Waits for the report with that number or a later one.
pub(crate) async fn report(host: &Host, sequence: u64) -> GenerationReport {
    let mut reports = host.reports();
    reports.wait_for(|report| report.sequence >= sequence).await.unwrap().clone()
}

/// Octets of memory that the new instance of a plugin takes.
pub(crate) async fn memory_of(directory: &Directory, plugin: &PluginSettings) -> u64 {
    let plugins = vec![plugin.clone()];
    let host = load(HostSettings { plugins, ..directory.settings() }).await;
    host.status().plugins[0].memory_bytes as u64
}

/// What a report says, a change a line.
pub(crate) fn said(report: &GenerationReport) -> Vec<String> {
    let changes = report.changes.iter();
    changes.map(|change| format!("{}: {:?}", change.plugin, change.what)).collect()
}

thread_local! {
    /// What is done with every line that is logged on this thread.
    static ON_LINE: Cell<fn()> = const { Cell::new(|| ()) };
}

/// Everything that is logged on this thread while it lives.
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

thread_local! {
    static LISTENER: RefCell<Option<Arc<Mutex<Vec<u8>>>>> = const { RefCell::new(None) };
}

impl Log {
    /// Begins to listen.
    pub(crate) fn listen() -> Log {
        // One for the process: with one a thread, whether a line is written at all would depend on
        // which thread came by it first.
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            tracing_subscriber::fmt()
                .with_writer(|| Listener)
                .with_ansi(false)
                .without_time()
                .with_max_level(tracing::Level::DEBUG)
                .init();
        });
        let lines = Arc::<Mutex<Vec<u8>>>::default();
        LISTENER.set(Some(Arc::clone(&lines)));
        Log(lines)
    }

    /// Begins to listen, and does that with every line.
    pub(crate) fn listen_and(on_line: fn()) -> Log {
        ON_LINE.set(on_line);
        Log::listen()
    }

    /// The lines that hold `words`.
    pub(crate) fn lines_with(&self, words: &str) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        log.lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LISTENER.set(None);
        ON_LINE.set(|| ());
    }
}

/// Writes to the [`Log`] of this thread, if there is one.
struct Listener;

impl Write for Listener {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        ON_LINE.get()();
        LISTENER.with_borrow(|listener| {
            if let Some(lines) = listener {
                lines.lock().unwrap().extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The session of that number.
pub(crate) fn session_of(id: u64) -> Arc<SessionFacts> {
    Arc::new(SessionFacts { id: SessionId(id), ..(*session()).clone() })
}

/// A transfer of the session of that number.
pub(crate) async fn transfer(host: &Host, id: u64, direction: Direction) -> Box<dyn ContentStream> {
    let path = VirtualPath::root().join(b"/a").unwrap();
    let passage = Passage { session: session_of(id), direction, path, size: None, partial: false };
    let wanted = host.current().content().unwrap().wanted(passage).await.unwrap().unwrap();
    wanted.open().await.unwrap_or_else(|refusal| panic!("{}", text(&refusal.reply)))
}

/// Lets that many seconds pass on a clock that is paused. One by one, as whoever is woken by one of
/// them waits for the next from there.
pub(crate) async fn pass(seconds: u32) {
    for _ in 0..seconds {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}
