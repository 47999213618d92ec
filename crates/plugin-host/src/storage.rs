//! `storage`: the tree of files that a plugin exports, as a [`Storage`].
//!
//! A handle names the plugin and holds no version of it: every operation asks the generation in
//! force, so that sessions move on with their next command. What is open stays with the version
//! that opened it. Single operations take an instance like any other call; an open file has an
//! instance of its own until it is closed.
//!
//! What a guest answers is checked before anybody sees it: names, sizes of pages and pieces. Its
//! errors become those of storages; whatever it does wrong is `Io`, which the client sees as 451.
//! Paths that are not UTF-8 are `BadName`: no guest is shown a changed one.

mod files;
mod listing;

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use waft_core::storage::{
    Abilities, ChangeFacts, Directory, ErrorKind, FileKind, Metadata, Reader, Replace, Result,
    Space, Storage, StorageError, WriteMode, Writer,
};
use waft_core::{BoxFuture, SessionFacts, VirtualPath};
use waft_proto::Timestamp;
use wasmtime::Store;
use wasmtime::component::Resource;

use crate::artifact::{Artifact, Exports};
use crate::bindings::exports::waft::plugin::storage as wit;
use crate::bindings::waft::plugin::types::{self, FileStat};
use crate::capability::log::cleaned;
use crate::capability::sessions::Session;
use crate::errors::{Failure, Refusal, one_line};
use crate::guest::{Caller, Guest, Warm};
use crate::hook::Hook;
use crate::host::Shared;
use crate::limits;
use crate::onlooker::Told;
use crate::plugin::Plugin;
use listing::Listed;

/// The storage that a plugin exports.
#[derive(Clone)]
pub(crate) struct PluginStorage {
    shared: Arc<Shared>,
    name: Arc<str>,
    /// Whose operations these are; none before a session has taken the storage over.
    session: Option<Arc<SessionFacts>>,
}

/// What one operation goes by: a version of the plugin, and a session.
#[derive(Clone)]
struct Asked {
    plugin: Arc<Plugin>,
    caller: Caller,
    session: Arc<SessionFacts>,
}

/// How an upload begins, in the guest's words.
#[derive(Clone, Copy, Debug)]
struct Beginning {
    mode: wit::WriteMode,
    offset: u64,
}

impl PluginStorage {
    /// The storage of the plugin of that name.
    pub(crate) fn new(shared: Arc<Shared>, name: &str) -> PluginStorage {
        PluginStorage { shared, name: Arc::from(name), session: None }
    }

    /// The version in force, and its generation.
    fn plugin(&self) -> Option<(Arc<Plugin>, u64)> {
        let generation = self.shared.generation();
        let mut storages = generation.plugins().iter();
        let plugin = storages
            .find(|plugin| plugin.name == self.name && plugin.artifact.has(Hook::Storage))?;
        Some((Arc::clone(plugin), generation.number))
    }

    fn ask(&self) -> Result<Asked> {
        let failed = |reason: String| StorageError::new(ErrorKind::Io, reason);
        let session = self.session.clone().ok_or_else(|| failed("no session".to_owned()))?;
        let Some((plugin, generation)) = self.plugin() else {
            return Err(failed(format!("no plugin with a storage of this name: {}", self.name)));
        };
        let caller = Caller { hook: Hook::Storage, generation };
        Ok(Asked { plugin, caller, session })
    }

    /// The same for what not every storage can do.
    fn ask_able(&self, able: impl FnOnce(&Abilities) -> bool) -> Result<Asked> {
        let asked = self.ask()?;
        if able(&asked.plugin.abilities) { Ok(asked) } else { Err(ErrorKind::Unsupported.into()) }
    }
}

impl Asked {
    /// Makes one call, and checks what comes of it.
    async fn call<T, U: Told>(
        &self,
        about: impl FnOnce() -> String,
        call: impl AsyncFnOnce(
            &wit::Guest,
            &mut Store<Guest>,
            Resource<Session>,
        ) -> wasmtime::Result<std::result::Result<T, wit::Error>>,
        check: impl FnOnce(T) -> std::result::Result<U, Failure>,
    ) -> Result<U> {
        let call = async |exports: &Exports, store: &mut Store<Guest>, session| {
            call(exported(exports)?, store, session).await
        };
        let check = |said| match said {
            Ok(value) => check(value).map(Ok),
            Err(error) => Ok(Err(error)),
        };
        let said = self.plugin.ask(self.caller, &self.session, about, call, check).await;
        said.map_err(broken)?.map_err(refused)
    }

