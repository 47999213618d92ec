//! `sessions`: the facts of the session that a hook runs for, lent for one call.
//!
//! A working directory that is not UTF-8 is given with the odd octets escaped (`\xff`): it is for
//! people to read. What decides about paths never sees a changed one, see [`crate::hooks`].

use std::sync::Arc;

use waft_core::SessionFacts;
use waft_proto::command::printable;
use waft_proto::verb::TABLE;
use waft_proto::{Verb, VerbSet};
use wasmtime::component::Resource;

use crate::bindings::waft::plugin::sessions::{Host, HostSession, TlsInfo};
use crate::guest::Guest;
use crate::memo::Fact;

/// A session, as a guest sees it.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "what is generated makes a public name of it")]
pub struct Session(pub(crate) Arc<SessionFacts>);

impl Guest {
    /// An error here would be the host's own mistake: guests cannot make handles up.
    fn facts(&self, session: &Resource<Session>) -> wasmtime::Result<&Arc<SessionFacts>> {
        Ok(&self.table.get(session)?.0)
    }

    /// The same, to tell something that may be true of other sessions as well.
    fn telling(
        &mut self,
        session: &Resource<Session>,
        fact: impl FnOnce(&SessionFacts) -> Fact,
    ) -> wasmtime::Result<Arc<SessionFacts>> {
        let facts = Arc::clone(self.facts(session)?);
        self.note_fact(|| fact(&facts));
        Ok(facts)
    }

    /// The same, for what is this session's alone: what it is decided by is true of no other.
    fn own(&self, session: &Resource<Session>) -> wasmtime::Result<&Arc<SessionFacts>> {
        self.note_more();
        self.facts(session)
    }
}

impl Host for Guest {}

impl HostSession for Guest {
    fn id(&mut self, session: Resource<Session>) -> wasmtime::Result<u64> {
        Ok(self.own(&session)?.id.0)
    }

    fn remote_ip(&mut self, session: Resource<Session>) -> wasmtime::Result<String> {
        let facts = self.telling(&session, |facts| Fact::Address(facts.peer.ip()))?;
        Ok(facts.peer.ip().to_string())
    }

    fn remote_port(&mut self, session: Resource<Session>) -> wasmtime::Result<u16> {
        Ok(self.own(&session)?.peer.port())
    }

    fn listener(&mut self, session: Resource<Session>) -> wasmtime::Result<String> {
        let facts = self.telling(&session, |facts| Fact::Listener(Arc::clone(&facts.listener)))?;
        Ok(facts.listener.to_string())
    }

    fn tls(&mut self, session: Resource<Session>) -> wasmtime::Result<Option<TlsInfo>> {
        let facts = self.telling(&session, |facts| Fact::Tls(facts.tls.clone()))?;
        Ok(facts.tls.as_ref().map(|tls| TlsInfo {
            version: tls.version.clone(),
            cipher: tls.cipher.clone(),
            server_name: tls.server_name.clone(),
            peer_cert_sha256: tls.peer_certificate_sha256.clone(),
        }))
    }

    fn user(&mut self, session: Resource<Session>) -> wasmtime::Result<Option<String>> {
        let facts = self.telling(&session, |facts| Fact::User(facts.user.clone()))?;
        Ok(facts.user.as_deref().map(str::to_owned))
    }

    fn cwd(&mut self, session: Resource<Session>) -> wasmtime::Result<String> {
        let facts = self.telling(&session, |facts| Fact::Cwd(facts.cwd.clone()))?;
        Ok(printable(facts.cwd.as_bytes()).into_owned())
    }

    fn attribute(
        &mut self,
        session: Resource<Session>,
        name: String,
    ) -> wasmtime::Result<Option<String>> {
        let value = self.facts(&session)?.fact(&name);
        self.note_fact(|| Fact::Attribute(name, value.clone()));
        Ok(value)
    }

    fn get(
        &mut self,
        session: Resource<Session>,
        key: String,
    ) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.own(&session)?.scratch.get(&self.identity.name, &key))
    }

    fn set(
        &mut self,
        session: Resource<Session>,
        key: String,
        value: Option<Vec<u8>>,
    ) -> wasmtime::Result<Result<(), String>> {
        let scratch = &self.own(&session)?.scratch;
        Ok(scratch.set(&self.identity.name, &key, value).map_err(|full| full.to_string()))
    }

    fn skip_commands(
        &mut self,
        session: Resource<Session>,
        verbs: Vec<String>,
    ) -> wasmtime::Result<()> {
        let mut known = VerbSet::EMPTY;
        let named = verbs.iter().filter_map(|name| Verb::from_name(name.as_bytes()));
        named.for_each(|verb| known.insert(verb));
        self.note_skipped(known);
        let facts = self.facts(&session)?;
        if facts.skips.add(self.identity.version, known) {
            tracing::debug!(
                plugin = &*self.identity.name,
                generation = self.about.generation,
                session = facts.id.0,
                hook = self.about.hook.name(),
                verbs = names(known).join(" "),
                "plugin skips commands of the session"
            );
        }
        Ok(())
    }

    fn drop(&mut self, session: Resource<Session>) -> wasmtime::Result<()> {
        self.table.delete(session)?;
        Ok(())
    }
}

fn names(verbs: VerbSet) -> Vec<&'static str> {
    TABLE.iter().filter(|row| verbs.contains(Some(row.verb))).map(|row| row.name).collect()
}
