//! Who is logged in, and what that account may do.

use std::fmt;
use std::sync::Arc;

use waft_proto::verb::Access;

use crate::path::VirtualPath;
use crate::storage::Storage;

/// One thing that an account may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Permission {
    /// See names and facts.
    List,
    /// Read contents.
    Read,
    /// Create files and change their facts. Replacing a file needs `Delete` as well, so that an
    /// account with `Write` alone is a drop-box.
    Write,
    /// Add to files that exist, resume uploads.
    Append,
    /// Delete files and directories, and replace files.
    Delete,
    /// Rename. Renaming onto a file that exists needs `Delete` as well.
    Rename,
    /// Make directories.
    Mkdir,
}

impl Permission {
    /// All of them, with the names that configuration and plugins use.
    pub const ALL: [(Permission, &'static str); 7] = [
        (Permission::List, "list"),
        (Permission::Read, "read"),
        (Permission::Write, "write"),
        (Permission::Append, "append"),
        (Permission::Delete, "delete"),
        (Permission::Rename, "rename"),
        (Permission::Mkdir, "mkdir"),
    ];

    /// The permission of that name.
    pub fn from_name(name: &str) -> Option<Permission> {
        Permission::ALL
            .into_iter()
            .find(|(_, known)| *known == name)
            .map(|(permission, _)| permission)
    }
}

/// A set of [`Permission`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u8);

impl Permissions {
    /// Nothing is allowed.
    pub const NONE: Permissions = Permissions(0);
    /// Everything is allowed.
    pub const ALL: Permissions = Permissions(0x7f);
    /// Seeing and reading.
    pub const READ_ONLY: Permissions =
        Permissions(1 << Permission::List as u8 | 1 << Permission::Read as u8);

    /// The set with `permission` added.
    #[must_use]
    pub const fn with(self, permission: Permission) -> Permissions {
        Permissions(self.0 | 1 << permission as u8)
    }

    /// The permissions in both sets.
    #[must_use]
    pub const fn intersection(self, other: Permissions) -> Permissions {
        Permissions(self.0 & other.0)
    }

    /// Whether `permission` is in the set.
    pub const fn allow(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// Whether a command that needs `access` may run.
    pub const fn permit(self, access: Access) -> bool {
        match access {
            Access::Free => true,
            Access::List => self.allow(Permission::List),
            Access::Read => self.allow(Permission::Read),
            Access::Write => self.allow(Permission::Write),
            Access::Append => self.allow(Permission::Append),
            Access::Delete => self.allow(Permission::Delete),
            Access::Rename => self.allow(Permission::Rename),
            Access::Mkdir => self.allow(Permission::Mkdir),
        }
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<T: IntoIterator<Item = Permission>>(permissions: T) -> Permissions {
        permissions.into_iter().fold(Permissions::NONE, Permissions::with)
    }
}

/// What becomes of data connections under TLS that do not resume the control connection's session.
///
/// Whoever resumes it proves to be the client of the control connection. Nothing of another
/// session is ever resumed, whatever is chosen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// They serve like all others.
    Off,
    /// They serve, are counted and logged.
    Report,
    /// They are refused with 522.
    Require,
}

impl Resumption {
    /// All of them, with the names that configuration and plugins use.
    pub const ALL: [(Resumption, &'static str); 3] = [
        (Resumption::Off, "off"),
        (Resumption::Report, "report"),
        (Resumption::Require, "require"),
    ];

    /// The rule of that name.
    pub fn from_name(name: &str) -> Option<Resumption> {
        Resumption::ALL.into_iter().find(|(_, known)| *known == name).map(|(rule, _)| rule)
    }
}

/// The limits of an account, by the names that plugins use.
pub mod limit {
    /// Sessions that it may have at a time.
    pub const SESSIONS: &str = "max.sessions";
    /// What is demanded of its data connections under TLS.
    pub const RESUMPTION: &str = "tls.resumption";
}

/// What an authenticator found out about who logged in.
#[derive(Clone)]
pub struct Account {
    /// The account's name, as logs and plugins show it.
    pub name: Arc<str>,
    /// What the account may do.
    pub permissions: Permissions,
    /// Where its files are; `/` of the session is the storage's root.
    pub storage: Arc<dyn Storage>,
    /// The working directory after login.
    pub home: VirtualPath,
    /// Whether anybody may log in to it; the server words its 230 by this.
    pub anonymous: bool,
    /// Sessions the account may have at a time; 0 for any number. `None` where nobody says: as many
    /// as the server lets every account have.
    pub sessions_max: Option<u32>,
    /// What is demanded of the account's data connections under TLS, in place of what the listener
    /// demands of everybody's; nothing for the same.
    pub resumption: Option<Resumption>,
    /// Read-only facts by name, for plugins.
    pub attributes: Arc<[(String, String)]>,
}

impl Account {
    /// What plugins read of it by name: its limits, for which no attribute can stand, and its
    /// attributes.
    pub fn facts(&self) -> Arc<[(String, String)]> {
        let mut limits = Vec::new();
        if let Some(max) = self.sessions_max.filter(|max| *max > 0) {
            limits.push((limit::SESSIONS.to_owned(), max.to_string()));
        }
        let rules = Resumption::ALL.iter();
        for (_, name) in rules.filter(|(rule, _)| Some(*rule) == self.resumption) {
            limits.push((limit::RESUMPTION.to_owned(), (*name).to_owned()));
        }
        if limits.is_empty() {
            return Arc::clone(&self.attributes);
        }
        limits.extend(self.attributes.iter().cloned());
        limits.into()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("permissions", &self.permissions)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_every_permission_by_name() {
        let all: Permissions =
            Permission::ALL.into_iter().map(|(permission, _)| permission).collect();
        assert_eq!(all, Permissions::ALL);
        for (permission, name) in Permission::ALL {
            assert_eq!(Permission::from_name(name), Some(permission));
        }
        assert!(!Permissions::READ_ONLY.permit(Access::Write));
        assert!(Permissions::READ_ONLY.permit(Access::Read));
        assert!(Permissions::NONE.permit(Access::Free));
    }
}
