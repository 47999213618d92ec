//! Gives back memory of the program that is not in use.
//!
//! A program is mapped, not loaded: the system reads a page of it when it is first executed, and maps
//! fifteen neighbours with it. Nothing ever unmaps them while there is memory, so that a server goes
//! on holding what only its start needed: the command line, the configuration, a compiler. Here it lets
//! go of all of it, and what it needs comes back by page faults that read nothing, as the file is in
//! the system's cache: a few dozen, a few microseconds each.
//!
//! The allocator does likewise with memory that was freed: it keeps it for what comes next, of every
//! thread on its own. A compiler leaves megabytes of it behind. Here it gives them back.
//!
//! What is *not* here: when that is worth it; and systems other than Linux, where nothing is done.
//!
//! This crate has one `unsafe` place, in [`release`]. `malloc_trim(3)` asks for nothing, and may be
//! called at any time by any thread. Discarding a mapped page is sound if the next
//! access finds the same octets: so only mappings of the program's own file are touched that are
//! private, that nobody may write to, and of which no page was ever written (the system counts those:
//! `Anonymous` in `/proc/self/smaps`), by the dynamic linker for instance or a debugger. The file
//! itself cannot change under a program that runs: Linux refuses to write to it.

use std::io;

/// Lets go of memory that was freed, and of the pages of the program's code and constants. Returns how
/// many octets of those were in memory.
///
/// # Errors
/// The system does not tell what is mapped, or keeps it.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "discards what nobody misses, see the module's top")]
pub fn release() -> io::Result<usize> {
    use rustix::mm::{Advice, madvise};

    // SAFETY: it has no conditions.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
    let here = release as *const () as usize;
    let smaps = io::BufReader::new(std::fs::File::open("/proc/self/smaps")?);
    let mappings = smaps::unwritten(io::BufRead::lines(smaps), here)?;
    for mapping in &mappings {
        let start = std::ptr::without_provenance_mut(mapping.start);
        // SAFETY: a mapping of this program's file, private, not writable and never written to. Its
        // pages hold what the file holds, now and when they are read from it again.
        unsafe { madvise(start, mapping.length, Advice::LinuxDontNeed)? };
    }
    Ok(mappings.iter().map(|mapping| mapping.resident).sum())
}

/// Does nothing here.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn release() -> io::Result<usize> {
    Ok(0)
}

#[cfg(target_os = "linux")]
mod smaps {
    //! What `/proc/self/smaps` tells (proc_pid_smaps(5)), in the order of addresses.

    use std::io;

