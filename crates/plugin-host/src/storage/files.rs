//! Files of a guest's that are open: each has an instance of its own, and is read and written in
//! pieces of which the guest never has more than one.

use bytes::Bytes;
use waft_core::storage::{
    ErrorKind, FileKind, Interrupted, LocalFile, Metadata, Reader, Result, WriteMode, Writer,
};
use waft_core::{BoxFuture, VirtualPath};
use wasmtime::Store;
use wasmtime::component::{Resource, ResourceAny};

use super::{Asked, Beginning, broken, exported, metadata, refused, shown, wit};
use crate::artifact::Exports;
use crate::capability::sessions::Session;
use crate::errors::Failure;
use crate::guest::Guest;
use crate::limits;
use crate::plugin::{Pinned, Said, pieces};

/// A file that is being downloaded.
struct PluginReader {
    /// Gone at the end of the file.
    pinned: Option<Pinned>,
    size: u64,
    /// Octets of that which are still to come.
    left: u64,
    /// Octets that are asked for at a time.
    piece: usize,
}

/// A file that is being uploaded.
struct PluginWriter {
    pinned: Pinned,
}

/// Opens a file for reading.
pub(super) async fn open_read(
    asked: &Asked,
    path: &VirtualPath,
    offset: u64,
) -> Result<impl Reader + use<>> {
    let size = asked.size(path).await?.ok_or(ErrorKind::NotFound)?;
    let size = size.checked_sub(offset).ok_or(ErrorKind::BadOffset)?;
    let path = shown(path)?.to_owned();
    let about = about("open-read", &path);
    let opened = pinned(asked, about, move |exports, store, session| {
        Box::pin(
            async move { exported(exports)?.call_open_read(store, session, &path, offset).await },
        )
    });
    let pinned = opened.await?;
    Ok(PluginReader { pinned: Some(pinned), size, left: size, piece: 0 })
}

/// Begins an upload.
pub(super) async fn open_write(
    asked: &Asked,
    path: &VirtualPath,
    mode: WriteMode,
) -> Result<impl Writer + use<>> {
    let beginning = asked.beginning(path, mode).await?;
    let path = shown(path)?.to_owned();
    let about = about("open-write", &path);
    let opened = pinned(asked, about, move |exports, store, session| {
        Box::pin(async move {
            let (storage, Beginning { mode, offset }) = (exported(exports)?, beginning);
            storage.call_open_write(store, session, &path, mode, offset).await
        })
    });
    Ok(PluginWriter { pinned: opened.await? })
}

/// What a call is about: the name of the function, and a path.
fn about(name: &'static str, path: &str) -> impl FnOnce() -> String + Send + use<> {
    let path = path.to_owned();
    move || format!("{name} {path}")
}

async fn pinned(
    asked: &Asked,
    about: impl FnOnce() -> String + Send + 'static,
    make: impl for<'a> FnOnce(
        &'a Exports,
        &'a mut Store<Guest>,
        Resource<Session>,
    ) -> Said<'a, std::result::Result<ResourceAny, wit::Error>>
    + Send
    + 'static,
) -> Result<Pinned> {
    let opened = Pinned::open(&asked.plugin, asked.caller, &asked.session, about, make).await;
    let pinned = opened.map_err(broken)?.map_err(refused)?;
    pinned.enlist();
    Ok(pinned)
}

impl Reader for PluginReader {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    /// The guest's memory goes on as it came; what was lent is dropped.
    fn read(&mut self, buffer: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            let Some(pinned) = &mut self.pinned else { return Ok(Vec::new()) };
            // A guest may give less than was asked for: later pieces need not be as small.
            self.piece = self.piece.max(buffer.capacity()).clamp(1, limits::CHUNK_BYTES_MAX);
            let max = self.piece;
            let wanted = u32::try_from(max).unwrap_or(u32::MAX);
            let check = move |said: std::result::Result<Vec<u8>, wit::Error>| match said {
                Ok(piece) if piece.len() > max => {
                    let (is, max) = (piece.len(), max);
                    Err(Failure::Verdict(format!("{is} bytes of a file, at most {max} asked for")))
                }
                said => Ok(said),
            };
            let read = pinned.call(
                move || format!("read, at most {wanted} octets"),
                move |exports, store, reader| {
                    Box::pin(async move {
                        exported(exports)?.reader().call_read(store, reader, wanted).await
                    })
                },
                check,
            );
            let piece = read.await.map_err(broken)?.map_err(refused)?;
            self.left = self.left.saturating_sub(piece.len() as u64);
            // The instance goes back right away, not when the client has got everything.
            if (piece.is_empty() || self.left == 0)
                && let Some(pinned) = self.pinned.take()
            {
                pinned.close().await;
            }
            Ok(piece)
        })
    }

    fn local_file(&self) -> Option<LocalFile> {
        None
    }
}

impl Writer for PluginWriter {
    fn write(&mut self, data: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            // Shared with the call, which may outlive who waits for it.
            let octets = Bytes::from(data);
            for piece in pieces(&octets) {
                let length = piece.len();
                let write = self.pinned.call(
                    move || format!("write {length} octets"),
                    |exports, store, writer| {
                        Box::pin(async move {
                            exported(exports)?.writer().call_write(store, writer, &piece).await
                        })
                    },
                    Ok,
                );
                write.await.map_err(broken)?.map_err(refused)?;
            }
            let mut data = Vec::from(octets);
            data.clear();
            Ok(data)
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<Metadata>> {
        Box::pin(async move {
            let finished = self.pinned.call(
                || "finish".to_owned(),
                |exports, store, writer| {
                    Box::pin(
                        async move { exported(exports)?.writer().call_finish(store, writer).await },
                    )
                },
                Ok,
            );
            let said = finished.await.map_err(broken)?;
            self.pinned.close().await;
            let mut found = metadata(&said.map_err(refused)?);
            found.kind = FileKind::File;
            Ok(found)
        })
    }

    /// A guest that gives an upload up keeps nothing of it.
    fn abandon(self: Box<Self>, _: Interrupted) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            self.pinned.close().await;
            Ok(())
        })
    }

    fn local_file(&self) -> Option<LocalFile> {
        None
    }
}
