//! Commands that a plugin is known to let pass, so that it is not asked about them again.
//!
//! A plugin may say that it decides about commands by nothing but the command and what it asks of the
//! session (`command.pure` of its descriptor). Where it then lets one pass, the facts that it asked
//! for in that call are kept with what they were: in every session of which the same is true it would
//! let the same command pass, and would say the same of what it need not be asked about there. Nothing
//! else is kept: what a plugin refuses or changes, it is asked about, and that is logged and counted each
//! time. Nor is a call in which it used what says other things at other times, or wrote something.
//!
//! Each processor keeps its own, so that sessions seldom meet here, and forgets what was not needed
//! lately when it is full. It keeps a command when it is told of it for the second time: most names of
//! files come once, and would cost more to keep than the call that they are kept for. There are few
//! commands without an argument: one that the server knows is kept at once, and in a place that all
//! processors share, where those look that do not have it. A thread that wakes up on another processor
//! is not to ask again about NOOP.
//! What is kept is gone with the version of the plugin. No argument of PASS, ACCT or ADAT is kept, as
//! none is shown.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{DefaultHashBuilder, HashTable};
use waft_core::session::TlsFacts;
use waft_core::{SessionFacts, VirtualPath};
use waft_per_cpu::PerCpu;
use waft_proto::command::Name;
use waft_proto::{Command, VerbSet};

use crate::limits;

/// The commands that one plugin lets pass.
pub(crate) struct Memo {
    /// What is kept in each place, about: a command counts once for each kind of session.
    max: usize,
    hasher: DefaultHashBuilder,
    /// What every hash begins with, so that no client can tell which commands have the same.
    seed: u64,
    known: PerCpu<Mutex<Known>>,
    /// What all processors share. Nobody waits for it: while others are at it, nothing is known.
    shared: Mutex<Known>,
}

/// What one processor keeps, or all together. Half of it is recent; when that is full, what was recent
/// before and was not needed since is forgotten.
#[derive(Default)]
struct Known {
    recent: Commands,
    before: Commands,
    told: Told,
}

#[derive(Default)]
struct Commands {
    kept: HashTable<Kept>,
    /// Kinds of sessions of all of them.
    count: usize,
}

/// A command, and the kinds of sessions that it passes in.
struct Kept {
    hash: u64,
    name: Name,
    argument: Option<Box<[u8]>>,
    kinds: Vec<Basis>,
}

/// What a command is found by, in all places that one search goes through.
#[derive(Clone, Copy)]
struct Key<'a> {
    hash: u64,
    name: &'a Name,
    argument: Option<&'a [u8]>,
}

/// Hashes of commands that were told of once, as far as others did not take their place; empty as long
/// as there is none.
#[derive(Default)]
struct Told(Vec<u64>);

/// What a plugin asked a session for in a call, and what it said of that session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Basis {
    facts: Vec<Fact>,
    /// Of the texts in them.
    octets: usize,
    /// Commands that it need not be asked about there.
    skips: VerbSet,
}

/// What a session's getters tell, but for what is true of no other session.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// Octets of the texts in it.
    fn octets(&self) -> usize {
        match self {
            Fact::User(user) => user.as_ref().map_or(0, |user| user.len()),
            Fact::Address(_) => 0,
            Fact::Listener(listener) => listener.len(),
            Fact::Tls(tls) => tls.as_ref().map_or(0, |tls| octets_of_tls(tls)),
            Fact::Cwd(cwd) => cwd.as_bytes().len(),
            Fact::Attribute(name, value) => name.len() + value.as_ref().map_or(0, String::len),
        }
    }
}

fn octets_of_tls(tls: &TlsFacts) -> usize {
    let texts = [&tls.server_name, &tls.peer_certificate_sha256].into_iter().flatten();
    let texts = texts.chain([&tls.version, &tls.cipher]).map(String::len);
    let names = tls.peer_certificate_names.iter().map(|name| name.to_string().len());
    texts.chain(names).sum()
}

impl Basis {
    /// Notes that this was asked for. False where there is no room for more.
    #[must_use]
    pub(crate) fn note(&mut self, fact: Fact) -> bool {
        if self.facts.contains(&fact) {
            return true;
        }
        self.octets = self.octets.saturating_add(fact.octets());
        let has_room = self.facts.len() < limits::REMEMBERED_FACTS_MAX
            && self.octets <= limits::REMEMBERED_FACTS_BYTES_MAX;
        if has_room {
            self.facts.push(fact);
        }
        has_room
    }

