//! What protects the connections: AUTH, CCC, PBSZ, PROT (RFC 4217).

use waft_proto::{Code, Reply};

use super::{Action, Answer, Refusal};
use crate::net::Network;
use crate::security::Protection;
use crate::session::Session;

impl<N: Network> Session<N> {
    /// AUTH: everything starts over, under TLS.
    ///
    /// `SSL` is the name that old clients use; whether it stands for protected data connections as
    /// well was never agreed upon, and here it does not. `TLS-P` does, and nothing else.
    pub(super) fn auth(&mut self, argument: &[u8]) -> Result<Action, Refusal> {
        let protection = match &*argument.to_ascii_uppercase() {
            b"TLS" | b"TLS-C" | b"SSL" => Protection::Clear,
            b"TLS-P" => Protection::Private,
            _ => return Err(Refusal::new(Code::BAD_VALUE, "Unknown security mechanism.")),
        };
        if self.security.offer().is_none() {
            return Err(Refusal::new(Code::NOT_IMPLEMENTED, "TLS is not available on this port."));
        }
        if self.control.tls().is_some() {
            return Err(Refusal::new(Code::BAD_SEQUENCE, "The connection is protected already."));
        }
        if self.security.is_agreed() {
            return Err(Refusal::new(Code::REFUSED_BY_POLICY, "Not after CCC; REIN starts over."));
        }
        // What was sent in clear text must never be taken for something said under TLS.
        if self.control.has_read_ahead() || !self.waiting.is_empty() {
            tracing::warn!("commands sent behind AUTH in clear text: closing");
            let reply = Reply::new(Code::BAD_SEQUENCE, "Nothing may follow AUTH: closing.");
            return Ok(Action::Close(reply, "commands behind AUTH"));
        }
        self.reset();
        self.security.protection = protection;
        Ok(Action::BeginTls(Reply::new(Code::SECURITY_ACCEPTED, "TLS it is, go ahead.")))
    }

    /// CCC: the control connection goes on in clear text, where the operator lets it.
    pub(super) fn ccc(&self) -> Result<Action, Refusal> {
        if self.control.tls().is_none() {
            return Err(Refusal::new(Code::NOT_PROTECTED, "The connection is not protected."));
        }
        if !self.security.offer().is_some_and(|offer| offer.settings.ccc) {
            return Err(Refusal::new(Code::REFUSED_BY_POLICY, "CCC is not allowed here."));
        }
        let reply = Reply::new(Code::OKAY, "Clear text from here on.");
        Ok(Action::EndTls { reply, and_forget: false })
    }

    /// PBSZ: TLS has no buffer of which the size would matter.
    pub(super) fn pbsz(&mut self, argument: &[u8]) -> Answer {
        self.refuse_unprotected("PBSZ comes after AUTH.")?;
        let is_number = std::str::from_utf8(argument).is_ok_and(|text| {
            text.bytes().all(|octet| octet.is_ascii_digit()) && text.parse::<u32>().is_ok()
        });
        if !is_number {
            return Err(Refusal::new(Code::BAD_PARAMETER, "Syntax: PBSZ 0"));
        }
        self.security.buffer_size_set = true;
        Ok(Reply::data(Code::OKAY, "PBSZ=0"))
    }

    /// PROT: protection of data connections.
    pub(super) fn prot(&mut self, argument: &[u8]) -> Answer {
        self.refuse_unprotected("PROT comes after PBSZ.")?;
        if !self.security.buffer_size_set {
            return Err(Refusal::new(Code::BAD_SEQUENCE, "PROT comes after PBSZ."));
        }
        let (protection, text) = match &*argument.to_ascii_uppercase() {
            b"P" => (Protection::Private, "Data connections are protected."),
            b"C" if self.security.is_data_protection_required() => {
                return Err(Refusal::new(
                    Code::REFUSED_BY_POLICY,
                    "Data connections must be protected: use PROT P.",
                ));
            }
            b"C" => (Protection::Clear, "Data connections are in clear text."),
            b"S" | b"E" => {
                return Err(Refusal::new(
                    Code::PROTECTION_UNSUPPORTED,
                    "Not a level of TLS: use PROT P.",
                ));
            }
            _ => return Err(Refusal::new(Code::BAD_VALUE, "Unknown level: use PROT P.")),
        };
        self.security.protection = protection;
        Ok(Reply::new(Code::OKAY, text))
    }

    fn refuse_unprotected(&self, before: &'static str) -> Result<(), Refusal> {
        if self.control.tls().is_some() {
            return Ok(());
        }
        Err(match self.security.is_agreed() {
            true => Refusal::new(Code::NOT_PROTECTED, "Not after CCC."),
            false => Refusal::new(Code::BAD_SEQUENCE, before),
        })
    }
}
