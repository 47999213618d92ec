//! How sessions move: from a thread for work to the one for those that rest, and back.
//!
//! A session asks for it between two commands, when nothing of it is under way but itself; whoever
//! runs it then hands it, as it is, to the other thread's runtime, where it goes on and takes its
//! connection along. Who runs sessions otherwise, as tests over memory do, gives them a [`Berth`] that
//! never moves.
//!
//! On the thread for rest a session only answers what keeps it alive and costs next to nothing, with
//! what plugins say about it unless they were slow lately: one that would do more there kept all
//! others waiting. A plugin that nobody has asked yet may be, once, and lets others go on at every tick.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Presence, Workers};

/// What a session does on the thread that it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stay {
    /// It runs commands.
    Work,
    /// It waits for one.
    Rest,
}

/// Where a session is and where it wants to be: known to the session and to whoever runs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Berth(Option<Arc<Moves>>);

#[derive(Debug)]
struct Moves {
    /// A [`Stay`], or [`ASKED`] and the one that it wants.
    stay: AtomicU8,
    rest_after: Duration,
}

/// The bit that asks for a move.
const ASKED: u8 = 0b10;

/// A session that is run, and moved when it asks for it.
pub(crate) struct Ride {
    session: Option<Session>,
    berth: Berth,
    workers: Weak<Workers>,
}

type Session = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Berth {
    /// At work, and to rest after such a time without a command.
    pub(super) fn at_work(rest_after: Duration) -> Berth {
        Berth(Some(Arc::new(Moves { stay: AtomicU8::new(Stay::Work as u8), rest_after })))
    }

    /// How long to wait for a command before going to rest; none if it rests or never does.
    pub(crate) fn rest_after(&self) -> Option<Duration> {
        self.0.as_ref().filter(|moves| moves.is(Stay::Work)).map(|moves| moves.rest_after)
    }

    /// Whether the session rests.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.0.as_ref().is_some_and(|moves| moves.is(Stay::Rest))
    }

    /// Asks for a move, and goes on when it has been made, or cannot be made.
    pub(crate) async fn go(&self, stay: Stay) {
        let Some(moves) = &self.0 else { return };
        moves.stay.store(ASKED | stay as u8, Ordering::Relaxed);
        let mut is_told = false;
        // Whoever runs the session looks as soon as it waits; nobody has to wake it.
        poll_fn(|_| match std::mem::replace(&mut is_told, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// The move that was asked for.
    fn asked(&self) -> Option<Stay> {
        let stay = self.0.as_ref()?.stay.load(Ordering::Relaxed);
        match stay {
            _ if stay & ASKED == 0 => None,
            _ if stay & Stay::Rest as u8 == 0 => Some(Stay::Work),
            _ => Some(Stay::Rest),
        }
    }

    fn settle(&self, stay: Stay) {
        if let Some(moves) = &self.0 {
            moves.stay.store(stay as u8, Ordering::Relaxed);
        }
    }
}

impl Moves {
    fn is(&self, stay: Stay) -> bool {
        self.stay.load(Ordering::Relaxed) == stay as u8
    }
}

impl Ride {
    /// Runs a session until it ends, here and wherever it asks to be moved to.
    pub(crate) fn new(
        session: impl Future<Output = ()> + Send + 'static,
        berth: Berth,
        workers: Weak<Workers>,
    ) -> Ride {
        Ride { session: Some(Box::pin(session)), berth, workers }
    }

    /// Hands the session on; fails where there is no other place, which the session need not know.
    fn hand_on(&mut self, stay: Stay) -> Option<()> {
        let seat = self.workers.upgrade()?.seat_at(stay)?;
        self.berth.settle(stay);
        let session = self.session.take();
        let ride = Ride { session, berth: self.berth.clone(), workers: self.workers.clone() };
        let runtime = seat.runtime.clone();
        runtime.spawn(async move {
            // On the thread for rest nobody is alone for long.
            let _presence = (stay == Stay::Work).then(|| Presence::of(&seat));
            ride.await;
            drop(seat);
        });
        Some(())
    }
}

impl Future for Ride {
    type Output = ();

    /// Ready when the session has ended, or has gone elsewhere.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(session) = &mut self.session else { return Poll::Ready(()) };
            if session.as_mut().poll(context).is_ready() {
                self.session = None;
                return Poll::Ready(());
            }
            let Some(stay) = self.berth.asked() else { return Poll::Pending };
            if self.hand_on(stay).is_some() {
                return Poll::Ready(());
            }
            let stayed = if stay == Stay::Rest { Stay::Work } else { Stay::Rest };
            self.berth.settle(stayed);
        }
    }
}

impl fmt::Debug for Ride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ride").field("berth", &self.berth).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::thread;

    use tokio::runtime::Handle;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_session_moves_when_it_asks_and_keeps_what_it_is() {
        let workers = Arc::new(Workers::start(NonZeroUsize::new(2).unwrap()).unwrap());
        let berth = workers.berth();
        let known = berth.clone();
        let (told, heard) = oneshot::channel();
        let session = async move {
            let here = || (Handle::current().id(), thread::current().id());
            let mut places = vec![here()];
            for stay in [Stay::Rest, Stay::Work, Stay::Rest] {
                known.go(stay).await;
                assert_eq!(known.is_at_rest(), stay == Stay::Rest);
                assert_eq!(known.rest_after().is_some(), stay == Stay::Work);
                places.push(here());
            }
            told.send(places).unwrap();
        };
        Ride::new(session, berth, Arc::downgrade(&workers)).await;
        let places = heard.await.unwrap();
        assert!(places[0] != places[1] && places[1] != places[2]);
        assert_eq!(places[1], places[3]);
        assert_ne!(places[0], places[2], "the test's own thread is none for work");
    }

    #[tokio::test]
    async fn a_session_stays_where_there_is_no_other_place() {
        for berth in [Berth::default(), Berth::at_work(Duration::from_secs(1))] {
            let known = berth.clone();
            let session = async move {
                known.go(Stay::Rest).await;
                assert!(!known.is_at_rest());
            };
            Ride::new(session, berth, Weak::new()).await;
        }
    }
}
