//! Versions of the interface `waft:plugin`, and which of them a component can do with.

use waft_plugin_host::Inspection;

use crate::failure::Failure;

/// Major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version([u32; 3]);

/// All that there are, the oldest first.
const KNOWN: [&str; 1] = ["0.1.0"];

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse::<u32>);
        let mut part = || parts.next()?.ok();
        let version = Self([part()?, part()?, part()?]);
        parts.next().is_none().then_some(version)
    }

    /// A version that servers have.
    pub(super) fn known(text: &str) -> Result<Self, Failure> {
        let version = KNOWN.contains(&text).then(|| Self::parse(text)).flatten();
        let all = all();
        version.ok_or_else(|| {
            Failure::Usage(format!("no version of the interface: {text}; there are: {all}"))
        })
    }
}

/// Returns all versions, for people.
pub(super) fn all() -> String {
    KNOWN.join(", ")
}

/// Tells what of a component a server of a version does not have, if there is something.
pub(super) fn newer(inspection: &Inspection, version: Version) -> Option<String> {
    let imports = inspection.capabilities.iter().filter_map(|capability| {
        let (name, version) = capability.name.split_once('@')?;
        name.starts_with("waft:plugin/").then(|| (capability.name.clone(), version.to_owned()))
    });
    let whole =
        inspection.wit_version.clone().map(|version| (format!("waft:plugin {version}"), version));
    let mut wanted = imports.chain(whole);
    let (name, _) =
        wanted.find(|(_, wanted)| Version::parse(wanted).is_none_or(|v| v > version))?;
    let Version([major, minor, patch]) = version;
    Some(format!("a server of waft:plugin {major}.{minor}.{patch} does not have: {name}"))
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
        assert_eq!(versions, KNOWN);
    }
}
