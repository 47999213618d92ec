//! Gives back memory of the program that is not in use.
//!
//! A program and its libraries are mapped, not loaded: the system reads a page of them when it is first
//! executed, and maps fifteen neighbours with it. Nothing ever unmaps them while there is memory, so that a
//! server goes on holding what only its start needed: the command line, the configuration, a compiler,
//! the dynamic linker. Here it lets go of all of it, and what it needs comes back by page faults that
//! read nothing, as the files are in the system's cache: a few dozen, a few microseconds each. So it does
//! with code that it mapped later, such as that of plugins.
//!
//! The allocator does likewise with memory that was freed: it keeps it for what comes next, of every
//! thread on its own. A compiler leaves megabytes of it behind. Here it gives them back.
//!
//! What is *not* here: when that is worth it; and systems other than Linux, where nothing is done.
//!
//! This crate has one `unsafe` place, in [`Pages::release`]. `malloc_trim(3)` asks for nothing, and may be
//! called at any time by any thread. Discarding a mapped page is sound if the next access finds the same
//! octets: so only private mappings of files are touched that nobody may write to, and of which no page was
//! ever written, by the dynamic linker for instance or a debugger (the system tells a page of a file from
//! another: proc_pid_pagemap(5)). A page of a file is in the system's cache or read from the file, mapped or
//! not: who changes the file changes both. That it is still the same mapping when it is let go of needs
//! something that keeps it so: the process as long as it runs, for what it began with; for what came later,
//! a borrow.

#[cfg(target_os = "linux")]
mod mappings;

use std::io;

#[cfg(target_os = "linux")]
use mappings::{Mapping, Origins};

/// The pages of the program and its libraries.
#[derive(Debug)]
pub struct Pages {
    #[cfg(target_os = "linux")]
    mapped: io::Result<(Vec<Mapping>, Origins)>,
}

impl Pages {
    /// Finds them. To be called before any library is loaded or file mapped that could be unmapped, on
    /// which letting go of them relies; and before the process gives up rights, as it could not see its own
    /// pages any more.
    #[must_use]
    pub fn find() -> Pages {
        Pages {
            #[cfg(target_os = "linux")]
            mapped: mappings::read().and_then(|mappings| Ok((mappings, Origins::open()?))),
        }
    }

    /// Lets go of memory that was freed, and of the pages of code and constants, with those of `images`:
    /// octets that are mapped from files; others stay. Returns how many octets of all those were in memory.
    ///
    /// # Errors
    /// The system does not tell what is mapped, or keeps it.
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "discards what nobody misses, see the module's top")]
    pub fn release(&self, images: &[impl AsRef<[u8]>]) -> io::Result<usize> {
        use rustix::mm::{Advice, madvise};

        // SAFETY: it has no conditions.
        #[cfg(target_env = "gnu")]
        unsafe {
            libc::malloc_trim(0)
        };
        let unseen = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        let (mappings, origins) = self.mapped.as_ref().map_err(unseen)?;
        let mut released = 0;
        let images = images.iter().map(|image| Mapping::of(image.as_ref()));
        for mapping in mappings.iter().cloned().chain(images) {
            let Some(resident) = origins.unwritten(&mapping)? else { continue };
            let start = std::ptr::without_provenance_mut(mapping.start);
            // SAFETY: pages of files, none of which was ever written to: they hold what the file holds, now and
            // when they are read from it again. Nobody writes to them meanwhile, and they are still what was
            // looked at: of what was mapped when these were found, as nobody may write there, and as the
            // program and what it is linked with stay mapped; of an image, as it is borrowed.
            match unsafe { madvise(start, mapping.length, Advice::LinuxDontNeed) } {
                Ok(()) => released += resident,
                // It is locked into memory: somebody wants it there.
                Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(released)
    }

    /// Does nothing here.
    ///
    /// # Errors
    /// None.
    #[cfg(not(target_os = "linux"))]
    pub fn release(&self, _images: &[impl AsRef<[u8]>]) -> io::Result<usize> {
        Ok(0)
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;

    /// What one test lets go of, another one counts.
    fn alone() -> MutexGuard<'static, ()> {
        static ONE: Mutex<()> = Mutex::new(());
        ONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No images.
    const NONE: [&[u8]; 0] = [];

    /// KiB of the process that are in memory (proc_pid_status(5)).
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    #[test]
    fn memory_that_was_freed_goes_back() {
        let _alone = alone();
        let mut pieces: Vec<Vec<u8>> = (0..32 * 1024).map(|_| vec![1; 1000]).collect();
        // What is behind all others keeps the allocator from giving them back by itself.
        let last = pieces.pop();
        drop(pieces);
        let before = resident();
        Pages::find().release(&NONE).unwrap();
        let given_back = before.saturating_sub(resident());
        assert!(given_back > 16 * 1024, "KiB: {given_back}");
        drop(last);
    }

    #[test]
    fn an_image_that_is_of_no_file_stays_as_it_is() {
        let _alone = alone();
        let page = rustix::param::page_size();
        let image: Vec<u8> = (0..=u8::MAX).cycle().take(4 * page).collect();
        let before = image.clone();
        Pages::find().release(&[&image]).unwrap();
        assert!(image == before);
    }

    #[test]
    fn the_program_goes_on_without_what_it_and_its_libraries_let_go_of() {
        let _alone = alone();
        let pages = Pages::find();
        let (mappings, origins) = pages.mapped.as_ref().unwrap();
        let of = |function: usize| {
            let holds = |mapping: &&Mapping| {
                (mapping.start..mapping.start + mapping.length).contains(&function)
            };
            origins.unwritten(mappings.iter().find(holds).unwrap()).unwrap().unwrap()
        };
        let own = memory_that_was_freed_goes_back as *const () as usize;
        let of_libc = libc::qsort as *const () as usize;
        let before = [own, of_libc].map(of);
        let released = pages.release(&NONE).unwrap();
        assert!(released >= before.iter().sum(), "{released} {before:?}");
        let after = [own, of_libc].map(of);
        assert!(after[0] < before[0] && after[1] < before[1], "{before:?} {after:?}");
    }
}
