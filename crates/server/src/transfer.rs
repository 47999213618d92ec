//! One transfer, from its 150 to its final reply.
//!
//! The order is what keeps files whole: 150, data connection, and only then the upload's own file;
//! last octet, data connection closed, upload published, and only then 226. While octets move, the
//! session listens to the control connection as well: ABOR and STAT act at once, everything else
//! waits.

mod content;
mod quarantine;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use waft_core::event::{Direction, Happening, TransferFailure};
use waft_core::hooks::{Hooks, Passage, WantedContent};
use waft_core::storage::{ErrorKind, Reader, StorageError, WriteMode, Writer};
use waft_core::{Account, SessionFacts, VirtualPath};
use waft_proto::arguments::{Representation, TransferMode};
use waft_proto::{Code, Command, Reply, Text, Verb};

use crate::commands::Refusal;
use crate::control::{End, Input};
use crate::data::{self, DataSetup, DataTls, Encoding, OpenError, Progress, PumpError, TlsFailure};
use crate::gatehouse::Farewell;
use crate::net::Network;
use crate::security::Protection;
use crate::session::{Flow, Session};
use crate::settings::Ascii;
use crate::shared::{Place, Shared, TransferKind};
use crate::time::{milliseconds, within};
use crate::tls::Channel;
use content::Label;

/// The part of an upload's time for which its client's death is awaited once its data have ended.
const LAST_MOMENT_PART: u32 = 32;

/// The longest such wait.
const LAST_MOMENT_MAX: Duration = Duration::from_millis(50);

/// The shortest: timers are no finer.
const LAST_MOMENT_MIN: Duration = Duration::from_millis(1);

/// A transfer that may begin.
pub(crate) struct Transfer {
    opening: Opening,
    job: Job,
    /// The name that nobody else is given until the transfer is over.
    reserved: Option<Place<VirtualPath>>,
}

/// The preliminary reply.
enum Opening {
    /// These words, with the mode that the session is in.
    Words(String),
    /// This reply.
    Reply(Reply),
}

enum Job {
    Send(Source),
    Receive(Target),
}

/// What goes to the client.
pub(crate) enum Source {
    /// A file, or the first octets of it.
    File {
        reader: Box<dyn Reader>,
        limit: Option<u64>,
        path: VirtualPath,
        /// Octets that will go out, where that is known.
        size: Option<u64>,
        /// Whether the file goes out from its first octet to its last.
        whole: bool,
    },
    /// A listing.
    Listing(Box<dyn Reader>),
}

/// Where an upload goes.
pub(crate) struct Target {
    pub(crate) path: VirtualPath,
    pub(crate) mode: WriteMode,
}

impl Transfer {
    /// Sends `what` to the client.
    pub(crate) fn send(what: impl Into<String>, source: Source) -> Transfer {
        let opening = Opening::Words(what.into());
        Transfer { opening, job: Job::Send(source), reserved: None }
    }

    /// Takes an upload from the client.
    pub(crate) fn receive(opening: Reply, target: Target) -> Transfer {
        let opening = Opening::Reply(opening);
        Transfer { opening, job: Job::Receive(target), reserved: None }
    }

    /// The same, for a name that was chosen because it is free.
    pub(crate) fn reserving(self, name: Place<VirtualPath>) -> Transfer {
        Transfer { reserved: Some(name), ..self }
    }
}

/// Why a transfer did not complete.
enum Failure {
    /// The data connection was not opened.
    Open(OpenError),
    /// It was not protected as it has to be.
    Tls(TlsFailure),
    /// Octets did not move.
    Pump(PumpError),
    /// The storage said no.
    Storage(StorageError),
}

/// What is told of a transfer that did not complete: to the client, and to who observes.
struct Broken {
    reply: Reply,
    reason: &'static str,
    plugin: Option<Arc<str>>,
}

