//! Whose certificate a client has shown.
//!
//! TLS has verified it; here it is only a list of names. A name that is written down for an account
//! makes the certificate that account's, and no other certificate will do for it then.

use waft_core::{CertificateName, SessionFacts};

/// What a certificate is to an account that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateLogin {
    /// Enough: no password is asked for. Without any certificate, the password is.
    Alone,
    /// Needed, and the password as well.
    WithPassword,
}

/// The certificates of one account.
#[derive(Debug)]
pub(crate) struct Certificates {
    names: Vec<CertificateName>,
    pub(crate) login: CertificateLogin,
}

/// What the certificate of a client is to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The account names none.
    Unbound,
    /// The client has shown none.
    Missing,
    /// It is one of the account's.
    Own,
    /// It is not, and the account names others.
    Other,
}

impl Certificates {
    pub(crate) fn new(names: Vec<CertificateName>, login: CertificateLogin) -> Certificates {
        Certificates { names, login }
    }

    /// What the certificate of that session is to the account.
    pub(crate) fn standing(&self, session: &SessionFacts) -> Standing {
        match shown(session) {
            _ if self.names.is_empty() => Standing::Unbound,
            None => Standing::Missing,
            Some(shown) if self.are_named_in(shown) => Standing::Own,
            Some(_) => Standing::Other,
        }
    }

    fn are_named_in(&self, shown: &[CertificateName]) -> bool {
        self.names.iter().any(|own| shown.iter().any(|shown| own.is(shown)))
    }
}

/// Why a right password is not enough; nothing if it is.
pub(crate) fn objection(
    certificates: &Certificates,
    session: &SessionFacts,
) -> Option<&'static str> {
    match (certificates.standing(session), certificates.login) {
        (Standing::Other, _) => Some(OTHER),
        (Standing::Missing, CertificateLogin::WithPassword) => Some("certificate missing"),
        _ => None,
    }
}

/// Why a certificate that is not the account's is refused.
pub(crate) const OTHER: &str = "not the certificate of this account";

/// The names in the client's certificate, if it has shown one.
fn shown(session: &SessionFacts) -> Option<&[CertificateName]> {
    let tls = session.tls.as_ref()?;
    tls.peer_certificate_sha256.as_ref()?;
    Some(&tls.peer_certificate_names)
}
