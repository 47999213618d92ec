//! The events that a plugin wants.

use std::collections::BTreeSet;

/// Names of events, whole or with a `*` at their end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// None means all.
    patterns: Option<BTreeSet<String>>,
}

impl Events {
    /// Reads `descriptor.events`; an empty list means all.
    pub(super) fn read(said: &[String]) -> Events {
        let patterns = (!said.is_empty()).then(|| said.iter().cloned().collect());
        Events { patterns }
    }

    /// Whether events of that name are wanted.
    pub(crate) fn contain(&self, name: &str) -> bool {
        self.patterns.as_ref().is_none_or(|patterns| {
            patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == pattern,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_named_whole_or_by_their_beginning() {
        let events = Events::read(&["transfer.*".to_owned(), "auth.fail".to_owned()]);
        for (name, wanted) in [
            ("transfer.upload.done", true),
            ("auth.fail", true),
            ("auth.ok", false),
            ("session.open", false),
        ] {
            assert_eq!(events.contain(name), wanted, "{name}");
        }
        assert!(Events::read(&[]).contain("anything"));
    }
}