/// How the part of a transfer that can be interrupted ended.
enum Attended {
    /// By itself.
    Finished(Result<(), Failure>),
    /// By ABOR.
    Aborted(Command),
    /// With the control connection.
    Abandoned,
    /// With the session, for that reason.
    Ended(&'static str),
    /// With the server, or by whoever asked the session to leave.
    Interrupted(Farewell),
    /// By whoever wants rid of the plugins that it runs with.
    Withdrawn,
}

/// The upload that is open while octets move, if there is one. It belongs to the session and not to
/// the future that moves them: whoever drops that future can still end the upload in order. The
/// data connection ends with the future.
type Open = Option<Box<dyn Writer>>;

/// What becomes of a data connection before octets move over it.
enum DataProtection {
    /// Nothing.
    None,
    /// It has to be clear text indeed.
    NoHello,
    /// TLS begins.
    Tls(DataTls),
}

/// What the log says of a transfer.
struct Record {
    what: &'static str,
    path: Option<(Direction, VirtualPath)>,
    began: Instant,
}

impl<N: Network> Session<N> {
    /// Runs a transfer to its final reply.
    pub(crate) async fn transfer(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        command: &Command,
        transfer: Transfer,
    ) -> Flow {
        if let Some(reply) = self.protection_needed() {
            return self.reply(hooks, Some(command), reply).await;
        }
        if matches!(self.data, DataSetup::None) {
            let reply = OpenError::NotSetUp.reply();
            return self.reply(hooks, Some(command), reply).await;
        }
        let wanted = match self.wanted_content(hooks, transfer.job.passage(&self.facts)).await {
            Ok(wanted) => wanted,
            Err(Refusal(reply)) => return self.reply(hooks, Some(command), reply).await,
        };
        let setup = self.data.take();
        let Ok(account) = self.account() else { return Flow::Break("not logged in") };
        let _reserved = transfer.reserved;
        let _running = self.shared.transfers.begin(transfer.job.kind());
        let opening = self.opening(transfer.opening, transfer.job.size(wanted.as_deref()));
        self.reply(hooks, Some(command), opening).await?;

        let record = Record::new(&transfer.job);
        let progress = Progress::new();
        let mut open = None;
        let attended = {
            let filters = wanted.map(|wanted| (wanted, self.label(hooks, &account, &transfer.job)));
            let work = self.work(setup, &account, transfer.job, filters, &mut open, &progress);
            let work = pin!(work);
            self.attend(hooks, work, &progress, record.direction()).await
        };
        self.conclude(hooks, command, attended, open, &record, &progress).await
    }

