//! Where the configuration of this run comes from, so that it can be read again.

use std::path::PathBuf;

use waft_config::{Config, Mistakes, QuickStart, Warnings};

use crate::assemble;

/// Where the configuration comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A file, or the first of the usual ones.
    File(Option<PathBuf>),
    /// The command line.
    Quick(QuickStart),
}

impl Source {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// All mistakes that can be found without acting on it.
    pub(crate) fn load(&self) -> Result<(Config, Warnings), Mistakes> {
        let (config, mut warnings) = match self {
            Self::File(path) => Config::load(path.as_deref())?,
            Self::Quick(start) => Config::quick(start)?,
        };
        warnings.0.append(&mut assemble::certificate_warnings(&config));
        Ok((config, warnings))
    }

    /// Says where that is, for the log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(Some(path)) => path.display().to_string(),
            Self::File(None) => "the usual place".to_owned(),
            Self::Quick(_) => "the command line".to_owned(),
        }
    }
}
