//! What the server has counted since it started.

use std::sync::atomic::{AtomicU64, Ordering};

use waft_per_cpu::PerCpu;

macro_rules! counters {
    ($( $(#[doc = $doc:literal])+ $name:ident, )*) => {
        /// Counters that sessions add to.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $( pub(crate) $name: Counter, )*
        }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $( $(#[doc = $doc])+ pub $name: u64, )*
        }

        impl Counters {
            /// The counters at this moment.
            pub(crate) fn read(&self) -> Counts {
                Counts { $( $name: self.$name.read(), )* }
            }
        }

        impl Counts {
            /// Each counter with its name.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                self.described().map(|(name, _, count)| (name, count))
            }

            /// Each counter with its name, and what it counts in a sentence.
            pub fn described(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                let all = [$( (stringify!($name), concat!($($doc),+), self.$name), )*];
                all.into_iter().map(|(name, doc, count)| (name, doc.trim(), count))
            }
        }
    };
}

counters! {
    /// Sessions that began.
    sessions_opened,
    /// Sessions that ended.
    sessions_closed,
    /// Connections refused because there were too many.
    sessions_refused,
    /// Connections refused because their address is banned.
    connections_banned,
    /// Connections dropped because their first bytes were another protocol's.
    foreign_protocols,
    /// TLS handshakes of control connections.
    tls_handshakes,
    /// TLS handshakes of control connections that failed.
    tls_handshakes_failed,
    /// TLS handshakes of data connections that resumed the control connection's session.
    data_tls_resumed,
    /// TLS handshakes of data connections that resumed no session, or another.
    data_tls_not_resumed,
    /// Data connections whose TLS failed.
    data_tls_failed,
    /// Uploads whose client ended the connection without close_notify.
    close_notify_missing,
    /// Logins.
    logins,
    /// Failed logins.
    login_failures,
    /// Commands, malformed ones included.
    commands,
    /// Connections that a plugin rejected with a reply.
    connections_rejected,
    /// Connections that a plugin dropped without one.
    connections_dropped,
    /// Logins that a plugin accepted.
    plugin_logins,
    /// Logins that a plugin denied, and those that one failed on.
    plugin_login_denials,
    /// Paths that a plugin put another in the place of.
    plugin_redirects,
    /// Commands on files that a plugin denied.
    plugin_file_denials,
    /// Entries of listings that a plugin hid.
    plugin_entries_hidden,
    /// Replies that a plugin gave in the server's place.
    plugin_answers,
    /// Commands that a plugin brought along and answered.
    plugin_commands,
    /// Replies that a plugin reworded.
    plugin_rewordings,
    /// Commands that a plugin rewrote.
    plugin_rewrites,
    /// Transfers whose contents a plugin refused.
    contents_refused,
    /// Uploads that a plugin put in quarantine.
    contents_quarantined,
    /// Downloads that completed.
    downloads,
    /// Uploads that completed.
    uploads,
    /// Uploads that completed with no octet.
    uploads_empty,
    /// Listings that completed.
    listings,
    /// Transfers whose data connection was never opened.
    data_not_opened,
    /// Transfers that broke or were aborted.
    transfers_aborted,
    /// Transfers that stalled.
    transfers_stalled,
    /// Passive ports that could not be had: the range was exhausted.
    passive_exhausted,
    /// Octets of files downloaded.
    bytes_downloaded,
    /// Octets of files uploaded.
    bytes_uploaded,
}

/// A number that only grows. Each processor adds to its own.
#[derive(Debug, Default)]
pub(crate) struct Counter(PerCpu<AtomicU64>);

impl Counter {
    /// Adds one.
    pub(crate) fn add_one(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub(crate) fn add(&self, n: u64) {
        self.0.here().fetch_add(n, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}
