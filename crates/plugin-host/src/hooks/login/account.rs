//! The account that an authenticator accepts, checked: what it may do is said in words, and every
//! word that is not known is the plugin's mistake. A limit that nobody keeps would be none.

use std::path::{Component, Path};
use std::sync::Arc;

use waft_core::account::limit;
use waft_core::hooks::ACCT_ATTRIBUTE;
use waft_core::storage::{Result as StorageResult, StoragePlace, Storages};
use waft_core::{Account, Permission, Permissions, Resumption, VirtualPath};

use crate::bindings::exports::waft::plugin::authenticator as wire;
use crate::capability::log::shortened;
use crate::errors::Failure;
use crate::limits;
use crate::settings::Grants;

/// The fact under which hooks find an account's groups.
const GROUPS_ATTRIBUTE: &str = "groups";

/// An account that is admitted, whose storage is not open yet.
#[derive(Debug)]
pub(crate) struct Admitted {
    name: Arc<str>,
    permissions: Permissions,
    place: StoragePlace,
    sessions_max: Option<u32>,
    resumption: Option<Resumption>,
    attributes: Arc<[(String, String)]>,
}

impl Admitted {
    /// Reads what a plugin says of an account.
    ///
    /// # Errors
    /// It cannot be carried out, or is not granted.
    pub(crate) fn new(said: wire::Account, grants: &Grants) -> Result<Admitted, Failure> {
        check_name(&said.name)?;
        check_directory(&said.storage)?;
        check_size(&said)?;
        Admitted::read(said, grants).map_err(Failure::Verdict)
    }

