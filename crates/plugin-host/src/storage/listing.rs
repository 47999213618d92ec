//! A listing, page by page: the guest is asked for the next one when the one before is out.

use std::collections::VecDeque;

use waft_core::storage::{Batch, Directory, ErrorKind, Result};
use waft_core::{BoxFuture, VirtualPath};
use wasmtime::Store;

use super::{Asked, metadata, shown, wit};
use crate::bindings::waft::plugin::types::FileStat;
use crate::errors::Failure;
use crate::guest::Guest;
use crate::limits;

/// A directory of a guest's that is being read. No instance is kept between two pages: where to go
/// on is in the guest's cursor.
pub(super) struct Listed {
    asked: Asked,
    path: String,
    /// What was read ahead, to know whether there is such a directory.
    ahead: VecDeque<(String, FileStat)>,
    next: Next,
    /// Entries so far.
    count: u64,
    empty_pages: u32,
}

/// Where a listing goes on.
enum Next {
    Beginning,
    Cursor(String),
    End,
}

impl Listed {
    /// Opens the directory, and reads its first page.
    pub(super) async fn open(asked: Asked, path: &VirtualPath) -> Result<Listed> {
        let path = shown(path)?.to_owned();
        let next = Next::Beginning;
        let mut listed =
            Listed { asked, path, ahead: VecDeque::new(), next, count: 0, empty_pages: 0 };
        listed.turn().await?;
        Ok(listed)
    }

    /// Reads the next page, if there is one.
    async fn turn(&mut self) -> Result<()> {
        let cursor = match &self.next {
            Next::End => return Ok(()),
            Next::Beginning => None,
            Next::Cursor(cursor) => Some(cursor.as_str()),
        };
        let (path, max) = (self.path.as_str(), limits::PAGE_ENTRIES_MAX);
        let call = async |storage: &wit::Guest, store: &mut Store<Guest>, session| {
            storage.call_list_dir(store, session, path, cursor, max).await
        };
        let empty_pages = self.empty_pages;
        let about = || format!("list-dir {path}");
        let page = self.asked.call(about, call, |page| check(page, cursor, empty_pages)).await?;
        self.count += page.entries.len() as u64;
        if self.count > limits::LISTING_ENTRIES_MAX {
            return Err(ErrorKind::TooManyEntries.into());
        }
        self.empty_pages = if page.entries.is_empty() { empty_pages + 1 } else { 0 };
        self.ahead = page.entries.into();
        self.next = page.next.map_or(Next::End, Next::Cursor);
        Ok(())
    }
}

impl Directory for Listed {
    fn read<'a>(&'a mut self, batch: &'a mut Batch) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            batch.clear();
            while self.ahead.is_empty() && !matches!(self.next, Next::End) {
                self.turn().await?;
            }
            for (name, stat) in self.ahead.drain(..) {
                batch.push(name.as_bytes(), metadata(&stat));
            }
            Ok(())
        })
    }
}

/// Judges a page, seen from the cursor that it was asked for with.
fn check(
    page: wit::Page,
    cursor: Option<&str>,
    empty_pages: u32,
) -> std::result::Result<wit::Page, Failure> {
    let bad = |reason: &str| Err(Failure::Verdict(reason.to_owned()));
    if page.entries.len() > limits::PAGE_ENTRIES_MAX as usize {
        return bad("a page of a listing with more entries than asked for");
    }
    if let Some((name, _)) = page.entries.iter().find(|(name, _)| !is_name(name)) {
        return Err(Failure::Verdict(format!("a listing with what is no file name: {name:?}")));
    }
    if let Some(next) = &page.next {
        if next.len() > limits::NAME_BYTES_MAX {
            return Err(Failure::Unfit("a cursor that is too long".to_owned()));
        }
        if cursor == Some(next.as_str()) {
            return bad("a listing that does not get on: the same cursor again");
        }
        if page.entries.is_empty() && empty_pages >= limits::EMPTY_PAGES_MAX {
            return bad("a listing that does not get on: only empty pages");
        }
    }
    Ok(page)
}

/// Whether a text can be the name of a file: what no path holds is none.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= limits::NAME_BYTES_MAX
        && !name.bytes().any(|octet| matches!(octet, b'/' | 0 | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::waft::plugin::types::FileKind;

    fn page(names: &[&str], next: Option<&str>) -> wit::Page {
        let stat = || FileStat {
            kind: FileKind::File,
            size: 0,
            modified: None,
            mode: None,
            owner: None,
            group: None,
            extra: Vec::new(),
        };
        let entries = names.iter().map(|name| ((*name).to_owned(), stat())).collect();
        wit::Page { entries, next: next.map(str::to_owned) }
    }

    #[test]
    fn what_is_no_file_name_is_the_plugins_failure() {
        for name in ["", ".", "..", "a/b", "a\nb", "a\rb", "a\0", &"a".repeat(5000)] {
            assert!(check(page(&["fine", name], None), None, 0).is_err(), "{name:?}");
        }
        assert!(check(page(&["...", " a ", "ä", "a\tb"], None), None, 0).is_ok());
    }

    #[test]
    fn a_listing_has_to_get_on() {
        assert!(check(page(&["a"], Some("1")), Some("1"), 0).is_err());
        assert!(check(page(&["a"], Some("2")), Some("1"), 0).is_ok());
        assert!(check(page(&[], Some("2")), Some("1"), limits::EMPTY_PAGES_MAX).is_err());
        assert!(check(page(&[], None), Some("1"), limits::EMPTY_PAGES_MAX).is_ok());
        let many = vec!["a"; limits::PAGE_ENTRIES_MAX as usize + 1];
        assert!(check(page(&many, None), None, 0).is_err());
        assert!(check(page(&[], Some(&"c".repeat(5000))), None, 0).is_err());
    }
}
