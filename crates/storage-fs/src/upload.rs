//! Uploads: what is there stays whole until what arrives is complete.
//!
//! | what is asked | what happens | interrupted |
//! |---|---|---|
//! | a new file, or a replaced one | a file gets its name at the end | deleted, or `NAME.partial` |
//! | from before the end | the same, the beginning copied first | the same |
//! | behind the end | written in place | cut back, or left |
//! | to a free name with a `NAME.partial` | goes on there, then renamed | cut back, or left |
//!
//! An upload that must not be seen meanwhile (plugins judge its contents) goes to a new file even
//! where the table says in place or on in `NAME.partial`: [`mod@held`] keeps what it goes on behind
//! locked and as it is, until the copy is published. Interrupted or refused, it leaves that, and
//! nothing of what has arrived; published, it removes the `NAME.partial`.
//!
//! [`mod@plan`] decides between them and changes nothing; [`begin`] makes or opens the file; the
//! writer gives it its name with [`publish`]. Whoever writes to a file that has a name holds a lock
//! on it (`flock(2)`): a second one is `Busy`. A `NAME.partial` is replaced, removed or published
//! only under its lock, so that no upload ever publishes another one's octets.
//!
//! A symbolic link in place of the file stays; what it names is replaced. A replaced file's
//! permission bits are kept, and its owner and group where the system allows; access control lists
//! and extended attributes are not.
//!
//! Whoever took the file beneath a writer must have stopped writing when the writer is finished,
//! abandoned or dropped: cutting a file back cannot stop somebody who still writes to it.

mod held;
mod partial;
mod plan;
mod publish;
mod vacant;
mod writer;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, Mode, OFlags, accessat};
use rustix::io::Errno;
use waft_core::VirtualPath;
use waft_core::storage::{ErrorKind, WriteMode};

use crate::beneath::{Place, Root, look};
use crate::error::Result;
use crate::{Options, pool, temporary};
use held::Held;
use plan::{Old, Plan, plan};
pub(crate) use vacant::Vacant;
use writer::{Body, LocalWriter};

/// Octets of a prefix that are copied before anybody looks whether the upload still goes on.
const COPY_STEP: u64 = 256 << 20;

/// Octets read at a time where the kernel does not copy.
const COPY_BUFFER: usize = 256 * 1024;

/// Tells whether [`begin`] is likely to succeed.
pub(crate) fn check(
    root: &Root,
    vacant: &Vacant,
    path: &VirtualPath,
    mode: WriteMode,
) -> Result<()> {
    let (place, found, is_behind_link) = root.upload_place_behind(path)?;
    let in_directory = Access::WRITE_OK | Access::EXEC_OK;
    match plan(&place, found.as_ref(), mode)? {
        Plan::InPlace { .. } => {
            Ok(accessat(&place.parent, &place.name, Access::WRITE_OK, AtFlags::EACCESS)?)
        }
        Plan::Resume { .. } | Plan::Fresh { .. } => {
            accessat(&place.parent, c".", in_directory, AtFlags::EACCESS)?;
            if found.is_none() && !is_behind_link {
                vacant.note(path);
            }
            Ok(())
        }
    }
}

/// Where an upload to `path` would go on.
pub(crate) fn resume_offset(root: &Root, path: &VirtualPath) -> Result<u64> {
    let (place, found) = root.upload_place(path)?;
    match found {
        Some(found) => {
            plan::refuse_irregular(&found)?;
            Ok(found.stx_size)
        }
        None => Ok(partial::size(&place)?.ok_or(ErrorKind::NotFound)?),
    }
}

/// Whether what arrives behind the end of a file may be seen before all of it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// It is written in place.
    Seen,
    /// It is written to a copy, and so is what goes on in a `NAME.partial`.
    Unseen,
}

