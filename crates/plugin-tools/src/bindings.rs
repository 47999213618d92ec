//! C's view of a plugin's world.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wit_bindgen_c::{Enabled, Opts};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

use crate::build::WORLD;

/// Writes the bindings into a directory: a header, its source, and an object file that holds the
/// world. Returns what is to be linked.
///
/// Sessions are lent for one call, and C forgets to give them back, which ends the instance: the
/// bindings do it.
pub(crate) fn write(interface: &Path, directory: &Path) -> Result<Vec<PathBuf>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_path(interface)
        .with_context(|| format!("cannot read the interface: {}", interface.display()))?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    let mut files = Files::default();
    let options = Opts { autodrop_borrows: Enabled::Yes, ..Opts::default() };
    options.build().generate(&mut resolve, world, &mut files)?;
    let mut linked = Vec::new();
    for (name, bytes) in files.iter() {
        let file = directory.join(name);
        fs::write(&file, bytes).with_context(|| file.display().to_string())?;
        if !name.ends_with(".h") {
            linked.push(file);
        }
    }
    Ok(linked)
}
