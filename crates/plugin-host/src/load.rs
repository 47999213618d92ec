//! From files and settings to plugins: what changed, what is taken, what stays as it was.
//!
//! Looking at files never changes what is in force: a new set of [`Slots`] is made beside the old
//! one, and whoever asked decides whether it takes the old one's place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::artifact::{Artifact, Digest};
use crate::beside::{Beside, Part};
use crate::budget::Budget;
use crate::cache::CompiledStore;
use crate::capability::log::cleaned;
use crate::compiler::Compiler;
use crate::engine::{LinkedEngine, sandbox};
use crate::errors::{Concern, LoadError, Refusal};
use crate::files::{self, Candidate, Content, Plan, Settled, Stamp};
use crate::guard::Guard;
use crate::limits;
use crate::outbox::Outbox;
use crate::plugin::{Plugin, pinned_to};
use crate::progress::Progress;
use crate::self_test::{self, SelfTester};
use crate::services::Stock;
use crate::settings::{Grants, HostSettings, Listed, OnLoadError, PluginSettings, Signer};
use crate::status::{Change, State, Step, What};
use crate::version::{Mark, Version};
use crate::workshop::Pace;

mod rivals;

use rivals::{check_sessions, refuse_rivals, refuse_too_large, without_room};
pub(crate) use rivals::{rival, too_large};

/// Compiles, and remembers what it compiled as long as a plugin uses it.
pub(crate) struct Loader {
    /// Where compiled components are kept.
    pub(crate) state: Option<PathBuf>,
    /// The store there, opened for the first component: a server without plugins costs no sandbox.
    pub(crate) compiled: OnceCell<Option<Arc<CompiledStore>>>,
    pub(crate) stock: Arc<Stock>,
    /// Where plugins tell of what went wrong.
    pub(crate) outbox: Weak<Outbox>,
    pub(crate) artifacts: BTreeMap<Digest, Weak<Artifact>>,
    /// Memory of all instances.
    pub(crate) budget: Arc<Budget>,
    /// How much of it the settings allow that are looked at, in octets.
    pub(crate) memory_budget: u64,
    /// Who plays the scenarios that lie beside components.
    pub(crate) self_test: Option<SelfTester>,
    /// Who opens files of plugins.
    pub(crate) guard: Guard,
    /// Who compiles components, and for how long.
    pub(crate) compiler: Compiler,
    /// Whether sessions go before what is done here.
    pub(crate) pace: Pace,
    /// What is done here at this moment.
    pub(crate) progress: Progress,
    /// The version to go back to, of plugins that had one before.
    pub(crate) before: BTreeMap<Key, Version>,
    /// Who has to have signed components.
    pub(crate) signer: Option<Signer>,
    /// Versions that are not taken again.
    pub(crate) bad: BTreeSet<(Key, Mark)>,
    /// Plugins that the operator took out.
    pub(crate) disabled: BTreeSet<String>,
}

/// A plugin that should be there, by name and file.
pub(crate) type Key = (String, PathBuf);

/// Every plugin that should be there.
pub(crate) type Slots = BTreeMap<Key, Slot>;

/// One plugin that should be there.
#[derive(Clone)]
pub(crate) struct Slot {
    settings: Arc<PluginSettings>,
    /// The plugin in force, if there is one.
    pub(crate) plugin: Option<Arc<Plugin>>,
    /// A new version that serves a share of the sessions.
    pub(crate) canary: Option<Arc<Plugin>>,
    /// What was in force when the operator took the plugin out.
    parked: Option<Version>,
    /// That of the file as it was last read.
    stamp: Option<Stamp>,
    /// The files beside it at that time.
    parts: Vec<Part>,
    /// What was last told to the operator about it, unless it was put right.
    trouble: Option<Trouble>,
    /// What there is to look after with the files as they were last looked at.
    concerns: Vec<Concern>,
}

impl Slot {
    /// What the operator wants of it.
    pub(crate) fn settings(&self) -> &PluginSettings {
        &self.settings
    }

    /// The component that its file held when it was last read, if that was taken.
    fn component(&self) -> Option<&Arc<Artifact>> {
        self.canary.as_ref().or(self.plugin.as_ref()).map(|plugin| &plugin.artifact)
    }

    /// The version in force and the one that is tried, as far as there are any.
    fn versions(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.plugin.iter().chain(&self.canary)
    }

    /// Has the file read again where it was refused.
    pub(crate) fn try_again(&mut self) {
        if self.trouble.take().is_some() {
            self.stamp = None;
        }
    }