    /// Opens the data connection and moves octets. Borrows nothing of the session, which listens
    /// to the control connection meanwhile.
    fn work<'w>(
        &self,
        setup: DataSetup<N>,
        account: &Arc<Account>,
        job: Job,
        filters: Option<(Box<dyn WantedContent>, Label)>,
        open: &'w mut Open,
        progress: &'w Progress,
    ) -> impl Future<Output = Result<(), Failure>> + Send + use<'w, N> {
        let shared = Arc::clone(&self.shared);
        let settings = Arc::clone(&self.settings);
        let storage = Arc::clone(&account.storage);
        let facts = Arc::clone(&self.facts);
        let (encoding, deflate) = self.coding(&job);
        let protection = self.data_protection(&job);
        async move {
            let passive = settings.passive_of(&facts.listener);
            let timeouts = &settings.timeouts;
            let opening = setup.open(&shared.network, facts.peer.ip(), passive, timeouts);
            let io = opening.await.map_err(Failure::Open)?;
            let truncated = protection.truncated();
            let protected = protection.protect(io, &shared, timeouts.stall).await;
            let stream = protected.map_err(Failure::Tls)?;
            let stall = timeouts.stall;
            match job {
                Job::Send(source) => {
                    let (mut reader, mut limit) = source.into_reader();
                    if let Some((wanted, label)) = filters {
                        let filtered = content::filtered_reader(wanted, reader, limit, label);
                        reader = filtered.await.map_err(Failure::Storage)?;
                        limit = None;
                    }
                    let download =
                        data::Download { reader: &mut *reader, limit, encoding, deflate };
                    data::send(stream, download, progress, stall).await.map_err(Failure::Pump)
                }
                Job::Receive(target) => {
                    let writer = match filters {
                        None => storage.open_write(&target.path, target.mode).await,
                        Some((wanted, label)) => {
                            content::filtered_writer(wanted, &*storage, &target, label).await
                        }
                    };
                    let writer = open.insert(writer.map_err(Failure::Storage)?);
                    let inflate = deflate.is_some();
                    let upload = data::Upload { limit: None, encoding, inflate };
                    let received =
                        data::receive(stream, &mut **writer, upload, progress, stall).await;
                    if truncated.load(Ordering::Relaxed) {
                        shared.counters.close_notify_missing.add_one();
                        tracing::info!("upload ended without close_notify");
                    }
                    received.map_err(Failure::Pump)
                }
            }
        }
    }

    /// What is told of a transfer whose contents plugins decide about.
    fn label(&self, hooks: &Arc<dyn Hooks>, account: &Account, job: &Job) -> Label {
        Label {
            user: Arc::clone(&account.name),
            path: job.path(),
            settings: Arc::clone(&self.settings),
            counters: Arc::clone(&self.shared.counters),
            generation: hooks.generation(),
        }
    }

    /// A refusal for transfers whose data connection would be protected too little (RFC 4217,
    /// 10.2).
    fn protection_needed(&self) -> Option<Reply> {
        let security = &self.security;
        let is_enough = !security.is_data_protection_required()
            || security.protection == Protection::Private && security.is_agreed();
        (!is_enough).then(|| {
            Reply::new(Code::PROTECTION_NEEDED, "Data connections must be protected: use PROT P.")
        })
    }

    fn data_protection(&self, job: &Job) -> DataProtection {
        match self.data_tls() {
            Some(tls) => DataProtection::Tls(tls),
            // Only clients that speak TLS can mistake what was agreed upon.
            None if self.security.is_agreed() && matches!(job, Job::Receive(_)) => {
                DataProtection::NoHello
            }
            None => DataProtection::None,
        }
    }

    /// How octets are represented, and the level of their compression.
    fn coding(&self, job: &Job) -> (Encoding, Option<u32>) {
        let (parameters, transfers) = (&self.parameters, &self.settings.transfers);
        // Listings are text already; files are translated where the operator lets TYPE A do so.
        let translate = transfers.ascii == Ascii::Translate
            && parameters.representation == Representation::Ascii
            && !matches!(job, Job::Send(Source::Listing(_)));
        let deflate = match parameters.mode {
            TransferMode::Stream => None,
            TransferMode::Deflate => parameters.deflate_level.or(transfers.deflate),
        };
        (if translate { Encoding::Ascii } else { Encoding::Image }, deflate)
    }

    /// Refuses to tell of a file as it is stored where plugins change it on its way to the client.
    pub(crate) async fn untransformed(
        &self,
        hooks: &Arc<dyn Hooks>,
        path: &VirtualPath,
        size: Option<u64>,
    ) -> Result<(), Refusal> {
        let (session, path) = (Arc::clone(&self.facts), path.clone());
        let direction = Direction::Download;
        let passage = Passage { session, direction, path, size, partial: false };
        match self.wanted_content(hooks, Some(passage)).await? {
            Some(wanted) if wanted.transforms() => Err(Refusal::new(
                Code::BAD_VALUE,
                "Not known here: the contents are changed on the way.",
            )),
            _ => Ok(()),
        }
    }

    /// Asks the plugins whether they want to see what passes; nobody does where it is no file.
    async fn wanted_content(
        &self,
        hooks: &Arc<dyn Hooks>,
        passage: Option<Passage>,
    ) -> Result<Option<Box<dyn WantedContent>>, Refusal> {
        let (Some(filters), Some(passage)) = (hooks.content(), passage) else { return Ok(None) };
        let (is_part, path) = (passage.partial, passage.path.clone());
        let wanted = filters.wanted(passage).await.map_err(|refusal| {
            let (plugin, code) = (&*refusal.plugin, refusal.reply.code().number());
            let (generation, hook) = (hooks.generation(), "content-filter");
            if refusal.is_decided {
                tracing::warn!(plugin, generation, hook, %path, code, "transfer refused by plugin");
                self.shared.counters.contents_refused.add_one();
            } else {
                let message = "transfer could not be decided by plugin";
                tracing::warn!(plugin, generation, hook, %path, code, "{message}");
            }
            Refusal(refusal.reply)
        })?;
        match wanted {
            Some(wanted) if is_part && wanted.transforms() => Err(Refusal::new(
                Code::BAD_VALUE,
                "Only whole files here: their contents are changed on the way.",
            )),
            wanted => Ok(wanted),
        }
    }

    fn opening(&self, opening: Opening, size: Option<u64>) -> Reply {
        match opening {
            Opening::Reply(reply) => reply,
            Opening::Words(what) => {
                let mode = match self.parameters.representation {
                    Representation::Ascii => "ASCII",
                    Representation::Image => "BINARY",
                };
                let size = size.map(|size| format!(" ({size} bytes)")).unwrap_or_default();
                let text = format!("Opening {mode} mode data connection for {what}{size}.");
                Reply::new(Code::OPENING, text)
            }
        }
    }

    /// Runs the work while listening to the control connection.
    async fn attend(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        mut work: Pin<&mut (impl Future<Output = Result<(), Failure>> + Send)>,
        progress: &Progress,
        direction: Option<Direction>,
    ) -> Attended {
        let mut client_ended = false;
        let mut withdrawn = hooks.withdrawn_for(self.facts.id);
        loop {
            let listening =
                !client_ended && self.waiting.len() < self.settings.limits.waiting_commands_max;
            let input = tokio::select! {
                biased;
                result = &mut work => return Attended::Finished(result),
                farewell = self.guest.interrupted() => return Attended::Interrupted(farewell),
                () = &mut withdrawn => return Attended::Withdrawn,
                input = self.control.next(), if listening => input,
            };
            match input {
                Input::Command(command) if command.verb() == Some(Verb::Abor) => {
                    return Attended::Aborted(command);
                }
                Input::Command(command)
                    if command.verb() == Some(Verb::Stat) && command.argument().is_none() =>
                {
                    let status = self.run_status(hooks, command, progress);
                    let (flow, finished) = alongside(status, work.as_mut()).await;
                    if let Flow::Break(reason) = flow {
                        return Attended::Ended(reason);
                    }
                    if let Some(result) = finished {
                        return Attended::Finished(result);
                    }
                }
                // A client that will say no more may still read what it asked for. An upload whose
                // client is gone is cut off: its end cannot be told from a crash.
                Input::End(End::Closed) if direction != Some(Direction::Upload) => {
                    client_ended = true;
                }
                Input::End(_) => return Attended::Abandoned,
                input => self.waiting.push_back(input),
            }
        }
    }

    /// Ends what is open, publishes the upload, and tells how it went.
    async fn conclude(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        command: &Command,
        attended: Attended,
        open: Open,
        record: &Record,
        progress: &Progress,
    ) -> Flow {
        let (result, abor) = match attended {
            Attended::Finished(result) => (self.finish(result, open, record).await, None),
            Attended::Aborted(abor) => {
                let broken = aborted("Transfer aborted.", "aborted by the client");
                (self.cut(open, broken).await, Some(abor))
            }
            Attended::Abandoned => (self.cut(open, abandoned()).await, None),
            Attended::Ended(reason) => {
                let cut = self.cut(open, aborted("The session has ended.", reason)).await;
                self.record(record, progress, cut.err().as_ref());
                return Flow::Break(reason);
            }
            Attended::Interrupted(farewell) => {
                let (text, reason) = match farewell {
                    Farewell::Shutdown => ("Server is shutting down.", "the server stops"),
                    Farewell::Asked(_) => ("The session is being ended.", "the session was ended"),
                };
                (self.cut(open, aborted(text, reason)).await, None)
            }
            Attended::Withdrawn => {
                let generation = hooks.generation();
                tracing::warn!(generation, "transfer ended: its plugins are not in force any more");
                let text = "Transfer ended: its plugins were replaced.";
                (self.cut(open, aborted(text, "its plugins were withdrawn")).await, None)
            }
        };
        self.record(record, progress, result.as_ref().err());
        let reply = result.unwrap_or_else(|broken| broken.reply);
        self.reply(hooks, Some(command), reply).await?;
        match abor {
            None => Flow::Continue(()),
            Some(abor) => {
                let reply = Reply::new(Code::TRANSFER_DONE, "Abort successful.");
                self.reply(hooks, Some(&abor), reply).await
            }
        }
    }

    /// After the last octet: the data connection closes, the upload is published.
    async fn finish(
        &mut self,
        result: Result<(), Failure>,
        open: Open,
        record: &Record,
    ) -> Result<Reply, Broken> {
        if let Err(failure) = result {
            let broken = self.explain(failure);
            return self.cut(open, broken).await;
        }
        let Some(writer) = open else {
            return Ok(transfer_complete());
        };
        // INSPECT belongs here: everything has arrived, nothing is visible yet.
        //
        // A client that dies takes both connections with it: the end of data is no end of file.
        if self.client_is_gone(record.began.elapsed()).await {
            return self.cut(Some(writer), abandoned()).await;
        }
        let metadata = writer.finish().await.map_err(Broken::by_storage)?;
        self.shared.counters.uploads_empty.add(u64::from(metadata.size == 0));
        if let Some((_, path)) = &record.path {
            tracing::debug!(%path, size = metadata.size, "upload published");
        }
        Ok(transfer_complete())
    }

    /// Whether the client is gone, and not only done with an upload that took so long.
    ///
    /// The system ends the connections of a process that dies one after the other, the data
    /// connection first, and the network may do so, too. So there is a moment's wait, which is
    /// short beside the upload; where it would be none for a clock, there is none.
    ///
    /// An end of TLS changes nothing: clients that give up in the middle send close_notify, too,
    /// and only then close the control connection.
    async fn client_is_gone(&mut self, took: Duration) -> bool {
        if self.control.has_ended().await.is_some() {
            return true;
        }
        let moment = (took / LAST_MOMENT_PART).min(LAST_MOMENT_MAX);
        moment >= LAST_MOMENT_MIN && within(moment, self.control.hangup()).await.is_some()
    }

    /// Ends a transfer that did not complete.
    async fn cut(&mut self, open: Open, broken: Broken) -> Result<Reply, Broken> {
        if let Some(writer) = open {
            let interrupted = self.settings.transfers.interrupted;
            if let Err(error) = writer.abandon(interrupted).await {
                tracing::warn!(%error, "an interrupted upload could not be put away");
            }
        }
        Err(broken)
    }

    fn explain(&self, failure: Failure) -> Broken {
        let counters = &self.shared.counters;
        match failure {
            Failure::Open(error) => {
                counters.data_not_opened.add_one();
                tracing::warn!(%error, "data connection not opened");
                Broken::new(error.reply(), "data connection not opened")
            }
            Failure::Tls(error) => {
                counters.data_tls_failed.add_one();
                tracing::warn!(%error, "data connection not protected");
                Broken::new(error.reply(), "data connection not protected")
            }
            Failure::Storage(error) | Failure::Pump(PumpError::Storage(error)) => {
                match error.kind() {
                    ErrorKind::Exists => {
                        Broken::new(Reply::new(Code::BAD_NAME, "File exists."), "file exists")
                    }
                    _ => Broken::by_storage(error),
                }
            }
            Failure::Pump(error) => {
                if matches!(error, PumpError::Stalled(_)) {
                    counters.transfers_stalled.add_one();
                }
                tracing::info!(%error, "transfer broken");
                broken(&error)
            }
        }
    }

    fn record(&self, record: &Record, progress: &Progress, broken: Option<&Broken>) {
        let counters = &self.shared.counters;
        let bytes = progress.bytes.load(Ordering::Relaxed);
        let elapsed = record.began.elapsed();
        let elapsed_ms = milliseconds(elapsed);
        let complete = broken.is_none();
        if !complete {
            counters.transfers_aborted.add_one();
        }
        let Some((direction, path)) = &record.path else {
            counters.listings.add(u64::from(complete));
            tracing::debug!(bytes, elapsed_ms, complete, "{}", record.what);
            return;
        };
        let (files, octets) = match direction {
            Direction::Download => (&counters.downloads, &counters.bytes_downloaded),
            Direction::Upload => (&counters.uploads, &counters.bytes_uploaded),
        };
        files.add(u64::from(complete));
        octets.add(bytes);
        let reason = broken.map(|broken| broken.reason);
        tracing::info!(%path, bytes, elapsed_ms, complete, reason, "{}", record.what);
        self.emit(Happening::TransferEnded {
            direction: *direction,
            path: path.clone(),
            bytes,
            elapsed,
            failure: broken.map(Broken::failure),
        });
    }
}

