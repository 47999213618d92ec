//! A component, compiled and checked: everything about a file that does not depend on settings.

use std::collections::BTreeSet;
use std::fmt;

use sha2::{Digest as _, Sha256};
use waft_proto::command::printable;
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, InstancePre};

use crate::bindings::exports::waft::plugin as exports;
use crate::cache::CompiledStore;
use crate::compiler::Compiler;
use crate::engine::Sandbox;
use crate::errors::{Refusal, one_line};
use crate::guest::Guest;
use crate::hook::Hook;
use crate::outline::{Interface, Outline};

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
    /// What it imports in which it may wait: interfaces with their functions.
    pub(crate) waiting: Vec<String>,
    pre: InstancePre<Guest>,
    indices: Indices,
}

/// Makes the two structures that hold what a component exports, before and after it has become an
/// instance, from one list of hooks.
macro_rules! exports {
    ($($field:ident: $interface:ident as $hook:ident,)+) => {
        /// Where the functions of a component's hooks are found in an instance.
        struct Indices {
            lifecycle: exports::lifecycle::GuestIndices,
            $($field: Option<exports::$interface::GuestIndices>,)+
        }

        /// The functions that an instance exports, by hook.
        pub(crate) struct Exports {
            pub(crate) lifecycle: exports::lifecycle::Guest,
            $(pub(crate) $field: Option<exports::$interface::Guest>,)+
        }

        impl Indices {
            fn find(pre: &InstancePre<Guest>, outline: &Outline) -> wasmtime::Result<Indices> {
                Ok(Indices {
                    lifecycle: exports::lifecycle::GuestIndices::new(pre)?,
                    $($field: outline
                        .exports_hook(Hook::$hook)
                        .then(|| exports::$interface::GuestIndices::new(pre))
                        .transpose()?,)+
                })
            }

            /// Looks the functions up, which checks their types.
            fn load(
                &self,
                store: &mut Store<Guest>,
                instance: &Instance,
            ) -> wasmtime::Result<Exports> {
                Ok(Exports {
                    lifecycle: self
                        .lifecycle
                        .load(&mut *store, instance)
                        .map_err(|error| Unfit::new(Hook::Lifecycle, &error))?,
                    $($field: match &self.$field {
                        Some(indices) => Some(
                            indices
                                .load(&mut *store, instance)
                                .map_err(|error| Unfit::new(Hook::$hook, &error))?,
                        ),
                        None => None,
                    },)+
                })
            }
        }
    };
}

exports! {
    connection: connection_filter as ConnectionFilter,
    command: command_filter as CommandFilter,
    login: authenticator as Authenticator,
    file: file_filter as FileFilter,
    reply: reply_filter as ReplyFilter,
    content: content_filter as ContentFilter,
    storage: storage as Storage,
    events: event_sink as EventSink,
    site: site_command as SiteCommand,
    timer: timer as Timer,
}

/// A hook whose functions have other types than this host calls.
#[derive(Debug, thiserror::Error)]
#[error("{hook}: {reason}")]
pub(crate) struct Unfit {
    hook: &'static str,
    reason: String,
}

impl Unfit {
    fn new(hook: Hook, error: &wasmtime::Error) -> Unfit {
        Unfit { hook: hook.name(), reason: one_line(&error.root_cause().to_string()) }
    }
}

impl Artifact {
    /// Checks and compiles `bytes`, or takes them from the store of compiled components, which keeps
    /// those `in_use` and some others. Slow.
    ///
    /// # Errors
    /// This host cannot run them.
    pub(crate) fn make(
        sandbox: &Sandbox,
        bytes: &[u8],
        compiler: &Compiler,
        compiled: Option<&CompiledStore>,
        in_use: &BTreeSet<Digest>,
    ) -> Result<Artifact, Refusal> {
        let outline = Outline::read(bytes)?;
        if let Some(problem) = outline.problems().into_iter().next() {
            return Err(problem);
        }
        let digest = Digest::of(bytes);
        let kept = compiled.and_then(|store| store.get(sandbox, digest));
        let component = match kept {
            Some(component) => component,
            None => {
                let component = compiler.compile(sandbox, bytes)?;
                if let Some(store) = compiled {
                    store.put(digest, &component, in_use);
                }
                component
            }
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
        let indices = Indices::find(&pre, &outline).map_err(misfit)?;
        let waiting = waiting(sandbox, &outline, component);
        Ok(Artifact { digest, outline, waiting, pre, indices })
    }

    /// Whether it exports that hook.
    pub(crate) fn has(&self, hook: Hook) -> bool {
        self.outline.exports_hook(hook)
    }

    /// Makes an instance in `store` and looks its functions up, which checks their types.
    pub(crate) async fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Exports> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        self.indices.load(store, &instance)
    }
}

fn waiting(sandbox: &Sandbox, outline: &Outline, component: &Component) -> Vec<String> {
    let mut waiting = Vec::new();
    for (name, import) in component.component_type().imports(&sandbox.engine) {
        let service = outline.imports.iter().find(|known| known.full == name);
        let Some(service) = service.and_then(Interface::service) else { continue };
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        let functions = interface.exports(&sandbox.engine).filter_map(|(name, export)| {
            let is_function = matches!(export.ty, ComponentItem::ComponentFunc(_));
            (is_function && service.waits_in(name)).then(|| printable(name.as_bytes()).into_owned())
        });
        let functions: Vec<_> = functions.collect();
        if !functions.is_empty() {
            waiting.push(format!("{} ({})", printable(name.as_bytes()), functions.join(", ")));
        }
    }
    waiting
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact").field("digest", &self.digest).finish_non_exhaustive()
    }
}