    /// The same to be read again, where another scenario lies beside it than the one that did not go
    /// as it is written.
    fn tested_otherwise(&self, candidate: &Candidate) -> Option<Slot> {
        let refusal = self.trouble.as_ref().map(|trouble| &trouble.refusal);
        let other = self.parts != candidate.parts;
        let failed = other && matches!(refusal, Some(Refusal::SelfTest { .. }));
        failed.then(|| Slot { trouble: None, stamp: None, ..self.clone() })
    }

    /// Whether a signature that comes later makes a difference.
    fn lacks_signature(&self) -> bool {
        let refusal = self.trouble.as_ref().map(|trouble| &trouble.refusal);
        matches!(refusal, Some(Refusal::Unsigned { .. } | Refusal::BadSignature { .. }))
    }

    /// The new version that is tried, in force.
    pub(crate) fn promoted(&self) -> Slot {
        Slot { plugin: self.canary.clone(), canary: None, ..self.clone() }
    }

    /// Without the new version that was tried.
    pub(crate) fn without_canary(&self, trouble: Trouble) -> Slot {
        Slot { canary: None, trouble: Some(trouble), ..self.clone() }
    }

    /// The same file with the version before in force.
    pub(crate) fn rolled_back(&self, plugin: Arc<Plugin>, trouble: Trouble) -> Slot {
        Slot { plugin: Some(plugin), trouble: Some(trouble), ..self.clone() }
    }
}

/// Why a file is not taken.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) of: Refused,
    pub(crate) refusal: Refusal,
}

/// What it is that is not taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The file, before it came to its content, or for what others have.
    File,
    /// Its content, whatever its settings say of themselves.
    Component(Digest),
    /// This component with this configuration.
    Version(Mark),
}

impl Refused {
    /// That of the content, if it came to that.
    fn component(self) -> Option<Digest> {
        match self {
            Refused::File => None,
            Refused::Component(digest) | Refused::Version(Mark { component: digest, .. }) => {
                Some(digest)
            }
        }
    }
}

impl Trouble {
    /// What there is with a file.
    fn of_file(refusal: Refusal) -> Trouble {
        Trouble { of: Refused::File, refusal }
    }
}

/// What there is to tell of a slot.
pub(crate) struct Note {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// Where its settings were written.
    pub(crate) written: Option<PathBuf>,
    /// Whether some version is in force all the same.
    pub(crate) in_force: bool,
    pub(crate) state: State,
    pub(crate) reason: String,
    pub(crate) remedy: Option<String>,
}

/// Tells what there is to look after with the files of plugins that are in force, by name.
pub(crate) fn concerns(slots: &Slots) -> BTreeMap<String, Vec<Concern>> {
    let concerned = slots.iter().filter(|(_, slot)| slot.plugin.is_some());
    let concerned = concerned.filter(|(_, slot)| !slot.concerns.is_empty());
    concerned.map(|((name, _), slot)| (name.clone(), slot.concerns.clone())).collect()
}

/// Tells of the slots whose file is not taken.
pub(crate) fn notes(slots: &Slots) -> Vec<Note> {
    let troubled = slots.iter().filter_map(|(key, slot)| Some((key, slot, slot.trouble.as_ref()?)));
    let note = |(key, slot, trouble): (&Key, &Slot, &Trouble)| Note {
        name: key.0.clone(),
        file: key.1.clone(),
        written: slot.settings.written.clone(),
        in_force: slot.plugin.is_some(),
        state: match trouble.refusal {
            Refusal::Disabled { .. } => State::Disabled,
            Refusal::Missing => State::Waiting,
            _ => State::Rejected,
        },
        reason: trouble.refusal.to_string(),
        remedy: trouble.refusal.remedy(),
    };
    troubled.map(note).collect()
}

/// What came of looking.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) slots: Slots,
    /// News only: what was told before is not told again.
    pub(crate) changes: Vec<Change>,
    /// The plugins among the news that are not there and should be.
    pub(crate) errors: Vec<LoadError>,
    /// Whether some file was being written.
    pub(crate) unsettled: bool,
}

/// Where a slot's file stands.
enum Outcome {
    Keep(Box<Slot>),
    Start { artifact: Arc<Artifact>, settings: Arc<PluginSettings>, stamp: Option<Stamp> },
    Trouble { trouble: Trouble, stamp: Option<Stamp> },
    Wait,
}

