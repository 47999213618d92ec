//! Facts of files: SIZE, MDTM, MLST, MFMT, MFCT, MFF, AVBL, ALLO, SITE.

use waft_core::account::{Permission, Permissions};
use waft_core::hooks::FileOp;
use waft_core::storage::{ChangeFacts, ErrorKind, FileKind, Metadata, StorageError};
use waft_core::{Account, VirtualPath};
use waft_proto::arguments::{
    FactChanges, Representation, parse_allo, parse_chmod, parse_mff, parse_time_and_path,
    parse_utime, split_word,
};
use waft_proto::ascii::Encoder;
use waft_proto::facts::mlst_reply;
use waft_proto::time::{Precision, write_time_val};
use waft_proto::{Code, Entry, Kind, Perms, Reply, Timestamp};

use super::reach::Actor;
use super::site::site_help;
use super::{Answer, Refusal};
use crate::net::Network;
use crate::session::Session;
use crate::settings::Ascii;

/// Octets read at a time to compute the size of a text.
const READ_BYTES: usize = 64 * 1024;

impl<N: Network> Session<N> {
    /// SIZE: exactly what a transfer of the current TYPE would move (RFC 3659, 4), or nothing.
    pub(super) async fn size(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let path = self.target(by, argument, FileOp::Inspect).await?;
        let text = self.parameters.representation == Representation::Ascii
            && self.settings.transfers.ascii == Ascii::Translate;
        let size = match text {
            true => self.text_size(by, &path).await?,
            false => by.account.storage.resume_offset(&path).await?,
        };
        self.untransformed(by.hooks, &path, Some(size).filter(|_| !text)).await?;
        Ok(Reply::data(Code::FILE_STATUS, size.to_string()))
    }

    async fn text_size(&mut self, by: &Actor<'_>, path: &VirtualPath) -> Result<u64, Refusal> {
        let mut reader = by.account.storage.open_read(path, 0).await?;
        if reader.size().is_none_or(|size| size > self.settings.limits.ascii_size_bytes_max) {
            return Err(Refusal::new(
                Code::UNAVAILABLE,
                "Too large to compute its size in TYPE A; use TYPE I.",
            ));
        }
        let mut encoder = Encoder::new();
        let mut size = 0;
        let mut buffer = Vec::with_capacity(READ_BYTES);
        loop {
            buffer.clear();
            buffer = reader.read(buffer).await?;
            if buffer.is_empty() {
                return Ok(size);
            }
            size += encoder.encoded_len(&buffer);
        }
    }

    /// MDTM: UTC (RFC 3659, 3).
    pub(super) async fn mdtm(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let path = self.target(by, argument, FileOp::Inspect).await?;
        let metadata = by.account.storage.stat(&path).await?;
        let modified = metadata.modified.filter(|_| metadata.kind == FileKind::File);
        let Some(modified) = modified else {
            return Err(StorageError::from(ErrorKind::IsADirectory).into());
        };
        Ok(Reply::data(Code::FILE_STATUS, time_val(modified)))
    }

    /// MLST: the facts of one file or directory, on the control connection.
    pub(super) async fn mlst(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let named = self.path(argument)?;
        let path = self.reach(by, FileOp::Inspect(named.clone())).await?;
        let metadata = by.account.storage.stat(&path).await?;
        let entry = entry(named.as_bytes(), &metadata, by.account.permissions);
        mlst_reply(self.parameters.facts, &entry)
            .map_err(|_| Refusal::new(Code::BAD_NAME, "File name not allowed."))
    }

    /// MFMT (draft-somers-ftp-mfxx-04, 3).
    pub(super) async fn mfmt(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let (time, path) = parse_time_and_path(argument)?;
        let wanted = FactChanges { modified: Some(time), created: None, mode: None, path };
        let (storage, path) = self.changed(by, &wanted).await?;
        storage.set_modified(&path, time).await?;
        tracing::info!(%path, "modification time set");
        Ok(wanted.reply())
    }

    /// MFCT (draft-somers-ftp-mfxx-04, 4).
    pub(super) async fn mfct(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let (time, path) = parse_time_and_path(argument)?;
        let wanted = FactChanges { modified: None, created: Some(time), mode: None, path };
        let (storage, path) = self.changed(by, &wanted).await?;
        by.account.storage.stat(&path).await?;
        storage.set_created(&path, time).await?;
        Ok(wanted.reply())
    }

    /// MFF (draft-somers-ftp-mfxx-04, 5).
    pub(super) async fn mff(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let wanted = parse_mff(argument)?;
        wanted.mode.map_or(Ok(()), refuse_special)?;
        let (storage, path) = self.changed(by, &wanted).await?;
        by.account.storage.stat(&path).await?;
        if let Some(time) = wanted.created {
            storage.set_created(&path, time).await?;
        }
        if let Some(mode) = wanted.mode {
            storage.set_mode(&path, mode).await?;
        }
        if let Some(time) = wanted.modified {
            storage.set_modified(&path, time).await?;
        }
        tracing::info!(%path, "facts changed");
        Ok(wanted.reply())
    }

    /// SITE: CHMOD, UTIME, HELP.
    pub(super) async fn site(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let (word, rest) = split_word(argument);
        let rest = rest.unwrap_or_default();
        match &*word.to_ascii_uppercase() {
            b"HELP" => Ok(site_help(by.hooks.site())),
            b"CHMOD" => self.site_chmod(by, rest).await,
            b"UTIME" => self.site_utime(by, rest).await,
            _ => Err(Refusal::new(Code::UNRECOGNISED, "No such SITE command, see SITE HELP.")),
        }
    }

