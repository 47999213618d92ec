//! Commands that a plugin is known to let pass, so that it is not asked about them again.
//!
//! A plugin may say that it decides about commands by nothing but the command and what it asks of the
//! session (`command.pure` of its descriptor). Where it then lets one pass, the facts that it asked
//! for are kept with what they were: in every session of which the same is true it would let the same
//! command pass. Nothing else is kept: what a plugin refuses or changes, it is asked about, and that is
//! logged and counted each time.
//!
//! Each processor keeps its own, so that sessions do not meet here, and forgets what was not needed
//! lately when it is full: clients that name thousands of files do not push out what all of them send.
//! What is kept is gone with the version of the plugin. No password is kept, as none is shown.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use waft_core::session::TlsFacts;
use waft_core::{SessionFacts, VirtualPath};
use waft_per_cpu::PerCpu;
use waft_proto::Command;

use crate::limits;

/// The commands that one plugin lets pass.
pub(crate) struct Memo {
    /// Commands on each processor.
    max: usize,
    known: PerCpu<Mutex<Known>>,
}

/// What one processor keeps. Half of it is recent; when that is full, what was recent before and was not
/// needed since is forgotten.
#[derive(Default)]
struct Known {
    recent: Commands,
    before: Commands,
}

/// By verb and argument: the sessions that it was found for.
type Commands = HashMap<Box<[u8]>, Vec<Basis>>;

/// The facts of a session that a plugin asked for in a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Basis(Vec<Fact>);

/// What a session's getters tell, but for what is told of no other session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    User(Option<Arc<str>>),
    Address(IpAddr),
    Listener(Arc<str>),
    Tls(Option<Arc<TlsFacts>>),
    Cwd(VirtualPath),
    Attribute(String, Option<String>),
}

impl Fact {
    /// Whether it is true of the session.
    fn holds(&self, session: &SessionFacts) -> bool {
        match self {
            Fact::User(user) => session.user == *user,
            Fact::Address(address) => session.peer.ip() == *address,
            Fact::Listener(listener) => session.listener == *listener,
            Fact::Tls(tls) => session.tls == *tls,
            Fact::Cwd(cwd) => session.cwd == *cwd,
            Fact::Attribute(name, value) => session.fact(name) == *value,
        }
    }
}

impl Basis {
    /// Notes that this was asked for.
    pub(crate) fn note(&mut self, fact: Fact) {
        if !self.0.contains(&fact) {
            self.0.push(fact);
        }
    }

    fn holds(&self, session: &SessionFacts) -> bool {
        self.0.iter().all(|fact| fact.holds(session))
    }
}

impl Memo {
    /// Keeps so many commands on each processor.
    pub(crate) fn new(max: usize) -> Memo {
        Memo { max, known: PerCpu::default() }
    }

    /// Whether the plugin is known to let the command pass in that session.
    pub(crate) fn passes(&self, session: &SessionFacts, command: &Command) -> bool {
        let Some(key) = self.key(command) else { return false };
        let mut known = lock(self.known.here());
        let bases = known.find(&key, self.max);
        bases.is_some_and(|bases| bases.iter().any(|basis| basis.holds(session)))
    }

    /// Keeps that it let the command pass in a session of which that is true.
    pub(crate) fn note(&self, command: &Command, basis: Basis) {
        let Some(key) = self.key(command) else { return };
        let mut known = lock(self.known.here());
        if let Some(bases) = known.find(&key, self.max) {
            if bases.contains(&basis) {
                return;
            }
            if bases.len() >= limits::REMEMBERED_SESSIONS_MAX {
                bases.clear();
            }
            bases.push(basis);
        } else {
            known.insert(key.into(), vec![basis], self.max);
        }
    }

    /// Commands that are kept, on all processors.
    pub(crate) fn len(&self) -> usize {
        self.known.iter().map(|known| lock(known).len()).sum()
    }

    /// What stands for the command; none where it is not kept.
    fn key(&self, command: &Command) -> Option<Vec<u8>> {
        let verb = command.name().as_str().as_bytes();
        let argument = command.argument().filter(|_| !command.is_secret());
        let octets = argument.map_or(0, <[u8]>::len);
        if self.max == 0 || octets > limits::REMEMBERED_ARGUMENT_BYTES_MAX {
            return None;
        }
        let mut key = Vec::with_capacity(verb.len() + 1 + octets);
        key.extend_from_slice(verb);
        if let Some(argument) = argument {
            key.push(b' ');
            key.extend_from_slice(argument);
        }
        Some(key)
    }
}

impl Known {
    /// What is known of a command, which is recent from now on.
    fn find(&mut self, key: &[u8], max: usize) -> Option<&mut Vec<Basis>> {
        if let Some((key, bases)) = self.before.remove_entry(key) {
            self.insert(key, bases, max);
        }
        self.recent.get_mut(key)
    }

    /// Adds a command that is not recent.
    fn insert(&mut self, key: Box<[u8]>, bases: Vec<Basis>, max: usize) {
        if self.recent.len() >= max.div_ceil(2) {
            self.before = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, bases);
    }

