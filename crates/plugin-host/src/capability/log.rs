//! `log`: a guest's lines in the server's log, bounded in number and length, with nothing in them
//! that could pass for another line.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;
use waft_core::SessionId;
use waft_proto::command::printable;

use crate::bindings::waft::plugin::log::{Host, Level};
use crate::guest::{Guest, Identity};
use crate::hook::Hook;
use crate::limits;

const WINDOW: Duration = Duration::from_secs(1);

impl Host for Guest {
    fn emit(&mut self, level: Level, message: String, fields: Vec<(String, String)>) {
        self.note_more();
        write(&self.identity, self.about, level, &message, &fields);
    }
}

/// The call that a line comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) generation: u64,
    pub(crate) session: Option<SessionId>,
    pub(crate) hook: Hook,
}

impl About {
    /// The call as a span. Lines say by themselves whose they are, at every level: the span is for
    /// who wants to see all that a call led to.
    pub(crate) fn span(&self, plugin: &str) -> Span {
        tracing::trace_span!(
            target: "waft::plugin",
            "call",
            plugin,
            generation = self.generation,
            session = self.session.map(|session| session.0),
            hook = self.hook.name(),
        )
    }
}

/// Writes a guest's line, if its gate lets one pass.
pub(crate) fn write(
    identity: &Identity,
    about: About,
    level: Level,
    message: &str,
    fields: &[(String, String)],
) {
    let Some(dropped) = identity.log.pass(Instant::now()) else { return };
    if dropped > 0 {
        let (plugin, generation) = (&*identity.name, about.generation);
        tracing::warn!(plugin, generation, dropped, "plugin logs too much");
    }
    let message = cleaned(message);
    let fields = joined(fields);
    macro_rules! emit {
        ($level:ident) => {
            tracing::event!(
                target: "waft::plugin",
                tracing::Level::$level,
                plugin = &*identity.name,
                generation = about.generation,
                session = about.session.map(|session| session.0),
                hook = about.hook.name(),
                fields = (!fields.is_empty()).then_some(fields.as_str()),
                "{message}"
            )
        };
    }
    match level {
        Level::Trace => emit!(TRACE),
        Level::Debug => emit!(DEBUG),
        Level::Info => emit!(INFO),
        Level::Warn => emit!(WARN),
        Level::Error => emit!(ERROR),
    }
}

/// Lets so many lines pass in a second.
#[derive(Debug)]
pub(crate) struct Gate {
    lines: u32,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    began: Option<Instant>,
    passed: u32,
    /// Dropped and not told yet.
    untold: u64,
    /// Dropped since the plugin was loaded.
    dropped: u64,
}

impl Gate {
    /// A gate for `lines` in a second.
    pub(crate) fn new(lines: u32) -> Gate {
        let window = Window { began: None, passed: 0, untold: 0, dropped: 0 };
        Gate { lines, window: Mutex::new(window) }
    }

    /// Whether one more line may pass; if so, how many were dropped since the last that did so
    /// in an earlier second.
    pub(crate) fn pass(&self, now: Instant) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let mut untold = 0;
        if window.began.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            window.began = Some(now);
            window.passed = 0;
            untold = std::mem::take(&mut window.untold);
        }
        if window.passed >= self.lines {
            window.untold += 1;
            window.dropped += 1;
            return None;
        }
        window.passed += 1;
        Some(untold)
    }

    /// Lines dropped since the plugin was loaded.
    pub(crate) fn dropped(&self) -> u64 {
        self.window.lock().unwrap_or_else(PoisonError::into_inner).dropped
    }
}

/// Text for one line of the log: bounded, control characters escaped.
pub(crate) fn cleaned(text: &str) -> String {
    shortened(&printable(text.as_bytes()), limits::LOG_LINE_BYTES_MAX)
}

/// `text`, or as much of its beginning as `max` octets hold.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max);
    format!("{}...", text.get(..end).unwrap_or_default())
}

fn joined(fields: &[(String, String)]) -> String {
    let mut line = String::new();
    for (name, value) in fields {
        if line.len() > limits::LOG_LINE_BYTES_MAX {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&printable(name.as_bytes()));
        line.push('=');
        line.push_str(&format!("{value:?}"));
    }
    shortened(&line, limits::LOG_LINE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_over_the_rate_are_dropped_and_counted() {
        let gate = Gate::new(2);
        let start = Instant::now();
        let passed: Vec<_> = (0..5).map(|_| gate.pass(start)).collect();
        assert_eq!(passed, [Some(0), Some(0), None, None, None]);
        assert_eq!(gate.pass(start + WINDOW), Some(3));
        assert_eq!(gate.pass(start + WINDOW), Some(0));
        assert_eq!(gate.dropped(), 3);
    }

    #[test]
    fn a_line_of_the_log_holds_no_control_characters_and_is_bounded() {
        assert_eq!(cleaned("a\r\nb\u{1b}[31m"), "a\\r\\nb\\u{1b}[31m");
        let long = cleaned(&"é".repeat(4000));
        assert!(long.len() <= limits::LOG_LINE_BYTES_MAX + 3 && long.ends_with("..."));
        let fields = [("a".to_owned(), "x y\n".to_owned()), ("b".to_owned(), "2".to_owned())];
        assert_eq!(joined(&fields), "a=\"x y\\n\" b=\"2\"");
    }
}