    async fn site_chmod(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let (mode, path) = parse_chmod(argument)?;
        refuse_special(mode)?;
        let wanted = FactChanges { modified: None, created: None, mode: Some(mode), path };
        let (storage, path) = self.changed(by, &wanted).await?;
        storage.set_mode(&path, mode).await?;
        tracing::info!(%path, mode = format_args!("{mode:03o}"), "mode set");
        Ok(Reply::new(Code::OKAY, "Mode set."))
    }

    async fn site_utime(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let time = parse_utime(argument)?;
        let modified = Some(time.modified);
        let wanted = FactChanges { modified, created: None, mode: None, path: time.path };
        let (storage, path) = self.changed(by, &wanted).await?;
        storage.set_modified(&path, time.modified).await?;
        tracing::info!(%path, "modification time set");
        Ok(Reply::new(Code::OKAY, "Time set."))
    }

    /// The file whose facts a command changes, and how, for an account that may.
    async fn changed<'a>(
        &self,
        by: &Actor<'a>,
        wanted: &FactChanges<'_>,
    ) -> Result<(&'a dyn ChangeFacts, VirtualPath), Refusal> {
        let storage = changes(by.account)?;
        let facts = String::from_utf8_lossy(&wanted.facts()).into_owned();
        let path = self.target(by, wanted.path, |path| FileOp::Change(path, facts)).await?;
        Ok((storage, path))
    }

    /// AVBL: octets that can still be stored.
    pub(super) async fn avbl(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let path = self.target(by, argument, FileOp::Inspect).await?;
        let metadata = by.account.storage.stat(&path).await?;
        if metadata.kind != FileKind::Directory {
            return Err(StorageError::from(ErrorKind::NotADirectory).into());
        }
        let space = by.account.storage.space().ok_or(ErrorKind::Unsupported);
        let bytes = space.map_err(StorageError::from)?.available(&path).await?;
        Ok(Reply::data(Code::FILE_STATUS, bytes.to_string()))
    }

    /// ALLO: nothing is reserved, but a file that cannot fit is refused now.
    pub(super) async fn allo(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        let wanted = parse_allo(argument)?.bytes;
        let Some(space) = by.account.storage.space() else {
            return Ok(Reply::new(Code::SUPERFLUOUS, "No allocation needed."));
        };
        match space.available(&self.facts.cwd).await {
            Ok(available) if available < wanted => {
                Err(StorageError::from(ErrorKind::NoSpace).into())
            }
            Ok(_) => Ok(Reply::new(Code::OKAY, "There is space for that.")),
            // Nobody knows.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                Ok(Reply::new(Code::SUPERFLUOUS, "No allocation needed."))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The storage's ability to change facts, for an account that may.
fn changes(account: &Account) -> Result<&dyn ChangeFacts, Refusal> {
    if !account.permissions.allow(Permission::Write) {
        return Err(Refusal::denied());
    }
    let unsupported = || Refusal::from(StorageError::from(ErrorKind::Unsupported));
    account.storage.facts().ok_or_else(unsupported)
}

/// Refuses the bits that make programs run as somebody else, and the sticky one.
fn refuse_special(mode: u32) -> Result<(), Refusal> {
    if mode & !0o777 == 0 {
        return Ok(());
    }
    Err(Refusal::new(Code::BAD_VALUE, "Only the bits of 0777 can be set."))
}

fn time_val(time: Timestamp) -> Vec<u8> {
    let mut text = Vec::new();
    write_time_val(&mut text, time, Precision::Seconds);
    text
}

/// What listings show of a file, `perm` by what the account may do (RFC 3659, 7.5.5).
pub(super) fn entry<'a>(name: &'a [u8], metadata: &Metadata, may: Permissions) -> Entry<'a> {
    let kind = match metadata.kind {
        FileKind::File => Kind::File,
        FileKind::Directory => Kind::Directory,
        FileKind::Symlink => Kind::Symlink,
        FileKind::Other => Kind::Other,
    };
    Entry {
        name,
        kind,
        size: metadata.size,
        modified: metadata.modified,
        created: metadata.created,
        mode: metadata.mode,
        links: metadata.links,
        unique: metadata.unique,
        perms: perms(kind, may),
    }
}

fn perms(kind: Kind, may: Permissions) -> Perms {
    let replace = may.allow(Permission::Write) && may.allow(Permission::Delete);
    let rows = match kind {
        Kind::File => [
            (may.allow(Permission::Append), Perms::APPEND),
            (may.allow(Permission::Delete), Perms::DELETE),
            (may.allow(Permission::Rename), Perms::RENAME),
            (may.allow(Permission::Read), Perms::READ),
            (replace, Perms::WRITE),
            (false, Perms::NONE),
            (false, Perms::NONE),
        ],
        _ => [
            (may.allow(Permission::Write), Perms::CREATE),
            (may.allow(Permission::Delete), Perms::DELETE),
            (true, Perms::ENTER),
            (may.allow(Permission::Rename), Perms::RENAME),
            (may.allow(Permission::List), Perms::LIST),
            (may.allow(Permission::Mkdir), Perms::MAKE),
            (may.allow(Permission::Delete), Perms::PURGE),
        ],
    };
    let allowed = rows.into_iter().filter(|(allowed, _)| *allowed);
    allowed.fold(Perms::NONE, |all, (_, one)| all | one)
}