    async fn stat(&self, path: &VirtualPath) -> Result<Metadata> {
        let path = shown(path)?;
        let stat = async |storage: &wit::Guest, store: &mut Store<Guest>, session| {
            storage.call_stat(store, session, path).await
        };
        self.call(|| format!("stat {path}"), stat, |stat| Ok(metadata(&stat))).await
    }

    /// The size of the file that `path` names; nothing if nothing is there.
    async fn size(&self, path: &VirtualPath) -> Result<Option<u64>> {
        match self.stat(path).await {
            Ok(found) => match found.kind {
                FileKind::File => Ok(Some(found.size)),
                FileKind::Directory => Err(ErrorKind::IsADirectory.into()),
                FileKind::Symlink | FileKind::Other => Err(ErrorKind::Denied.into()),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How an upload would begin, if it may.
    async fn beginning(&self, path: &VirtualPath, mode: WriteMode) -> Result<Beginning> {
        let abilities = self.plugin.abilities;
        let beginning = |mode, offset| Ok(Beginning { mode, offset });
        if mode == WriteMode::Append && !abilities.append
            || matches!(mode, WriteMode::At(_)) && !abilities.write_at && !abilities.append
        {
            return Err(ErrorKind::Unsupported.into());
        }
        let size = self.size(path).await?;
        if size.is_none() {
            self.check_above(path).await?;
        }
        match mode {
            WriteMode::CreateNew if size.is_some() => Err(ErrorKind::Exists.into()),
            WriteMode::CreateNew => beginning(wit::WriteMode::CreateNew, 0),
            WriteMode::Replace => beginning(wit::WriteMode::Truncate, 0),
            WriteMode::Append => beginning(wit::WriteMode::Append, 0),
            WriteMode::At(offset) if offset > size.unwrap_or_default() => {
                Err(ErrorKind::BadOffset.into())
            }
            WriteMode::At(offset) if abilities.write_at => {
                beginning(wit::WriteMode::AtOffset, offset)
            }
            // Going on at the very end is appending.
            WriteMode::At(offset) if size == Some(offset) => beginning(wit::WriteMode::Append, 0),
            WriteMode::At(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Looks whether the directory is there that a new file would be in.
    async fn check_above(&self, path: &VirtualPath) -> Result<()> {
        let Some(above) = path.parent() else { return Err(ErrorKind::IsADirectory.into()) };
        match self.stat(&above).await?.kind {
            FileKind::Directory => Ok(()),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }
}

/// Makes a method of the trait out of one call about paths that answers nothing.
macro_rules! plain {
    (
        $self:ident,
        $able:expr,
        $name:literal [$($path:ident),+],
        |$storage:ident, $store:ident, $session:ident| $call:expr
    ) => {
        Box::pin(async move {
            let asked = $self.ask_able($able)?;
            $(let $path = shown($path)?;)+
            let call = async |$storage: &wit::Guest, $store: &mut Store<Guest>, $session| $call;
            let about = || [$name, $($path),+].join(" ");
            asked.call(about, call, Ok).await
        })
    };
}

impl Storage for PluginStorage {
    fn for_session(&self, session: &Arc<SessionFacts>) -> Option<Arc<dyn Storage>> {
        Some(Arc::new(PluginStorage { session: Some(Arc::clone(session)), ..self.clone() }))
    }

    fn abilities(&self) -> Abilities {
        self.plugin().map_or(Abilities::NONE, |(plugin, _)| plugin.abilities)
    }

    fn stat<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<Metadata>> {
        Box::pin(async move { self.ask()?.stat(path).await })
    }

    fn open_directory<'a>(
        &'a self,
        path: &'a VirtualPath,
    ) -> BoxFuture<'a, Result<Box<dyn Directory>>> {
        Box::pin(async move { Ok(Box::new(Listed::open(self.ask()?, path).await?) as _) })
    }

    fn open_read<'a>(
        &'a self,
        path: &'a VirtualPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Box<dyn Reader>>> {
        Box::pin(
            async move { Ok(Box::new(files::open_read(&self.ask()?, path, offset).await?) as _) },
        )
    }

    fn check_write<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.ask()?.beginning(path, mode).await.map(drop) })
    }

    fn open_write<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Box<dyn Writer>>> {
        Box::pin(
            async move { Ok(Box::new(files::open_write(&self.ask()?, path, mode).await?) as _) },
        )
    }

    /// Every upload is one that nobody sees before it is finished: that is what a writer promises.
    fn open_write_unseen<'a>(
        &'a self,
        path: &'a VirtualPath,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Box<dyn Writer>>> {
        self.open_write(path, mode)
    }

