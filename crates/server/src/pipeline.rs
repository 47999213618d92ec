//! The one pipeline that every command goes through: parse, gate, FILTER, execute, REWRITE, write.
//!
//! The hook points stand here, in this order, and no other code of the server calls a plugin:
//!
//! - ADMIT, `connection-filter`: [`admission`](crate::admission), before the greeting.
//! - FILTER, `command-filter`: [`Session::filtered`], behind the login gate, so that nobody
//!   makes plugins work without having logged in, but for the few verbs that login itself needs.
//! - AUTHENTICATE, `authenticator`: USER with a certificate, PASS and ACCT, in
//!   [`commands::login`](crate::commands), before the server's own accounts.
//! - REACH, `file-filter`: every path that a command touches, and every piece of a listing, in
//!   [`commands::reach`](crate::commands).
//! - STORAGE: the account's storage, wherever a command touches files.
//! - EXTEND, `site-command`: commands that the server itself does not have.
//! - INSPECT, `content-filter`: every byte of a file between pump and storage, and the verdict before
//!   publication, in [`transfer`](crate::transfer).
//! - REWRITE, `reply-filter`: [`Session::reworded`], for every reply.
//! - OBSERVE: the events that sessions emit.
//!
//! What plugins decided is logged where it is carried out; what they changed, the plugin host logs,
//! a line for each plugin, with what was there before.
//!
//! A hook that no plugin wants for a verb costs one bit test.

use std::ops::ControlFlow;
use std::sync::Arc;

use waft_core::hooks::{CommandVerdict, Hooks};
use waft_proto::command::Name;
use waft_proto::verb::{Data, Phase, PluginReach};
use waft_proto::{Code, Command, ParseError, Reply, Verb};

use crate::commands::{Action, Activity, Refusal, find};
use crate::control::Input;
use crate::data::Progress;
use crate::net::Network;
use crate::session::{Flow, Login, Pending, Session};

/// What the log calls those that decide about commands.
const HOOK: &str = "command-filter";

/// First words of protocols that a browser or a mail program can be made to speak to us.
const FOREIGN_VERBS: &[&str] = &[
    "CONNECT", "DELETE", "EHLO", "GET", "HEAD", "HELO", "LHLO", "MAIL", "OPTIONS", "PATCH", "POST",
    "PRI", "PUT", "RCPT", "TRACE",
];

/// Whether a first command is another protocol's.
pub(crate) fn is_foreign(command: &Command) -> bool {
    match command.name() {
        Name::Known(_) => false,
        Name::Unknown(name) => FOREIGN_VERBS.contains(&&**name),
    }
}

impl<N: Network> Session<N> {
    /// Runs one line: exactly one final reply, or the session's end.
    pub(crate) async fn run_input(&mut self, hooks: &Arc<dyn Hooks>, input: Input) -> Flow {
        let refusal = match input {
            Input::Command(command) => return self.run_command(hooks, command).await,
            Input::Malformed(ParseError::NotAVerb) => {
                Reply::new(Code::UNRECOGNISED, "Command not recognised.")
            }
            Input::Malformed(error @ ParseError::BadArgument) => {
                Reply::new(Code::BAD_PARAMETER, format!("Refused: {error}."))
            }
            Input::TooLong(_) => Reply::new(Code::UNRECOGNISED, "Command line too long."),
            Input::End(_) => return ControlFlow::Break("closed by the client"),
        };
        self.pending = Pending::Nothing;
        self.reply(hooks, None, refusal).await
    }

    async fn run_command(&mut self, hooks: &Arc<dyn Hooks>, command: Command) -> Flow {
        tracing::debug!(%command, "command");
        if let Some(reply) = self.gate(&command) {
            return self.reply(hooks, Some(&command), reply).await;
        }
        match self.filtered(hooks, command).await {
            Ok(command) => self.execute(hooks, &command).await,
            Err(flow) => flow,
        }
    }

    /// Runs STAT while a transfer runs.
    pub(crate) async fn run_status(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        command: Command,
        progress: &Progress,
    ) -> Flow {
        match self.filtered(hooks, command).await {
            Ok(command) => {
                let status = self.status(Activity::Transfer(progress));
                self.reply(hooks, Some(&command), status).await
            }
            Err(flow) => flow,
        }
    }

    /// Asks the plugins about a command; tells which one to execute, unless it was answered.
    async fn filtered(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        command: Command,
    ) -> Result<Command, Flow> {
        let Some(asked) = hooks.on_command(&self.facts, &command) else { return Ok(command) };
        let verdict = asked.await;
        // Nobody takes from a client the way out (QUIT) and the brake (ABOR).
        let is_observed_only =
            command.verb().is_some_and(|verb| verb.spec().plugin == PluginReach::Observe);
        if is_observed_only || matches!(verdict, CommandVerdict::Pass) {
            return Ok(command);
        }
        // Boxed, so that idle sessions do not hold the space of it.
        Box::pin(self.carry_out(hooks, command, verdict)).await
    }

