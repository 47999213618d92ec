//! Who must wait after failures to log in.
//!
//! Three counts of failures, each of which forgets after a quiet while:
//! by address (an IPv6 network of 64 bits counts as one), by account at an address, and by account
//! wherever the failures come from. The first two lock out; the third only holds replies back:
//! if it locked too, any stranger could keep the owner of an account out by failing on purpose.
//!
//! A success takes the account's failures at that address out of all counts. It does not clear the
//! address: else whoever has one account could try all others for ever by logging in between.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use waft_core::auth::LoginGuard;

/// How many failures are too many, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutOptions {
    /// Failures from one address after which it is locked out; 0 for never.
    pub failures_per_address: u32,
    /// Failures at one account from one address after which the account is locked out for that
    /// address; 0 for never.
    pub failures_per_account: u32,
    /// Failures are forgotten when none has followed for so long.
    pub window: Duration,
    /// How long somebody is locked out.
    pub duration: Duration,
    /// The longest time for which a reply is held back: nothing after the first failure, then 1 s,
    /// 2 s, 4 s and so on; zero for never.
    pub delay_max: Duration,
    /// Addresses, accounts, and accounts at addresses remembered at a time, each about 50 octets.
    pub entries_max: usize,
}

/// 50 failures an address, 10 an account at an address; forgotten after 10 minutes, locked out for
/// 15; held back 10 seconds at most; 100,000 entries of each kind.
impl Default for LockoutOptions {
    fn default() -> LockoutOptions {
        LockoutOptions {
            failures_per_address: 50,
            failures_per_account: 10,
            window: Duration::from_secs(600),
            duration: Duration::from_secs(900),
            delay_max: Duration::from_secs(10),
            entries_max: 100_000,
        }
    }
}

/// Remembers failures to log in. Made once, and used under one configuration after the other.
#[derive(Debug)]
pub struct Lockout {
    /// Names are remembered as keyed hashes: a client may send long ones.
    names: RandomState,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    options: LockoutOptions,
    addresses: Table<IpAddr>,
    accounts: Table<u64>,
    pairs: Table<(IpAddr, u64)>,
}

impl Lockout {
    /// Nobody has failed yet.
    pub fn new(options: LockoutOptions) -> Lockout {
        let (addresses, accounts, pairs) = (Table::default(), Table::default(), Table::default());
        let state = State { options, addresses, accounts, pairs };
        Lockout { names: RandomState::new(), state: Mutex::new(state) }
    }

