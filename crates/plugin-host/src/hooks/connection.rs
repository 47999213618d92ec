//! `connection-filter`: one plugin's verdict on a client that has just connected. Closed on failure:
//! it is told that the service is not available.

use std::sync::Arc;

use waft_core::SessionFacts;
use waft_core::hooks::{Closing, check_refusal};
use waft_proto::{Code, Reply};
use wasmtime::Store;

use crate::artifact::Exports;
use crate::bindings::exports::waft::plugin::connection_filter::ConnectDecision;
use crate::errors::Failure;
use crate::guest::{Caller, Guest};
use crate::hook::Hook;
use crate::hooks::{Given, made};
use crate::onlooker::Told;
use crate::plugin::Plugin;
use crate::settings::OnError;

/// What one plugin wants done with a client, checked.
#[derive(Debug)]
pub(crate) enum Verdict {
    Pass,
    Reject(Reply),
    Drop,
    /// What it gets as the plugin failed.
    Undecided(Reply),
}

impl Told for Verdict {
    fn told(&self) -> String {
        match self {
            Verdict::Pass => "pass".to_owned(),
            Verdict::Reject(reply) => format!("reject {}", reply.told()),
            Verdict::Drop => "drop".to_owned(),
            Verdict::Undecided(reply) => format!("undecided {}", reply.told()),
        }
    }
}

/// Asks `plugin` about the client of `session`.
pub(crate) async fn ask(plugin: &Plugin, generation: u64, session: &Arc<SessionFacts>) -> Verdict {
    let caller = Caller { hook: Hook::ConnectionFilter, generation };
    let about = || format!("{} at {}", session.peer, session.listener);
    let ask = async |exports: &Exports, store: &mut Store<Guest>, session| match &exports.connection
    {
        Some(hook) => hook.call_on_connect(store, session).await,
        None => Ok(ConnectDecision::Pass),
    };
    let verdict = plugin.ask(caller, session, about, ask, check).await;
    verdict.unwrap_or_else(|failure| by_policy(plugin, &failure))
}

fn check(decision: ConnectDecision) -> Result<Verdict, Failure> {
    match decision {
        ConnectDecision::Pass => Ok(Verdict::Pass),
        ConnectDecision::Drop => Ok(Verdict::Drop),
        ConnectDecision::Reject(reply) => {
            let reply = made(reply, Given::default())?;
            let checked = check_refusal(&reply, Closing::Yes);
            checked.map_err(|error| Failure::Verdict(error.to_string()))?;
            Ok(Verdict::Reject(reply))
        }
    }
}

fn by_policy(plugin: &Plugin, failure: &Failure) -> Verdict {
    match plugin.policy(Hook::ConnectionFilter, failure) {
        OnError::Deny => {
            Verdict::Undecided(Reply::new(Code::NOT_AVAILABLE, "Service not available now."))
        }
        OnError::Allow => Verdict::Pass,
    }
}