/// Begins an upload.
pub(crate) async fn begin(
    root: &Root,
    vacant: &Vacant,
    options: Options,
    path: &VirtualPath,
    mode: WriteMode,
    meanwhile: Meanwhile,
) -> Result<LocalWriter> {
    let (place, found) = match vacant.take(path) {
        true => (root.direct_upload_place(path)?, None),
        false => root.upload_place(path)?,
    };
    let (old, replace, prefix, held) = match (plan(&place, found.as_ref(), mode)?, meanwhile) {
        (Plan::InPlace { from }, Meanwhile::Seen) => return in_place(place, options, from, mode),
        (Plan::Resume { from }, Meanwhile::Seen) => return resume(place, options, from),
        (Plan::InPlace { from }, Meanwhile::Unseen) => {
            let held = Held::whole(&place, from, mode)?;
            (Some(held.old()), held.is_replaced(), held.size(), Some(held))
        }
        (Plan::Resume { from }, Meanwhile::Unseen) => {
            let held = Held::partial(&place, from)?;
            (Some(held.old()), held.is_replaced(), from, Some(held))
        }
        (Plan::Fresh { prefix, old, replace }, _) => (old, replace, prefix, None),
    };
    let (body, file) = create(&place, options, old)?;
    let file = Arc::new(file);
    let source = held.as_ref().map(Held::file);
    // From here on, whatever fails, the writer leaves nothing behind.
    let writer = LocalWriter::new(place, options, Arc::clone(&file), body, prefix)
        .publishing(old, replace)
        .holding(held);
    if prefix > 0 {
        let source = match source {
            Some(source) => source,
            None => Arc::new(writer.place().open(OFlags::RDONLY)?),
        };
        copy_prefix(source, file, prefix).await?;
    }
    Ok(writer)
}

/// Opens the file that is there, to write behind its end.
fn in_place(place: Place, options: Options, from: u64, mode: WriteMode) -> Result<LocalWriter> {
    let file = open_end(&place, OFlags::WRONLY, from, mode)?;
    let size = look(&file)?.stx_size;
    Ok(LocalWriter::new(place, options, Arc::new(file.into()), Body::InPlace, size))
}

/// Opens and locks the file that is there; `Busy` if somebody writes to it, or what was asked for
/// goes on at `from` and that is no longer its end.
fn open_end(place: &Place, flags: OFlags, from: u64, mode: WriteMode) -> Result<OwnedFd> {
    let file = place.open(flags)?;
    plan::refuse_irregular(&look(&file)?)?;
    temporary::lock(&file)?;
    if matches!(mode, WriteMode::At(_)) && look(&file)?.stx_size != from {
        return Err(ErrorKind::Busy.into());
    }
    Ok(file)
}

/// Opens what an interrupted upload has left, to go on at `from`.
fn resume(place: Place, options: Options, from: u64) -> Result<LocalWriter> {
    let Some(kept) = partial::claim(&place, OFlags::WRONLY)? else {
        return Err(ErrorKind::Busy.into());
    };
    let size = look(&kept)?.stx_size;
    if size < from {
        return Err(ErrorKind::Busy.into());
    }
    rustix::fs::ftruncate(&kept, from)?;
    Ok(LocalWriter::new(place, options, Arc::new(kept), Body::Partial, from))
}

/// Makes the file that becomes what `place` names: without a name where that can be.
fn create(place: &Place, options: Options, old: Option<Old>) -> Result<(Body, File)> {
    let mode = Mode::from_raw_mode(old.map_or(options.file_mode, |old| old.mode));
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::openat(&place.parent, c".", flags, mode) {
        Ok(file) => Ok((Body::Nameless, File::from(file))),
        // EISDIR: a kernel or file system that takes the flag for opening a directory.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => create_hidden(place, mode),
        Err(errno) => Err(errno.into()),
    }
}

/// The same where the file system cannot hold a file without a name.
fn create_hidden(place: &Place, mode: Mode) -> Result<(Body, File)> {
    let (name, file) = temporary::create(place.parent.as_fd(), mode)?;
    Ok((Body::Hidden(name), file))
}

/// Copies the octets before `end`, in steps, so that an upload that is given up stops soon.
async fn copy_prefix(from: Arc<OwnedFd>, to: Arc<File>, end: u64) -> Result<()> {
    plan::refuse_irregular(&look(&*from)?)?;
    let mut at = 0;
    while at < end {
        let (from, to, until) = (Arc::clone(&from), Arc::clone(&to), end.min(at + COPY_STEP));
        at = pool::run(move || copy_between(&from, &to, at, until)).await?;
    }
    Ok(())
}

