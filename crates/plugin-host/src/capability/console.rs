//! What a guest prints, as lines of the log: standard output at `info`, errors at `warn`, through
//! the gate that its other lines go through.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::log::{self, About};
use crate::bindings::waft::plugin::log::Level;
use crate::guest::Identity;
use crate::hook::Hook;
use crate::limits;

/// Where the printing of one instance ends up.
#[derive(Debug)]
pub(crate) struct Console {
    identity: Arc<Identity>,
    /// What the call in progress is about.
    about: Mutex<About>,
    output: Mutex<Vec<u8>>,
    errors: Mutex<Vec<u8>>,
}

impl Console {
    /// That of one instance.
    pub(crate) fn new(identity: Arc<Identity>) -> Console {
        Console {
            identity,
            about: Mutex::new(About { generation: 0, session: None, hook: Hook::Lifecycle }),
            output: Mutex::default(),
            errors: Mutex::default(),
        }
    }

    /// Notes what the next lines are about.
    pub(crate) fn about(&self, about: About) {
        *self.about.lock().unwrap_or_else(PoisonError::into_inner) = about;
    }

    /// Takes octets, and logs the lines that they end.
    fn print(&self, level: Level, octets: &[u8]) {
        let mut unfinished = self.unfinished(level);
        for piece in octets.split_inclusive(|&octet| octet == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            // What does not fit on a line of the log would be cut off there anyway.
            let room = limits::LOG_LINE_BYTES_MAX.saturating_sub(unfinished.len());
            unfinished.extend_from_slice(text.get(..room).unwrap_or(text));
            if ended {
                self.log(level, &unfinished);
                unfinished.clear();
            }
        }
    }

    fn log(&self, level: Level, line: &[u8]) {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if line.is_empty() {
            return;
        }
        let about = *self.about.lock().unwrap_or_else(PoisonError::into_inner);
        log::write(&self.identity, about, level, &line, &[]);
    }

    fn unfinished(&self, level: Level) -> MutexGuard<'_, Vec<u8>> {
        let lines = if level == Level::Info { &self.output } else { &self.errors };
        lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line that has no end when the instance is gone is a line.
impl Drop for Console {
    fn drop(&mut self) {
        for level in [Level::Info, Level::Warn] {
            let line = std::mem::take(&mut *self.unfinished(level));
            self.log(level, &line);
        }
    }
}

/// One of a guest's two streams; never full, never closed.
#[derive(Clone)]
pub(crate) struct Printed {
    console: Arc<Console>,
    level: Level,
}

impl Printed {
    /// Standard output.
    pub(crate) fn to_output(console: &Arc<Console>) -> Printed {
        Printed { console: Arc::clone(console), level: Level::Info }
    }

    /// Standard error.
    pub(crate) fn to_errors(console: &Arc<Console>) -> Printed {
        Printed { console: Arc::clone(console), level: Level::Warn }
    }
}

impl fmt::Debug for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Printed").field(&self.level).finish()
    }
}

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Printed {
    async fn ready(&mut self) {}
}

impl OutputStream for Printed {
    fn write(&mut self, octets: bytes::Bytes) -> StreamResult<()> {
        self.console.print(self.level, &octets);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(limits::PRINTED_BYTES_MAX)
    }
}

impl AsyncWrite for Printed {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.console.print(self.level, octets);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
