//! How an upload will be done, judged by what is there.

use rustix::fs::{FileType, Statx};
use waft_core::storage::{ErrorKind, WriteMode};

use crate::beneath::Place;
use crate::error::Result;
use crate::upload::partial;

/// How an upload will be done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// Behind the end of the file that is there, at this offset.
    InPlace { from: u64 },
    /// In what an interrupted upload has left, at this offset.
    Resume { from: u64 },
    /// In a new file.
    Fresh {
        /// So many octets are copied from the file that is there.
        prefix: u64,
        /// What is known of the file that is there, if there is one.
        old: Option<Old>,
        /// Whether a file of that name is replaced, even one that comes only later.
        replace: bool,
    },
}

/// What a new file takes over from the one that it replaces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Old {
    /// Permission bits, without those that make programs run as somebody else.
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) size: u64,
}

/// Decides how an upload to `place`, where `found` stands, will be done. Changes nothing.
pub(crate) fn plan(place: &Place, found: Option<&Statx>, mode: WriteMode) -> Result<Plan> {
    if let Some(found) = found {
        if mode == WriteMode::CreateNew {
            return Err(ErrorKind::Exists.into());
        }
        refuse_irregular(found)?;
        let (size, old) = (found.stx_size, Some(Old::of(found)));
        return match mode {
            WriteMode::Replace => Ok(Plan::Fresh { prefix: 0, old, replace: true }),
            WriteMode::At(offset) if offset > size => Err(ErrorKind::BadOffset.into()),
            WriteMode::At(prefix) if prefix < size => {
                Ok(Plan::Fresh { prefix, old, replace: true })
            }
            _ => Ok(Plan::InPlace { from: size }),
        };
    }
    let fresh = |replace| Plan::Fresh { prefix: 0, old: None, replace };
    match mode {
        WriteMode::Replace => Ok(fresh(true)),
        WriteMode::CreateNew | WriteMode::At(0) => Ok(fresh(false)),
        WriteMode::Append => {
            Ok(partial::size(place)?.map_or(fresh(false), |from| Plan::Resume { from }))
        }
        WriteMode::At(from) => match partial::size(place)? {
            Some(size) if from <= size => Ok(Plan::Resume { from }),
            _ => Err(ErrorKind::BadOffset.into()),
        },
    }
}

/// Nothing but regular files is written to.
pub(crate) fn refuse_irregular(found: &Statx) -> Result<()> {
    match FileType::from_raw_mode(found.stx_mode.into()) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(ErrorKind::IsADirectory.into()),
        _ => Err(ErrorKind::Denied.into()),
    }
}

impl Old {
    pub(crate) fn of(found: &Statx) -> Old {
        Old {
            mode: u32::from(found.stx_mode) & 0o777,
            owner: found.stx_uid,
            group: found.stx_gid,
            size: found.stx_size,
        }
    }
}
