//! Whether there are instances enough for what the plugins may want together.
//!
//! Instances that last, those of transfers and of sessions, have places that all plugins share:
//! whoever comes first has one, and whoever finds none waits. Plugins that may want more of them
//! than there are get on well as long as they do not; the operator is told nevertheless, as the limit
//! of a plugin is no promise then.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::hook::Hook;
use crate::limits;
use crate::plugin::Plugin;
use crate::settings::Isolation;

/// Instances of one kind that the plugins may want, and that are more than there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Crowd {
    /// Whose they are: `transfers` or `sessions`, as the limit of a plugin is called.
    pub of: &'static str,
    /// How many all plugins may want.
    pub wanted: usize,
    /// How many there are.
    pub max: usize,
    /// How many each may want, in their order; those that want none are not told.
    pub shares: Vec<(String, usize)>,
}

impl Crowd {
    /// The first plugin, in their order, with which it is too much.
    pub fn beyond(&self) -> Option<&str> {
        let mut sum = 0_usize;
        let beyond = self.shares.iter().find(|(_, share)| {
            sum = sum.saturating_add(*share);
            sum > self.max
        });
        beyond.map(|(plugin, _)| &**plugin)
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        let of = self.of;
        let other = if of == "transfers" { ", or set share for some" } else { "" };
        format!(
            "lower {of} in the limits of some plugins{other}; whoever finds none waits for queue"
        )
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crowd { of, wanted, max, shares } = self;
        let shares: Vec<_> = shares.iter().map(|(name, share)| format!("{name} {share}")).collect();
        let shares = shares.join(", ");
        write!(f, "{of} of all plugins may take {wanted} instances, and there are {max}: {shares}")
    }
}

/// Where plugins may want more than there is, on a server with so many sessions at most.
pub(crate) fn crowds(plugins: &[Arc<Plugin>], sessions: Option<usize>) -> Vec<Crowd> {
    let sessions = sessions.unwrap_or(usize::MAX);
    let of_sessions = plugins.iter().map(|plugin| (plugin, places_of_sessions(plugin, sessions)));
    let of_transfers = plugins.iter().map(|plugin| (plugin, places_of_transfers(plugin, sessions)));
    let crowds = [
        crowd("sessions", limits::SESSIONS_PINNED_MAX, of_sessions),
        crowd("transfers", limits::TRANSFERS_PINNED_MAX, of_transfers),
    ];
    crowds.into_iter().flatten().collect()
}

fn crowd<'p>(
    of: &'static str,
    max: usize,
    shares: impl Iterator<Item = (&'p Arc<Plugin>, usize)>,
) -> Option<Crowd> {
    let shares = shares.filter(|(_, share)| *share > 0);
    let shares: Vec<_> = shares.map(|(plugin, share)| (plugin.name.to_string(), share)).collect();
    let wanted = shares.iter().fold(0_usize, |sum, (_, share)| sum.saturating_add(*share));
    (wanted > max).then_some(Crowd { of, wanted, max, shares })
}

fn places_of_sessions(plugin: &Plugin, sessions: usize) -> usize {
    match plugin.settings.isolation {
        Isolation::Session => plugin.settings.limits.sessions_max.min(sessions),
        Isolation::Pool | Isolation::Call => 0,
    }
}

/// A session has one transfer at a time.
fn places_of_transfers(plugin: &Plugin, sessions: usize) -> usize {
    let has_transfers = [Hook::ContentFilter, Hook::Storage].map(|hook| plugin.artifact.has(hook));
    if has_transfers == [false; 2] {
        return 0;
    }
    plugin.settings.limits.transfers_max.min(sessions).div_ceil(plugin.settings.share.max(1))
}
