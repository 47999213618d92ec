//! `content-filter`: the plugins that see the bytes of a transfer, as one stream.
//!
//! Uploads pass them in ascending order and downloads in descending order; what one gives is what
//! the next one gets. Each has an instance of its own from the opening of the stream to its end. A
//! filter that only inspects is shown the bytes and what it gives back is not looked at: the same
//! memory goes on.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use waft_core::event::Direction;
use waft_core::hooks::{
    ContentFilters, ContentRefusal, ContentStream, ContentVerdict, Passage, WantedContent,
};
use waft_core::{BoxFuture, SessionFacts};
use waft_proto::{Code, Reply};
use wasmtime::Store;

use super::{Given, failed, made, not_unicode};
use crate::artifact::Exports;
use crate::bindings::exports::waft::plugin::content_filter as wit;
use crate::bindings::waft::plugin::types;
use crate::errors::Failure;
use crate::guest::{Caller, Guest};
use crate::hook::Hook;
use crate::onlooker::{self, Told};
use crate::plugin::{Pinned, Plugin, pieces};
use crate::settings::OnError;

/// The plugins of one generation that look at contents, in ascending order.
pub(crate) struct Filters {
    generation: u64,
    plugins: Vec<Arc<Plugin>>,
}

/// A transfer that some of them want to see, in the order in which they do.
struct Wanted {
    caller: Caller,
    passage: Passage,
    filters: Vec<(Arc<Plugin>, Look)>,
}

/// What a filter does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Inspect,
    Transform,
}

/// One filter of a transfer.
struct Filter {
    plugin: Arc<Plugin>,
    look: Look,
    /// What it was shown of the file: its name.
    given: Given,
    /// Gone where it failed and the transfer goes on without it.
    pinned: Option<Pinned>,
}

/// All filters of a transfer.
struct Stream(Vec<Filter>);

impl Filters {
    /// Those among `plugins`; none if there are none.
    pub(crate) fn of(plugins: &[Arc<Plugin>], generation: u64) -> Option<Filters> {
        let filters = plugins.iter().filter(|plugin| plugin.artifact.has(Hook::ContentFilter));
        let plugins: Vec<_> = filters.cloned().collect();
        (!plugins.is_empty()).then_some(Filters { generation, plugins })
    }

    async fn ask(&self, passage: Passage) -> Result<Option<Wanted>, ContentRefusal> {
        let caller = Caller { hook: Hook::ContentFilter, generation: self.generation };
        let mut filters = Vec::new();
        for plugin in &self.plugins {
            match wants(plugin, caller, &passage).await? {
                wit::Interest::Skip => {}
                wit::Interest::Inspect => filters.push((Arc::clone(plugin), Look::Inspect)),
                wit::Interest::Transform => filters.push((Arc::clone(plugin), Look::Transform)),
            }
        }
        if passage.direction == Direction::Download {
            filters.reverse();
        }
        Ok((!filters.is_empty()).then_some(Wanted { caller, passage, filters }))
    }
}

impl ContentFilters for Filters {
    fn wanted(
        &self,
        passage: Passage,
    ) -> BoxFuture<'_, Result<Option<Box<dyn WantedContent>>, ContentRefusal>> {
        Box::pin(async move {
            let wanted = self.ask(passage).await?;
            Ok(wanted.map(|wanted| Box::new(wanted) as Box<dyn WantedContent>))
        })
    }
}

/// Asks one plugin whether it wants to see a transfer.
///
/// A plugin that cannot tell is never passed over: nobody knows whether it would have changed the
/// bytes, and without it they might be stored as they must not be.
async fn wants(
    plugin: &Arc<Plugin>,
    caller: Caller,
    passage: &Passage,
) -> Result<wit::Interest, ContentRefusal> {
    let Ok(path) = std::str::from_utf8(passage.path.as_bytes()) else {
        return Err(undecided(plugin, not_unicode()));
    };
    let session: &Arc<SessionFacts> = &passage.session;
    let about = || format!("wants {}", told(passage));
    let (direction, size) = (direction(passage.direction), passage.size);
    let ask = async |exports: &Exports, store: &mut Store<Guest>, session| {
        exported(exports)?.call_wants(store, session, direction, path, size).await
    };
    let wanted = plugin.ask(caller, session, about, ask, Ok).await;
    wanted.map_err(|_| undecided(plugin, failed()))
}

