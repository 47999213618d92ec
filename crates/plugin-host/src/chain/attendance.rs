//! The sessions whose transfers go on with a generation: each notes itself where its processor notes
//! them, so that transfers do not wait for each other's notes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use waft_core::SessionId;
use waft_per_cpu::PerCpu;

/// The sessions.
#[derive(Clone, Default)]
pub(super) struct Attendance(Arc<PerCpu<Mutex<BTreeSet<SessionId>>>>);

/// A session whose transfer goes on with the generation, until this is dropped.
pub(super) struct Attended {
    session: SessionId,
    all: Attendance,
}

impl Attendance {
    /// Notes a session.
    pub(super) fn note(&self, session: SessionId) -> Attended {
        lock(self.0.here()).insert(session);
        Attended { session, all: self.clone() }
    }

    /// Those there are now.
    pub(super) fn sessions(&self) -> BTreeSet<SessionId> {
        self.0.iter().flat_map(|some| lock(some).clone()).collect()
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        // It is mostly where it was, and then so is the note.
        let _ = self.all.0.from_here().any(|some| lock(some).remove(&self.session));
    }
}

fn lock(some: &Mutex<BTreeSet<SessionId>>) -> MutexGuard<'_, BTreeSet<SessionId>> {
    some.lock().unwrap_or_else(PoisonError::into_inner)
}
