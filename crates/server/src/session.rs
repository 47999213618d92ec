//! One control session: a task that owns everything it touches.
//!
//! It reads as it runs: greet, then one command after the other through the
//! [pipeline](crate::pipeline), until somebody ends it. It is generic over its network, so that the
//! same session runs over TCP and over memory.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use waft_core::auth::{Authenticator, Credentials};
use waft_core::event::{Event, Happening};
use waft_core::hooks::Hooks;
use waft_core::session::Scratch;
use waft_core::{Account, SessionFacts, VirtualPath};
use waft_proto::arguments::{ByteRange, Representation, TransferMode};
use waft_proto::{Code, FactSet, HashAlgorithm, Reply, Verb};

use crate::control::{Control, End, Input};
use crate::data::DataSetup;
use crate::gatehouse::{Farewell, Guest};
use crate::net::Network;
use crate::security::Security;
use crate::server::Listener;
use crate::settings::Settings;
use crate::shared::{Place, Shared};
use crate::time::{milliseconds, within};
use crate::workers::{Berth, Stay};

/// Where a session comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The client's end of the control connection.
    pub(crate) peer: SocketAddr,
    /// The server's end.
    pub(crate) local: SocketAddr,
    /// The listener.
    pub(crate) listener: Listener,
}

/// One control session.
pub(crate) struct Session<N: Network> {
    pub(crate) shared: Arc<Shared<N>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) control: Control<N::Stream>,
    pub(crate) facts: Arc<SessionFacts>,
    pub(crate) login: Login,
    pub(crate) login_failures: u32,
    pub(crate) security: Security,
    pub(crate) data: DataSetup<N>,
    pub(crate) parameters: Parameters,
    pub(crate) pending: Pending,
    /// What came while a transfer ran, to be answered behind it.
    pub(crate) waiting: VecDeque<Input>,
    /// Where it is asked to leave.
    pub(crate) guest: Guest,
    /// Where it works and rests.
    berth: Berth,
    /// Commands answered since it rests.
    at_rest: u32,
    began: Instant,
    /// Since when somebody should log in.
    awaited_since: Instant,
    commands: u64,
    /// Whether nothing was heard yet since the connection, or TLS on it, began.
    pub(crate) is_unheard: bool,
}

/// Who is at the other end.
pub(crate) enum Login {
    /// Nobody yet.
    Nobody,
    /// USER named an account; PASS is awaited.
    Named {
        /// The name.
        user: String,
    },
    /// A plugin wants to know an account besides: ACCT is awaited, and these are tried again.
    Unfinished(Box<Credentials>),
    /// Somebody who is logged in.
    In(LoggedIn),
}

/// Somebody who is logged in.
pub(crate) struct LoggedIn {
    pub(crate) account: Arc<Account>,
    pub(crate) _place: Place<Arc<str>>,
}

/// What transfers and listings are like; REIN resets it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    /// TYPE.
    pub(crate) representation: Representation,
    /// MODE.
    pub(crate) mode: TransferMode,
    /// The level of MODE Z that OPTS chose.
    pub(crate) deflate_level: Option<u32>,
    /// The facts of MLST and MLSD.
    pub(crate) facts: FactSet,
    /// The algorithm of HASH.
    pub(crate) hash: HashAlgorithm,
    /// `EPSV ALL` was given: nothing else sets up data connections.
    pub(crate) only_epsv: bool,
}

/// What one command left for the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// Nothing.
    Nothing,
    /// REST: the next transfer begins there.
    Restart(u64),
    /// RANG: the next command is about these octets.
    Range(ByteRange),
    /// RNFR: RNTO renames this.
    Rename(VirtualPath),
}

/// Whether the session goes on; if not, why.
pub(crate) type Flow = ControlFlow<&'static str>;

/// The longest wait that is no wait at all: what an unset time-out becomes.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// What clients keep a session alive with, answered from memory, and by plugins unless those were slow
/// lately: no reason to go to work.
const AT_REST: [Verb; 4] = [Verb::Noop, Verb::Pwd, Verb::Type, Verb::Xpwd];

/// Commands that a session answers at rest, one behind the other: more is work.
const AT_REST_MAX: u32 = 16;

impl<N: Network> Session<N> {
    pub(crate) fn new(
        shared: Arc<Shared<N>>,
        stream: N::Stream,
        origin: Origin,
        berth: Berth,
    ) -> Box<Session<N>> {
        let current = shared.current.load();
        let facts = SessionFacts {
            id: shared.next_session(),
            peer: origin.peer,
            local: origin.local,
            listener: origin.listener.name,
            tls: None,
            user: None,
            cwd: VirtualPath::root(),
            attributes: Arc::default(),
            scratch: Arc::new(Scratch::default()),
            skips: Arc::default(),
        };
        Box::new(Session {
            settings: Arc::clone(&current.settings),
            authenticator: Arc::clone(&current.authenticator),
            control: Control::new(stream, current.settings.limits.line_bytes_max),
            guest: shared.gatehouse.enter(facts.id),
            berth,
            at_rest: 0,
            facts: Arc::new(facts),
            login: Login::Nobody,
            login_failures: 0,
            security: Security::new(origin.listener.tls),
            data: DataSetup::None,
            parameters: Parameters::default(),
            pending: Pending::Nothing,
            waiting: VecDeque::new(),
            began: Instant::now(),
            awaited_since: Instant::now(),
            commands: 0,
            is_unheard: true,
            shared,
        })
    }

