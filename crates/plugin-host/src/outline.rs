//! What a component's bytes say before anything is compiled: its imports, exports and versions.
//!
//! Versions are looked at first, and every interface of waft's package that cannot be bound is
//! a reason to refuse: a hook that nobody calls would be a rule that nobody enforces.

use waft_proto::command::printable;
use wasmtime::wasmparser::{
    BinaryReaderError, ComponentExternalKind, Encoding, KnownCustom, Parser, Payload,
    ProducersSectionReader,
};

use crate::errors::{Refusal, one_line};
use crate::hook::{Hook, TABLE};
use crate::inspect::Producer;
use crate::service::{self, Grant, Service};
use crate::settings::{Grants, Listed, PluginSettings};

/// The version of `waft:plugin` that this host serves; guests of any `0.1.x` run.
pub(crate) const WIT_VERSION: &str = "0.1.1";

/// The package of waft's interfaces.
const PACKAGE: &str = "waft:plugin";

/// An imported or exported interface, its name taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// As it stands in the component, for example `waft:plugin/log@0.1.0`.
    pub(crate) full: String,
    /// The interface's own name, if it is one of waft's package.
    name: Option<String>,
    /// The package's version, if it is given.
    version: Option<String>,
}

impl Interface {
    fn parse(full: &str) -> Interface {
        // Names are validated when the component is compiled, and shown before that.
        let full = printable(full.as_bytes());
        let (path, version) = match full.split_once('@') {
            Some((path, version)) => (path, Some(version.to_owned())),
            None => (&*full, None),
        };
        let name = path.split_once('/').filter(|(package, _)| *package == PACKAGE);
        let name = name.map(|(_, name)| name.to_owned());
        Interface { name, version, full: full.into_owned() }
    }

    /// The name of the interface, if it belongs to waft's package.
    pub(crate) fn ours(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn hook(&self) -> Option<Hook> {
        Hook::from_name(self.ours()?)
    }

    /// Whether this host calls it.
    pub(crate) fn is_served_hook(&self) -> bool {
        self.has_right_version() && self.hook().is_some()
    }

    /// What this host has under that name for guests, if anything.
    pub(crate) fn service(&self) -> Option<&'static Service> {
        let path = self.full.split('@').next().unwrap_or_default();
        service::find(path, self.version.as_deref())
    }

    /// Whether this host has it for guests.
    pub(crate) fn is_served_capability(&self) -> bool {
        self.service().is_some()
    }

    fn has_right_version(&self) -> bool {
        self.version.as_deref().is_some_and(is_compatible)
    }
}

/// `0.1` and any patch of it.
fn is_compatible(version: &str) -> bool {
    let mut parts = version.split('.');
    parts.next() == Some("0") && parts.next() == Some("1") && parts.next().is_some()
}

/// What a component's bytes say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) imports: Vec<Interface>,
    pub(crate) exports: Vec<Interface>,
    /// What made it and the core modules in it.
    pub(crate) producers: Vec<Producer>,
}