    /// Notes commands that the plugin need not be asked about in such a session.
    pub(crate) fn note_skipped(&mut self, verbs: VerbSet) {
        self.skips = self.skips.union(verbs);
    }

    fn holds(&self, session: &SessionFacts) -> bool {
        self.facts.iter().all(|fact| fact.holds(session))
    }
}

impl Memo {
    /// Keeps about so many commands on each processor.
    pub(crate) fn new(max: usize) -> Memo {
        let (hasher, known) = (DefaultHashBuilder::default(), PerCpu::default());
        let seed = RandomState::new().hash_one(0);
        Memo { max, hasher, seed, known, shared: Mutex::default() }
    }

    /// Whether the command is one that is kept.
    pub(crate) fn may_keep(&self, command: &Command) -> bool {
        self.max > 0
            && argument(command)
                .is_none_or(|argument| argument.len() <= limits::REMEMBERED_ARGUMENT_BYTES_MAX)
    }

    /// Whether the plugin is known to let the command pass in that session: what else it need not be
    /// asked about there.
    pub(crate) fn passes(&self, session: &SessionFacts, command: &Command) -> Option<VerbSet> {
        if !self.may_keep(command) {
            return None;
        }
        let key = self.key(command);
        let known = lock(self.known.here()).passes(session, key, self.max).map(|basis| basis.skips);
        if known.is_some() || !key.is_common() {
            return known;
        }
        let basis = self.shared.try_lock().ok()?.passes(session, key, self.max).cloned()?;
        let skips = basis.skips;
        lock(self.known.here()).note(key, basis, self.max);
        Some(skips)
    }

    /// Keeps that it let the command pass in a session of which that is true, if it is told of that
    /// command for the second time or the command is a [common](Key::is_common) one; tells whether it
    /// is kept.
    pub(crate) fn note(&self, command: &Command, basis: Basis) -> bool {
        if !self.may_keep(command) {
            return false;
        }
        let key = self.key(command);
        if key.is_common()
            && let Ok(mut shared) = self.shared.try_lock()
        {
            shared.note(key, basis.clone(), self.max);
        }
        lock(self.known.here()).note(key, basis, self.max)
    }

    /// What all processors keep, each for itself.
    pub(crate) fn len(&self) -> usize {
        self.known.iter().map(|known| lock(known).len()).sum()
    }

    fn key<'a>(&self, command: &'a Command) -> Key<'a> {
        let (name, argument) = (command.name(), argument(command));
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(self.seed);
        hasher.write(name.as_str().as_bytes());
        if let Some(argument) = argument {
            // Which stands in no verb.
            hasher.write_u8(b' ');
            hasher.write(argument);
        }
        Key { hash: hasher.finish(), name, argument }
    }
}

/// What a plugin is shown of the argument.
fn argument(command: &Command) -> Option<&[u8]> {
    command.argument().filter(|_| !command.is_secret())
}

impl Key<'_> {
    /// Whether there are few such commands, which come again and again.
    fn is_common(&self) -> bool {
        self.argument.is_none() && matches!(self.name, Name::Known(_))
    }
}

impl Kept {
    fn is(&self, key: Key<'_>) -> bool {
        self.name == *key.name && self.argument.as_deref() == key.argument
    }
}

impl Commands {
    fn take(&mut self, key: Key<'_>) -> Option<Kept> {
        let found = self.kept.find_entry(key.hash, |kept| kept.is(key)).ok()?;
        let kept = found.remove().0;
        self.count -= kept.kinds.len();
        Some(kept)
    }

    fn put(&mut self, kept: Kept) {
        self.count += kept.kinds.len();
        self.kept.insert_unique(kept.hash, kept, |kept| kept.hash);
    }
}

impl Known {
    /// What is true of that session in which a command passes, if it is known to.
    fn passes(&mut self, session: &SessionFacts, key: Key<'_>, max: usize) -> Option<&Basis> {
        self.find(key, max)?.iter().find(|basis| basis.holds(session))
    }

