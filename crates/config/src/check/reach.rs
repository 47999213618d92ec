//! What no client may reach: code, keys, hashes, and what else the server keeps to itself.
//!
//! There is one list of the directories that clients have, and one of the places that are not theirs;
//! every rule about both is made of them. A directory of clients may lie *within* such a place, as in
//! `/var/lib/waft/files` with the state in `/var/lib/waft`: they do not see what is above.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::{At, Findings};
use crate::config::Config;
use crate::sections::User;
use crate::value::Value;

/// Tells of every place that is not for clients and within a directory that they have.
pub(super) fn all(config: &Config, findings: &mut Findings) {
    let roots = roots(config);
    for place in places(config) {
        let way = Way::to(&place.path);
        let reached = roots.iter().filter_map(|root| Some((way.within(root, place.least)?, root)));
        let Some((reach, root)) = reached.max_by_key(|(reach, _)| *reach) else { continue };
        let message = root.told(reach, place.what, "here");
        findings.mistake(place.at, message, format!("move it out of {}", root.others));
    }
}

/// What clients reach, for files that are found when plugins are looked for.
#[derive(Clone, Debug)]
pub struct Reachable {
    roots: Vec<Root>,
    /// The directory of plugins, as it is written.
    dropped: Option<PathBuf>,
}

/// A file of a plugin that clients reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// What its name leads to.
    pub end: PathBuf,
    /// Who does what there.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// A directory where clients change files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The directory, without links.
    pub root: PathBuf,
    /// Who does.
    pub who: String,
}

impl Reachable {
    /// Takes the directories that clients have by a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self { roots: roots(config), dropped: config.plugins.directory.clone() }
    }

    /// Tells whether clients reach what the name of a component leads to now, or that of a file
    /// beside one. What lies in the directory of plugins goes by the rule for that directory.
    #[must_use]
    pub fn reached(&self, file: &Path) -> Option<Reached> {
        let way = Way::to(file);
        // Whatever it leads to by now, or another name of it.
        let lies_there = |it: &Path| file.parent() == Some(it) || way.passes(&Way::to(it).end);
        let dropped = self.dropped.as_deref().is_some_and(lies_there);
        let (what, least) = if dropped { CODE } else { COMPONENT };
        let mut reached =
            self.roots.iter().filter_map(|root| Some((way.within(root, least)?, root)));
        let (reach, root) = reached.next()?;
        let message = root.told(reach, what, "there");
        let remedy = format!("move {} out of {}", way.end.display(), root.others);
        Some(Reached { end: way.end, message, remedy })
    }

    /// Tells of a directory on the file system of that number (`st_dev`) where clients change files:
    /// any file on it may have another name there.
    #[cfg(unix)]
    #[must_use]
    pub fn changed_on(&self, device: u64) -> Option<Changed> {
        use std::os::unix::fs::MetadataExt as _;
        let is_there = |root: &&Root| {
            let found = std::fs::metadata(&root.path);
            root.reach == Reach::Change && found.is_ok_and(|found| found.dev() == device)
        };
        let root = self.roots.iter().find(is_there)?;
        Some(Changed { root: root.path.clone(), who: root.who.clone() })
    }

    /// The same where file systems have no numbers: of none.
    #[cfg(not(unix))]
    #[must_use]
    pub fn changed_on(&self, _: u64) -> Option<Changed> {
        None
    }
}

/// What somebody can do in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Read,
    Change,
}

impl Reach {
    fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Change => "change",
        }
    }
}

/// A directory that clients have.
#[derive(Clone, Debug)]
struct Root {
    path: PathBuf,
    reach: Reach,
    who: String,
    /// What it is to them.
    of: &'static str,
    /// Everything of the kind.
    others: &'static str,
}

impl Root {
    fn told(&self, reach: Reach, what: &str, here: &str) -> String {
        let (who, verb) = (&self.who, reach.verb());
        format!("{who} can {verb} {what} {here}: it is within {}", self.of)
    }
}