    /// The span of the session's log lines: its fields are the same for every line.
    pub(crate) fn span(&self) -> tracing::Span {
        tracing::info_span!(
            "session",
            session = self.facts.id.0,
            peer = %self.facts.peer,
            listener = %self.facts.listener,
            user = tracing::field::Empty,
        )
    }

    /// Runs the session to its end.
    pub(crate) async fn run(mut self: Box<Self>) {
        let hooks = self.shared.hooks.current_for(self.facts.id);
        if let Some(filter) = hooks.connections() {
            match Box::pin(self.admitted(&hooks, filter)).await {
                Some(session) => self = session,
                None => return,
            }
        }
        drop(hooks);
        self.shared.counters.sessions_opened.add_one();
        self.emit(Happening::SessionOpened);
        tracing::debug!("session opened");
        let reason = self.converse().await;
        self.login = Login::Nobody;
        self.data = DataSetup::None;
        tracing::info!(
            reason,
            commands = self.commands,
            elapsed_ms = milliseconds(self.began.elapsed()),
            "session closed"
        );
        let (commands, elapsed) = (self.commands, self.began.elapsed());
        self.emit(Happening::SessionClosed { reason, commands, elapsed });
        self.shared.counters.sessions_closed.add_one();
        self.control.close().await;
    }

