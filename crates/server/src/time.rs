//! Time limits on futures.

use std::future::Future;
use std::time::Duration;

/// The future's output, unless it takes longer than `limit`; zero is no limit.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    if limit.is_zero() {
        return Some(future.await);
    }
    tokio::time::timeout(limit, future).await.ok()
}
