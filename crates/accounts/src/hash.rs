//! Stored passwords: PHC and modular-crypt strings.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use password_hash::{PasswordHasher, PasswordVerifier};
use pbkdf2::Pbkdf2;
use scrypt::Scrypt;
use sha_crypt::ShaCrypt;

/// Memory of one verification, KiB: more would let a few logins at a time exhaust the machine.
const MEMORY_MAX_KIB: u64 = 1024 * 1024;

/// Octets of a password that are looked at. A longer one is wrong.
const PASSWORD_BYTES_MAX: usize = 1024;

/// The version of an Argon2 string that names none.
const ARGON2_FIRST_VERSION: u32 = 0x10;

const STAND_IN: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A string is not a password hash that can be verified. Never shows the string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// It does not begin with `$`.
    #[error("not a password hash: it must begin with \"$\", as `waft user hash` prints it")]
    NotAHash,
    /// Its method is not known.
    #[error(
        "password hash of an unknown method (known are argon2id, scrypt, pbkdf2-sha256, \
         pbkdf2-sha512, bcrypt and sha512-crypt): ${0}$"
    )]
    Unsupported(String),
    /// Its method is known, and something else about it is wrong.
    #[error("damaged {method} password hash: {reason}")]
    Damaged {
        /// The method.
        method: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Its parameters ask for too much memory.
    #[error("password hash needs more than {MEMORY_MAX_KIB} KiB of memory: {0} KiB")]
    TooLarge(u64),
    /// The system gave no random numbers for a salt.
    #[error("no random numbers for a salt: {0}")]
    Salt(String),
}

/// A stored password, checked.
#[derive(Clone)]
pub(crate) struct StoredHash {
    text: String,
    method: Method,
}

#[derive(Clone)]
enum Method {
    Argon2(PasswordHash),
    Scrypt(PasswordHash),
    Pbkdf2(PasswordHash),
    Bcrypt,
    ShaCrypt,
}

/// Hashes a password with Argon2id: 19 MiB of memory, two passes, one lane (OWASP's advice), and a
/// random salt. A PHC string.
///
/// Takes some 20 ms of CPU time: not for a reactor's thread.
///
/// # Errors
/// The system gives no random numbers.
pub fn hash_password(password: &[u8]) -> Result<String, HashError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| HashError::Salt(error.to_string()))?;
    // The defaults of the library are those parameters; a test holds them fast.
    let hash: PasswordHash = Argon2::default()
        .hash_password_with_salt(password, &salt)
        .map_err(|error| damaged("argon2")(error.to_string()))?;
    Ok(hash.to_string())
}

/// Tells whether `text` is a password hash that can be verified.
///
/// # Errors
/// It is none; the error says what is wrong without showing it.
pub fn validate_hash(text: &str) -> Result<(), HashError> {
    StoredHash::parse(text).map(drop)
}

impl StoredHash {
    pub(crate) fn parse(text: &str) -> Result<StoredHash, HashError> {
        let method = text.strip_prefix('$').and_then(|rest| rest.split('$').next());
        let method = match method.ok_or(HashError::NotAHash)? {
            "argon2id" | "argon2i" | "argon2d" => Method::Argon2(argon2(text)?),
            "scrypt" => Method::Scrypt(scrypt(text)?),
            "pbkdf2-sha256" | "pbkdf2-sha512" => Method::Pbkdf2(pbkdf2(text)?),
            "2a" | "2b" | "2y" => bcrypt(text)?,
            "5" => sha_crypt(text, 43, b"./0123456789ABCD")?,
            "6" => sha_crypt(text, 86, b"./01")?,
            other => return Err(HashError::Unsupported(shown(other))),
        };
        Ok(StoredHash { text: text.to_owned(), method })
    }

    /// The string as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Everything before the salt: strings that share it take the same time.
    pub(crate) fn cost(&self) -> &str {
        let fields_after = match self.method {
            // Salt and hash are 22 and 31 characters of one field.
            Method::Bcrypt => 1,
            _ => 2,
        };
        let end = self.text.rmatch_indices('$').nth(fields_after - 1).map_or(0, |(at, _)| at);
        self.text.get(..end).unwrap_or_default()
    }

    /// Whether `password` is the one. Slow on purpose.
    pub(crate) fn verify(&self, password: &[u8]) -> bool {
        let (password, whole) = match password.get(..PASSWORD_BYTES_MAX) {
            Some(beginning) => (beginning, beginning.len() == password.len()),
            None => (password, true),
        };
        let right = match &self.method {
            Method::Argon2(hash) => Argon2::default().verify_password(password, hash).is_ok(),
            Method::Scrypt(hash) => Scrypt::new().verify_password(password, hash).is_ok(),
            Method::Pbkdf2(hash) => Pbkdf2::default().verify_password(password, hash).is_ok(),
            Method::Bcrypt => bcrypt::verify(password, &self.text).unwrap_or(false),
            Method::ShaCrypt => {
                ShaCrypt::default().verify_password(password, self.text.as_str()).is_ok()
            }
        };
        right && whole
    }
}

