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

/// The reply that a guest made.
fn made(reply: types::Reply) -> Result<Reply, Failure> {
    let bad = |reason: String| Failure::Verdict(reason);
    let code = Code::new(reply.code);
    let code = code.ok_or_else(|| bad(format!("no reply code: {}", reply.code)))?;
    if reply.lines.is_empty() {
        return Err(bad("a reply without lines".to_owned()));
    }
    if reply.lines.len() > limits::REPLY_LINES_MAX {
        return Err(bad(format!("a reply of over {} lines", limits::REPLY_LINES_MAX)));
    }
    let lines: Result<Vec<Text>, Failure> = reply.lines.into_iter().map(line).collect();
    Ok(Reply::lines(code, lines?))
}

fn line(line: String) -> Result<Text, Failure> {
    if line.len() > limits::REPLY_LINE_BYTES_MAX {
        let max = limits::REPLY_LINE_BYTES_MAX;
        return Err(Failure::Verdict(format!("a reply line of over {max} bytes")));
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