    /// The kinds of sessions that a command passes in; it is recent from now on, and in one of both
    /// places at most.
    fn find(&mut self, key: Key<'_>, max: usize) -> Option<&mut Vec<Basis>> {
        if let Some(kept) = self.before.take(key) {
            self.make_room(max);
            self.recent.put(kept);
        }
        self.recent.kept.find_mut(key.hash, |kept| kept.is(key)).map(|kept| &mut kept.kinds)
    }

    fn note(&mut self, key: Key<'_>, basis: Basis, max: usize) -> bool {
        // Most names of files come once: nothing else is looked at for them.
        if !key.is_common() && !self.told.again(key.hash) {
            return false;
        }
        if self.find(key, max).is_some_and(|kinds| kinds.contains(&basis)) {
            return true;
        }
        self.make_room(max);
        // It may be recent, or have been among those that made room.
        let known = self.recent.take(key).or_else(|| self.before.take(key));
        let mut kept = known.unwrap_or_else(|| Kept {
            hash: key.hash,
            name: key.name.clone(),
            argument: key.argument.map(Into::into),
            kinds: Vec::new(),
        });
        if kept.kinds.len() >= limits::REMEMBERED_SESSIONS_MAX {
            kept.kinds.remove(0);
        }
        kept.kinds.push(basis);
        self.recent.put(kept);
        true
    }

    fn make_room(&mut self, max: usize) {
        if self.recent.count >= max.div_ceil(2) {
            self.before = std::mem::take(&mut self.recent);
        }
    }

    fn len(&self) -> usize {
        self.recent.count + self.before.count
    }
}

impl Told {
    /// Whether that was told before.
    fn again(&mut self, hash: u64) -> bool {
        self.0.resize(limits::REMEMBERED_LATER_MAX, 0);
        let place = usize::try_from(hash % limits::REMEMBERED_LATER_MAX as u64).unwrap_or_default();
        self.0.get_mut(place).is_some_and(|told| std::mem::replace(told, hash) == hash)
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
        assert!(basis.note(Fact::User(Some(user.into()))));
        assert!(basis.note(Fact::User(Some(user.into()))));
        assert_eq!(basis.facts.len(), 1, "asked twice, noted once");
        basis
    }

    /// On one processor, however many there are.
    fn memo(max: usize) -> Memo {
        let mut memo = Memo::new(max);
        memo.known = PerCpu::one();
        memo
    }

    /// Tells it twice, as it keeps only common commands before.
    fn note(memo: &Memo, line: &str, user: Option<&str>) -> bool {
        let basis = || user.map_or_else(Basis::default, of_user);
        memo.note(&command(line), basis());
        memo.note(&command(line), basis())
    }

    fn passes(memo: &Memo, session: &SessionFacts, command: &Command) -> bool {
        memo.passes(session, command).is_some()
    }

    #[test]
    fn a_command_passes_in_sessions_that_are_alike_in_what_was_asked_for() {
        let memo = memo(8);
        assert!(note(&memo, "SIZE a", Some("ann")));
        let (ann, bob) = (session(Some("ann")), session(Some("bob")));
        assert!(passes(&memo, &ann, &command("size a")));
        let elsewhere = SessionFacts {
            id: SessionId(2),
            cwd: VirtualPath::root().join(b"a").unwrap(),
            ..ann.clone()
        };
        assert!(passes(&memo, &elsewhere, &command("SIZE a")), "nobody asked for that");
        for other in ["SIZE b", "SIZE", "SIZE a b", "MDTM a"] {
            assert!(!passes(&memo, &ann, &command(other)), "{other}");
        }
        assert!(
            !passes(&memo, &bob, &command("SIZE a"))
                && !passes(&memo, &session(None), &command("SIZE a"))
        );
        assert!(note(&memo, "SIZE a", Some("bob")));
        assert!(passes(&memo, &ann, &command("SIZE a")) && passes(&memo, &bob, &command("SIZE a")));
        assert_eq!(memo.len(), 2);
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
        assert!(note(&memo, "PASS one", None));
        assert!(passes(&memo, &session(None), &command("PASS other")), "it was shown neither");
        let long = format!("RETR {}", "x".repeat(limits::REMEMBERED_ARGUMENT_BYTES_MAX + 1));
        assert!(!note(&memo, &long, None));
        assert!(!passes(&memo, &session(None), &command(&long)));
    }