    fn read(said: wire::Account, grants: &Grants) -> Result<Admitted, String> {
        let (mut sessions_max, mut resumption) = (None, None);
        for (name, value) in &said.limits {
            match name.as_str() {
                limit::SESSIONS => sessions_max = Some(count(value)?),
                limit::RESUMPTION => resumption = Some(resumption_of(value)?),
                _ => return Err(format!("no limit that is kept here: {name}")),
            }
        }
        Ok(Admitted {
            permissions: permissions(&said.permissions)?,
            place: place(&said.storage, &said.root, grants)?,
            attributes: attributes(said.attributes, &said.groups)?.into(),
            name: said.name.into(),
            sessions_max,
            resumption,
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where its files are.
    pub(crate) fn place(&self) -> &StoragePlace {
        &self.place
    }

    /// Opens its storage.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open(self, storages: &dyn Storages) -> StorageResult<Arc<Account>> {
        Ok(Arc::new(Account {
            storage: storages.open(&self.place)?,
            name: self.name,
            permissions: self.permissions,
            home: VirtualPath::root(),
            anonymous: false,
            sessions_max: self.sessions_max,
            resumption: self.resumption,
            attributes: self.attributes,
        }))
    }
}

/// Checks the name of an account.
///
/// # Errors
/// It is none.
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    if name.is_empty() || name.len() > limits::USER_BYTES_MAX || name.contains(char::is_control) {
        let name = shortened(name, limits::USER_BYTES_MAX);
        return Err(Failure::Unfit(format!("no user's name: {name:?}")));
    }
    Ok(())
}

/// Checks that a directory lies where its path says: names of clients are often a part of it.
///
/// # Errors
/// The path leads out of itself.
fn check_directory(storage: &str) -> Result<(), Failure> {
    if let Ok(StoragePlace::Local(path)) = storage.parse::<StoragePlace>()
        && path.components().any(|component| component == Component::ParentDir)
    {
        let path = path.display();
        return Err(Failure::Unfit(format!("\"..\" in the path of a storage: {path}")));
    }
    Ok(())
}

/// Checks that no more is said of an account than is kept; its groups are an attribute, too.
///
/// # Errors
/// It is more.
fn check_size(said: &wire::Account) -> Result<(), Failure> {
    let sizes = said.attributes.iter().map(|(name, value)| name.len().saturating_add(value.len()));
    let groups = said.groups.iter().map(|group| group.len() + 1);
    let groups = groups.reduce(usize::saturating_add);
    // With a comma between two of them.
    let groups = groups.map(|bytes| GROUPS_ATTRIBUTE.len() + bytes - 1);
    let count = said.attributes.len() + usize::from(groups.is_some());
    let bytes = sizes.chain(groups).fold(0, usize::saturating_add);
    match count > limits::ATTRIBUTES_MAX || bytes > limits::ATTRIBUTES_BYTES_MAX {
        true => Err(Failure::Attributes { count, bytes }),
        false => Ok(()),
    }
}

fn count(value: &str) -> Result<u32, String> {
    let count = value.parse().ok().filter(|&count| count > 0);
    count.ok_or_else(|| format!("{} is no number of sessions: {value}", limit::SESSIONS))
}

fn resumption_of(value: &str) -> Result<Resumption, String> {
    let name = limit::RESUMPTION;
    let wrong = || format!("{name} is neither off nor report nor require: {value}");
    Resumption::from_name(value).ok_or_else(wrong)
}

fn permissions(names: &[String]) -> Result<Permissions, String> {
    let known = |name: &String| {
        Permission::from_name(name).ok_or_else(|| format!("no such permission: {name}"))
    };
    names.iter().map(known).collect()
}

/// Where the account's files are: seen from a directory that the operator granted, if they are
/// local, and from the root of the plugin's storage otherwise.
fn place(storage: &str, root: &str, grants: &Grants) -> Result<StoragePlace, String> {
    let root = VirtualPath::root().join(root.as_bytes()).map_err(|error| error.to_string())?;
    match storage.parse::<StoragePlace>().map_err(|error| error.to_string())? {
        StoragePlace::Local(path) => beneath(&path, &root, grants),
        StoragePlace::Plugin(name, _) => Ok(StoragePlace::Plugin(name, root)),
        place => Ok(place),
    }
}

fn beneath(path: &Path, root: &VirtualPath, grants: &Grants) -> Result<StoragePlace, String> {
    let within = |granted: &&std::path::PathBuf| path.starts_with(granted);
    let Some(granted) = grants.storage.iter().find(within) else {
        let path = path.display();
        return Err(format!("storage not granted: {path}; the grant is storage = [\"{path}\"]"));
    };
    let rest = path.strip_prefix(granted).unwrap_or(path);
    let seen = VirtualPath::root().join(rest.as_os_str().as_encoded_bytes());
    let seen = seen.and_then(|seen| match root.is_root() {
        true => Ok(seen),
        false => seen.join(root.relative()),
    });
    Ok(StoragePlace::Beneath(granted.clone(), seen.map_err(|error| error.to_string())?))
}

fn attributes(
    mut attributes: Vec<(String, String)>,
    groups: &[String],
) -> Result<Vec<(String, String)>, String> {
    for (index, (name, _)) in attributes.iter().enumerate() {
        let is_taken = [ACCT_ATTRIBUTE, GROUPS_ATTRIBUTE].contains(&name.as_str());
        if is_taken || attributes.iter().skip(index + 1).any(|(other, _)| other == name) {
            return Err(format!("the name of an attribute is taken: {name}"));
        }
    }
    if let Some(group) = groups.iter().find(|group| group.is_empty() || group.contains(',')) {
        return Err(format!("no group's name: {group:?}"));
    }
    if !groups.is_empty() {
        attributes.push((GROUPS_ATTRIBUTE.to_owned(), groups.join(",")));
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> wire::Account {
        wire::Account {
            name: "alice".to_owned(),
            storage: "local:/srv/ftp/alice".to_owned(),
            root: "/".to_owned(),
            permissions: Vec::new(),
            limits: Vec::new(),
            groups: Vec::new(),
            attributes: Vec::new(),
        }
    }

    fn grants() -> Grants {
        Grants { storage: vec!["/srv/ftp".into()], ..Grants::default() }
    }

    fn admitted(change: impl FnOnce(&mut wire::Account)) -> Result<Admitted, String> {
        let mut account = said();
        change(&mut account);
        Admitted::new(account, &grants()).map_err(|failure| match failure {
            Failure::Verdict(reason) | Failure::Unfit(reason) => reason,
            other => other.to_string(),
        })
    }

    fn placed(storage: &str, root: &str) -> Result<String, String> {
        let account = |account: &mut wire::Account| {
            account.storage = storage.to_owned();
            account.root = root.to_owned();
        };
        admitted(account).map(|admitted| admitted.place.to_string())
    }

    #[test]
    fn local_storages_are_within_what_is_granted() {
        assert_eq!(placed("local:/srv/ftp/alice", "/").unwrap(), "local:/srv/ftp/alice");
        assert_eq!(placed("local:/srv/ftp", "alice/../bob").unwrap(), "local:/srv/ftp/bob");
        assert_eq!(placed("local:/srv/ftp/a/", "/../..").unwrap(), "local:/srv/ftp/a");
        assert_eq!(placed("plugin:memory", "/").unwrap(), "plugin:memory");
        for (storage, complaint) in [
            (
                "local:/srv/ftpx",
                "storage not granted: /srv/ftpx; the grant is storage = [\"/srv/ftpx\"]",
            ),
            ("local:/", "storage not granted: /; the grant is storage = [\"/\"]"),
            ("local:/srv/ftp/../../etc", "\"..\" in the path of a storage: /srv/ftp/../../etc"),
            ("/srv/ftp", "neither local:/DIRECTORY nor plugin:NAME: /srv/ftp"),
        ] {
            assert_eq!(placed(storage, "/").unwrap_err(), complaint);
        }
        assert_eq!(placed("plugin:memory", "x/../y").unwrap(), "plugin:memory/y");
        assert!(placed("plugin:memory", "a\nb").is_err());
        assert!(placed("local:/srv/ftp", "a\nb").is_err());
    }

    #[test]
    fn a_word_that_is_not_known_is_a_mistake() {
        let limit = |name: &str, value: &str| {
            admitted(|a| a.limits.push((name.to_owned(), value.to_owned()))).map(drop)
        };
        assert_eq!(limit("max.sessions", "3"), Ok(()));
        assert_eq!(limit("tls.resumption", "require"), Ok(()));
        for (name, value) in
            [("max.sessions", "0"), ("max.sessions", "x"), ("tls.resumption", "x"), ("quota", "1")]
        {
            assert!(limit(name, value).is_err(), "{name} = {value}");
        }
        assert!(admitted(|a| a.permissions.push("list".to_owned())).is_ok());
        let wrong = admitted(|a| a.permissions.push("fly".to_owned()));
        assert_eq!(wrong.unwrap_err(), "no such permission: fly");
        for name in ["", "a\nb"] {
            assert!(admitted(|a| a.name = name.to_owned()).is_err());
        }
    }

    #[test]
    fn groups_are_an_attribute_and_no_name_comes_twice() {
        let attribute = |name: &str| (name.to_owned(), "x".to_owned());
        let found = admitted(|a| {
            a.groups = vec!["staff".to_owned(), "web".to_owned()];
            a.attributes.push(attribute("mail"));
        });
        let expected = [attribute("mail"), ("groups".to_owned(), "staff,web".to_owned())];
        assert_eq!(*found.unwrap().attributes, expected);
        for name in ["acct", "groups"] {
            assert!(admitted(|a| a.attributes.push(attribute(name))).is_err());
        }
        assert!(admitted(|a| a.attributes = vec![attribute("a"), attribute("a")]).is_err());
        assert!(admitted(|a| a.groups.push("a,b".to_owned())).is_err());
    }

    #[test]
    fn what_is_said_of_an_account_is_counted_with_its_groups() {
        let said = |attribute: usize, group: usize| {
            admitted(|a| {
                a.attributes = vec![("a".to_owned(), "x".repeat(attribute))];
                a.groups = vec!["x".repeat(group), "y".to_owned()];
            })
        };
        // Beside them "a", "groups", a comma and "y".
        assert!(said(8000, 8384 - 9).is_ok());
        assert!(said(8000, 8384 - 8).is_err());
        let many = |count: u32| {
            let names = (0..count).map(|number| (number.to_string(), String::new()));
            admitted(|a| a.attributes = names.collect())
        };
        assert!(many(64).is_ok() && many(65).is_err());
    }
}