    /// Greets, and runs commands until somebody ends the session; tells why it ended.
    async fn converse(&mut self) -> &'static str {
        if self.security.is_implicit()
            && let ControlFlow::Break(reason) = self.begin_tls().await
        {
            return reason;
        }
        let hooks = self.shared.hooks.current_for(self.facts.id);
        if let ControlFlow::Break(reason) = self.reply(&hooks, None, self.greeting()).await {
            return reason;
        }
        drop(hooks);
        loop {
            let input = match self.next_input().await {
                Ok(input) => input,
                Err((reply, reason)) => {
                    let hooks = self.shared.hooks.current_for(self.facts.id);
                    // The session ends whether or not the client still hears why.
                    let _ = self.reply(&hooks, None, reply).await;
                    return reason;
                }
            };
            self.commands += 1;
            if let ControlFlow::Break(reason) = self.handle(input).await {
                return reason;
            }
        }
    }

    /// Waits for the next line; for a last reply instead, if the session is to end.
    async fn next_input(&mut self) -> Result<Input, (Reply, &'static str)> {
        if !self.guest.is_to_end()
            && let Some(input) = self.waiting.pop_front()
        {
            return Ok(input);
        }
        let Some(mut limit) = self.time_to_next_command() else {
            return Err(timed_out(&self.login));
        };
        self.control.wait_a_moment();
        if let Some(moment) = self.moment_before_rest(limit) {
            if let Some(input) = self.input_within(moment).await? {
                return Ok(input);
            }
            self.go(Stay::Rest).await;
            // Which stays no limit if it was none.
            limit = limit.saturating_sub(moment);
        }
        self.input_within(limit).await?.ok_or_else(|| timed_out(&self.login))
    }

    /// The next line, if it comes in time; a last reply if the session is to end.
    async fn input_within(
        &mut self,
        limit: Duration,
    ) -> Result<Option<Input>, (Reply, &'static str)> {
        tokio::select! {
            biased;
            farewell = self.guest.dismissed() => Err(last_words(&farewell)),
            input = within(limit, self.control.next()) => Ok(input),
        }
    }

    /// How long to wait for a command before going to rest, if the session is one that rests: somebody
    /// is logged in, and a data connection is not what comes next.
    fn moment_before_rest(&self, limit: Duration) -> Option<Duration> {
        let rests = matches!((&self.login, &self.data), (Login::In(_), DataSetup::None));
        let moment = self.berth.rest_after().filter(|_| rests)?;
        Some(moment).filter(|moment| limit.is_zero() || *moment < limit)
    }

    /// Moves to the thread for that, if there is one, with the connection.
    async fn go(&mut self, stay: Stay) {
        self.at_rest = 0;
        self.berth.go(stay).await;
        self.control.move_here();
    }

    /// Goes back to work if the next command may take time, or one follows the other.
    async fn work_for(&mut self, hooks: &Arc<dyn Hooks>, input: &Input) {
        if !self.berth.is_at_rest() {
            return;
        }
        self.at_rest += 1;
        let is_light = match input {
            Input::Command(command) => {
                let verb = command.verb();
                verb.is_some_and(|verb| AT_REST.contains(&verb))
                    && hooks.site().is_none()
                    && !hooks.may_take_long(&self.facts, command)
                    && !hooks.reply_interest().contains(verb)
            }
            _ => false,
        };
        if !is_light || self.at_rest > AT_REST_MAX {
            self.go(Stay::Work).await;
        }
    }

    /// How long to wait; none if it has been too long already. Who keeps the server busy must log in
    /// in time like everybody else.
    fn time_to_next_command(&self) -> Option<Duration> {
        let timeouts = &self.settings.timeouts;
        match self.login {
            Login::In(_) => Some(timeouts.idle),
            _ if timeouts.login.is_zero() => Some(timeouts.idle),
            _ => {
                let left = timeouts.login.saturating_sub(self.awaited_since.elapsed());
                let idle = if timeouts.idle.is_zero() { FOREVER } else { timeouts.idle };
                Some(left.min(idle)).filter(|left| !left.is_zero())
            }
        }
    }

    async fn handle(&mut self, input: Input) -> Flow {
        let first = std::mem::replace(&mut self.is_unheard, false);
        match input {
            Input::End(End::Closed) => ControlFlow::Break("closed by the client"),
            Input::End(End::Broken) => ControlFlow::Break("connection lost"),
            Input::Command(command) | Input::TooLong(Some(command))
                if first && crate::pipeline::is_foreign(&command) =>
            {
                self.foreign_protocol()
            }
            input => {
                self.shared.counters.commands.add_one();
                let hooks = self.shared.hooks.current_for(self.facts.id);
                self.work_for(&hooks, &input).await;
                self.run_input(&hooks, input).await
            }
        }
    }

    /// Another protocol's first line: nothing is answered, or a browser could be made to send
    /// commands (cross-protocol attacks). The first line under TLS is one, too: who sits in between
    /// can say AUTH for a browser that then shakes hands.
    fn foreign_protocol(&self) -> Flow {
        self.shared.counters.foreign_protocols.add_one();
        tracing::warn!("the first bytes are another protocol's: dropped");
        ControlFlow::Break("not an FTP client")
    }

    fn greeting(&self) -> Reply {
        if self.settings.greeting.is_empty() {
            return Reply::new(Code::READY, format!("{} FTP server ready.", self.settings.name));
        }
        Reply::lines(Code::READY, self.settings.greeting.iter().map(|line| line.clone().into()))
    }

    /// Tells whoever observes what happened.
    pub(crate) fn emit(&self, what: Happening) {
        self.shared.events.emit(Event { session: Arc::clone(&self.facts), what });
    }

    /// The facts as a new snapshot may change them. What plugins said of the old ones is forgotten.
    pub(crate) fn facts_mut(&mut self) -> &mut SessionFacts {
        let facts = Arc::make_mut(&mut self.facts);
        facts.skips = Arc::default();
        facts
    }

    /// Moves to another directory, which is no fact that plugins' interest depends on.
    pub(crate) fn enter(&mut self, directory: VirtualPath) {
        Arc::make_mut(&mut self.facts).cwd = directory;
    }

    /// Forgets who is logged in and everything agreed upon (RFC 959, REIN).
    pub(crate) fn reset(&mut self) {
        // Time to log in is given to those who were; all others had theirs.
        if let Login::In(_) = self.login {
            self.awaited_since = Instant::now();
        }
        self.login = Login::Nobody;
        self.data = DataSetup::None;
        self.parameters = Parameters::default();
        self.pending = Pending::Nothing;
        self.security.reset();
        let facts = self.facts_mut();
        facts.user = None;
        facts.cwd = VirtualPath::root();
        facts.attributes = Arc::default();
    }

    /// Writes a reply, as plugins reworded it if they did.
    pub(crate) async fn reply(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        command: Option<&waft_proto::Command>,
        reply: Reply,
    ) -> Flow {
        let reply = self.reworded(hooks, command, reply).await;
        tracing::debug!(code = reply.code().number(), "reply");
        match self.control.send(&reply, self.settings.timeouts.reply).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break("connection lost"),
        }
    }
}

fn last_words(farewell: &Farewell) -> (Reply, &'static str) {
    let text = match farewell {
        Farewell::Shutdown => "Server is shutting down.".to_owned(),
        Farewell::Asked(message) => String::from(&**message),
    };
    (Reply::new(Code::NOT_AVAILABLE, text), farewell.reason())
}

fn timed_out(login: &Login) -> (Reply, &'static str) {
    let (text, reason) = match login {
        Login::In(_) => ("Idle for too long: closing.", "idle time-out"),
        _ => ("No login in time: closing.", "login time-out"),
    };
    (Reply::new(Code::NOT_AVAILABLE, text), reason)
}