impl Loader {
    /// Looks at all files that `settings` want, for the generation of that number.
    pub(crate) async fn gather(
        &mut self,
        settings: &HostSettings,
        old: &Slots,
        generation: u64,
        settled: Option<Arc<Settled>>,
    ) -> Gathered {
        let changed_signer = self.signer != settings.signer;
        let lowered = settings.memory_budget < self.memory_budget;
        self.go_by(settings);
        let mut plan = find(settings).await;
        for candidate in &mut plan.candidates {
            let key = (candidate.settings.name.clone(), candidate.file.clone());
            // Whatever is wanted now: what was wanted before is known.
            if let (true, Some(slot)) = (candidate.unread, old.get(&key)) {
                candidate.settings = Arc::clone(&slot.settings);
            }
            if candidate.problem.is_none() && self.disabled.contains(&candidate.settings.name) {
                let plugin = candidate.settings.name.clone();
                candidate.problem = Some(Refusal::Disabled { plugin });
            }
        }
        let mut gathered = Gathered::default();
        for candidate in &plan.candidates {
            let key = (candidate.settings.name.clone(), candidate.file.clone());
            let before = old.get(&key);
            let again = before.and_then(|slot| slot.tested_otherwise(candidate));
            let before = again.as_ref().or(before);
            let _underway = self.progress.begin();
            let unread = changed_signer || before.is_some_and(Slot::lacks_signature);
            let outcome = self.look(candidate, before, settled.clone(), unread).await;
            gathered.unsettled |= matches!(outcome, Outcome::Wait);
            if let Some(slot) =
                self.settle(candidate, before, outcome, generation, &mut gathered).await
            {
                let concerns = self.concerns(candidate).await;
                tell_of_concerns(candidate, before, &slot, &concerns);
                gathered.slots.insert(key, Slot { concerns, ..slot });
            }
        }
        refuse_rivals(old, &plan, &mut gathered);
        refuse_too_large(old, &plan, &mut gathered, self.memory_budget);
        keep_or_drop(old, &plan, &mut gathered);
        if lowered && gathered.errors.is_empty() {
            gathered.errors.extend(without_room(&gathered.slots, self.memory_budget));
        }
        self.artifacts.retain(|_, artifact| artifact.strong_count() > 0);
        gathered
    }

    /// Goes by other settings: those that are looked at, or again those in force where nothing came of
    /// that.
    pub(crate) fn go_by(&mut self, settings: &HostSettings) {
        self.memory_budget = settings.memory_budget;
        self.compiler = settings.compiler(self.pace);
        self.guard = Guard::of(settings);
        self.self_test.clone_from(&settings.self_test);
        self.signer.clone_from(&settings.signer);
    }

    async fn look(
        &mut self,
        candidate: &Candidate,
        before: Option<&Slot>,
        settled: Option<Arc<Settled>>,
        unread: bool,
    ) -> Outcome {
        let torn = candidate.is_unsettled(settled.as_deref());
        if let (false, Some(refusal)) = (torn, candidate.problem.clone()) {
            return Outcome::Trouble { trouble: Trouble::of_file(refusal), stamp: None };
        }
        let settings = || Arc::clone(&candidate.settings);
        let same = before.filter(|slot| slot.settings == candidate.settings);
        // What was refused under other settings may be taken under these.
        let good = |slot: &&Slot| slot.plugin.is_some() && slot.trouble.is_none();
        let known = before.filter(|slot| same.is_some() || good(slot));
        let known = known.filter(|_| !unread).and_then(|slot| slot.stamp);
        let content = match torn {
            true => Content::Unsettled,
            false => read(candidate.file.clone(), known, settled, self.guard.clone()).await,
        };
        match content {
            Content::Untouched => match (same, before.and_then(Slot::component)) {
                (Some(slot), _) => Outcome::Keep(Box::new(slot.clone())),
                (None, Some(artifact)) => {
                    let mark = Mark::of(artifact.digest, &candidate.settings);
                    match self.unwanted(candidate, mark) {
                        Some(trouble) => Outcome::Trouble { trouble, stamp: known },
                        None => {
                            let (artifact, settings) = (Arc::clone(artifact), settings());
                            Outcome::Start { artifact, settings, stamp: known }
                        }
                    }
                }
                (None, None) => Outcome::Wait,
            },
            Content::Unsettled => match before.and_then(|slot| slot.plugin.as_ref()) {
                // A file that is being written is no reason to go on with what was taken away.
                Some(plugin) if is_revoked(plugin, candidate) => {
                    let settings = plugin.version().settings_under(&candidate.settings);
                    let (artifact, settings) = (Arc::clone(&plugin.artifact), settings);
                    Outcome::Start { artifact, settings, stamp: None }
                }
                _ => Outcome::Wait,
            },
            Content::Refused(refusal) => {
                Outcome::Trouble { trouble: Trouble::of_file(refusal), stamp: None }
            }
            Content::Whole { stamp, bytes } => match self.signed(candidate, bytes).await {
                Ok(bytes) => self.take(candidate, same, stamp, bytes).await,
                Err(refusal) => {
                    Outcome::Trouble { trouble: Trouble::of_file(refusal), stamp: Some(stamp) }
                }
            },
        }
    }

