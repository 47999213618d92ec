//! Times calls of a plugin's hooks, each as a server makes it, about a session that there is not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use waft_core::auth::{Credentials, Secret};
use waft_core::event::Direction;
use waft_core::hooks::{FileOp, FileOpKind, Hooks, Passage, WriteKind};
use waft_core::storage::{Batch, FileKind, Metadata};
use waft_core::{SessionFacts, SessionId, VirtualPath};
use waft_plugin_host::{Host, Inspection};
use waft_proto::{Code, Command, Reply};

use super::bench::HookCost;

/// Batches that are timed.
const BATCHES: usize = 21;

/// How long a batch takes, about.
const BATCH: Duration = Duration::from_millis(20);

/// Octets of a chunk of a transfer: as many as the server passes at once.
const CHUNK: usize = 256 * 1024;

/// Entries of a listing.
const ENTRIES: usize = 100;

/// What is measured with.
struct Calls<'a> {
    host: &'a Host,
    hooks: &'a dyn Hooks,
    plugin: &'a str,
    inspection: &'a Inspection,
    session: Arc<SessionFacts>,
    costs: Vec<HookCost>,
}

/// Times the hooks of these names.
///
/// # Errors
///
/// A call cannot be made.
pub(super) async fn measured(
    host: &Host,
    hooks: &dyn Hooks,
    plugin: &str,
    inspection: &Inspection,
    names: &[&str],
) -> Result<Vec<HookCost>> {
    let session = session();
    let mut calls = Calls { host, hooks, plugin, inspection, session, costs: Vec::new() };
    for name in names {
        match *name {
            "connection-filter" => calls.connections().await,
            "command-filter" => calls.commands().await?,
            "reply-filter" => calls.replies().await?,
            "authenticator" => calls.logins().await,
            "file-filter" => calls.files().await?,
            "content-filter" => calls.contents().await?,
            "storage" => calls.storage().await,
            "site-command" => calls.site().await,
            "event-sink" => calls.events().await,
            "timer" => calls.timer().await,
            _ => {}
        }
    }
    Ok(calls.costs)
}

