//! The root's handle, and the one way from a path to something open.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat, Statx, StatxFlags, statat, statx,
};
use rustix::io::Errno;
use waft_core::VirtualPath;
use waft_core::storage::ErrorKind;

use crate::error::Result;
use crate::temporary;
use crate::turn::{self, Taken, Turn};

/// What is asked of `statx(2)`.
const FACTS: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// Of the entry itself, not of what it leads to.
const ITSELF: AtFlags = AtFlags::SYMLINK_NOFOLLOW.union(AtFlags::NO_AUTOMOUNT);

/// How often a path is looked up again when the kernel could not rule out that it led outside,
/// because something was renamed meanwhile (`EAGAIN`).
const LOOKUPS_MAX: usize = 64;

/// Symbolic links that may stand for the name of an upload, one after the other.
const LINKS_MAX: usize = 16;

/// The directory that everything stays beneath.
#[derive(Debug)]
pub(crate) struct Root {
    directory: Arc<OwnedFd>,
    /// The number of that directory, the same for all who open it.
    number: u64,
}

/// Where a name stands: an open directory beneath the root, and one component in it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) parent: Arc<OwnedFd>,
    pub(crate) name: CString,
    turn: &'static Turn,
}

impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let root = Root::new(directory)?;
        match root.open_once(b".", flags) {
            Ok(_) => Ok(root),
            // A sandbox that does not know the system call answers EPERM.
            Err(Errno::NOSYS | Errno::PERM) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "openat2(2) is missing: Linux 5.6 or later is needed, and a sandbox that allows it",
            )),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The directory that `path` names, as a root of its own.
    pub(crate) fn beneath(&self, path: &VirtualPath) -> Result<Root> {
        let directory = self.open_path(path, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(Root::new(directory)?)
    }

    fn new(directory: OwnedFd) -> std::result::Result<Root, Errno> {
        let number = look(&directory)?.stx_ino;
        Ok(Root { directory: Arc::new(directory), number })
    }

    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Opens `path`, relative to the root, following symbolic links that stay beneath it.
    pub(crate) fn open_relative(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        for _ in 0..LOOKUPS_MAX {
            match self.open_once(path, flags) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
        Err(ErrorKind::Busy.into())
    }

    /// Opens what `path` names, following symbolic links that stay beneath the root.
    ///
    /// Does not wait for the other end of a pipe, and does not make a terminal ours.
    pub(crate) fn open_path(&self, path: &VirtualPath, flags: OFlags) -> Result<OwnedFd> {
        if path.components().any(temporary::is_reserved) {
            return Err(ErrorKind::NotFound.into());
        }
        self.open_relative(path.relative(), flags)
    }

    /// Where the last component of `path` stands, whatever it is, there or not.
    ///
    /// `Denied` for the root itself: it is not a name in anything.
    pub(crate) fn place(&self, path: &VirtualPath) -> Result<Place> {
        if path.is_root() {
            return Err(ErrorKind::Denied.into());
        }
        if path.components().any(temporary::is_reserved) {
            return Err(ErrorKind::BadName.into());
        }
        self.place_relative(path.relative())
    }

    /// Where an upload to `path` goes: as [`place`](Root::place), but behind symbolic links, so
    /// that a link stays and the file that it names is replaced.
    pub(crate) fn upload_place(&self, path: &VirtualPath) -> Result<(Place, Option<Statx>)> {
        self.upload_place_behind(path).map(|(place, found, _)| (place, found))
    }

    /// The same, and whether it is behind a link.
    pub(crate) fn upload_place_behind(
        &self,
        path: &VirtualPath,
    ) -> Result<(Place, Option<Statx>, bool)> {
        let mut place = self.direct_upload_place(path)?;
        let mut relative = path.relative().to_vec();
        for links in 0..LINKS_MAX {
            let found = {
                let _turn = place.wait_for_turn();
                place.look()?
            };
            if !found.as_ref().is_some_and(is_link) {
                return Ok((place, found, links > 0));
            }
            // The kernel would go on from the directory of the link: so do we, by the path, and
            // openat2 judges the whole of it. Nothing is lost if names change meanwhile: what is
            // opened is beneath the root whatever happens.
            let target = rustix::fs::readlinkat(&*place.parent, &place.name, Vec::new())?;
            let target = target.to_bytes();
            relative.truncate(relative.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1));
            if target.first() == Some(&b'/') {
                return Err(Errno::XDEV.into());
            }
            relative.extend_from_slice(target);
            place = self.place_relative(&relative)?;
        }
        Err(Errno::LOOP.into())
    }

    /// The same where no symbolic link stands for the name.
    pub(crate) fn direct_upload_place(&self, path: &VirtualPath) -> Result<Place> {
        if path.is_root() {
            return Err(ErrorKind::IsADirectory.into());
        }
        self.place(path)
    }

    fn place_relative(&self, relative: &[u8]) -> Result<Place> {
        let (parent, turn, name) = match relative.iter().rposition(|&b| b == b'/') {
            None => (Arc::clone(&self.directory), turn::of(self.number, b""), relative),
            Some(slash) => {
                let (parent, name) = relative.split_at(slash);
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                (
                    Arc::new(self.open_relative(parent, flags)?),
                    turn::of(self.number, parent),
                    name.strip_prefix(b"/").unwrap_or(name),
                )
            }
        };
        if matches!(name, b"" | b"." | b"..") {
            return Err(ErrorKind::IsADirectory.into());
        }
        if temporary::is_reserved(name) {
            return Err(ErrorKind::BadName.into());
        }
        let name = CString::new(name).map_err(|_| ErrorKind::BadName)?;
        Ok(Place { parent, name, turn })
    }

    fn open_once(&self, path: &[u8], flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        // O_PATH allows few companions, and needs none.
        let flags = if flags.contains(OFlags::PATH) {
            flags & (OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC)
        } else {
            flags
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.directory, path, flags, Mode::empty(), resolve)
    }
}