    /// What there is to look after with a component's file and those beside it.
    async fn concerns(&self, candidate: &Candidate) -> Vec<Concern> {
        let guard = self.guard.clone();
        let signature = self.signer.is_some().then(|| Beside::Signature.file_of(&candidate.file));
        let parts = candidate.parts.iter().map(|part| part.file.clone());
        let own = [candidate.file.clone()].into_iter();
        let files: Vec<PathBuf> = own.chain(parts).chain(signature).collect();
        blocking(move || guard.concerns(files.iter().map(PathBuf::as_path)))
            .await
            .unwrap_or_default()
    }

    /// Decides about a file's content. `same` is its slot, if its settings did not change.
    async fn take(
        &mut self,
        candidate: &Candidate,
        same: Option<&Slot>,
        stamp: Stamp,
        bytes: Vec<u8>,
    ) -> Outcome {
        if bytes.is_empty() {
            let trouble = Trouble::of_file(Refusal::Empty);
            return Outcome::Trouble { trouble, stamp: Some(stamp) };
        }
        let digest = Digest::of(&bytes);
        let running = same.and_then(|slot| slot.plugin.as_ref());
        // What goes on with earlier settings has yet to show that it starts with these.
        let settled = running.filter(|plugin| plugin.settings == candidate.settings);
        if let Some(slot) = same
            && settled.is_some_and(|plugin| plugin.artifact.digest == digest)
        {
            let slot = Slot { stamp: Some(stamp), trouble: None, canary: None, ..slot.clone() };
            return Outcome::Keep(Box::new(slot));
        }
        let mark = Mark::of(digest, &candidate.settings);
        let tried = same.and_then(|slot| slot.canary.as_ref());
        if let Some(slot) = same
            && tried.is_some_and(|plugin| plugin.mark == mark)
        {
            let slot = Slot { stamp: Some(stamp), trouble: None, ..slot.clone() };
            return Outcome::Keep(Box::new(slot));
        }
        if let Some(slot) = same
            && slot.trouble.as_ref().is_some_and(|it| it.of.component() == Some(digest))
        {
            let slot = Slot { stamp: Some(stamp), ..slot.clone() };
            return Outcome::Keep(Box::new(slot));
        }
        let stamp = Some(stamp);
        if let Some(trouble) = self.unwanted(candidate, mark) {
            return Outcome::Trouble { trouble, stamp };
        }
        self.progress.note(candidate, mark, Step::Compile);
        let _told = AbortOnDrop(tokio::spawn(tell_of_compiling(candidate)));
        match self.artifact(digest, bytes, &candidate.settings).await {
            Ok(artifact) => {
                Outcome::Start { artifact, settings: Arc::clone(&candidate.settings), stamp }
            }
            Err(refusal) => {
                let trouble = Trouble { of: Refused::Component(digest), refusal };
                Outcome::Trouble { trouble, stamp }
            }
        }
    }

    /// Gives a component back that has the signature it has to have.
    async fn signed(&self, candidate: &Candidate, bytes: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let Some(signer) = self.signer.clone() else { return Ok(bytes) };
        let (file, guard) = (candidate.file.clone(), self.guard.clone());
        let check = move || files::check_signature(&file, &bytes, &signer, &guard).map(|()| bytes);
        let stopping = || Refusal::Unreadable("the server is ending".to_owned());
        blocking(check).await.unwrap_or_else(|| Err(stopping()))
    }