    fn resume_offset<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move { Ok(self.ask()?.size(path).await?.ok_or(ErrorKind::NotFound)?) })
    }

    fn make_directory<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<()>> {
        plain!(self, |able| able.make_directory, "make-dir"[path], |storage, store, session| {
            storage.call_make_dir(store, session, path).await
        })
    }

    fn remove_directory<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<()>> {
        plain!(self, |able| able.remove, "remove-dir"[path], |storage, store, session| {
            storage.call_remove_dir(store, session, path).await
        })
    }

    fn remove_file<'a>(&'a self, path: &'a VirtualPath) -> BoxFuture<'a, Result<()>> {
        plain!(self, |able| able.remove, "remove-file"[path], |storage, store, session| {
            storage.call_remove_file(store, session, path).await
        })
    }

    fn rename<'a>(
        &'a self,
        from: &'a VirtualPath,
        to: &'a VirtualPath,
        replace: Replace,
    ) -> BoxFuture<'a, Result<()>> {
        plain!(self, |able| able.rename, "rename" [from, to], |storage, store, session| {
            let replace = replace == Replace::File;
            storage.call_rename(store, session, from, to, replace).await
        })
    }

    fn facts(&self) -> Option<&dyn ChangeFacts> {
        self.abilities().set_modified.then_some(self)
    }

    fn space(&self) -> Option<&dyn Space> {
        self.abilities().space.then_some(self)
    }
}

impl ChangeFacts for PluginStorage {
    fn set_modified<'a>(
        &'a self,
        path: &'a VirtualPath,
        modified: Timestamp,
    ) -> BoxFuture<'a, Result<()>> {
        plain!(self, |able| able.set_modified, "set-modified"[path], |storage, store, session| {
            let time = modified.to_system_time();
            let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
            let ms = since.and_then(|since| u64::try_from(since.as_millis()).ok());
            storage.call_set_modified(store, session, path, ms.unwrap_or_default()).await
        })
    }

    fn set_created<'a>(&'a self, _: &'a VirtualPath, _: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(ready(Err(ErrorKind::Unsupported.into())))
    }

    fn set_mode<'a>(&'a self, _: &'a VirtualPath, _: u32) -> BoxFuture<'a, Result<()>> {
        Box::pin(ready(Err(ErrorKind::Unsupported.into())))
    }
}

impl Space for PluginStorage {
    /// `Unsupported` where the guest does not know.
    fn available<'a>(&'a self, _: &'a VirtualPath) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let asked = self.ask_able(|able| able.space)?;
            let call = async |storage: &wit::Guest, store: &mut Store<Guest>, session| {
                storage.call_free_space(store, session).await
            };
            Ok(asked
                .call(|| "free-space".to_owned(), call, Ok)
                .await?
                .ok_or(ErrorKind::Unsupported)?)
        })
    }
}

impl fmt::Debug for PluginStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginStorage").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Asks a new instance what its storage can do; nothing where it has none.
///
/// # Errors
/// It cannot say.
pub(crate) async fn abilities(
    warm: &mut Warm,
    artifact: &Artifact,
    generation: u64,
) -> std::result::Result<Abilities, Refusal> {
    if !artifact.has(Hook::Storage) {
        return Ok(Abilities::NONE);
    }
    let caller = Caller { hook: Hook::Storage, generation };
    let call = async |exports: &Exports, store: &mut Store<Guest>| {
        exported(exports)?.call_get_abilities(store).await
    };
    let said = warm.call(caller, None, call).await;
    let said = said.map_err(|failure| Refusal::Init(one_line(&failure.to_string())))?;
    let can = |flag| said.contains(flag);
    Ok(Abilities {
        append: can(wit::Abilities::APPEND),
        write_at: can(wit::Abilities::WRITE_AT_OFFSET),
        rename: can(wit::Abilities::RENAME),
        make_directory: can(wit::Abilities::MAKE_DIR),
        remove: can(wit::Abilities::REMOVE),
        set_modified: can(wit::Abilities::SET_MODIFIED),
        set_mode: false,
        space: can(wit::Abilities::FREE_SPACE),
    })
}

