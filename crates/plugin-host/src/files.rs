//! Which files are plugins, and reading them whole: everything that asks the file system.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::beside::{Beside, Part, Written};
use crate::errors::Refusal;
use crate::guard::{Guard, refusal};
use crate::limits;
use crate::settings::{HostSettings, Listed, PluginSettings, SettingsReader, Signer, Unlisted};

/// The extension of files that are plugins.
const EXTENSION: &str = "wasm";

/// What the plugin directory is called where a plugin's name is expected.
const DIRECTORY: &str = "(directory)";

/// A plugin that should be there.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) settings: Arc<PluginSettings>,
    pub(crate) file: PathBuf,
    /// What keeps it from being looked at, if anything does.
    pub(crate) problem: Option<Refusal>,
    /// The files that make one unit with the component.
    pub(crate) parts: Vec<Part>,
    /// Whether the settings could not be read: what stands here is not what anybody wants.
    pub(crate) unread: bool,
    /// Whether some part changed while it was read.
    pub(crate) torn: bool,
}

impl Candidate {
    /// One with nothing beside it.
    pub(crate) fn of(
        settings: PluginSettings,
        file: PathBuf,
        problem: Option<Refusal>,
    ) -> Candidate {
        let (settings, parts) = (Arc::new(settings), Vec::new());
        Candidate { settings, file, problem, parts, unread: false, torn: false }
    }

    /// Whether a part changes, or has another stamp than in `settled`.
    pub(crate) fn is_unsettled(&self, settled: Option<&Settled>) -> bool {
        let differs =
            |part: &Part| settled.is_some_and(|it| it.get(&part.file).copied() != part.stamp);
        self.torn || self.parts.iter().any(differs)
    }
}

/// Everything that should be there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) candidates: Vec<Candidate>,
    /// The plugin directory, if it cannot be read: what lay in it is not gone then.
    pub(crate) unreadable: Option<PathBuf>,
}

/// Finds all plugins: those that the settings name, then those that lie in the directory.
pub(crate) fn plan(settings: &HostSettings) -> Plan {
    let mut plan = Plan::default();
    find(settings, &mut plan);
    let mut instances = 0_usize;
    for candidate in &mut plan.candidates {
        if settings.self_test.is_some() && candidate.problem.is_none() {
            candidate.parts.push(Part::scenario_of(&candidate.file));
        }
        let own = Arc::make_mut(&mut candidate.settings);
        own.holds_files = settings.storages.contains(&own.name);
        instances = instances.saturating_add(own.limits.instances_max);
        if instances > limits::INSTANCES_CONFIGURED_MAX && candidate.problem.is_none() {
            let (wanted, max) = (instances, limits::INSTANCES_CONFIGURED_MAX);
            candidate.problem = Some(Refusal::TooManyInstances { wanted, max });
        }
    }
    plan
}

fn find(settings: &HostSettings, plan: &mut Plan) {
    let mut names = BTreeSet::new();
    let mut places = BTreeSet::new();
    let guard = Guard::of(settings);
    let directory = settings.directory.as_deref().and_then(|it| fs::canonicalize(it).ok());
    for plugin in &settings.plugins {
        let (file, mut problem) = match place(settings, plugin) {
            Some(file) => (file, None),
            None => (PathBuf::new(), Some(Refusal::NoPlace)),
        };
        if !names.insert(plugin.name.clone()) {
            problem = Some(Refusal::NameTaken(plugin.name.clone()));
        }
        let place = real(&file);
        let within = directory.is_some() && place.parent() == directory.as_deref();
        places.insert(place);
        let mut candidate = Candidate::of(plugin.clone(), file, problem);
        if settings.beside.is_some() && within {
            let part = Part::settings_of(&candidate.file);
            if part.exists() && candidate.problem.is_none() {
                let (beside, entry) = (part.file.clone(), plugin.written.clone());
                candidate.problem = Some(Refusal::SettingsTwice { beside, entry });
            }
            candidate.parts.push(part);
        }
        plan.candidates.push(candidate);
    }
    let Some(directory) = &settings.directory else { return };
    match dropped(directory, &guard) {
        Ok(files) => {
            let others = files.into_iter().filter(|file| !places.contains(&real(file)));
            let others = others.map(|file| dropped_in(file, settings, &guard, &mut names));
            plan.candidates.extend(others.flatten());
        }
        Err(refusal) => {
            let settings = PluginSettings::named(DIRECTORY);
            plan.candidates.push(Candidate::of(settings, directory.clone(), Some(refusal)));
            plan.unreadable = Some(directory.clone());
        }
    }
}

