//! Canaries: new versions that serve a share of the sessions before they serve all.
//!
//! They stand in a generation of their own beside the one in force. A session is in the share by its
//! number, for as long as it lasts. Events, timers and storages stay with the version in force.

use std::sync::Arc;

use waft_core::SessionId;

use crate::chain::{Generation, InForce};
use crate::load::{Slots, in_order_of};
use crate::plugin::Plugin;
use crate::settings::HostSettings;

/// The generation with the canaries, and whom it serves.
pub(crate) struct Canary {
    pub(crate) generation: InForce,
    pub(crate) percent: u64,
}

impl Canary {
    /// The canaries among `slots`, if there are any. Of several shares the smallest counts: a session
    /// has all canaries or none.
    pub(crate) fn of(settings: &HostSettings, slots: &Slots, number: u64) -> Option<Canary> {
        let trying = slots.values().filter(|slot| slot.canary.is_some());
        let percent = trying.filter_map(|slot| slot.settings().canary_percent).min()?;
        let plugins = in_order_of(settings, slots, |slot| {
            slot.canary.clone().or_else(|| slot.plugin.clone())
        });
        let generation = InForce::new(Generation::new(number, plugins));
        Some(Canary { generation, percent: percent.into() })
    }

    /// Whether it is the same plugins for the same share.
    pub(crate) fn is_like(&self, other: &Canary) -> bool {
        let (ours, theirs) = (&self.generation, other.generation.plugins());
        self.percent == other.percent && ours.is_made_of(theirs)
    }

    /// Whether a session is in the share.
    pub(crate) fn takes(&self, session: SessionId) -> bool {
        // Numbers follow one another; mixed, any few of them are spread evenly.
        let mixed = session.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        mixed % 100 < self.percent
    }

    /// The canaries themselves: what is not in force.
    pub(crate) fn only<'a>(
        &'a self,
        current: &'a Generation,
    ) -> impl Iterator<Item = &'a Arc<Plugin>> {
        let is_new = |new: &&Arc<Plugin>| !current.plugins().iter().any(|p| Arc::ptr_eq(p, new));
        self.generation.plugins().iter().filter(is_new)
    }
}
