//! What is wrong with a configuration, where, and what to do about it.
//!
//! A reader of configuration files that stops at the first mistake makes its operator start it ten
//! times. Everything here is collected and handed over in one go, sorted by place.

use std::fmt;

use crate::place::Origin;

/// One mistake, or one warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it was written.
    pub origin: Origin,
    /// The dotted key (`timeouts.idle`, `user.0.root`); empty where no key is concerned.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl Mistake {
    pub(crate) fn new(
        origin: &Origin,
        key: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            origin: origin.clone(),
            key: key.into(),
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}\n  remedy: {}", self.message, self.remedy)
    }
}

/// What is wrong with a configuration: at least one mistake, and the warnings found beside them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes {
    /// The mistakes, sorted by place.
    pub mistakes: Vec<Mistake>,
    /// What would have been warned of, had there been no mistake.
    pub warnings: Warnings,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_all(f, &self.mistakes)
    }
}

/// What an operator should know about a configuration that is valid, sorted by place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings(pub Vec<Mistake>);

impl fmt::Display for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_all(f, &self.0)
    }
}

fn write_all(f: &mut fmt::Formatter<'_>, list: &[Mistake]) -> fmt::Result {
    for (index, mistake) in list.iter().enumerate() {
        let separator = if index == 0 { "" } else { "\n" };
        write!(f, "{separator}{mistake}")?;
    }
    Ok(())
}
