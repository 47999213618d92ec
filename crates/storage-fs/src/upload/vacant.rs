//! Names that were free a moment ago.
//!
//! Before the client is told to send, somebody looks whether its upload can succeed; when the data
//! connection stands, the upload begins. Looking up a name that is not there takes the directory's
//! lock, on many file systems each time: of 16 clients that fill one directory with small files,
//! each look costs an eighth of what an upload costs in all. So a name found free is not looked up
//! again for an instant. Who takes it meanwhile is met when the upload is published, as is whoever
//! takes it later.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use waft_core::VirtualPath;

/// How long it is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// Names at a time; those that were never uploaded to make room for others.
const NAMES_MAX: usize = 256;

/// Names that were free a moment ago, and when.
#[derive(Debug, Default)]
pub(crate) struct Vacant(Mutex<HashMap<VirtualPath, Instant>>);

impl Vacant {
    /// Notes that there is nothing of that name, nor a link.
    pub(super) fn note(&self, path: &VirtualPath) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX {
            names.retain(|_, seen| seen.elapsed() < BELIEVED);
        }
        if names.len() < NAMES_MAX {
            names.insert(path.clone(), Instant::now());
        }
    }

    /// Whether that was so a moment ago. Told once.
    pub(super) fn take(&self, path: &VirtualPath) -> bool {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(path).is_some_and(|seen| seen.elapsed() < BELIEVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_name_is_told_once_and_the_number_of_names_is_bounded() {
        let vacant = Vacant::default();
        let path = |n: usize| VirtualPath::root().join(n.to_string().as_bytes()).unwrap();
        (0..2 * NAMES_MAX).for_each(|n| vacant.note(&path(n)));
        assert!(vacant.take(&path(0)));
        assert!(!vacant.take(&path(0)));
        assert!(!vacant.take(&path(2 * NAMES_MAX - 1)));
        assert_eq!(vacant.0.lock().unwrap().len(), NAMES_MAX - 1);
    }
}
