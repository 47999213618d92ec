//! The file that an unseen upload goes on behind: copied, and locked until the copy is published.
//!
//! Without the lock two uploads would each copy what is there, and the one that is published last
//! would undo the other.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, OFlags, Statx, unlinkat};
use waft_core::storage::{ErrorKind, WriteMode};

use crate::beneath::{Place, look, same_file};
use crate::error::Result;
use crate::upload::plan::{self, Old};
use crate::upload::{open_end, partial};

/// A file that stays as it is, and locked, as long as this is there.
#[derive(Debug)]
pub(crate) struct Held {
    place: Place,
    file: Arc<OwnedFd>,
    /// As it was when it was locked.
    found: Statx,
    is_partial: bool,
}

impl Held {
    /// Holds the file at `place`; `Busy` if somebody writes to it, or `mode` goes on elsewhere than
    /// at its end, `from` being where that was.
    pub(crate) fn whole(place: &Place, from: u64, mode: WriteMode) -> Result<Held> {
        let file = open_end(place, OFlags::RDWR, from, mode)?;
        Held::of(place.clone(), file, false)
    }

    /// Holds what an interrupted upload to `of` has left, which has at least `from` octets.
    pub(crate) fn partial(of: &Place, from: u64) -> Result<Held> {
        let kept = partial::claim(of, OFlags::RDWR)?.ok_or(ErrorKind::Busy)?;
        let held = Held::of(partial::place(of)?, kept.into(), true)?;
        if held.size() < from { Err(ErrorKind::Busy.into()) } else { Ok(held) }
    }

    fn of(place: Place, file: OwnedFd, is_partial: bool) -> Result<Held> {
        let found = look(&file)?;
        plan::refuse_irregular(&found)?;
        let held = Held { place, file: Arc::new(file), found, is_partial };
        // Between opening and locking, the one who had the lock may have published another file.
        held.check()?;
        Ok(held)
    }

    /// Octets in it.
    pub(crate) fn size(&self) -> u64 {
        self.found.stx_size
    }

    /// What the file that is published takes over from it.
    pub(crate) fn old(&self) -> Old {
        Old::of(&self.found)
    }

    /// Whether it is to be replaced, rather than removed.
    pub(crate) fn is_replaced(&self) -> bool {
        !self.is_partial
    }

    pub(crate) fn file(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.file)
    }

    /// `Busy` unless it still has its name and its size: not everybody who writes takes locks.
    pub(crate) fn check(&self) -> Result<()> {
        let named = self.place.look()?.ok_or(ErrorKind::Busy)?;
        if same_file(&named, &self.found) && named.stx_size == self.size() {
            Ok(())
        } else {
            Err(ErrorKind::Busy.into())
        }
    }

    /// Removes what is no longer needed now that the upload is published. What fails here leaves a
    /// file behind that clients see and may delete.
    pub(crate) fn remove_partial(&self) {
        if self.is_partial && self.check().is_ok() {
            let _ = unlinkat(&self.place.parent, &self.place.name, AtFlags::empty());
        }
    }
}