impl Place {
    /// Facts of what stands there, a symbolic link's own; none if there is nothing.
    pub(crate) fn look(&self) -> Result<Option<Statx>> {
        match look_at(self.parent.as_fd(), &self.name) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits until nobody else is at work in the directory, if that is soon.
    pub(crate) fn wait_for_turn(&self) -> Option<Taken> {
        self.turn.wait()
    }

    /// Opens what stands there, if it is no symbolic link.
    pub(crate) fn open(&self, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.parent, &self.name, flags, Mode::empty())
    }

    /// The place of another name in the same directory.
    pub(crate) fn beside(&self, name: CString) -> Place {
        Place { parent: Arc::clone(&self.parent), name, turn: self.turn }
    }
}

/// Facts of the entry `name` of an open directory, a symbolic link's own. What is mounted once somebody
/// enters it stays as it is: a listing would mount all of them.
pub(crate) fn look_at(directory: BorrowedFd<'_>, name: &CStr) -> std::result::Result<Statx, Errno> {
    statx(directory, name, ITSELF, FACTS)
}

/// The same but for the time when it was made, and cheaper: `fstatat(2)` takes a twentieth less than a
/// `statx(2)` that asks for no more, and ext4 keeps that time in a line of the processor's cache of its
/// own, a twelfth of what an entry costs.
pub(crate) fn glance_at(
    directory: BorrowedFd<'_>,
    name: &CStr,
) -> std::result::Result<Stat, Errno> {
    statat(directory, name, ITSELF)
}

/// Facts of something open.
pub(crate) fn look(open: impl AsFd) -> std::result::Result<Statx, Errno> {
    statx(open, c"", AtFlags::EMPTY_PATH, FACTS)
}

/// Whether both are facts of one file.
pub(crate) fn same_file(one: &Statx, other: &Statx) -> bool {
    let identity = |of: &Statx| (of.stx_ino, of.stx_dev_major, of.stx_dev_minor);
    identity(one) == identity(other)
}

fn is_link(found: &Statx) -> bool {
    rustix::fs::FileType::from_raw_mode(found.stx_mode.into()).is_symlink()
}
