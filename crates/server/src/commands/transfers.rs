//! What the transfer commands mean: RETR, STOR, APPE, STOU. Nothing is changed here; the
//! [transfer](crate::transfer) itself runs only once the client has been told 150.

use std::cmp::Ordering;

use waft_core::VirtualPath;
use waft_core::account::Permission;
use waft_core::hooks::{FileOp, FileOpKind, WriteKind};
use waft_core::storage::{ErrorKind, StorageError, WriteMode};
use waft_proto::command::printable;
use waft_proto::{Code, Reply};

use super::Refusal;
use super::navigate::exists_is_bad_name;
use super::reach::Actor;
use crate::net::Network;
use crate::session::{Pending, Session};
use crate::transfer::{Source, Target, Transfer};

/// How many names STOU tries.
const UNIQUE_NAMES_MAX: u32 = 1000;

impl<N: Network> Session<N> {
    /// RETR, from where REST said or of the part that RANG chose.
    pub(super) async fn retr(
        &mut self,
        by: &Actor<'_>,
        argument: &[u8],
        pending: Pending,
    ) -> Result<Transfer, Refusal> {
        let (offset, limit) = match pending {
            Pending::Restart(offset) => (offset, None),
            Pending::Range(range) => {
                (range.first, Some((range.last - range.first).saturating_add(1)))
            }
            _ => (0, None),
        };
        let path = self.target(by, argument, |path| FileOp::Read(path, offset)).await?;
        let reader = by.account.storage.open_read(&path, offset).await?;
        let size = match (reader.size(), limit) {
            (Some(size), Some(limit)) => Some(size.min(limit)),
            (size, limit) => size.or(limit),
        };
        let whole = offset == 0 && limit.is_none();
        let source = Source::File { reader, limit, path, size, whole };
        Ok(Transfer::send(printable(argument), source))
    }

    /// STOR, from where REST said.
    pub(super) async fn stor(
        &mut self,
        by: &Actor<'_>,
        argument: &[u8],
        pending: Pending,
    ) -> Result<Transfer, Refusal> {
        let offset = upload_offset(&pending)?;
        // Replacing a file takes what was there: an account that may not delete may not.
        let whole = match by.account.permissions.allow(Permission::Delete) {
            true => WriteMode::Replace,
            false => WriteMode::CreateNew,
        };
        self.upload(by, argument, whole, offset).await
    }

    /// APPE; behind REST it is STOR behind REST.
    pub(super) async fn appe(
        &mut self,
        by: &Actor<'_>,
        argument: &[u8],
        pending: Pending,
    ) -> Result<Transfer, Refusal> {
        let offset = upload_offset(&pending)?;
        self.upload(by, argument, WriteMode::Append, offset).await
    }

    /// What an upload that begins at an offset means.
    ///
    /// Before the end it takes away what was there: an account that may not delete may only go on at
    /// the end, wherever that is by then.
    async fn restart(
        &self,
        by: &Actor<'_>,
        path: &VirtualPath,
        offset: u64,
    ) -> Result<WriteMode, Refusal> {
        if !by.account.permissions.allow(Permission::Append) {
            return Err(Refusal::denied());
        }
        if by.account.permissions.allow(Permission::Delete) {
            return Ok(WriteMode::At(offset));
        }
        let end = match by.account.storage.resume_offset(path).await {
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            end => end?,
        };
        match offset.cmp(&end) {
            Ordering::Less => Err(Refusal::denied()),
            Ordering::Equal => Ok(WriteMode::Append),
            Ordering::Greater => Err(StorageError::from(ErrorKind::BadOffset).into()),
        }
    }

    /// STOU: the reply tells the name, which RFC 1123 (4.1.2.9) wants as `150 FILE: name`.
    pub(super) async fn stou(
        &mut self,
        by: &Actor<'_>,
        argument: &[u8],
        pending: Pending,
    ) -> Result<Transfer, Refusal> {
        if matches!(pending, Pending::Restart(_) | Pending::Range(_)) {
            return Err(Refusal::new(Code::BAD_SEQUENCE, "STOU begins at the beginning."));
        }
        let wanted: &[u8] = if argument.is_empty() { b"upload" } else { argument };
        for number in 0..UNIQUE_NAMES_MAX {
            let mut name = wanted.to_vec();
            if number > 0 || argument.is_empty() {
                name.extend_from_slice(format!(".{:03}", number + 1).as_bytes());
            }
            let path = self.path(&name)?;
            // Other sessions are told other names, also before this one's file is there.
            let Ok(reserved) = self.shared.unique_names.enter(path.clone(), 0, 1) else { continue };
            match by.account.storage.check_write(&path, WriteMode::CreateNew).await {
                Ok(()) => {
                    let path = self.reach(by, FileOp::Write(path, WriteKind::Create)).await?;
                    let target = Target { path, mode: WriteMode::CreateNew };
                    let opening = [b"FILE: ", &*name].concat();
                    let opening = Reply::data(Code::OPENING, opening);
                    return Ok(Transfer::receive(opening, target).reserving(reserved));
                }
                Err(error) if error.kind() == ErrorKind::Exists => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::new(Code::BUSY, "No unique name found, try again."))
    }

    /// An upload that is `whole` of that mode, unless it begins at an offset.
    async fn upload(
        &mut self,
        by: &Actor<'_>,
        argument: &[u8],
        whole: WriteMode,
        offset: Option<u64>,
    ) -> Result<Transfer, Refusal> {
        let path = self.path(argument)?;
        let kind = match (offset, whole) {
            (Some(_), _) => WriteKind::Resume,
            (None, WriteMode::Append) => WriteKind::Append,
            // Nobody looks at it.
            _ if by.filter(FileOpKind::Write).is_none() => WriteKind::Replace,
            _ if by.account.storage.stat(&path).await.is_ok() => WriteKind::Replace,
            _ => WriteKind::Create,
        };
        let path = self.reach(by, FileOp::Write(path, kind)).await?;
        let mode = match offset {
            Some(offset) => self.restart(by, &path, offset).await?,
            None => whole,
        };
        let permissions = by.account.permissions;
        let allowed = match mode {
            WriteMode::CreateNew | WriteMode::Replace => permissions.allow(Permission::Write),
            // What `restart` has allowed.
            WriteMode::At(_) => true,
            WriteMode::Append if permissions.allow(Permission::Write) => true,
            // Adding to a file is not creating one.
            WriteMode::Append => by.account.storage.stat(&path).await.is_ok(),
        };
        if !allowed {
            return Err(Refusal::denied());
        }
        by.account.storage.check_write(&path, mode).await.map_err(exists_is_bad_name)?;
        let opening = format!("Opening data connection for {}.", printable(argument));
        Ok(Transfer::receive(Reply::new(Code::OPENING, opening), Target { path, mode }))
    }
}

/// Where an upload begins, if not at the beginning.
fn upload_offset(pending: &Pending) -> Result<Option<u64>, Refusal> {
    match *pending {
        Pending::Range(_) => {
            Err(Refusal::new(Code::BAD_SEQUENCE, "RANG is for downloads and checksums; use REST."))
        }
        Pending::Restart(offset) if offset > 0 => Ok(Some(offset)),
        _ => Ok(None),
    }
}
