//! `reply-filter`: one plugin's wording of one reply. Open on failure: the reply stays.

use std::sync::Arc;

use waft_core::SessionFacts;
use waft_core::hooks::{VerdictError, check_rewording};
use waft_proto::{Command, Reply};
use wasmtime::Store;

use crate::artifact::Exports;
use crate::bindings::waft::plugin::types;
use crate::errors::Failure;
use crate::guest::{Caller, Guest, enter};
use crate::hook::Hook;
use crate::hooks::{Given, made, shown};
use crate::onlooker::Told;
use crate::plugin::Plugin;

/// Asks `plugin` about `reply`. `None` leaves it as it is.
pub(crate) async fn ask(
    plugin: &Plugin,
    generation: u64,
    session: &Arc<SessionFacts>,
    command: Option<&Command>,
    reply: &Reply,
) -> Option<Reply> {
    let asked = command.map(|command| command.name().as_str()).unwrap_or_default();
    let command = match command {
        Some(command) => shown(command)?,
        None => types::Command { verb: String::new(), arg: None },
    };
    let old = shown_reply(reply)?;
    let given = Given::command(&command, Some(&old));
    let caller = Caller { hook: Hook::ReplyFilter, generation };
    let about = || {
        let to = if asked.is_empty() { String::new() } else { format!(" to {asked}") };
        format!("{}{to}", reply.told())
    };
    let ask = async |exports: &Exports, store: &mut Store<Guest>, session| match &exports.reply {
        Some(hook) => {
            let (function, quick) = (hook.func_on_reply(), plugin.is_quick(Hook::ReplyFilter));
            Ok(enter(store, quick, function, (session, &command, &old)).await?.0)
        }
        None => Ok(None),
    };
    let check = |new: Option<types::Reply>| new.map_or(Ok(None), |new| check(reply, new, given));
    plugin.ask(caller, session, about, ask, check).await.unwrap_or_default()
}

fn check(old: &Reply, new: types::Reply, given: Given) -> Result<Option<Reply>, Failure> {
    let new = made(new, given)?;
    match check_rewording(old, &new) {
        Ok(()) => Ok(Some(new)),
        // A plugin that rewords every 2yz reply means no harm: data stays as it is.
        Err(VerdictError::Data(_)) => Ok(None),
        Err(error) => Err(Failure::Verdict(error.to_string())),
    }
}

/// `None` if some line is not UTF-8.
fn shown_reply(reply: &Reply) -> Option<types::Reply> {
    let lines: Result<Vec<String>, _> =
        reply.texts().map(|text| std::str::from_utf8(text.as_bytes()).map(str::to_owned)).collect();
    Some(types::Reply { code: reply.code().number(), lines: lines.ok()? })
}
