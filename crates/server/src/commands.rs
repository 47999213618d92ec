//! What each verb does. The dispatch below is the only place that maps verbs to functions; who may
//! call what, and in which form, the [command table](waft_proto::verb::TABLE) has said before.

mod access;
mod checksum;
mod facts;
mod information;
mod listing;
mod login;
mod navigate;
mod parameters;
mod reach;
mod security;
mod setup;
mod site;
mod transfers;

use std::sync::Arc;

use waft_core::hooks::Hooks;
use waft_core::path::BadName;
use waft_core::storage::{ErrorKind, StorageError};
use waft_core::{Account, SessionFacts, VirtualPath};
use waft_proto::{ArgumentError, Code, Reply, Text, Verb};

use crate::net::Network;
use crate::session::{Login, Pending, Session};
use crate::transfer::Transfer;
use reach::Actor;

pub(crate) use information::Activity;
pub(crate) use site::find;

/// What a command leads to.
pub(crate) enum Action {
    /// This reply, and the session goes on.
    Reply(Reply),
    /// This reply, and the session ends, for that reason.
    Close(Reply, &'static str),
    /// This reply, and behind it TLS begins on the control connection.
    BeginTls(Reply),
    /// This reply, and behind it TLS ends on the control connection, and with it what was agreed
    /// upon for data connections, or not.
    EndTls { reply: Reply, and_forget: bool },
    /// A transfer, which has replies of its own.
    Transfer(Box<Transfer>),
}

impl From<Reply> for Action {
    fn from(reply: Reply) -> Action {
        Action::Reply(reply)
    }
}

impl From<Transfer> for Action {
    fn from(transfer: Transfer) -> Action {
        Action::Transfer(Box::new(transfer))
    }
}

/// A reply that says no.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Reply);

/// What a command's function returns.
pub(crate) type Answer = Result<Reply, Refusal>;

impl Refusal {
    pub(crate) fn new(code: Code, text: impl Into<Text>) -> Refusal {
        Refusal(Reply::new(code, text))
    }

    /// The account may not.
    pub(crate) fn denied() -> Refusal {
        Refusal::new(Code::UNAVAILABLE, "Permission denied.")
    }
}

impl From<BadName> for Refusal {
    fn from(error: BadName) -> Refusal {
        Refusal::new(Code::BAD_PARAMETER, format!("Refused: {error}."))
    }
}

impl From<ArgumentError> for Refusal {
    fn from(error: ArgumentError) -> Refusal {
        let text = match error {
            ArgumentError::Syntax => "Syntax error in the argument.",
            ArgumentError::NotImplemented => "Not implemented for that argument.",
        };
        Refusal::new(error.code(), text)
    }
}

/// The one map from what goes wrong in a storage to what the client is told (docs/protocol.md, C-11).
impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Refusal {
        if let Some(refused) = error.refusal() {
            return Refusal(refused.reply.clone());
        }
        let (code, text) = match error.kind() {
            ErrorKind::NotFound => (Code::UNAVAILABLE, "No such file or directory."),
            ErrorKind::Denied => (Code::UNAVAILABLE, "Permission denied."),
            ErrorKind::Exists => (Code::UNAVAILABLE, "File exists."),
            ErrorKind::NotEmpty => (Code::UNAVAILABLE, "Directory not empty."),
            ErrorKind::NotADirectory => (Code::UNAVAILABLE, "Not a directory."),
            ErrorKind::IsADirectory => (Code::UNAVAILABLE, "Not a regular file."),
            ErrorKind::NoSpace => (Code::NO_SPACE, "No space left."),
            ErrorKind::Quota => (Code::QUOTA_EXCEEDED, "Quota exceeded."),
            ErrorKind::Unsupported => (Code::BAD_VALUE, "Not supported by this storage."),
            ErrorKind::BadName => (Code::BAD_NAME, "File name not allowed."),
            ErrorKind::Busy => (Code::BUSY, "File is busy, try again later."),
            ErrorKind::BadOffset => (Code::BAD_OFFSET, "Offset is beyond the end of the file."),
            ErrorKind::TooManyEntries => {
                (Code::LOCAL_ERROR, "Too many entries: the listing was cut off.")
            }
            ErrorKind::CrossDevice => {
                (Code::BAD_NAME, "The new name lies in another storage: copy the file instead.")
            }
            ErrorKind::Refused | ErrorKind::Io => (Code::LOCAL_ERROR, "Local error in processing."),
        };
        if error.kind() == ErrorKind::Io {
            tracing::warn!(%error, "storage failed");
        } else {
            tracing::debug!(%error, "storage refused");
        }
        Refusal::new(code, text)
    }
}

impl<N: Network> Session<N> {
    /// Executes a command that has passed every gate.
    pub(crate) async fn dispatch(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        verb: Verb,
        argument: &[u8],
        pending: Pending,
    ) -> Result<Action, Refusal> {
        match self.dispatch_at_once(hooks, verb, argument) {
            Some(action) => action,
            // Boxed, so that an idle session does not hold the space of its largest command.
            None => Box::pin(self.dispatch_waiting(hooks, verb, argument, pending)).await,
        }
    }

