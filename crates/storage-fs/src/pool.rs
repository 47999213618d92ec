//! The way to tokio's blocking pool.

use rustix::io::Errno;

use crate::error::Result;

/// From this size on, freeing a file's blocks is left to the blocking pool: ext4 takes about a
/// millisecond for each GiB when all goes well.
pub(crate) const LARGE: u64 = 64 << 20;

/// Runs `work` on the blocking pool. When the future is dropped, `work` is still done.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    // An error of the join: the runtime is shutting down, or `work` panicked.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Errno::IO.into()))
}

/// Runs `work` on the blocking pool if it is `heavy`, here if it is not.
pub(crate) async fn run_if<T: Send + 'static>(
    heavy: bool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if heavy { run(work).await } else { work() }
}