impl Outline {
    /// Reads the outermost component of `bytes`; everything in it is validated later.
    ///
    /// # Errors
    /// `bytes` are no component.
    pub(crate) fn read(bytes: &[u8]) -> Result<Outline, Refusal> {
        // The first line says what is wrong; what follows it are octets for whoever writes parsers.
        let broken = |error: BinaryReaderError| {
            let what = error.message().split(" - ").next().unwrap_or_default();
            Refusal::NotWasm(format!("{} (at offset {:#x})", one_line(what), error.offset()))
        };
        let mut outline = Outline::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(broken)?;
            match payload {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(Refusal::CoreModule);
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) => {
                    if let KnownCustom::Producers(producers) = section.as_known() {
                        outline.note_producers(producers).map_err(broken)?;
                    }
                }
                _ if depth == 0 => outline.note(payload).map_err(broken)?,
                _ => {}
            }
        }
        Ok(outline)
    }

    fn note(&mut self, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    self.imports.push(Interface::parse(import?.name.name));
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Instance {
                        self.exports.push(Interface::parse(export.name.name));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note_producers(
        &mut self,
        section: ProducersSectionReader<'_>,
    ) -> Result<(), BinaryReaderError> {
        for field in section {
            let field = field?;
            for value in field.values {
                let value = value?;
                let [field, name, version] = [field.name, value.name, value.version]
                    .map(|text| printable(text.as_bytes()).into_owned());
                let producer = Producer { field, name, version };
                if !self.producers.contains(&producer) {
                    self.producers.push(producer);
                }
            }
        }
        Ok(())
    }

    /// Whether it exports that hook.
    pub(crate) fn exports_hook(&self, hook: Hook) -> bool {
        self.exports.iter().any(|export| export.hook() == Some(hook))
    }

    /// The hooks that it exports.
    pub(crate) fn hooks(&self) -> Vec<&'static str> {
        let all = TABLE.iter().filter(|row| row.hook != Hook::Lifecycle);
        all.filter(|row| self.exports_hook(row.hook)).map(|row| row.name).collect()
    }

    /// The version of waft's package that it is built for, if it names one.
    pub(crate) fn wit_version(&self) -> Option<&str> {
        let ours = self.exports.iter().chain(&self.imports).filter(|known| known.ours().is_some());
        ours.filter_map(|known| known.version.as_deref()).next()
    }

    /// The imports that take a grant, with it.
    pub(crate) fn wants(&self) -> impl Iterator<Item = (&str, Grant)> {
        self.imports.iter().filter_map(|import| Some((&*import.full, import.service()?.grant?)))
    }

    /// What keeps a plugin of these settings from being started: what it imports and is not
    /// granted, hooks that nobody asked for.
    pub(crate) fn unwanted(&self, settings: &PluginSettings) -> Option<Refusal> {
        let plugin = || settings.name.clone();
        let missing = self.wants().filter(|(_, grant)| !settings.grants.has(*grant));
        let (imports, mut grants): (Vec<String>, Vec<Grant>) =
            missing.map(|(import, grant)| (import.to_owned(), grant)).unzip();
        if !imports.is_empty() {
            grants.sort();
            grants.dedup();
            let listed = settings.listed;
            return Some(Refusal::NotGranted { plugin: plugin(), imports, grants, listed });
        }
        let trusted = [Hook::Authenticator, Hook::Storage];
        let hook = trusted.into_iter().find(|&hook| self.exports_hook(hook))?;
        let refused = settings.listed == Listed::HooksOnly;
        refused.then(|| Refusal::Unlisted { plugin: plugin(), hook: hook.name() })
    }

    /// The grants of these settings that nothing it imports takes, and no hook of it.
    pub(crate) fn idle_grants(&self, grants: &Grants) -> Vec<Grant> {
        let is_used = |grant: &Grant| match grant {
            Grant::Kv | Grant::Http | Grant::Control => {
                self.wants().any(|(_, wanted)| wanted == *grant)
            }
            Grant::Passwords | Grant::Storage => self.exports_hook(Hook::Authenticator),
            Grant::DurableEvents => self.exports_hook(Hook::EventSink),
            // Whatever reads settings can read them.
            Grant::Secrets => true,
        };
        let idle = |grant: &Grant| !grants.made_up && grants.has(*grant) && !is_used(grant);
        Grant::ALL.into_iter().filter(idle).collect()
    }

    /// Everything that keeps this host from running it, versions first.
    pub(crate) fn problems(&self) -> Vec<Refusal> {
        if let Some(problem) = self.version_problem() {
            return vec![problem];
        }
        let mut problems = Vec::new();
        if !self.exports_hook(Hook::Lifecycle) {
            problems.push(Refusal::NoLifecycle);
        }
        let ours = self.exports.iter().filter(|export| export.ours().is_some());
        let no_hooks = ours.filter(|export| export.hook().is_none());
        problems.extend(no_hooks.map(|export| Refusal::UnknownHook(export.full.clone())));
        let unknown = self.imports.iter().filter(|import| !import.is_served_capability());
        problems.extend(unknown.map(|import| Refusal::ImportNotServed(import.full.clone())));
        problems
    }

    fn version_problem(&self) -> Option<Refusal> {
        let mut all = self.exports.iter().chain(&self.imports);
        let wrong = all.find(|known| known.ours().is_some() && !known.has_right_version())?;
        let found = wrong.version.clone().unwrap_or_else(|| "without a version".to_owned());
        Some(Refusal::Version { found, served: WIT_VERSION })
    }
}

/// The section of a core module that tells which line of its source an instruction comes from (DWARF).
const LINES: &str = ".debug_line";

/// Whether a component tells that. Only then is there a use for where in a function an instance broke,
/// which its core dump tells.
pub(crate) fn has_lines(bytes: &[u8]) -> bool {
    let mut payloads = Parser::new(0).parse_all(bytes).map_while(Result::ok);
    payloads.any(
        |payload| matches!(payload, Payload::CustomSection(section) if section.name() == LINES),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(exports: &[&str], imports: &[&str]) -> Outline {
        let parse = |names: &[&str]| names.iter().map(|name| Interface::parse(name)).collect();
        Outline { exports: parse(exports), imports: parse(imports), producers: Vec::new() }
    }

    #[test]
    fn any_patch_of_the_version_served_is_taken() {
        for version in ["0.1.0", "0.1.7"] {
            let export = format!("waft:plugin/lifecycle@{version}");
            assert_eq!(outline(&[&export], &[]).problems(), []);
        }
    }

    #[test]
    fn another_version_is_the_only_thing_said_about_a_component() {
        for found in ["0.2.0", "1.1.0", "0.1"] {
            let export = format!("waft:plugin/lifecycle@{found}");
            let wanted = Refusal::Version { found: found.to_owned(), served: WIT_VERSION };
            assert_eq!(outline(&[&export], &["waft:plugin/kv@0.2.0"]).problems(), [wanted]);
        }
        let problems = outline(&["waft:plugin/lifecycle"], &[]).problems();
        assert!(matches!(problems.as_slice(), [Refusal::Version { .. }]), "{problems:?}");
    }

    #[test]
    fn what_cannot_be_bound_is_refused_and_foreign_exports_are_passed_over() {
        let outline = outline(
            &["waft:plugin/nonsense@0.1.0", "exports"],
            &["waft:plugin/log@0.1.3", "waft:plugin/kv@0.1.0", "wasi:nn/graph@0.2.0"],
        );
        assert_eq!(
            outline.problems(),
            [
                Refusal::NoLifecycle,
                Refusal::UnknownHook("waft:plugin/nonsense@0.1.0".to_owned()),
                Refusal::ImportNotServed("wasi:nn/graph@0.2.0".to_owned()),
            ]
        );
    }

    #[test]
    fn bytes_that_are_no_component_are_told_apart() {
        assert!(matches!(Outline::read(b"garbage"), Err(Refusal::NotWasm(_))));
        assert!(matches!(Outline::read(b""), Err(Refusal::NotWasm(_))));
        let module = wat::parse_str("(module)").unwrap();
        assert_eq!(Outline::read(&module), Err(Refusal::CoreModule));
        let component = wat::parse_str("(component (import \"wasi:a/b\" (instance)))").unwrap();
        assert_eq!(Outline::read(&component).unwrap().imports.len(), 1);
        assert!(Outline::read(&component[..component.len() - 3]).is_err());
    }
}