    /// The commands that wait for nothing.
    fn dispatch_at_once(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        verb: Verb,
        argument: &[u8],
    ) -> Option<Result<Action, Refusal>> {
        let answer = match verb {
            Verb::Abor => Ok(self.abor()),
            Verb::Acct if !matches!(self.login, Login::Unfinished(_)) => self.acct(),
            Verb::Auth => return Some(self.auth(argument)),
            Verb::Ccc => return Some(self.ccc()),
            Verb::Clnt => Ok(self.clnt(argument)),
            Verb::Csid => Ok(self.csid(argument)),
            Verb::Eprt => self.eprt(argument),
            Verb::Feat => Ok(self.feat(hooks.site())),
            Verb::Help => self.help(hooks.site(), argument),
            Verb::Host => self.host(argument),
            Verb::Lang => self.lang(argument),
            Verb::Mode => self.mode(argument),
            Verb::Noop => Ok(Reply::new(Code::OKAY, "NOOP okay.")),
            Verb::Opts => self.opts(argument),
            Verb::Pbsz => self.pbsz(argument),
            Verb::Port => self.port(argument),
            Verb::Prot => self.prot(argument),
            Verb::Pwd | Verb::Xpwd => Ok(self.pwd()),
            Verb::Quit => return Some(Ok(self.quit())),
            Verb::Rang => self.rang(argument),
            Verb::Rein => return Some(Ok(self.rein())),
            Verb::Rest => self.rest(argument),
            Verb::Stat if argument.is_empty() => Ok(self.status(Activity::Idle)),
            Verb::Stru => self.stru(argument),
            Verb::Syst => Ok(Reply::data(Code::SYSTEM_TYPE, "UNIX Type: L8")),
            Verb::Type => self.representation(argument),
            _ => return None,
        };
        Some(answer.map(Action::from))
    }

    /// The commands that wait: for a file system, a name server, a password's hash.
    async fn dispatch_waiting(
        &mut self,
        hooks: &Arc<dyn Hooks>,
        verb: Verb,
        argument: &[u8],
        pending: Pending,
    ) -> Result<Action, Refusal> {
        match verb {
            Verb::Acct => return self.acct_of_login(hooks, argument).await,
            Verb::Pass => return self.pass(hooks, argument).await,
            Verb::User => return self.user(hooks, argument).await,
            _ => {}
        }
        let account = self.account()?;
        let by = Actor { account: &account, hooks };
        let answer = match verb {
            Verb::Allo => self.allo(&by, argument).await,
            Verb::Appe => return self.appe(&by, argument, pending).await.map(Action::from),
            Verb::Avbl => self.avbl(&by, argument).await,
            Verb::Cdup | Verb::Xcup => self.cwd(&by, b"..").await,
            Verb::Cwd | Verb::Xcwd => self.cwd(&by, argument).await,
            Verb::Dele => self.dele(&by, argument).await,
            Verb::Epsv => self.epsv(argument).await,
            Verb::Hash => self.hash(&by, argument, pending).await,
            Verb::List => return self.list(&by, argument).await.map(Action::from),
            Verb::Mdtm => self.mdtm(&by, argument).await,
            Verb::Mfct => self.mfct(&by, argument).await,
            Verb::Mff => self.mff(&by, argument).await,
            Verb::Mfmt => self.mfmt(&by, argument).await,
            Verb::Mkd | Verb::Xmkd => self.mkd(&by, argument).await,
            Verb::Mlsd => return self.mlsd(&by, argument).await.map(Action::from),
            Verb::Mlst => self.mlst(&by, argument).await,
            Verb::Nlst => return self.nlst(&by, argument).await.map(Action::from),
            Verb::Pasv => self.pasv().await,
            Verb::Retr => return self.retr(&by, argument, pending).await.map(Action::from),
            Verb::Rmd | Verb::Xrmd => self.rmd(&by, argument).await,
            Verb::Rnfr => self.rnfr(&by, argument).await,
            Verb::Rnto => self.rnto(&by, argument, pending).await,
            Verb::Site => self.site(&by, argument).await,
            Verb::Size => self.size(&by, argument).await,
            Verb::Stat => self.stat_path(&by, argument).await,
            Verb::Stor => return self.stor(&by, argument, pending).await.map(Action::from),
            Verb::Stou => return self.stou(&by, argument, pending).await.map(Action::from),
            Verb::Xcrc | Verb::Xmd5 | Verb::Xsha | Verb::Xsha1 | Verb::Xsha256 | Verb::Xsha512 => {
                self.checksum(&by, verb, argument, pending).await
            }
            verb => Err(Refusal::new(Code::NOT_IMPLEMENTED, format!("{verb} is not implemented."))),
        };
        answer.map(Action::from)
    }

    /// The account that is logged in.
    pub(crate) fn account(&self) -> Result<Arc<Account>, Refusal> {
        match &self.login {
            Login::In(who) => Ok(bound(&who.account, &self.facts)),
            _ => Err(Refusal::new(Code::NOT_LOGGED_IN, "Please log in with USER and PASS.")),
        }
    }

    /// The path that an argument names, seen from the working directory.
    pub(crate) fn path(&self, argument: &[u8]) -> Result<VirtualPath, BadName> {
        self.facts.cwd.join(argument)
    }
}

/// The account with a storage that knows whose operations these are, where that matters to it.
fn bound(account: &Arc<Account>, facts: &Arc<SessionFacts>) -> Arc<Account> {
    match account.storage.for_session(facts) {
        None => Arc::clone(account),
        Some(storage) => Arc::new(Account { storage, ..(**account).clone() }),
    }
}
