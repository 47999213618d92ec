//! What the system tells about the mappings of this process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// Where a private mapping of a file is that nobody may write to, or something else that may be one, in
/// octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: usize,
    pub(crate) length: usize,
}

impl Mapping {
    /// The whole pages of some octets.
    pub(crate) fn of(octets: &[u8]) -> Mapping {
        let page = rustix::param::page_size();
        let all = octets.as_ptr_range();
        let start = all.start.addr().next_multiple_of(page);
        let length = all.end.addr().saturating_sub(start) / page * page;
        Mapping { start, length }
    }
}

/// Those of this process that are private, of a file, and that nobody may write to.
pub(crate) fn read() -> io::Result<Vec<Mapping>> {
    Ok(fs::read_to_string("/proc/self/maps")?.lines().filter_map(parse).collect())
}

/// A line of proc_pid_maps(5), `start-end perms offset device inode path`, if it is about such a mapping.
fn parse(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let length = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
    let is_readonly = matches!(words.next()?, "r--p" | "r-xp");
    // The inode 0 is no file's.
    let is_of_a_file = words.nth(2)? != "0";
    (is_readonly && is_of_a_file).then_some(Mapping { start, length })
}

/// Where each page of this process is from: proc_pid_pagemap(5).
#[derive(Debug)]
pub(crate) struct Origins(File);

/// An entry of it, one for each page.
type Entry = u64;
const ENTRY_BYTES: usize = size_of::<Entry>();

/// The page is in memory, or swapped out.
const EXISTS: Entry = 0b11 << 62;
/// It is that of a file, not a copy of the process's own.
const OF_FILE: Entry = 1 << 61;

/// Octets that are read at once.
const READ_BYTES: usize = 4096;

impl Origins {
    pub(crate) fn open() -> io::Result<Origins> {
        File::open("/proc/self/pagemap").map(Origins)
    }

    /// How many octets of a mapping are in memory, if it was never written to.
    pub(crate) fn unwritten(&self, mapping: &Mapping) -> io::Result<Option<usize>> {
        let page = rustix::param::page_size();
        let first = mapping.start / page * ENTRY_BYTES;
        let last = first + mapping.length / page * ENTRY_BYTES;
        let (mut octets, mut pages) = ([0; READ_BYTES], 0);
        for offset in (first..last).step_by(READ_BYTES) {
            let (part, _) = octets.split_at_mut(READ_BYTES.min(last - offset));
            self.0.read_exact_at(part, offset as u64)?;
            let Some(more) = unwritten(part) else { return Ok(None) };
            pages += more;
        }
        Ok(Some(pages * page))
    }
}

/// How many pages of those with these entries are in memory; none where one was written to.
fn unwritten(entries: &[u8]) -> Option<usize> {
    let mut pages = 0;
    for entry in entries.as_chunks().0 {
        let entry = Entry::from_ne_bytes(*entry);
        match (entry & EXISTS != 0, entry & OF_FILE != 0) {
            (true, true) => pages += 1,
            (true, false) => return None,
            (false, _) => {}
        }
    }
    Some(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_from_files_and_stays_so_is_a_mapping_here() {
        let line = |permissions: &str, inode: u32| {
            parse(&format!("1000-3000 {permissions} 00001000 fe:00 {inode}  /usr/bin/waft"))
        };
        let expected = Some(Mapping { start: 0x1000, length: 0x2000 });
        assert_eq!([line("r--p", 7), line("r-xp", 7)], [expected.clone(), expected]);
        for permissions in ["rw-p", "r--s", "---p", "rwxp"] {
            assert_eq!(line(permissions, 7), None);
        }
        assert_eq!(line("r-xp", 0), None);
        assert_eq!(parse("1000-3000 r-xp 00000000 00:00 0                 [vdso]"), None);
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn a_page_that_was_written_to_keeps_all() {
        let entries = |entries: &[Entry]| {
            let octets: Vec<u8> = entries.iter().flat_map(|entry| entry.to_ne_bytes()).collect();
            unwritten(&octets)
        };
        let (present, swapped) = (1 << 63, 1 << 62);
        assert_eq!(entries(&[]), Some(0));
        assert_eq!(entries(&[0, present | OF_FILE, 0, present | OF_FILE]), Some(2));
        assert_eq!(entries(&[present | OF_FILE, present]), None);
        assert_eq!(entries(&[present | OF_FILE, swapped]), None);
    }

    #[test]
    fn a_page_of_this_process_that_was_written_to_is_seen() {
        let origins = Origins::open().unwrap();
        let page = rustix::param::page_size();
        let memory = vec![1_u8; 4 * page];
        assert_eq!(origins.unwritten(&Mapping::of(&memory)).unwrap(), None);
        let code = a_page_of_this_process_that_was_written_to_is_seen as *const () as usize;
        let start = code / page * page;
        assert!(origins.unwritten(&Mapping { start, length: page }).unwrap().is_some());
    }
}
