//! Settings that lie beside a component, in `NAME.toml`: what may stand under a `[[plugin]]`, but for
//! what the operator alone decides about a plugin, wherever it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::check::{self, Findings};
use crate::load::{fill_plugin, line_of};
use crate::mistake::{Mistake, Mistakes, Warnings};
use crate::place::Origin;
use crate::schema::{Reader, Section};
use crate::sections::{Plugin, Plugins};
use crate::value::{Entry, Node, Value, parse};

/// Settings that lie beside a component.
#[derive(Clone, Debug)]
pub struct PluginFile {
    /// The settings, every default filled in.
    pub plugin: Plugin,
    file: Origin,
    origins: BTreeMap<String, Origin>,
}

/// What goes without saying beside the component.
const NAMED: &[&str] = &["name", "path"];

/// What is not said there: besides these, what can be written in the configuration alone. Such a file
/// often comes with its component, from the same author: what a plugin may reach, where files go, and
/// that it stays when its file goes, are not the author's to say.
const ELSEWHERE: &[&str] = &["name", "path", "grant", "quarantine", "required"];

impl PluginFile {
    /// Takes `octets` for the content of `file`, which has the name of the plugin; what it does not
    /// say is as `general` says.
    ///
    /// # Errors
    ///
    /// All mistakes there are, together.
    pub fn read(file: &Path, octets: &[u8], general: &Plugins) -> Result<Self, Mistakes> {
        let whole = Origin::whole(file);
        let Ok(text) = str::from_utf8(octets) else {
            return Err(all(vec![Mistake::new(&whole, "", "not UTF-8", "save it as UTF-8")]));
        };
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut mistakes = Vec::new();
        let mut node = parse(file, text, &mut mistakes);
        let broken: BTreeSet<_> = mistakes.iter().map(line_of).collect();
        let mut reader = Reader::of(!mistakes.is_empty());
        reader.reserved = ELSEWHERE;
        refuse_reserved(&mut node, &name, &mut mistakes);
        if let Value::Table(table) = &mut node.value {
            let node = Node { value: Value::String(name), origin: whole.clone() };
            table.0.insert("name".to_owned(), Entry { key: whole.clone(), node });
        }
        let plugin = Plugin::read(&node, &mut reader);
        let told = reader.mistakes.into_iter().filter(|told| !broken.contains(&line_of(told)));
        mistakes.extend(told);
        let plugin = plugin.map(|mut plugin| {
            fill_plugin(&mut plugin, general, &reader.origins);
            let mut findings = Findings::default();
            check::plugin(&plugin, &reader.origins, &mut findings);
            mistakes.append(&mut findings.mistakes);
            plugin
        });
        mistakes.sort_by(|one, other| one.origin.cmp(&other.origin));
        match plugin {
            Some(plugin) if mistakes.is_empty() => {
                Ok(Self { plugin, file: whole, origins: reader.origins })
            }
            _ => Err(all(mistakes)),
        }
    }

    /// Returns where the value of a dotted key was written; where it is not, the nearest table around
    /// it that is, or the file as a whole.
    #[must_use]
    pub fn origin(&self, key: &str) -> &Origin {
        let mut keys = std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0));
        keys.find_map(|key| self.origins.get(key)).unwrap_or(&self.file)
    }
}

/// Takes out what cannot stand beside a component, and tells of it.
fn refuse_reserved(node: &mut Node, name: &str, mistakes: &mut Vec<Mistake>) {
    let Value::Table(table) = &mut node.value else { return };
    for &key in ELSEWHERE {
        let Some(entry) = table.0.remove(key) else { continue };
        let (message, remedy) = match NAMED.contains(&key) {
            true => ("said by the name of this file already", "remove it".to_owned()),
            false => (
                "cannot be said beside the component: it is for the configuration to say",
                format!(
                    "move all of this file to waft.toml, under [[plugin]] with name = {name:?}"
                ),
            ),
        };
        mistakes.push(Mistake::new(&entry.key, key, message, remedy));
    }
}

fn all(mistakes: Vec<Mistake>) -> Mistakes {
    Mistakes { mistakes, warnings: Warnings::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::OnError;

    fn read(text: &str) -> Result<PluginFile, Vec<String>> {
        let mut general = Plugins { on_error: OnError::Allow, ..Plugins::default() };
        general.limits.log_lines = 7;
        let read = PluginFile::read(Path::new("d/p.toml"), text.as_bytes(), &general);
        read.map_err(|wrong| wrong.mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_the_file_does_not_say_is_as_it_is_for_all_plugins() {
        let text = "priority = 3\n[limits]\nmemory = \"1MiB\"\n[config]\ndeny = [\"PORT\"]\n";
        let file = read(text).unwrap();
        assert_eq!((file.plugin.name.as_str(), file.plugin.priority), ("p", 3));
        assert_eq!((file.plugin.limits.memory, file.plugin.limits.log_lines), (1 << 20, 7));
        assert_eq!(file.plugin.on_error, OnError::Allow);
        let config = [("deny.0".to_owned(), "PORT".to_owned())];
        assert_eq!(file.plugin.config.flattened(), config);
        assert_eq!(file.origin("limits.memory").to_string(), "d/p.toml:3:10");
        assert_eq!(file.origin("sha256").to_string(), "d/p.toml");
        assert_eq!(read("").unwrap().plugin.name, "p");
    }

    #[test]
    fn what_a_plugin_may_reach_is_never_said_beside_it() {
        let text = "name = \"q\"\nrequired = true\nquarantine = \"/etc/cron.d\"\n\
                    [grant]\npasswords = true\n";
        let told = read(text).unwrap_err();
        let keys: Vec<_> = told.iter().map(|told| told.split(": ").nth(1).unwrap()).collect();
        assert_eq!(keys, ["name", "required", "quarantine", "grant"]);
        assert_eq!(
            told[3],
            "d/p.toml:4:2: grant: cannot be said beside the component: it is for the configuration \
             to say\n  remedy: move all of this file to waft.toml, under [[plugin]] with name = \"p\""
        );
        assert!(read("grant.kv = \"1MiB\"").is_err(), "in any spelling");
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_their_places() {
        let text = "prioriti = 1\n[limits]\nmemory = \"much\"\ninstances = { min = 3, max = 2 }\n\
                    [on_error_by_hook]\nauthenticator = \"allow\"\n";
        let told = read(text).unwrap_err();
        let begins = [
            "d/p.toml:1:1: prioriti: unknown key\n  remedy: did you mean priority?",
            "d/p.toml:3:10: limits.memory: not ",
            "d/p.toml:4:13: limits.instances: more are kept than there are at most: 3, 2",
            "d/p.toml:6:17: on_error_by_hook.authenticator: whoever it fails on would be let in",
        ];
        assert_eq!(told.len(), begins.len(), "{told:#?}");
        for (told, begin) in told.iter().zip(begins) {
            assert!(told.starts_with(begin), "{told}");
        }
        let told = read("nonsense = 1").unwrap_err();
        assert!(told[0].contains("the keys here are sha256, "), "{told:?}");
        for elsewhere in ELSEWHERE {
            assert!(!told[0].contains(&format!(" {elsewhere},")), "{elsewhere}: {told:?}");
        }
        let told = read("a = \n").unwrap_err();
        assert!(told[0].starts_with("d/p.toml:1:"), "{told:?}");
        let told = PluginFile::read(Path::new("p.toml"), b"\xff", &Plugins::default());
        assert_eq!(told.unwrap_err().mistakes[0].message, "not UTF-8");
    }
}