    /// Why a version is not wanted, by its digests alone: before anything is done with it.
    fn unwanted(&self, candidate: &Candidate, mark: Mark) -> Option<Trouble> {
        let key = (candidate.settings.name.clone(), candidate.file.clone());
        let plugin = key.0.clone();
        if self.bad.contains(&(key, mark)) {
            let (version, why) = (mark.to_string(), "it was in force before");
            let refusal = Refusal::RolledBack { plugin, version, why };
            return Some(Trouble { of: Refused::Version(mark), refusal });
        }
        let refusal = pinned_to(&candidate.settings, mark.component).err()?;
        Some(Trouble { of: Refused::Component(mark.component), refusal })
    }

    /// Has versions taken again that were rolled back, of one plugin or of all.
    pub(crate) fn forgive(&mut self, plugin: Option<&str>) {
        self.bad.retain(|((name, _), _)| plugin.is_some_and(|plugin| name != plugin));
    }

    /// The component of these bytes, compiled now for such settings, or before.
    pub(crate) async fn artifact(
        &mut self,
        digest: Digest,
        bytes: Vec<u8>,
        settings: &PluginSettings,
    ) -> Result<Arc<Artifact>, Refusal> {
        if let Some(artifact) = self.artifacts.get(&digest).and_then(Weak::upgrade) {
            return Ok(artifact);
        }
        let sandbox = sandbox()?;
        let open = || open_store(sandbox.first_engine(), self.state.as_deref());
        let compiled = self.compiled.get_or_init(open).await.clone();
        let kept: BTreeSet<Digest> = self.artifacts.keys().copied().collect();
        let (compiler, within) = (self.compiler.clone(), self.compiler.within);
        let settings = settings.clone();
        let work = move || {
            Artifact::make(sandbox, &bytes, &settings, &compiler, compiled.as_deref(), &kept)
        };
        let artifact = Arc::new(sandbox.compiling.run(within, self.pace, work).await??);
        self.artifacts.insert(digest, Arc::downgrade(&artifact));
        Ok(artifact)
    }

    /// Carries an outcome out and notes the news. `None` where nothing is to be remembered.
    async fn settle(
        &self,
        candidate: &Candidate,
        before: Option<&Slot>,
        outcome: Outcome,
        generation: u64,
        gathered: &mut Gathered,
    ) -> Option<Slot> {
        let running = before.and_then(|slot| slot.plugin.clone());
        match outcome {
            Outcome::Keep(slot) => Some(*slot),
            Outcome::Wait => before.cloned(),
            Outcome::Start { artifact, settings, stamp } => {
                let mark = Mark::of(artifact.digest, &settings);
                let is_it = |it: &Arc<Plugin>| it.mark == mark && it.settings == settings;
                if let Some(running) = running.clone().filter(is_it) {
                    return Some(slot(candidate, Some(running), stamp, None));
                }
                let started = Candidate { settings, ..candidate.clone() };
                match self.start_tested(&started, artifact, generation).await {
                    Ok(plugin) => {
                        let beside =
                            self.beside(candidate, running.as_ref(), &plugin, generation).await;
                        let what = match (&beside, running) {
                            (Some(_), _) => What::Tried,
                            (None, Some(_)) => What::Replaced,
                            (None, None) => What::Loaded,
                        };
                        gathered.changes.push(change(candidate, what));
                        Some(in_force_or_tried(candidate, beside, plugin, stamp, None))
                    }
                    Err(refusal) => {
                        let trouble = Trouble { of: Refused::Version(mark), refusal };
                        let other = |it: Arc<Plugin>| it.artifact.digest != mark.component;
                        let parked = before.is_some_and(|slot| slot.parked.is_some());
                        if parked || running.is_some_and(other) {
                            return self
                                .trouble(candidate, before, trouble, stamp, generation, gathered)
                                .await;
                        }
                        Some(fall_back(candidate, before, trouble, stamp, gathered))
                    }
                }
            }
            Outcome::Trouble { trouble, stamp } => {
                self.trouble(candidate, before, trouble, stamp, generation, gathered).await
            }
        }
    }

    /// The version in force as it is wanted now, where a new one is to be tried beside it first.
    async fn beside(
        &self,
        candidate: &Candidate,
        running: Option<&Arc<Plugin>>,
        new: &Plugin,
        generation: u64,
    ) -> Option<Arc<Plugin>> {
        candidate.settings.canary_percent?;
        let running = running.filter(|running| running.mark != new.mark)?;
        let going_on = self.go_on(candidate, running, generation).await;
        going_on
            .inspect_err(|reason| {
                let (plugin, remedy) = (&*candidate.settings.name, reason.remedy());
                tracing::warn!(
                    plugin,
                    generation,
                    %reason,
                    remedy,
                    "plugin not tried on a share of sessions, the version before cannot go on"
                );
            })
            .ok()
    }

