//! A component, compiled and checked: everything about a file that does not depend on settings.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io, thread};

use sha2::{Digest as _, Sha256};
use waft_proto::command::printable;
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, InstancePre};

use crate::bindings::exports::waft::plugin as exports;
use crate::cache::{CompiledStore, Image, deserialize};
use crate::compiler::Compiler;
use crate::engine::{LinkedEngine, Need, Reservation, Sandbox};
use crate::errors::{Refusal, one_line};
use crate::guest::Guest;
use crate::hook::{COUNT, Hook, TABLE};
use crate::limits;
use crate::load::blocking;
use crate::outline::{Interface, Outline};
use crate::settings::{Isolation, PluginSettings};

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
    /// Whether it exports each hook, in the order of their table: asked at every command.
    hooks: [bool; COUNT],
    /// What it imports in which it may wait: interfaces with their functions.
    pub(crate) waiting: Vec<String>,
    /// Whether a call of it may wait for something, there or in what else it imports.
    pub(crate) may_wait: bool,
    /// In the engine that it was made for.
    first: Bound,
    /// In the other one.
    other: OnceLock<Bound>,
}

/// A component that is about to become instances in an engine.
struct Bound {
    linked: &'static LinkedEngine,
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
    /// those `in_use` and some others; for the engine where there is room for it with such settings. Slow.
    ///
    /// # Errors
    /// This host cannot run them.
    pub(crate) fn make(
        sandbox: &'static Sandbox,
        bytes: &[u8],
        settings: &PluginSettings,
        compiler: &Compiler,
        compiled: Option<&CompiledStore>,
        in_use: &BTreeSet<Digest>,
    ) -> Result<Artifact, Refusal> {
        let outline = Outline::read(bytes)?;
        if let Some(problem) = outline.problems().into_iter().next() {
            return Err(problem);
        }
        let linked = sandbox.engine_for(need(&outline, settings))?;
        let digest = Digest::of(bytes);
        let kept = compiled.and_then(|store| store.get(linked, digest));
        let component = match kept {
            Some(component) => component,
            None => {
                let (component, code) = compiler.compile(linked, bytes)?;
                let kept = compiled.and_then(|store| store.put(linked, digest, &code, in_use));
                kept.unwrap_or(component)
            }
        };
        let many = if has_more(&component) { sandbox.engine_for(Need::Many)? } else { linked };
        let (linked, component) = match std::ptr::eq(many, linked) {
            true => (linked, component),
            false => (many, taken_to(many, &component)?),
        };
        let waiting = waiting(linked, &outline, &component);
        let first = Bound::new(linked, &outline, &component)?;
        // Of what comes from elsewhere (WASI) it is not told apart.
        let is_foreign = |import: &Interface| import.ours().is_none();
        let may_wait = !waiting.is_empty() || outline.imports.iter().any(is_foreign);
        let hooks = TABLE.each_ref().map(|row| outline.exports_hook(row.hook));
        Ok(Artifact { digest, outline, hooks, waiting, may_wait, first, other: OnceLock::new() })
    }

    /// Reserves places for its instances with such settings, and has it ready to become one there.
    ///
    /// # Errors
    /// It cannot be had.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        sandbox: &'static Sandbox,
        settings: &PluginSettings,
    ) -> Result<Arc<Reservation>, Refusal> {
        let (this, need) = (Arc::clone(self), self.need(settings));
        let have = move || {
            let reservation = sandbox.reserve(need)?;
            this.bind(reservation.linked)?;
            Ok(Arc::new(reservation))
        };
        let stopping = || Refusal::Unreadable("the server is ending".to_owned());
        blocking(have).await.unwrap_or_else(|| Err(stopping()))
    }

    fn need(&self, settings: &PluginSettings) -> Need {
        if has_more(self.component()) { Need::Many } else { need(&self.outline, settings) }
    }

    /// Takes it to an engine that it was not made for.
    fn bind(&self, linked: &'static LinkedEngine) -> Result<(), Refusal> {
        if self.bound(linked).is_some() {
            return Ok(());
        }
        let component = taken_to(linked, self.component())?;
        let bound = Bound::new(linked, &self.outline, &component)?;
        // There are two engines: whoever else did so meanwhile took it to the same one.
        self.other.get_or_init(|| bound);
        Ok(())
    }

    fn bound(&self, linked: &'static LinkedEngine) -> Option<&Bound> {
        [Some(&self.first), self.other.get()]
            .into_iter()
            .flatten()
            .find(|bound| std::ptr::eq(bound.linked, linked))
    }

    fn component(&self) -> &Component {
        self.first.pre.component()
    }

    /// What it was compiled to, in each engine.
    pub(crate) fn images(&self) -> impl Iterator<Item = Image> {
        let bound = [Some(&self.first), self.other.get()].into_iter().flatten();
        bound.map(|bound| Image::of(bound.pre.component()))
    }

    /// Whether it exports that hook.
    #[expect(clippy::indexing_slicing, reason = "there is one for each")]
    pub(crate) fn has(&self, hook: Hook) -> bool {
        self.hooks[hook as usize]
    }

    /// Makes an instance in `store`, which is of an engine where it has room, and looks its functions
    /// up, which checks their types.
    pub(crate) async fn instantiate(
        &self,
        linked: &'static LinkedEngine,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<Exports> {
        let bound =
            self.bound(linked).ok_or_else(|| wasmtime::format_err!("it has no room there"))?;
        let instance = bound.pre.instantiate_async(&mut *store).await?;
        bound.indices.load(store, &instance)
    }
}