/// Copies the octets `at..until`; tells where it stopped, which is `until`.
fn copy_between(from: &OwnedFd, to: &File, at: u64, until: u64) -> Result<u64> {
    let (mut read_at, mut write_at) = (at, at);
    while read_at < until {
        let length = usize::try_from(until - read_at).unwrap_or(usize::MAX);
        let copied =
            rustix::fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), length);
        match copied {
            // The file was cut meanwhile.
            Ok(0) => return Err(ErrorKind::BadOffset.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => {
                return copy_by_hand(from, to, read_at, until);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(until)
}

/// As [`copy_between`], where the kernel cannot.
fn copy_by_hand(from: &OwnedFd, to: &File, mut at: u64, until: u64) -> Result<u64> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; COPY_BUFFER];
    while at < until {
        let length = usize::try_from(until - at).unwrap_or(COPY_BUFFER).min(COPY_BUFFER);
        let (part, _) = buffer.split_at_mut(length);
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(from, &mut *part, at))?;
        let (part, _) = part.split_at(read);
        if part.is_empty() {
            return Err(ErrorKind::BadOffset.into());
        }
        to.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    Ok(until)
}

#[cfg(test)]
mod tests {
    use std::fs::read_dir;
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    use waft_core::storage::{Interrupted, Writer};

    use super::*;

    #[test]
    fn copying_by_hand_copies_the_same_octets() {
        let directory = tempfile::tempdir().unwrap();
        let octets: Vec<u8> = (0..COPY_BUFFER + 100).map(|n| (n % 251) as u8).collect();
        std::fs::write(directory.path().join("from"), &octets).unwrap();
        let from = OwnedFd::from(File::open(directory.path().join("from")).unwrap());
        let to = File::create(directory.path().join("to")).unwrap();
        let until = octets.len() as u64 - 1;
        assert_eq!(copy_by_hand(&from, &to, 0, until), Ok(until));
        let copied = std::fs::read(directory.path().join("to")).unwrap();
        assert!(copied == octets[..octets.len() - 1]);
        assert_eq!(copy_by_hand(&from, &to, 0, until + 2), Err(ErrorKind::BadOffset.into()));
    }

    /// An upload of `x` to `file`, as where the file system cannot hold files without a name.
    fn hidden_upload(root: &Path, replace: bool) -> Box<LocalWriter> {
        let root = Root::open(root).unwrap();
        let path = VirtualPath::root().join(b"file").unwrap();
        let (place, found) = root.upload_place(&path).unwrap();
        let Ok(Plan::Fresh { old, .. }) = plan(&place, found.as_ref(), WriteMode::Replace) else {
            panic!("not a fresh upload");
        };
        let (body, file) = create_hidden(&place, Mode::from_raw_mode(0o600)).unwrap();
        file.write_all_at(b"x", 0).unwrap();
        let writer = LocalWriter::new(place, Options::default(), Arc::new(file), body, 0);
        Box::new(writer.publishing(old, replace))
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[tokio::test]
    async fn uploads_without_nameless_files_end_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let writer = hidden_upload(root, false);
        assert!(temporary::is_reserved(names(root)[0].as_bytes()));
        drop(writer);
        assert!(names(root).is_empty());
        hidden_upload(root, false).abandon(Interrupted::Delete).await.unwrap();
        assert!(names(root).is_empty());
        hidden_upload(root, false).abandon(Interrupted::Keep).await.unwrap();
        assert_eq!(names(root), ["file.partial"]);
        hidden_upload(root, false).abandon(Interrupted::Keep).await.unwrap();
        assert_eq!(names(root), ["file.partial"]);
        hidden_upload(root, false).finish().await.unwrap();
        assert_eq!(names(root), ["file"]);
        let refused = hidden_upload(root, false).finish().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Exists);
        std::fs::write(root.join("file"), b"old").unwrap();
        hidden_upload(root, true).finish().await.unwrap();
        assert_eq!(names(root), ["file"]);
        assert_eq!(std::fs::read(root.join("file")).unwrap(), b"x");
    }

    #[test]
    fn a_sweeper_leaves_an_upload_alone_however_long_it_rests() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let writer = hidden_upload(root, false);
        let file = writer.local_file().unwrap().file;
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        let name = std::ffi::CString::new(names(root)[0].clone()).unwrap();
        let handle = File::open(root).unwrap();
        temporary::sweep(handle.as_fd(), &name);
        assert_eq!(names(root).len(), 1);
        // As after a crash: the lock is gone, the name is not.
        std::mem::forget(writer);
        rustix::fs::flock(&*file, rustix::fs::FlockOperation::Unlock).unwrap();
        temporary::sweep(handle.as_fd(), &name);
        assert!(names(root).is_empty());
    }
}