fn roots(config: &Config) -> Vec<Root> {
    // The root of the others is a directory in the storage of a plugin.
    let users = config.users.iter().filter(|user| user.storage.is_none());
    let users = users.map(|user| (&user.root, user.permissions.can_change(), user.name.as_str()));
    let anonymous = config.anonymous.iter().map(|anonymous| {
        let changes = anonymous.upload || anonymous.permissions.can_change();
        (&anonymous.root, changes, "anonymous")
    });
    let own = users.chain(anonymous).filter(|(root, ..)| !root.as_os_str().is_empty());
    let own = own.map(|(root, changes, who)| Root {
        path: Way::to(root).end,
        reach: if changes { Reach::Change } else { Reach::Read },
        who: who.to_owned(),
        of: "the root of that account",
        others: "every root",
    });
    // What its accounts may do is the plugin's to say, at every login.
    let granted = config.named_plugins.iter().flat_map(|plugin| {
        plugin.grant.storage.iter().map(|directory| Root {
            path: Way::to(directory).end,
            reach: Reach::Change,
            who: format!("an account of {}", plugin.name),
            of: "what that plugin is granted for files",
            others: "every root, or grant the plugin another directory",
        })
    });
    own.chain(granted).collect()
}

/// What is not for clients.
struct Place<'c> {
    path: PathBuf,
    at: At<'c>,
    what: &'static str,
    /// The least that nobody may be able to do.
    least: Reach,
}

impl<'c> Place<'c> {
    fn new((what, least): Kind, path: &Path, at: At<'c>) -> Self {
        Self { path: path.to_path_buf(), at, what, least }
    }
}

/// What a place is, and the least that nobody may be able to do there.
type Kind = (&'static str, Reach);

const CODE: Kind = ("code", Reach::Read);
/// One component is no secret.
const COMPONENT: Kind = ("code", Reach::Change);
const KEPT_AWAY: Kind = ("what is kept away", Reach::Read);
const STATE: Kind = ("what the server keeps", Reach::Read);
const KEY: Kind = ("a key", Reach::Read);
const SECRET: Kind = ("a secret", Reach::Read);
const HASHES: Kind = ("password hashes", Reach::Read);
const CONFIGURATION: Kind = ("the configuration", Reach::Change);
const TRUST: Kind = ("whom the server trusts", Reach::Change);

fn places(config: &Config) -> Vec<Place<'_>> {
    let general = [
        (STATE, "server.state", &config.server.state),
        (CODE, "plugins.directory", &config.plugins.directory),
        (KEPT_AWAY, "plugins.quarantine", &config.plugins.quarantine),
        (TRUST, "plugins.public_key", &config.plugins.public_key),
    ];
    let general = general.into_iter().filter_map(|(kind, key, path)| {
        Some(Place::new(kind, path.as_deref()?, At::key(config, key)))
    });
    general.chain(of_files(config)).chain(of_tls(config)).chain(of_plugins(config)).collect()
}

/// The files with the configuration itself.
fn of_files(config: &Config) -> impl Iterator<Item = Place<'_>> {
    let is_main = |file: &Path| *file == *config.main.file;
    // A quick start has no file.
    let main = config.files.iter().find(|file| is_main(file)).map(|file| {
        let at = At { key: String::new(), origin: &config.main };
        Place::new(CONFIGURATION, file, at)
    });
    let mut hashed: Vec<&User> = Vec::new();
    for user in &config.users {
        let file = &user.origin.file;
        let is_file = config.files.iter().any(|known| **known == **file);
        if is_file && hashed.iter().all(|other| other.origin.file != *file) {
            hashed.push(user);
        }
    }
    let main = main.filter(|_| !hashed.iter().any(|user| is_main(&user.origin.file)));
    let hashed = hashed.into_iter().map(|user| {
        let at = At { key: "user".to_owned(), origin: &user.origin };
        Place::new(HASHES, &user.origin.file, at)
    });
    main.into_iter().chain(hashed)
}

fn of_tls(config: &Config) -> impl Iterator<Item = Place<'_>> {
    config.tls.iter().flat_map(|tls| {
        let at = |key| At::of(config, &tls.key, key, &tls.origin);
        let own = Place::new(KEY, &tls.private_key, at("private_key"));
        let hosts = tls.host.iter().map(|host| {
            let at = At::of(config, &host.key, "private_key", &host.origin);
            Place::new(KEY, &host.private_key, at)
        });
        let authorities = tls.client_authorities.iter();
        let authorities =
            authorities.map(move |path| Place::new(TRUST, path, at("client_authorities")));
        let acme = tls.acme.iter().map(|acme| {
            let at = At::of(config, &acme.key, "directory", &acme.origin);
            Place::new(KEY, &acme.directory, at)
        });
        // That of an authority lies in the directory of `[tls.acme]`.
        let own = Some(own).filter(|own| tls.acme.is_none() && !own.path.as_os_str().is_empty());
        own.into_iter().chain(hosts).chain(authorities).chain(acme)
    })
}

