//! Writing to the terminal or to another program, which may have stopped reading: that is no
//! failure and no panic, as it would be with `println!`.

use std::io::{self, Write};

/// Writes what another program may read to stdout.
///
/// # Errors
///
/// It cannot be written, for another reason than that nobody reads it any more.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes one JSON document to stdout, for people too.
///
/// # Errors
///
/// As [`print()`].
pub(crate) fn print_json(document: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    Ok(print(&text)?)
}

/// Writes lines for the operator to stderr. Where nobody can read them there is nobody to tell.
pub(crate) fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}