    /// Does with a command what plugins want done with it.
    async fn carry_out(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        command: Command,
        verdict: CommandVerdict,
    ) -> Result<Command, Flow> {
        match verdict {
            CommandVerdict::Pass => Ok(command),
            CommandVerdict::Rewrite { command: new, .. } => {
                self.shared.counters.plugin_rewrites.add_one();
                match self.gate(&new) {
                    Some(reply) => Err(self.reply(hooks, Some(&new), reply).await),
                    None => Ok(new),
                }
            }
            CommandVerdict::Answer { reply, plugin } => {
                self.answered(hooks, &plugin, &command, &reply);
                Err(self.reply(hooks, Some(&command), reply).await)
            }
            CommandVerdict::Undecided { reply, plugin } => {
                self.take_pending(&command);
                let (generation, code) = (hooks.generation(), reply.code().number());
                let message = "command could not be decided by plugin";
                tracing::info!(%plugin, generation, hook = HOOK, %command, code, "{message}");
                Err(self.reply(hooks, Some(&command), reply).await)
            }
            CommandVerdict::Close { reply, plugin } => {
                self.answered(hooks, &plugin, &command, &reply);
                let told = self.reply(hooks, Some(&command), reply).await;
                Err(if told.is_break() { told } else { Flow::Break("ended by a plugin") })
            }
        }
    }

    fn answered(&mut self, hooks: &Arc<dyn Hooks>, plugin: &str, command: &Command, reply: &Reply) {
        self.take_pending(command);
        self.shared.counters.plugin_answers.add_one();
        let (generation, code) = (hooks.generation(), reply.code().number());
        tracing::info!(plugin, generation, hook = HOOK, %command, code, "command answered by plugin");
    }

    /// The login gate: a refusal for what must wait until somebody is logged in.
    fn gate(&self, command: &Command) -> Option<Reply> {
        let phase = command.verb().map_or(Phase::LoggedIn, |verb| verb.spec().phase);
        // STAT tells the state to anybody, and of files only to those who are logged in.
        let lists = command.verb() == Some(Verb::Stat) && command.argument().is_some();
        match (phase, &self.login) {
            (_, Login::In(_)) => None,
            (Phase::Any, _) if !lists => None,
            _ => Some(Reply::new(Code::NOT_LOGGED_IN, "Please log in with USER and PASS.")),
        }
    }

    /// Executes a command that may run and writes its replies.
    async fn execute(&mut self, hooks: &Arc<dyn Hooks>, command: &Command) -> Flow {
        let action = self.action(hooks, command).await;
        let action = action.unwrap_or_else(|Refusal(reply)| reply.into());
        match action {
            Action::Reply(reply) => self.reply(hooks, Some(command), reply).await,
            Action::Close(reply, reason) => {
                self.reply(hooks, Some(command), reply).await?;
                ControlFlow::Break(reason)
            }
            Action::BeginTls(reply) => {
                self.reply(hooks, Some(command), reply).await?;
                Box::pin(self.begin_tls()).await
            }
            Action::EndTls { reply, and_forget } => {
                self.reply(hooks, Some(command), reply).await?;
                Box::pin(self.end_tls(and_forget)).await
            }
            Action::Transfer(transfer) => {
                // Boxed, so that a session without a transfer does not hold the space for one.
                Box::pin(self.transfer(hooks, command, *transfer)).await
            }
        }
    }

    async fn action(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        command: &Command,
    ) -> Result<Action, Refusal> {
        if let Some(site) = hooks.site()
            && let Some(own) = find(site, command)
        {
            self.take_pending(command);
            // OPTS may be given before a login, but not to make plugins work.
            self.account()?;
            return Ok(self.site_by_plugin(hooks.generation(), site, own).await.into());
        }
        let Some(verb) = command.verb() else {
            self.take_pending(command);
            return Err(Refusal::new(
                Code::UNRECOGNISED,
                format!("{} not recognised.", command.name().as_str()),
            ));
        };
        let spec = verb.spec();
        let pending = self.take_pending(command);
        if spec.missing {
            return Err(Refusal::new(Code::NOT_IMPLEMENTED, format!("{verb} is not implemented.")));
        }
        if !command.fits(spec) {
            return Err(Refusal::new(Code::BAD_PARAMETER, format!("Syntax: {}", spec.usage())));
        }
        if let Login::In(who) = &self.login
            && !who.account.permissions.permit(spec.access)
        {
            return Err(Refusal::denied());
        }
        self.dispatch(hooks, verb, command.argument_or_empty(), pending).await
    }

    /// What earlier commands left for this one.
    ///
    /// REST and RANG hold until a transfer, across what sets up its data connection; RNFR holds for
    /// RNTO alone (RFC 3659, 5.3; RFC 959, 4.1.3).
    fn take_pending(&mut self, command: &Command) -> Pending {
        let data = command.verb().map_or(Data::None, |verb| verb.spec().data);
        match (data, &self.pending) {
            (Data::Setup, Pending::Restart(_) | Pending::Range(..)) => Pending::Nothing,
            _ => std::mem::replace(&mut self.pending, Pending::Nothing),
        }
    }

    /// The reply as plugins reworded it, if they did.
    pub(crate) async fn reworded(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        command: Option<&Command>,
        reply: Reply,
    ) -> Reply {
        if !hooks.reply_interest().contains(command.and_then(Command::verb)) {
            return reply;
        }
        let verdict = hooks.on_reply(&self.facts, command, reply).await;
        if verdict.plugin.is_some() {
            self.shared.counters.plugin_rewordings.add_one();
        }
        verdict.reply
    }
}