/// Where the file of a named plugin is.
fn place(settings: &HostSettings, plugin: &PluginSettings) -> Option<PathBuf> {
    if let Some(path) = &plugin.path {
        return Some(path.clone());
    }
    let directory = settings.directory.as_ref()?;
    Some(directory.join(format!("{}.{EXTENSION}", plugin.name)))
}

/// The same for all names of one file, as long as its directory is there.
fn real(file: &Path) -> PathBuf {
    let directory = directory_of(file);
    match (fs::canonicalize(directory), file.file_name()) {
        (Ok(directory), Some(name)) => directory.join(name),
        _ => file.to_owned(),
    }
}

/// The directory that a file lies in.
pub(crate) fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The plugins in the directory, in the order of their names.
fn dropped(directory: &Path, guard: &Guard) -> Result<Vec<PathBuf>, Refusal> {
    guard.check_directory(directory)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(refusal)? {
        let file = entry.map_err(refusal)?.path();
        let hidden = file.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        let component = file.extension().is_some_and(|extension| extension == EXTENSION);
        // What is no file is told when it is read: whoever put it there waits for a plugin.
        if component && !hidden {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// A component that no settings name, with those that lie beside it; nothing where there are none
/// and such components are left alone.
fn dropped_in(
    file: PathBuf,
    settings: &HostSettings,
    guard: &Guard,
    names: &mut BTreeSet<String>,
) -> Option<Candidate> {
    let stem = file.file_stem().unwrap_or_default();
    let name = stem.to_string_lossy().into_owned();
    let mut candidate = match &settings.beside {
        Some(reader) => with_settings(&file, &name, reader, guard, settings)?,
        None => Candidate::of(unlisted(&name, settings)?, file.clone(), None),
    };
    if stem.to_str().is_none() {
        candidate.problem = Some(Refusal::BadName);
    } else if !names.insert(name.clone()) {
        candidate.problem = Some(Refusal::NameTaken(name));
    }
    Some(candidate)
}

/// A component with the settings that lie beside it, if any do.
fn with_settings(
    file: &Path,
    name: &str,
    reader: &SettingsReader,
    guard: &Guard,
    settings: &HostSettings,
) -> Option<Candidate> {
    let part = Part::settings_of(file);
    let written = part.read(name, reader, guard);
    let unclear = || PluginSettings {
        name: name.to_owned(),
        listed: Listed::Beside,
        written: Some(part.file.clone()),
        ..settings.dropped_in.clone()
    };
    let of = |settings, problem| Candidate::of(settings, file.to_owned(), problem);
    let candidate = match written {
        Written::Nowhere => of(unlisted(name, settings)?, None),
        Written::Well(settings) => of(*settings, None),
        Written::Wrong(refusal) => Candidate { unread: true, ..of(unclear(), Some(refusal)) },
        Written::Unsettled => Candidate { unread: true, torn: true, ..of(unclear(), None) },
    };
    Some(Candidate { parts: vec![part], ..candidate })
}

/// The settings of a component that has none of its own, where such ones are loaded.
fn unlisted(name: &str, settings: &HostSettings) -> Option<PluginSettings> {
    let listed = match settings.unlisted {
        Unlisted::Off => return None,
        Unlisted::HooksOnly => Listed::HooksOnly,
        Unlisted::On => Listed::No,
    };
    Some(PluginSettings { name: name.to_owned(), listed, ..settings.dropped_in.clone() })
}

/// What tells whether a file was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    /// Inode and time of change, where there are such things.
    inode: (u64, i64, i64),
}

impl Stamp {
    /// That of a file which is so.
    pub(crate) fn of(metadata: &Metadata) -> Stamp {
        #[cfg(unix)]
        let inode = {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
        };
        #[cfg(not(unix))]
        let inode = (0, 0, 0);
        Stamp { bytes: metadata.len(), modified: metadata.modified().ok(), inode }
    }
}

/// The stamps of all candidates' files that are there.
pub(crate) fn stamps(plan: &Plan) -> Settled {
    let files = plan.candidates.iter().map(|candidate| &candidate.file);
    let files = files.filter_map(|file| Some((file.clone(), Stamp::of(&fs::metadata(file).ok()?))));
    let parts = plan.candidates.iter().flat_map(|candidate| &candidate.parts);
    files.chain(parts.filter_map(|part| Some((part.file.clone(), part.stamp?)))).collect()
}

/// What became of reading a file.
#[derive(Debug)]
pub(crate) enum Content {
    /// It was not touched since the stamp.
    Untouched,
    /// It was read whole.
    Whole { stamp: Stamp, bytes: Vec<u8> },
    /// It changed while it was read.
    Unsettled,
    /// It is not taken.
    Refused(Refusal),
}

/// The stamps that files had a while ago: a file that has another now is still being written.
pub(crate) type Settled = BTreeMap<PathBuf, Stamp>;

/// Reads a plugin's file, unless it still has the stamp `known`, or has another than in `settled`.
/// Whom its name is left to is looked at each time.
pub(crate) fn read(
    file: &Path,
    known: Option<Stamp>,
    settled: Option<&Settled>,
    guard: &Guard,
) -> Content {
    if let Some(settled) = settled {
        let now = fs::metadata(file).ok().map(|metadata| Stamp::of(&metadata));
        if now != settled.get(file).copied() {
            return Content::Unsettled;
        }
    }
    try_read(file, known, guard).unwrap_or_else(Content::Refused)
}

fn try_read(file: &Path, known: Option<Stamp>, guard: &Guard) -> Result<Content, Refusal> {
    let Some((mut reader, metadata)) = guard.open(file)? else { return Ok(Content::Unsettled) };
    let stamp = Stamp::of(&metadata);
    if known == Some(stamp) {
        return Ok(Content::Untouched);
    }
    let (bytes, max) = (metadata.len(), limits::COMPONENT_BYTES_MAX);
    if bytes > max {
        return Err(Refusal::TooLarge { bytes, max });
    }
    let mut bytes = Vec::new();
    (&mut reader).take(max).read_to_end(&mut bytes).map_err(refusal)?;
    let after = Stamp::of(&reader.metadata().map_err(refusal)?);
    if after != stamp || bytes.len() as u64 != stamp.bytes {
        return Ok(Content::Unsettled);
    }
    Ok(Content::Whole { stamp, bytes })
}

/// Checks that a component has its signature beside it.
///
/// # Errors
/// It has none, or not by that signer, or others may write there.
pub(crate) fn check_signature(
    file: &Path,
    bytes: &[u8],
    signer: &Signer,
    guard: &Guard,
) -> Result<(), Refusal> {
    let signature = Beside::Signature.file_of(file);
    let unsigned = || Refusal::Unsigned { file: signature.clone() };
    let opened = guard.open(&signature).map_err(|refusal| match refusal {
        Refusal::Missing => unsigned(),
        refusal => refusal.of(signature.clone()),
    })?;
    let (opened, _) = opened.ok_or_else(unsigned)?;
    let mut octets = Vec::new();
    match opened.take(limits::SIGNATURE_BYTES_MAX).read_to_end(&mut octets) {
        Ok(_) if (signer.verify)(&signer.key, bytes, &octets) => Ok(()),
        Ok(_) => Err(Refusal::BadSignature { file: signature }),
        Err(_) => Err(unsigned()),
    }
}