/// Whether an instance of it takes more than is usual.
fn has_more(component: &Component) -> bool {
    let is_usual = |each: wasmtime::ResourcesRequired| {
        each.num_memories <= 1 && each.num_tables <= limits::TABLES_EACH
    };
    !component.resources_required().is_some_and(is_usual)
}

/// The same component in another engine.
fn taken_to(linked: &LinkedEngine, component: &Component) -> Result<Component, Refusal> {
    let failed = |error: wasmtime::Error| Refusal::Compile(one_line(&format!("{error:#}")));
    let code = component.serialize().map_err(failed)?;
    deserialize(linked, &code).map_err(failed)
}

/// Instances that belong to transfers or to sessions are as many as those.
fn need(outline: &Outline, settings: &PluginSettings) -> Need {
    let of_transfers = [Hook::ContentFilter, Hook::Storage];
    let is_crowd = settings.isolation == Isolation::Session
        || of_transfers.into_iter().any(|hook| outline.exports_hook(hook));
    if is_crowd { Need::Many } else { Need::Few(settings.limits.instances_max.max(1)) }
}

impl Bound {
    fn new(
        linked: &'static LinkedEngine,
        outline: &Outline,
        component: &Component,
    ) -> Result<Bound, Refusal> {
        let misfit = |error: wasmtime::Error| Refusal::Misfit(one_line(&format!("{error:#}")));
        let pre = linked.link(component).map_err(misfit)?;
        let indices = Indices::find(&pre, outline).map_err(misfit)?;
        make_images(component);
        Ok(Bound { linked, pre, indices })
    }
}

/// Has the memory made that all instances begin with; that of a mapped component is its file. Where that
/// fails, the first instance tries again, and tells why not.
fn make_images(component: &Component) {
    let make = || component.initialize_copy_on_write_image();
    if let Err(error) = again_while_busy(make, || thread::sleep(BUSY)) {
        tracing::debug!(error = one_line(&format!("{error:#}")), "no memory made to begin with");
    }
}

/// How often the system is asked for what it is too busy for, and the time between two attempts.
const ATTEMPTS: usize = 10;
const BUSY: Duration = Duration::from_millis(50);

/// Does it again as long as the system is too busy: it seals no memory while some work of its own, such
/// as moving pages together, holds a page of it for a moment (`F_SEAL_WRITE`, EBUSY in fcntl(2)).
fn again_while_busy(
    mut step: impl FnMut() -> wasmtime::Result<()>,
    mut wait: impl FnMut(),
) -> wasmtime::Result<()> {
    for _ in 1..ATTEMPTS {
        match step() {
            Err(error) if is_busy(&error) => wait(),
            done => return done,
        }
    }
    step()
}

fn is_busy(error: &wasmtime::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::ResourceBusy)
}

fn waiting(linked: &LinkedEngine, outline: &Outline, component: &Component) -> Vec<String> {
    let mut waiting = Vec::new();
    for (name, import) in component.component_type().imports(&linked.engine) {
        let service = outline.imports.iter().find(|known| known.full == name);
        let Some(service) = service.and_then(Interface::service) else { continue };
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        let functions = interface.exports(&linked.engine).filter_map(|(name, export)| {
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

#[cfg(test)]
mod tests {
    use wasmtime::Engine;

    use super::*;
    use crate::engine::sandbox;

    /// A component with an instance of each of these modules.
    fn component(modules: &[&str]) -> Component {
        let module = |(index, parts): (usize, &&str)| {
            format!("(core module {parts}) (core instance (instantiate {index}))")
        };
        let modules: String = modules.iter().enumerate().map(module).collect();
        let engine = &sandbox().unwrap().first_engine().engine;
        Component::new(engine, wat::parse_str(format!("(component {modules})")).unwrap()).unwrap()
    }

    #[test]
    fn what_the_system_is_too_busy_for_is_tried_again_and_nothing_else_is() {
        let tried = |results: &[Option<io::ErrorKind>]| {
            let (mut attempts, mut waits) = (0, 0);
            let step = || {
                let result = results.get(attempts).or(results.last()).unwrap();
                attempts += 1;
                let failed = |kind| wasmtime::Error::new(io::Error::from(kind)).context("seals");
                result.map_or(Ok(()), |kind| Err(failed(kind)))
            };
            let is_done = again_while_busy(step, || waits += 1).is_ok();
            (is_done, attempts, waits)
        };
        let busy = Some(io::ErrorKind::ResourceBusy);
        assert_eq!(tried(&[None]), (true, 1, 0));
        assert_eq!(tried(&[busy, busy, None]), (true, 3, 2));
        assert_eq!(tried(&[busy]), (false, ATTEMPTS, ATTEMPTS - 1));
        assert_eq!(tried(&[Some(io::ErrorKind::OutOfMemory)]), (false, 1, 0));
        assert_eq!(tried(&[busy, Some(io::ErrorKind::OutOfMemory)]), (false, 2, 1));
    }

    #[test]
    fn a_component_with_more_than_is_usual_is_told() {
        let (memory, table) = ("(memory 1)", "(table 1 funcref)");
        assert!(!has_more(&component(&[memory, table, table])));
        assert!(has_more(&component(&[memory, memory])));
        assert!(has_more(&component(&[table, table, table])));
    }

    #[test]
    fn what_is_taken_to_another_engine_becomes_an_instance_there() {
        let sandbox = sandbox().unwrap();
        let many = sandbox.engine_for(Need::Many).unwrap();
        assert!(!std::ptr::eq(many, sandbox.first_engine()));
        let taken = taken_to(many, &component(&["(memory 1)"])).unwrap();
        assert!(Engine::same(taken.engine(), &many.engine));
        many.link(&taken).unwrap();
    }
}