fn of_plugins(config: &Config) -> impl Iterator<Item = Place<'_>> {
    config.named_plugins.iter().flat_map(|plugin| {
        let at = |key: &str| At::of(config, &plugin.key, key, &plugin.origin);
        let path = Some(&plugin.path).filter(|path| !path.as_os_str().is_empty());
        let path = path.map(|path| Place::new(COMPONENT, path, at("path")));
        let quarantine = plugin.quarantine.as_ref();
        let quarantine = quarantine.map(|path| Place::new(KEPT_AWAY, path, at("quarantine")));
        let secrets = plugin.grant.secrets.iter().filter_map(|(name, node)| {
            let Value::String(place) = &node.value else { return None };
            let path = node.origin.resolve(place.strip_prefix("file:")?.as_ref());
            let key = format!("{}.grant.secrets.{name}", plugin.key);
            Some(Place::new(SECRET, &path, At { key, origin: &node.origin }))
        });
        path.into_iter().chain(quarantine).chain(secrets)
    })
}

/// Where a path leads.
struct Way {
    /// Every name on the way there. Whoever can change one of them leads it elsewhere.
    names: Vec<PathBuf>,
    /// What it leads to, without links. It need not exist.
    end: PathBuf,
}

/// The links on one way; the kernel follows as many.
const LINKS_MAX: usize = 40;

impl Way {
    fn to(path: &Path) -> Self {
        let parts = |path: &Path| -> Vec<OsString> {
            path.components().map(|part| part.as_os_str().to_owned()).collect()
        };
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let mut rest = VecDeque::from(parts(&absolute));
        let (mut end, mut names, mut links) = (PathBuf::new(), Vec::new(), 0);
        while let Some(part) = rest.pop_front() {
            match Path::new(&part).components().next() {
                Some(Component::ParentDir) => {
                    end.pop();
                }
                Some(Component::Normal(name)) => {
                    let name = end.join(name);
                    match std::fs::read_link(&name) {
                        Ok(target) if links < LINKS_MAX => {
                            links += 1;
                            parts(&target).into_iter().rev().for_each(|part| rest.push_front(part));
                        }
                        _ => end.clone_from(&name),
                    }
                    names.push(name);
                }
                Some(Component::CurDir) | None => {}
                // An absolute path begins anew.
                Some(Component::RootDir | Component::Prefix(_)) => end.push(&part),
            }
        }
        Self { names, end }
    }

    /// Whether some name on it lies in that directory.
    fn passes(&self, directory: &Path) -> bool {
        self.names.iter().any(|name| name.parent() == Some(directory))
    }

    /// What those who have `root` can do to it, if that is `least` or more.
    fn within(&self, root: &Root, least: Reach) -> Option<Reach> {
        let is_inside = |name: &PathBuf| name.starts_with(&root.path) && *name != root.path;
        let reaches = match root.reach {
            Reach::Read => self.end.starts_with(&root.path),
            // The root itself cannot be exchanged from within.
            Reach::Change => self.end == root.path || self.names.iter().any(is_inside),
        };
        (reaches && root.reach >= least).then_some(root.reach)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_way_has_the_names_of_all_links_on_it() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().canonicalize().unwrap();
        fs::create_dir_all(here.join("real/deep")).unwrap();
        symlink("real/deep", here.join("link")).unwrap();
        symlink(here.join("link"), here.join("twice")).unwrap();
        let way = Way::to(&here.join("real/../twice/./new/file"));
        assert_eq!(way.end, here.join("real/deep/new/file"));
        for name in ["twice", "link", "real", "real/deep/new"] {
            assert!(way.names.contains(&here.join(name)), "{name}: {:?}", way.names);
        }
    }

    #[test]
    fn a_link_that_leads_to_itself_ends_somewhere() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("loop");
        symlink("loop", &path).unwrap();
        assert_eq!(Way::to(&path).end, path);
    }
}
