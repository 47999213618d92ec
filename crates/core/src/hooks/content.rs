//! `content-filter`: what plugins may do to the bytes of a transfer.
//!
//! Asked in two steps, so that a transfer that nobody wants to see costs one question: first
//! whether they want it at all, before the 150 reply; then, once the data connection stands, a
//! stream is opened that all bytes of the file go through. Filters see the bytes of the file, not
//! those of the network: TYPE and MODE are done on the other side of them.

use std::sync::Arc;

use waft_proto::Reply;

use crate::BoxFuture;
use crate::event::Direction;
use crate::path::VirtualPath;
use crate::session::SessionFacts;
use crate::storage::WriteMode;

/// A transfer that filters are asked about.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The session it belongs to.
    pub session: Arc<SessionFacts>,
    /// Which way the bytes go.
    pub direction: Direction,
    /// The file.
    pub path: VirtualPath,
    /// Octets that will pass, where that is known.
    pub size: Option<u64>,
    /// Whether the file does not pass from its first to its last octet: REST, RANG, APPE.
    pub partial: bool,
}

impl Passage {
    /// Whether an upload of that mode passes only a part of the file.
    pub fn is_part(mode: WriteMode) -> bool {
        match mode {
            WriteMode::CreateNew | WriteMode::Replace | WriteMode::At(0) => false,
            WriteMode::Append | WriteMode::At(_) => true,
        }
    }
}

/// Plugins that look at contents.
pub trait ContentFilters: Send + Sync {
    /// Asks who wants to see a transfer; `None` if nobody does.
    ///
    /// # Errors
    /// Somebody who must be asked cannot answer.
    fn wanted(
        &self,
        passage: Passage,
    ) -> BoxFuture<'_, Result<Option<Box<dyn WantedContent>>, ContentRefusal>>;
}

/// A transfer that somebody wants to see.
pub trait WantedContent: Send {
    /// Whether the bytes change on their way, so that their number is not known beforehand and no
    /// offset means anything.
    fn transforms(&self) -> bool;

    /// Opens the stream. The transfer keeps what it opened, whatever is loaded meanwhile.
    ///
    /// # Errors
    /// Somebody who must see the bytes cannot.
    fn open(self: Box<Self>) -> BoxFuture<'static, Result<Box<dyn ContentStream>, ContentRefusal>>;
}

/// All filters of one transfer in their order. Dropped, they forget it.
pub trait ContentStream: Send {
    /// Shows them the next bytes and gives what goes on: the same memory where nothing changes
    /// them, perhaps nothing.
    fn push(&mut self, chunk: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, ContentRefusal>>;

    /// Tells them that all bytes have passed.
    fn finish(self: Box<Self>) -> BoxFuture<'static, ContentVerdict>;
}

/// What the filters say of a whole transfer.
#[derive(Clone, Debug)]
pub enum ContentVerdict {
    /// All is well, and these bytes go out behind the others.
    Accept(Vec<u8>),
    /// It must not come to be.
    Refuse(ContentRefusal),
    /// It must not come to be, and is to be kept where the operator wants such files.
    Quarantine(ContentRefusal),
}

/// A reply in place of the one that tells of success.
#[derive(Clone, Debug)]
pub struct ContentRefusal {
    /// What the client gets.
    pub reply: Reply,
    /// The plugin.
    pub plugin: Arc<str>,
    /// Whether the plugin wanted it; if not, it failed, or cannot be shown the file's name.
    pub is_decided: bool,
}
