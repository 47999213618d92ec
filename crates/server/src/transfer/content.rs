//! INSPECT: the bytes of a transfer on their way through the filters of plugins.
//!
//! A filtered file is read and written like any other, so that TYPE and MODE, which change what is
//! on the network, are done on the other side: filters see the bytes of the file. There is no way
//! around them for the kernel's own copying then.
//!
//! What the filters have not accepted is not published, and nothing of it is kept to be resumed:
//! going on behind it would show them only the rest.

use std::path::PathBuf;
use std::sync::Arc;

use waft_core::hooks::{ContentRefusal, ContentStream, ContentVerdict, WantedContent};
use waft_core::storage::{
    ErrorKind, Interrupted, LocalFile, Metadata, Reader, Refused, Result, Storage, StorageError,
    Writer,
};
use waft_core::{BoxFuture, VirtualPath};
use waft_proto::{Code, Reply};

use super::Target;
use super::quarantine::{self, Suspect};
use crate::counters::Counters;
use crate::settings::Settings;

/// What the log calls those that see contents.
const HOOK: &str = "content-filter";

/// Octets that filters are shown at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// Whose transfer it is, for logs and for what is put aside.
#[derive(Clone)]
pub(super) struct Label {
    pub(super) user: Arc<str>,
    pub(super) path: VirtualPath,
    pub(super) settings: Arc<Settings>,
    pub(super) counters: Arc<Counters>,
    /// The generation of the filters.
    pub(super) generation: u64,
}

/// Puts the filters behind a reader. All that `limit` lets through passes them; what they make of it
/// has no size that anybody knows.
pub(super) async fn filtered_reader(
    wanted: Box<dyn WantedContent>,
    reader: Box<dyn Reader>,
    limit: Option<u64>,
    label: Label,
) -> Result<Box<dyn Reader>> {
    let stream = Some(open(wanted, &label).await?);
    let left = match (reader.size(), limit) {
        (Some(size), Some(limit)) => Some(size.min(limit)),
        (size, limit) => size.or(limit),
    };
    let promised = reader.size().is_some();
    Ok(Box::new(FilteredReader { reader, stream, left, promised, label }))
}

/// Begins an upload with the filters before it. Nobody sees it before they have accepted it.
pub(super) async fn filtered_writer(
    wanted: Box<dyn WantedContent>,
    storage: &dyn Storage,
    target: &Target,
    label: Label,
) -> Result<Box<dyn Writer>> {
    let stream = open(wanted, &label).await?;
    let writer = storage.open_write_unseen(&target.path, target.mode).await?;
    Ok(Box::new(FilteredWriter { writer, stream, label }))
}

async fn open(wanted: Box<dyn WantedContent>, label: &Label) -> Result<Box<dyn ContentStream>> {
    wanted.open().await.map_err(|refusal| label.refused(refusal))
}

impl Label {
    /// Logs a refusal and makes it the transfer's end.
    fn refused(&self, refusal: ContentRefusal) -> StorageError {
        let (plugin, code) = (&*refusal.plugin, refusal.reply.code().number());
        let (generation, hook, path) = (self.generation, HOOK, &self.path);
        if refusal.is_decided {
            tracing::warn!(plugin, generation, hook, %path, code, "contents refused by plugin");
            self.counters.contents_refused.add_one();
        } else {
            let message = "contents could not be decided by plugin";
            tracing::warn!(plugin, generation, hook, %path, code, "{message}");
        }
        told(refusal, false)
    }

    fn directory(&self, plugin: &str) -> Option<PathBuf> {
        self.settings.transfers.quarantine.of(plugin).map(PathBuf::from)
    }
}

/// A file that is downloaded through filters.
struct FilteredReader {
    reader: Box<dyn Reader>,
    /// Gone at the end.
    stream: Option<Box<dyn ContentStream>>,
    /// Octets of the file that are still to come.
    left: Option<u64>,
    /// Whether the file was as long as that when it was opened.
    promised: bool,
    label: Label,
}

impl FilteredReader {
    /// The next octets of the file; none are the end.
    async fn next(&mut self, mut buffer: Vec<u8>) -> Result<Vec<u8>> {
        buffer.clear();
        let most = self.left.map_or(usize::MAX, |left| left.try_into().unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(buffer);
        }
        buffer.reserve(most.min(CHUNK_BYTES));
        buffer = self.reader.read(buffer).await?;
        buffer.truncate(most);
        if buffer.is_empty() && self.promised {
            return Err(StorageError::new(ErrorKind::Io, "the file became shorter meanwhile"));
        }
        self.left = self.left.map(|left| left.saturating_sub(buffer.len() as u64));
        Ok(buffer)
    }
}

