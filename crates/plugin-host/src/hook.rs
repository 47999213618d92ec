//! The hooks, in one table: their names, what a call of each may cost, and what a failure counts
//! as where the operator does not say.

use std::time::Duration;

use crate::limits;

/// A hook interface that a plugin may export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// What it says of itself, and its preparation.
    Lifecycle,
    /// Who may connect.
    ConnectionFilter,
    /// Commands.
    CommandFilter,
    /// Replies.
    ReplyFilter,
    /// Who may log in.
    Authenticator,
    /// Files and listings.
    FileFilter,
    /// Contents of files.
    ContentFilter,
    /// Files of its own.
    Storage,
    /// What has happened.
    EventSink,
    /// Commands of its own.
    SiteCommand,
    /// Now and then.
    Timer,
}

/// What one call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Time of the processor.
    pub(crate) cpu: Duration,
    /// Time that it may take in all.
    pub(crate) wall: Duration,
}

impl Budget {
    /// Whether a call that took so much is worth a line in the log: the next one may take too much.
    pub(crate) fn is_strained_by(self, took: Budget) -> bool {
        let is_much = |part: Duration, all: Duration| {
            part.saturating_mul(100) > all.saturating_mul(limits::SLOW_PERCENT)
        };
        is_much(took.wall, self.wall) || is_much(took.cpu, self.cpu)
    }
}

/// What is known of one hook.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) hook: Hook,
    /// The interface's name in waft's package.
    pub(crate) name: &'static str,
    /// What a call may take unless the operator says otherwise.
    pub(crate) budget: Budget,
}

const fn row(hook: Hook, name: &'static str, cpu_ms: u64, wall_s: u64) -> Row {
    let budget = Budget { cpu: Duration::from_millis(cpu_ms), wall: Duration::from_secs(wall_s) };
    Row { hook, name, budget }
}

/// How many hooks there are. A number of its own: a type whose length is the table's makes its
/// checking depend on that of every function of this crate.
pub(crate) const COUNT: usize = 11;

/// Every hook interface of the package.
///
/// Computing time is the processor's, so a call takes as much of it on a machine under load; what
/// hangs without computing the other time ends.
pub(crate) const TABLE: [Row; COUNT] = [
    row(Hook::Lifecycle, "lifecycle", 1000, 10),
    row(Hook::ConnectionFilter, "connection-filter", 20, 2),
    row(Hook::CommandFilter, "command-filter", 20, 2),
    row(Hook::ReplyFilter, "reply-filter", 10, 1),
    row(Hook::Authenticator, "authenticator", 200, 10),
    row(Hook::FileFilter, "file-filter", 20, 2),
    row(Hook::ContentFilter, "content-filter", 50, 30),
    row(Hook::Storage, "storage", 50, 60),
    row(Hook::EventSink, "event-sink", 1000, 30),
    row(Hook::SiteCommand, "site-command", 50, 5),
    row(Hook::Timer, "timer", 1000, 60),
];

impl Hook {
    /// Its row.
    #[expect(clippy::indexing_slicing, reason = "a row for each, in their order, as a test says")]
    pub(crate) fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The interface's name in waft's package.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The hook of that name.
    pub fn from_name(name: &str) -> Option<Hook> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.hook)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_of_either_time_strains_a_budget() {
        let of = |cpu, wall| Budget {
            cpu: Duration::from_millis(cpu),
            wall: Duration::from_millis(wall),
        };
        let budget = of(200, 2000);
        assert!(!budget.is_strained_by(of(100, 1000)));
        assert!(budget.is_strained_by(of(110, 110)));
        assert!(budget.is_strained_by(of(0, 1001)));
        let endless = Budget { cpu: Duration::MAX, wall: Duration::MAX };
        assert!(!endless.is_strained_by(of(1, 1)));
    }

    /// The table in the documentation is for operators, this one for the host.
    #[test]
    fn the_documentation_tells_the_budgets() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/plugins.md");
        let documentation = std::fs::read_to_string(file).unwrap();
        for Row { name, budget, .. } in &TABLE {
            let (cpu, wall) = (budget.cpu.as_millis(), budget.wall.as_secs());
            let row = format!("| `{name}` | {cpu} ms | {wall} s |");
            assert!(documentation.contains(&row), "docs/plugins.md lacks: {row}");
        }
    }

    #[test]
    fn every_hook_has_its_row() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.hook as usize, index);
            assert_eq!(Hook::from_name(row.name), Some(row.hook));
        }
    }
}