    /// The version in force as it is wanted now.
    async fn go_on(
        &self,
        candidate: &Candidate,
        running: &Arc<Plugin>,
        generation: u64,
    ) -> Result<Arc<Plugin>, Refusal> {
        let settings = running.version().settings_under(&candidate.settings);
        if settings == running.settings {
            return Ok(Arc::clone(running));
        }
        let artifact = Arc::clone(&running.artifact);
        self.start(&candidate.file, settings, artifact, generation).await
    }

    /// The component in force with the settings of now, which make another version of it; and the
    /// version in force, where that is tried beside it first.
    async fn go_on_with(
        &self,
        candidate: &Candidate,
        running: &Arc<Plugin>,
        generation: u64,
    ) -> Result<(Arc<Plugin>, Option<Arc<Plugin>>), Refusal> {
        let (settings, artifact) = (Arc::clone(&candidate.settings), Arc::clone(&running.artifact));
        let new = self.start(&candidate.file, settings, artifact, generation).await?;
        let beside = self.beside(candidate, Some(running), &new, generation).await;
        Ok((new, beside))
    }

    /// A file that is not taken: the plugin that runs goes on, with the settings of now. Only those
    /// that belong to a version that is not taken are not for the one that runs.
    async fn trouble(
        &self,
        candidate: &Candidate,
        before: Option<&Slot>,
        trouble: Trouble,
        stamp: Option<Stamp>,
        generation: u64,
        gathered: &mut Gathered,
    ) -> Option<Slot> {
        let running = before.and_then(|slot| slot.plugin.as_ref());
        let disabled = matches!(trouble.refusal, Refusal::Disabled { .. });
        let missing = trouble.refusal == Refusal::Missing && !candidate.settings.required;
        let gone = missing || disabled;
        // Of settings that contradict others, none are wanted; those beside a component are for it
        // and no other version.
        let twice = matches!(trouble.refusal, Refusal::SettingsTwice { .. });
        let apart = candidate.settings.listed != Listed::Beside && !twice;
        let changed = apart && before.is_some_and(|slot| slot.settings != candidate.settings);
        match running {
            Some(plugin) if gone => {
                let what = if disabled { What::Disabled } else { What::Removed };
                gathered.changes.push(change(candidate, what));
                let parked = disabled.then(|| plugin.version());
                Some(Slot { parked, ..slot(candidate, None, None, Some(trouble)) })
            }
            Some(plugin) if changed => {
                let config = &candidate.settings.config;
                let same = before.is_some_and(|slot| slot.settings.config == *config);
                let going_on = match same || matches!(trouble.of, Refused::Version(_)) {
                    true => self.go_on(candidate, plugin, generation).await.map(|it| (it, None)),
                    false => self.go_on_with(candidate, plugin, generation).await,
                };
                match going_on {
                    Ok((plugin, beside)) => {
                        let what = What::Kept(trouble.refusal.clone());
                        gathered.changes.push(change(candidate, what));
                        Some(in_force_or_tried(candidate, beside, plugin, stamp, Some(trouble)))
                    }
                    Err(refusal) => {
                        let trouble = Trouble { refusal, ..trouble };
                        Some(fall_back(candidate, before, trouble, stamp, gathered))
                    }
                }
            }
            // Settings for the directory's file of that name wait for somebody to drop it in.
            None if disabled || missing && is_awaited(candidate) => {
                let parked = before.and_then(|slot| slot.parked.clone()).filter(|_| disabled);
                Some(Slot { parked, ..slot(candidate, None, None, Some(trouble)) })
            }
            None if !missing => {
                let back = self.put_back(candidate, before, &trouble, generation).await;
                match back {
                    Some(plugin) => {
                        let what = What::Kept(trouble.refusal.clone());
                        gathered.changes.push(change(candidate, what));
                        Some(slot(candidate, Some(plugin), stamp, Some(trouble)))
                    }
                    None => Some(fall_back(candidate, before, trouble, stamp, gathered)),
                }
            }
            _ => Some(fall_back(candidate, before, trouble, stamp, gathered)),
        }
    }

