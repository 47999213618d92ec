//! What commands do to files, before they do it.

use super::{NOT_CONFIGURED, running};
use crate::bindings::base::waft::plugin::sessions;
use crate::bindings::file_filter::exports::waft::plugin::file_filter::Guest;
use crate::export::Holder;
use crate::{FileStat, Plugin, Reply, Session};

pub use crate::bindings::file_filter::exports::waft::plugin::file_filter::{
    FileDecision, FileOp, WriteKind,
};

/// Decides about the use of files, by their resolved paths, and hides entries of listings.
///
/// ```
/// use waft_plugin_sdk::testing::TestSession;
/// use waft_plugin_sdk::{
///     FileDecision, FileFilter, FileOp, FileStat, Plugin, Reply, Session, Settings, WriteKind,
///     export,
/// };
///
/// struct NoDotFiles;
///
/// impl Plugin for NoDotFiles {
///     fn new(_: &Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
/// }
///
/// impl FileFilter for NoDotFiles {
///     fn on_file(&self, _: Session<'_>, op: &FileOp) -> FileDecision {
///         let hidden = |path: &str| path.contains("/.");
///         if hidden(op.path()) || op.target().is_some_and(hidden) {
///             return FileDecision::Deny(Reply::new(550, "no such file"));
///         }
///         FileDecision::Pass
///     }
///
///     fn shows(&self, _: Session<'_>, _: &str, name: &str, _: &FileStat) -> bool {
///         !name.starts_with('.')
///     }
/// }
///
/// export!(NoDotFiles: file_filter);
///
/// let session = TestSession::new().user("alice");
/// let upload = FileOp::Write(("/www/.htaccess".to_owned(), WriteKind::Create));
/// let decision = NoDotFiles.on_file(session.session(), &upload);
/// assert_eq!(decision, FileDecision::Deny(Reply::new(550, "no such file")));
/// let entries = [".git", "a.txt"].map(|name| (name.to_owned(), FileStat::file(0)));
/// assert_eq!(NoDotFiles.on_list(session.session(), "/www", &entries), [1]);
/// ```
pub trait FileFilter: Plugin {
    /// Decides about one use of a file: let it pass, redirect it to another path, or deny it.
    fn on_file(&self, session: Session<'_>, op: &FileOp) -> FileDecision;

    /// Whether the client may see an entry of a directory; all of them, by default.
    fn shows(&self, session: Session<'_>, directory: &str, name: &str, stat: &FileStat) -> bool {
        let _ = (session, directory, name, stat);
        true
    }

    /// The numbers of the entries that the client may see, counted from 0, out of a piece of a
    /// listing with at most 1000 entries. By default, [`shows`](Self::shows) is asked for each;
    /// who decides for many at once writes this instead.
    fn on_list(
        &self,
        session: Session<'_>,
        directory: &str,
        entries: &[(String, FileStat)],
    ) -> Vec<u32> {
        let shown = |(_, (name, stat)): &(u32, &(String, FileStat))| {
            self.shows(session, directory, name, stat)
        };
        (0..).zip(entries).filter(shown).map(|(number, _)| number).collect()
    }
}

impl FileOp {
    /// The path that is used; of a renaming, the name before.
    pub fn path(&self) -> &str {
        match self {
            Self::Read((path, _))
            | Self::Write((path, _))
            | Self::Rename((path, _))
            | Self::Change((path, _))
            | Self::Remove(path)
            | Self::MakeDir(path)
            | Self::RemoveDir(path)
            | Self::Enter(path)
            | Self::Inspect(path) => path,
        }
    }

    /// Of a renaming, the name after.
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Rename((_, target)) => Some(target),
            _ => None,
        }
    }
}

impl<H: Holder<Plugin: FileFilter>> Guest for H {
    fn on_file(session: &sessions::Session, op: FileOp) -> FileDecision {
        match running::<H>() {
            Some(plugin) => plugin.on_file(Session::host(session), &op),
            None => FileDecision::Deny(Reply::new(451, NOT_CONFIGURED)),
        }
    }

    fn on_list(
        session: &sessions::Session,
        directory: String,
        entries: Vec<(String, FileStat)>,
    ) -> Vec<u32> {
        running::<H>().map_or_else(Vec::new, |plugin| {
            plugin.on_list(Session::host(session), &directory, &entries)
        })
    }
}
