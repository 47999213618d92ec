//! What calls and instances cost, for whoever measures a component: calls that no session makes, and
//! instances that serve nobody. A server uses none of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bindings::exports::waft::plugin::event_sink::{Event, Value};
use crate::engine::sandbox;
use crate::errors::{LoadError, Refusal, lines, one_line};
use crate::files::{self, Content};
use crate::guard::Guard;
use crate::guest::Warm;
use crate::hooks::events::deliver;
use crate::hooks::timer::ring;
use crate::host::Host;
use crate::inspect::artifact;
use crate::lent::Services;
use crate::load::blocking;
use crate::plugin::identity;
use crate::services::Stock;
use crate::settings::{Limits, PluginSettings};

/// Instances of a component.
pub struct Instances {
    held: Vec<Warm>,
    /// How long each took to be made and to prepare itself.
    pub started: Vec<Duration>,
}

impl Instances {
    /// Octets of linear memory that each has.
    pub fn memory_bytes(&self) -> usize {
        let all: usize = self.held.iter().map(Warm::memory).sum();
        all.checked_div(self.held.len()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Instances {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instances").field("started", &self.started).finish_non_exhaustive()
    }
}

/// Makes instances of a plugin, one behind the other. Needs a tokio runtime with time enabled.
///
/// # Errors
/// One cannot be made.
pub async fn instances(settings: &PluginSettings, count: usize) -> Result<Instances, LoadError> {
    let path = settings.path.clone();
    let made = async {
        let path = path.clone().ok_or(Refusal::NoPlace)?;
        let bytes = match blocking(move || files::read(&path, None, None, &Guard::alone())).await {
            Some(Content::Whole { bytes, .. }) => bytes,
            Some(Content::Refused(refusal)) => return Err(refusal),
            _ => return Err(Refusal::Unreadable("it changed while it was read".to_owned())),
        };
        let sandbox = sandbox()?;
        let limits = Limits { instances_max: count, ..settings.limits.clone() };
        let settings = &PluginSettings { limits, ..settings.clone() };
        let artifact = Arc::new(artifact(sandbox, bytes, settings).await?);
        let reservation = artifact.reserve(sandbox, settings).await?;
        let share = Stock::new(None, Services::default()).share(settings)?;
        let identity = Arc::new(identity(settings, share));
        let mut made = Instances { held: Vec::new(), started: Vec::new() };
        for _ in 0..count {
            let began = Instant::now();
            let warm = Warm::new(&reservation, &artifact, Arc::clone(&identity), 0, None).await;
            let mut warm =
                warm.map_err(|failure| Refusal::Start(one_line(&failure.to_string())))?;
            let said = warm.init().await;
            let said = said.map_err(|failure| Refusal::Init(one_line(&failure.to_string())))?;
            said.map_err(|reason| Refusal::SaidNo(lines(&reason)))?;
            made.started.push(began.elapsed());
            made.held.push(warm);
        }
        Ok(made)
    };
    let made: Result<Instances, Refusal> = made.await;
    made.map_err(|refusal| LoadError { plugin: settings.name.clone(), file: path, refusal })
}

impl Host {
    /// Rings the first timer of a plugin, out of its turn; tells whether it has one.
    pub async fn ring(&self, plugin: &str) -> bool {
        let Some((plugin, generation)) = self.shared.find(plugin) else { return false };
        let Some(timer) = plugin.interest.timers.first() else { return false };
        ring(&plugin, generation, &timer.name).await;
        true
    }

    /// Gives a plugin an event, which is none: nothing has happened.
    pub async fn deliver(&self, plugin: &str) {
        let Some((plugin, generation)) = self.shared.find(plugin) else { return };
        let text = |name: &str, value: &str| (name.to_owned(), Value::Text(value.to_owned()));
        let event = Event {
            id: 1,
            time_ms: 0,
            name: "transfer.upload.done".to_owned(),
            session: Some(1),
            fields: vec![text("user", "alice"), text("path", "/a.txt")],
        };
        // How it ends is counted there.
        drop(deliver(&plugin, generation, &[event]).await);
    }
}