/// The functions of the guest's storage. It has them: nobody asks a plugin without.
fn exported(exports: &Exports) -> wasmtime::Result<&wit::Guest> {
    exports.storage.as_ref().ok_or_else(|| wasmtime::Error::msg("exports no storage"))
}

/// The path as guests see it.
fn shown(path: &VirtualPath) -> Result<&str> {
    // A listing must be able to tell of what is made here.
    let is_too_long = |name: &[u8]| name.len() > limits::NAME_BYTES_MAX;
    if path.as_bytes().split(|octet| *octet == b'/').any(is_too_long) {
        return Err(ErrorKind::BadName.into());
    }
    Ok(std::str::from_utf8(path.as_bytes()).map_err(|_| ErrorKind::BadName)?)
}

/// What a plugin's failure is to a storage's caller. It has been logged.
fn broken(failure: Failure) -> StorageError {
    StorageError::new(ErrorKind::Io, failure)
}

/// What a guest's own error is.
fn refused(error: wit::Error) -> StorageError {
    let kind = match error.code {
        wit::ErrorCode::NotFound => ErrorKind::NotFound,
        wit::ErrorCode::Denied => ErrorKind::Denied,
        wit::ErrorCode::Exists => ErrorKind::Exists,
        wit::ErrorCode::NotEmpty => ErrorKind::NotEmpty,
        wit::ErrorCode::NotADirectory => ErrorKind::NotADirectory,
        wit::ErrorCode::IsADirectory => ErrorKind::IsADirectory,
        wit::ErrorCode::NoSpace => ErrorKind::NoSpace,
        wit::ErrorCode::Quota => ErrorKind::Quota,
        wit::ErrorCode::Unsupported => ErrorKind::Unsupported,
        wit::ErrorCode::BadName => ErrorKind::BadName,
        wit::ErrorCode::Busy => ErrorKind::Busy,
        wit::ErrorCode::Io => ErrorKind::Io,
    };
    StorageError::new(kind, cleaned(&error.message))
}

/// What a guest says of a file. A time that no calendar has is none.
fn metadata(stat: &FileStat) -> Metadata {
    let kind = match stat.kind {
        types::FileKind::File => FileKind::File,
        types::FileKind::Directory => FileKind::Directory,
        types::FileKind::Symlink => FileKind::Symlink,
        types::FileKind::Other => FileKind::Other,
    };
    Metadata {
        kind,
        size: stat.size,
        modified: stat.modified.and_then(timestamp),
        created: None,
        mode: stat.mode.map(|mode| mode & 0o7777),
        links: 1,
        unique: None,
    }
}

/// The last year that times are written with.
const YEAR_MAX: i64 = 9999;

fn timestamp(ms: u64) -> Option<Timestamp> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))?;
    let time = Timestamp::from(time);
    (time.civil().year <= YEAR_MAX).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_no_calendar_has_is_none() {
        assert_eq!(timestamp(0), Some(Timestamp::EPOCH));
        assert_eq!(timestamp(1_000), Some(Timestamp::from_seconds(1)));
        assert_eq!(timestamp(u64::MAX), None);
    }

    #[test]
    fn every_error_of_a_guest_has_its_kind() {
        use wit::ErrorCode as Code;
        let rows = [
            (Code::NotFound, ErrorKind::NotFound),
            (Code::Denied, ErrorKind::Denied),
            (Code::Exists, ErrorKind::Exists),
            (Code::NotEmpty, ErrorKind::NotEmpty),
            (Code::NotADirectory, ErrorKind::NotADirectory),
            (Code::IsADirectory, ErrorKind::IsADirectory),
            (Code::NoSpace, ErrorKind::NoSpace),
            (Code::Quota, ErrorKind::Quota),
            (Code::Unsupported, ErrorKind::Unsupported),
            (Code::BadName, ErrorKind::BadName),
            (Code::Busy, ErrorKind::Busy),
            (Code::Io, ErrorKind::Io),
        ];
        for (code, kind) in rows {
            let error = wit::Error { code, message: "why\r\n".to_owned() };
            let error = refused(error);
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().ends_with("why\\r\\n"), "{error}");
        }
    }
}
