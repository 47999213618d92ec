//! A directory with the names that mounts make in it.

use waft_core::BoxFuture;
use waft_core::storage::{Batch, Directory, Result};

use crate::MADE;

/// A directory in which, or beneath which, something is mounted.
pub(crate) struct WithMounts {
    /// The entries that the storage itself has; gone at their end.
    own: Option<Box<dyn Directory>>,
    made: Vec<Vec<u8>>,
    /// Entries on their way, so that no batch needs memory of its own.
    batch: Batch,
    told: bool,
}

impl WithMounts {
    /// The entries of `own` without those that have one of the names in `made`, and these.
    pub(crate) fn new(own: Option<Box<dyn Directory>>, made: Vec<Vec<u8>>) -> WithMounts {
        WithMounts { own, made, batch: Batch::default(), told: false }
    }
}

impl Directory for WithMounts {
    fn read<'a>(&'a mut self, batch: &'a mut Batch) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            batch.clear();
            if !std::mem::replace(&mut self.told, true) {
                self.made.iter().for_each(|name| batch.push(name, MADE));
                return Ok(());
            }
            while let Some(own) = &mut self.own {
                own.read(&mut self.batch).await?;
                if self.batch.is_empty() {
                    self.own = None;
                    break;
                }
                for (name, metadata) in self.batch.iter() {
                    if !self.made.iter().any(|made| made == name) {
                        batch.push(name, *metadata);
                    }
                }
                if !batch.is_empty() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn spare_created(&mut self) {
        if let Some(own) = &mut self.own {
            own.spare_created();
        }
    }
}