    /// What was in force when the operator took the plugin out, where it is put back and its file was
    /// spoilt meanwhile: it is as if it had never been out.
    async fn put_back(
        &self,
        candidate: &Candidate,
        before: Option<&Slot>,
        trouble: &Trouble,
        generation: u64,
    ) -> Option<Arc<Plugin>> {
        let parked = before?.parked.clone()?;
        let settings = parked.settings_under(&candidate.settings);
        let parked_as = Candidate { settings, ..candidate.clone() };
        let wanted = self.unwanted(&parked_as, parked.mark).is_none();
        let itself = trouble.of == Refused::Version(parked.mark);
        let artifact = Some(parked.artifact).filter(|_| wanted && !itself)?;
        self.start(&candidate.file, parked_as.settings, artifact, generation).await.ok()
    }

    /// Starts a component as that candidate, and has it show that it works.
    async fn start_tested(
        &self,
        candidate: &Candidate,
        artifact: Arc<Artifact>,
        generation: u64,
    ) -> Result<Arc<Plugin>, Refusal> {
        let mark = Mark::of(artifact.digest, &candidate.settings);
        self.progress.note(candidate, mark, Step::Start);
        let settings = Arc::clone(&candidate.settings);
        let plugin = self.start(&candidate.file, settings, artifact, generation).await?;
        if let Some(tester) = &self.self_test {
            self.progress.note(candidate, mark, Step::Test);
            self_test::play(tester, candidate, &plugin.artifact, &self.guard, self.pace).await?;
        }
        Ok(plugin)
    }

    /// Starts a component of that file with such settings.
    pub(crate) async fn start(
        &self,
        file: &Path,
        settings: Arc<PluginSettings>,
        artifact: Arc<Artifact>,
        generation: u64,
    ) -> Result<Arc<Plugin>, Refusal> {
        let file = file.to_owned();
        let (stock, budget) = (&self.stock, &self.budget);
        let plugin = Plugin::start(sandbox()?, artifact, settings, file, generation, stock, budget);
        let plugin = plugin.await?;
        // Set by nobody else: it was made above.
        let _ = plugin.outbox.set(Weak::clone(&self.outbox));
        check_sessions(&plugin, self.memory_budget)?;
        Ok(Arc::new(plugin))
    }
}

/// Says once what there is to look after with the files of a plugin that is in force.
fn tell_of_concerns(
    candidate: &Candidate,
    before: Option<&Slot>,
    slot: &Slot,
    concerns: &[Concern],
) {
    let plugin = &*candidate.settings.name;
    let told = before.filter(|before| before.plugin.is_some());
    let is_new = |it: &&Concern| !told.is_some_and(|before| before.concerns.contains(it));
    for concern in concerns.iter().filter(is_new).filter(|_| slot.plugin.is_some()) {
        tracing::warn!(plugin, remedy = concern.remedy(), "{concern}");
    }
}

/// Says that a component is being compiled, once that takes a while.
fn tell_of_compiling(candidate: &Candidate) -> impl Future<Output = ()> + Send + 'static {
    let (plugin, file) = (candidate.settings.name.clone(), candidate.file.clone());
    async move {
        tokio::time::sleep(limits::COMPILING_TOLD).await;
        let file = cleaned(&file.to_string_lossy());
        tracing::info!(plugin, file, "plugin is being compiled");
    }
}

/// A task that ends with this.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens the store of compiled components. Without it they are compiled at every start.
async fn open_store(
    linked: &'static LinkedEngine,
    state: Option<&Path>,
) -> Option<Arc<CompiledStore>> {
    let state = state?.to_owned();
    let directory = state.clone();
    match blocking(move || CompiledStore::open(&state, linked)).await? {
        Ok(store) => Some(Arc::new(store)),
        Err(error) => {
            let directory = directory.display();
            tracing::warn!(%directory, reason = %error, "compiled plugins are not kept");
            None
        }
    }
}

/// Whether the candidate is a file that somebody may yet drop into the directory.
fn is_awaited(candidate: &Candidate) -> bool {
    candidate.settings.path.is_none() && candidate.problem.is_none()
}

/// Whether the operator has taken something from a plugin that it still has.
fn is_revoked(plugin: &Plugin, candidate: &Candidate) -> bool {
    !candidate.settings.grants.cover(&plugin.settings.grants)
}

