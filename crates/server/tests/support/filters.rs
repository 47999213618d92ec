//! Hooks that decide about connections, logins and files, by rules:
//!
//! - `connect drop`, `connect reject 421 TEXT`;
//! - `login USER accept ROOT | deny | failed | need-account | as OTHER`, where `acct=X` behind the
//!   user makes it a rule for clients that gave `ACCT X`;
//! - `file OP PATH deny CODE TEXT | redirect PATH`, where OP is a name of `FileOpKind::ALL`;
//! - `hide NAME`, `listings undecided`.

use std::path::Path;
use std::sync::Arc;

use waft_core::auth::Credentials;
use waft_core::hooks::{
    ACCT_ATTRIBUTE, ConnectVerdict, ConnectionFilter, FileFilter, FileOp, FileOpKind, FileOps,
    FileVerdict, ListUndecided, ListVerdict, LoginDecision, LoginFilter, LoginVerdict,
};
use waft_core::storage::Batch;
use waft_core::{Account, BoxFuture, SessionFacts, VirtualPath};
use waft_proto::{Code, Reply};

use super::parts;

/// The rules, each as it was written, and where accounts have their files.
#[derive(Clone, Default)]
pub struct Filters {
    pub connect: Vec<String>,
    pub login: Vec<String>,
    pub file: Vec<String>,
    pub hide: Vec<String>,
    pub undecided: bool,
    pub accounts: Vec<Arc<Account>>,
    pub seen: parts::Seen,
}

impl Filters {
    /// Adds a rule, if it is one.
    pub fn add(&mut self, rule: &str, files: &Path) -> bool {
        let (word, rest) = rule.split_once(' ').unwrap_or((rule, ""));
        match word {
            "connect" => self.connect.push(rest.to_owned()),
            "login" => {
                if let Some((_, root)) = rest.split_once(" accept ") {
                    self.accounts.push(Arc::new(parts::account("guest", &files.join(root))));
                }
                self.login.push(rest.to_owned());
            }
            "file" => self.file.push(rest.to_owned()),
            "hide" => self.hide.push(rest.to_owned()),
            "listings" => self.undecided = true,
            _ => return false,
        }
        true
    }

    fn note(&self, what: String) {
        self.seen.lock().unwrap().push_back(what);
    }
}

fn name() -> Arc<str> {
    Arc::from("transcript")
}

fn reply(text: &str) -> Reply {
    let (code, text) = text.split_once(' ').unwrap();
    Reply::new(Code::new(code.parse().unwrap()).unwrap(), text.to_owned())
}

fn at(path: &str) -> VirtualPath {
    VirtualPath::root().join(path.as_bytes()).unwrap()
}

impl ConnectionFilter for Filters {
    fn on_connect<'a>(&'a self, _: &'a Arc<SessionFacts>) -> BoxFuture<'a, ConnectVerdict> {
        let verdict = match self.connect.first().map(|rule| rule.split_once(' ')) {
            None => ConnectVerdict::Serve,
            Some(Some(("reject", text))) => {
                ConnectVerdict::Reject { reply: reply(text), plugin: name() }
            }
            Some(_) => ConnectVerdict::Drop { plugin: name() },
        };
        Box::pin(std::future::ready(verdict))
    }
}

impl LoginFilter for Filters {
    fn authenticate<'a>(
        &'a self,
        session: &'a Arc<SessionFacts>,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, LoginDecision> {
        let acct = session.attributes.iter().find(|(name, _)| name == ACCT_ATTRIBUTE);
        let user = match acct {
            Some((_, acct)) => format!("{} acct={acct} ", credentials.user()),
            None => format!("{} ", credentials.user()),
        };
        self.note(format!("login of {}", user.trim_end()));
        let rule = self.login.iter().find_map(|rule| rule.strip_prefix(&user));
        Box::pin(std::future::ready(self.decision(rule.unwrap_or_default(), credentials)))
    }
}

impl Filters {
    fn decision(&self, rule: &str, credentials: &Credentials) -> LoginDecision {
        let verdict = match rule.split_once(' ').unwrap_or((rule, "")) {
            ("accept", _) => LoginVerdict::Accept(Arc::clone(&self.accounts[0])),
            ("deny", _) => LoginVerdict::Deny(Some("it is told to".to_owned())),
            ("failed", _) => LoginVerdict::Failed(None),
            ("need-account", _) => LoginVerdict::NeedAccount,
            ("as", other) => {
                let Credentials::Password { password, .. } = credentials else { panic!() };
                let (user, password) = (other.to_owned(), password.clone());
                let replaced = Some((Credentials::Password { user, password }, name()));
                return LoginDecision { verdict: None, replaced };
            }
            _ => return LoginDecision::default(),
        };
        LoginDecision { verdict: Some((verdict, name())), replaced: None }
    }
}

impl FileFilter for Filters {
    fn wanted(&self) -> FileOps {
        let names = self.file.iter().filter_map(|rule| rule.split(' ').next());
        names.filter_map(FileOpKind::from_name).fold(FileOps::NONE, FileOps::with)
    }

    fn wants_listings(&self) -> bool {
        self.undecided || !self.hide.is_empty()
    }

    fn on_file<'a>(
        &'a self,
        _: &'a Arc<SessionFacts>,
        op: &'a FileOp,
    ) -> BoxFuture<'a, FileVerdict> {
        self.note(format!("{op:?}"));
        let (_, kind) = FileOpKind::ALL[op.kind() as usize];
        let prefix = format!("{kind} {} ", op.target());
        let rule = self.file.iter().find_map(|rule| rule.strip_prefix(&prefix));
        let verdict = match rule.and_then(|rule| rule.split_once(' ')) {
            Some(("deny", text)) => FileVerdict::Deny { reply: reply(text), plugin: name() },
            Some(("redirect", path)) => FileVerdict::Redirect { path: at(path), plugin: name() },
            _ => FileVerdict::Pass,
        };
        Box::pin(std::future::ready(verdict))
    }

    fn on_list<'a>(
        &'a self,
        _: &'a Arc<SessionFacts>,
        directory: &'a VirtualPath,
        entries: &'a Batch,
    ) -> BoxFuture<'a, Result<ListVerdict, ListUndecided>> {
        self.note(format!("list {directory}"));
        if self.undecided {
            return Box::pin(std::future::ready(Err(ListUndecided(name()))));
        }
        let is_shown = |name: &[u8]| !self.hide.iter().any(|hidden| hidden.as_bytes() == name);
        let shown: Vec<bool> = entries.iter().map(|(name, _)| is_shown(name)).collect();
        let verdict = ListVerdict { shown: Some(shown), plugin: Some(name()) };
        Box::pin(std::future::ready(Ok(verdict)))
    }
}
