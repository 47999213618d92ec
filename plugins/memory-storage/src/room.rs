//! How much may be kept.

use waft_plugin_sdk::StorageError;

use crate::tree::{File, each_file};

/// Bounds in octets of what files hold. The store that the server lends is bounded beside that.
#[derive(Debug)]
pub(crate) struct Room {
    /// Of all files together.
    pub(crate) quota: Option<u64>,
    /// Of the files of one user.
    pub(crate) user_quota: Option<u64>,
    /// Of one file.
    pub(crate) max_file: Option<u64>,
}

impl Room {
    /// Whether what is there bounds what may come.
    pub(crate) fn is_bounded(&self) -> bool {
        self.quota.is_some() || self.user_quota.is_some()
    }

    /// Octets that a user's file may have which replaces another. Uploads that go on at the same
    /// time do not see each other.
    pub(crate) fn for_file(
        &self,
        user: &str,
        replaced: Option<&File>,
    ) -> Result<u64, StorageError> {
        let left = self.left(user, replaced)?.unwrap_or(u64::MAX);
        Ok(left.min(self.max_file.unwrap_or(u64::MAX)))
    }

    /// Octets that a user may still add; none if nobody counts.
    pub(crate) fn left(
        &self,
        user: &str,
        replaced: Option<&File>,
    ) -> Result<Option<u64>, StorageError> {
        if !self.is_bounded() {
            return Ok(None);
        }
        let (mut all, mut own) = (0_u64, 0_u64);
        each_file(|file| {
            if replaced.is_some_and(|replaced| replaced.id == file.id) {
                return;
            }
            all = all.saturating_add(file.size);
            if file.owner == user {
                own = own.saturating_add(file.size);
            }
        })?;
        let left = |quota: Option<u64>, used: u64| quota.map(|quota| quota.saturating_sub(used));
        Ok(left(self.quota, all).into_iter().chain(left(self.user_quota, own)).min())
    }
}
