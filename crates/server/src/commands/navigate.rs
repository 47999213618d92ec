//! Directories and names: CWD, CDUP, PWD, MKD, RMD, DELE, RNFR, RNTO.

use waft_core::account::Permission;
use waft_core::event::Happening;
use waft_core::hooks::FileOp;
use waft_core::storage::{ErrorKind, FileKind, Replace, StorageError};
use waft_proto::reply::pathname_reply;
use waft_proto::{Code, Reply};

use super::reach::Actor;
use super::{Answer, Refusal};
use crate::net::Network;
use crate::session::{Pending, Session};

impl<N: Network> Session<N> {
    /// CWD and CDUP. The working directory keeps the name that the client gave, wherever plugins
    /// lead it: they are asked again about what is done in it.
    pub(super) async fn cwd(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let named = self.path(argument)?;
        let path = self.reach(by, FileOp::Enter(named.clone())).await?;
        let metadata = by.account.storage.stat(&path).await?;
        if metadata.kind != FileKind::Directory {
            return Err(StorageError::from(ErrorKind::NotADirectory).into());
        }
        self.enter(named);
        Ok(Reply::new(Code::FILE_DONE, "Directory changed."))
    }

    /// PWD.
    pub(super) fn pwd(&self) -> Reply {
        pathname_reply(self.facts.cwd.as_bytes(), "is the working directory.")
    }

    /// MKD: 257 with the absolute path (RFC 959, appendix II).
    pub(super) async fn mkd(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let named = self.path(argument)?;
        let path = self.reach(by, FileOp::MakeDirectory(named.clone())).await?;
        by.account.storage.make_directory(&path).await?;
        tracing::info!(%path, "directory made");
        let reply = pathname_reply(named.as_bytes(), "created.");
        self.emit(Happening::DirectoryMade { path });
        Ok(reply)
    }

    /// RMD.
    pub(super) async fn rmd(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let path = self.target(by, argument, FileOp::RemoveDirectory).await?;
        by.account.storage.remove_directory(&path).await?;
        tracing::info!(%path, "directory removed");
        self.emit(Happening::DirectoryRemoved { path });
        Ok(Reply::new(Code::FILE_DONE, "Directory removed."))
    }

    /// DELE.
    pub(super) async fn dele(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let path = self.target(by, argument, FileOp::Remove).await?;
        by.account.storage.remove_file(&path).await?;
        tracing::info!(%path, "file deleted");
        self.emit(Happening::FileRemoved { path });
        Ok(Reply::new(Code::FILE_DONE, "File deleted."))
    }

    /// RNFR: the name must be there.
    pub(super) async fn rnfr(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let path = self.target(by, argument, FileOp::Inspect).await?;
        by.account.storage.stat(&path).await?;
        if !by.account.storage.abilities().rename {
            return Err(StorageError::from(ErrorKind::Unsupported).into());
        }
        self.pending = Pending::Rename(path);
        Ok(Reply::new(Code::PENDING, "Ready for RNTO."))
    }

    /// RNTO: replaces a file only for an account that may delete.
    pub(super) async fn rnto(
        &mut self,
        by: &Actor<'_>,
        argument: &[u8],
        pending: Pending,
    ) -> Answer {
        let Pending::Rename(from) = pending else {
            return Err(Refusal::new(Code::BAD_SEQUENCE, "RNFR comes before RNTO."));
        };
        let op = |to| FileOp::Rename(from.clone(), to);
        let to = self.target(by, argument, op).await?;
        let replace = match by.account.permissions.allow(Permission::Delete) {
            true => Replace::File,
            false => Replace::Never,
        };
        by.account.storage.rename(&from, &to, replace).await.map_err(exists_is_bad_name)?;
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
