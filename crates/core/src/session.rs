//! What is known of a session: the facts that hooks and authenticators may ask for.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use waft_proto::{Verb, VerbSet};

use crate::certificate::CertificateName;
use crate::path::VirtualPath;

/// A session's number: unique while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of a session at one moment.
///
/// A snapshot: the session makes a new one when something changes, so that whoever holds one, for
/// example a plugin call in flight, sees consistent facts and locks nothing.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    /// The session's number.
    pub id: SessionId,
    /// The client's end of the control connection, IPv4-mapped addresses unmapped.
    pub peer: SocketAddr,
    /// The server's end of the control connection, likewise.
    pub local: SocketAddr,
    /// The name of the listener that the client connected to.
    pub listener: Arc<str>,
    /// TLS on the control connection, if there is any.
    pub tls: Option<Arc<TlsFacts>>,
    /// The account's name, once logged in.
    pub user: Option<Arc<str>>,
    /// The working directory.
    pub cwd: VirtualPath,
    /// Read-only facts by name: the account's attributes.
    pub attributes: Arc<[(String, String)]>,
    /// Where plugins keep what they want to remember of this session.
    pub scratch: Arc<Scratch>,
    /// What plugins need not be asked about: that of other facts begins empty.
    pub skips: Arc<Skips>,
}

/// What facts begin with that tell of the client's certificate.
const CERTIFICATE_FACTS: &str = "certificate.";

impl SessionFacts {
    /// A fact by its name, as plugins ask for it: an attribute of the account, a limit of it, or the
    /// names of one kind in the client's verified certificate (`certificate.email`, `.dns`, `.uri`,
    /// `.cn`), one a line. No account's attribute can stand for the latter.
    pub fn fact(&self, name: &str) -> Option<String> {
        if let Some(kind) = name.strip_prefix(CERTIFICATE_FACTS) {
            return self.certificate_names(kind);
        }
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }

    fn certificate_names(&self, kind: &str) -> Option<String> {
        let names = &self.tls.as_ref()?.peer_certificate_names;
        let names = names.iter().filter(|name| name.kind() == kind);
        // A name with a line's end in it could pass for two.
        let names = names.filter_map(CertificateName::plain);
        let names: Vec<&str> = names.filter(|name| !name.contains(char::is_control)).collect();
        (!names.is_empty()).then(|| names.join("\n"))
    }
}

/// Plugins that a session remembers commands to be skipped for. Beyond that it forgets all, which
/// costs each of them one call more.
pub const SKIPPING_PLUGINS_MAX: usize = 64;

/// The commands that plugins need not be asked about, as they said themselves, while the facts stay
/// what they are: by a number that each version of a plugin has to itself.
#[derive(Debug, Default)]
pub struct Skips(Mutex<Said>);

/// What plugins said. Few servers have two that say something: what the first did is in no allocation of its
/// own, which each session would make in the middle of a command.
#[derive(Debug, Default)]
struct Said {
    /// Nobody's as long as there is no verb in it.
    first: (u64, VerbSet),
    others: Vec<(u64, VerbSet)>,
}

impl Skips {
    /// Whether that plugin need not be asked about commands of that verb.
    pub fn contains(&self, plugin: u64, verb: Verb) -> bool {
        let Said { first, others } = &*self.lock();
        let mut all = std::iter::once(first).chain(others);
        all.any(|(known, verbs)| *known == plugin && verbs.contains(Some(verb)))
    }