impl Job {
    /// The file; the root for a listing.
    fn path(&self) -> VirtualPath {
        match self {
            Job::Send(Source::File { path, .. }) | Job::Receive(Target { path, .. }) => {
                path.clone()
            }
            Job::Send(Source::Listing(_)) => VirtualPath::root(),
        }
    }

    fn kind(&self) -> TransferKind {
        match self {
            Job::Send(Source::File { .. }) => TransferKind::Download,
            Job::Send(Source::Listing(_)) => TransferKind::Listing,
            Job::Receive(_) => TransferKind::Upload,
        }
    }

    /// Octets that will go out, where that is known.
    fn size(&self, wanted: Option<&dyn WantedContent>) -> Option<u64> {
        match self {
            Job::Send(Source::File { size, .. }) => {
                size.filter(|_| wanted.is_none_or(|wanted| !wanted.transforms()))
            }
            _ => None,
        }
    }

    /// What plugins are asked about it.
    fn passage(&self, session: &Arc<SessionFacts>) -> Option<Passage> {
        let (direction, path, size, partial) = match self {
            Job::Send(Source::File { path, size, whole, .. }) => {
                (Direction::Download, path, *size, !whole)
            }
            Job::Receive(target) => {
                (Direction::Upload, &target.path, None, Passage::is_part(target.mode))
            }
            Job::Send(Source::Listing(_)) => return None,
        };
        let (session, path) = (Arc::clone(session), path.clone());
        Some(Passage { session, direction, path, size, partial })
    }
}

