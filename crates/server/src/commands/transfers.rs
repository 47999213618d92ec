//! What the transfer commands mean: RETR, STOR, APPE, STOU. Nothing is changed here; the
//! [transfer](crate::transfer) itself runs only once the client has been told 150.

use std::cmp::Ordering;

use waft_core::Account;
use waft_core::account::Permission;
use waft_core::storage::{ErrorKind, StorageError, WriteMode};
use waft_proto::command::printable;
use waft_proto::{Code, Reply};

use super::Refusal;
use super::navigate::exists_is_bad_name;
use crate::net::Network;
use crate::session::{Pending, Session};
use crate::transfer::{Source, Target, Transfer};

/// How many names STOU tries.
const UNIQUE_NAMES_MAX: u32 = 1000;

impl<N: Network> Session<N> {
    /// RETR, from where REST said or of the part that RANG chose.
    pub(super) async fn retr(
        &mut self,
        account: &Account,
        argument: &[u8],
        pending: Pending,
    ) -> Result<Transfer, Refusal> {
        let path = self.path(argument)?;
        let (offset, limit) = match pending {
            Pending::Restart(offset) => (offset, None),
            Pending::Range(range) => {
                (range.first, Some((range.last - range.first).saturating_add(1)))
            }
            _ => (0, None),
        };
        let reader = account.storage.open_read(&path, offset).await?;
        let size = match (reader.size(), limit) {
            (Some(size), Some(limit)) => Some(size.min(limit)),
            (size, limit) => size.or(limit),
        };
        let what = match size {
            Some(size) => format!("{} ({size} bytes)", printable(argument)),
            None => printable(argument).into_owned(),
        };
        Ok(Transfer::send(what, Source::File { reader, limit, path }))
    }

    /// STOR, from where REST said.
    pub(super) async fn stor(
        &mut self,
        account: &Account,
        argument: &[u8],
        pending: Pending,
    ) -> Result<Transfer, Refusal> {
        let mode = match pending {
            Pending::Range(_) => return Err(range_of_upload()),
            Pending::Restart(offset) if offset > 0 => {
                self.restart(account, argument, offset).await?
            }
            // Replacing a file takes what was there: an account that may not delete may not.
            _ if account.permissions.allow(Permission::Delete) => WriteMode::Replace,
            _ => WriteMode::CreateNew,
        };
        self.upload(account, argument, mode).await
    }

    /// APPE; behind REST it is STOR behind REST.
    pub(super) async fn appe(
        &mut self,
        account: &Account,
        argument: &[u8],
        pending: Pending,
    ) -> Result<Transfer, Refusal> {
        let mode = match pending {
            Pending::Range(_) => return Err(range_of_upload()),
            Pending::Restart(offset) if offset > 0 => {
                self.restart(account, argument, offset).await?
            }
            _ => WriteMode::Append,
        };
        self.upload(account, argument, mode).await
    }

    /// What an upload that begins at an offset means.
    ///
    /// Before the end it takes away what was there: an account that may not delete may only go on at
    /// the end, wherever that is by then.
    async fn restart(
        &self,
        account: &Account,
        argument: &[u8],
        offset: u64,
    ) -> Result<WriteMode, Refusal> {
        if !account.permissions.allow(Permission::Append) {
            return Err(Refusal::denied());
        }
        if account.permissions.allow(Permission::Delete) {
            return Ok(WriteMode::At(offset));
        }
        let end = match account.storage.resume_offset(&self.path(argument)?).await {
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
        account: &Account,
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
            match account.storage.check_write(&path, WriteMode::CreateNew).await {
                Ok(()) => {
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

    async fn upload(
        &mut self,
        account: &Account,
        argument: &[u8],
        mode: WriteMode,
    ) -> Result<Transfer, Refusal> {
        let path = self.path(argument)?;
        let permissions = account.permissions;
        let allowed = match mode {
            WriteMode::CreateNew | WriteMode::Replace => permissions.allow(Permission::Write),
            // What `restart` has allowed.
            WriteMode::At(_) => true,
            WriteMode::Append if permissions.allow(Permission::Write) => true,
            // Adding to a file is not creating one.
            WriteMode::Append => account.storage.stat(&path).await.is_ok(),
        };
        if !allowed {
            return Err(Refusal::denied());
        }
        account.storage.check_write(&path, mode).await.map_err(exists_is_bad_name)?;
        let opening = format!("Opening data connection for {}.", printable(argument));
        Ok(Transfer::receive(Reply::new(Code::OPENING, opening), Target { path, mode }))
    }
}

fn range_of_upload() -> Refusal {
    Refusal::new(Code::BAD_SEQUENCE, "RANG is for downloads and checksums; use REST.")
}
