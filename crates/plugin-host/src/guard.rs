//! Whom files of plugins are left to: who may change what a name leads to, and what keeps a file from
//! being taken for that.
//!
//! A name is judged by everything that it leads through, at every look. The file is opened first, and
//! what was opened has to be what the name led to when the way was judged: nobody who may not write
//! there exchanges it in between.
//!
//! Owner and mode are those of the inode, whatever name it is reached by: of the other names that a file
//! may have (hard links), wherever they are, nobody makes use who is refused here. What is left is the
//! server itself, which writes for its clients, where another name lies within a root: which names there
//! are cannot be asked for. So several names are no refusal, but a [`Concern`], and that only where the
//! user of the server may write the file and some client changes files on its file system. Stores that
//! link their files (of packages, of images) and belong to root are not told of, unless root serves.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::errors::{Concern, Refusal};
use crate::files::directory_of;
use crate::owners::Owners;
use crate::settings::{ClientReach, HostSettings};

/// Who opens files of plugins, or refuses to.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    owners: Owners,
    clients: Option<ClientReach>,
}

impl Guard {
    /// The one that these settings want.
    pub(crate) fn of(settings: &HostSettings) -> Guard {
        Guard { owners: Owners::of(settings.run_as), clients: settings.clients.clone() }
    }

    /// One for whoever only looks at a component.
    pub(crate) fn alone() -> Guard {
        Guard { owners: Owners::of(None), clients: None }
    }

    /// Checks that nobody else puts files into a directory whose every file is a plugin.
    ///
    /// # Errors
    /// Somebody else does, or it cannot be read.
    pub(crate) fn check_directory(&self, directory: &Path) -> Result<(), Refusal> {
        let metadata = fs::metadata(directory).map_err(refusal)?;
        check_alone(directory, &metadata, Sticky::Ignored, self.owners)
    }

    /// Opens a file that nobody else may change. `None` where it was exchanged meanwhile.
    ///
    /// # Errors
    /// Somebody may change it or what its name leads to, or it is no file that can be read.
    pub(crate) fn open(&self, file: &Path) -> Result<Option<(File, Metadata)>, Refusal> {
        // A device is better not even opened.
        check_kind(&fs::metadata(file).map_err(|error| missing(file, error))?)?;
        let opened = open(file).map_err(refusal)?;
        let metadata = opened.metadata().map_err(refusal)?;
        check_kind(&metadata)?;
        check_alone(file, &metadata, Sticky::Ignored, self.owners)?;
        let end = self.follow(file)?;
        let reached = self.clients.as_ref().and_then(|clients| clients.reached(file));
        reached.map_or(Ok(()), Err)?;
        let same = fs::symlink_metadata(&end).is_ok_and(|end| is_same(&end, &metadata));
        Ok(same.then_some((opened, metadata)))
    }

    /// What there is to look after with files that are taken.
    pub(crate) fn concerns<'a>(&self, files: impl Iterator<Item = &'a Path>) -> Vec<Concern> {
        let concern = |file: &Path| self.several_names(file, &fs::metadata(file).ok()?);
        files.filter_map(concern).collect()
    }

    #[cfg(unix)]
    fn several_names(&self, file: &Path, metadata: &Metadata) -> Option<Concern> {
        use std::os::unix::fs::MetadataExt as _;
        let names = metadata.nlink();
        if names < 2 || !metadata.is_file() || !self.owners.serve_as(metadata.uid()) {
            return None;
        }
        let changed = self.clients.as_ref()?.changed_on(metadata.dev())?;
        Some(Concern::SeveralNames { file: file.to_owned(), names, changed })
    }

    #[cfg(not(unix))]
    fn several_names(&self, _: &Path, _: &Metadata) -> Option<Concern> {
        None
    }

    /// Goes the way that a name leads, and checks every directory that a link leads through, every
    /// link, and the directories at both ends. Returns the end.
    fn follow(&self, file: &Path) -> Result<PathBuf, Refusal> {
        let check = |directory: &Path| {
            let metadata = fs::symlink_metadata(directory).map_err(refusal)?;
            check_alone(directory, &metadata, Sticky::Suffices, self.owners)
        };
        let near = directory_of(file);
        check_alone(near, &fs::metadata(near).map_err(refusal)?, Sticky::Suffices, self.owners)?;
        let absolute = std::path::absolute(file).map_err(refusal)?;
        let mut rest = VecDeque::from(parts(&absolute));
        let (mut end, mut links) = (PathBuf::new(), 0);
        while let Some(part) = rest.pop_front() {
            match Path::new(&part).components().next() {
                Some(Component::ParentDir) => {
                    end.pop();
                }
                Some(Component::Normal(name)) => {
                    // Up to the first link it is the way that the operator wrote.
                    if links > 0 {
                        check(&end)?;
                    }
                    let name = end.join(name);
                    let Ok(target) = fs::read_link(&name) else {
                        end = name;
                        continue;
                    };
                    self.check_link(&name)?;
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Refusal::Unreadable("too many links".to_owned()));
                    }
                    parts(&target).into_iter().rev().for_each(|part| rest.push_front(part));
                }
                Some(Component::CurDir) | None => {}
                // An absolute path begins anew.
                Some(Component::RootDir | Component::Prefix(_)) => end.push(&part),
            }
        }
        Ok(end)
    }

    /// Whoever owns a link in a directory where all may write leads it elsewhere.
    #[cfg(unix)]
    fn check_link(&self, link: &Path) -> Result<(), Refusal> {
        use std::os::unix::fs::MetadataExt as _;
        let uid = fs::symlink_metadata(link).map_err(refusal)?.uid();
        if self.owners.include(uid) {
            return Ok(());
        }
        Err(Refusal::OwnedByOthers { path: link.to_owned(), uid })
    }

    #[cfg(not(unix))]
    fn check_link(&self, _: &Path) -> Result<(), Refusal> {
        Ok(())
    }
}

