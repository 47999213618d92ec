//! `command-filter`: one plugin's verdict on one command.

use std::sync::Arc;

use waft_core::SessionFacts;
use waft_core::hooks::{Closing, VerdictError, check_answer, rewrite};
use waft_proto::verb::PluginReach;
use waft_proto::{Command, Reply};
use wasmtime::Store;

use crate::artifact::Exports;
use crate::bindings::exports::waft::plugin::command_filter::CommandDecision;
use crate::bindings::waft::plugin::types;
use crate::errors::Failure;
use crate::guest::{Caller, Guest, enter};
use crate::hook::Hook;
use crate::hooks::{Given, failed, made, not_unicode, shown};
use crate::limits;
use crate::onlooker::Told;
use crate::plugin::Plugin;
use crate::settings::OnError;

/// What one plugin wants done with a command, checked.
#[derive(Debug)]
pub(crate) enum Verdict {
    Pass,
    Rewrite(Command),
    Answer(Reply),
    Close(Reply),
    /// What it gets as the plugin could not be asked, or failed.
    Undecided(Reply),
}

impl Told for Verdict {
    fn told(&self) -> String {
        match self {
            Verdict::Pass => "pass".to_owned(),
            Verdict::Rewrite(command) => format!("rewrite {command}"),
            Verdict::Answer(reply) => format!("answer {}", reply.told()),
            Verdict::Close(reply) => format!("close {}", reply.told()),
            Verdict::Undecided(reply) => format!("undecided {}", reply.told()),
        }
    }
}

/// Asks `plugin` about `command`. Whatever goes wrong is settled by the plugin's policy.
pub(crate) async fn ask(
    plugin: &Plugin,
    generation: u64,
    session: &Arc<SessionFacts>,
    command: &Command,
) -> Verdict {
    let observed = command.verb().is_some_and(|v| v.spec().plugin == PluginReach::Observe);
    let Some(shown) = shown(command) else {
        return if observed { Verdict::Pass } else { Verdict::Undecided(not_unicode()) };
    };
    let caller = Caller { hook: Hook::CommandFilter, generation };
    let ask = async |exports: &Exports, store: &mut Store<Guest>, session| {
        let Some(hook) = &exports.command else { return Ok((CommandDecision::Pass, None)) };
        if plugin.may_remember(command) {
            store.data_mut().note_basis();
        }
        let (function, quick) = (hook.func_on_command(), plugin.is_quick(Hook::CommandFilter));
        let (said,) = enter(&mut *store, quick, function, (session, &shown)).await?;
        Ok((said, store.data_mut().take_basis()))
    };
    let check = |(said, basis)| {
        if let (CommandDecision::Pass, Some(basis)) = (&said, basis) {
            plugin.remember(session, command, basis);
        }
        // Whatever it says about QUIT and ABOR, they go on: it sees them, and no more.
        if observed { Ok(Verdict::Pass) } else { check(command, &shown, said) }
    };
    let verdict = plugin.ask(caller, session, || command.to_string(), ask, check).await;
    verdict.unwrap_or_else(|failure| by_policy(plugin, observed, &failure))
}

fn check(
    command: &Command,
    shown: &types::Command,
    decision: CommandDecision,
) -> Result<Verdict, Failure> {
    let given = Given::command(shown, None);
    match decision {
        CommandDecision::Pass => Ok(Verdict::Pass),
        CommandDecision::Rewrite(new) => rewritten(command, &new, given).map(Verdict::Rewrite),
        CommandDecision::Answer(reply) => {
            let reply = made(reply, given)?;
            check_answer(command, &reply, Closing::No).map_err(bad)?;
            Ok(Verdict::Answer(reply))
        }
        CommandDecision::Close(reply) => {
            let reply = made(reply, given)?;
            check_answer(command, &reply, Closing::Yes).map_err(bad)?;
            Ok(Verdict::Close(reply))
        }
    }
}

fn rewritten(command: &Command, new: &types::Command, given: Given) -> Result<Command, Failure> {
    let max = given.octets_max(limits::ARGUMENT_BYTES_MAX);
    if new.arg.as_ref().is_some_and(|arg| arg.len() > max) {
        return Err(Failure::Unfit(format!("an argument of over {max} bytes")));
    }
    rewrite(command, &new.verb, new.arg.as_deref().map(str::as_bytes)).map_err(bad)
}

fn bad(error: VerdictError) -> Failure {
    Failure::Verdict(error.to_string())
}

fn by_policy(plugin: &Plugin, observed: bool, failure: &Failure) -> Verdict {
    match plugin.policy(Hook::CommandFilter, failure) {
        OnError::Deny if !observed => Verdict::Undecided(failed()),
        OnError::Deny | OnError::Allow => Verdict::Pass,
    }
}
