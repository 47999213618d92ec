//! A file that is being uploaded.

use std::ffi::CString;
use std::fs::File;
use std::mem;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, fsync, ftruncate, openat, unlinkat};
use waft_core::BoxFuture;
use waft_core::storage::{ErrorKind, Interrupted, LocalFile, Metadata, Writer};

use crate::beneath::{Place, look, same_file};
use crate::error::Result;
use crate::facts::metadata;
use crate::upload::held::Held;
use crate::upload::plan::Old;
use crate::upload::{partial, publish};
use crate::{Options, pool};

/// Where the octets of an upload are until it is complete.
#[derive(Debug)]
pub(crate) enum Body {
    /// In a file that no directory knows.
    Nameless,
    /// In a file of a reserved name.
    Hidden(CString),
    /// In what an interrupted upload has left.
    Partial,
    /// In the file itself, behind what was there.
    InPlace,
}

/// An upload in progress.
#[derive(Debug)]
pub(crate) struct LocalWriter {
    place: Place,
    options: Options,
    file: Arc<File>,
    body: Body,
    /// Octets that were there, or were copied, before the first one that arrives.
    began: u64,
    /// Where [`write`](Writer::write) goes on.
    offset: u64,
    old: Option<Old>,
    replace: bool,
    /// What nobody else may write to until this is published.
    held: Option<Held>,
    /// Neither finished nor abandoned: there is something to tidy up.
    open: bool,
    /// Whether nothing may be written any more. Locked while something is.
    over: Arc<Mutex<bool>>,
}

impl LocalWriter {
    /// A writer that goes on at `began`, for a name that must be free in the end.
    pub(crate) fn new(
        place: Place,
        options: Options,
        file: Arc<File>,
        body: Body,
        began: u64,
    ) -> LocalWriter {
        LocalWriter {
            place,
            options,
            file,
            body,
            began,
            offset: began,
            old: None,
            replace: false,
            held: None,
            open: true,
            over: Arc::default(),
        }
    }

    /// The same for a name that may be taken in the end, or is already.
    pub(crate) fn publishing(mut self, old: Option<Old>, replace: bool) -> LocalWriter {
        self.old = old;
        self.replace = replace;
        self
    }

    /// The same as the continuation of a file, copied so that nobody sees it grow.
    pub(crate) fn holding(mut self, held: Option<Held>) -> LocalWriter {
        self.held = held;
        self
    }

    /// Where it will be published.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    fn finish_now(&mut self) -> Result<Metadata> {
        if let Some(old) = self.old {
            publish::take_over(&self.file, old)?;
        }
        if self.options.durable {
            fsync(&*self.file)?;
        }
        // Replacing a file may take long: nobody should wait for that.
        let turn = self.old.is_none().then(|| self.place.wait_for_turn());
        self.publish()?;
        self.open = false;
        match &self.held {
            Some(held) => held.remove_partial(),
            None => partial::remove_stale(&self.place),
        }
        drop(turn);
        if self.options.durable {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            fsync(openat(&self.place.parent, c".", flags, Mode::empty())?)?;
        }
        Ok(metadata(&look(&*self.file)?))
    }

    fn publish(&mut self) -> Result<()> {
        if matches!(self.body, Body::InPlace) {
            // Removed or replaced meanwhile: what was appended is nowhere.
            let named = self.place.look()?.ok_or(ErrorKind::Busy)?;
            return if same_file(&named, &look(&*self.file)?) {
                Ok(())
            } else {
                Err(ErrorKind::Busy.into())
            };
        }
        if let Some(held) = &self.held {
            held.check()?;
        }
        if self.replace {
            publish::over(&self.place, &self.file, &mut self.body, self.old.is_none())
        } else {
            publish::to_free(&self.place, &self.file, &self.body)
        }
    }

    /// Waits for a write that nobody waits for any more, and lets none begin: the pool goes on
    /// with what was handed to it, though the upload was dropped.
    fn end_writing(&self) {
        *lock(&self.over) = true;
    }

    fn abandon_now(&mut self, interrupted: Interrupted) -> Result<()> {
        self.end_writing();
        // What goes on behind a held file leaves that: nothing of it may be seen.
        if interrupted == Interrupted::Keep && self.held.is_none() {
            match self.body {
                Body::Partial | Body::InPlace => self.open = false,
                Body::Nameless | Body::Hidden(_) if self.size()? > self.began => {
                    publish::keep(&self.place, &self.file, &mut self.body)?;
                    self.open = false;
                }
                Body::Nameless | Body::Hidden(_) => {}
            }
        }
        self.discard()
    }

    /// Leaves what was there before the upload began. Does nothing the second time.
    fn discard(&mut self) -> Result<()> {
        if !mem::take(&mut self.open) {
            return Ok(());
        }
        self.end_writing();
        match &self.body {
            Body::Nameless => Ok(()),
            Body::Hidden(name) => Ok(unlinkat(&self.place.parent, name, AtFlags::empty())?),
            Body::Partial | Body::InPlace => Ok(ftruncate(&*self.file, self.began)?),
        }
    }

    fn size(&self) -> Result<u64> {
        Ok(look(&*self.file)?.stx_size)
    }
}

impl Writer for LocalWriter {
    fn write(&mut self, mut data: Vec<u8>) -> BoxFuture<'_, waft_core::storage::Result<Vec<u8>>> {
        Box::pin(async move {
            let (file, offset, length) = (Arc::clone(&self.file), self.offset, data.len());
            let over = Arc::clone(&self.over);
            let written = pool::run(move || {
                let over = lock(&over);
                if !*over {
                    file.write_all_at(&data, offset)?;
                }
                data.clear();
                Ok(data)
            });
            let data = written.await?;
            self.offset += length as u64;
            Ok(data)
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, waft_core::storage::Result<Metadata>> {
        Box::pin(async move {
            // Waiting for the disk takes long, and so does freeing a large file that is replaced.
            let heavy = self.options.durable || self.old.is_some_and(|old| old.size >= pool::LARGE);
            Ok(pool::run_if(heavy, move || self.finish_now()).await?)
        })
    }

    fn abandon(
        mut self: Box<Self>,
        interrupted: Interrupted,
    ) -> BoxFuture<'static, waft_core::storage::Result<()>> {
        Box::pin(async move {
            let is_writing = self.over.try_lock().is_err();
            let heavy = is_writing || self.size()? >= pool::LARGE;
            Ok(pool::run_if(heavy, move || self.abandon_now(interrupted)).await?)
        })
    }

    fn local_file(&self) -> Option<LocalFile> {
        Some(LocalFile { file: Arc::clone(&self.file), offset: self.offset })
    }
}

impl Drop for LocalWriter {
    fn drop(&mut self) {
        // Nobody is there to be told; a hidden file that stays is swept later.
        let _ = self.discard();
    }
}

fn lock(over: &Mutex<bool>) -> MutexGuard<'_, bool> {
    // A flag cannot be left half set.
    over.lock().unwrap_or_else(PoisonError::into_inner)
}
