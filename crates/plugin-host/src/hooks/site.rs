//! `site-command`: a plugin's answer to one of its own commands.

use std::sync::Arc;

use waft_core::SessionFacts;
use waft_core::hooks::SiteAnswer;
use waft_proto::reply::Class;
use waft_proto::{Code, Reply};
use wasmtime::Store;

use crate::artifact::Exports;
use crate::bindings::waft::plugin::types;
use crate::errors::Failure;
use crate::guest::{Caller, Guest};
use crate::hook::Hook;
use crate::hooks::{Given, failed, made, not_unicode};
use crate::plugin::Plugin;

/// Has `plugin` answer its command `name`. Whatever goes wrong is answered with 451: nobody else
/// could answer it.
pub(crate) async fn run(
    plugin: &Plugin,
    generation: u64,
    session: &Arc<SessionFacts>,
    name: &str,
    argument: Option<&[u8]>,
) -> SiteAnswer {
    let undecided =
        |reply| SiteAnswer { reply, plugin: Arc::clone(&plugin.name), is_decided: false };
    let Ok(argument) = argument.map(std::str::from_utf8).transpose() else {
        return undecided(not_unicode());
    };
    let caller = Caller { hook: Hook::SiteCommand, generation };
    let about = || format!("{name} {}", argument.unwrap_or_default());
    let ask = async |exports: &Exports, store: &mut Store<Guest>, session| match &exports.site {
        Some(hook) => hook.call_on_site(store, session, name, argument).await.map(Some),
        None => Ok(None),
    };
    let check = |said| check(said, Given::texts(argument));
    match plugin.ask(caller, session, about, ask, check).await {
        Ok(reply) => SiteAnswer { reply, plugin: Arc::clone(&plugin.name), is_decided: true },
        Err(_) => undecided(failed()),
    }
}

/// The reply that ends the command, and nothing else.
fn check(said: Option<types::Reply>, given: Given) -> Result<Reply, Failure> {
    let Some(said) = said else { return Ok(failed()) };
    let reply = made(said, given)?;
    let code = reply.code();
    let is_final = !matches!(code.class(), Class::Preliminary | Class::Intermediate);
    if !is_final || code == Code::NOT_AVAILABLE {
        return Err(Failure::Verdict(format!("not a final reply code: {code}")));
    }
    Ok(reply)
}
