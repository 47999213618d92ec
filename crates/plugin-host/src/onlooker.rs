//! Who looks on while plugins are called: somebody who writes one wants to see every call, what it
//! was about and what came of it. A server has nobody, and nothing is put into words then.
//!
//! No password is among it: commands tell secrets as `***`, and of credentials there is the user.

use std::convert::Infallible;
use std::time::Duration;

use waft_core::event::Direction;
use waft_proto::Reply;

use crate::bindings::exports::waft::plugin::{content_filter, storage};
use crate::bindings::waft::plugin::types::FileStat;

/// Looks on.
pub trait Onlooker: Send + Sync {
    /// Is told of a call that is over. Must not wait: whoever is served does meanwhile.
    fn called(&self, call: &Called<'_>);
}

/// A call that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called<'a> {
    /// The plugin.
    pub plugin: &'a str,
    /// The session, where it is about one.
    pub session: Option<u64>,
    /// The hook.
    pub hook: &'static str,
    /// What it was about, on one line.
    pub about: String,
    /// What came of it, on one line.
    pub outcome: String,
    /// How long it took, waiting for an instance included.
    pub elapsed: Duration,
}

/// What comes of a call, in a few words.
pub(crate) trait Told {
    /// The words.
    fn told(&self) -> String;
}

/// A reply in words: its code, and its first line.
pub(crate) fn reply(reply: &Reply) -> String {
    let mut lines = reply.texts();
    let first = lines.next().map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned());
    let more = match lines.count() {
        0 => String::new(),
        more => format!(" (and {more} lines)"),
    };
    format!("{} {}{more}", reply.code().number(), first.unwrap_or_default())
}

/// Which way a transfer goes.
pub(crate) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Upload => "upload",
        Direction::Download => "download",
    }
}

impl Told for () {
    fn told(&self) -> String {
        "done".to_owned()
    }
}

impl Told for String {
    fn told(&self) -> String {
        format!("error: {self}")
    }
}

impl Told for Reply {
    fn told(&self) -> String {
        reply(self)
    }
}

/// The reply that takes the place of another.
impl Told for Option<Reply> {
    fn told(&self) -> String {
        self.as_ref().map_or_else(|| "keep".to_owned(), |new| format!("reword {}", reply(new)))
    }
}

/// Whether entries are shown.
impl Told for Vec<bool> {
    fn told(&self) -> String {
        let shown = self.iter().filter(|shown| **shown).count();
        format!("show {shown} of {}", self.len())
    }
}

/// A piece of a file.
impl Told for Vec<u8> {
    fn told(&self) -> String {
        format!("{} octets", self.len())
    }
}

/// Room that is left.
impl Told for Option<u64> {
    fn told(&self) -> String {
        self.map_or_else(|| "not known".to_owned(), |octets| format!("{octets} octets"))
    }
}

impl Told for Infallible {
    fn told(&self) -> String {
        match *self {}
    }
}

impl<T: Told, E: Told> Told for Result<T, E> {
    fn told(&self) -> String {
        match self {
            Ok(value) => value.told(),
            Err(error) => error.told(),
        }
    }
}

impl Told for content_filter::Interest {
    fn told(&self) -> String {
        let word = match self {
            content_filter::Interest::Skip => "skip",
            content_filter::Interest::Inspect => "inspect",
            content_filter::Interest::Transform => "transform",
        };
        word.to_owned()
    }
}

impl Told for storage::Error {
    fn told(&self) -> String {
        format!("error: {:?}: {}", self.code, self.message)
    }
}

impl Told for storage::Page {
    fn told(&self) -> String {
        let more = if self.next.is_some() { ", and more" } else { "" };
        format!("{} entries{more}", self.entries.len())
    }
}

impl Told for FileStat {
    fn told(&self) -> String {
        format!("{:?}, {} octets", self.kind, self.size)
    }
}

impl Told for waft_core::storage::Metadata {
    fn told(&self) -> String {
        format!("{:?}, {} octets", self.kind, self.size)
    }
}
