//! A component, compiled and checked: everything about a file that does not depend on settings.

use std::fmt;

use sha2::{Digest as _, Sha256};
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre};

use crate::bindings::exports::waft::plugin::{command_filter, lifecycle, reply_filter};
use crate::cache::CompiledStore;
use crate::engine::Sandbox;
use crate::errors::{Refusal, one_line};
use crate::guest::Guest;
use crate::outline::{Hook, Outline};

/// SHA-256 of a component: what tells one version from another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// That of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }
}

/// In hexadecimal.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A component that this host can run.
pub(crate) struct Artifact {
    pub(crate) digest: Digest,
    pub(crate) outline: Outline,
    pre: InstancePre<Guest>,
    lifecycle: lifecycle::GuestIndices,
    command: Option<command_filter::GuestIndices>,
    reply: Option<reply_filter::GuestIndices>,
}

/// The functions that an instance exports.
pub(crate) struct Hooks {
    pub(crate) lifecycle: lifecycle::Guest,
    pub(crate) command: Option<command_filter::Guest>,
    pub(crate) reply: Option<reply_filter::Guest>,
}

impl Artifact {
    /// Checks and compiles `bytes`, or takes them from the store of compiled components. Slow.
    ///
    /// # Errors
    /// This host cannot run them.
    pub(crate) fn make(
        sandbox: &Sandbox,
        bytes: &[u8],
        compiled: Option<&CompiledStore>,
    ) -> Result<Artifact, Refusal> {
        let outline = Outline::read(bytes)?;
        if let Some(problem) = outline.problems().into_iter().next() {
            return Err(problem);
        }
        let digest = Digest::of(bytes);
        let kept = compiled.and_then(|store| store.get(sandbox, digest));
        let component = match kept {
            Some(component) => component,
            None => compile(sandbox, bytes, digest, compiled)?,
        };
        Artifact::bind(sandbox, outline, digest, &component)
    }

    fn bind(
        sandbox: &Sandbox,
        outline: Outline,
        digest: Digest,
        component: &Component,
    ) -> Result<Artifact, Refusal> {
        let misfit = |error: wasmtime::Error| Refusal::Misfit(one_line(&format!("{error:#}")));
        let pre = sandbox.linker.instantiate_pre(component).map_err(misfit)?;
        let lifecycle = lifecycle::GuestIndices::new(&pre).map_err(misfit)?;
        let command = outline
            .exports_hook(Hook::CommandFilter)
            .then(|| command_filter::GuestIndices::new(&pre))
            .transpose()
            .map_err(misfit)?;
        let reply = outline
            .exports_hook(Hook::ReplyFilter)
            .then(|| reply_filter::GuestIndices::new(&pre))
            .transpose()
            .map_err(misfit)?;
        Ok(Artifact { digest, outline, pre, lifecycle, command, reply })
    }

    /// Whether it exports `command-filter`.
    pub(crate) fn filters_commands(&self) -> bool {
        self.command.is_some()
    }

    /// Whether it exports `reply-filter`.
    pub(crate) fn filters_replies(&self) -> bool {
        self.reply.is_some()
    }

    /// Makes an instance in `store` and looks its functions up, which checks their types.
    pub(crate) async fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Hooks> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let lifecycle = self.lifecycle.load(&mut *store, &instance)?;
        let command = match &self.command {
            Some(indices) => Some(indices.load(&mut *store, &instance)?),
            None => None,
        };
        let reply = match &self.reply {
            Some(indices) => Some(indices.load(&mut *store, &instance)?),
            None => None,
        };
        Ok(Hooks { lifecycle, command, reply })
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact").field("digest", &self.digest).finish_non_exhaustive()
    }
}

fn compile(
    sandbox: &Sandbox,
    bytes: &[u8],
    digest: Digest,
    compiled: Option<&CompiledStore>,
) -> Result<Component, Refusal> {
    let component = Component::from_binary(&sandbox.engine, bytes)
        .map_err(|error| Refusal::Compile(one_line(&format!("{error:#}"))))?;
    if let Some(store) = compiled {
        store.put(digest, &component);
    }
    Ok(component)
}
