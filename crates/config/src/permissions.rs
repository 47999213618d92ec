//! What an account may do with files.

use std::fmt;

/// One thing that an account may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// See directories and the facts of what is in them.
    List,
    /// Read files.
    Read,
    /// Create files and set their times and modes. Replacing one takes `Delete` as well.
    Write,
    /// Add to files that are there.
    Append,
    /// Remove files and directories, and replace files.
    Delete,
    /// Rename files and directories. Onto a file that is there takes `Delete` as well.
    Rename,
    /// Make directories.
    Mkdir,
}

impl Permission {
    /// Every permission, in the order in which they are written.
    pub const ALL: [Self; 7] = [
        Self::List,
        Self::Read,
        Self::Write,
        Self::Append,
        Self::Delete,
        Self::Rename,
        Self::Mkdir,
    ];

    /// Returns the word that stands for it in a configuration file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Read => "read",
            Self::Write => "write",
            Self::Append => "append",
            Self::Delete => "delete",
            Self::Rename => "rename",
            Self::Mkdir => "mkdir",
        }
    }

    /// Returns the permission that `word` stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.word() == word)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u8);

impl Permissions {
    /// Nothing is allowed.
    pub const NONE: Self = Self(0);
    /// Everything is allowed.
    pub const ALL: Self = Self(0x7f);
    /// Looking and fetching, and nothing that changes anything.
    pub const READ_ONLY: Self = Self(Permission::List.bit() | Permission::Read.bit());

    /// Whether `permission` is in the set.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Returns the set with `permission` added.
    #[must_use]
    pub const fn with(self, permission: Permission) -> Self {
        Self(self.0 | permission.bit())
    }

    /// Whether anything in the set can change what is stored.
    #[must_use]
    pub const fn can_change(self) -> bool {
        self.0 & !Self::READ_ONLY.0 != 0
    }

    /// Returns the permissions of the set, in the order in which they are written.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set: Permissions = [Permission::Read, Permission::Mkdir].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Permission::Read, Permission::Mkdir]);
        assert_eq!(Permissions::ALL.iter().collect::<Vec<_>>(), Permission::ALL);
        assert_eq!(format!("{:?}", Permissions::READ_ONLY), "{List, Read}");
    }

    #[test]
    fn only_looking_and_fetching_change_nothing() {
        assert!(!Permissions::NONE.can_change());
        assert!(!Permissions::READ_ONLY.can_change());
        for permission in Permission::ALL.into_iter().skip(2) {
            assert!(Permissions::NONE.with(permission).can_change(), "{permission:?}");
        }
    }

    #[test]
    fn words_and_permissions_go_round() {
        for permission in Permission::ALL {
            assert_eq!(Permission::from_word(permission.word()), Some(permission));
        }
        assert_eq!(Permission::from_word("List"), None);
    }
}
