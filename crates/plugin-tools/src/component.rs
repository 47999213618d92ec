//! From a core module to a component, and what a component asks for and offers.

use anyhow::{Context, Result, bail};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::{Resolve, WorldItem};

/// The version and layer field of a component, where a core module has `1, 0, 0, 0`.
const COMPONENT_LAYER: [u8; 4] = [0x0d, 0, 1, 0];

/// Turns a core module into a component; a component is returned as it is.
///
/// The world is found in the module, where the generated bindings left it.
///
/// # Errors
/// The module imports something that its world does not name, or does not export all of it.
pub fn encode(module: Vec<u8>) -> Result<Vec<u8>> {
    if module.get(4..8) == Some(&COMPONENT_LAYER) {
        return Ok(module);
    }
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .context("no world is embedded in the module")?
        .encode()
        .context("the module is not what its world says")
}

/// The interfaces on a component's two sides, by name.
#[derive(Debug, PartialEq, Eq)]
pub struct Interfaces {
    /// What it asks for.
    pub imports: Vec<String>,
    /// What it offers.
    pub exports: Vec<String>,
    /// The functions of what it asks for: the interface's name without package and version, and the
    /// function's, as in `sessions [method]session.user`.
    pub functions: Vec<String>,
}

impl Interfaces {
    /// Reads them from a component.
    ///
    /// # Errors
    /// The bytes are not a component.
    pub fn of(component: &[u8]) -> Result<Self> {
        let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
            bail!("a package of interfaces, not a component");
        };
        let world = resolve.worlds.get(world).context("the component has no world")?;
        Ok(Self {
            imports: world.imports.keys().map(|key| resolve.name_world_key(key)).collect(),
            exports: world.exports.keys().map(|key| resolve.name_world_key(key)).collect(),
            functions: world.imports.values().flat_map(|item| functions(&resolve, item)).collect(),
        })
    }

    /// What it imports that is not of the given packages: powers that no grant names.
    pub fn foreign(&self, packages: &[&str]) -> Vec<&str> {
        let of_none = |import: &&str| !packages.iter().any(|package| import.starts_with(package));
        self.imports.iter().map(String::as_str).filter(of_none).collect()
    }
}

fn functions(resolve: &Resolve, item: &WorldItem) -> Vec<String> {
    let WorldItem::Interface { id, .. } = item else { return Vec::new() };
    let Some(interface) = resolve.interfaces.get(*id) else { return Vec::new() };
    let name = interface.name.as_deref().unwrap_or_default();
    interface.functions.keys().map(|function| format!("{name} {function}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";
    const EMPTY_COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_component_is_one_already() {
        assert_eq!(encode(EMPTY_COMPONENT.to_vec()).unwrap(), EMPTY_COMPONENT);
        let interfaces = Interfaces::of(&EMPTY_COMPONENT).unwrap();
        assert!(interfaces.imports.is_empty());
        assert!(interfaces.exports.is_empty());
    }

    #[test]
    fn a_module_becomes_one() {
        let component = encode(EMPTY_MODULE.to_vec()).unwrap();
        assert_eq!(component.get(4..8), Some(&COMPONENT_LAYER[..]));
    }

    #[test]
    fn what_is_neither_is_refused() {
        assert!(encode(b"garbage, and more of it".to_vec()).is_err());
        assert!(Interfaces::of(b"garbage").is_err());
    }

    #[test]
    fn imports_of_other_packages_are_foreign() {
        let imports = ["waft:plugin/log@0.1.0", "wasi:cli/exit@0.2.6"].map(str::to_owned).to_vec();
        let interfaces = Interfaces { imports, exports: Vec::new(), functions: Vec::new() };
        assert_eq!(interfaces.foreign(&["waft:plugin/"]), ["wasi:cli/exit@0.2.6"]);
        assert!(interfaces.foreign(&["waft:plugin/", "wasi:"]).is_empty());
    }
}
