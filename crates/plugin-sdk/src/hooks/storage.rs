//! A tree of files of a plugin's own.

use std::cell::RefCell;
use std::convert::Infallible;

use super::{NOT_CONFIGURED, running};
use crate::bindings::base::waft::plugin::sessions;
use crate::bindings::storage::exports::waft::plugin::storage as wire;
use crate::export::Holder;
use crate::{FileStat, Plugin, Session};

pub use wire::{Abilities, Error as StorageError, ErrorCode, Page, WriteMode};

/// A tree of files of its own, which accounts and mounts name as `plugin:NAME`.
///
/// Paths begin with `/` and are normalised, permissions are checked before. The server asks for
/// pieces and waits for them, so a file of any size takes constant memory. What
/// [`abilities`](Self::abilities) does not name is refused before it gets here, and its method
/// need not be written.
///
/// ```
/// use std::convert::Infallible;
///
/// use waft_plugin_sdk::testing::TestSession;
/// use waft_plugin_sdk::{
///     ErrorCode, FileStat, Page, Plugin, Reader, Session, Settings, Storage, StorageError,
///     WriteMode, export,
/// };
///
/// /// One file, `/hello.txt`.
/// struct Hello;
///
/// const TEXT: &[u8] = b"Hello.\n";
///
/// impl Plugin for Hello {
///     fn new(_: &Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
/// }
///
/// impl Storage for Hello {
///     type Reader = Rest;
///     type Writer = Infallible;
///
///     fn stat(&self, _: Session<'_>, path: &str) -> Result<FileStat, StorageError> {
///         match path {
///             "/" => Ok(FileStat::directory()),
///             "/hello.txt" => Ok(FileStat::file(TEXT.len() as u64)),
///             _ => Err(ErrorCode::NotFound.into()),
///         }
///     }
///
///     fn list_dir(
///         &self,
///         session: Session<'_>,
///         _: &str,
///         _: Option<&str>,
///         _: u32,
///     ) -> Result<Page, StorageError> {
///         let file = self.stat(session, "/hello.txt")?;
///         Ok(Page { entries: vec![("hello.txt".to_owned(), file)], next: None })
///     }
///
///     fn open_read(
///         &self,
///         session: Session<'_>,
///         path: &str,
///         offset: u64,
///     ) -> Result<Rest, StorageError> {
///         self.stat(session, path)?;
///         let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(TEXT.len());
///         Ok(Rest(&TEXT[offset..]))
///     }
/// }
///
/// /// What has not been read yet.
/// struct Rest(&'static [u8]);
///
/// impl Reader for Rest {
///     fn read(&mut self, max: u32) -> Result<Vec<u8>, StorageError> {
///         let (piece, rest) = self.0.split_at(self.0.len().min(max as usize));
///         self.0 = rest;
///         Ok(piece.to_vec())
///     }
/// }
///
/// export!(Hello: storage);
///
/// let session = TestSession::new().user("alice");
/// let mut reader = Hello.open_read(session.session(), "/hello.txt", 2).unwrap();
/// assert_eq!(reader.read(3).unwrap(), b"llo");
/// let refused = Hello.open_write(session.session(), "/new", WriteMode::Truncate, 0);
/// assert_eq!(refused.unwrap_err().code, ErrorCode::Denied);
/// ```
pub trait Storage: Plugin {
    /// A file that is being read.
    type Reader: Reader;
    /// A file that is being written; [`Infallible`] where nothing can be.
    type Writer: Writer;

    /// What the storage can do beyond reading, listing and replacing whole files. The same answer
    /// as long as the instance lives; nothing, by default.
    fn abilities(&self) -> Abilities {
        Abilities::empty()
    }