    /// That plugin need not be asked about commands of these verbs, either; tells whether that is new
    /// of some.
    pub fn add(&self, plugin: u64, verbs: VerbSet) -> bool {
        if verbs == VerbSet::EMPTY {
            return false;
        }
        let said = &mut *self.lock();
        let mut all = std::iter::once(&mut said.first).chain(&mut said.others);
        let place = all.find(|(known, verbs)| *known == plugin || *verbs == VerbSet::EMPTY);
        if let Some(place) = place {
            let (_, before) = std::mem::replace(place, (plugin, place.1.union(verbs)));
            return before != place.1;
        }
        if said.others.len() + 1 < SKIPPING_PLUGINS_MAX {
            said.others.push((plugin, verbs));
        } else {
            // Versions come and go while a session lasts.
            *said = Said { first: (plugin, verbs), others: Vec::new() };
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// TLS on a control connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// The protocol version, for example `TLSv1.3`.
    pub version: String,
    /// The cipher suite.
    pub cipher: String,
    /// The name that the client asked for (SNI).
    pub server_name: Option<String>,
    /// SHA-256 of the client's verified certificate, in hexadecimal.
    pub peer_certificate_sha256: Option<String>,
    /// The names that this certificate gives its owner: those of subjectAltName, common names, the
    /// subject.
    pub peer_certificate_names: Vec<CertificateName>,
}

/// Octets that each plugin may keep of a session.
pub const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// What plugins remember of one session, by plugin and key; gone with the session.
#[derive(Debug, Default)]
pub struct Scratch {
    entries: Mutex<BTreeMap<(String, String), Vec<u8>>>,
    tokens: Mutex<Vec<Box<dyn Token>>>,
}

/// Something whose end tells that a session is gone.
pub trait Token: fmt::Debug + Send + Sync {
    /// Whether nobody wants to be told any more.
    fn is_spent(&self) -> bool;
}

/// The session's scratch space is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("session scratch space full: {SCRATCH_BYTES_MAX} bytes")]
pub struct ScratchFull;

impl Scratch {
    /// What `plugin` keeps under `key`.
    pub fn get(&self, plugin: &str, key: &str) -> Option<Vec<u8>> {
        self.lock().get(&(plugin.to_owned(), key.to_owned())).cloned()
    }

    /// Keeps `value` for `plugin` under `key`; `None` forgets it.
    ///
    /// # Errors
    /// The plugin would need more than [`SCRATCH_BYTES_MAX`] octets, keys counted; nothing was
    /// changed.
    pub fn set(&self, plugin: &str, key: &str, value: Option<Vec<u8>>) -> Result<(), ScratchFull> {
        let mut entries = self.lock();
        let place = (plugin.to_owned(), key.to_owned());
        let Some(value) = value else {
            entries.remove(&place);
            return Ok(());
        };
        // Those of one plugin stand together.
        let own = entries.range((plugin.to_owned(), String::new())..);
        let own = own.take_while(|((owner, _), _)| owner == plugin);
        let others: usize =
            own.filter(|(known, _)| **known != place).map(|(k, v)| size(k, v)).sum();
        if others + size(&place, &value) > SCRATCH_BYTES_MAX {
            return Err(ScratchFull);
        }
        entries.insert(place, value);
        Ok(())
    }

    /// Keeps `token` as long as the session lasts, whoever else keeps one. Those that are spent go,
    /// so that a session that outlives many versions of a plugin does not gather theirs.
    pub fn keep(&self, token: Box<dyn Token>) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let spent: Vec<_> = tokens.extract_if(.., |token| token.is_spent()).collect();
        tokens.push(token);
        drop(tokens);
        // Their end is their own affair, and not under the lock.
        drop(spent);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Vec<u8>>> {
        // The map is whole after every statement above: a panic elsewhere cannot spoil it.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size((plugin, key): &(String, String), value: &[u8]) -> usize {
    plugin.len() + key.len() + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_kept_apart_by_plugin_and_bounded_for_each() {
        let scratch = Scratch::default();
        scratch.set("a", "k", Some(vec![1])).unwrap();
        scratch.set("b", "k", Some(vec![2])).unwrap();
        assert_eq!(scratch.get("a", "k"), Some(vec![1]));
        assert_eq!(scratch.set("a", "k", Some(vec![0; SCRATCH_BYTES_MAX])), Err(ScratchFull));
        assert_eq!(scratch.get("a", "k"), Some(vec![1]));
        for plugin in ["a", "b", "ab"] {
            scratch.set(plugin, "k", Some(vec![0; SCRATCH_BYTES_MAX - 3])).unwrap();
            assert_eq!(scratch.set(plugin, "more", Some(Vec::new())), Err(ScratchFull), "{plugin}");
        }
        scratch.set("a", "k", None).unwrap();
        assert_eq!(scratch.get("a", "k"), None);
    }

    #[test]
    fn names_of_a_certificate_are_told_by_their_kind_and_nobody_makes_some_up() {
        use CertificateName::{Common, Dns, Email};
        let tls = TlsFacts {
            version: "TLSv1.3".to_owned(),
            cipher: "x".to_owned(),
            server_name: None,
            peer_certificate_sha256: Some("00".to_owned()),
            peer_certificate_names: vec![
                Dns("a.example.org".to_owned()),
                Dns("b.example.org".to_owned()),
                Common("bob@example.org".to_owned()),
                Common("two\nlines".to_owned()),
            ],
        };
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut facts = SessionFacts {
            id: SessionId(1),
            peer: ([192, 0, 2, 1], 4000).into(),
            local: ([192, 0, 2, 2], 21).into(),
            listener: "public".into(),
            tls: Some(Arc::new(tls.clone())),
            user: None,
            cwd: VirtualPath::root(),
            attributes: Arc::new([own("certificate.email", "eve"), own("groups", "staff")]),
            scratch: Arc::default(),
            skips: Arc::default(),
        };
        assert_eq!(facts.fact("certificate.dns").unwrap(), "a.example.org\nb.example.org");
        assert_eq!(facts.fact("certificate.cn").unwrap(), "bob@example.org");
        assert_eq!(facts.fact("certificate.email"), None);
        assert_eq!(facts.fact("groups").unwrap(), "staff");
        let peer_certificate_names = vec![Email("bob@example.org".to_owned())];
        facts.tls = Some(Arc::new(TlsFacts { peer_certificate_names, ..tls }));
        assert_eq!(facts.fact("certificate.email").unwrap(), "bob@example.org");
        facts.tls = None;
        assert_eq!(facts.fact("certificate.email"), None);
    }

    #[test]
    fn what_is_skipped_is_known_by_plugin_and_verb_and_forgotten_where_there_are_too_many() {
        let skips = Skips::default();
        let set = |verbs: &[Verb]| {
            verbs.iter().fold(VerbSet::EMPTY, |mut set, verb| {
                set.insert(*verb);
                set
            })
        };
        assert!(!skips.add(1, VerbSet::EMPTY));
        assert!(skips.add(1, set(&[Verb::Noop])) && !skips.add(1, set(&[Verb::Noop])));
        assert!(skips.add(1, set(&[Verb::Retr, Verb::Stor, Verb::Noop])));
        assert!([Verb::Noop, Verb::Retr, Verb::Stor].iter().all(|verb| skips.contains(1, *verb)));
        assert!(!skips.contains(1, Verb::Dele) && !skips.contains(2, Verb::Noop));
        assert!((2..=64).all(|plugin| skips.add(plugin, set(&[Verb::Noop]))));
        assert!(skips.contains(1, Verb::Noop) && skips.contains(64, Verb::Noop));
        assert!(skips.add(65, set(&[Verb::Noop])));
        assert!(!skips.contains(1, Verb::Noop) && skips.contains(65, Verb::Noop));
    }

    /// Spent as soon as nobody else has it.
    impl Token for Arc<()> {
        fn is_spent(&self) -> bool {
            Arc::strong_count(self) == 1
        }
    }

    #[test]
    fn tokens_end_with_the_session_and_those_that_are_spent_when_another_comes() {
        let scratch = Scratch::default();
        let (first, second, spent) = (Arc::new(()), Arc::new(()), Arc::new(()));
        let last = Arc::downgrade(&spent);
        for token in [Arc::clone(&first), spent, Arc::clone(&second)] {
            scratch.keep(Box::new(token));
        }
        assert_eq!(last.strong_count(), 0);
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (2, 2));
        drop(scratch);
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 1));
    }
}