impl Calls<'_> {
    async fn note(&mut self, hook: &str, call: &str, act: impl AsyncFn()) {
        let (min_ns, median_ns) = timed(act).await;
        let (hook, call) = (hook.to_owned(), call.to_owned());
        self.costs.push(HookCost { hook, call, min_ns, median_ns });
    }

    async fn connections(&mut self) {
        let (hooks, session) = (self.hooks, Arc::clone(&self.session));
        let Some(connections) = hooks.connections() else { return };
        let act = async || drop(connections.on_connect(&session).await);
        self.note("connection-filter", "on-connect", act).await;
    }

    /// A command that the plugin wants to see, of these verbs; with the word for it, if there are some.
    fn command(&self, verbs: Option<&Vec<String>>, words: &[String]) -> Result<Command> {
        let verb = verbs.and_then(|verbs| verbs.first()).map_or("NOOP", String::as_str);
        let is_of_it = |line: &&String| line.split(' ').next() == Some(verb);
        let line = words.iter().find(is_of_it).map_or(verb, String::as_str);
        Ok(Command::parse(line.as_bytes())?)
    }

    async fn commands(&mut self) -> Result<()> {
        let descriptor = self.inspection.descriptor.as_ref();
        let words = descriptor.map_or(&[][..], |told| &told.command_words);
        let verbs = descriptor.and_then(|told| told.command_verbs.as_ref());
        let command = self.command(verbs, words)?;
        let (hooks, session) = (self.hooks, Arc::clone(&self.session));
        // Of a session that nothing was skipped of, or it would be the first call and no other.
        let anew =
            || Arc::new(SessionFacts { skips: Arc::default(), ..SessionFacts::clone(&session) });
        let act = async || {
            if let Some(asked) = hooks.on_command(&anew(), &command) {
                drop(asked.await);
            }
        };
        self.note("command-filter", "on-command", act).await;
        Ok(())
    }

    async fn replies(&mut self) -> Result<()> {
        let descriptor = self.inspection.descriptor.as_ref();
        let verbs = descriptor.and_then(|told| told.reply_verbs.as_ref());
        let command = self.command(verbs, &[])?;
        let code = descriptor.and_then(|told| told.reply_codes.as_ref()?.first().copied());
        let reply = Reply::new(code.and_then(Code::new).unwrap_or(Code::OKAY), "Done.");
        let (hooks, session) = (self.hooks, Arc::clone(&self.session));
        let act = async || drop(hooks.on_reply(&session, Some(&command), reply.clone()).await);
        self.note("reply-filter", "on-reply", act).await;
        Ok(())
    }

    async fn logins(&mut self) {
        let (hooks, session) = (self.hooks, Arc::clone(&self.session));
        let Some(logins) = hooks.logins() else { return };
        let offered = Credentials::Password {
            user: "nobody".to_owned(),
            password: Secret::new(b"secret".to_vec()),
        };
        let act = async || drop(logins.authenticate(&session, &offered).await);
        self.note("authenticator", "authenticate", act).await;
    }

    async fn files(&mut self) -> Result<()> {
        let (hooks, session) = (self.hooks, Arc::clone(&self.session));
        let Some(files) = hooks.files() else { return Ok(()) };
        let path = VirtualPath::root().join(b"a.txt")?;
        let wanted = files.wanted();
        let op = match wanted.contains(FileOpKind::Write) {
            true => Some(FileOp::Write(path.clone(), WriteKind::Create)),
            false => wanted.contains(FileOpKind::Read).then(|| FileOp::Read(path.clone(), 0)),
        };
        let others = [
            (FileOpKind::Remove, FileOp::Remove(path.clone())),
            (FileOpKind::Rename, FileOp::Rename(path.clone(), path.clone())),
            (FileOpKind::MakeDirectory, FileOp::MakeDirectory(path.clone())),
            (FileOpKind::RemoveDirectory, FileOp::RemoveDirectory(path.clone())),
            (FileOpKind::Enter, FileOp::Enter(path.clone())),
            (FileOpKind::Inspect, FileOp::Inspect(path.clone())),
            (FileOpKind::Change, FileOp::Change(path, String::new())),
        ];
        let other = || others.into_iter().find(|(kind, _)| wanted.contains(*kind));
        if let Some(op) = op.or_else(|| other().map(|(_, op)| op)) {
            let act = async || drop(files.on_file(&session, &op).await);
            self.note("file-filter", "on-file", act).await;
        }
        if files.wants_listings() {
            let (directory, entries) = (VirtualPath::root(), listing());
            let act = async || drop(files.on_list(&session, &directory, &entries).await);
            self.note("file-filter", "on-list, 100 entries", act).await;
        }
        Ok(())
    }

    async fn contents(&mut self) -> Result<()> {
        let hooks = self.hooks;
        let Some(content) = hooks.content() else { return Ok(()) };
        let passage = Passage {
            session: Arc::clone(&self.session),
            direction: Direction::Upload,
            path: VirtualPath::root().join(b"a.txt")?,
            size: None,
            partial: false,
        };
        let act = async || drop(content.wanted(passage.clone()).await);
        self.note("content-filter", "wants", act).await;
        let whole = async |chunks: usize| {
            let Ok(Some(wanted)) = content.wanted(passage.clone()).await else { return false };
            let Ok(mut stream) = wanted.open().await else { return false };
            for _ in 0..chunks {
                if stream.push(vec![0x5a; CHUNK]).await.is_err() {
                    return false;
                }
            }
            drop(stream.finish().await);
            true
        };
        if whole(1).await {
            self.note("content-filter", "a transfer of 256 KiB", async || _ = whole(1).await).await;
        }
        Ok(())
    }

    async fn storage(&mut self) {
        let storage = self.host.storage(self.plugin);
        let own = storage.for_session(&self.session).unwrap_or(storage);
        let root = VirtualPath::root();
        self.note("storage", "stat", async || drop(own.stat(&root).await)).await;
    }

    async fn site(&mut self) {
        let (hooks, session) = (self.hooks, Arc::clone(&self.session));
        let Some(site) = hooks.site() else { return };
        let Some(command) = site.commands().first() else { return };
        let act = async || drop(site.run(&session, &command.name, None).await);
        self.note("site-command", "on-site", act).await;
    }

    async fn events(&mut self) {
        let (host, plugin) = (self.host, self.plugin);
        self.note("event-sink", "on-events, 1 event", async || host.deliver(plugin).await).await;
    }

    async fn timer(&mut self) {
        let (host, plugin) = (self.host, self.plugin);
        if host.ring(plugin).await {
            self.note("timer", "on-timer", async || _ = host.ring(plugin).await).await;
        }
    }
}

fn listing() -> Batch {
    let mut entries = Batch::default();
    for number in 0..ENTRIES {
        let metadata = Metadata {
            kind: FileKind::File,
            size: 1024,
            modified: None,
            created: None,
            mode: Some(0o644),
            links: 1,
            unique: None,
        };
        entries.push(format!("file-{number}.txt").as_bytes(), metadata);
    }
    entries
}

fn session() -> Arc<SessionFacts> {
    Arc::new(SessionFacts {
        id: SessionId(1),
        peer: ([192, 0, 2, 7], 40_000).into(),
        local: ([192, 0, 2, 1], 21).into(),
        listener: "bench".into(),
        tls: None,
        user: Some("alice".into()),
        cwd: VirtualPath::root(),
        attributes: Arc::new([]),
        scratch: Arc::default(),
        skips: Arc::default(),
    })
}

/// Nanoseconds of one call: of the quickest batch, and of the median.
async fn timed(call: impl AsyncFn()) -> (u64, u64) {
    let mut batch = 1_u32;
    loop {
        let began = Instant::now();
        for _ in 0..batch {
            call().await;
        }
        if began.elapsed() * 2 > BATCH || batch > 1 << 20 {
            break;
        }
        batch *= 2;
    }
    let mut times = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let began = Instant::now();
        for _ in 0..batch {
            call().await;
        }
        times.push(began.elapsed() / batch);
    }
    times.sort();
    let ns = |time: Option<&Duration>| {
        time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    };
    (ns(times.first()), ns(times.get(BATCHES / 2)))
}