    /// A mapping, in octets.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(super) struct Mapping {
        pub(super) start: usize,
        pub(super) length: usize,
        pub(super) resident: usize,
    }

    /// A mapping with what decides about it.
    struct Entry {
        mapping: Mapping,
        is_readonly: bool,
        /// Its device and inode.
        file: [String; 2],
        /// Octets that are no longer the file's; unknown until they are told.
        own: Option<usize>,
        locked: usize,
    }

    /// The mappings of the file that `here` is mapped from, that are private, cannot be written to,
    /// and never were.
    ///
    /// Reads no further than to where they end: behind them may be tens of thousands, of plugins'
    /// memories, and the system counts the pages of each that it tells about.
    pub(super) fn unwritten(
        lines: impl Iterator<Item = io::Result<String>>,
        here: usize,
    ) -> io::Result<Vec<Mapping>> {
        let mut entries: Vec<Entry> = Vec::new();
        for line in lines {
            let line = line?;
            if let Some(entry) = Entry::parse(&line) {
                let ours = entries.iter().find(|entry| entry.mapping.holds(here));
                if ours.is_some_and(|ours| ours.file != entry.file) {
                    break;
                }
                entries.push(entry);
            } else if let Some(entry) = entries.last_mut() {
                entry.note(&line);
            }
        }
        let ours = entries.iter().find(|entry| entry.mapping.holds(here));
        // The inode 0 is no file's.
        let file = ours.map(|entry| entry.file.clone()).filter(|[_, inode]| inode != "0");
        let Some(file) = file else { return Ok(Vec::new()) };
        let is_unwritten = |entry: &Entry| {
            entry.file == file && entry.is_readonly && entry.own == Some(0) && entry.locked == 0
        };
        Ok(entries.into_iter().filter(is_unwritten).map(|entry| entry.mapping).collect())
    }

    impl Entry {
        /// A line that begins a mapping: `start-end perms offset device inode path`.
        fn parse(line: &str) -> Option<Entry> {
            let mut words = line.split_ascii_whitespace();
            let (start, end) = words.next()?.split_once('-')?;
            let start = usize::from_str_radix(start, 16).ok()?;
            let length = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
            let permissions = words.next()?;
            let file = [words.nth(1)?, words.next()?].map(str::to_owned);
            Some(Entry {
                mapping: Mapping { start, length, resident: 0 },
                is_readonly: matches!(permissions, "r--p" | "r-xp"),
                file,
                own: None,
                locked: 0,
            })
        }

        /// A line about the mapping: `Key: number kB`.
        fn note(&mut self, line: &str) {
            let Some((key, value)) = line.split_once(':') else { return };
            let number = value.trim().strip_suffix(" kB").and_then(|number| number.parse().ok());
            let Some(octets) = number.and_then(|kib: usize| kib.checked_mul(1024)) else { return };
            match key {
                "Rss" => self.mapping.resident = octets,
                "Anonymous" => self.own = Some(octets),
                "Locked" => self.locked = octets,
                _ => {}
            }
        }
    }

    impl Mapping {
        fn holds(&self, address: usize) -> bool {
            address.checked_sub(self.start).is_some_and(|offset| offset < self.length)
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_what_is_the_files_own_is_let_go_of() {
            let mapping = |range: &str, permissions: &str, inode: u32, anonymous: u32| {
                let head = format!("{range} {permissions} 00000000 fe:00 {inode}  /usr/bin/waft");
                format!("{head}\nRss: 8 kB\nAnonymous: {anonymous} kB\nLocked: 0 kB\nVmFlags: rd\n")
            };
            let smaps = [
                mapping("100-200", "r-xp", 8, 0),
                mapping("200-300", "r-xp", 0, 0),
                mapping("1000-3000", "r--p", 7, 0),
                mapping("3000-9000", "r-xp", 7, 0),
                mapping("9000-a000", "r--p", 7, 4),
                mapping("a000-b000", "rw-p", 7, 0),
                mapping("b000-c000", "r--s", 7, 0),
                mapping("c000-d000", "r--p", 7, 0).replace("Locked: 0", "Locked: 4"),
                mapping("d000-e000", "r--p", 7, 0).replace("Anonymous: 0 kB\n", ""),
                mapping("e000-f000", "rw-p", 0, 8),
            ];
            let smaps = smaps.concat();
            let lines = || smaps.lines().map(|line| Ok(line.to_owned()));
            let expected = [(0x1000, 0x2000), (0x3000, 0x6000)];
            let expected =
                expected.map(|(start, length)| Mapping { start, length, resident: 8192 });
            assert_eq!(unwritten(lines(), 0x3fff).unwrap(), expected);
            // What follows is not read.
            let more = std::iter::once_with(|| -> io::Result<String> { panic!("read on") });
            assert_eq!(unwritten(lines().chain(more), 0x3fff).unwrap(), expected);
            for here in [0x250, 0x10000] {
                assert_eq!(unwritten(lines(), here).unwrap(), []);
            }
        }

        #[test]
        fn the_program_goes_on_without_what_it_let_go_of() {
            let here = only_what_is_the_files_own_is_let_go_of as *const () as usize;
            let resident = || {
                let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
                let lines = smaps.lines().map(|line| Ok(line.to_owned()));
                let mappings = unwritten(lines, here).unwrap();
                mappings.iter().map(|mapping| mapping.resident).sum::<usize>()
            };
            let before = resident();
            assert!(crate::release().unwrap() > 0);
            assert!(resident() < before);
            only_what_is_the_files_own_is_let_go_of();
        }
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    /// KiB of the process that are in memory (proc_pid_status(5)).
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    #[test]
    fn memory_that_was_freed_goes_back() {
        let mut pieces: Vec<Vec<u8>> = (0..32 * 1024).map(|_| vec![1; 1000]).collect();
        // What is behind all others keeps the allocator from giving them back by itself.
        let last = pieces.pop();
        drop(pieces);
        let before = resident();
        crate::release().unwrap();
        let given_back = before.saturating_sub(resident());
        assert!(given_back > 16 * 1024, "KiB: {given_back}");
        drop(last);
    }
}