    /// Tells of a file or directory.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`], for one.
    fn stat(&self, session: Session<'_>, path: &str) -> Result<FileStat, StorageError>;

    /// Lists a directory in pages of at most `max` entries. The first call has no cursor; the
    /// next one has what the page before named as `next`.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] or [`ErrorCode::NotADirectory`], for two.
    fn list_dir(
        &self,
        session: Session<'_>,
        path: &str,
        cursor: Option<&str>,
        max: u32,
    ) -> Result<Page, StorageError>;

    /// Opens a file to be read from an offset, in bytes.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] or [`ErrorCode::IsADirectory`], for two.
    fn open_read(
        &self,
        session: Session<'_>,
        path: &str,
        offset: u64,
    ) -> Result<Self::Reader, StorageError>;

    /// Opens a file to be written.
    ///
    /// # Errors
    /// By default [`ErrorCode::Denied`]: a storage to be read only.
    fn open_write(
        &self,
        session: Session<'_>,
        path: &str,
        mode: WriteMode,
        offset: u64,
    ) -> Result<Self::Writer, StorageError> {
        let _ = (session, path, mode, offset);
        Err(StorageError::new(ErrorCode::Denied, "nothing can be written here"))
    }

    /// Makes a directory ([`Abilities::MAKE_DIR`]).
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`], by default.
    fn make_dir(&self, session: Session<'_>, path: &str) -> Result<(), StorageError> {
        unsupported((session, path))
    }

    /// Removes an empty directory ([`Abilities::REMOVE`]).
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`], by default.
    fn remove_dir(&self, session: Session<'_>, path: &str) -> Result<(), StorageError> {
        unsupported((session, path))
    }

    /// Removes a file ([`Abilities::REMOVE`]).
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`], by default.
    fn remove_file(&self, session: Session<'_>, path: &str) -> Result<(), StorageError> {
        unsupported((session, path))
    }

    /// Renames ([`Abilities::RENAME`]). With `replace`, a file that has the target's name goes;
    /// without, it is [`ErrorCode::Exists`].
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`], by default.
    fn rename(
        &self,
        session: Session<'_>,
        source: &str,
        target: &str,
        replace: bool,
    ) -> Result<(), StorageError> {
        unsupported((session, source, target, replace))
    }

    /// Sets a file's time, in milliseconds since 1970-01-01 UTC ([`Abilities::SET_MODIFIED`]).
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`], by default.
    fn set_modified(
        &self,
        session: Session<'_>,
        path: &str,
        modified_ms: u64,
    ) -> Result<(), StorageError> {
        unsupported((session, path, modified_ms))
    }

    /// Bytes that can still be stored ([`Abilities::FREE_SPACE`]); `None` where nobody knows.
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`], by default.
    fn free_space(&self, session: Session<'_>) -> Result<Option<u64>, StorageError> {
        unsupported(session).map(|()| None)
    }
}

/// A file of a [`Storage`] that is being read.
pub trait Reader: 'static {
    /// The next bytes, `max` at most; an empty list is the end of the file.
    ///
    /// # Errors
    /// The transfer ends.
    fn read(&mut self, max: u32) -> Result<Vec<u8>, StorageError>;
}

/// A file of a [`Storage`] that is being written. Dropped unfinished, it is abandoned: what stood
/// under the name before stays.
pub trait Writer: 'static {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The transfer ends.
    fn write(&mut self, data: Vec<u8>) -> Result<(), StorageError>;

    /// All bytes are there: the file is durable, and seen by others, once this returns.
    ///
    /// # Errors
    /// The upload has failed.
    fn finish(self) -> Result<FileStat, StorageError>;
}

impl Writer for Infallible {
    fn write(&mut self, _: Vec<u8>) -> Result<(), StorageError> {
        match *self {}
    }

    fn finish(self) -> Result<FileStat, StorageError> {
        match self {}
    }
}

impl StorageError {
    /// An error with a text for the log.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<ErrorCode> for StorageError {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, "")
    }
}

fn unsupported(_: impl Sized) -> Result<(), StorageError> {
    Err(ErrorCode::Unsupported.into())
}

