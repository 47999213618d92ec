//! Instances that belong to sessions: each from its session's first call to the session's end.
//!
//! A session tells its end by dropping a token that it keeps, one for each version of a plugin that
//! it has a place of: with a version on trial or in exchange, one session may use two. Whoever waits
//! for the place of another session gets it then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use waft_core::session::Token;
use waft_core::{SessionFacts, SessionId};

use crate::guest::Warm;

/// The sessions that have an instance of a plugin.
pub(crate) struct Sessions {
    places: Mutex<BTreeMap<SessionId, Arc<Place>>>,
    /// Places of this plugin that are left.
    own: Arc<Semaphore>,
    /// Those of all plugins.
    all: Arc<Semaphore>,
}

/// What one session has of a plugin.
pub(crate) struct Place {
    /// The instance between two calls; none before the first, and behind one that failed or took
    /// memory that there is no room for.
    rested: Mutex<Option<Box<Warm>>>,
    /// One call at a time.
    pub(crate) turn: Arc<Semaphore>,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Sessions {
    /// None yet, and `max` at most; `all` are the places of all plugins.
    pub(crate) fn new(max: usize, all: Arc<Semaphore>) -> Arc<Sessions> {
        let own = Arc::new(Semaphore::new(max.max(1)));
        Arc::new(Sessions { places: Mutex::default(), own, all })
    }

    /// The place of that session, as soon as there is one for it. `None` where there never will be.
    pub(crate) async fn place(self: &Arc<Self>, session: &SessionFacts) -> Option<Arc<Place>> {
        let known = self.places().get(&session.id).cloned();
        if known.is_some() {
            return known;
        }
        let own = Arc::clone(&self.own).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        let place = Arc::new(Place {
            rested: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            _permits: [own, all],
        });
        let mut places = self.places();
        // Two calls of one session may have waited.
        if let Some(known) = places.get(&session.id) {
            return Some(Arc::clone(known));
        }
        places.insert(session.id, Arc::clone(&place));
        drop(places);
        let end = End { sessions: Arc::downgrade(self), session: session.id };
        session.scratch.keep(Box::new(end));
        Some(place)
    }

    /// How many instances wait for a call.
    pub(crate) fn resting(&self) -> usize {
        self.places().values().filter(|place| place.rested().is_some()).count()
    }

    /// Takes those that wait for a call.
    #[expect(clippy::vec_box, reason = "as they rest there")]
    pub(crate) fn clear(&self) -> Vec<Box<Warm>> {
        self.places().values().filter_map(|place| place.take()).collect()
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<SessionId, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Takes the session's instance, if it has one.
    pub(crate) fn take(&self) -> Option<Box<Warm>> {
        self.rested().take()
    }

    /// Puts it back.
    pub(crate) fn put_back(&self, warm: Box<Warm>) {
        *self.rested() = Some(warm);
    }

    fn rested(&self) -> MutexGuard<'_, Option<Box<Warm>>> {
        self.rested.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kept by a session: dropped, its instance is gone.
#[derive(Debug)]
struct End {
    sessions: Weak<Sessions>,
    session: SessionId,
}

impl Token for End {
    /// The version is gone, and what sessions had of it.
    fn is_spent(&self) -> bool {
        self.sessions.strong_count() == 0
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let Some(sessions) = self.sessions.upgrade() else { return };
        let gone = sessions.places().remove(&self.session);
        // Unmapping takes its time: not under the lock.
        drop(gone);
    }
}