/// Keeps what runs, if anything does and has no more than it is granted, and tells of the trouble
/// if that is news.
fn fall_back(
    candidate: &Candidate,
    before: Option<&Slot>,
    trouble: Trouble,
    stamp: Option<Stamp>,
    gathered: &mut Gathered,
) -> Slot {
    let running = before.and_then(|slot| slot.plugin.clone());
    let was_there = running.is_some();
    let running = running.filter(|plugin| !is_revoked(plugin, candidate));
    let known = before.is_some_and(|slot| {
        slot.trouble.as_ref() == Some(&trouble)
            && slot.settings == candidate.settings
            && was_there == running.is_some()
    });
    if !known {
        let refusal = trouble.refusal.clone();
        let beside = candidate.settings.listed == Listed::Beside;
        let changed = !beside && before.is_some_and(|slot| slot.settings != candidate.settings);
        let missed = running.is_none() || changed;
        if missed && candidate.settings.on_load_error == OnLoadError::Refuse {
            gathered.errors.push(LoadError {
                plugin: candidate.settings.name.clone(),
                file: Some(candidate.file.clone()).filter(|file| !file.as_os_str().is_empty()),
                refusal: refusal.clone(),
            });
        }
        let what = match running {
            Some(_) => What::Kept(refusal),
            None if was_there => What::Revoked(refusal),
            None => What::Refused(refusal),
        };
        gathered.changes.push(change(candidate, what));
    }
    slot(candidate, running, stamp, Some(trouble))
}

/// What is wanted no longer goes, except what lies in a directory that cannot be read.
fn keep_or_drop(old: &Slots, plan: &Plan, gathered: &mut Gathered) {
    for (key, slot) in old {
        if gathered.slots.contains_key(key) {
            continue;
        }
        let (name, file) = key;
        let unread = plan.unreadable.as_deref().is_some_and(|it| file.starts_with(it));
        // Nobody names it any more: what it was granted is gone with its settings.
        if unread && Grants::default().cover(&slot.settings.grants) {
            gathered.slots.insert(key.clone(), slot.clone());
        } else if slot.plugin.is_some() {
            let (plugin, file) = (name.clone(), file.clone());
            gathered.changes.push(Change { plugin, file, what: What::Removed });
        }
    }
}

fn slot(
    candidate: &Candidate,
    plugin: Option<Arc<Plugin>>,
    stamp: Option<Stamp>,
    trouble: Option<Trouble>,
) -> Slot {
    let (settings, parts) = (Arc::clone(&candidate.settings), candidate.parts.clone());
    let concerns = Vec::new();
    Slot { settings, plugin, canary: None, parked: None, stamp, parts, trouble, concerns }
}

/// A slot with `new` in force or, where there is one that it is tried beside, that one.
fn in_force_or_tried(
    candidate: &Candidate,
    beside: Option<Arc<Plugin>>,
    new: Arc<Plugin>,
    stamp: Option<Stamp>,
    trouble: Option<Trouble>,
) -> Slot {
    let (plugin, canary) = match beside {
        Some(beside) => (beside, Some(new)),
        None => (new, None),
    };
    Slot { canary, ..slot(candidate, Some(plugin), stamp, trouble) }
}

fn change(candidate: &Candidate, what: What) -> Change {
    Change { plugin: candidate.settings.name.clone(), file: candidate.file.clone(), what }
}

/// The plugins of `slots` in the order in which they see a command.
pub(crate) fn in_order(settings: &HostSettings, slots: &Slots) -> Vec<Arc<Plugin>> {
    in_order_of(settings, slots, |slot| slot.plugin.clone())
}

/// The same for one version of each plugin.
pub(crate) fn in_order_of(
    settings: &HostSettings,
    slots: &Slots,
    version: impl Fn(&Slot) -> Option<Arc<Plugin>>,
) -> Vec<Arc<Plugin>> {
    let mut plugins: Vec<_> = slots.values().filter_map(version).collect();
    plugins.sort_by_cached_key(|plugin| {
        let place = settings.order.iter().position(|name| **name == *plugin.name);
        let priority = plugin.settings.priority;
        (place.unwrap_or(usize::MAX), priority, Arc::clone(&plugin.name))
    });
    plugins
}

/// Every plugin that should be there.
pub(crate) async fn find(settings: &HostSettings) -> Plan {
    let settings = settings.clone();
    blocking(move || files::plan(&settings)).await.unwrap_or_default()
}

async fn read(
    file: PathBuf,
    known: Option<Stamp>,
    settled: Option<Arc<Settled>>,
    guard: Guard,
) -> Content {
    let read = blocking(move || files::read(&file, known, settled.as_deref(), &guard)).await;
    read.unwrap_or(Content::Unsettled)
}

/// Asks the file system off the reactor. `None` where the runtime is shutting down.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
