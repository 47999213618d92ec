//! Plugins in one another's way: commands that another one answers, and memory that all of them keep.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Gathered, Key, Slot, Slots, Trouble, fall_back};
use crate::errors::{LoadError, Refusal};
use crate::files::{Candidate, Plan};
use crate::plugin::Plugin;

/// A command has one owner: of two plugins that bring the same along, the one that came later is
/// not taken, and stays what it was before. A new version that is tried counts like one in force.
pub(super) fn refuse_rivals(old: &Slots, plan: &Plan, gathered: &mut Gathered) {
    // What is turned down may leave its place to another: each time all are looked at again.
    while let Some((key, refusal)) = first_rival(old, plan, &gathered.slots) {
        turn_down(old, plan, &key, refusal, gathered);
    }
}

/// The first plugin that came later and brings along what another one answers.
fn first_rival(old: &Slots, plan: &Plan, slots: &Slots) -> Option<(Key, Refusal)> {
    let keys = plan.candidates.iter().map(|c| (c.settings.name.clone(), c.file.clone()));
    let slots: Vec<_> = keys.filter_map(|key| slots.get_key_value(&key)).collect();
    let versions =
        slots.into_iter().flat_map(|(key, slot)| slot.versions().map(move |it| (key, it)));
    let was_there = |key: &Key, plugin: &Arc<Plugin>| {
        old.get(key).is_some_and(|slot| slot.versions().any(|known| Arc::ptr_eq(known, plugin)))
    };
    let mut versions: Vec<_> = versions.collect();
    // Those that were there first come first; the order is kept otherwise.
    versions.sort_by_key(|(key, plugin)| !was_there(key, plugin));
    let mut owners: BTreeMap<&str, &Key> = BTreeMap::new();
    for (key, plugin) in versions {
        for command in plugin.interest.site.iter().map(|command| &*command.name) {
            let owner = *owners.entry(command).or_insert(key);
            if owner != key && !was_there(key, plugin) {
                return Some((key.clone(), taken(command, owner)));
            }
        }
    }
    None
}

/// Where the instances that plugins keep do not all have room, those that came last are not taken,
/// and stay what they were before: instances of the others would have none, and wait in vain.
pub(super) fn refuse_too_large(old: &Slots, plan: &Plan, gathered: &mut Gathered, budget: u64) {
    let keys: Vec<Key> =
        plan.candidates.iter().map(|c| (c.settings.name.clone(), c.file.clone())).collect();
    while let Some(wanted) = beyond(&gathered.slots, budget) {
        let new = keys.iter().rev().find_map(|key| {
            let was_there = |it: &Arc<Plugin>| {
                let slot = old.get(key);
                slot.is_some_and(|slot| slot.versions().any(|known| Arc::ptr_eq(known, it)))
            };
            let plugin = gathered.slots.get(key)?.versions().find(|it| !was_there(it))?;
            Some((key.clone(), plugin.memory_kept()))
        });
        // All that is left was in force before, and goes on.
        let Some((key, own)) = new else { return };
        turn_down(old, plan, &key, Refusal::KeptTooLarge { own, wanted, budget }, gathered);
    }
}

/// Octets that the instances take which all versions keep, where that is more than there are.
fn beyond(slots: &Slots, budget: u64) -> Option<u64> {
    let wanted = slots.values().map(kept).fold(0, u64::saturating_add);
    Some(wanted).filter(|wanted| *wanted > budget)
}

/// Why there is no room for what a plugin would keep with another slot in the place of its own.
pub(crate) fn too_large(slots: &Slots, key: &Key, slot: &Slot, budget: u64) -> Option<Refusal> {
    let mut slots = slots.clone();
    slots.insert(key.clone(), slot.clone());
    let wanted = beyond(&slots, budget)?;
    Some(Refusal::KeptTooLarge { own: kept(slot), wanted, budget })
}

/// The plugins that have no room in less memory than they were let in with, whatever their
/// `on_load_error` says: it is the settings that are wrong.
pub(super) fn without_room(slots: &Slots, budget: u64) -> Vec<LoadError> {
    let error = |(name, file): &Key, refusal| {
        let (plugin, file) = (name.clone(), Some(file.clone()));
        LoadError { plugin, file, refusal }
    };
    let crowded = |(key, slot): (_, &Slot)| {
        let refusal = slot.versions().find_map(|it| check_sessions(it, budget).err())?;
        Some(error(key, refusal))
    };
    let largest = slots.iter().max_by_key(|(_, slot)| kept(slot));
    let together = largest.zip(beyond(slots, budget)).map(|((key, slot), wanted)| {
        error(key, Refusal::KeptTooLarge { own: kept(slot), wanted, budget })
    });
    slots.iter().filter_map(crowded).chain(together).collect()
}

/// Octets that the instances take which a plugin keeps.
fn kept(slot: &Slot) -> u64 {
    slot.versions().map(|it| it.memory_kept()).fold(0, u64::saturating_add)
}

/// Checks that as many sessions as may have an instance of their own do not take more memory than
/// there is.
pub(super) fn check_sessions(plugin: &Plugin, budget: u64) -> Result<(), Refusal> {
    let (wanted, sessions) = (plugin.memory_of_sessions(), plugin.settings.limits.sessions_max);
    match wanted > budget {
        true => Err(Refusal::SessionsTooLarge { sessions, wanted, budget }),
        false => Ok(()),
    }
}

/// What another plugin answers of the commands that a version of one brings along.
pub(crate) fn rival(slots: &Slots, key: &Key, plugin: &Plugin) -> Option<Refusal> {
    let others = slots.iter().filter(|(other, _)| *other != key);
    let others = others.flat_map(|(other, slot)| slot.versions().map(move |it| (other, it)));
    let mut owned = others.flat_map(|(owner, other)| {
        other.interest.site.iter().map(move |command| (&*command.name, owner))
    });
    let is_rival = |name: &str| plugin.interest.site.iter().any(|command| *command.name == *name);
    let (command, owner) = owned.find(|(name, _)| is_rival(name))?;
    Some(taken(command, owner))
}

fn taken(command: &str, owner: &Key) -> Refusal {
    Refusal::CommandTaken { command: command.to_owned(), plugin: owner.0.clone() }
}

/// Takes back that a plugin was started. It is looked at again each time: its rival may go.
fn turn_down(
    old: &Slots,
    plan: &Plan,
    key: &(String, PathBuf),
    refusal: Refusal,
    gathered: &mut Gathered,
) {
    let is_it = |c: &&Candidate| c.settings.name == key.0 && c.file == key.1;
    let Some(candidate) = plan.candidates.iter().find(is_it) else { return };
    gathered.changes.retain(|change| change.plugin != key.0 || change.file != key.1);
    let trouble = Trouble::of_file(refusal);
    let slot = fall_back(candidate, old.get(key), trouble, None, gathered);
    gathered.slots.insert(key.clone(), slot);
}