impl Record {
    fn new(job: &Job) -> Record {
        let path = match job {
            Job::Send(Source::File { path, .. }) => Some((Direction::Download, path.clone())),
            Job::Send(Source::Listing(_)) => None,
            Job::Receive(target) => Some((Direction::Upload, target.path.clone())),
        };
        Record { what: job.kind().word(), path, began: Instant::now() }
    }

    fn direction(&self) -> Option<Direction> {
        self.path.as_ref().map(|(direction, _)| *direction)
    }
}

impl DataProtection {
    /// Where it is noted that the client ended TLS without close_notify.
    fn truncated(&self) -> Arc<AtomicBool> {
        match self {
            DataProtection::Tls(tls) => Arc::clone(&tls.truncated),
            _ => Arc::default(),
        }
    }

    async fn protect<N: Network>(
        self,
        io: N::Stream,
        shared: &Shared<N>,
        stall: Duration,
    ) -> Result<Channel<N::Stream>, TlsFailure> {
        match self {
            DataProtection::None => Ok(Channel::Clear(io)),
            DataProtection::NoHello => data::refuse_hello(io, stall).await,
            DataProtection::Tls(tls) => data::secure(io, tls, &shared.counters).await,
        }
    }
}

impl Source {
    fn into_reader(self) -> (Box<dyn Reader>, Option<u64>) {
        match self {
            Source::File { reader, limit, .. } => (reader, limit),
            Source::Listing(reader) => (reader, None),
        }
    }
}

