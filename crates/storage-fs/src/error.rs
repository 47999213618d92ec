//! What a failed system call means to the one who asked.

use rustix::io::Errno;
use waft_core::storage::{ErrorKind, StorageError};

/// What goes wrong in this crate: a system call failed, or something was refused without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    System(Errno),
    Refused(ErrorKind),
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn kind(self) -> ErrorKind {
        match self {
            Failure::System(errno) => kind(errno),
            Failure::Refused(kind) => kind,
        }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::System(errno)
    }
}

impl From<ErrorKind> for Failure {
    fn from(kind: ErrorKind) -> Failure {
        Failure::Refused(kind)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::System(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> StorageError {
        match failure {
            Failure::System(errno) => StorageError::new(kind(errno), std::io::Error::from(errno)),
            Failure::Refused(kind) => kind.into(),
        }
    }
}

fn kind(errno: Errno) -> ErrorKind {
    match errno {
        Errno::NOENT | Errno::STALE => ErrorKind::NotFound,
        Errno::EXIST => ErrorKind::Exists,
        Errno::NOTEMPTY => ErrorKind::NotEmpty,
        Errno::NOTDIR => ErrorKind::NotADirectory,
        Errno::ISDIR => ErrorKind::IsADirectory,
        // EXDEV: the path leads out of the root. ELOOP: a link where none is followed, or too many
        // of them. ENXIO and ENODEV: a pipe or socket without a peer, a device without a driver.
        Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::XDEV | Errno::LOOP => ErrorKind::Denied,
        Errno::NXIO | Errno::NODEV => ErrorKind::Denied,
        Errno::NOSPC => ErrorKind::NoSpace,
        // EFBIG: the file system's or the process's limit on the size of a file.
        Errno::DQUOT | Errno::FBIG => ErrorKind::Quota,
        Errno::NAMETOOLONG | Errno::ILSEQ | Errno::INVAL => ErrorKind::BadName,
        Errno::OPNOTSUPP | Errno::NOSYS => ErrorKind::Unsupported,
        Errno::TXTBSY | Errno::BUSY | Errno::AGAIN | Errno::MFILE | Errno::NFILE => ErrorKind::Busy,
        _ => ErrorKind::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_by_whose_fault_they_are() {
        for (errno, expected) in [
            (Errno::NOENT, ErrorKind::NotFound),
            (Errno::XDEV, ErrorKind::Denied),
            (Errno::ROFS, ErrorKind::Denied),
            (Errno::NOSPC, ErrorKind::NoSpace),
            (Errno::DQUOT, ErrorKind::Quota),
            (Errno::NAMETOOLONG, ErrorKind::BadName),
            (Errno::TXTBSY, ErrorKind::Busy),
            (Errno::IO, ErrorKind::Io),
        ] {
            let error = StorageError::from(Failure::from(errno));
            assert_eq!(error.kind(), expected);
            assert!(std::error::Error::source(&error).is_some(), "logs show what failed");
        }
    }
}
