//! What was verified a short while ago.
//!
//! Devices that log in for every file would spend a core on Argon2. So a right password is
//! remembered for some minutes, as a code (HMAC-SHA-256) of name, stored hash and password under a
//! key that this process made for itself: the table tells nobody a password or a name, and a
//! changed stored hash makes the memory of the old one worthless.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::time::Instant;

/// A code for one name, stored hash and password.
pub(crate) type Code = [u8; 32];

/// What was right, and until when that is taken for granted.
#[derive(Debug)]
pub(crate) struct Memory {
    keyed: Hmac<Sha256>,
    keep: Duration,
    entries_max: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    until: HashMap<Code, Instant>,
    /// Oldest first; since all are kept equally long, that is also the order of the ends.
    order: VecDeque<Code>,
}

impl Memory {
    /// A memory that keeps for `keep` (zero: not at all) at most `entries_max` codes.
    ///
    /// # Errors
    /// The system gives no random numbers for the key.
    pub(crate) fn new(keep: Duration, entries_max: usize) -> Result<Memory, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        // HMAC takes keys of any length.
        let keyed = Hmac::new_from_slice(&key).map_err(|_| getrandom::Error::UNEXPECTED)?;
        Ok(Memory { keyed, keep, entries_max, table: Mutex::default() })
    }

    /// The code for a name, a stored hash and a password; none if nothing is remembered.
    pub(crate) fn code(&self, name: &str, stored: &str, password: &[u8]) -> Option<Code> {
        if self.keep.is_zero() || self.entries_max == 0 {
            return None;
        }
        let mut mac = self.keyed.clone();
        for part in [name.as_bytes(), stored.as_bytes(), password] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().into())
    }

    /// Whether that was found right a short while ago.
    pub(crate) fn knows(&self, code: &Code) -> bool {
        // Looked up by a keyed code that nobody outside can compute: the time tells nothing.
        self.lock().until.get(code).is_some_and(|until| Instant::now() < *until)
    }

    /// Notes that this was found right just now.
    pub(crate) fn note(&self, code: Code) {
        let now = Instant::now();
        let mut table = self.lock();
        let table = &mut *table;
        while let Some(oldest) = table.order.front() {
            let over = table.until.get(oldest).is_none_or(|until| *until <= now);
            if !over && table.order.len() < self.entries_max {
                break;
            }
            table.until.remove(oldest);
            table.order.pop_front();
        }
        if table.until.insert(code, now + self.keep).is_none() {
            table.order.push_back(code);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
