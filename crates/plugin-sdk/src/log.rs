//! Lines in the server's log, marked with the plugin's name.
//!
//! The server limits how many lines a second it takes from a plugin, and how long they are.

use crate::bindings::base::waft::plugin::log;

/// For the plugin's author alone.
pub fn trace(message: &str, fields: &[(&str, &str)]) {
    emit(log::Level::Trace, message, fields);
}

/// For someone who looks for a fault.
pub fn debug(message: &str, fields: &[(&str, &str)]) {
    emit(log::Level::Debug, message, fields);
}

/// What an operator wants to know on a good day.
pub fn info(message: &str, fields: &[(&str, &str)]) {
    emit(log::Level::Info, message, fields);
}

/// What an operator should look at.
pub fn warn(message: &str, fields: &[(&str, &str)]) {
    emit(log::Level::Warn, message, fields);
}

/// What has failed.
pub fn error(message: &str, fields: &[(&str, &str)]) {
    emit(log::Level::Error, message, fields);
}

#[cfg(target_arch = "wasm32")]
fn emit(level: log::Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<_> =
        fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    log::emit(level, message, &fields);
}

/// A plugin's own tests have no server; what it logs is shown where a test fails.
#[cfg(not(target_arch = "wasm32"))]
#[expect(clippy::print_stderr, reason = "only tests come here, and their harness captures it")]
fn emit(level: log::Level, message: &str, fields: &[(&str, &str)]) {
    eprintln!("{level:?}: {message} {fields:?}");
}
