//! The bytes of transfers.

use std::cell::RefCell;

use super::{NOT_CONFIGURED, running};
use crate::bindings::base::waft::plugin::sessions;
use crate::bindings::content_filter::exports::waft::plugin::content_filter as wire;
use crate::export::Holder;
use crate::{Plugin, Reply, Session};

pub use crate::bindings::base::waft::plugin::types::Direction;
pub use wire::{Interest as ContentInterest, Verdict};

/// Looks at the bytes of transfers, or changes them.
///
/// ```
/// use waft_plugin_sdk::testing::TestSession;
/// use waft_plugin_sdk::{
///     ContentFilter, ContentInterest, Direction, Filter, Plugin, Reply, Session, Settings,
///     Verdict, export,
/// };
///
/// struct NoPrograms;
///
/// impl Plugin for NoPrograms {
///     fn new(_: &Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
/// }
///
/// impl ContentFilter for NoPrograms {
///     type Filter = Beginning;
///
///     fn wants(
///         &self,
///         _: Session<'_>,
///         direction: Direction,
///         _: &str,
///         _: Option<u64>,
///     ) -> ContentInterest {
///         match direction {
///             Direction::Upload => ContentInterest::Inspect,
///             Direction::Download => ContentInterest::Skip,
///         }
///     }
///
///     fn open(&self, _: Session<'_>, _: Direction, _: &str) -> Beginning {
///         Beginning(Vec::new())
///     }
/// }
///
/// /// The first bytes of a file, which tell what it is.
/// struct Beginning(Vec<u8>);
///
/// impl Filter for Beginning {
///     fn push(&mut self, chunk: Vec<u8>) -> Result<Vec<u8>, Reply> {
///         let room = 4_usize.saturating_sub(self.0.len());
///         self.0.extend(chunk.iter().take(room));
///         if self.0 == b"\x7fELF" { Err(Reply::new(550, "no programs")) } else { Ok(Vec::new()) }
///     }
///
///     fn finish(self) -> Verdict {
///         Verdict::Accept(Vec::new())
///     }
/// }
///
/// export!(NoPrograms: content_filter);
///
/// let session = TestSession::new().user("alice");
/// let mut filter = NoPrograms.open(session.session(), Direction::Upload, "/a.out");
/// filter.push(b"\x7fEL".to_vec()).unwrap();
/// assert_eq!(filter.push(b"F...".to_vec()), Err(Reply::new(550, "no programs")));
/// ```
pub trait ContentFilter: Plugin {
    /// What is known of one transfer while it lasts.
    type Filter: Filter;

    /// Asked once per transfer: whether to look at its bytes, change them, or leave it alone,
    /// which then costs nothing. The size is that of a download, where it is known.
    fn wants(
        &self,
        session: Session<'_>,
        direction: Direction,
        path: &str,
        size: Option<u64>,
    ) -> ContentInterest;

    /// Begins with one transfer.
    fn open(&self, session: Session<'_>, direction: Direction, path: &str) -> Self::Filter;
}

/// What a [`ContentFilter`] does with the bytes of one transfer.
pub trait Filter: 'static {
    /// Takes the next bytes, 256 KiB at most. What is returned replaces them, if the filter wanted
    /// to change them, and is ignored otherwise.
    ///
    /// # Errors
    /// The transfer ends here with this reply, and an upload leaves nothing behind.
    fn push(&mut self, chunk: Vec<u8>) -> Result<Vec<u8>, Reply>;

    /// All bytes have passed: an upload is visible to nobody before this has accepted it.
    fn finish(self) -> Verdict;
}

impl<H: Holder<Plugin: ContentFilter>> wire::Guest for H {
    type Filter = Transfer<H>;

    fn wants(
        session: &sessions::Session,
        direction: Direction,
        path: String,
        size: Option<u64>,
    ) -> ContentInterest {
        running::<H>().map_or(ContentInterest::Inspect, |plugin| {
            plugin.wants(Session::host(session), direction, &path, size)
        })
    }
}

/// One transfer, as the server holds it; gone once it has been finished.
pub struct Transfer<H: Holder<Plugin: ContentFilter>>(
    RefCell<Option<<H::Plugin as ContentFilter>::Filter>>,
);

impl<H: Holder<Plugin: ContentFilter>> wire::GuestFilter for Transfer<H> {
    fn new(session: &sessions::Session, direction: Direction, path: String) -> Self {
        let open = |plugin: &H::Plugin| plugin.open(Session::host(session), direction, &path);
        Self(RefCell::new(running::<H>().map(open)))
    }

    fn push(&self, chunk: Vec<u8>) -> Result<Vec<u8>, Reply> {
        match self.0.borrow_mut().as_mut() {
            Some(filter) => filter.push(chunk),
            None => Err(Reply::new(451, NOT_CONFIGURED)),
        }
    }

    fn finish(&self) -> Verdict {
        match self.0.take() {
            Some(filter) => filter.finish(),
            None => Verdict::Refuse(Reply::new(451, NOT_CONFIGURED)),
        }
    }
}