/// The links on one way; the kernel follows as many.
const LINKS_MAX: usize = 40;

fn parts(path: &Path) -> Vec<OsString> {
    path.components().map(|part| part.as_os_str().to_owned()).collect()
}

/// Opens a file to be read; a pipe that has taken its place meanwhile is not waited for.
fn open(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.open(file)
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

fn check_kind(metadata: &Metadata) -> Result<(), Refusal> {
    if metadata.is_file() {
        return Ok(());
    }
    let kind = if metadata.is_dir() { "a directory" } else { "a pipe, a socket or a device" };
    Err(Refusal::NotAFile { kind })
}

/// A name may lead nowhere, and be there.
fn missing(file: &Path, error: io::Error) -> Refusal {
    match fs::read_link(file) {
        Ok(target) if error.kind() == io::ErrorKind::NotFound => Refusal::Dangling { target },
        _ => refusal(error),
    }
}

/// Why a file cannot be read.
pub(crate) fn refusal(error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound => Refusal::Missing,
        _ => Refusal::Unreadable(error.to_string()),
    }
}

/// Whether a directory's sticky bit keeps others from doing harm: it does where one file matters,
/// it does not where any new file is a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sticky {
    Suffices,
    Ignored,
}

/// Checks that nobody else may write there, nor allow it: a plugin is code that decides about
/// sessions.
///
/// A group that has its owner's number is taken for the owner's private group, as most
/// distributions make one for each user.
#[cfg(unix)]
fn check_alone(
    path: &Path,
    metadata: &Metadata,
    sticky: Sticky,
    owners: Owners,
) -> Result<(), Refusal> {
    use std::os::unix::fs::MetadataExt as _;
    if !owners.include(metadata.uid()) {
        return Err(Refusal::OwnedByOthers { path: path.to_owned(), uid: metadata.uid() });
    }
    let mode = metadata.mode() & 0o7777;
    let private_group = metadata.gid() == metadata.uid();
    let others = if private_group { 0o002 } else { 0o022 };
    let harmless = sticky == Sticky::Suffices && mode & 0o1000 != 0;
    if mode & others == 0 || harmless {
        return Ok(());
    }
    Err(Refusal::WritableByOthers { path: path.to_owned(), mode })
}

#[cfg(not(unix))]
fn check_alone(_: &Path, _: &Metadata, _: Sticky, _: Owners) -> Result<(), Refusal> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn what_another_user_owns_is_refused_whatever_its_mode_and_a_sticky_directory_too() {
        let directory = tempfile::tempdir().unwrap();
        let metadata = fs::metadata(directory.path()).unwrap();
        let own = metadata.uid();
        let check = |owners| check_alone(directory.path(), &metadata, Sticky::Suffices, owners);
        assert_eq!(check(Owners::of(None)), Ok(()));
        // Root is everybody's owner: who runs this as root has the rule tested with files that are
        // given away, beside the crate.
        if own != 0 {
            let path = directory.path().to_owned();
            let stranger = Owners::when(own + 1);
            assert_eq!(check(stranger), Err(Refusal::OwnedByOthers { path, uid: own }));
        }
    }
}
