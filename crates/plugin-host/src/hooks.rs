//! The hooks that this version calls: what a guest is shown, and how its verdict is checked.
//!
//! WIT strings are Unicode and FTP's arguments are octets. An argument or a reply that is not
//! UTF-8 is never shown changed: a command with one is answered with 501 in place of a plugin that
//! wants to decide about it, and a reply with one stays as it is.

pub(crate) mod command;
pub(crate) mod connection;
pub(crate) mod content;
pub(crate) mod events;
pub(crate) mod file;
pub(crate) mod login;
pub(crate) mod reply;
pub(crate) mod site;
pub(crate) mod timer;

use waft_proto::{Code, Command, Reply, Text};

use crate::bindings::waft::plugin::types;
use crate::errors::Failure;
use crate::limits;

/// The command as a guest may see it, without a secret; `None` if its argument is not UTF-8.
fn shown(command: &Command) -> Option<types::Command> {
    let verb = command.name().as_str().to_owned();
    let argument = command.argument().filter(|_| !command.is_secret());
    let arg = argument.map(|octets| std::str::from_utf8(octets).map(str::to_owned)).transpose();
    Some(types::Command { verb, arg: arg.ok()? })
}

/// How much a guest was shown in a call: it may pass that on, and say as much of its own as it might
/// in any case. So no client makes the length of a verdict a mistake that echoes what it sent.
#[derive(Clone, Copy, Debug, Default)]
struct Given {
    octets: usize,
    lines: usize,
}

impl Given {
    /// These texts.
    fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Given {
        let octets = texts.into_iter().map(str::len).fold(0, usize::saturating_add);
        Given { octets, lines: 0 }
    }

    /// The command, and the reply to it where there is one.
    fn command(command: &types::Command, reply: Option<&types::Reply>) -> Given {
        let lines = reply.map_or(&[][..], |reply| &reply.lines);
        let texts = command.arg.iter().chain(lines).map(String::as_str);
        Given { lines: lines.len(), ..Given::texts(texts) }
    }

    /// Octets that one text may have, which might have `max` in any case.
    fn octets_max(self, max: usize) -> usize {
        max.saturating_add(self.octets)
    }
}

/// The reply that a guest made, which was shown so much.
fn made(reply: types::Reply, given: Given) -> Result<Reply, Failure> {
    let bad = |reason: String| Failure::Verdict(reason);
    let code = Code::new(reply.code);
    let code = code.ok_or_else(|| bad(format!("no reply code: {}", reply.code)))?;
    if reply.lines.is_empty() {
        return Err(bad("a reply without lines".to_owned()));
    }
    let max = limits::REPLY_LINES_MAX.saturating_add(given.lines);
    if reply.lines.len() > max {
        return Err(bad(format!("a reply of over {max} lines")));
    }
    let max = given.octets_max(limits::REPLY_LINE_BYTES_MAX);
    let lines = reply.lines.into_iter().map(|text| line(text, max));
    let lines: Result<Vec<Text>, Failure> = lines.collect();
    Ok(Reply::lines(code, lines?))
}

fn line(line: String, max: usize) -> Result<Text, Failure> {
    if line.len() > max {
        return Err(Failure::Unfit(format!("a reply line of over {max} bytes")));
    }
    Text::new(line.into_bytes()).map_err(|error| Failure::Verdict(error.to_string()))
}

/// The answer in place of a plugin that failed.
fn failed() -> Reply {
    Reply::new(Code::LOCAL_ERROR, "Local error: plugin failed.")
}

/// The answer to an argument that no plugin can be shown.
fn not_unicode() -> Reply {
    Reply::new(Code::BAD_PARAMETER, "Argument is not UTF-8.")
}
