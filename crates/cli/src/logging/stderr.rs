//! Lines to stderr, each in one piece.
//!
//! The standard library has a lock around stderr. A thread that is interrupted while it holds it, as
//! happens on its way back from the system, lets every other thread that has a line sleep: those lose
//! the processor where their clients' packets arrive, and 16 clients get half as many small files. So
//! whoever writes what the system writes in one piece anyway waits for nobody here.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{PoisonError, RwLock};

/// Octets that nobody else's come between: `PIPE_BUF` of Linux, which holds for pipes; files, sockets
/// and terminals take as much.
const WHOLE_BYTES: usize = 4096;

/// Shared by all who write a short line; a longer one has stderr to itself.
static TURN: RwLock<()> = RwLock::new(());

/// Where a line is written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        write_line(&TURN, io::stderr(), line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_line(turn: &RwLock<()>, to: impl AsFd, line: &[u8]) -> io::Result<()> {
    let (_shared, _alone);
    if line.len() <= WHOLE_BYTES {
        _shared = turn.read().unwrap_or_else(PoisonError::into_inner);
    } else {
        _alone = turn.write().unwrap_or_else(PoisonError::into_inner);
    }
    let mut rest = line;
    while !rest.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(&to, rest))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => rest = rest.get(written..).unwrap_or_default(),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::thread;

    use super::*;

    #[test]
    fn lines_stay_whole_however_long_they_are_and_whoever_writes() {
        let (mut from, to) = io::pipe().unwrap();
        let turn = RwLock::new(());
        let lengths = [100, WHOLE_BYTES, 10 * WHOLE_BYTES];
        let mut all = String::new();
        thread::scope(|scope| {
            let (to, turn) = (to, &turn);
            for letter in ["a", "b", "c", "d"] {
                let to = to.try_clone().unwrap();
                scope.spawn(move || {
                    for length in lengths.into_iter().cycle().take(60) {
                        let line = letter.repeat(length - 1) + "\n";
                        write_line(turn, &to, line.as_bytes()).unwrap();
                    }
                });
            }
            drop(to);
            from.read_to_string(&mut all).unwrap();
        });
        assert_eq!(all.lines().count(), 240);
        for line in all.lines() {
            assert!(lengths.contains(&(line.len() + 1)));
            assert!(line.bytes().all(|byte| line.as_bytes()[0] == byte));
        }
    }
}
