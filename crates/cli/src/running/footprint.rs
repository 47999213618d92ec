//! What a server that rests holds in memory: what it needs, and no more.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use waft_pages::Pages;
use waft_plugin_host::Host;
use waft_server::Workers;

/// When the start is over at the latest, with all that goes on beside it.
const STARTED: Duration = Duration::from_secs(1);

/// How long what is needed once more is kept at least: twice as long each time, up to the second.
/// Clients that come now and then would have the same pages go and come back all the time.
const KEPT: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(16)];

/// Keeps small what is held while nobody is at work, until it is dropped.
pub(super) struct Footprint(AbortHandle);

impl Footprint {
    /// Gives back what only the start needed, and later what only logins and transfers do, each time
    /// that all sessions have come to rest.
    pub(super) fn keep_small(pages: Pages, workers: Arc<Workers>, host: Host) -> Footprint {
        let keeping = async move {
            let [mut kept, kept_max] = KEPT;
            // Whether somebody was there already or nobody.
            let _ = timeout(STARTED, workers.all_at_rest()).await;
            loop {
                give_back(&pages, &host);
                sleep(kept).await;
                kept = kept_max.min(kept * 2);
                workers.all_at_rest().await;
            }
        };
        Footprint(tokio::spawn(keeping).abort_handle())
    }
}

fn give_back(pages: &Pages, host: &Host) {
    match pages.release(&host.images()) {
        Ok(octets) => tracing::debug!(octets, "memory that is not in use given back"),
        Err(error) => tracing::debug!(%error, "memory that is not in use is kept"),
    }
}

impl Drop for Footprint {
    fn drop(&mut self) {
        self.0.abort();
    }
}