impl Broken {
    fn new(reply: Reply, reason: &'static str) -> Broken {
        Broken { reply, reason, plugin: None }
    }

    fn by_storage(error: StorageError) -> Broken {
        let reason = match error.refusal() {
            None => "storage failed",
            Some(refused) if refused.is_kept => "put in quarantine by a plugin",
            Some(refused) if refused.is_decided => "refused by a plugin",
            Some(_) => "a plugin failed",
        };
        let plugin = error.refusal().map(|refused| Arc::clone(&refused.plugin));
        let Refusal(reply) = error.into();
        Broken { reply, reason, plugin }
    }

    fn failure(&self) -> TransferFailure {
        let (code, plugin) = (self.reply.code(), self.plugin.clone());
        TransferFailure { reason: self.reason, code, plugin }
    }
}

fn transfer_complete() -> Reply {
    Reply::new(Code::TRANSFER_DONE, "Transfer complete.")
}

fn aborted(text: &'static str, reason: &'static str) -> Broken {
    Broken::new(Reply::new(Code::TRANSFER_ABORTED, Text::from(text)), reason)
}

fn abandoned() -> Broken {
    aborted("Control connection lost.", "control connection lost")
}

/// What the client is told of a data connection that broke.
fn broken(error: &PumpError) -> Broken {
    let local =
        |text: &'static str, reason| Broken::new(Reply::new(Code::LOCAL_ERROR, text), reason);
    match error {
        PumpError::Stalled(_) => {
            aborted("Transfer stalled: nothing moved for too long.", "stalled")
        }
        PumpError::Corrupt => {
            local("What arrived is no complete zlib stream.", "no complete zlib stream")
        }
        PumpError::BeyondRange => local("More arrived than announced.", "more than announced"),
        // The word of TLS for it; other connections never end so.
        PumpError::Network(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            aborted("Upload ended without close_notify: it may be cut off.", "no close_notify")
        }
        PumpError::Network(_) | PumpError::Storage(_) => {
            aborted("Data connection broken.", "data connection broken")
        }
    }
}

/// Runs `first` to its end; `second` goes on meanwhile, and may end as well.
async fn alongside<A, B>(
    first: impl Future<Output = A>,
    mut second: Pin<&mut impl Future<Output = B>>,
) -> (A, Option<B>) {
    let mut first = pin!(first);
    let mut ended = None;
    let output = poll_fn(|cx| {
        if ended.is_none()
            && let Poll::Ready(output) = second.as_mut().poll(cx)
        {
            ended = Some(output);
        }
        first.as_mut().poll(cx)
    })
    .await;
    (output, ended)
}