/// What an unknown user's password is held against when no account has one: of the parameters that
/// [`hash_password`] takes, and of no password.
#[expect(clippy::expect_used, reason = "a constant, which a test parses")]
pub(crate) fn stand_in() -> StoredHash {
    StoredHash::parse(STAND_IN).expect("the constant is well-formed")
}

fn argon2(text: &str) -> Result<PasswordHash, HashError> {
    let mut hash = phc(text, "argon2")?;
    hash.version.get_or_insert(ARGON2_FIRST_VERSION);
    let parameters =
        argon2::Params::try_from(&hash).map_err(|error| damaged("argon2")(error.to_string()))?;
    if hash.version.is_some_and(|version| argon2::Version::try_from(version).is_err()) {
        return Err(damaged("argon2")("version unknown".to_owned()));
    }
    refuse_large(parameters.m_cost().into())?;
    Ok(hash)
}

fn scrypt(text: &str) -> Result<PasswordHash, HashError> {
    let hash = phc(text, "scrypt")?;
    let parameters =
        scrypt::Params::try_from(&hash).map_err(|error| damaged("scrypt")(error.to_string()))?;
    let memory = parameters.n().saturating_mul(u64::from(parameters.r())).saturating_mul(128);
    refuse_large(memory / 1024)?;
    Ok(hash)
}

fn pbkdf2(text: &str) -> Result<PasswordHash, HashError> {
    let hash = phc(text, "pbkdf2")?;
    pbkdf2::Params::try_from(&hash).map_err(|error| damaged("pbkdf2")(error.to_string()))?;
    Ok(hash)
}

fn bcrypt(text: &str) -> Result<Method, HashError> {
    let parts: bcrypt::HashParts =
        text.parse().map_err(|error: bcrypt::BcryptError| damaged("bcrypt")(error.to_string()))?;
    if !(4..=31).contains(&parts.get_cost()) {
        return Err(damaged("bcrypt")(format!("cost out of 4 to 31: {}", parts.get_cost())));
    }
    Ok(Method::Bcrypt)
}

/// `$5$` and `$6$`: `$id$[rounds=N$]salt$hash`, a hash of so many characters of which the last
/// holds fewer bits and so can be one of `last` only.
fn sha_crypt(text: &str, hash_length: usize, last: &[u8]) -> Result<Method, HashError> {
    let wrong = |reason: &str| Err(damaged("sha-crypt")(reason.to_owned()));
    let mut fields = text.split('$').skip(2).peekable();
    if let Some(rounds) = fields.next_if(|field| field.starts_with("rounds=")) {
        let rounds = rounds.trim_start_matches("rounds=");
        if !rounds.parse().is_ok_and(|rounds| sha_crypt::Params::new(rounds).is_ok()) {
            return wrong("rounds out of 1000 to 999999999");
        }
    }
    let (salt, hash) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    if !(1..=16).contains(&salt.len()) || !salt.is_ascii() {
        return wrong("salt not of 1 to 16 characters");
    }
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/');
    let whole = hash.bytes().next_back().is_some_and(|b| last.contains(&b));
    if hash.len() != hash_length || !hash.bytes().all(alphabet) || !whole {
        return wrong("hash of a wrong length or alphabet");
    }
    if fields.next().is_some() {
        return wrong("something behind the hash");
    }
    Ok(Method::ShaCrypt)
}

/// A PHC string with everything that verification needs.
fn phc(text: &str, method: &'static str) -> Result<PasswordHash, HashError> {
    let hash = PasswordHash::new(text).map_err(|error| damaged(method)(error.to_string()))?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(damaged(method)("salt or hash missing".to_owned()));
    }
    Ok(hash)
}

fn damaged(method: &'static str) -> impl Fn(String) -> HashError {
    move |reason| HashError::Damaged { method, reason }
}

fn refuse_large(kib: u64) -> Result<(), HashError> {
    if kib > MEMORY_MAX_KIB { Err(HashError::TooLarge(kib)) } else { Ok(()) }
}

/// The name of a method, if it looks like one: what else stands there may be a secret.
fn shown(method: &str) -> String {
    let plausible = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if method.len() <= 16 && method.bytes().all(plausible) {
        method.to_owned()
    } else {
        "?".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stand_in_costs_what_our_own_hashes_cost() {
        let own = StoredHash::parse(&hash_password(b"x").unwrap()).unwrap();
        assert_eq!(stand_in().cost(), own.cost());
        assert!(!stand_in().verify(b""));
    }
}
