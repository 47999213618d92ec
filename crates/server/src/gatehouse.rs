//! Who is let in and who is asked to leave, from elsewhere than the sessions: banned addresses, and
//! sessions by number, which hear here of the server's end, too. Each is told by a channel of its own:
//! one for all of them would have every command of every session wait at one lock.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use waft_core::SessionId;
use waft_core::control::{Control, Network};

/// Networks that may be banned at the same time.
const BANS_MAX: usize = 10_000;

/// Banned addresses, and sessions by number.
#[derive(Default)]
pub(crate) struct Gatehouse {
    /// Until when, by network.
    bans: Mutex<BTreeMap<Network, Instant>>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    stage: Stage,
    sessions: HashMap<SessionId, watch::Sender<Word>>,
}

/// How far the server is on its way to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It serves.
    #[default]
    Serving,
    /// It takes no new sessions; transfers finish, idle sessions end.
    Draining,
    /// Everything ends now.
    Stopping,
}

/// What a session is told.
#[derive(Clone, Default)]
struct Word {
    stage: Stage,
    /// What they said who asked it to leave.
    asked: Option<Arc<str>>,
}

/// Why a session is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The server ends.
    Shutdown,
    /// Somebody asked it to leave and said this.
    Asked(Arc<str>),
}

/// A session's place in the book; it is struck out when this is dropped.
pub(crate) struct Guest {
    house: Arc<Gatehouse>,
    id: SessionId,
    word: watch::Receiver<Word>,
}

impl Farewell {
    /// Why the session ends, for the log.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Farewell::Shutdown => "shutdown",
            Farewell::Asked(_) => "asked to leave",
        }
    }
}

impl Gatehouse {
    /// Whether connections from that address are refused.
    pub(crate) fn is_banned(&self, address: IpAddr) -> bool {
        let mut bans = self.bans();
        if bans.is_empty() {
            return false;
        }
        let now = Instant::now();
        bans.retain(|_, until| now < *until);
        bans.keys().any(|network| network.contains(address))
    }

    /// Enters a session in the book.
    pub(crate) fn enter(self: &Arc<Self>, id: SessionId) -> Guest {
        let mut book = self.book();
        let (sender, word) = watch::channel(Word { stage: book.stage, asked: None });
        book.sessions.insert(id, sender);
        Guest { house: Arc::clone(self), id, word }
    }

    /// Tells all sessions, those included that are yet to come.
    pub(crate) fn enter_stage(&self, stage: Stage) {
        let mut book = self.book();
        book.stage = stage;
        for session in book.sessions.values() {
            session.send_modify(|word| word.stage = stage);
        }
    }

    fn bans(&self) -> MutexGuard<'_, BTreeMap<Network, Instant>> {
        // Each critical section leaves the maps whole.
        self.bans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control for Gatehouse {
    fn disconnect(&self, session: SessionId, message: &str) -> bool {
        let book = self.book();
        let Some(session) = book.sessions.get(&session) else { return false };
        session.send_modify(|word| word.asked = Some(message.into()));
        true
    }

    fn ban(&self, network: Network, period: Duration) -> Result<(), String> {
        let now = Instant::now();
        let until = now.checked_add(period).ok_or("too long")?;
        let mut bans = self.bans();
        bans.retain(|_, until| now < *until);
        if bans.len() >= BANS_MAX && !bans.contains_key(&network) {
            return Err(format!("{BANS_MAX} networks are banned already"));
        }
        bans.insert(network, until);
        Ok(())
    }

    fn unban(&self, network: Network) {
        self.bans().remove(&network);
    }
}

impl Guest {
    /// Whether it is to end before another command.
    pub(crate) fn is_to_end(&self) -> bool {
        self.word.borrow().farewell(Stage::Draining).is_some()
    }

    /// Waits until the session is to end once nothing goes on in it.
    pub(crate) async fn dismissed(&mut self) -> Farewell {
        self.farewell(Stage::Draining).await
    }

    /// Waits until what goes on in the session is to end, too.
    pub(crate) async fn interrupted(&mut self) -> Farewell {
        self.farewell(Stage::Stopping).await
    }

    async fn farewell(&mut self, stage: Stage) -> Farewell {
        let word = self.word.wait_for(|word| word.farewell(stage).is_some()).await;
        match word.ok().and_then(|word| word.farewell(stage)) {
            Some(farewell) => farewell,
            // The book holds the other end as long as this lives.
            None => std::future::pending().await,
        }
    }
}

impl Word {
    /// Why it is to end with that stage, if it is.
    fn farewell(&self, stage: Stage) -> Option<Farewell> {
        if self.stage >= stage {
            return Some(Farewell::Shutdown);
        }
        self.asked.clone().map(Farewell::Asked)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.house.book().sessions.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bans_end() {
        let house = Gatehouse::default();
        let network: Network = "192.0.2.0/24".parse().unwrap();
        let [inside, outside] = ["192.0.2.7", "192.0.3.7"].map(|text| text.parse().unwrap());
        house.ban(network, Duration::from_secs(60)).unwrap();
        assert!(house.is_banned(inside) && !house.is_banned(outside));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(house.is_banned(inside));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!house.is_banned(inside) && house.bans().is_empty());
        house.ban(network, Duration::from_secs(60)).unwrap();
        house.unban(network);
        assert!(!house.is_banned(inside));
    }

    #[tokio::test]
    async fn a_session_is_asked_to_leave_as_long_as_it_is_there() {
        let house = Arc::<Gatehouse>::default();
        let mut guest = house.enter(SessionId(7));
        assert!(!house.disconnect(SessionId(8), "bye"));
        assert!(house.disconnect(SessionId(7), "bye"));
        assert_eq!(guest.dismissed().await, Farewell::Asked("bye".into()));
        drop(guest);
        assert!(!house.disconnect(SessionId(7), "bye"));
    }
}
