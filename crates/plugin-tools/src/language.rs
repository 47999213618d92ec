//! The languages that plugins are written in.

use std::path::Path;

use anyhow::{Result, bail};

/// A language that plugins are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Rust, with the crate `waft-plugin-sdk`.
    Rust,
    /// C, with the bindings that `wit-bindgen` generates.
    C,
    /// JavaScript, run by the engine that `componentize-js` puts into the component.
    JavaScript,
    /// Python, run by the interpreter that `componentize-py` puts into the component.
    Python,
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 4] = [Self::Rust, Self::C, Self::JavaScript, Self::Python];

    /// The name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::JavaScript => "javascript",
            Self::Python => "python",
        }
    }

    /// The file by which a plugin in this language is known.
    pub fn source(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::C => "plugin.c",
            Self::JavaScript => "plugin.js",
            Self::Python => "plugin.py",
        }
    }

    /// The language of the plugin in a directory.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn of(directory: &Path) -> Result<Self> {
        let has = |language: &Self| directory.join(language.source()).is_file();
        let found: Vec<_> = Self::ALL.into_iter().filter(has).collect();
        match found.as_slice() {
            [language] => Ok(*language),
            [] => {
                let names = Self::ALL.map(Self::source).join(", ");
                bail!("no plugin in {}: none of {names}", directory.display())
            }
            [one, other, ..] => bail!(
                "two plugins in {}: {} and {}",
                directory.display(),
                one.source(),
                other.source()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_a_plugin_is_refused() {
        let error = Language::of(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.contains("plugin.py"), "{error}");
    }
}
