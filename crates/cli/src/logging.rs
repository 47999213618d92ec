//! The log: lines for people or JSON, on stderr.

mod stderr;

use std::io::{self, IsTerminal};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};
use waft_config::{LogFormat, LogLevel};

use crate::failure::Failure;
use stderr::Stderr;

/// The environment variable that says what is logged, before the configuration.
const VARIABLE: &str = "WAFT_LOG";

/// The log as it was set up, for changing its level.
pub(crate) struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    /// Whether the environment has decided.
    fixed: bool,
}

/// Begins to log.
///
/// # Errors
///
/// What the environment wants to be logged makes no sense, or there is a log already.
pub(crate) fn start(format: LogFormat, level: LogLevel) -> Result<Logging, Failure> {
    let wanted = std::env::var(VARIABLE).ok().filter(|wanted| !wanted.is_empty());
    let directives = match &wanted {
        Some(wanted) => level_named(wanted).map_or_else(|| wanted.clone(), directives),
        None => directives(level),
    };
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        Failure::Usage(format!("{VARIABLE}: {error}; remedy: write a level, such as debug"))
    })?;
    let (filter, handle) = reload::Layer::new(filter);
    let subscriber = tracing_subscriber::registry().with(filter).with(lines(format));
    tracing::subscriber::set_global_default(subscriber).map_err(anyhow::Error::from)?;
    log_panics();
    Ok(Logging { filter: handle, fixed: wanted.is_some() })
}

impl Logging {
    /// Logs what is as important as `level` from now on, unless the environment has decided.
    pub(crate) fn set_level(&self, level: LogLevel) {
        if self.fixed {
            return;
        }
        // Fails only where the subscriber is gone, which lives as long as the process.
        let _ = self.filter.reload(EnvFilter::new(directives(level)));
    }
}

fn level_named(word: &str) -> Option<LogLevel> {
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    [Error, Warn, Info, Debug, Trace].into_iter().find(|level| level.word() == word)
}

/// Says that what is as important as `level` is logged, of other people's code warnings at most:
/// a compiler that tells what it does is a flood.
fn directives(level: LogLevel) -> String {
    match level {
        LogLevel::Error | LogLevel::Warn => level.word().to_owned(),
        LogLevel::Info | LogLevel::Debug | LogLevel::Trace => format!("warn,waft={}", level.word()),
    }
}

/// Writes lines to stderr. Where they cannot be written they are lost, and nothing else.
fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let lines = fmt::layer().with_writer(|| Stderr).log_internal_errors(false);
    match format {
        LogFormat::Human => lines.with_ansi(coloured()).with_target(false).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
    }
}

fn coloured() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !unwanted && io::stderr().is_terminal()
}

/// A panic is a mistake of ours that ends one session. It belongs into the log, in the log's form.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(place, %backtrace, "panicked: {message}");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_that_of_waft_and_others_only_warn() {
        assert_eq!(directives(LogLevel::Error), "error");
        assert_eq!(directives(LogLevel::Debug), "warn,waft=debug");
        assert_eq!(level_named("trace"), Some(LogLevel::Trace));
        assert_eq!(level_named("waft_server=debug"), None);
    }
}
