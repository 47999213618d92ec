//! Directories and names: CWD, CDUP, PWD, MKD, RMD, DELE, RNFR, RNTO.

use waft_core::Account;
use waft_core::account::Permission;
use waft_core::event::Happening;
use waft_core::storage::{ErrorKind, FileKind, Replace, StorageError};
use waft_proto::reply::pathname_reply;
use waft_proto::{Code, Reply};

use super::{Answer, Refusal};
use crate::net::Network;
use crate::session::{Pending, Session};

impl<N: Network> Session<N> {
    /// CWD and CDUP.
    pub(super) async fn cwd(&mut self, account: &Account, argument: &[u8]) -> Answer {
        let path = self.path(argument)?;
        let metadata = account.storage.stat(&path).await?;
        if metadata.kind != FileKind::Directory {
            return Err(StorageError::from(ErrorKind::NotADirectory).into());
        }
        self.facts_mut().cwd = path;
        Ok(Reply::new(Code::FILE_DONE, "Directory changed."))
    }

    /// PWD.
    pub(super) fn pwd(&self) -> Reply {
        pathname_reply(self.facts.cwd.as_bytes(), "is the working directory.")
    }

    /// MKD: 257 with the absolute path (RFC 959, appendix II).
    pub(super) async fn mkd(&mut self, account: &Account, argument: &[u8]) -> Answer {
        let path = self.path(argument)?;
        account.storage.make_directory(&path).await?;
        tracing::info!(%path, "directory made");
        let reply = pathname_reply(path.as_bytes(), "created.");
        self.emit(Happening::DirectoryMade { path });
        Ok(reply)
    }

    /// RMD.
    pub(super) async fn rmd(&mut self, account: &Account, argument: &[u8]) -> Answer {
        let path = self.path(argument)?;
        account.storage.remove_directory(&path).await?;
        tracing::info!(%path, "directory removed");
        self.emit(Happening::DirectoryRemoved { path });
        Ok(Reply::new(Code::FILE_DONE, "Directory removed."))
    }

    /// DELE.
    pub(super) async fn dele(&mut self, account: &Account, argument: &[u8]) -> Answer {
        let path = self.path(argument)?;
        account.storage.remove_file(&path).await?;
        tracing::info!(%path, "file deleted");
        self.emit(Happening::FileRemoved { path });
        Ok(Reply::new(Code::FILE_DONE, "File deleted."))
    }

    /// RNFR: the name must be there.
    pub(super) async fn rnfr(&mut self, account: &Account, argument: &[u8]) -> Answer {
        let path = self.path(argument)?;
        account.storage.stat(&path).await?;
        self.pending = Pending::Rename(path);
        Ok(Reply::new(Code::PENDING, "Ready for RNTO."))
    }

    /// RNTO: replaces a file only for an account that may delete.
    pub(super) async fn rnto(
        &mut self,
        account: &Account,
        argument: &[u8],
        pending: Pending,
    ) -> Answer {
        let Pending::Rename(from) = pending else {
            return Err(Refusal::new(Code::BAD_SEQUENCE, "RNFR comes before RNTO."));
        };
        let to = self.path(argument)?;
        let replace = match account.permissions.allow(Permission::Delete) {
            true => Replace::File,
            false => Replace::Never,
        };
        account.storage.rename(&from, &to, replace).await.map_err(exists_is_bad_name)?;
        tracing::info!(path = %from, %to, "renamed");
        self.emit(Happening::Renamed { from, to });
        Ok(Reply::new(Code::FILE_DONE, "Renamed."))
    }
}

/// For uploads and renames, a name that is taken is a name that is not allowed: 553.
pub(super) fn exists_is_bad_name(error: StorageError) -> Refusal {
    match error.kind() {
        ErrorKind::Exists => Refusal::new(Code::BAD_NAME, "File exists."),
        _ => error.into(),
    }
}