    fn len(&self) -> usize {
        self.recent.len() + self.before.len()
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use waft_core::SessionId;

    use super::*;

    fn command(line: &str) -> Command {
        Command::parse(line.as_bytes()).unwrap()
    }

    fn session(user: Option<&str>) -> SessionFacts {
        SessionFacts {
            id: SessionId(1),
            peer: (Ipv4Addr::LOCALHOST, 1).into(),
            local: (Ipv4Addr::LOCALHOST, 21).into(),
            listener: "ftp".into(),
            tls: None,
            user: user.map(Into::into),
            cwd: VirtualPath::root(),
            attributes: Arc::new([("groups".to_owned(), "staff".to_owned())]),
            scratch: Arc::default(),
            skips: Arc::default(),
        }
    }

    fn of_user(user: &str) -> Basis {
        let mut basis = Basis::default();
        basis.note(Fact::User(Some(user.into())));
        basis.note(Fact::User(Some(user.into())));
        assert_eq!(basis.0.len(), 1, "asked twice, noted once");
        basis
    }

    /// On one processor, however many there are.
    fn memo(max: usize) -> Memo {
        let mut memo = Memo::new(max);
        memo.known = PerCpu::one();
        memo
    }

    #[test]
    fn a_command_passes_in_sessions_that_are_alike_in_what_was_asked_for() {
        let memo = memo(8);
        memo.note(&command("SIZE a"), of_user("ann"));
        let (ann, bob) = (session(Some("ann")), session(Some("bob")));
        assert!(memo.passes(&ann, &command("size a")));
        let elsewhere = SessionFacts {
            id: SessionId(2),
            cwd: VirtualPath::root().join(b"a").unwrap(),
            ..ann.clone()
        };
        assert!(memo.passes(&elsewhere, &command("SIZE a")), "nobody asked for that");
        for other in ["SIZE b", "SIZE", "SIZE a b", "MDTM a"] {
            assert!(!memo.passes(&ann, &command(other)), "{other}");
        }
        assert!(
            !memo.passes(&bob, &command("SIZE a"))
                && !memo.passes(&session(None), &command("SIZE a"))
        );
        memo.note(&command("SIZE a"), of_user("bob"));
        assert!(memo.passes(&ann, &command("SIZE a")) && memo.passes(&bob, &command("SIZE a")));
        assert_eq!(memo.len(), 1);
    }

    #[test]
    fn every_fact_that_was_asked_for_has_to_be_the_same() {
        let here = session(Some("ann"));
        let other = SessionFacts {
            peer: (Ipv4Addr::new(192, 0, 2, 1), 1).into(),
            listener: "ftps".into(),
            tls: Some(Arc::new(TlsFacts {
                version: "TLSv1.3".to_owned(),
                cipher: String::new(),
                server_name: None,
                peer_certificate_sha256: None,
                peer_certificate_names: Vec::new(),
            })),
            user: None,
            cwd: VirtualPath::root().join(b"a").unwrap(),
            attributes: Arc::new([]),
            ..here.clone()
        };
        for fact in [
            Fact::User(here.user.clone()),
            Fact::Address(here.peer.ip()),
            Fact::Listener(Arc::clone(&here.listener)),
            Fact::Tls(None),
            Fact::Cwd(here.cwd.clone()),
            Fact::Attribute("groups".to_owned(), Some("staff".to_owned())),
        ] {
            assert!(fact.holds(&here) && !fact.holds(&other), "{fact:?}");
        }
    }

    #[test]
    fn no_password_is_kept_and_nothing_long() {
        let memo = memo(8);
        memo.note(&command("PASS one"), Basis::default());
        assert!(memo.passes(&session(None), &command("PASS other")), "it was shown neither");
        let long = format!("RETR {}", "x".repeat(limits::REMEMBERED_ARGUMENT_BYTES_MAX + 1));
        memo.note(&command(&long), Basis::default());
        assert!(!memo.passes(&session(None), &command(&long)));
    }

    #[test]
    fn a_full_one_forgets_what_was_not_needed_lately_and_one_without_room_keeps_nothing() {
        let memo = memo(8);
        let passes = |line: &str| memo.passes(&session(None), &command(line));
        for number in 0..100 {
            memo.note(&command(&format!("RETR {number}")), Basis::default());
            memo.note(&command("NOOP"), Basis::default());
            assert!(passes("NOOP") && passes(&format!("RETR {number}")));
            assert!(memo.len() <= 8, "{}", memo.len());
        }
        assert!(passes("RETR 98") && !passes("RETR 9"), "what was not needed lately is forgotten");
        for number in 0..limits::REMEMBERED_SESSIONS_MAX {
            memo.note(&command("PWD"), of_user(&number.to_string()));
        }
        memo.note(&command("PWD"), of_user("0"));
        assert!(memo.passes(&session(Some("0")), &command("PWD")), "that was known");
        memo.note(&command("PWD"), of_user("ann"));
        assert!(memo.passes(&session(Some("ann")), &command("PWD")));
        assert!(!memo.passes(&session(Some("0")), &command("PWD")));
        let none = Memo::new(0);
        none.note(&command("NOOP"), Basis::default());
        assert!(!none.passes(&session(None), &command("NOOP")));
    }
}
