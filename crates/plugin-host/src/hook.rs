//! The hooks, in one table: their names, what a call of each may cost, and what a failure counts
//! as where the operator does not say.

use std::time::Duration;

/// A hook interface that a plugin may export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Hook {
    Lifecycle,
    ConnectionFilter,
    CommandFilter,
    ReplyFilter,
    Authenticator,
    FileFilter,
    ContentFilter,
    Storage,
    EventSink,
    SiteCommand,
    Timer,
}

/// What one call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Time that it may compute.
    pub(crate) cpu: Duration,
    /// Time that it may take in all.
    pub(crate) wall: Duration,
}

/// What is known of one hook.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) hook: Hook,
    /// The interface's name in waft's package.
    pub(crate) name: &'static str,
    /// Whether this version calls it. A component that exports one that nothing calls is refused.
    pub(crate) served: bool,
    /// What a call may take unless the operator says otherwise.
    pub(crate) budget: Budget,
}

const fn row(hook: Hook, name: &'static str, served: bool, cpu_ms: u64, wall_s: u64) -> Row {
    let budget = Budget { cpu: Duration::from_millis(cpu_ms), wall: Duration::from_secs(wall_s) };
    Row { hook, name, served, budget }
}

/// Every hook interface of the package. Budgets are generous: they are there to end what hangs.
pub(crate) const TABLE: [Row; 11] = [
    row(Hook::Lifecycle, "lifecycle", true, 1000, 10),
    row(Hook::ConnectionFilter, "connection-filter", true, 200, 2),
    row(Hook::CommandFilter, "command-filter", true, 200, 2),
    row(Hook::ReplyFilter, "reply-filter", true, 200, 2),
    row(Hook::Authenticator, "authenticator", true, 200, 10),
    row(Hook::FileFilter, "file-filter", true, 200, 2),
    row(Hook::ContentFilter, "content-filter", true, 500, 30),
    row(Hook::Storage, "storage", true, 500, 60),
    row(Hook::EventSink, "event-sink", true, 1000, 30),
    row(Hook::SiteCommand, "site-command", true, 200, 5),
    row(Hook::Timer, "timer", true, 1000, 60),
];

impl Hook {
    /// Its row.
    #[expect(clippy::indexing_slicing, reason = "a row for each, in their order, as a test says")]
    pub(crate) fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The interface's name in waft's package.
    pub(crate) fn name(self) -> &'static str {
        self.row().name
    }

    /// The hook of that name, whether or not this version calls it.
    pub(crate) fn from_name(name: &str) -> Option<Hook> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.hook)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_has_its_row() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.hook as usize, index);
            assert_eq!(Hook::from_name(row.name), Some(row.hook));
        }
    }
}
