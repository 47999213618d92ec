//! Password hashes as they stand in configuration files.
//!
//! Only their shape is looked at: enough to refuse a password in clear text, a truncated paste or
//! a scheme that nobody can verify. Computing and comparing hashes is the accounts' business.

use std::fmt;

/// A password hash in one of the schemes that waft verifies. It never prints what it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// Why a text is not a password hash. It never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It is in no scheme that waft knows; most likely a password in clear text.
    #[error("not a password hash; passwords are never written in clear text")]
    Unknown,
    /// It begins like a hash and is not one.
    #[error("damaged password hash: it begins with {0} and does not go on as it must")]
    Damaged(&'static str),
}

/// How the hashes of a scheme begin, and how many parts follow, each after a `$`.
struct Scheme {
    prefix: &'static str,
    parts: &'static [Part],
}

enum Part {
    /// `v=19`; may be missing in hashes of the first version.
    Version,
    /// Parameters: `m=19456,t=2,p=1`.
    Parameters,
    /// `rounds=5000`; may be missing.
    Rounds,
    /// Digits.
    Cost,
    /// Base64 in any of its alphabets, at least this many characters.
    Base64(usize),
}

const SCHEMES: [Scheme; 9] = [
    Scheme {
        prefix: "$argon2id$",
        parts: &[Part::Version, Part::Parameters, Part::Base64(8), Part::Base64(16)],
    },
    Scheme { prefix: "$scrypt$", parts: &[Part::Parameters, Part::Base64(8), Part::Base64(16)] },
    Scheme { prefix: "$pbkdf2$", parts: &[Part::Parameters, Part::Base64(8), Part::Base64(16)] },
    Scheme {
        prefix: "$pbkdf2-sha256$",
        parts: &[Part::Parameters, Part::Base64(8), Part::Base64(16)],
    },
    Scheme {
        prefix: "$pbkdf2-sha512$",
        parts: &[Part::Parameters, Part::Base64(8), Part::Base64(16)],
    },
    Scheme { prefix: "$2a$", parts: &[Part::Cost, Part::Base64(53)] },
    Scheme { prefix: "$2b$", parts: &[Part::Cost, Part::Base64(53)] },
    Scheme { prefix: "$2y$", parts: &[Part::Cost, Part::Base64(53)] },
    Scheme { prefix: "$6$", parts: &[Part::Rounds, Part::Base64(1), Part::Base64(86)] },
];

impl PasswordHash {
    /// Takes `text` for a password hash.
    ///
    /// # Errors
    ///
    /// When it has not the shape of one of argon2id, scrypt, pbkdf2, bcrypt or sha512-crypt.
    pub fn parse(text: &str) -> Result<Self, Rejection> {
        let begins = |scheme: &&Scheme| text.starts_with(scheme.prefix);
        let scheme = SCHEMES.iter().find(begins).ok_or(Rejection::Unknown)?;
        let rest = text.get(scheme.prefix.len()..).unwrap_or_default();
        let mut fields = rest.split('$').peekable();
        for part in scheme.parts {
            let field = fields.peek().copied().unwrap_or_default();
            if part.fits(field) {
                fields.next();
            } else if !part.may_be_missing() {
                return Err(Rejection::Damaged(scheme.prefix));
            }
        }
        match fields.next() {
            None => Ok(Self(text.to_owned())),
            Some(_) => Err(Rejection::Damaged(scheme.prefix)),
        }
    }

    /// Returns the hash as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Part {
    fn fits(&self, field: &str) -> bool {
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match self {
            Self::Version => field.strip_prefix("v=").is_some_and(number),
            Self::Rounds => field.strip_prefix("rounds=").is_some_and(number),
            Self::Cost => number(field),
            Self::Parameters => field.split(',').all(|pair| {
                pair.split_once('=').is_some_and(|(name, value)| !name.is_empty() && number(value))
            }),
            Self::Base64(least) => {
                let fine = |b: u8| b.is_ascii_alphanumeric() || b"+/.-_=".contains(&b);
                field.len() >= *least && field.bytes().all(fine)
            }
        }
    }

    fn may_be_missing(&self) -> bool {
        matches!(self, Self::Version | Self::Rounds)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B53: &str = "nOUIs5kJ7naTuTFkBy1veuK0kSxUFXfuaOKdOKf9xYT0KKIGSJwFa";
    const B86: &str =
        "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz1";

    #[test]
    fn every_scheme_is_known_by_its_shape() {
        for hash in [
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamtsbW5vcA".to_owned(),
            "$argon2id$m=19456,t=2,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamtsbW5vcA".to_owned(),
            "$scrypt$ln=17,r=8,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamtsbW5vcA".to_owned(),
            "$pbkdf2-sha256$i=600000,l=32$c29tZXNhbHQ$YWJjZGVmZ2hpamtsbW5vcA".to_owned(),
            "$pbkdf2-sha512$i=210000$c29tZXNhbHQ$YWJjZGVmZ2hpamtsbW5vcA".to_owned(),
            format!("$2b$12${B53}"),
            format!("$6$saltstring${B86}x"),
            format!("$6$rounds=10000$saltstring${B86}x"),
        ] {
            assert!(PasswordHash::parse(&hash).is_ok(), "{hash}");
        }
    }

    #[test]
    fn clear_text_and_unknown_schemes_are_no_hashes() {
        for text in ["", "secret", "$1$abc$def", "$argon2i$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaA"] {
            assert_eq!(PasswordHash::parse(text), Err(Rejection::Unknown), "{text}");
        }
    }

    #[test]
    fn a_hash_that_lost_its_tail_is_damaged() {
        for (text, prefix) in [
            ("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ", "$argon2id$"),
            ("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$YWJj", "$argon2id$"),
            ("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamtsbW5vcA$x", "$argon2id$"),
            ("$2b$12$short", "$2b$"),
            ("$6$", "$6$"),
            ("$scrypt$ln=17,r,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamtsbW5vcA", "$scrypt$"),
        ] {
            assert_eq!(PasswordHash::parse(text), Err(Rejection::Damaged(prefix)), "{text}");
        }
    }

    #[test]
    fn a_hash_is_not_printed() {
        let hash = PasswordHash::parse(&format!("$2b$12${B53}")).unwrap();
        assert_eq!(format!("{hash:?}"), "PasswordHash(***)");
    }
}
