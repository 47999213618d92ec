//! Versions of a plugin: a component and the settings that it was given, as one. They come into force,
//! are tried and go back together.
//!
//! What is a version's own is its configuration and, where the settings lie beside the component, all
//! of that file. The rest is what the operator wants of whatever version is in force (what it is
//! granted, what it may take, what its failures count as): none of that comes back with a version.

use std::fmt;
use std::sync::Arc;

use crate::artifact::{Artifact, Digest};
use crate::settings::{Listed, PluginSettings};

/// What tells one version from another: the digests of its component and of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) component: Digest,
    pub(crate) config: Digest,
}

impl Mark {
    /// That of a component with such settings.
    pub(crate) fn of(component: Digest, settings: &PluginSettings) -> Mark {
        Mark { component, config: digest_of(&settings.config) }
    }
}

/// As the operator is told.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with config {}", self.component, self.config)
    }
}

/// The digest of a configuration, in whatever order it is written.
pub(crate) fn digest_of(config: &[(String, String)]) -> Digest {
    let mut pairs: Vec<_> = config.iter().collect();
    pairs.sort();
    let texts = pairs.into_iter().flat_map(|(key, value)| [key, value]);
    // With their lengths: where one text ends and the next begins makes a difference.
    let octets = texts.flat_map(|text| {
        let length = (text.len() as u64).to_be_bytes();
        length.into_iter().chain(text.bytes())
    });
    Digest::of(&octets.collect::<Vec<u8>>())
}

/// A version that can be started again.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) artifact: Arc<Artifact>,
    pub(crate) mark: Mark,
    own: Own,
}

/// What of its settings is a version's own.
#[derive(Clone)]
enum Own {
    Config(Vec<(String, String)>),
    /// All that lay beside the component. There are no grants among it.
    File(Arc<PluginSettings>),
}

impl Version {
    /// That of a component which was started with such settings.
    pub(crate) fn new(
        artifact: Arc<Artifact>,
        mark: Mark,
        settings: &Arc<PluginSettings>,
    ) -> Version {
        let own = match settings.listed {
            Listed::Beside => Own::File(Arc::clone(settings)),
            Listed::Yes | Listed::No | Listed::HooksOnly => Own::Config(settings.config.clone()),
        };
        Version { artifact, mark, own }
    }

    /// Its settings where the operator wants `now` of the plugin.
    pub(crate) fn settings_under(&self, now: &PluginSettings) -> Arc<PluginSettings> {
        let config = match &self.own {
            Own::File(file) if now.listed != Listed::Yes => {
                let holds_files = now.holds_files;
                return Arc::new(PluginSettings { holds_files, ..(**file).clone() });
            }
            Own::File(file) => &file.config,
            Own::Config(config) => config,
        };
        // A pin that lies beside a component is about that one.
        let sha256 = now.sha256.clone().filter(|_| now.listed != Listed::Beside);
        Arc::new(PluginSettings { config: config.clone(), sha256, ..now.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(config: &[(&str, &str)]) -> Digest {
        let pairs = config.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
        digest_of(&pairs.collect::<Vec<_>>())
    }

    #[test]
    fn configurations_differ_by_what_they_say_and_not_by_its_order() {
        let one = digest(&[("a", "bc"), ("d", "")]);
        assert_eq!(one, digest(&[("d", ""), ("a", "bc")]));
        for other in [&[("ab", "c"), ("d", "")][..], &[("a", "bc")], &[("a", "bc"), ("d", "e")]] {
            assert_ne!(one, digest(other), "{other:?}");
        }
    }
}
