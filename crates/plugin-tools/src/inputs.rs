//! Whether a component is still what its sources say.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A number that changes when any source in a plugin's directory does, or what else the component
/// is made of. Links are followed: the interface may be one.
///
/// # Errors
/// A file cannot be read.
pub fn digest(directory: &Path, others: &[&str]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    others.hash(&mut hasher);
    let mut files = Vec::new();
    collect(directory, &mut files)?;
    files.sort();
    for file in files {
        let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
        file.strip_prefix(directory).unwrap_or(&file).hash(&mut hasher);
        bytes.hash(&mut hasher);
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_made = name.starts_with('.') || matches!(&*name, "build" | "target" | "__pycache__");
        if is_made {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