    #[test]
    fn a_full_one_forgets_what_was_not_needed_lately_and_one_without_room_keeps_nothing() {
        let memo = memo(8);
        let known = |line: &str| passes(&memo, &session(None), &command(line));
        for number in 0..100 {
            assert!(note(&memo, &format!("RETR {number}"), None));
            assert!(note(&memo, "NOOP", None));
            assert!(known("NOOP") && known(&format!("RETR {number}")));
            assert!(memo.len() <= 8, "{}", memo.len());
        }
        assert!(known("RETR 98") && !known("RETR 9"), "what was not needed lately is forgotten");
        for number in 0..limits::REMEMBERED_SESSIONS_MAX {
            assert!(note(&memo, "PWD", Some(&number.to_string())));
        }
        assert!(note(&memo, "PWD", Some("0")));
        assert!(passes(&memo, &session(Some("0")), &command("PWD")), "that was known");
        assert!(note(&memo, "PWD", Some("ann")));
        assert!(passes(&memo, &session(Some("ann")), &command("PWD")));
        assert!(!passes(&memo, &session(Some("0")), &command("PWD")));
        let none = Memo::new(0);
        assert!(!note(&none, "NOOP", None));
        assert!(!passes(&none, &session(None), &command("NOOP")));
    }

    #[test]
    fn what_is_kept_of_a_session_is_bounded() {
        let attribute = |name: usize| Fact::Attribute(name.to_string(), None);
        let mut basis = Basis::default();
        assert!((0..limits::REMEMBERED_FACTS_MAX).all(|name| basis.note(attribute(name))));
        assert!(basis.note(attribute(0)) && !basis.note(attribute(limits::REMEMBERED_FACTS_MAX)));
        let long = "x".repeat(limits::REMEMBERED_FACTS_BYTES_MAX);
        let mut basis = Basis::default();
        assert!(basis.note(Fact::Attribute(long.clone(), None)));
        assert!(!basis.note(Fact::User(Some("a".into()))));
        assert!(!Basis::default().note(Fact::Attribute(long, Some("x".to_owned()))));
    }

    #[test]
    fn a_session_that_is_alike_need_not_be_asked_about_the_same_commands() {
        let memo = memo(8);
        let mut verbs = VerbSet::EMPTY;
        verbs.insert(waft_proto::Verb::Stor);
        let mut basis = of_user("ann");
        basis.note_skipped(verbs);
        assert!(memo.note(&command("NOOP"), basis));
        assert_eq!(memo.passes(&session(Some("ann")), &command("NOOP")), Some(verbs));
        assert_eq!(memo.passes(&session(None), &command("NOOP")), None);
    }

    #[test]
    fn a_command_that_is_not_common_is_kept_when_it_comes_again() {
        let memo = memo(8);
        let lines = [("NOOP", true), ("SIZE a", false), ("XUNKNOWN", false)];
        for (line, kept) in lines.map(|(line, at_once)| (line, [at_once, true])) {
            assert_eq!(kept, kept.map(|_| memo.note(&command(line), Basis::default())), "{line}");
        }
    }

    #[test]
    fn other_processors_know_a_common_command_and_no_other() {
        let mut memo = memo(8);
        for line in ["NOOP", "SIZE a", "XUNKNOWN"] {
            assert!(note(&memo, line, Some("ann")));
        }
        memo.known = PerCpu::one();
        let knows = |user, line| passes(&memo, &session(Some(user)), &command(line));
        assert!(knows("ann", "NOOP"));
        for (user, line) in
            [("bob", "NOOP"), ("ann", "SIZE a"), ("ann", "XUNKNOWN"), ("ann", "PWD")]
        {
            assert!(!knows(user, line), "{user}: {line}");
        }
        assert_eq!(memo.len(), 1, "it has its own from now on");
        for verb in ["NOOP", "PWD", "CDUP", "SYST", "FEAT", "PASV", "EPSV", "LIST", "MLSD", "QUIT"]
        {
            assert!(note(&memo, verb, Some("ann")));
            assert!(lock(&memo.shared).len() <= 8, "{verb}");
        }
    }
}
