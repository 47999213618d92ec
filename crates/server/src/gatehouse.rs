//! Who is let in and who is asked to leave, from elsewhere than the sessions: banned addresses, and
//! sessions by number.

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
    sessions: Mutex<HashMap<SessionId, watch::Sender<Option<Arc<str>>>>>,
}

/// A session's place in the book; it is struck out when this is dropped.
pub(crate) struct Guest {
    house: Arc<Gatehouse>,
    id: SessionId,
    asked: watch::Receiver<Option<Arc<str>>>,
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
        let (ask, asked) = watch::channel(None);
        self.sessions().insert(id, ask);
        Guest { house: Arc::clone(self), id, asked }
    }

    fn bans(&self) -> MutexGuard<'_, BTreeMap<Network, Instant>> {
        // Each critical section leaves the maps whole.
        self.bans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, watch::Sender<Option<Arc<str>>>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control for Gatehouse {
    fn disconnect(&self, session: SessionId, message: &str) -> bool {
        let sessions = self.sessions();
        let Some(ask) = sessions.get(&session) else { return false };
        ask.send_replace(Some(message.into()));
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
    /// Whether somebody has asked the session to leave.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.borrow().is_some()
    }

    /// Waits until somebody asks the session to leave; tells what they said.
    pub(crate) async fn asked_to_leave(&mut self) -> Arc<str> {
        let said = match self.asked.wait_for(Option::is_some).await {
            Ok(said) => said.clone(),
            Err(_) => None,
        };
        match said {
            Some(message) => message,
            // The book holds the other end as long as this lives.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.house.sessions().remove(&self.id);
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
        assert_eq!(&*guest.asked_to_leave().await, "bye");
        drop(guest);
        assert!(!house.disconnect(SessionId(7), "bye"));
    }
}
