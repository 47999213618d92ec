//! The same transfers over every way: what takes the direct one, and what cannot.

mod downloads;
mod uploads;

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use waft_core::BoxFuture;
use waft_core::storage::{
    FileKind, Interrupted, LocalFile, Metadata, Reader, Result as StorageResult, Writer,
};

use super::*;
use crate::net::memory::MemoryStream;
use crate::net::tcp::Tcp;

/// What a transfer runs between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// TCP and a local file: direct where octets go as they are.
    Direct,
    /// A stream in memory and a local file.
    MemoryAndFile,
    /// TCP and a storage without local files.
    TcpAndStorage,
}

const WAYS: [Way; 3] = [Way::Direct, Way::MemoryAndFile, Way::TcpAndStorage];

/// Nothing here takes that long.
const STALL: Duration = Duration::from_secs(60);

/// Both ends of a TCP connection: the server's, as it is accepted at a passive port, the client's.
async fn tcp_pair() -> (Tcp, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (server, client) = tokio::join!(listener.accept(), client);
    (Tcp::Unwatched(server.unwrap().0.into_std().unwrap()), client.unwrap())
}

/// Octets without a pattern that a shifted or repeated piece would fit into, with all kinds of
/// line ends.
fn octets(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut octets: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match state >> 59 {
            0 => b'\n',
            1 => b'\r',
            n => (state >> 20) as u8 & n as u8,
        }
    })
    .take(length)
    .collect();
    for at in (0..length.saturating_sub(1)).step_by(97) {
        octets[at..at + 2].copy_from_slice(b"\r\n");
    }
    octets
}

fn lf_to_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, &b) in text.iter().enumerate() {
        if b == b'\n' && (at == 0 || text[at - 1] != b'\r') {
            out.push(b'\r');
        }
        out.push(b);
    }
    out
}

fn crlf_to_lf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &b in text {
        if b == b'\n' && out.last() == Some(&b'\r') {
            out.pop();
        }
        out.push(b);
    }
    out
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// What a zlib stream holds, which must be complete and nothing else.
fn unzlib(stream: &[u8]) -> Vec<u8> {
    let mut decoder = ZlibDecoder::new(stream);
    let mut data = Vec::new();
    decoder.read_to_end(&mut data).unwrap();
    assert_eq!(decoder.total_in(), stream.len() as u64, "octets behind the zlib stream");
    data
}

fn file_with(data: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    Arc::new(file)
}

fn contents(file: &File) -> Vec<u8> {
    let mut data = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut data, 0).unwrap();
    data
}

/// A file of a storage, local or not.
struct TestReader {
    file: Arc<File>,
    offset: u64,
    size: Option<u64>,
    is_local: bool,
    reads: watch::Sender<usize>,
}

impl TestReader {
    fn new(way: Way, data: &[u8]) -> TestReader {
        TestReader {
            file: file_with(data),
            offset: 0,
            size: Some(data.len() as u64),
            is_local: way != Way::TcpAndStorage,
            reads: watch::Sender::default(),
        }
    }
}

impl Reader for TestReader {
    fn size(&self) -> Option<u64> {
        self.size
    }

    fn read(&mut self, mut buffer: Vec<u8>) -> BoxFuture<'_, StorageResult<Vec<u8>>> {
        self.reads.send_modify(|reads| *reads += 1);
        buffer.resize(buffer.capacity(), 0);
        let length = self.file.read_at(&mut buffer, self.offset).unwrap();
        buffer.truncate(length);
        self.offset += length as u64;
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(buffer)
        })
    }

    fn local_file(&self) -> Option<LocalFile> {
        let file = Arc::clone(&self.file);
        self.is_local.then_some(LocalFile { file, offset: self.offset })
    }
}

/// An upload of a storage, local or not. Remembers the largest piece.
struct TestWriter {
    file: Arc<File>,
    offset: u64,
    is_local: bool,
    largest: Arc<Mutex<usize>>,
    /// Nothing is written while it is held.
    brake: Arc<tokio::sync::Mutex<()>>,
}

impl TestWriter {
    fn new(way: Way) -> TestWriter {
        let is_local = way != Way::TcpAndStorage;
        let (largest, brake) = Default::default();
        TestWriter { file: file_with(b""), offset: 0, is_local, largest, brake }
    }
}

impl Writer for TestWriter {
    fn write(&mut self, mut data: Vec<u8>) -> BoxFuture<'_, StorageResult<Vec<u8>>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            drop(self.brake.lock().await);
            let written = self.file.write_all_at(&data, self.offset);
            written.map_err(|error| StorageError::new(ErrorKind::NoSpace, error))?;
            self.offset += data.len() as u64;
            let mut largest = self.largest.lock().unwrap();
            *largest = data.len().max(*largest);
            data.clear();
            Ok(data)
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, StorageResult<Metadata>> {
        let metadata = Metadata {
            kind: FileKind::File,
            size: self.offset,
            modified: None,
            created: None,
            mode: None,
            links: 1,
            unique: None,
        };
        Box::pin(async move { Ok(metadata) })
    }

    fn abandon(self: Box<Self>, _: Interrupted) -> BoxFuture<'static, StorageResult<()>> {
        Box::pin(async { Ok(()) })
    }

    fn local_file(&self) -> Option<LocalFile> {
        let file = Arc::clone(&self.file);
        self.is_local.then_some(LocalFile { file, offset: self.offset })
    }
}
