//! Time limits on futures, and times as the log tells them.

use std::future::Future;
use std::time::Duration;

/// The future's output, unless it takes longer than `limit`; zero is no limit.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    if limit.is_zero() {
        return Some(future.await);
    }
    tokio::time::timeout(limit, future).await.ok()
}

/// Milliseconds, in no wider an integer than logs write as a number.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
