//! What failed tests said, out of the output of thousands: whoever reads the end of a log finds it.

use std::io::{self, BufRead, BufReader, Read, Write};

use anyhow::Result;

/// Lines that are kept of the failures of one program: the reasons, and not all of what a server
/// under test logged.
const LINES_MAX: usize = 80;

/// Passes on what test programs write, and returns what was said of tests that failed.
///
/// # Errors
/// What passes cannot be read, or written.
pub(super) fn pass_on(from: impl Read, mut to: impl Write) -> Result<String> {
    let mut failures = Failures::default();
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        write_all(&mut to, &line)?;
        failures.see(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(failures.kept)
}

/// At once: a test that hangs is to be found.
fn write_all(to: &mut impl Write, line: &[u8]) -> io::Result<()> {
    to.write_all(line)?;
    to.flush()
}

/// The sections between `failures:` and the result of their program.
#[derive(Default)]
struct Failures {
    kept: String,
    /// Lines of the section so far, if this is one.
    section: Option<usize>,
}

impl Failures {
    fn see(&mut self, line: &str) {
        if line.starts_with("test result: ") {
            self.section = None;
        } else if line.trim_end() == "failures:" && self.section.is_none() {
            self.section = Some(0);
        } else if let Some(lines) = &mut self.section {
            *lines += 1;
            if *lines <= LINES_MAX {
                self.kept.push_str(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(output: &str) -> String {
        let mut passed = Vec::new();
        let kept = pass_on(output.as_bytes(), &mut passed).unwrap();
        assert_eq!(passed, output.as_bytes());
        kept
    }

    #[test]
    fn what_failed_tests_said_is_kept_and_nothing_else() {
        let output = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\n\
                      thread 'b' panicked\n\n\nfailures:\n    b\n\ntest result: FAILED. 1 passed\n\
                      running 1 test\ntest c ... ok\n";
        let told = "\n---- b stdout ----\nthread 'b' panicked\n\n\nfailures:\n    b\n\n";
        assert_eq!(kept(output), told);
        assert_eq!(kept("running 1 test\ntest c ... ok\ntest result: ok. 1 passed\n"), "");
    }

    #[test]
    fn a_log_of_any_length_is_cut() {
        let output = format!("failures:\n{}test result: FAILED.\n", "a line\n".repeat(100_000));
        assert_eq!(kept(&output).lines().count(), LINES_MAX);
    }

    #[test]
    fn octets_that_are_no_text_pass() {
        let mut passed = Vec::new();
        pass_on(&b"\xff\xfe\nlast, without an end"[..], &mut passed).unwrap();
        assert_eq!(passed, b"\xff\xfe\nlast, without an end");
    }
}
