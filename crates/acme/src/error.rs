//! Why no certificate came, and what to do about it.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use instant_acme::Problem;

use crate::{Challenge, Settings};

/// Why no certificate came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The authority was not reached, or answered something else than ACME.
    #[error("the authority cannot be asked: {}", chain(.0))]
    Authority(#[source] instant_acme::Error),
    /// The authority refuses.
    #[error("the authority refuses: {}", told(.0))]
    Refused(Box<Problem>),
    /// The authority could not see that the name is the server's.
    #[error("the authority does not see that this is {name}: {}", told(.problem))]
    Unproved {
        /// The name.
        name: String,
        /// What the authority says.
        problem: Box<Problem>,
    },
    /// The authority goes by other challenges.
    #[error("the authority does not offer the challenge for {name}: {challenge}")]
    NotOffered {
        /// The name.
        name: String,
        /// The challenge.
        challenge: &'static str,
    },
    /// The authority takes too long.
    #[error("the authority takes too long")]
    TimedOut,
    /// What came is no certificate for the key and the names.
    #[error("the authority issued what cannot be used: {0}")]
    Unusable(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file of the account holds none.
    #[error("no account: {}: {source}", path.display())]
    Account {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The cryptography refuses.
    #[error("cannot make a key or a request: {0}")]
    Crypto(#[from] rcgen::Error),
}

impl From<instant_acme::Error> for Error {
    fn from(error: instant_acme::Error) -> Self {
        match error {
            instant_acme::Error::Api(problem) => Self::Refused(Box::new(problem)),
            instant_acme::Error::Timeout(_) => Self::TimedOut,
            error => Self::Authority(error),
        }
    }
}

/// What authorities call a failed look at an answer (RFC 8555, section 6.7).
const UNPROVED: [&str; 6] =
    ["caa", "connection", "dns", "incorrectResponse", "tls", "unauthorized"];

impl Error {
    /// From what the authority says about a challenge for a name.
    pub(crate) fn of_challenge(name: &str, error: instant_acme::Error) -> Self {
        match Self::from(error) {
            Self::Refused(problem) if UNPROVED.contains(&kind(&problem)) => {
                Self::Unproved { name: name.to_owned(), problem }
            }
            error => error,
        }
    }

    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }

    /// Whether the authority does not know the account, as it may where it has begun anew.
    pub(crate) fn is_unknown_account(&self) -> bool {
        matches!(self, Self::Refused(problem) if kind(problem) == "accountDoesNotExist")
    }

    /// Returns what to do about it.
    pub(crate) fn remedy(&self, settings: &Settings) -> String {
        match self {
            Self::Authority(_) => format!("let the server reach {}", settings.authority),
            Self::Refused(problem) => match kind(problem) {
                "rateLimited" => "wait, as it says".to_owned(),
                "invalidContact" | "unsupportedContact" => {
                    "correct contact in [tls.acme]".to_owned()
                }
                "rejectedIdentifier" => "correct names in [tls.acme]".to_owned(),
                _ => "do as it says".to_owned(),
            },
            Self::Unproved { name, .. } => {
                let (port, challenge) = match settings.challenge {
                    Challenge::Http01 => (80, "http-01"),
                    Challenge::TlsAlpn01 => (443, "tls-alpn-01"),
                };
                format!(
                    "let port {port} of {name} lead to address in [tls.acme], from everywhere: \
                     the authority connects to it for {challenge}"
                )
            }
            Self::NotOffered { .. } => "take another challenge in [tls.acme]".to_owned(),
            Self::TimedOut => "see what the authority says about its state".to_owned(),
            Self::Unusable(_) | Self::Crypto(_) => {
                "use a certificate and private_key from elsewhere".to_owned()
            }
            Self::File { .. } => {
                "let the user that the server runs as write in directory of [tls.acme]".to_owned()
            }
            Self::Account { path, .. } => {
                format!("remove it, for another account: {}", path.display())
            }
        }
    }
}

/// The last part of the problem's type (RFC 8555, section 6.7).
fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default()
}

fn told(problem: &Problem) -> String {
    let more = problem.subproblems.iter().map(|sub| format!("; {sub}"));
    let detail = problem.detail.as_deref().unwrap_or("it does not say why");
    format!("{detail} ({}){}", kind(problem), more.collect::<String>())
}

/// An error with those that led to it: the outermost alone says little.
fn chain(error: &dyn StdError) -> String {
    let mut told = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push(error.to_string());
        cause = error.source();
    }
    told.dedup();
    told.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: &str) -> instant_acme::Error {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        let text = serde_json::json!({ "type": kind, "detail": "No." }).to_string();
        instant_acme::Error::Api(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn a_challenge_fails_by_what_the_authority_sees_or_by_what_it_is() {
        let told = |kind| Error::of_challenge("a.example", refusal(kind)).to_string();
        let unseen = "the authority does not see that this is a.example: No. (connection)";
        assert_eq!(told("connection"), unseen);
        assert_eq!(told("rateLimited"), "the authority refuses: No. (rateLimited)");
    }

    #[test]
    fn only_an_account_that_the_authority_does_not_know_is_given_up() {
        assert!(Error::from(refusal("accountDoesNotExist")).is_unknown_account());
        assert!(!Error::from(refusal("unauthorized")).is_unknown_account());
    }
}
