//! `clock`: the time of day and a clock that only goes forward.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use wasmtime_wasi::HostWallClock;

use crate::bindings::waft::plugin::clock;
use crate::guest::Guest;
use crate::lent::Services;

/// When the process began to count.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl clock::Host for Guest {
    fn now_ms(&mut self) -> u64 {
        self.note_more();
        self.identity.services.now_ms()
    }

    fn monotonic_ns(&mut self) -> u64 {
        self.note_more();
        u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Services {
    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.since_1970().as_millis()).unwrap_or(u64::MAX)
    }

    fn since_1970(&self) -> Duration {
        let now = self.stand_ins.as_ref().map_or_else(SystemTime::now, |world| world.now());
        now.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// `wasi:clocks`: the same time.
impl HostWallClock for Services {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.since_1970()
    }
}