    /// Changes the options and keeps what is remembered.
    pub fn reconfigure(&self, options: LockoutOptions) {
        self.lock().options = options;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The counts are whole after every statement: a panic elsewhere cannot spoil them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LoginGuard for Lockout {
    fn is_locked_out(&self, address: IpAddr, user: Option<&str>) -> bool {
        let address = network(address);
        let (now, state) = (Instant::now(), self.lock());
        state.addresses.is_locked_out(&address, now)
            || user.is_some_and(|user| {
                state.pairs.is_locked_out(&(address, self.names.hash_one(user)), now)
            })
    }

    fn note_failure(&self, address: IpAddr, user: &str) -> Duration {
        let (address, user) = (network(address), self.names.hash_one(user));
        let (now, mut state) = (Instant::now(), self.lock());
        let state = &mut *state;
        let options = &state.options;
        let failures = [
            state.addresses.note(address, now, options, options.failures_per_address),
            state.pairs.note((address, user), now, options, options.failures_per_account),
            state.accounts.note(user, now, options, 0),
        ];
        delay(failures.into_iter().max().unwrap_or_default(), options.delay_max)
    }

    fn delay(&self, address: IpAddr, user: &str) -> Duration {
        let (address, user) = (network(address), self.names.hash_one(user));
        let (now, state) = (Instant::now(), self.lock());
        let failures = [
            state.addresses.count(&address, now),
            state.pairs.count(&(address, user), now),
            state.accounts.count(&user, now),
        ];
        let failures = failures.into_iter().max().unwrap_or_default();
        delay(failures.saturating_add(1), state.options.delay_max)
    }

    fn note_success(&self, address: IpAddr, user: &str) {
        let (address, user) = (network(address), self.names.hash_one(user));
        let mut state = self.lock();
        let failures = state.pairs.forget(&(address, user));
        state.addresses.subtract(&address, failures);
        state.accounts.subtract(&user, failures);
    }
}

/// What counts as one address: a household or machine has a whole IPv6 network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

/// 0, 1, 2, 4 seconds and so on, up to the longest.
fn delay(failures: u32, longest: Duration) -> Duration {
    match failures.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => {
            Duration::from_secs(1_u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(longest)
        }
    }
}

#[derive(Debug)]
struct Table<K>(HashMap<K, Failures>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    /// When they are forgotten, or the lock-out ends.
    until: Instant,
    locked: bool,
}

impl<K> Default for Table<K> {
    fn default() -> Table<K> {
        Table(HashMap::new())
    }
}

impl<K: Eq + Hash + Copy> Table<K> {
    fn is_locked_out(&self, key: &K, now: Instant) -> bool {
        self.0.get(key).is_some_and(|failures| failures.locked && now < failures.until)
    }

    /// How many failures there are now.
    fn count(&self, key: &K, now: Instant) -> u32 {
        self.0.get(key).filter(|failures| now < failures.until).map_or(0, |failures| failures.count)
    }

    /// Counts a failure; locks out from `locked_from` failures on, unless that is 0. Tells how many
    /// there are now.
    fn note(&mut self, key: K, now: Instant, options: &LockoutOptions, locked_from: u32) -> u32 {
        if !self.0.contains_key(&key) {
            self.make_room(now, options.entries_max);
        }
        let none = Failures { count: 0, until: now, locked: false };
        let failures = self.0.entry(key).or_insert(none);
        if failures.until <= now {
            *failures = none;
        }
        failures.count = failures.count.saturating_add(1);
        if failures.locked {
            return failures.count;
        }
        failures.locked = locked_from > 0 && failures.count >= locked_from;
        failures.until = now + if failures.locked { options.duration } else { options.window };
        failures.count
    }

    fn forget(&mut self, key: &K) -> u32 {
        self.0.remove(key).map_or(0, |failures| failures.count)
    }

    fn subtract(&mut self, key: &K, count: u32) {
        if let Some(failures) = self.0.get_mut(key) {
            failures.count = failures.count.saturating_sub(count);
            if failures.count == 0 {
                self.0.remove(key);
            }
        }
    }

    /// If the table is full, drops of a few entries the one that matters least: one that is over,
    /// else one that locks nobody out, else the one with the fewest failures. So a flood of new
    /// names costs neither memory nor time, and a lock-out among many outlives it.
    fn make_room(&mut self, now: Instant, entries_max: usize) {
        while self.0.len() >= entries_max.max(1) {
            let least = self
                .0
                .iter()
                .take(SAMPLE)
                .min_by_key(|(_, f)| (now < f.until, f.locked, f.count, f.until));
            let Some((key, _)) = least else { return };
            let key = *key;
            self.0.remove(&key);
        }
    }
}

/// Entries that are compared when one must go.
const SAMPLE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tables_are_bounded_and_what_is_over_goes_first() {
        let options = LockoutOptions { entries_max: 10, ..LockoutOptions::default() };
        let mut table = Table::default();
        for number in 0..8 {
            table.note(number, Instant::now(), &options, 0);
        }
        tokio::time::advance(options.window).await;
        table.note(100, Instant::now(), &options, 0);
        for number in 200..209 {
            table.note(number, Instant::now(), &options, 0);
            assert!(table.0.len() <= 10);
        }
        assert!(table.0.contains_key(&100), "others were over");
        for number in 0..1000 {
            table.note(number, Instant::now(), &options, 0);
            assert!(table.0.len() <= 10);
        }
    }
}
