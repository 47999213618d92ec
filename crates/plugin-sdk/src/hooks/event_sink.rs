//! What has happened.

use super::{NOT_CONFIGURED, running};
use crate::Plugin;
use crate::bindings::event_sink::exports::waft::plugin::event_sink::Guest;
use crate::export::Holder;

pub use crate::bindings::event_sink::exports::waft::plugin::event_sink::{Event, Value};

/// Hears of what has happened, off the sessions' path.
///
/// ```
/// use waft_plugin_sdk::{
///     Event, EventSink, Interest, Plugin, Settings, Value, export, metrics, testing,
/// };
///
/// struct Uploads;
///
/// impl Plugin for Uploads {
///     fn new(_: &Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn interest(&self) -> Interest {
///         Interest::nothing().in_events(["transfer.upload.*"])
///     }
/// }
///
/// impl EventSink for Uploads {
///     fn on_events(&self, events: &[Event]) -> Result<(), String> {
///         for event in events {
///             let bytes = event.number("bytes").unwrap_or(0);
///             metrics::counter("uploaded_bytes", bytes.unsigned_abs(), &[]);
///         }
///         Ok(())
///     }
/// }
///
/// export!(Uploads: event_sink);
///
/// let event = Event::new("transfer.upload.done").with("bytes", Value::Number(42));
/// Uploads.on_events(&[event]).unwrap();
/// assert_eq!(testing::counted("uploaded_bytes"), 42);
/// ```
pub trait EventSink: Plugin {
    /// Takes a batch of events; those of one session come in their order.
    ///
    /// # Errors
    /// The batch could not be taken: the server offers it again after a while, until it has to
    /// drop the oldest.
    fn on_events(&self, events: &[Event]) -> Result<(), String>;
}

/// The names of all events that a plugin can [want](crate::Interest::in_events), for settings that
/// name some; `events.dropped` comes unasked.
pub const EVENTS: [&str; 27] = [
    "session.open",
    "session.close",
    "auth.ok",
    "auth.fail",
    "auth.undecided",
    "transfer.upload.done",
    "transfer.upload.fail",
    "transfer.download.done",
    "transfer.download.fail",
    "file.remove",
    "file.rename",
    "directory.make",
    "directory.remove",
    "plugin.load",
    "plugin.replace",
    "plugin.try",
    "plugin.promote",
    "plugin.remove",
    "plugin.disable",
    "plugin.rollback",
    "plugin.keep",
    "plugin.refuse",
    "plugin.revoke",
    "plugin.drain",
    "plugin.trap",
    "plugin.timeout",
    "plugin.break",
];

impl Event {
    /// An event without a session or fields, for tests.
    pub fn new(name: &str) -> Self {
        Self { id: 1, time_ms: 0, name: name.to_owned(), session: None, fields: Vec::new() }
    }

    /// With a field.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.fields.push((name.to_owned(), value));
        self
    }

    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The text in the field of a name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.field(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number in the field of a name.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.field(name)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The flag in the field of a name.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.field(name)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }
}

impl<H: Holder<Plugin: EventSink>> Guest for H {
    fn on_events(events: Vec<Event>) -> Result<(), String> {
        running::<H>().ok_or_else(|| NOT_CONFIGURED.to_owned())?.on_events(&events)
    }
}
