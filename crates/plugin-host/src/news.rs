//! The names of the events that the host tells of plugins; those of what clients do are
//! [`Happening::NAMES`](waft_core::event::Happening::NAMES).

/// Names, and all of them together.
macro_rules! names {
    ($($name:ident = $text:literal,)+) => {
        $(pub(crate) const $name: &str = $text;)+

        #[cfg(test)]
        const ALL: &[&str] = &[$($name,)+];
    };
}

names! {
    LOAD = "plugin.load",
    REPLACE = "plugin.replace",
    TRY = "plugin.try",
    PROMOTE = "plugin.promote",
    REMOVE = "plugin.remove",
    DISABLE = "plugin.disable",
    ROLL_BACK = "plugin.rollback",
    KEEP = "plugin.keep",
    REFUSE = "plugin.refuse",
    REVOKE = "plugin.revoke",
    DRAIN = "plugin.drain",
    TRAP = "plugin.trap",
    TIMEOUT = "plugin.timeout",
    BREAK = "plugin.break",
}

/// It comes unasked: so many are missing before the next one.
pub(crate) const DROPPED: &str = "events.dropped";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use waft_core::event::Happening;

    use super::*;

    #[test]
    fn authors_and_the_documentation_have_the_names_of_all_events() {
        let told: BTreeSet<&str> = Happening::NAMES.iter().chain(ALL).copied().collect();
        assert_eq!(BTreeSet::from(waft_plugin_sdk::EVENTS), told);
        let page = include_str!("../../../docs/plugins/event-sink.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
        let names = rows.flat_map(|row| row.split(['`', ',', ' ']));
        let documented: BTreeSet<&str> = names.filter(|name| name.contains('.')).collect();
        let all: BTreeSet<&str> = told.into_iter().chain([DROPPED]).collect();
        assert_eq!(documented, all);
    }
}