impl Reader for FilteredReader {
    fn size(&self) -> Option<u64> {
        None
    }

    fn read(&mut self, mut buffer: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            loop {
                if self.stream.is_none() {
                    buffer.clear();
                    return Ok(buffer);
                }
                buffer = self.next(buffer).await?;
                if buffer.is_empty() {
                    break;
                }
                let Some(stream) = &mut self.stream else { return Ok(Vec::new()) };
                let passed = stream.push(buffer).await;
                buffer = passed.map_err(|refusal| self.label.refused(refusal))?;
                if !buffer.is_empty() {
                    return Ok(buffer);
                }
            }
            let Some(stream) = self.stream.take() else { return Ok(Vec::new()) };
            match stream.finish().await {
                ContentVerdict::Accept(tail) => Ok(tail),
                // There is nothing to put aside: the file is where it was.
                ContentVerdict::Refuse(refusal) | ContentVerdict::Quarantine(refusal) => {
                    Err(self.label.refused(refusal))
                }
            }
        })
    }

    fn local_file(&self) -> Option<LocalFile> {
        None
    }
}

/// A file that is uploaded through filters.
struct FilteredWriter {
    writer: Box<dyn Writer>,
    stream: Box<dyn ContentStream>,
    label: Label,
}

impl Writer for FilteredWriter {
    fn write(&mut self, data: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            let passed = self.stream.push(data).await;
            let data = passed.map_err(|refusal| self.label.refused(refusal))?;
            if data.is_empty() { Ok(data) } else { self.writer.write(data).await }
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Metadata>> {
        Box::pin(async move {
            let FilteredWriter { mut writer, stream, label } = *self;
            let error = match stream.finish().await {
                ContentVerdict::Accept(tail) => {
                    let tail = if tail.is_empty() { Ok(tail) } else { writer.write(tail).await };
                    match tail {
                        Ok(_) => return writer.finish().await,
                        Err(error) => error,
                    }
                }
                ContentVerdict::Refuse(refusal) => label.refused(refusal),
                ContentVerdict::Quarantine(refusal) => {
                    put_aside(writer.local_file(), &label, refusal).await
                }
            };
            delete(writer).await;
            Err(error)
        })
    }

    fn abandon(self: Box<Self>, _: Interrupted) -> BoxFuture<'static, Result<()>> {
        let FilteredWriter { writer, stream, .. } = *self;
        drop(stream);
        writer.abandon(Interrupted::Delete)
    }

    fn local_file(&self) -> Option<LocalFile> {
        None
    }
}

async fn delete(writer: Box<dyn Writer>) {
    if let Err(error) = writer.abandon(Interrupted::Delete).await {
        tracing::warn!(%error, "a refused upload could not be deleted");
    }
}

/// Keeps an upload where the operator wants it, and tells what the client is to be told. Nobody is
/// told that all is well with a file that is kept nowhere.
async fn put_aside(
    file: Option<LocalFile>,
    label: &Label,
    refusal: ContentRefusal,
) -> StorageError {
    let plugin = &*refusal.plugin;
    let suspect = Suspect { user: &label.user, path: &label.path, plugin };
    let kept = match (label.directory(plugin), file) {
        (Some(directory), Some(file)) => quarantine::keep(file.file, directory, &suspect).await,
        (None, _) => Err("no quarantine in [plugins]".to_owned()),
        (_, None) => Err("the storage is no local directory".to_owned()),
    };
    match kept {
        Ok(name) => {
            tracing::warn!(
                plugin,
                generation = label.generation,
                hook = HOOK,
                path = %label.path,
                code = refusal.reply.code().number(),
                kept = name,
                "upload put in quarantine by plugin"
            );
            label.counters.contents_quarantined.add_one();
            told(refusal, true)
        }
        Err(reason) => {
            let (generation, path) = (label.generation, &label.path);
            tracing::error!(plugin, generation, %path, reason, "upload not put in quarantine");
            if refusal.reply.code().number() >= 400 {
                return label.refused(refusal);
            }
            let reply = Reply::new(Code::LOCAL_ERROR, "Local error: the upload was not kept.");
            told(ContentRefusal { reply, ..refusal }, false)
        }
    }
}

/// What ends the transfer.
fn told(refusal: ContentRefusal, is_kept: bool) -> StorageError {
    let ContentRefusal { reply, plugin, is_decided } = refusal;
    StorageError::refused(Refused { reply, plugin, is_decided, is_kept })
}
