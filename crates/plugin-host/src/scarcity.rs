//! When the system has no more memory for instances: how such an error is told from others, and what
//! the operator can do, which depends on who keeps the server from more.
//!
//! *Not here:* the memory that the operator lets plugins have, which is [`budget`](crate::budget)'s.

use std::io;

/// Octets of a mebibyte, the unit in messages.
const MIB: u64 = 1 << 20;

/// Whether something failed since the system maps no more memory into the process.
pub(crate) fn is_behind(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(is_out_of_memory)
            || of_system_call(cause).as_ref().is_some_and(is_out_of_memory)
    })
}

fn is_out_of_memory(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
}

/// What to do about it.
pub(crate) fn remedy() -> String {
    match (address_space(), promises_only_what_there_is()) {
        (Some(bytes), _) => format!(
            "the server may have {} MiB of address space: start it with more, by ulimit -v or \
             LimitAS= in its systemd unit, or lower instances, transfers and sessions in the \
             limits of plugins",
            bytes / MIB
        ),
        (None, true) => "the system promises no more memory than it has: set vm.overcommit_memory \
                         to 0 by sysctl, add memory or swap, or lower instances, transfers and \
                         sessions in the limits of plugins"
            .to_owned(),
        (None, false) => {
            "give the system, or the server's control group (MemoryMax= in its systemd \
                          unit), more memory, raise vm.max_map_count by sysctl where there are \
                          thousands of instances, or lower memory_budget in [plugins]"
                .to_owned()
        }
    }
}

#[cfg(unix)]
fn of_system_call(cause: &(dyn std::error::Error + 'static)) -> Option<io::Error> {
    cause.downcast_ref::<rustix::io::Errno>().map(|&errno| errno.into())
}

#[cfg(not(unix))]
fn of_system_call(_: &(dyn std::error::Error + 'static)) -> Option<io::Error> {
    None
}

/// Octets that the process may map, where that is bounded.
#[cfg(unix)]
fn address_space() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::As).current
}

#[cfg(not(unix))]
fn address_space() -> Option<u64> {
    None
}

/// Whether the system counts what is mapped as if it were used.
pub(crate) fn promises_only_what_there_is() -> bool {
    let mode = std::fs::read_to_string("/proc/sys/vm/overcommit_memory");
    mode.is_ok_and(|mode| mode.trim() == "2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_is_found_behind_what_was_said_of_it() {
        let told =
            |error: wasmtime::Error| is_behind(&error.context("no stack").context("no call"));
        assert!(told(rustix::io::Errno::NOMEM.into()));
        assert!(told(io::Error::from(io::ErrorKind::OutOfMemory).into()));
        assert!(told(io::Error::from_raw_os_error(12).into()));
        assert!(!told(rustix::io::Errno::ACCESS.into()));
        assert!(!told(wasmtime::Error::msg("wasm trap: unreachable")));
    }
}