/// The plugin, or the error that there is none.
fn asked<H: Holder<Plugin: Storage>>() -> Result<&'static H::Plugin, StorageError> {
    running::<H>().ok_or_else(|| StorageError::new(ErrorCode::Io, NOT_CONFIGURED))
}

impl<H: Holder<Plugin: Storage>> wire::Guest for H {
    type Reader = OpenReader<<H::Plugin as Storage>::Reader>;
    type Writer = OpenWriter<<H::Plugin as Storage>::Writer>;

    fn get_abilities() -> Abilities {
        running::<H>().map_or(Abilities::empty(), Storage::abilities)
    }

    fn stat(session: &sessions::Session, path: String) -> Result<FileStat, StorageError> {
        asked::<H>()?.stat(Session::host(session), &path)
    }

    fn list_dir(
        session: &sessions::Session,
        path: String,
        cursor: Option<String>,
        max: u32,
    ) -> Result<Page, StorageError> {
        asked::<H>()?.list_dir(Session::host(session), &path, cursor.as_deref(), max)
    }

    fn make_dir(session: &sessions::Session, path: String) -> Result<(), StorageError> {
        asked::<H>()?.make_dir(Session::host(session), &path)
    }

    fn remove_dir(session: &sessions::Session, path: String) -> Result<(), StorageError> {
        asked::<H>()?.remove_dir(Session::host(session), &path)
    }

    fn remove_file(session: &sessions::Session, path: String) -> Result<(), StorageError> {
        asked::<H>()?.remove_file(Session::host(session), &path)
    }

    fn rename(
        session: &sessions::Session,
        source: String,
        target: String,
        replace: bool,
    ) -> Result<(), StorageError> {
        asked::<H>()?.rename(Session::host(session), &source, &target, replace)
    }

    fn set_modified(
        session: &sessions::Session,
        path: String,
        modified: u64,
    ) -> Result<(), StorageError> {
        asked::<H>()?.set_modified(Session::host(session), &path, modified)
    }

    fn free_space(session: &sessions::Session) -> Result<Option<u64>, StorageError> {
        asked::<H>()?.free_space(Session::host(session))
    }

    fn open_read(
        session: &sessions::Session,
        path: String,
        offset: u64,
    ) -> Result<wire::Reader, StorageError> {
        let reader = asked::<H>()?.open_read(Session::host(session), &path, offset)?;
        Ok(wire::Reader::new(OpenReader(RefCell::new(reader))))
    }

    fn open_write(
        session: &sessions::Session,
        path: String,
        mode: WriteMode,
        offset: u64,
    ) -> Result<wire::Writer, StorageError> {
        let writer = asked::<H>()?.open_write(Session::host(session), &path, mode, offset)?;
        Ok(wire::Writer::new(OpenWriter(RefCell::new(Some(writer)))))
    }
}

/// A file that is being read, as the server holds it.
#[derive(Debug)]
pub struct OpenReader<R>(RefCell<R>);

impl<R: Reader> wire::GuestReader for OpenReader<R> {
    fn read(&self, max: u32) -> Result<Vec<u8>, StorageError> {
        self.0.borrow_mut().read(max)
    }
}

/// A file that is being written, as the server holds it; gone once it has been finished.
#[derive(Debug)]
pub struct OpenWriter<W>(RefCell<Option<W>>);

impl<W: Writer> wire::GuestWriter for OpenWriter<W> {
    fn write(&self, data: Vec<u8>) -> Result<(), StorageError> {
        match self.0.borrow_mut().as_mut() {
            Some(writer) => writer.write(data),
            None => Err(StorageError::new(ErrorCode::Io, "the file has been finished")),
        }
    }

    fn finish(&self) -> Result<FileStat, StorageError> {
        match self.0.take() {
            Some(writer) => writer.finish(),
            None => Err(StorageError::new(ErrorCode::Io, "the file has been finished")),
        }
    }
}
