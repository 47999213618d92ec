//! Passwords on their way from the operator to their hash.

use std::io::{self, BufRead, Read};

use anyhow::{Context, bail, ensure};
use waft_config::PasswordHash;
use zeroize::Zeroizing;

/// The longest password that is read. Longer ones could never be given to PASS, whose line is
/// limited.
const PASSWORD_BYTES_MAX: u64 = 1024;

/// Reads a password from the terminal, twice, without showing it.
pub(super) fn from_terminal() -> anyhow::Result<Zeroizing<String>> {
    let ask = |prompt| {
        rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| {
            let remedy = "remedy: give it with --password-stdin";
            anyhow::anyhow!("no terminal to ask for the password: {error}\n  {remedy}")
        })
    };
    let password = usable(ask("Password: ")?)?;
    ensure!(*password == *ask("Again: ")?, "the passwords are not the same");
    Ok(password)
}

/// Reads a password from stdin: one line, without its end.
pub(super) fn from_stdin() -> anyhow::Result<Zeroizing<String>> {
    // Room for all of it, so that no copy is left behind by growing.
    let mut line = Zeroizing::new(String::with_capacity(PASSWORD_BYTES_MAX as usize + 2));
    let stdin = io::stdin().lock();
    stdin.take(PASSWORD_BYTES_MAX + 2).read_line(&mut line).context("cannot read the password")?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    usable(line)
}

fn usable(password: Zeroizing<String>) -> anyhow::Result<Zeroizing<String>> {
    if password.is_empty() {
        bail!("the password is empty");
    }
    ensure!(
        password.len() as u64 <= PASSWORD_BYTES_MAX,
        "the password is too long, at most: {PASSWORD_BYTES_MAX} bytes"
    );
    ensure!(!password.contains('\0'), "the password contains NUL, which no client can send");
    Ok(password)
}

/// Hashes a password.
///
/// # Errors
///
/// The system gives no random numbers.
pub(crate) fn hash(password: &str) -> anyhow::Result<PasswordHash> {
    let hash = waft_accounts::hash_password(password.as_bytes())?;
    PasswordHash::parse(&hash).map_err(|error| anyhow::anyhow!("{error}"))
}
