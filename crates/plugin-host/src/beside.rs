//! What lies beside a component and belongs to it; its settings, in `NAME.toml`, most of all: the two
//! files are one unit, and change as one.
//!
//! What such a file means is the program's to say, which hands a [`SettingsReader`] over. Nothing is
//! granted by it, whatever the reader returns: grants are for whoever configures the server.

use std::fs;
use std::path::{Path, PathBuf};

use crate::errors::{Flaw, Refusal};
use crate::files::{self, Content, Stamp};
use crate::guard::Guard;
use crate::limits;
use crate::settings::{Grants, Listed, PluginSettings, SettingsReader};

/// A kind of file that may lie beside a component and belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// A signature, in `NAME.wasm.sig`.
    Signature,
    /// Settings, in `NAME.toml`.
    Settings,
    /// A scenario that has to go as it is written, in `NAME.scenario.txt`.
    Scenario,
}

impl Beside {
    /// All kinds.
    pub const ALL: [Beside; 3] = [Beside::Signature, Beside::Settings, Beside::Scenario];

    /// The file of that kind that belongs to a component.
    pub fn file_of(self, component: &Path) -> PathBuf {
        match self {
            Beside::Signature => component.with_added_extension("sig"),
            Beside::Settings => component.with_extension("toml"),
            Beside::Scenario => component.with_extension("scenario.txt"),
        }
    }

    /// How many octets of such a file are read.
    pub const fn bytes_max(self) -> u64 {
        match self {
            Beside::Signature => limits::SIGNATURE_BYTES_MAX,
            Beside::Settings => limits::SETTINGS_BYTES_MAX as u64,
            Beside::Scenario => limits::SCENARIO_BYTES_MAX as u64,
        }
    }
}

/// A file that belongs to a component, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) file: PathBuf,
    /// `None` where there is no such file.
    pub(crate) stamp: Option<Stamp>,
}

/// The settings beside a component.
#[derive(Debug)]
pub(crate) enum Written {
    /// There are none.
    Nowhere,
    /// They are these.
    Well(Box<PluginSettings>),
    /// They cannot be had.
    Wrong(Refusal),
    /// They changed while they were read.
    Unsettled,
}

impl Part {
    /// The settings that may lie beside a component.
    pub(crate) fn settings_of(component: &Path) -> Part {
        Part::of(Beside::Settings.file_of(component))
    }

    pub(crate) fn of(file: PathBuf) -> Part {
        // What is no file, or a link that leads nowhere, is there all the same, and told.
        let stamp = fs::metadata(&file).or_else(|_| fs::symlink_metadata(&file)).ok();
        Part { stamp: stamp.map(|metadata| Stamp::of(&metadata)), file }
    }

    /// Whether it is there.
    pub(crate) fn exists(&self) -> bool {
        self.stamp.is_some()
    }

    /// Reads the settings that it holds, of the plugin of that name.
    pub(crate) fn read(&self, name: &str, reader: &SettingsReader, guard: &Guard) -> Written {
        if !self.exists() {
            return Written::Nowhere;
        }
        let bytes = match files::read(&self.file, None, None, guard) {
            Content::Whole { stamp, bytes } if Some(stamp) == self.stamp => bytes,
            Content::Refused(Refusal::Missing) => return Written::Unsettled,
            Content::Refused(refusal) => return Written::Wrong(refusal.of(self.file.clone())),
            _ => return Written::Unsettled,
        };
        if bytes.len() > limits::SETTINGS_BYTES_MAX {
            return Written::Wrong(Refusal::Settings(vec![self.too_large(bytes.len())]));
        }
        match reader.read(&self.file, &bytes) {
            Ok(settings) => Written::Well(Box::new(PluginSettings {
                name: name.to_owned(),
                path: None,
                required: false,
                grants: Grants::default(),
                listed: Listed::Beside,
                written: Some(self.file.clone()),
                ..settings
            })),
            Err(flaws) => Written::Wrong(Refusal::Settings(flaws)),
        }
    }

    fn too_large(&self, bytes: usize) -> Flaw {
        Flaw {
            file: self.file.clone(),
            line: 0,
            column: 0,
            key: String::new(),
            message: format!("too large: {bytes} bytes, at most {}", limits::SETTINGS_BYTES_MAX),
            remedy: "name files in it rather than writing them into it".to_owned(),
        }
    }
}
