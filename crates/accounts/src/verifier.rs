//! Where passwords are worked on: a bounded number at a time, off the reactor.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use waft_core::BoxFuture;
use waft_core::auth::{PasswordVerifier, Secret, VerifyError};

use crate::hash::StoredHash;
use crate::memory::Memory;

/// How a [`Verifier`] works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifierOptions {
    /// Passwords worked on at a time; each takes a core, and Argon2id 19 MiB, for some 20 ms.
    pub parallel: NonZeroUsize,
    /// Logins that may wait for that; further ones fail at once (451).
    pub waiting_max: usize,
    /// How long a right password is remembered; zero for not at all. A stored hash that changes
    /// ends it at once, and so does disabling the account.
    pub remember: Duration,
    /// Right passwords remembered at a time, about 100 octets each.
    pub remembered_max: usize,
}

/// As many at a time as there are cores, 256 waiting, 5 minutes, 10,000 passwords.
impl Default for VerifierOptions {
    fn default() -> VerifierOptions {
        VerifierOptions {
            parallel: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            waiting_max: 256,
            remember: Duration::from_secs(300),
            remembered_max: 10_000,
        }
    }
}

/// Verifies passwords. Made once, and shared by one configuration's accounts after the other's.
///
/// The threads that work are those of the runtime that it was made in, whichever runtime somebody logs in
/// in: as many as work at a time, and not some for each of a server's many runtimes.
#[derive(Debug)]
pub struct Verifier {
    memory: Memory,
    threads: Handle,
    working: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// A place among those who work.
struct Place {
    _working: OwnedSemaphorePermit,
    _admitted: OwnedSemaphorePermit,
}

/// More logins wait for their password to be verified than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many logins at once")]
pub(crate) struct Overloaded;

impl Verifier {
    /// A verifier that remembers nothing yet.
    ///
    /// # Errors
    /// The system gives no random numbers, or there is no runtime around.
    pub fn new(options: VerifierOptions) -> std::io::Result<Verifier> {
        let parallel = options.parallel.get().min(Semaphore::MAX_PERMITS / 2);
        let waiting = options.waiting_max.min(Semaphore::MAX_PERMITS / 2);
        Ok(Verifier {
            memory: Memory::new(options.remember, options.remembered_max)
                .map_err(std::io::Error::other)?,
            threads: Handle::try_current().map_err(std::io::Error::other)?,
            working: Arc::new(Semaphore::new(parallel)),
            admitted: Arc::new(Semaphore::new(parallel + waiting)),
        })
    }

    /// Whether `password` is the one stored for `name`, by memory or by work.
    pub(crate) async fn verify(
        &self,
        name: &str,
        stored: &Arc<StoredHash>,
        password: &Secret,
    ) -> Result<bool, Overloaded> {
        let code = self.memory.code(name, stored.text(), password.expose());
        let is_known = || code.as_ref().is_some_and(|code| self.memory.knows(code));
        if is_known() {
            return Ok(true);
        }
        let place = self.place().await?;
        // Of many that come at once, as the connections of one client do, the first did the work.
        if is_known() {
            return Ok(true);
        }
        let right = place.work(&self.threads, stored, password).await?;
        if let (true, Some(code)) = (right, code) {
            self.memory.note(code);
        }
        Ok(right)
    }

    /// Whether `password` is the stored one, by work in any case.
    pub(crate) async fn work(
        &self,
        stored: &Arc<StoredHash>,
        password: &Secret,
    ) -> Result<bool, Overloaded> {
        self.place().await?.work(&self.threads, stored, password).await
    }

    /// Waits for a place to work, in order of arrival. Whoever vanishes while waiting gives it up.
    async fn place(&self) -> Result<Place, Overloaded> {
        let admitted = match Arc::clone(&self.admitted).try_acquire_owned() {
            Ok(permit) => permit,
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => return Err(Overloaded),
        };
        let working = Arc::clone(&self.working).acquire_owned().await.map_err(|_| Overloaded)?;
        Ok(Place { _working: working, _admitted: admitted })
    }
}

impl Place {
    async fn work(
        self,
        threads: &Handle,
        stored: &Arc<StoredHash>,
        password: &Secret,
    ) -> Result<bool, Overloaded> {
        let (stored, password) = (Arc::clone(stored), password.clone());
        let work = move || {
            let right = stored.verify(password.expose());
            // Not before: the work goes on even if nobody waits for it any more.
            drop(self);
            right
        };
        // The runtime shutting down is no answer to the client.
        threads.spawn_blocking(work).await.map_err(|_| Overloaded)
    }
}

/// For those who keep stored passwords of their own: nothing is remembered.
impl PasswordVerifier for Verifier {
    fn verify<'a>(
        &'a self,
        hash: &'a str,
        password: &'a Secret,
    ) -> BoxFuture<'a, Result<bool, VerifyError>> {
        Box::pin(async move {
            let stored = StoredHash::parse(hash);
            let stored = stored.map_err(|error| VerifyError::BadHash(error.to_string()))?;
            let right = self.work(&Arc::new(stored), password).await;
            right.map_err(|Overloaded| VerifyError::Overloaded)
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    /// "pässword", for next to nothing.
    const QUICK: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                         OdFYA7BxGSdTRBBwiJ5KZBUWydkzbjB1JVmWwfypW80";

    #[test]
    fn the_runtime_that_made_it_works_whoever_asks() {
        let runtime = || Builder::new_current_thread().build().unwrap();
        let (made_in, asked_in): (Runtime, Runtime) = (runtime(), runtime());
        let verifier =
            made_in.block_on(async { Verifier::new(VerifierOptions::default()).unwrap() });
        let stored = Arc::new(StoredHash::parse(QUICK).unwrap());
        let ask = || {
            asked_in.block_on(verifier.work(&stored, &Secret::new("pässword".as_bytes().to_vec())))
        };
        assert_eq!(ask(), Ok(true));
        made_in.shutdown_background();
        assert_eq!(ask(), Err(Overloaded));
    }

    #[test]
    fn without_a_runtime_there_is_nobody_to_work() {
        assert!(Verifier::new(VerifierOptions::default()).is_err());
    }
}
