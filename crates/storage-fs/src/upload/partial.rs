//! What interrupted uploads leave: `NAME.partial`, beside the name that it may become.
//!
//! Clients see it, and may delete, rename or resume it under that name. Only the lock tells that an
//! upload goes on in it.

use std::ffi::CString;
use std::fs::File;

use rustix::fs::{AtFlags, FileType, OFlags, unlinkat};
use rustix::io::Errno;
use waft_core::storage::ErrorKind;

use crate::beneath::{Place, look, same_file};
use crate::error::{Failure, Result};
use crate::temporary;

const SUFFIX: &[u8] = b".partial";

/// Where what is left of an interrupted upload to `place` stands.
pub(crate) fn place(place: &Place) -> Result<Place> {
    let name = [place.name.to_bytes(), SUFFIX].concat();
    Ok(place.beside(CString::new(name).map_err(|_| ErrorKind::BadName)?))
}

/// Octets that an interrupted upload to `of` has left; none if it left nothing.
pub(crate) fn size(of: &Place) -> Result<Option<u64>> {
    match place(of)?.look() {
        Ok(Some(found)) if FileType::from_raw_mode(found.stx_mode.into()).is_file() => {
            Ok(Some(found.stx_size))
        }
        Ok(_) | Err(Failure::System(Errno::NAMETOOLONG)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Opens and locks what an interrupted upload to `of` has left; none if it left nothing.
///
/// `Busy` if another upload goes on in it.
pub(crate) fn claim(of: &Place, flags: OFlags) -> Result<Option<File>> {
    let place = place(of)?;
    let file = match place.open(flags) {
        Ok(file) => file,
        // Nothing there, or no file of ours: a link, a directory, a pipe.
        Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::NAMETOOLONG) => {
            return Ok(None);
        }
        Err(errno) => return Err(errno.into()),
    };
    if !FileType::from_raw_mode(look(&file)?.stx_mode.into()).is_file() {
        return Ok(None);
    }
    temporary::lock(&file)?;
    // Between opening and locking, the one who had the lock may have published the file.
    let (opened, named) = (look(&file)?, place.look()?.ok_or(ErrorKind::Busy)?);
    if !same_file(&opened, &named) {
        return Err(ErrorKind::Busy.into());
    }
    Ok(Some(file.into()))
}

/// Removes what an interrupted upload to `of` has left, now that another one is complete, unless
/// somebody goes on with it. What fails here leaves a file behind that clients see and may delete.
pub(crate) fn remove_stale(of: &Place) {
    if !matches!(size(of), Ok(Some(_))) {
        return;
    }
    if let (Ok(Some(_lock)), Ok(stale)) = (claim(of, OFlags::WRONLY), place(of)) {
        let _ = unlinkat(&stale.parent, &stale.name, AtFlags::empty());
    }
}