impl WantedContent for Wanted {
    fn transforms(&self) -> bool {
        self.filters.iter().any(|(_, look)| *look == Look::Transform)
    }

    fn open(self: Box<Self>) -> BoxFuture<'static, Result<Box<dyn ContentStream>, ContentRefusal>> {
        Box::pin(async move {
            let mut filters = Vec::with_capacity(self.filters.len());
            let given = Given { octets: self.passage.path.as_bytes().len(), lines: 0 };
            for (plugin, look) in &self.filters {
                let pinned = self.construct(plugin).await;
                let pinned = match pinned {
                    Ok(pinned) => Some(pinned),
                    Err(failure) => by_policy(plugin, *look, &failure).map(|()| None)?,
                };
                filters.push(Filter { plugin: Arc::clone(plugin), look: *look, given, pinned });
            }
            Ok(Box::new(Stream(filters)) as Box<dyn ContentStream>)
        })
    }
}

impl Wanted {
    /// Makes one filter.
    ///
    /// # Errors
    /// The plugin failed.
    async fn construct(&self, plugin: &Arc<Plugin>) -> Result<Pinned, Failure> {
        // It was UTF-8 when the plugin was asked.
        let path = String::from_utf8_lossy(self.passage.path.as_bytes()).into_owned();
        let direction = direction(self.passage.direction);
        let passage = self.passage.clone();
        let opened = Pinned::open(
            plugin,
            self.caller,
            &self.passage.session,
            move || format!("open {}", told(&passage)),
            move |exports, store, session| {
                Box::pin(async move {
                    let filter = exported(exports)?.filter();
                    let made = filter.call_constructor(store, session, direction, &path).await?;
                    Ok(Ok::<_, Infallible>(made))
                })
            },
        );
        let Ok(pinned) = opened.await?;
        Ok(pinned)
    }
}

