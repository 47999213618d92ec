//! Versions of the interface `waft:plugin`, and which of them a component can do with.

use std::path::Path;

use waft_plugin_host::Inspection;
use waft_plugin_tools::Interfaces;

use crate::failure::Failure;

/// Major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version([u32; 3]);

/// All that there are, the oldest first, each with what it added: functions that components import,
/// as [`Interfaces::functions`] names them.
const KNOWN: [(&str, &[&str]); 2] =
    [("0.1.0", &[]), ("0.1.1", &["sessions [method]session.skip-commands"])];

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse::<u32>);
        let mut part = || parts.next()?.ok();
        let version = Self([part()?, part()?, part()?]);
        parts.next().is_none().then_some(version)
    }

    /// A version that servers have.
    pub(super) fn known(text: &str) -> Result<Self, Failure> {
        let is_known = KNOWN.iter().any(|(known, _)| *known == text);
        let all = all();
        is_known.then(|| Self::parse(text)).flatten().ok_or_else(|| {
            Failure::Usage(format!("no version of the interface: {text}; there are: {all}"))
        })
    }
}

/// Returns all versions, for people.
pub(super) fn all() -> String {
    KNOWN.map(|(version, _)| version).join(", ")
}

/// Tells what of a component a server of a version does not have, if there is something.
///
/// A component built for a later version that uses nothing of what this one added fits.
///
/// # Errors
///
/// The component cannot be read.
pub(super) fn newer(
    file: &Path,
    inspection: &Inspection,
    version: Version,
) -> anyhow::Result<Option<String>> {
    let functions = Interfaces::of(&std::fs::read(file)?)?.functions;
    let later = KNOWN.iter().filter(|(known, _)| Version::parse(known) > Some(version));
    let mut added = later.flat_map(|(known, added)| added.iter().map(move |name| (known, name)));
    let used = added.find(|(_, name)| functions.iter().any(|function| function == *name));
    let used = used.map(|(known, name)| format!("{name}, of {known}"));
    // What comes after those that are known may have added anything.
    let built_for = inspection.wit_version.as_deref();
    let is_known = |built_for: &&str| KNOWN.iter().any(|(known, _)| known == built_for);
    let unknown = built_for.filter(|built_for| !is_known(built_for));
    let unknown = unknown.filter(|built_for| Version::parse(built_for).is_none_or(|v| v > version));
    let lacking = used.or_else(|| unknown.map(|unknown| format!("waft:plugin {unknown}")));
    let Version([major, minor, patch]) = version;
    Ok(lacking.map(|lacking| {
        let version = format!("{major}.{minor}.{patch}");
        format!(
            "a server of waft:plugin {version} does not have: {lacking}\n  remedy: build it with \
             wit/released/{version}.wit, the interface as it was"
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_numbers_and_an_order() {
        assert!(Version::parse("0.1.10") > Version::parse("0.1.9"));
        assert_eq!(Version::parse("0.1"), None);
        assert_eq!(Version::parse("0.1.0.0"), None);
        assert!(Version::known("0.1.0").is_ok());
        assert!(Version::known("0.2.0").is_err());
    }

    #[test]
    fn the_versions_are_those_that_were_released() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/released");
        let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        let mut versions: Vec<_> =
            names.iter().filter_map(|name| name.strip_suffix(".wit")).collect();
        versions.sort_by_key(|version| Version::parse(version).unwrap());
        assert_eq!(versions, KNOWN.map(|(version, _)| version));
    }
}
