//! `file-filter`: one plugin's verdict on what a command does to a file, and on what a listing
//! shows. Closed on failure.
//!
//! A path that is not UTF-8 is never shown changed: what would be done to it is answered with 501,
//! and an entry with such a name is not listed.

use std::sync::Arc;

use waft_core::hooks::{Closing, FileOp, FileOpKind, WriteKind, check_refusal};
use waft_core::storage::{FileKind, Metadata};
use waft_core::{SessionFacts, VirtualPath};
use waft_proto::{Code, Reply};
use wasmtime::Store;

use crate::artifact::Exports;
use crate::bindings::exports::waft::plugin::file_filter as wire;
use crate::bindings::waft::plugin::types;
use crate::errors::Failure;
use crate::guest::{Caller, Guest, enter};
use crate::hook::Hook;
use crate::hooks::{Given, made, not_unicode};
use crate::limits;
use crate::onlooker::Told;
use crate::plugin::Plugin;
use crate::settings::OnError;

/// What one plugin wants done, checked.
#[derive(Debug)]
pub(crate) enum Verdict {
    Pass,
    Redirect(VirtualPath),
    Deny(Reply),
    /// What it gets as the plugin could not be asked, or failed.
    Undecided(Reply),
}

impl Told for Verdict {
    fn told(&self) -> String {
        match self {
            Verdict::Pass => "pass".to_owned(),
            Verdict::Redirect(path) => format!("redirect {path}"),
            Verdict::Deny(reply) => format!("deny {}", reply.told()),
            Verdict::Undecided(reply) => format!("undecided {}", reply.told()),
        }
    }
}

/// What is to be done, in words.
fn told(op: &FileOp) -> String {
    let names = FileOpKind::ALL.iter();
    let word = names.filter(|(kind, _)| *kind == op.kind()).map(|(_, name)| *name).next();
    match op {
        FileOp::Rename(from, to) => format!("rename {from} to {to}"),
        FileOp::Change(path, facts) => format!("change {path} {facts}"),
        _ => format!("{} {}", word.unwrap_or_default(), op.target()),
    }
}

/// An entry of a directory, as a guest sees it.
pub(crate) type Entry = (String, types::FileStat);

/// Asks `plugin` about what is to be done to a file.
pub(crate) async fn ask(
    plugin: &Plugin,
    generation: u64,
    session: &Arc<SessionFacts>,
    op: &FileOp,
) -> Verdict {
    let Some(shown) = shown(op) else { return Verdict::Undecided(not_unicode()) };
    let caller = Caller { hook: Hook::FileFilter, generation };
    let ask = async |exports: &Exports, store: &mut Store<Guest>, session| match &exports.file {
        Some(hook) => {
            let (function, quick) = (hook.func_on_file(), plugin.is_quick(Hook::FileFilter));
            Ok(enter(store, quick, function, (session, &shown)).await?.0)
        }
        None => Ok(wire::FileDecision::Pass),
    };
    let verdict = plugin.ask(caller, session, || told(op), ask, |said| check(op, said)).await;
    verdict.unwrap_or_else(|failure| by_policy(plugin, &failure))
}

/// Asks `plugin` which of these entries are shown: one answer an entry.
///
/// # Errors
/// It cannot tell, and nothing is shown then.
pub(crate) async fn ask_list(
    plugin: &Plugin,
    generation: u64,
    session: &Arc<SessionFacts>,
    directory: &str,
    entries: &[Entry],
) -> Result<Vec<bool>, Undecided> {
    let caller = Caller { hook: Hook::FileFilter, generation };
    let about = || format!("list {directory}, {} entries", entries.len());
    let ask = async |exports: &Exports, store: &mut Store<Guest>, session| match &exports.file {
        Some(hook) => hook.call_on_list(store, session, directory, entries).await,
        None => Ok((0..).take(entries.len()).collect()),
    };
    let check = |numbers: Vec<u32>| {
        let mut shown = vec![false; entries.len()];
        for number in numbers {
            let entry = usize::try_from(number).ok().and_then(|number| shown.get_mut(number));
            let none = || Failure::Verdict(format!("no entry has the number {number}"));
            *entry.ok_or_else(none)? = true;
        }
        Ok(shown)
    };
    let shown = plugin.ask(caller, session, about, ask, check).await;
    shown.or_else(|_| match plugin.settings.on_error(Hook::FileFilter) {
        OnError::Deny => Err(Undecided),
        OnError::Allow => Ok(vec![true; entries.len()]),
    })
}

