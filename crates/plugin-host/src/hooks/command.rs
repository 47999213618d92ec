//! `command-filter`: one plugin's verdict on one command.

use std::sync::Arc;

use waft_core::SessionFacts;
use waft_core::hooks::{Closing, VerdictError, check_answer, rewrite};
use waft_proto::verb::PluginReach;
use waft_proto::{Command, Reply};

use crate::bindings::exports::waft::plugin::command_filter::CommandDecision;
use crate::bindings::waft::plugin::types;
use crate::errors::Failure;
use crate::guest::Caller;
use crate::hook::Hook;
use crate::hooks::{failed, made, not_unicode, shown};
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
}

impl Told for Verdict {
    fn told(&self) -> String {
        match self {
            Verdict::Pass => "pass".to_owned(),
            Verdict::Rewrite(command) => format!("rewrite {command}"),
            Verdict::Answer(reply) => format!("answer {}", reply.told()),
            Verdict::Close(reply) => format!("close {}", reply.told()),
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
        return if observed { Verdict::Pass } else { Verdict::Answer(not_unicode()) };
    };
    let caller = Caller { hook: Hook::CommandFilter, generation };
    let (call, lease) = plugin.begin(caller, Some(session)).await;
    let call = call.about(|| command.to_string());
    let mut lease = match lease {
        Ok(lease) => lease,
        Err(failure) => {
            call.failed(failure);
            return by_policy(plugin, observed);
        }
    };
    let decision = lease
        .warm
        .call_about(caller, session, async |exports, store, session| match &exports.command {
            Some(hook) => hook.call_on_command(store, session, &shown).await,
            None => Ok(CommandDecision::Pass),
        })
        .await;
    let verdict = decision.and_then(|decision| {
        // Whatever it says about QUIT and ABOR, they go on: it sees them, and no more.
        if observed { Ok(Verdict::Pass) } else { check(command, decision) }
    });
    call.end(lease, verdict).unwrap_or_else(|_| by_policy(plugin, observed))
}

fn check(command: &Command, decision: CommandDecision) -> Result<Verdict, Failure> {
    match decision {
        CommandDecision::Pass => Ok(Verdict::Pass),
        CommandDecision::Rewrite(new) => rewritten(command, &new).map(Verdict::Rewrite),
        CommandDecision::Answer(reply) => {
            let reply = made(reply)?;
            check_answer(command, &reply, Closing::No).map_err(bad)?;
            Ok(Verdict::Answer(reply))
        }
        CommandDecision::Close(reply) => {
            let reply = made(reply)?;
            check_answer(command, &reply, Closing::Yes).map_err(bad)?;
            Ok(Verdict::Close(reply))
        }
    }
}

fn rewritten(command: &Command, new: &types::Command) -> Result<Command, Failure> {
    if new.arg.as_ref().is_some_and(|arg| arg.len() > limits::ARGUMENT_BYTES_MAX) {
        let max = limits::ARGUMENT_BYTES_MAX;
        return Err(Failure::Verdict(format!("an argument of over {max} bytes")));
    }
    rewrite(command, &new.verb, new.arg.as_deref().map(str::as_bytes)).map_err(bad)
}

fn bad(error: VerdictError) -> Failure {
    Failure::Verdict(error.to_string())
}

fn by_policy(plugin: &Plugin, observed: bool) -> Verdict {
    match plugin.settings.on_error(Hook::CommandFilter) {
        OnError::Deny if !observed => Verdict::Answer(failed()),
        OnError::Deny | OnError::Allow => Verdict::Pass,
    }
}