impl ContentStream for Stream {
    fn push(&mut self, mut chunk: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, ContentRefusal>> {
        Box::pin(async move {
            for filter in &mut self.0 {
                if chunk.is_empty() {
                    break;
                }
                chunk = filter.push(chunk).await?;
            }
            Ok(chunk)
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, ContentVerdict> {
        Box::pin(async move {
            let mut tail = Vec::new();
            for filter in &mut self.0 {
                if !tail.is_empty() {
                    tail = match filter.push(tail).await {
                        Ok(tail) => tail,
                        Err(refusal) => return ContentVerdict::Refuse(refusal),
                    };
                }
                match filter.finish().await {
                    ContentVerdict::Accept(last) => tail.extend(last),
                    verdict => return verdict,
                }
            }
            ContentVerdict::Accept(tail)
        })
    }
}

impl Filter {
    async fn push(&mut self, chunk: Vec<u8>) -> Result<Vec<u8>, ContentRefusal> {
        let mut out = Vec::new();
        // Shared with the call, which may outlive who waits for it.
        let chunk = Bytes::from(chunk);
        for piece in pieces(&chunk) {
            // Who inspects may be gone, and the transfer goes on.
            let Some(pinned) = &mut self.pinned else { break };
            let given = self.given;
            let check = move |said: Result<Vec<u8>, types::Reply>| match said {
                Ok(piece) => Ok(Ok(piece)),
                Err(reply) => negative(reply, given).map(Err),
            };
            let octets = piece.len();
            let pushed = pinned.call(
                move || format!("push {octets} octets"),
                |exports, store, filter| {
                    Box::pin(async move {
                        exported(exports)?.filter().call_push(store, filter, &piece).await
                    })
                },
                check,
            );
            match pushed.await {
                Ok(Ok(_)) if self.look == Look::Inspect => {}
                Ok(Ok(piece)) if out.is_empty() => out = piece,
                Ok(Ok(piece)) => out.extend_from_slice(&piece),
                Ok(Err(reply)) => return Err(refusal(&self.plugin, reply)),
                Err(failure) => {
                    self.pinned = None;
                    by_policy(&self.plugin, self.look, &failure)?;
                }
            }
        }
        Ok(if self.look == Look::Inspect { chunk.into() } else { out })
    }

    /// Asks for the verdict. The guest's filter is gone afterwards.
    async fn finish(&mut self) -> ContentVerdict {
        let Some(mut pinned) = self.pinned.take() else {
            return ContentVerdict::Accept(Vec::new());
        };
        let given = self.given;
        let check = move |said: wit::Verdict| match said {
            wit::Verdict::Refuse(reply) => negative(reply, given).map(Said::Refuse),
            wit::Verdict::Quarantine(reply) => final_reply(reply, given).map(Said::Quarantine),
            wit::Verdict::Accept(last) => Ok(Said::Accept(last)),
        };
        let finished = pinned.call(
            || "finish".to_owned(),
            |exports, store, filter| {
                Box::pin(
                    async move { exported(exports)?.filter().call_finish(store, filter).await },
                )
            },
            check,
        );
        let said = finished.await;
        pinned.close().await;
        match said {
            Ok(Said::Accept(last)) if self.look == Look::Transform => ContentVerdict::Accept(last),
            Ok(Said::Accept(_)) => ContentVerdict::Accept(Vec::new()),
            Ok(Said::Refuse(reply)) => ContentVerdict::Refuse(refusal(&self.plugin, reply)),
            Ok(Said::Quarantine(reply)) => ContentVerdict::Quarantine(refusal(&self.plugin, reply)),
            Err(failure) => match by_policy(&self.plugin, self.look, &failure) {
                Ok(()) => ContentVerdict::Accept(Vec::new()),
                Err(refusal) => ContentVerdict::Refuse(refusal),
            },
        }
    }
}

/// A verdict whose reply can be sent.
enum Said {
    Accept(Vec<u8>),
    Refuse(Reply),
    Quarantine(Reply),
}

impl Told for Said {
    fn told(&self) -> String {
        match self {
            Said::Accept(last) => format!("accept, {}", last.told()),
            Said::Refuse(reply) => format!("refuse {}", reply.told()),
            Said::Quarantine(reply) => format!("quarantine {}", reply.told()),
        }
    }
}

/// A transfer, in words.
fn told(passage: &Passage) -> String {
    format!("{} {}", onlooker::direction(passage.direction), passage.path)
}

/// The functions of the guest's hook. It has them: nobody asks a plugin without.
fn exported(exports: &Exports) -> wasmtime::Result<&wit::Guest> {
    exports.content.as_ref().ok_or_else(|| wasmtime::Error::msg("exports no content-filter"))
}

fn direction(direction: Direction) -> types::Direction {
    match direction {
        Direction::Upload => types::Direction::Upload,
        Direction::Download => types::Direction::Download,
    }
}

/// Whether a transfer goes on though a filter failed: never without one that changes the bytes.
fn by_policy(plugin: &Plugin, look: Look, failure: &Failure) -> Result<(), ContentRefusal> {
    match (plugin.policy(Hook::ContentFilter, failure), look) {
        (OnError::Allow, Look::Inspect) => Ok(()),
        _ => Err(undecided(plugin, failed())),
    }
}

fn refusal(plugin: &Plugin, reply: Reply) -> ContentRefusal {
    ContentRefusal { reply, plugin: Arc::clone(&plugin.name), is_decided: true }
}

/// The end of a transfer that a plugin had to decide about, and could not.
fn undecided(plugin: &Plugin, reply: Reply) -> ContentRefusal {
    ContentRefusal { is_decided: false, ..refusal(plugin, reply) }
}

/// A reply that ends a transfer badly.
fn negative(reply: types::Reply, given: Given) -> Result<Reply, Failure> {
    let reply = final_reply(reply, given)?;
    if reply.code().number() < 400 {
        let code = reply.code().number();
        return Err(Failure::Verdict(format!("a refusal that says that all is well: {code}")));
    }
    Ok(reply)
}

/// A reply that ends a transfer.
fn final_reply(reply: types::Reply, given: Given) -> Result<Reply, Failure> {
    let reply = made(reply, given)?;
    let code = reply.code();
    let ends = matches!(code.number(), 200..300 | 400..600) && code != Code::NOT_AVAILABLE;
    if !ends {
        let code = code.number();
        return Err(Failure::Verdict(format!("not the code of a transfer's end: {code}")));
    }
    Ok(reply)
}