/// A plugin could not tell what is shown.
#[derive(Debug)]
pub(crate) struct Undecided;

/// An entry as a guest may see it; `None` if its name is not UTF-8.
pub(crate) fn entry(name: &[u8], metadata: &Metadata) -> Option<Entry> {
    let stat = types::FileStat {
        kind: match metadata.kind {
            FileKind::File => types::FileKind::File,
            FileKind::Directory => types::FileKind::Directory,
            FileKind::Symlink => types::FileKind::Symlink,
            FileKind::Other => types::FileKind::Other,
        },
        size: metadata.size,
        modified: metadata.modified.and_then(|time| {
            let seconds = u64::try_from(time.seconds).ok()?;
            seconds.checked_mul(1000)?.checked_add(u64::from(time.nanos / 1_000_000))
        }),
        mode: metadata.mode,
        owner: None,
        group: None,
        extra: Vec::new(),
    };
    Some((std::str::from_utf8(name).ok()?.to_owned(), stat))
}

/// What is to be done, as a guest may see it; `None` if a path is not UTF-8.
fn shown(op: &FileOp) -> Option<wire::FileOp> {
    let text = |path: &VirtualPath| std::str::from_utf8(path.as_bytes()).ok().map(str::to_owned);
    Some(match op {
        FileOp::Read(path, offset) => wire::FileOp::Read((text(path)?, *offset)),
        FileOp::Write(path, kind) => wire::FileOp::Write((text(path)?, write_kind(*kind))),
        FileOp::Remove(path) => wire::FileOp::Remove(text(path)?),
        FileOp::Rename(from, to) => wire::FileOp::Rename((text(from)?, text(to)?)),
        FileOp::MakeDirectory(path) => wire::FileOp::MakeDir(text(path)?),
        FileOp::RemoveDirectory(path) => wire::FileOp::RemoveDir(text(path)?),
        FileOp::Enter(path) => wire::FileOp::Enter(text(path)?),
        FileOp::Inspect(path) => wire::FileOp::Inspect(text(path)?),
        FileOp::Change(path, facts) => wire::FileOp::Change((text(path)?, facts.clone())),
    })
}

/// How much of it that is.
fn given(op: &FileOp) -> Given {
    let (from, facts) = match op {
        FileOp::Rename(from, _) => (from.as_bytes().len(), 0),
        FileOp::Change(_, facts) => (0, facts.len()),
        _ => (0, 0),
    };
    Given { octets: op.target().as_bytes().len() + from + facts, lines: 0 }
}

fn write_kind(kind: WriteKind) -> wire::WriteKind {
    match kind {
        WriteKind::Create => wire::WriteKind::Create,
        WriteKind::Replace => wire::WriteKind::Replace,
        WriteKind::Append => wire::WriteKind::Append,
        WriteKind::Resume => wire::WriteKind::Resume,
    }
}

fn check(op: &FileOp, decision: wire::FileDecision) -> Result<Verdict, Failure> {
    let given = given(op);
    match decision {
        wire::FileDecision::Pass => Ok(Verdict::Pass),
        wire::FileDecision::Redirect(path) => {
            let path = redirected(&path, given)?;
            Ok(if path == *op.target() { Verdict::Pass } else { Verdict::Redirect(path) })
        }
        wire::FileDecision::Deny(reply) => {
            let reply = made(reply, given)?;
            let checked = check_refusal(&reply, Closing::No);
            checked.map_err(|error| Failure::Verdict(error.to_string()))?;
            Ok(Verdict::Deny(reply))
        }
    }
}

fn redirected(path: &str, given: Given) -> Result<VirtualPath, Failure> {
    let max = given.octets_max(limits::ARGUMENT_BYTES_MAX);
    if path.len() > max {
        return Err(Failure::Unfit(format!("a path of over {max} bytes")));
    }
    if !path.starts_with('/') {
        return Err(Failure::Verdict(format!("not an absolute path: {path:?}")));
    }
    let path = VirtualPath::root().join(path.as_bytes());
    path.map_err(|error| Failure::Verdict(error.to_string()))
}

fn by_policy(plugin: &Plugin, failure: &Failure) -> Verdict {
    match plugin.policy(Hook::FileFilter, failure) {
        OnError::Deny => {
            Verdict::Undecided(Reply::new(Code::UNAVAILABLE, "Not possible now: plugin failed."))
        }
        OnError::Allow => Verdict::Pass,
    }
}
